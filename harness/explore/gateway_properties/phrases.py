"""What the properties of the shipped table are written with: which states, which event, of which connection."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from gatewright.spec import events
from gatewright.spec.states import HEARTBEAT_STATES, SOCKET_STATES, STATES, State


def within(states: Iterable[Enum], name: str = "state") -> str:
    """The state, or what `name` says, is one of these."""
    return f"{name} in ({''.join(f'State.{state.name}, ' for state in states)})"


def names(classes: Iterable[type[events.Event]]) -> str:
    """The names of events, to look for one in."""
    return f"({''.join(f'{cls.name!r}, ' for cls in classes)})"


LIVE: Final = (State.AWAITING_HELLO, *HEARTBEAT_STATES)
OVER: Final = (State.STOPPED, State.FAILED)
LEAVING: Final = (State.STALLED, State.DRAINING)
TIMED: Final = tuple(state for state, spec in STATES.items() if spec.deadline is not None)
CAPPED: Final = tuple(state for state, spec in STATES.items() if spec.cap is not None)
CONNECTION_EVENTS: Final = names(
    event for event in (*events.OUTCOMES, *events.MESSAGES) if issubclass(event, events.ConnectionEvent)
)
CURRENT: Final = f"({within(SOCKET_STATES, 'before.state')} and event.stale == 0)"
"""The event belongs to the socket that there is."""
_HERE: Final = f"(event not in {CONNECTION_EVENTS} or {CURRENT})"


def on(name: str, *, states: Iterable[Enum] | None = None, also: str = "") -> str:
    """The event is `name`, of the current connection, in one of these states."""
    where = "" if states is None else f" and {within(states, 'before.state')}"
    return f"(event == {name!r} and {_HERE}{where}{f' and {also}' if also else ''})"


def implies(condition: str, then: str) -> str:
    """Wherever the condition holds, the rest does."""
    return f"not {condition} or ({then})"


FAILED_RESUME: Final = f"({within((State.RESUMING,), 'before.state')} and state != State.RESUMING)"
HELLO_STALL: Final = f"({within((State.AWAITING_HELLO,), 'before.state')} and event == 'deadline_passed')"
