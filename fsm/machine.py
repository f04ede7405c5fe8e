"""The table run by `transitions`: the reference runtime.

`transitions` is caged. Models are never added to the machine (it binds by name, compares models with ``==`` and skips
clashes without a word): an event is triggered on the context directly. There are no automatic transitions, no queue,
no ``on_exception`` and no ``finalize_event`` (they swallow ``BaseException`` and with it cancellation), guards return
real booleans (it compares with ``== True``), states are fresh objects, and every source, target and guard is checked
when the machine is built, which `transitions` itself leaves to the first trigger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

import attrs
from transitions import Event as TriggerEvent
from transitions import EventData, Machine, Transition
from transitions import State as MachineState

from gatewright.fsm.errors import Refusal
from gatewright.fsm.runtime import Step
from gatewright.spec.context import Context
from gatewright.spec.effects import Effect
from gatewright.spec.errors import TableError
from gatewright.spec.events import Event
from gatewright.spec.expressions import compile_predicate, compile_value
from gatewright.spec.guards import GUARDS, Guard, expression_of
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import STATES, State, StateSpec
from gatewright.spec.updates import UPDATES

_Value = Callable[[Context, Event], object]


class _RowTransition(Transition):
    """A transition that knows its row, with the row's expressions compiled one by one."""

    def __init__(self, source: str, dest: str | None, *args: Any, row: Row, **kwargs: Any) -> None:
        # Typed for text only, but None is how transitions spells an internal transition.
        super().__init__(source, cast("str", dest), *args, **kwargs)
        self.row = row
        self.assigns: Final = [
            (field, compile_value(text)) for name in row.updates for field, text in UPDATES[name].assigns
        ]
        self.effects: Final = [_effect_builder(effect) for effect in row.effects]


class _EnteredState(MachineState):
    """A state whose entry arms its timers."""

    def __init__(self, state: State, spec: StateSpec) -> None:
        super().__init__(cast("Any", state), final=spec.absorbing)
        self.heartbeats = spec.heartbeats
        self.deadline: _Value | None = None if spec.deadline is None else compile_value(spec.deadline)
        self.cap: _Value | None = None if spec.cap is None else compile_value(spec.cap)

    def enter(self, event_data: EventData) -> None:
        """Arms the deadline; outside the heartbeat region, disarms the heartbeat."""
        context, event, _ = _parts(event_data)
        context.entered_at = context.now
        context.deadline = None if self.deadline is None else context.now + cast("float", self.deadline(context, event))
        context.cap = None if self.cap is None else context.now + cast("float", self.cap(context, event))
        if not self.heartbeats:
            context.beat_at = None

    def exit(self, event_data: EventData) -> None:
        """Nothing is bound to leaving a state; `transitions` would say at INFO that nothing was done."""


class _StrictEvent(TriggerEvent):
    """A trigger that raises where the table has no row, and where a row refuses."""

    def _is_valid_source(self, state: MachineState) -> bool:
        if state.name not in self.transitions:
            raise Refusal(None)
        return True


class _CagedMachine(Machine):
    transition_cls = _RowTransition
    event_cls = _StrictEvent

    def callbacks(self, funcs: Iterable[str | Callable[..., bool | None]], event_data: EventData) -> None:
        """Calls the hooks. `transitions` would log each at INFO, into the log of a bot that never heard of it."""
        for function in funcs:
            self.callback(function, event_data)


def _parts(event_data: EventData) -> tuple[Context, Event, list[Step]]:
    event, out = event_data.args
    return cast("Context", event_data.model), cast("Event", event), cast("list[Step]", out)


def _effect_builder(effect: type[Effect]) -> Callable[[Context, Event], Effect]:
    values = [compile_value(field.metadata["expression"]) for field in attrs.fields(effect)]
    make = cast("Callable[..., Effect]", effect)
    return lambda c, e: make(*(value(c, e) for value in values))


def _condition(row: Row, guards: Mapping[str, Guard]) -> Callable[[EventData], bool] | None:
    if row.guard is None:
        return None
    predicate = compile_predicate(expression_of(row.guard, guards))

    def holds(event_data: EventData) -> bool:
        context, event, _ = _parts(event_data)
        return predicate(context, event)

    return holds


def _update(event_data: EventData) -> None:
    """Runs before the state changes, so that updates see the state that is left."""
    transition = cast("_RowTransition", event_data.transition)
    if transition.row.kind is RowKind.REFUSE:
        raise Refusal(transition.row)
    context, event, _ = _parts(event_data)
    for field, value in transition.assigns:
        setattr(context, field, value(context, event))


def _emit(event_data: EventData) -> None:
    """The one hook that makes effects."""
    transition = cast("_RowTransition", event_data.transition)
    context, event, out = _parts(event_data)
    out.append((transition.row, tuple(make(context, event) for make in transition.effects)))


class TableMachine:
    """Runs a table with `transitions`. One instance serves any number of contexts: it keeps no state of its own.

    Args:
        rows: the table. The lint of the shipped one is its module's; here anything that can be built runs.
        guards: what the names in the rows' guards stand for.
        states: what entering a state arms. Others than the shipped guards and states are for tables that are wrong on
            purpose (:mod:`gatewright.harness.grades`).

    Raises:
        TableError: when a row names a state that is not declared.
    """

    __slots__ = ("_events", "_machine")

    def __init__(
        self,
        rows: tuple[Row, ...],
        *,
        guards: Mapping[str, Guard] = GUARDS,
        states: Mapping[State, StateSpec] = STATES,
    ) -> None:
        machine = _CagedMachine(
            model=None,
            states=[_EnteredState(state, spec) for state, spec in states.items()],
            initial=State.IDLE,
            auto_transitions=False,
            send_event=True,
            before_state_change=_update,
            after_state_change=_emit,
        )
        for row in rows:
            machine.add_transition(row.event.name, row.source, row.target, conditions=_condition(row, guards), row=row)
        names = set(machine.states)
        for event in machine.events.values():
            for source, transitions in event.transitions.items():
                for transition in transitions:
                    if source not in names or not (transition.dest is None or transition.dest in names):
                        raise TableError(f"{event.name}: {source} -> {transition.dest} names an undeclared state")
        self._machine = machine
        self._events = dict(machine.events)

    def step(self, context: Context, event: Event) -> Step:
        """Takes the one row for `event`; see :class:`gatewright.fsm.runtime.Runtime`."""
        trigger = self._events.get(event.name)
        if trigger is None:
            raise Refusal(None)
        out: list[Step] = []
        trigger.trigger(context, event, out)
        if not out:
            raise TableError(f"{context.state}.{event.name}: every guard was false; lint refuses such a table")
        return out[0]
