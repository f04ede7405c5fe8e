"""Counterexamples as tests: they fail on the table that is wrong, and pass on the one that is right."""

from __future__ import annotations

import json
from collections.abc import Callable

import attrs
import pytest

from examples.door_lock.door import ENVIRONMENT, ROWS, Door, table
from gatewright.harness.explore import (
    Counterexample,
    Product,
    Table,
    always,
    eventually,
    explore,
    retrace,
    sometimes,
)
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.mutants import mutants
from gatewright.harness.explore.retracing import (
    Source,
    Told,
    as_example,
    as_journal,
    as_pytest,
    first_values,
    story_of,
)
from gatewright.harness.explore.sequence import mermaid
from gatewright.spec.errors import TableError

SOURCE = Source(
    imports=("from examples.door_lock.door import ENVIRONMENT",), table="machine", environment="ENVIRONMENT"
)


def wrong() -> list[tuple[str, Table, Counterexample]]:
    """Every mutant of the door that has a way to what it breaks."""
    found: list[tuple[str, Table, Counterexample]] = []
    for mutant in mutants(table(), ROWS):
        try:
            counterexample = explore(mutant.table, ENVIRONMENT, coverage=False).counterexample
        except TableError:
            continue
        if counterexample is not None and counterexample.steps:
            found.append((mutant.name, mutant.table, counterexample))
    return found


WRONG = wrong()


def pasted(text: str, **namespace: object) -> Callable[[Table], None]:
    """The test that the text defines, on a table that is given to it."""
    exec(text, namespace)
    (test,) = (value for name, value in namespace.items() if name.startswith("test_"))
    assert callable(test)

    def run(machine: Table) -> None:
        namespace["machine"] = machine
        test()

    return run


def test_there_are_mutants_of_every_class() -> None:
    broken = {counterexample.property for _, _, counterexample in WRONG}
    assert len(WRONG) > 25
    assert "the table is not complete" in broken
    assert len(broken) > 4


@pytest.mark.parametrize(("machine", "found"), [pytest.param(*each[1:], id=each[0]) for each in WRONG])
def test_a_pasted_test_fails_on_the_wrong_table_and_passes_on_the_right_one(
    machine: Table, found: Counterexample
) -> None:
    run = pasted(as_pytest(found, machine, ENVIRONMENT, SOURCE))
    with pytest.raises(AssertionError) as broken:
        run(machine)
    assert found.property in str(broken.value)
    run(table())


def test_what_never_comes_to_pass_is_a_test_too() -> None:
    """Of what a table must lead to, the story is the beginning; all that follows is explored again."""
    lazy = tuple(attrs.evolve(each, fair=False) if each.name == "push" else each for each in ENVIRONMENT.actions)
    around = attrs.evolve(ENVIRONMENT, actions=lazy, properties=(eventually("X", "somebody gets in", "bolted == 0"),))
    machine = table(tuple(attrs.evolve(row, effects=()) if row.id == "locked.code" else row for row in ROWS))
    found = explore(machine, around, coverage=False).counterexample
    assert found is not None
    text = as_pytest(found, machine, around, attrs.evolve(SOURCE, imports=("ENVIRONMENT = AROUND",)))
    assert "what_follows=True" in text
    run = pasted(text, AROUND=around)
    with pytest.raises(AssertionError, match="X: somebody gets in"):
        run(machine)
    run(table())


def test_a_pasted_test_reads_like_this() -> None:
    unbolted = table(tuple(attrs.evolve(row, effects=()) if row.id == "closed.time_up" else row for row in ROWS))
    found = explore(unbolted, ENVIRONMENT).counterexample
    assert found is not None
    source = Source(imports=("from door import ENVIRONMENT, table",), table="table()", environment="ENVIRONMENT")
    assert as_pytest(found, unbolted, ENVIRONMENT, source) == (
        "from gatewright.harness.explore import retrace\n"
        "\n"
        "from door import ENVIRONMENT, table\n"
        "\n\n"
        "def test_d1_the_bolt_is_in_while_the_door_is_locked_and_only_then():\n"
        '    """D1: the bolt is in while the door is locked, and only then (safety). locked → closed"""\n'
        "    story = [\n"
        '        ("right code", {"right": "True"}),\n'
        '        "time is up",\n'
        "    ]\n"
        "    retrace(table(), ENVIRONMENT, story)\n"
    )
    assert as_example(found, unbolted, ENVIRONMENT).startswith(
        '@example(\n    story=[\n        ("right code", {"right"'
    )
    assert [json.loads(line)["row"] for line in as_journal(found).splitlines()] == ["locked.code", "closed.time_up"]


def test_what_is_never_seen_is_asked_of_the_whole_exploration() -> None:
    environment = attrs.evolve(ENVIRONMENT, properties=(sometimes("X", "it burns", "wrong > 2"),))
    found = explore(table(), environment).counterexample
    assert found is not None
    source = attrs.evolve(SOURCE, imports=("from tests.explore.test_retracing import BURNING as ENVIRONMENT",))
    with pytest.raises(AssertionError, match="X: it burns"):
        pasted(as_pytest(found, table(), environment, source))(table())


BURNING = attrs.evolve(ENVIRONMENT, properties=(sometimes("X", "it burns", "wrong > 2"),))


def test_first_values_that_are_open_or_bounded_are_kept() -> None:
    few = attrs.evolve(ENVIRONMENT, properties=(always("X", "few", "tries != 1"),))
    tried = attrs.evolve(ENVIRONMENT.variables[1], initial=(1, 2))
    open_ = attrs.evolve(few, variables=(ENVIRONMENT.variables[0], tried))
    found = explore(table(), open_).counterexample
    assert found is not None
    assert first_values(found, table(), open_) == {"tries": 1}
    assert story_of(found) == []


def test_an_action_that_is_not_possible_is_passed_over() -> None:
    story: list[Told] = ["pull", "push", ("right code", {"right": "True"}), "pull", "push"]
    retrace(table(), ENVIRONMENT, story)
    opened = always("X", "it stays shut", "state != Door.OPEN")
    with pytest.raises(AssertionError) as broken:
        retrace(table(), attrs.evolve(ENVIRONMENT, properties=(opened,)), story)
    for part in ("pull (1) is not possible", "right code (3) = code", "push (5) = push"):
        assert part in str(broken.value)


def test_a_story_is_of_one_machine() -> None:
    both = Product(name="both", machines={"left": table(), "right": table()})
    with pytest.raises(TableError, match="both is a product of machines, and a story takes one table"):
        retrace(both, ENVIRONMENT, ["push"])


def test_what_follows_is_explored_when_it_is_asked_for() -> None:
    stuck = attrs.evolve(ENVIRONMENT, properties=(eventually("X", "it is locked in the end", "state == Door.LOCKED"),))
    retrace(table(), stuck, [("right code", {"right": "True"})])
    with pytest.raises(AssertionError, match="X: it is locked in the end"):
        retrace(table(), stuck, [("right code", {"right": "True"})], what_follows=True)


@pytest.mark.parametrize(
    ("story", "said"),
    [
        (["kick"], "environment 'people' has no action 'kick'; there are right code, wrong code, push"),
        ([("right code", {"right": "False"})], "'right code' has no payload right='False'; there are True"),
        ([("push", {"hard": "True"})], "action 'push' has no payload 'hard'"),
    ],
)
def test_a_story_of_what_there_is_not_is_refused(story: list[Told], said: str) -> None:
    with pytest.raises(TableError, match=said):
        retrace(table(), ENVIRONMENT, story)


def test_a_story_of_a_shard_is_told_in_a_moment() -> None:
    values = {"strict": 0, "capped": 1, "session": 0, "received": 0}
    story = ["user registers", "registrations are applied", "metadata arrive", "handshake succeeds"]
    retrace(gateway_table(settings=SMALL), gateway_environment(), story, values)


def test_a_drawing_says_what_is_missing_in_the_table() -> None:
    machine = table(tuple(row for row in ROWS if row.source is not Door.OPEN))
    around = attrs.evolve(ENVIRONMENT, properties=())
    found = explore(machine, around, coverage=False).counterexample
    assert found is not None
    assert "the table is not complete (pull has no row in open" in mermaid(found)
