"""`transitions` is caged: each of its traps is closed, and the trap is shown to be there."""

import logging
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import transitions
import trio

from gatewright.fsm import machine as module
from gatewright.fsm.core import shipped_machine
from gatewright.fsm.errors import Refusal
from gatewright.fsm.machine import TableMachine
from gatewright.spec.context import Context
from gatewright.spec.errors import TableError
from gatewright.spec.events import COMMANDS, EVENTS, Event, Register, Stop
from gatewright.spec.guards import Guard
from gatewright.spec.rows import Row
from gatewright.spec.session import Session
from gatewright.spec.states import STATES, State
from gatewright.spec.table import TABLE


def inner(table: TableMachine | None = None) -> transitions.Machine:
    """The machine in the cage."""
    return (shipped_machine() if table is None else table)._machine


def table_of(**fields: Any) -> tuple[Row, ...]:
    """One row, to build a machine from."""
    return (attrs.evolve(Row(id="row", source=State.IDLE, event=Stop, why="A row.", ref="I06"), **fields),)


Predicate = Callable[[Context, Event], bool]


def with_guard(monkeypatch: pytest.MonkeyPatch, guard: Predicate) -> TableMachine:
    """A machine with one guarded row, idle → stopped, whose guard is a function of the test's."""

    def compile_predicate(_: str) -> Predicate:
        return guard

    monkeypatch.setattr(module, "compile_predicate", compile_predicate)
    return TableMachine(table_of(guard="registered", target=State.STOPPED))


# -- models ------------------------------------------------------------------------------------------------------------


def test_no_model_is_added_to_the_machine() -> None:
    walked = Context()
    shipped_machine().step(walked, Register())
    assert inner().models == []


def test_a_context_gets_no_methods_from_the_machine() -> None:
    context = Context()
    shipped_machine().step(context, Register())
    names = {name for name in dir(context) if not name.startswith("__")}
    assert names == {field.name for field in attrs.fields(Context)}


def test_equal_contexts_are_run_apart() -> None:
    one, other = Context(), Context()
    assert one == other  # transitions compares models like this, and would skip the second
    shipped_machine().step(one, Register())
    assert (one.state, other.state) == (State.REGISTERING, State.IDLE)


def test_the_trap_is_there_of_equal_models_the_second_is_skipped() -> None:
    @attrs.define(slots=False)
    class Model:
        number: int = 0

    one, other = Model(), Model()
    rows = [["go", "a", "b"]]
    caught = transitions.Machine([one, other], states=["a", "b"], initial="a", transitions=rows)
    assert len(caught.models) == 1


# -- automatic transitions and names -----------------------------------------------------------------------------------


def test_there_are_no_transitions_but_those_of_the_table() -> None:
    assert set(inner().events) == {event.name for event in EVENTS}
    count = sum(len(found) for event in inner().events.values() for found in event.transitions.values())
    assert count == len(TABLE)


def test_the_trap_is_there_a_machine_makes_transitions_of_its_own() -> None:
    assert "to_b" in transitions.Machine(states=["a", "b"], initial="a").events


def test_a_step_says_nothing_in_a_log_that_belongs_to_the_bot(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        shipped_machine().step(Context(), Register())
        assert caplog.records == []


def test_the_trap_is_there_a_machine_tells_each_callback_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    machine = transitions.Machine(states=["a", "b"], initial="a", transitions=[["go", "a", "b"]])
    with caplog.at_level(logging.INFO):
        machine.trigger("go")
    assert [record.name for record in caplog.records] == ["transitions.core"] * 2


def test_states_are_made_anew_for_each_machine() -> None:
    one, other = inner(TableMachine(TABLE)), inner(TableMachine(TABLE))
    assert len(one.states) == len(STATES)
    assert {id(state) for state in one.states.values()}.isdisjoint(id(state) for state in other.states.values())


def test_building_a_machine_leaves_the_declared_states_alone() -> None:
    before = dict(STATES)
    TableMachine(TABLE)
    assert dict(STATES) == before


def test_an_end_is_final_for_transitions_as_well() -> None:
    final = {state for state in STATES if inner().get_state(state).final}
    assert final == {State.STOPPED, State.FAILED}


# -- guards ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "context"),
    [
        ("attempts", Context(attempts=2)),
        ("session", Context(session=Session(id="held", resume_url=None, seq=1))),
        ("registered or metadata or 'yes'", Context()),
    ],
)
def test_a_guard_that_gives_something_true_holds(expression: str, context: Context) -> None:
    guards = {"registered": Guard("registered", expression, "registrations were applied")}
    TableMachine(table_of(guard="registered", target=State.STOPPED), guards=guards).step(context, Stop())
    assert context.state is State.STOPPED


def test_a_state_can_be_built_without_its_deadline() -> None:
    states = {**STATES, State.STALLED: attrs.evolve(STATES[State.STALLED], deadline=None)}
    for machine, armed in (
        (TableMachine(table_of(target=State.STALLED)), True),
        (TableMachine(table_of(target=State.STALLED), states=states), False),
    ):
        context = Context()
        machine.step(context, Stop())
        assert (context.deadline is not None) is armed


def test_the_trap_is_there_a_guard_must_be_equal_to_true() -> None:
    rows: list[dict[str, Any]] = [{"trigger": "go", "source": "a", "dest": "b", "conditions": lambda: "yes"}]
    model: Any = transitions.Machine(states=["a", "b"], initial="a", transitions=rows)
    assert model.go() is False


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, trio.Cancelled, RuntimeError])
def test_what_a_guard_raises_comes_out_and_changes_nothing(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def guard(c: Context, e: Event) -> bool:
        raise error.__new__(error)

    caged, context = with_guard(monkeypatch, guard), Context()
    with pytest.raises(error):
        caged.step(context, Stop())
    assert context == Context()


def test_the_trap_is_there_an_exception_handler_swallows_an_interrupt() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    rows: list[dict[str, Any]] = [{"trigger": "go", "source": "a", "dest": "b", "conditions": interrupt}]
    model: Any = transitions.Machine(
        states=["a", "b"], initial="a", transitions=rows, on_exception=lambda: None, send_event=False
    )
    model.go()


def test_nothing_that_could_swallow_an_exception_is_configured() -> None:
    assert inner().on_exception == []
    assert inner().finalize_event == []
    assert inner().ignore_invalid_triggers in {None, False}
    assert inner().has_queue is False


def test_a_cell_whose_guards_are_all_false_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(c: Context, e: Event) -> bool:
        return False

    caged = with_guard(monkeypatch, never)
    with pytest.raises(TableError, match=r"idle\.stop: every guard was false"):
        caged.step(Context(), Stop())


# -- construction ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["source", "target"])
def test_a_state_that_is_not_declared_is_refused_when_the_machine_is_built(field: str) -> None:
    with pytest.raises((TableError, ValueError)):
        TableMachine(table_of(**{field: "nowhere"}))


def test_the_trap_is_there_an_undeclared_target_is_noticed_on_the_way() -> None:
    rows: list[dict[str, Any]] = [{"trigger": "go", "source": "a", "dest": "nowhere"}]
    transitions.Machine(states=["a"], initial="a", transitions=rows)  # no word


def test_an_update_that_does_not_exist_is_refused_when_the_machine_is_built() -> None:
    with pytest.raises(KeyError):
        TableMachine(table_of(updates=("no_such_update",)))


def test_a_guard_that_does_not_exist_is_refused_when_the_machine_is_built() -> None:
    with pytest.raises(TableError, match="unknown guard 'no_such_guard'"):
        TableMachine(table_of(guard="no_such_guard"))


# -- illegal events ----------------------------------------------------------------------------------------------------


def test_an_event_without_a_row_in_this_state_is_refused_and_not_ignored() -> None:
    # The machine knows the event: another state has a row for it.
    with pytest.raises(Refusal):
        TableMachine(table_of()).step(Context(state=State.READY), Stop())


def test_an_event_that_no_row_knows_is_refused_and_not_ignored() -> None:
    with pytest.raises(Refusal):
        TableMachine(table_of()).step(Context(), Register())


def test_the_cage_holds_the_plain_machine_and_none_of_its_extensions() -> None:
    assert type(inner()).__bases__ == (transitions.Machine,)


def test_every_command_goes_through_the_cage() -> None:
    assert {command.name for command in COMMANDS} <= set(inner().events)
