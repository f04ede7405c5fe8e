"""The alphabet: everything that can happen to a shard, as frozen values with typed payloads.

Four kinds, which decide what an impossible pair of state and event means:

* a *command* comes from the user; where it is not possible it raises to its caller and changes nothing;
* a *message* comes from the peer; none can raise, each pair has a row, at worst one that counts it as unexpected;
* an *outcome* is the driver's answer to an effect; a late one is ignored and counted;
* a *timer* is fed by the core itself, when it is due.

Messages and the outcomes of a connection carry the generation `gen` of the socket that they come from.
"""

from __future__ import annotations

import enum
from typing import ClassVar, Final

import attrs

from gatewright.spec.protocol import CloseKind, close_kind


class EventKind(enum.StrEnum):
    """Where an event comes from."""

    COMMAND = "command"
    MESSAGE = "message"
    OUTCOME = "outcome"
    TIMER = "timer"


@attrs.frozen
class Event:
    """Base of all events. `name` is what journals, matrices and drawings call it."""

    name: ClassVar[str]
    kind: ClassVar[EventKind]


class Command(Event):
    """A request of the user."""

    __slots__ = ()
    kind = EventKind.COMMAND


class ConnectionEvent(Event):
    """Something that belongs to one generation of the socket."""

    __slots__ = ()
    gen: int


# Commands -------------------------------------------------------------------------------------------------------------


@attrs.frozen
class Register(Command):
    """Start the shard: bind `client`, apply the registrations; it connects by itself when its metadata is there."""

    name = "register"
    client: object = attrs.field(default=None, repr=False)


@attrs.frozen
class Connect(Command):
    """Wake a back-off, or leave `suspended`."""

    name = "connect"


@attrs.frozen
class Reconnect(Command):
    """Leave this socket with the session kept, and resume on a new one."""

    name = "reconnect"


@attrs.frozen
class ForceIdentify(Command):
    """Drop the session and begin a new one."""

    name = "force_identify"


@attrs.frozen
class Suspend(Command):
    """Leave the socket, keep the session for later, and stay away until `connect`."""

    name = "suspend"


@attrs.frozen
class Stop(Command):
    """End for good; the session dies with it."""

    name = "stop"


# Outcomes of what is not a connection ---------------------------------------------------------------------------------


class Outcome(Event):
    """The driver's answer to an effect."""

    __slots__ = ()
    kind = EventKind.OUTCOME


@attrs.frozen
class Registered(Outcome):
    """All registrations were applied."""

    name = "registered"


@attrs.frozen
class RegistrationFailed(Outcome):
    """A registration raised; `reason` says which and how, without secrets."""

    name = "registration_failed"
    reason: str = ""


@attrs.frozen
class RegistrationUndone(Outcome):
    """The applied registrations were undone, in reverse order."""

    name = "registration_undone"


class MetadataError(enum.StrEnum):
    """Why a metadata request gave no metadata."""

    TRANSIENT = "transient"  # 429, 5xx, time-outs, network errors
    MALFORMED = "malformed"  # an answer that cannot be used: not JSON, fields missing, a URL that is refused
    FATAL = "fatal"  # 401, 403: the token is dead


@attrs.frozen
class MetadataFetched(Outcome):
    """Request number `request` was answered. The fields are those of :class:`gatewright.spec.session.Metadata`."""

    name = "metadata_fetched"
    request: int
    url: str
    shards: int = 1
    total: int = 1000
    remaining: int = 1000
    reset_after: float = 0.0
    max_concurrency: int = 1


@attrs.frozen
class MetadataFailed(Outcome):
    """Request number `request` failed; `retry_after` is what the server asked for, in seconds."""

    name = "metadata_failed"
    request: int
    error: MetadataError
    reason: str = ""
    retry_after: float = 0.0


# Outcomes of a connection ---------------------------------------------------------------------------------------------


class ConnectionOutcome(ConnectionEvent):
    """The driver's answer to an effect on the socket of a generation."""

    __slots__ = ()
    kind = EventKind.OUTCOME


class ConnectError(enum.StrEnum):
    """Why a connection could not be opened."""

    NETWORK = "network"  # name, route, refused, reset
    TLS = "tls"  # the certificate or the TLS handshake
    REJECTED = "rejected"  # an HTTP status instead of 101
    GARBAGE = "garbage"  # neither: not HTTP, or the end of the stream
    PROXY = "proxy"


@attrs.frozen
class Opened(ConnectionOutcome):
    """The upgrade succeeded; from now on messages of `gen` may arrive."""

    name = "opened"
    gen: int


@attrs.frozen
class ConnectFailed(ConnectionOutcome):
    """The socket of `gen` could not be opened, and nothing of it is left."""

    name = "connect_failed"
    gen: int
    error: ConnectError = ConnectError.NETWORK
    reason: str = ""


def _close_of(closed: Closed) -> CloseKind:
    return close_kind(closed.code)


@attrs.frozen
class Closed(ConnectionOutcome):
    """The peer closed, or the transport ended; nothing of the socket is left.

    `code` is the peer's close code, ``None`` for a drop without a close frame. `close` is what that asks of us.
    """

    name = "closed"
    gen: int
    code: int | None = None
    reason: str = ""
    close: CloseKind = attrs.field(init=False, repr=False, default=attrs.Factory(_close_of, takes_self=True))


@attrs.frozen
class CloseFlushed(ConnectionOutcome):
    """Our close frame has left; the socket is still there."""

    name = "close_flushed"
    gen: int


@attrs.frozen
class Aborted(ConnectionOutcome):
    """The socket was aborted at our wish; nothing of it is left."""

    name = "aborted"
    gen: int


@attrs.frozen
class WriteBlocked(ConnectionOutcome):
    """A write made no end within its limit: the peer does not read. The stream cannot be written any more."""

    name = "write_blocked"
    gen: int


@attrs.frozen
class ReadingPaused(ConnectionOutcome):
    """The consumer's back-pressure stopped the reader."""

    name = "reading_paused"
    gen: int


@attrs.frozen
class ReadingResumed(ConnectionOutcome):
    """The reader runs again."""

    name = "reading_resumed"
    gen: int


@attrs.frozen
class QueueOverflowed(ConnectionOutcome):
    """More dispatches came than may wait for the consumer, and it was asked that this is the end."""

    name = "queue_overflowed"
    gen: int


@attrs.frozen
class SlotQueued(ConnectionOutcome):
    """The identify gate has put us in its queue; `eta` is its estimate of the wait, in seconds."""

    name = "slot_queued"
    gen: int
    eta: float = 0.0


@attrs.frozen
class SlotGranted(ConnectionOutcome):
    """The identify gate lets generation `gen` IDENTIFY now."""

    name = "slot_granted"
    gen: int


class SlotRefusal(enum.StrEnum):
    """Why the gate gives no slot."""

    OUTAGE = "outage"  # the gate itself cannot be reached
    BUDGET = "budget"  # the day's IDENTIFYs are spent


@attrs.frozen
class SlotUnavailable(ConnectionOutcome):
    """The gate gives no slot for `retry_after` seconds."""

    name = "slot_unavailable"
    gen: int
    refusal: SlotRefusal = SlotRefusal.OUTAGE
    retry_after: float = 0.0


# Messages of the peer -------------------------------------------------------------------------------------------------


class Message(ConnectionEvent):
    """Something that the peer sent on the socket of a generation."""

    __slots__ = ()
    kind = EventKind.MESSAGE


@attrs.frozen
class Hello(Message):
    """Opcode 10; `interval` is the heartbeat interval in seconds, bounded at the edge to 0.1 s … 600 s."""

    name = "hello"
    gen: int
    interval: float


@attrs.frozen
class HeartbeatRequested(Message):
    """Opcode 1: send a heartbeat now."""

    name = "heartbeat_requested"
    gen: int


@attrs.frozen
class HeartbeatAcked(Message):
    """Opcode 11."""

    name = "heartbeat_acked"
    gen: int


@attrs.frozen
class ReconnectRequested(Message):
    """Opcode 7."""

    name = "reconnect_requested"
    gen: int


@attrs.frozen
class SessionInvalidated(Message):
    """Opcode 9; `resumable` is its payload."""

    name = "session_invalidated"
    gen: int
    resumable: bool


@attrs.frozen
class Ready(Message):
    """The dispatch READY, checked at the edge: a session identity, and a resume URL that can be used or ``None``.

    `created` is Unix time in seconds, read by the driver.
    """

    name = "ready"
    gen: int
    seq: int
    session_id: str
    resume_url: str | None = None
    bot_id: str = ""
    created: float = 0.0


@attrs.frozen
class Resumed(Message):
    """The dispatch RESUMED: the replay is complete."""

    name = "resumed"
    gen: int
    seq: int


@attrs.frozen
class Dispatched(Message):
    """Any other dispatch (opcode 0); `type` is its event name."""

    name = "dispatched"
    gen: int
    seq: int
    type: str = ""


@attrs.frozen
class UnknownMessage(Message):
    """An opcode that the gateway does not document, or one that only a client may send. Harmless (P78)."""

    name = "unknown_message"
    gen: int
    op: int = -1


class ViolationKind(enum.StrEnum):
    """How the peer broke the protocol so that the connection cannot be used any more."""

    NOT_JSON = "not_json"
    BAD_ENVELOPE = "bad_envelope"
    BAD_PAYLOAD = "bad_payload"
    CORRUPT_COMPRESSION = "corrupt_compression"
    TOO_LARGE = "too_large"


@attrs.frozen
class ProtocolViolation(Message):
    """The peer sent what cannot be understood; `detail` says what, without payload text."""

    name = "protocol_violation"
    gen: int
    violation: ViolationKind
    detail: str = ""


# Timers ---------------------------------------------------------------------------------------------------------------


class Timer(Event):
    """Fed by the core, when due."""

    __slots__ = ()
    kind = EventKind.TIMER


@attrs.frozen
class DeadlinePassed(Timer):
    """The state has lasted as long as it may."""

    name = "deadline_passed"


@attrs.frozen
class HeartbeatDue(Timer):
    """It is time for the next scheduled heartbeat."""

    name = "heartbeat_due"


COMMANDS: Final[tuple[type[Event], ...]] = (Register, Connect, Reconnect, ForceIdentify, Suspend, Stop)
OUTCOMES: Final[tuple[type[Event], ...]] = (
    Registered,
    RegistrationFailed,
    RegistrationUndone,
    MetadataFetched,
    MetadataFailed,
    Opened,
    ConnectFailed,
    Closed,
    CloseFlushed,
    Aborted,
    WriteBlocked,
    ReadingPaused,
    ReadingResumed,
    QueueOverflowed,
    SlotQueued,
    SlotGranted,
    SlotUnavailable,
)
MESSAGES: Final[tuple[type[Event], ...]] = (
    Hello,
    HeartbeatRequested,
    HeartbeatAcked,
    ReconnectRequested,
    SessionInvalidated,
    Ready,
    Resumed,
    Dispatched,
    UnknownMessage,
    ProtocolViolation,
)
TIMERS: Final[tuple[type[Event], ...]] = (DeadlinePassed, HeartbeatDue)
EVENTS: Final = COMMANDS + OUTCOMES + MESSAGES + TIMERS
"""The whole alphabet, in the order in which documents list it."""
