"""The modules of TLA+: as many states as the explorer finds, and the same said of weaker tables."""

from __future__ import annotations

import attrs
import pytest

from examples.door_lock import door
from gatewright.harness.explore import Bounds, Property, Table, edge, explore, flag
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.mutants import mutants
from gatewright.harness.explore.properties import Shape
from gatewright.harness.export import tla
from gatewright.harness.export.agreement import judged
from gatewright.spec.errors import TableError
from tests.export.broken import each_broken
from tests.export.doors import CASES
from tests.export.tla_reader import Found, Module, parse

FEW = {"faults": 0, "commands": 0, "strict": 0, "capped": 1, "session": 2, "received": 1, "kept": 1}
CLASSES = {"Legal": "illegal", "Edges": "edge", "Quiet": "edge"}


def read(table: Table, environment: object = door.ENVIRONMENT, bounds: Bounds = Bounds()) -> Found:  # noqa: B008
    module = tla(table, environment, bounds)  # type: ignore[arg-type]
    return Module(module.text).check(module.config)


@pytest.mark.parametrize("tries", [0, 1, 2, 3])
def test_a_door_has_as_many_states_as_the_explorer_finds(tries: int) -> None:
    bounds = Bounds(values={"tries": tries})
    assert read(door.table(), bounds=bounds) == Found(explore(door.table(), door.ENVIRONMENT, bounds).states)


def test_each_first_value_is_tried() -> None:
    twice = attrs.evolve(door.ENVIRONMENT, variables=(*door.ENVIRONMENT.variables, flag("sunny", False, True)))
    assert read(door.table(), twice) == Found(34)


@pytest.mark.slow
def test_the_shard_has_as_many_states_as_the_explorer_finds_and_converges() -> None:
    table, bounds = gateway_table(settings=SMALL), Bounds(values=FEW)
    kept = [item for item in gateway_environment().properties if item.shape is not Shape.SOMETIMES]
    environment = attrs.evolve(gateway_environment(), properties=tuple(kept))
    report = explore(table, environment, bounds, coverage=False)
    assert report.ok
    assert "Converges" in tla(table, environment, bounds).config
    assert read(table, environment, bounds) == Found(report.states)
    assert report.states > 250


def test_a_mutant_of_the_door_breaks_what_the_explorer_says() -> None:
    table, environment = door.table(), judged(door.ENVIRONMENT)
    verdicts: set[str] = set()
    for mutant in mutants(table, table.rows):
        try:
            report = explore(mutant.table, environment, Bounds(), coverage=False)
        except TableError:
            continue  # what the explorer's compiler refuses
        found = read(mutant.table, environment)
        verdicts.add(report.verdict)
        if report.ok:
            assert found == Found(report.states), mutant.name
        else:
            assert found.broken, f"{mutant.name}: {report.verdict}"
    assert verdicts >= {"ok", "safety", "illegal"}


@each_broken
def test_what_does_not_hold_is_seen(broken: Property) -> None:
    environment = attrs.evolve(door.ENVIRONMENT, properties=(broken,))
    found = read(door.table(), environment)
    assert found.broken in ({"X_1"} if broken.shape == "always" else {"Edges", "Quiet"})


def test_a_step_that_changes_nothing_is_judged_too() -> None:
    quiet = edge("X", "the blocked door is never asked", "row != 'locked.code.blocked'")
    environment = attrs.evolve(door.ENVIRONMENT, properties=(quiet,))
    assert read(door.table(), environment, Bounds()).broken in {"Edges", "Quiet"}


@pytest.mark.parametrize("case", CASES)
def test_what_must_come_to_pass_does_or_does_not(case: str) -> None:
    table, environment, verdict = CASES[case]
    broken = read(table, environment).broken
    assert broken == ("" if verdict == "holds" else "Converges")


@pytest.mark.parametrize(
    ("case", "old", "new"),
    [
        ("everybody gets in", "(~Prompt) /\\", "TRUE /\\"),
        ("who can push all the time does", "WF_vars(Push)", "WF_vars(Pull)"),
        ("a deadline ends what goes round", " /\\ Timely) =>", ") =>"),
        ("everybody gets in", "<>[][Eager]_vars", "<>[][Next]_vars"),
    ],
    ids=["time that is not eager", "what is not fair", "no deadline", "faults that never cease"],
)
def test_each_part_of_what_is_asked_is_needed(case: str, old: str, new: str) -> None:
    table, environment, _ = CASES[case]
    module = tla(table, environment)
    assert old in module.text
    assert Module(module.text.replace(old, new)).check(module.config).broken == "Converges"


def test_a_table_of_which_nothing_must_come_to_pass_has_no_such_property() -> None:
    module = tla(door.table(), judged(door.ENVIRONMENT))
    assert "Converges" not in module.text + module.config


def test_a_larger_exploration_is_the_same_module() -> None:
    table, environment = gateway_table(settings=SMALL), gateway_environment()
    small, large = (tla(table, environment, Bounds(values={"faults": faults})).text for faults in (0, 2))
    assert [one for one, other in zip(small.splitlines(), large.splitlines(), strict=True) if one != other] == [
        "  /\\ faults = 0"
    ]


def test_the_grammar_refuses_what_is_no_module() -> None:
    text = tla(door.table(), door.ENVIRONMENT).text
    parse(text)
    with pytest.raises(SyntaxError, match="no TLA"):
        parse(text.replace("CASE", "CASES", 1))


def test_names_that_tla_keeps_for_itself_are_changed() -> None:
    odd = attrs.evolve(door.ENVIRONMENT, variables=(*door.ENVIRONMENT.variables, flag("p"), flag("IF"), flag("u1")))
    module = tla(door.table(), odd)
    assert "p_, IF_, u1_" in module.text
    assert Module(module.text).check(module.config) == Found(17)


@pytest.mark.parametrize("name", ["two words", "1st", "Next", "naïve", "a.tla"])
def test_a_name_that_no_module_can_have_is_refused(name: str) -> None:
    with pytest.raises(TableError, match="use letters, digits and _"):
        tla(door.table(), door.ENVIRONMENT, name=name)
