"""The explorer on a machine that is no gateway: what it finds, how it says so, and what it refuses to explore."""

from typing import Any

import attrs
import pytest

from examples.door_lock import door
from examples.door_lock.door import ENVIRONMENT, ROWS, Bolt, Code, Door, Push, Row, TimeUp, table
from gatewright.harness.explore import Action, Bounds, Variable, always, edge, eventually, explore, flag, sometimes
from gatewright.harness.explore.terms import code_of
from gatewright.spec.errors import TableError
from gatewright.spec.protocol import CloseKind
from gatewright.spec.states import Cause, State


def without(name: str) -> tuple[Row, ...]:
    return tuple(row for row in ROWS if row.id != name)


def changed(name: str, **changes: object) -> tuple[Row, ...]:
    assert any(row.id == name for row in ROWS)
    return tuple(attrs.evolve(row, **changes) if row.id == name else row for row in ROWS)  # type: ignore[arg-type]


def test_a_machine_that_keeps_its_promises_is_reported_as_such() -> None:
    report = explore(table(), ENVIRONMENT)
    report.assert_ok()
    assert report.taken == {row.id for row in ROWS}
    assert set(report.properties.values()) == {"holds"}


def test_every_reachable_state_is_found_once() -> None:
    report = explore(table(), ENVIRONMENT)
    # Locked, with as many wrong codes as were tried, at most two counted; or inside, or closed, with none counted.
    locked = {(wrong, tries) for tries in range(4) for wrong in range(3) if wrong <= 3 - tries}
    assert report.states == len(locked) + 2 * 4
    assert len(set(report.graph.packed)) == report.states


def test_members_that_are_equal_texts_have_the_places_of_their_own_classes() -> None:
    assert State.STALLED.value == Cause.STALLED.value
    for enumeration in (Cause, State, CloseKind):
        assert [code_of(member) for member in enumeration] == list(range(len(enumeration)))


def test_a_bound_is_the_first_value_of_a_variable() -> None:
    assert explore(table(), ENVIRONMENT, Bounds(values={"tries": 0}), coverage=False).states == 3


@pytest.mark.parametrize("value", [-1, 4])
def test_a_bound_beyond_its_variable_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="it must be 0 to 3"):
        explore(table(), ENVIRONMENT, Bounds(values={"tries": value}))


def test_a_bound_on_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of wrong, bolted, tries"):
        explore(table(), ENVIRONMENT, Bounds(values={"turns": 1}))


def test_more_states_than_asked_for_are_a_failure() -> None:
    report = explore(table(), ENVIRONMENT, Bounds(most=5))
    assert report.verdict == "limit"
    with pytest.raises(AssertionError, match="there are more"):
        report.assert_ok()


def test_a_safety_property_that_breaks_gives_the_shortest_way_there() -> None:
    report = explore(table(changed("closed.time_up", effects=())), ENVIRONMENT)
    assert report.verdict == "safety"
    assert report.counterexample is not None
    assert [step.action for step in report.counterexample.steps] == ["", "right code", "time is up"]
    with pytest.raises(AssertionError, match="D1: the bolt is in while the door is locked"):
        report.assert_ok()


def test_an_edge_property_sees_both_sides_of_a_step() -> None:
    report = explore(table(), ENVIRONMENT, properties=(edge("X", "it never closes", "before.state != Door.OPEN"),))
    assert report.verdict == "edge"
    assert report.counterexample is not None
    assert report.counterexample.steps[-1].row == "open.pull"


def test_an_edge_property_knows_what_the_row_does() -> None:
    told = edge(
        "X", "the bolt", "does('bolt') == (event == 'time_up') and assigned('wrong') == updated('blame') or moves"
    )
    explore(table(), ENVIRONMENT, properties=(told,)).assert_ok()


def test_what_never_comes_to_pass_is_a_fault_of_the_environment() -> None:
    report = explore(
        table(), ENVIRONMENT, properties=(sometimes("X", "four wrong codes", "wrong == 2 and tries == 3"),)
    )
    assert report.verdict == "coverage"
    assert report.properties["X: four wrong codes"] == "violated"


def test_a_row_that_nothing_takes_must_have_a_reason() -> None:
    extra = Row(id="locked.code.magic", source=Door.LOCKED, event=Code, guard="right and not right", why="Never.")
    report = explore(table((*ROWS, extra)), ENVIRONMENT)
    assert report.untaken == ("locked.code.magic",)
    with pytest.raises(AssertionError, match=r"locked\.code\.magic"):
        report.assert_ok()
    explore(table((*ROWS, extra)), ENVIRONMENT, justified={"locked.code.magic": "by logic"}).assert_ok()


def test_a_reason_for_a_row_that_is_taken_is_wrong() -> None:
    report = explore(table(), ENVIRONMENT, justified={"open.pull": "doors stay open"})
    assert report.untaken == ("open.pull: is taken, although it is said that it cannot be",)


def test_an_event_without_a_row_is_illegal() -> None:
    report = explore(table(without("open.pull")), ENVIRONMENT)
    assert report.verdict == "illegal"
    with pytest.raises(AssertionError, match="pull has no row in open"):
        report.assert_ok()


def test_a_cell_in_which_no_row_is_taken_is_illegal() -> None:
    report = explore(table(without("locked.code.blocked")), ENVIRONMENT)
    assert report.verdict == "illegal"
    with pytest.raises(AssertionError, match=r"no row of locked\.code is taken"):
        report.assert_ok()


def test_rows_that_overlap_are_illegal() -> None:
    report = explore(table(changed("locked.code.blocked", guard=None)), ENVIRONMENT)
    assert report.verdict == "illegal"
    with pytest.raises(AssertionError, match=r"locked\.code and locked\.code\.blocked are both taken"):
        report.assert_ok()


def test_a_state_that_cannot_be_left_is_a_deadlock() -> None:
    stuck = table(changed("locked.code", target=None, effects=(), updates=()))
    goal = attrs.evolve(ENVIRONMENT, properties=(eventually("D4", "everybody gets in", "state == Door.OPEN"),))
    assert explore(stuck, goal, Bounds(values={"tries": 0})).verdict == "deadlock"
    # With tries left there is a way on, only not to the goal.
    assert explore(stuck, goal).verdict == "liveness"


def test_a_deadline_that_passes_again_and_again_excuses_no_cycle() -> None:
    """Somebody may always push, and nobody need to."""
    ticks: dict[str, dict[str, Any]] = {"push": {"fair": False}, "time is up": {"updates": {"ticked": "not ticked"}}}
    ticking = attrs.evolve(
        ENVIRONMENT,
        variables=(*ENVIRONMENT.variables, flag("ticked")),
        actions=tuple(attrs.evolve(each, **ticks.get(each.name, {})) for each in ENVIRONMENT.actions),
        properties=(eventually("D4", "everybody gets in", "state == Door.OPEN"),),
    )
    assert explore(table(changed("closed.time_up", target=None, effects=())), ticking).verdict == "liveness"


def test_a_cycle_without_the_goal_is_a_livelock_and_is_shown() -> None:
    shy = attrs.evolve(
        ENVIRONMENT,
        actions=tuple(attrs.evolve(a, fair=False) if a.name == "push" else a for a in ENVIRONMENT.actions),
    )
    report = explore(table(), shy)
    assert report.verdict == "liveness"
    assert report.counterexample is not None
    assert {step.action for step in report.counterexample.cycle} == {"right code", "time is up"}
    assert "again and again" in str(report.counterexample)


def test_time_waits_for_what_can_happen_at_once() -> None:
    # `time is up` could lock the door before anybody pushes, for ever; but time passes only when nobody does.
    report = explore(table(), ENVIRONMENT)
    assert report.properties["D4: everybody gets in"] == "holds"


def test_a_variable_that_means_nothing_somewhere_is_forgotten_there() -> None:
    inside = attrs.evolve(
        ENVIRONMENT,
        variables=(*ENVIRONMENT.variables, flag("warm", within=(Door.OPEN,))),
        reactions={**ENVIRONMENT.reactions},
        actions=tuple(attrs.evolve(a, updates={"warm": "1"}) if a.name == "push" else a for a in ENVIRONMENT.actions),
        properties=(*ENVIRONMENT.properties, always("X", "it is warm inside", "warm == (state == Door.OPEN)")),
    )
    report = explore(table(), inside)
    report.assert_ok()
    assert report.states == explore(table(), ENVIRONMENT).states


def test_reading_what_nobody_wrote_is_illegal() -> None:
    inside = attrs.evolve(ENVIRONMENT, variables=(*ENVIRONMENT.variables, flag("warm", within=(Door.OPEN,))))
    with pytest.raises(AssertionError, match="warm means something in open, and nobody wrote it"):
        explore(table(), inside).assert_ok()


def test_each_first_value_is_tried() -> None:
    twice = attrs.evolve(ENVIRONMENT, variables=(*ENVIRONMENT.variables, flag("sunny", False, True)))
    assert explore(table(), twice).states == 2 * explore(table(), ENVIRONMENT).states


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_an_event_that_nobody_feeds_is_refused() -> None:
    deaf = attrs.evolve(ENVIRONMENT, actions=tuple(a for a in ENVIRONMENT.actions if a.event is not TimeUp))
    with pytest.raises(TableError, match="event time_up: no action of environment 'people' feeds it"):
        explore(table(), deaf)
    explore(table(), attrs.evolve(deaf, unheard={TimeUp: "the clock is broken"}), coverage=False)


def test_an_effect_that_nobody_reacts_to_is_refused() -> None:
    deaf = attrs.evolve(ENVIRONMENT, reactions={"unbolt": {"bolted": "0"}})
    with pytest.raises(TableError, match="effect bolt: environment 'people' has no reaction to it"):
        explore(table(), deaf)


def test_a_field_without_a_variable_is_refused() -> None:
    forgetful = attrs.evolve(table(), updates={"blame": (("blamed_at", "now"),), "forgive": (("wrong", "0"),)})
    with pytest.raises(TableError, match="the field 'blamed_at' has no variable"):
        explore(forgetful, ENVIRONMENT)
    explore(attrs.evolve(forgetful, dropped={"blamed_at": "only shown"}), ENVIRONMENT, coverage=False)


def test_a_guard_on_what_is_not_explored_is_refused() -> None:
    table_ = attrs.evolve(table(), guards={"right": "event.code == 42", "blocked": "wrong >= settings.most"})
    with pytest.raises(TableError, match=r"locked\.code, guard right: 'event\.code' has no meaning in the exploration"):
        explore(table_, ENVIRONMENT)


def test_a_property_on_an_unknown_name_is_refused() -> None:
    with pytest.raises(TableError, match="property 'X: oops': 'bolt' is no variable"):
        explore(table(), ENVIRONMENT, properties=(always("X", "oops", "bolt == 1"),))


def test_the_environment_may_not_write_the_machine() -> None:
    meddling = attrs.evolve(
        ENVIRONMENT, actions=(*ENVIRONMENT.actions, Action(name="hypnosis", updates={"wrong": "0"}))
    )
    with pytest.raises(TableError, match="'wrong' belongs to the machine; only rows write it"):
        explore(table(), meddling)


def test_a_variable_that_is_called_like_a_dropped_field_is_refused() -> None:
    forgetful = attrs.evolve(table(), dropped={"tries": "counted elsewhere"})
    with pytest.raises(TableError, match="tries: the environment has a variable that is called like a field that door"):
        explore(forgetful, ENVIRONMENT)


def test_two_actions_of_one_name_are_refused() -> None:
    with pytest.raises(TableError, match="two actions are called 'push'"):
        attrs.evolve(ENVIRONMENT, actions=(*ENVIRONMENT.actions, Action(name="push", event=Push)))


def test_a_fault_cannot_be_fair() -> None:
    with pytest.raises(TableError, match="a fault ceases"):
        Action(name="x", fair=True, fault=True)


def test_a_first_value_beyond_the_bound_is_refused() -> None:
    with pytest.raises(TableError, match="must lie in 0 to 1"):
        Variable("x", 1, (2,))


def test_the_report_is_plain_data() -> None:
    told = explore(table(without("open.pull")), ENVIRONMENT).as_dict()
    assert told["verdict"] == "illegal"
    assert told["rows"]["total"] == len(ROWS) - 1
    assert told["counterexample"]["steps"][-1]["event"] == "pull"
    assert {"states", "edges", "seconds", "states_per_second", "properties"} <= told.keys()


def test_the_door_of_the_tests_has_its_effects() -> None:
    assert {effect.name for row in ROWS for effect in row.effects} == {Bolt.name, door.Unbolt.name}
