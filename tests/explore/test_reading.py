"""What expressions may read: whatever would make a property true of everything is refused, with what was meant."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from examples.door_lock.door import ENVIRONMENT, ROWS, Code, Door, Push, table
from gatewright.harness.explore import (
    Action,
    Bounds,
    Environment,
    Property,
    always,
    count,
    edge,
    eventually,
    explore,
    flag,
    sometimes,
)
from gatewright.spec.errors import ConfigurationError, TableError
from gatewright.spec.rows import RowKind


def around(*, actions: tuple[Action, ...] = (), properties: tuple[Property, ...] = (), **more: Any) -> Environment:
    changed = attrs.evolve(
        ENVIRONMENT,
        actions=(*ENVIRONMENT.actions, *actions),
        properties=(*ENVIRONMENT.properties, *properties),
    )
    return attrs.evolve(changed, **more)


def test_what_means_something_is_explored() -> None:
    """The control of all that follows."""
    properties = (
        always("X1", "a state is one of its own", "state in (Door.LOCKED, Door.CLOSED, Door.OPEN)"),
        edge("X2", "what is said of a step", "not does('bolt') or (event == 'time_up' and kind == 'take' and moves)"),
        edge("X3", "what is written", "assigned('wrong') == (updated('blame') or updated('forgive'))"),
        edge("X4", "what was before", "before.tries >= tries and before.state != Door.OPEN or event != 'code'"),
    )
    explore(table(), around(properties=properties)).assert_ok()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (always("X", "x", "wrng < 3"), "property 'X: x': 'wrng' is no variable; did you mean 'wrong'"),
        (always("X", "x", "state != Door.OPNE"), "'Door.OPNE' is no variable; did you mean 'Door.OPEN'"),
        (always("X", "x", "state != 'open'"), "state is never the text 'open'; write Door.OPEN"),
        (edge("X", "x", "before.state != 'open'"), "before.state is never the text 'open'; write Door.OPEN"),
        (always("X", "x", "wrong in ('a', 1)"), "wrong is never the text 'a'"),
        (always("X", "x", "wrong + 'a' > 1"), "a text is no number in \"wrong \\+ 'a'\""),
        (always("X", "x", "state in Door.OPEN"), r"what follows `in` must be a tuple, such as \(Door.OPEN,\)"),
        (always("X", "x", "not "), "property 'X: x': not an expression: 'not '"),
        (always("X", "x", "abs(wrong) < 3"), "there is no function 'abs'"),
        (
            always("X", "x", "before.wrong <= wrong"),
            "'before.wrong' is of steps, and this is asked of states; write an",
        ),
        (sometimes("X", "x", "event != 'push'"), "'event' is of steps, and this is asked of states"),
        (eventually("X", "x", "does('bolt')"), r"does\(\) is of steps, and this is asked of states"),
        (edge("X", "x", "not does('blot')"), "there is no effect 'blot'; did you mean 'bolt'"),
        (edge("X", "x", "not assigned('wrng')"), "there is no field 'wrng'; did you mean 'wrong'"),
        (edge("X", "x", "not updated('blaim')"), "there is no update 'blaim'; did you mean 'blame'"),
        (edge("X", "x", "not does(event)"), r"does\(\) takes one name, as a text"),
        (edge("X", "x", "event != 'psuh'"), "event is never 'psuh'; did you mean 'push'"),
        (edge("X", "x", "kind != 'ignoer'"), "kind is never 'ignoer'; did you mean 'ignore'"),
        (edge("X", "x", "event.rigth or True"), "'event.rigth' is no variable; did you mean 'event.right'"),
        (edge("X", "x", "event.right != 'yes'"), "event.right is never the text 'yes'"),
        (always("D3", "somebody gets in", "True"), "two properties are called 'D3: somebody gets in'"),
    ],
)
def test_a_property_that_would_hold_of_everything_is_refused(wrong: Property, said: str) -> None:
    with pytest.raises(TableError, match=said):
        explore(table(), around(properties=(wrong,)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Action(name="x", guard="tires > 0"), "action 'x', its guard: 'tires' is no variable; did you mean 'tries'"),
        (Action(name="x", guard="event.right"), "action 'x', its guard: 'event.right' is no variable"),
        (Action(name="x", guard="tries >"), "action 'x', its guard: not an expression"),
        (Action(name="x", updates={"tries": "tires"}), "action 'x', its update of tries: 'tires' is no variable"),
        (Action(name="x", unlike="pusch"), "action 'x': there is no other action 'pusch' that it could be unlike"),
        (Action(name="x", event=Door), "action 'x': its event <enum 'Door'> is no class with a `name`"),  # type: ignore[arg-type, unused-ignore]
    ],
)
def test_an_action_that_reads_what_there_is_not_is_refused(wrong: Action, said: str) -> None:
    with pytest.raises(TableError, match=said):
        explore(table(), around(actions=(wrong,)))


def test_a_reaction_that_reads_what_there_is_not_is_refused() -> None:
    reactions = {**ENVIRONMENT.reactions, "bolt": {"bolted": "bolded"}}
    with pytest.raises(TableError, match="reaction to bolt, its update of bolted: 'bolded' is no variable"):
        explore(table(), around(reactions=reactions))


def test_a_payload_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(TableError, match=r"the payload right=\[True, False\] is none; give .* or a tuple"):
        Action(name="x", event=Code, payload={"right": [True, False]})


@pytest.mark.parametrize("name", ["s", "emit", "state", "class", "the one", "min"])
def test_a_variable_is_called_nothing_that_means_something_else(name: str) -> None:
    with pytest.raises(TableError, match=f"a variable cannot be called '{name}'"):
        flag(name)


def test_a_variable_has_few_values() -> None:
    with pytest.raises(TableError, match="1000000000 is more than an exploration tells apart"):
        count("bytes", 1_000_000_000)


def test_a_variable_that_would_be_less_than_zero_is_shown_on_the_way_there() -> None:
    spend = Action(name="spend", updates={"tries": "tries - 1"})
    report = explore(table(), around(actions=(spend,)), coverage=False)
    assert report.verdict == "illegal"
    assert report.counterexample is not None
    assert "tries is to be less here; let a guard ask for enough of it" in str(report.counterexample)
    assert len(report.counterexample.steps) == 1 + 4
    assert report.counterexample.steps[-1].action == "spend"
    assert explore(table(), around(actions=(attrs.evolve(spend, guard="tries > 0"),)), coverage=False).verdict == "ok"


@pytest.mark.parametrize("value", ["tries - 0", "tries or bolted", "max(tries, 1)", "tries + tries"])
def test_a_variable_never_runs_into_its_neighbour(value: str) -> None:
    """A count of three is written to a flag: it is kept as the flag's greatest value, and the next flag stays."""
    variables = (flag("small"), flag("next"), *ENVIRONMENT.variables)
    copy = Action(name="copy", updates={"small": value})
    untouched = always("X", "the next flag stays", "not next")
    report = explore(table(), around(actions=(copy,), properties=(untouched,), variables=variables), coverage=False)
    assert report.verdict == "ok", report.counterexample


def test_a_row_that_refuses_changes_nothing() -> None:
    refused = attrs.evolve(ROWS[3], id="locked.push", source=Door.LOCKED, kind=RowKind.REFUSE)
    hostile = Action(name="push at once", event=Push, guard="state == Door.LOCKED", hostile=True)
    with pytest.raises(TableError, match=r"locked\.push: it refuses, so nothing changes; take its target"):
        explore(table((*ROWS, refused)), around(actions=(hostile,)))
    explore(table((*ROWS, attrs.evolve(refused, target=None))), around(actions=(hostile,))).assert_ok()


def test_there_must_be_a_state_to_begin_in() -> None:
    with pytest.raises(TableError, match="door has no state to begin in"):
        explore(attrs.evolve(table(), beginning="wrong == 1"), ENVIRONMENT)
    with pytest.raises(TableError, match="the beginning of door: 'wrnog' is no variable"):
        explore(attrs.evolve(table(), beginning="wrnog == 0"), ENVIRONMENT)


def test_a_beginning_may_name_members() -> None:
    explore(attrs.evolve(table(), beginning="state == Door.LOCKED"), ENVIRONMENT).assert_ok()


def test_a_bound_is_a_value_of_a_variable() -> None:
    with pytest.raises(ConfigurationError, match="the bound tries=9 is not possible: it must be 0 to 3"):
        explore(table(), ENVIRONMENT, Bounds(values={"tries": 9}))


def test_states_are_those_of_the_table() -> None:
    ajar: Any = "ajar"
    with pytest.raises(TableError, match="`timed`: 'ajar' is no state of door"):
        explore(attrs.evolve(table(), timed=(ajar,)), ENVIRONMENT)
    with pytest.raises(TableError, match="table door: `initial` is 'ajar'; it must be a member"):
        attrs.evolve(table(), initial=ajar)


def test_an_error_in_an_update_names_the_row() -> None:
    changed = attrs.evolve(table(), updates={**table().updates, "blame": (("wrong", "wrong +"),)})
    with pytest.raises(TableError, match=r"locked\.code\.wrong, not an expression: 'wrong \+'"):
        explore(changed, ENVIRONMENT)
