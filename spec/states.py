"""Every phase of a shard's life, as a state; what is true in it, how long it may last, which timers it may hold.

Names are public: they appear in journals, metrics and drawings, so they are kept. Deadlines are expressions of the
table's small language (:mod:`gatewright.spec.expressions`) in seconds from the entry of the state; traffic does not
extend them, with the re-arming rows of the table as the only exceptions, which `cap` bounds.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs


class State(enum.StrEnum):
    """The fifteen states of a shard."""

    IDLE = "idle"
    REGISTERING = "registering"
    FETCHING_METADATA = "fetching_metadata"
    CONNECTING = "connecting"
    AWAITING_HELLO = "awaiting_hello"
    AWAITING_IDENTIFY_SLOT = "awaiting_identify_slot"
    IDENTIFIED = "identified"
    RESUMING = "resuming"
    READY = "ready"
    STALLED = "stalled"
    DRAINING = "draining"
    BACKING_OFF = "backing_off"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class StateSpec:
    """What holds in a state.

    `deadline` and `cap` are expressions (seconds from entry) or ``None``: a state without a deadline is steady.
    `heartbeats` tells that the heartbeat timer may be armed in it. `socket` tells that a socket may exist in it.
    """

    meaning: str
    deadline: str | None = None
    cap: str | None = None
    heartbeats: bool = False
    socket: bool = False
    absorbing: bool = False


STATES: Final[Mapping[State, StateSpec]] = MappingProxyType(
    {
        State.IDLE: StateSpec(meaning="Nothing is bound and there is no socket."),
        State.REGISTERING: StateSpec(
            meaning="The client is bound; registration effects are being applied, exactly once.",
            deadline="settings.registering_timeout",
        ),
        State.FETCHING_METADATA: StateSpec(
            meaning="GET /gateway/bot is in flight; transient errors retry inside the state.",
            deadline="settings.metadata_timeout",
        ),
        State.CONNECTING: StateSpec(
            meaning="TCP, TLS and the upgrade are in flight for this generation.",
            deadline="settings.connect_timeout",
            socket=True,
        ),
        State.AWAITING_HELLO: StateSpec(
            meaning="The socket is open; HELLO is awaited before anything of ours is sent.",
            deadline="settings.hello_timeout",
            socket=True,
        ),
        State.AWAITING_IDENTIFY_SLOT: StateSpec(
            meaning="HELLO was seen, heartbeats run, and the identify gate has been asked for a slot.",
            deadline="settings.slot_timeout",
            cap="settings.slot_wait_max",
            heartbeats=True,
            socket=True,
        ),
        State.IDENTIFIED: StateSpec(
            meaning="IDENTIFY was sent on this generation; READY is awaited.",
            deadline=(
                "settings.strict_ready_timeout if settings.strict_startup and not been_ready "
                "else settings.ready_timeout"
            ),
            cap="settings.ready_wait_max",
            heartbeats=True,
            socket=True,
        ),
        State.RESUMING: StateSpec(
            meaning="RESUME was sent on this generation; the replay arrives and RESUMED is awaited.",
            deadline="settings.resume_timeout",
            cap="settings.resume_wait_max",
            heartbeats=True,
            socket=True,
        ),
        State.READY: StateSpec(
            meaning="A live session; dispatches flow and heartbeats watch over it.",
            heartbeats=True,
            socket=True,
        ),
        State.STALLED: StateSpec(
            meaning="A deadline or a heartbeat ACK was missed; the peer is dark and the old socket is being closed.",
            deadline="settings.close_timeout",
            socket=True,
        ),
        State.DRAINING: StateSpec(
            meaning="We chose to leave; what was set up is being taken down, and `then` says what comes next.",
            deadline=(
                "settings.undo_timeout if not registered else "
                "settings.final_close_timeout if then == Then.STOP else settings.close_timeout"
            ),
            socket=True,
        ),
        State.BACKING_OFF: StateSpec(
            meaning="No socket; waiting before the next attempt, for the cause that it carries.",
            deadline=(
                "retry_delay(cause, attempts, proven, identifies, identified_at, session, not_before, metadata, now, "
                "roll, settings)"
            ),
        ),
        State.SUSPENDED: StateSpec(meaning="No socket; the session is kept and can be exported."),
        State.STOPPED: StateSpec(meaning="Over, by request.", absorbing=True),
        State.FAILED: StateSpec(meaning="Over, for the reason that it carries.", absorbing=True),
    }
)

HEARTBEAT_STATES: Final = tuple(state for state, spec in STATES.items() if spec.heartbeats)
"""The heartbeat region: from HELLO until the socket is left."""

SOCKET_STATES: Final = tuple(state for state, spec in STATES.items() if spec.socket)
"""States in which the current generation may have a socket."""


class Then(enum.StrEnum):
    """What comes after `draining`; a later reason replaces a weaker one, never a stronger one."""

    RETRY = "retry"  # with RESUME when a session is held, else with IDENTIFY
    SUSPEND = "suspend"
    STOP = "stop"
    FAIL = "fail"


class Cause(enum.StrEnum):
    """Why the last connection was left, or the last attempt failed. Carried by `draining` and `backing_off`."""

    DROPPED = "dropped"  # the peer closed, or the transport did, and the session survives
    RECONNECT_REQUESTED = "reconnect_requested"  # opcode 7
    INVALID_SESSION = "invalid_session"  # opcode 9
    SESSION_ENDED = "session_ended"  # a close code that takes the session with it
    RATE_LIMITED = "rate_limited"  # close code 4008
    CONNECT_FAILED = "connect_failed"
    STALLED = "stalled"  # a deadline passed
    ZOMBIE = "zombie"  # a heartbeat had no ACK when the next was due
    WRITE_BLOCKED = "write_blocked"
    READING_PAUSED = "reading_paused"  # the consumer held the reader back for too long
    QUEUE_OVERFLOWED = "queue_overflowed"  # the consumer is too slow, and the queue's policy is to fail
    VIOLATION = "violation"  # the peer broke the protocol
    GATE = "gate"  # no identify slot: the gate is out
    BUDGET = "budget"  # no identify slot: the day's IDENTIFYs are spent, or spaced because few are left
    COMMAND = "command"  # a verb of the user
    REGISTRATION = "registration"


IMMEDIATE_CAUSES: Final = frozenset({Cause.DROPPED, Cause.RECONNECT_REQUESTED, Cause.COMMAND})
"""Causes whose first reconnect waits for nothing (P52)."""
