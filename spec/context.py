"""What a shard remembers: the one place in which its state and everything that guards read is kept.

Only the runtimes of :mod:`gatewright.fsm` write it, by the updates of the row that is taken. Times are seconds on the
clock that feeds the core (monotonic).
"""

from __future__ import annotations

import attrs

from gatewright.spec.session import Metadata, Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import Cause, State, Then


@attrs.frozen
class Failure:
    """Why a shard failed.

    `kind` is one of ``close_code``, ``metadata``, ``registration``, ``attempts``; `code` the close code, if one was
    the reason; `reason` a sentence without secrets.
    """

    kind: str
    code: int | None = None
    reason: str = ""


@attrs.define(kw_only=True)
class Context:
    """The memory of one shard. Fields that guards read have a finite domain in :mod:`gatewright.spec.domains`."""

    settings: Settings = attrs.field(factory=Settings)
    state: State = State.IDLE
    now: float = 0.0
    roll: float = 0.5  # uniform in [0, 1), drawn anew by the core after each transition that used it
    entered_at: float = 0.0

    # Timers: armed when not None, and only in states that declare them (I13).
    deadline: float | None = None
    cap: float | None = None  # how far re-arming may move the deadline
    beat_at: float | None = None

    # Registration and metadata.
    client: object = attrs.field(default=None, repr=False)
    registered: bool = False
    request: int = 0  # number of the last metadata request; answers to older ones are late
    fetch_errors: int = 0
    fetch_delay: float = 0.0
    metadata: Metadata | None = None
    fallback: bool = False  # the main URL in use is the fallback, because metadata was not to be had

    # The connection.
    gen: int = 0
    connect_failures: int = 0  # in a row, at the URL in use
    stalls: int = 0  # HELLO stalls in a row (I11)
    stalled_in: State | None = None

    # The session, and what is known of it.
    session: Session | None = None
    received: int | None = None  # highest sequence received in this session (P15, P42)
    progressed: bool = False  # this RESUME moved the sequence
    failed_resumes: int = 0
    been_ready: bool = False
    not_ready_since: float | None = 0.0  # None from the proof of a session until `ready` is left

    # The heartbeat region.
    interval: float | None = None
    acked: bool = True  # the last scheduled heartbeat has its ACK
    proving: bool = False  # the outstanding scheduled heartbeat was issued in `ready`
    beat_sent_at: float | None = None
    acked_at: float | None = None
    latency: float | None = None
    paused: bool = False  # the consumer holds the reader back
    paused_since_beat: bool = False
    paused_beats: int = 0

    # Leaving, and coming back.
    then: Then = Then.RETRY
    cause: Cause | None = None
    failure: Failure | None = None
    not_before: float = 0.0  # the floor of the cause, as a time
    proven: bool = False  # some session has outlived a heartbeat
    attempts: int = 0  # since the last proven session (I11)
    identifies: int = 0  # IDENTIFYs since the last proven session
    identified_at: float | None = None
