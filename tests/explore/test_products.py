"""Several machines explored together: what is found, who did it, and what is refused."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import attrs
import pytest

from examples.airlock.__main__ import main
from examples.airlock.airlock import (
    DOOR,
    DOORWAY,
    ENVIRONMENT,
    LOCK_ROWS,
    Closed,
    LockRow,
    Named,
    Pressed,
    airlock,
)
from examples.door_lock import door
from gatewright.harness.explore import (
    Action,
    Bounds,
    Environment,
    Product,
    Report,
    Variable,
    always,
    edge,
    eventually,
    explore,
    flag,
    sometimes,
)
from gatewright.harness.explore.mutants import Judge, mutants, mutants_of_machines
from gatewright.harness.explore.projection import project
from gatewright.harness.explore.sequence import mermaid
from gatewright.harness.explore.ways import Ways
from gatewright.harness.export.promela import promela
from gatewright.spec.errors import TableError
from tests.support.checkout import ROOT

APART = Environment(name="nothing", variables=(), actions=())


class Rung(Named):
    """An effect that nobody hears."""

    name = "rung"


def doors(*names: str) -> Product:
    """Doors that have nothing to do with each other."""
    return Product(
        name="doors", machines=dict.fromkeys(names, door.table()), around=dict.fromkeys(names, door.ENVIRONMENT)
    )


def lock_with(name: str, **changes: object) -> tuple[LockRow, ...]:
    assert any(row.id == name for row in LOCK_ROWS)
    return tuple(attrs.evolve(row, **changes) if row.id == name else row for row in LOCK_ROWS)  # type: ignore[arg-type]


def with_action(name: str, **changes: object) -> Environment:
    assert any(action.name == name for action in ENVIRONMENT.actions)
    actions = tuple(
        attrs.evolve(each, **changes) if each.name == name else each  # type: ignore[arg-type]
        for each in ENVIRONMENT.actions
    )
    return attrs.evolve(ENVIRONMENT, actions=actions)


@pytest.fixture(scope="module")
def shipped() -> Report:
    return explore(airlock(), ENVIRONMENT)


# -- what is found -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("machines", [2, 3])
def test_machines_that_are_nothing_to_each_other_have_the_product_of_their_states(machines: int) -> None:
    alone = explore(door.table(), door.ENVIRONMENT)
    together = explore(doors(*"abc"[:machines]), APART)
    together.assert_ok()
    assert together.states == alone.states**machines
    assert together.edges == machines * alone.states ** (machines - 1) * alone.edges
    assert together.rows == machines * alone.rows == len(together.taken)


def test_a_product_of_one_machine_is_that_machine() -> None:
    alone, together = explore(door.table(), door.ENVIRONMENT), explore(doors("only"), APART)
    assert (together.states, together.edges) == (alone.states, alone.edges)
    assert together.taken == {f"only.{row}" for row in alone.taken}
    assert together.properties == {f"only.{name}": verdict for name, verdict in alone.properties.items()}


class Side(NamedTuple):
    """A door, and what is on its way from and to it."""

    state: str = "shut"
    asks: bool = False
    unlocks: bool = False
    tells: bool = False


class World(NamedTuple):
    """The airlock once more, by hand."""

    taken: bool = False
    waiting: bool = False
    sides: tuple[Side, Side] = (Side(), Side())

    def moves(self) -> Iterator[World]:
        """What can happen next."""
        for place in (0, 1):
            one, other = self.sides[place], self.sides[1 - place]

            def world(one: Side, other: Side, taken: bool, waiting: bool, place: int = place) -> World:
                return World(taken, waiting, (one, other) if place == 0 else (other, one))

            if one.state == "shut":
                yield world(one._replace(state="waiting", asks=True), other, self.taken, self.waiting)
            if one.unlocks:
                yield world(one._replace(state="open", unlocks=False), other, self.taken, self.waiting)
            if one.state == "open":
                yield world(one._replace(state="shut", tells=True), other, self.taken, self.waiting)
            if one.asks and not one.tells:
                heard = one._replace(asks=False, unlocks=one.unlocks or not self.taken)
                yield world(heard, other, taken=True, waiting=self.waiting or self.taken)
            if one.tells:
                told = other._replace(unlocks=other.unlocks or self.waiting)
                yield world(one._replace(tells=False), told, taken=self.waiting, waiting=False)


def test_machines_that_talk_reach_the_states_that_they_reach_by_hand(shipped: Report) -> None:
    reached = {World()}
    frontier, steps = list(reached), 0
    while frontier:
        for successor in frontier.pop().moves():
            steps += 1
            if successor not in reached:
                reached.add(successor)
                frontier.append(successor)
    shipped.assert_ok()
    assert (shipped.states, shipped.edges) == (len(reached), steps)


def test_every_row_of_every_machine_is_taken_or_has_its_reason() -> None:
    extra = door.Row(id="open.magic", source=door.Door.OPEN, event=door.Pull, guard="right and not right", why="Never.")
    table = door.table((*door.ROWS, extra))
    environment = attrs.evolve(
        door.ENVIRONMENT,
        actions=tuple(
            attrs.evolve(each, payload={"right": False}) if each.name == "pull" else each
            for each in door.ENVIRONMENT.actions
        ),
    )
    product = Product(name="doors", machines={"a": table, "b": table}, around={"a": environment, "b": environment})
    assert explore(product, APART).untaken == ("a.open.magic", "b.open.magic")
    assert explore(product, APART, justified={"a.open.magic": "by logic"}).untaken == ("b.open.magic",)
    explore(product, APART, justified={"open.magic": "by logic"}).assert_ok()
    stale = explore(product, APART, justified={"open.magic": "by logic", "open.pull": "doors stay open"}).untaken
    assert [name.partition(":")[0] for name in stale] == ["a.open.pull", "b.open.pull"]


def test_a_bound_is_of_one_machine_or_of_all_that_have_the_variable() -> None:
    def states(**values: int) -> int:
        bounds = {name.replace("_", "."): value for name, value in values.items()}
        return explore(doors("a", "b"), APART, Bounds(values=bounds), coverage=False).states

    alone = explore(door.table(), door.ENVIRONMENT).states
    assert states(tries=0) == 3 * 3
    assert states(a_tries=0) == states(b_tries=0) == 3 * alone


def test_a_bound_on_nothing_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"must be one of .*a\.tries"):
        explore(doors("a"), APART, Bounds(values={"turns": 1}))


def test_first_values_are_combined_where_each_machine_allows_it() -> None:
    lit = attrs.evolve(
        door.ENVIRONMENT, variables=(*door.ENVIRONMENT.variables, flag("lit", False, True)), beginning="lit <= bolted"
    )
    never = attrs.evolve(lit, beginning="not lit")
    found = [
        explore(Product(name="x", machines={"a": door.table(), "b": door.table()}, around=around), APART).states
        for around in ({"a": lit, "b": lit}, {"a": lit, "b": never})
    ]
    assert found == [4 * 289, 2 * 289]


# -- what must hold ----------------------------------------------------------------------------------------------------


def test_a_property_speaks_of_every_machine() -> None:
    report = explore(airlock(lock_with("taken.ask", effects=LOCK_ROWS[0].effects)), ENVIRONMENT)
    assert (report.verdict, report.properties["A2: never both doors open"]) == ("safety", "violated")
    assert report.counterexample is not None
    assert [step.machine for step in report.counterexample.steps] == [
        "", "outer", "interlock", "outer", "inner", "interlock", "inner",
    ]  # fmt: skip
    with pytest.raises(AssertionError, match=r"interlock: free → taken   row free\.ask"):
        report.assert_ok()


def test_a_message_that_overtakes_another_is_seen() -> None:
    report = explore(airlock(), with_action("outer asks", guard="outer.asks"))
    assert report.verdict == "illegal"
    with pytest.raises(AssertionError, match="inner: unlock has no row in shut"):
        report.assert_ok()


def test_a_request_that_is_forgotten_is_waited_for_in_vain() -> None:
    report = explore(airlock(lock_with("taken.ask", updates=())), attrs.evolve(ENVIRONMENT, properties=()))
    assert report.verdict in {"liveness", "deadlock"}
    assert report.counterexample is not None
    assert report.counterexample.property.endswith("A1: whoever waits gets in")


def test_a_wire_that_is_not_fair_is_waited_for_in_vain() -> None:
    report = explore(airlock(), with_action("inner asks", fair=False))
    assert report.verdict in {"liveness", "deadlock"}
    with pytest.raises(AssertionError, match=r"inner\.A1: whoever waits gets in"):
        report.assert_ok()


def test_what_never_comes_to_pass_is_a_fault_of_the_environment() -> None:
    seen = sometimes("X", "both wait", "outer.state == Door.WAITING and inner.state == Door.WAITING")
    never = sometimes("X", "both are told", "outer.unlocks and inner.unlocks")
    explore(airlock(), ENVIRONMENT, properties=(seen,)).assert_ok()
    assert explore(airlock(), ENVIRONMENT, properties=(never,)).verdict == "coverage"


def test_a_property_of_steps_knows_which_machine_moves_and_what_it_does() -> None:
    explore(
        airlock(),
        ENVIRONMENT,
        properties=(
            edge("X", "a door never unlocks", "not does('unlock') or machine == 'interlock'"),
            edge("Y", "a door opens by itself", "not (before.outer.state != outer.state and machine != 'outer')"),
            edge("Z", "what is asked for is on its way", "not does('ask') or outer.asks or inner.asks"),
        ),
    ).assert_ok()
    report = explore(airlock(), ENVIRONMENT, properties=(edge("X", "the inner door rests", "machine != 'inner'"),))
    assert report.verdict == "edge"
    assert report.counterexample is not None
    assert len(report.counterexample.steps) == 2


def test_what_another_machine_does_to_one_is_to_its_properties_what_the_environment_does() -> None:
    # Only the code unlocks, says the door of itself; here somebody else draws its bolt.
    meddling = Environment(
        name="meddling",
        variables=(),
        actions=(),
        reactions={"b.unbolt": {"a.bolted": "0"}},
    )
    product = doors("a", "b")
    product = attrs.evolve(product, around={**product.around, "b": attrs.evolve(door.ENVIRONMENT, properties=())})
    report = explore(product, meddling)
    assert report.verdict == "edge"
    assert report.counterexample is not None
    assert report.counterexample.property.startswith("a.D2")
    assert report.counterexample.steps[-1].machine == "b"


@pytest.mark.parametrize("timed", [True, False])
def test_a_machine_whose_deadline_runs_is_not_kept_waiting_by_another_that_goes_round(timed: bool) -> None:
    # `b` locks and unlocks for ever, each time after a while; `a` only has its deadline.
    round_and_round = attrs.evolve(
        door.ENVIRONMENT,
        properties=(),
        actions=tuple(each for each in door.ENVIRONMENT.actions if each.name not in {"push", "wrong code"}),
        unheard={door.Push: "nobody comes in"},
    )
    table = door.table() if timed else attrs.evolve(door.table(), timed=())
    waits = attrs.evolve(
        door.ENVIRONMENT,
        properties=(eventually("X", "it is locked again", "state == Door.LOCKED and tries < 3"),),
        actions=tuple(
            attrs.evolve(each, fair=False, updates={"tries": "2"} if each.event is door.TimeUp else {})
            for each in door.ENVIRONMENT.actions
            if each.name in {"right code", "time is up"}
        ),
        unheard={door.Push: "nobody comes in", door.Pull: "nor out"},
    )
    product = Product(name="x", machines={"a": table, "b": door.table()}, around={"a": waits, "b": round_and_round})
    closed = eventually("X", "it is not left closed", "a.state == Door.LOCKED")
    product = attrs.evolve(product, around={**product.around, "a": attrs.evolve(waits, properties=())})
    report = explore(product, APART, properties=(closed,), coverage=False)
    assert report.verdict == ("ok" if timed else "liveness")


@pytest.mark.parametrize("timer", [True, False])
def test_a_clock_of_the_environment_runs_while_the_machines_go_round(timer: bool) -> None:
    # The doors open and shut for ever, as soon as they can; the bell is nobody's deadline, and none re-arms it.
    busy = attrs.evolve(
        DOORWAY, actions=tuple(attrs.evolve(each, fair=True, timer=False) for each in DOORWAY.actions), properties=()
    )
    ringing = attrs.evolve(
        ENVIRONMENT,
        variables=(flag("rung"),),
        actions=(
            *ENVIRONMENT.actions,
            Action(name="the bell rings", guard="not rung", timer=timer, updates={"rung": "1"}),
        ),
        properties=(eventually("X", "the bell rings", "rung"),),
    )
    report = explore(attrs.evolve(airlock(), around=dict.fromkeys(("outer", "inner"), busy)), ringing, coverage=False)
    assert report.verdict == ("ok" if timer else "liveness")


def test_a_deadline_that_fires_and_changes_nothing_excuses_no_machine() -> None:
    # The bell of a door that is waited at rings again and again; that it could be let in by chance is no promise.
    rows = (
        *DOOR.rows,
        attrs.evolve(DOOR.rows[0], id="waiting.closed", source=DOOR.rows[0].target, event=Closed, target=None),
    )
    rung = attrs.evolve(rows[-1], effects=(Rung,))
    table = attrs.evolve(
        DOOR, rows=(*rows[:-1], rung), variables=(flag("due", True),), timed=(rung.source,), rearms="due"
    )
    around = attrs.evolve(
        DOORWAY,
        variables=(*DOORWAY.variables, flag("loud")),
        actions=(
            *(attrs.evolve(each, fair=False) for each in DOORWAY.actions if each.event is not Closed),
            Action(name="time passes", event=Closed, guard="due and state != Door.SHUT", timer=True),
        ),
        reactions={**DOORWAY.reactions, "rung": {"loud": "not loud"}},
    )
    wires = attrs.evolve(
        ENVIRONMENT,
        reactions={},
        properties=(),
        actions=(
            Action(name="chance", to="only", guard="state == Door.WAITING and not unlocks", updates={"unlocks": "1"}),
        ),
    )
    report = explore(Product(name="x", machines={"only": table}, around={"only": around}), wires, coverage=False)
    assert report.verdict == "liveness"
    assert report.counterexample is not None
    assert {step.action for step in report.counterexample.cycle} == {"only: time passes"}


# -- how it is shown ---------------------------------------------------------------------------------------------------


def test_each_machine_is_a_participant() -> None:
    report = explore(airlock(lock_with("taken.ask", effects=LOCK_ROWS[0].effects)), ENVIRONMENT)
    assert report.counterexample is not None
    drawn = mermaid(report.counterexample).splitlines()
    assert drawn[1:5] == [f"    participant {name}" for name in ("outer", "interlock", "inner", "traveller")]
    assert "    outer->>interlock: outer asks (unlocks outer)" in drawn
    assert drawn[-1].startswith("    Note over outer,inner: broken")


def test_a_machine_that_is_called_like_a_keyword_is_drawn_all_the_same() -> None:
    product = Product(name="x", machines={"end": door.table(), "note": door.table()}, around={"end": door.ENVIRONMENT})
    shut = Environment(
        name="x", variables=(), actions=(), reactions={"bolt": {}, "unbolt": {}}, enumerations=(),
        unheard=dict.fromkeys((door.Code, door.Push, door.Pull, door.TimeUp), "nobody is there"),
    )  # fmt: skip
    report = explore(
        attrs.evolve(product, around={"end": attrs.evolve(door.ENVIRONMENT, reactions={}, properties=())}),
        attrs.evolve(shut, reactions={"bolt": {}, "unbolt": {}}),
        properties=(always("X", "it stays locked", "end.state == Door.LOCKED"),),
    )
    assert report.counterexample is not None
    assert "participant id_end as end" in mermaid(report.counterexample)


def test_the_report_is_plain_data_that_names_the_machines() -> None:
    told = explore(airlock(lock_with("taken.ask", effects=LOCK_ROWS[0].effects)), ENVIRONMENT).as_dict()
    assert told["counterexample"]["steps"][1]["machine"] == "interlock"
    assert told["rows"]["total"] == 2 * len(DOOR.rows) + len(LOCK_ROWS)


def test_the_ways_to_each_row_of_each_machine_are_known(shipped: Report) -> None:
    ways = Ways(shipped.graph)
    assert set(ways.rows) == shipped.taken
    label, number = ways.draw("inner.open.closed", random.Random(1))
    assert (label.machine, label.action.event) == ("inner", Closed)
    assert [step.machine for step, _ in shipped.graph.path(number)[1:] if step is not None][-1] == "inner"


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    told = capsys.readouterr().out
    assert "10 of 10 rows taken: all holds" in told
    assert "A2: never both doors open" in told
    assert "participant interlock" in told


def test_machines_of_ones_own_are_short() -> None:
    files = (ROOT / "examples/airlock").glob("*.py")
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) < 150


# -- mutants -----------------------------------------------------------------------------------------------------------


def test_each_machine_of_a_product_has_its_mutants_and_each_is_noticed() -> None:
    judge = Judge(airlock(), ENVIRONMENT, (Bounds(),))
    every = list(mutants_of_machines(airlock(), judge.taken_by))
    assert {mutant.where.partition(".")[0] for mutant in every} == {"outer", "interlock", "inner"}
    score = judge.score(every)
    assert not score.survivors
    assert score.killed == len(every)


def test_a_survivor_names_its_machine() -> None:
    # Without anything that must hold, the interlock may as well let both in.
    silent = attrs.evolve(ENVIRONMENT, properties=())
    product = attrs.evolve(airlock(), around=dict.fromkeys(("outer", "inner"), attrs.evolve(DOORWAY, properties=())))
    judge = Judge(product, silent, (Bounds(),))
    names = {each.mutant.name for each in judge.score(mutants_of_machines(product, judge.taken_by)).survivors}
    assert "drop_effect interlock.taken.tell.waiting unlock" in names
    assert "drop_update interlock.taken.tell.waiting forget" not in names  # a door is unlocked that has not asked


def test_the_mutants_of_a_machine_are_those_that_it_has_by_itself() -> None:
    product = doors("a", "b")
    judge = Judge(product, APART, (Bounds(),))
    found = [each.name for each in mutants_of_machines(product, judge.taken_by)]
    alone = [each.name for each in mutants(door.table(), door.ROWS)]
    assert len(found) == 2 * len(alone)


# -- what is refused ---------------------------------------------------------------------------------------------------


def _nothing(name: str) -> Environment:
    return Environment(name=name, variables=(), actions=())


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param(
            Environment(name="x", variables=(), actions=(Action(name="press", event=Pressed),)),
            "action 'press' feeds pressed; say to which machine",
            id="nobody is fed",
        ),
        pytest.param(
            Environment(name="x", variables=(), actions=(Action(name="press", event=Pressed, to="cellar"),)),
            "is fed to 'cellar'; the machines are outer, interlock, inner",
            id="a machine that there is not",
        ),
        pytest.param(
            with_action("outer asks", updates={"interlock.waiting": "1"}),
            r"'interlock\.waiting' belongs to the machine; only its rows write it",
            id="what a machine remembers is written from outside",
        ),
        pytest.param(
            with_action("outer asks", updates={"inner.bell": "1"}), "'inner.bell' is no variable", id="no such variable"
        ),
        pytest.param(with_action("outer asks", guard="cellar.asks"), "cellar", id="a guard that speaks of no machine"),
        pytest.param(
            with_action("outer asks", guard="outer.bell"),
            "the machine 'outer' has no variable 'bell'",
            id="a guard that speaks of what a machine has not",
        ),
        pytest.param(
            attrs.evolve(ENVIRONMENT, reactions={**ENVIRONMENT.reactions, "cellar.unlock": {}}),
            "there is no machine 'cellar'",
            id="a reaction to no machine",
        ),
        pytest.param(
            attrs.evolve(ENVIRONMENT, reactions={}),
            "effect unlock: environment 'wires' has no reaction",
            id="no reaction",
        ),
        pytest.param(
            attrs.evolve(ENVIRONMENT, reactions={**ENVIRONMENT.reactions, "ask": {"asks": "0"}}),
            r"two reactions to ask write .*asks",
            id="two reactions that write one variable",
        ),
        pytest.param(
            attrs.evolve(ENVIRONMENT, variables=(flag("asks"),)), "called like one that all share", id="shadowing"
        ),
        pytest.param(
            attrs.evolve(ENVIRONMENT, variables=(flag("outer"),)),
            "a machine and a variable have one name",
            id="a machine",
        ),
        pytest.param(
            attrs.evolve(ENVIRONMENT, variables=(Variable("warm", within=(door.Door.OPEN,)),)),
            "warm: all share it",
            id="what means something in states of nobody",
        ),
        pytest.param(
            attrs.evolve(ENVIRONMENT, properties=(always("X", "x", "waiting"),)),
            "'waiting' is no variable",
            id="whose?",
        ),
        pytest.param(
            attrs.evolve(ENVIRONMENT, actions=ENVIRONMENT.actions[:1]), "event tell: no action", id="an unheard event"
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(environment: Environment, said: str) -> None:
    with pytest.raises(TableError, match=said) as caught:
        explore(airlock(), environment)
    assert "·" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "state", "before", "class", "two doors", "a.b"])
def test_a_machine_that_no_expression_can_name_is_refused(name: str) -> None:
    with pytest.raises(TableError, match="no expression can speak of a machine called"):
        Product(name="x", machines={name: DOOR})


def test_a_product_of_nothing_is_refused() -> None:
    with pytest.raises(TableError, match="it has no machine"):
        Product(name="x", machines={})
    with pytest.raises(TableError, match="none of its machines"):
        Product(name="x", machines={"a": DOOR}, around={"b": DOORWAY})


def test_too_many_machines_are_refused() -> None:
    many = Product(name="x", machines={f"door{number}": DOOR for number in range(9)})
    with pytest.raises(TableError, match="combinations of states"):
        explore(many, _nothing("x"))


def test_two_enumerations_of_one_name_are_refused() -> None:
    with pytest.raises(TableError, match="two enumerations are called Door"):
        explore(Product(name="x", machines={"a": DOOR, "b": door.table()}), _nothing("x"))


def test_an_action_for_a_machine_is_refused_where_there_is_one_table() -> None:
    fed = attrs.evolve(
        door.ENVIRONMENT, actions=tuple(attrs.evolve(each, to="left") for each in door.ENVIRONMENT.actions)
    )
    with pytest.raises(TableError, match="there is one machine only; explore a Product"):
        explore(door.table(), fed)


def test_what_takes_one_table_refuses_a_product() -> None:
    product = airlock()
    with pytest.raises(TableError, match="airlock is a product of machines, and an exported model takes one table"):
        promela(product, ENVIRONMENT)  # type: ignore[arg-type]
    with pytest.raises(TableError, match="a projection takes one table"):
        project(product, ENVIRONMENT, shown="waiting")  # type: ignore[arg-type]
    with pytest.raises(TableError, match="takes one table"):
        print(Judge(product, ENVIRONMENT, (Bounds(),)).table)
