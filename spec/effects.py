"""What the outside must do after a transition, as frozen values. The core returns them; the driver performs them.

Each effect names the events that answer it and, where it is awaited, the state whose deadline covers a driver that
stays silent. A field's value is an expression over the context and the event (:mod:`gatewright.spec.expressions`).
The token is not among them: the driver adds it where a payload needs it (I22).
"""

from __future__ import annotations

from typing import ClassVar, Final, TypeVar, cast

import attrs

from gatewright.spec import events
from gatewright.spec.states import HEARTBEAT_STATES, State

_T = TypeVar("_T")


def _value(expression: str) -> object:
    return attrs.field(metadata={"expression": expression})


def value_of(expression: str, _type: type[_T]) -> _T:
    """An effect's field that takes the value of `expression` when the effect is made."""
    return cast("_T", _value(expression))


@attrs.frozen
class Effect:
    """Base of all effects.

    `answers` are the events with which the driver may answer. `covered_by` are the states whose deadline (or heartbeat
    timer) bounds the wait for the answer; empty when nothing waits for one.
    """

    name: ClassVar[str]
    answers: ClassVar[tuple[type[events.Event], ...]] = ()
    covered_by: ClassVar[tuple[State, ...]] = ()


@attrs.frozen
class ApplyRegistrations(Effect):
    """Apply every registration of the client, in order, unless another shard of the same client did."""

    name = "apply_registrations"
    answers = (events.Registered, events.RegistrationFailed)
    covered_by = (State.REGISTERING,)


@attrs.frozen
class UndoRegistrations(Effect):
    """Cancel what is being applied and undo what was, in reverse order."""

    name = "undo_registrations"
    answers = (events.RegistrationUndone,)
    covered_by = (State.DRAINING,)


@attrs.frozen
class FetchMetadata(Effect):
    """Ask for metadata after `delay` seconds; the answer carries `request`."""

    name = "fetch_metadata"
    answers = (events.MetadataFetched, events.MetadataFailed)
    covered_by = (State.FETCHING_METADATA,)
    request: int = value_of("request", int)
    delay: float = value_of("fetch_delay", float)


@attrs.frozen
class CancelMetadata(Effect):
    """Forget the request in flight."""

    name = "cancel_metadata"
    request: int = value_of("request", int)


@attrs.frozen
class OpenSocket(Effect):
    """Open a socket for `gen` at `url`, once the socket before it is gone."""

    name = "open_socket"
    answers = (events.Opened, events.ConnectFailed)
    covered_by = (State.CONNECTING,)
    gen: int = value_of("gen", int)
    url: str = value_of("connection_url(session, metadata, settings)", str)
    resume: bool = value_of("session is not None", bool)


@attrs.frozen
class CloseKeepingSession(Effect):
    """Send a close frame with a code that keeps the session."""

    name = "close_keeping_session"
    answers = (events.CloseFlushed, events.Closed)
    covered_by = (State.STALLED, State.DRAINING)
    gen: int = value_of("gen", int)


@attrs.frozen
class CloseEndingSession(Effect):
    """Send a close frame with 1000, which ends the session, and wait for the peer's."""

    name = "close_ending_session"
    answers = (events.Closed,)
    covered_by = (State.DRAINING,)
    gen: int = value_of("gen", int)


@attrs.frozen
class AbortSocket(Effect):
    """Leave the socket without a word; idempotent. It may have ended by itself in the same instant."""

    name = "abort_socket"
    answers = (events.Aborted, events.Closed, events.ConnectFailed)
    covered_by = (State.STALLED, State.DRAINING)
    gen: int = value_of("gen", int)


@attrs.frozen
class RequestSlot(Effect):
    """Ask the identify gate for a slot for `gen`."""

    name = "request_slot"
    answers = (events.SlotQueued, events.SlotGranted, events.SlotUnavailable)
    covered_by = (State.AWAITING_IDENTIFY_SLOT,)
    gen: int = value_of("gen", int)


@attrs.frozen
class WithdrawSlot(Effect):
    """Take back the request for a slot."""

    name = "withdraw_slot"
    gen: int = value_of("gen", int)


@attrs.frozen
class ReturnSlot(Effect):
    """Give back a slot that was granted too late for `gen`."""

    name = "return_slot"
    gen: int = value_of("event.gen", int)


@attrs.frozen
class SendIdentify(Effect):
    """Send IDENTIFY on the socket of `gen`, in this very step."""

    name = "send_identify"
    answers = (events.Ready, events.SessionInvalidated, events.Closed, events.WriteBlocked)
    covered_by = (State.IDENTIFIED,)
    gen: int = value_of("gen", int)


@attrs.frozen
class SendResume(Effect):
    """Send RESUME on the socket of `gen`."""

    name = "send_resume"
    answers = (events.Resumed, events.SessionInvalidated, events.Closed, events.WriteBlocked)
    covered_by = (State.RESUMING,)
    gen: int = value_of("gen", int)
    session_id: str = value_of("session.id", str)
    seq: int = value_of("received", int)


@attrs.frozen
class SendHeartbeat(Effect):
    """Send a heartbeat with the received sequence, ahead of everything that is queued."""

    name = "send_heartbeat"
    answers = (events.HeartbeatAcked, events.WriteBlocked)
    covered_by = HEARTBEAT_STATES
    gen: int = value_of("gen", int)
    seq: int | None = value_of("received", cast("type[int | None]", int))


@attrs.frozen
class Deliver(Effect):
    """Hand the dispatch that was just fed to the consumer, in order."""

    name = "deliver"


EFFECTS: Final[tuple[type[Effect], ...]] = (
    ApplyRegistrations,
    UndoRegistrations,
    FetchMetadata,
    CancelMetadata,
    OpenSocket,
    CloseKeepingSession,
    CloseEndingSession,
    AbortSocket,
    RequestSlot,
    WithdrawSlot,
    ReturnSlot,
    SendIdentify,
    SendResume,
    SendHeartbeat,
    Deliver,
)
