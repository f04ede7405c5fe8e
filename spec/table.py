"""The transition table: everything that a shard can do, in one place.

Rules of this module
    * Behaviour changes here, by a row with its `why` and its `ref`, and nowhere else.
    * A row holds data only. Guards, updates and effects are names with one definition each
      (:mod:`~gatewright.spec.guards`, :mod:`~gatewright.spec.updates`, :mod:`~gatewright.spec.effects`).
    * The guards of one (state, event) pair partition: exactly one row is taken. Lint proves it at import.
    * Every command has a row in every state, if only one that refuses; every message has a row in every state, if only
      one that counts it. A pair without a row is impossible unless the driver is wrong, and raises.

Theory of operation
    A shard starts (`idle` → `registering` → `fetching_metadata`), then goes round: `connecting` → `awaiting_hello` →
    `resuming`, or `awaiting_identify_slot` → `identified` → `ready`, until the socket is lost (`backing_off`), found
    dark (`stalled`) or left by choice (`draining`), and round again. `suspended` keeps the session without a socket;
    `stopped` and `failed` are the ends. A session is held or not; that alone decides whether the next handshake is
    RESUME or IDENTIFY. Rows that hold in several states are written once and expanded (:mod:`~gatewright.spec.rows`),
    and every row on a connection's event is given the guard that its generation is the current one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from gatewright.spec.effects import (
    AbortSocket,
    ApplyRegistrations,
    CancelMetadata,
    CloseEndingSession,
    CloseKeepingSession,
    Deliver,
    Effect,
    FetchMetadata,
    OpenSocket,
    RequestSlot,
    SendHeartbeat,
    SendIdentify,
    SendResume,
    UndoRegistrations,
    WithdrawSlot,
)
from gatewright.spec.events import (
    MESSAGES,
    Aborted,
    Closed,
    CloseFlushed,
    Connect,
    ConnectFailed,
    DeadlinePassed,
    Dispatched,
    Event,
    ForceIdentify,
    HeartbeatAcked,
    HeartbeatDue,
    HeartbeatRequested,
    Hello,
    MetadataFailed,
    MetadataFetched,
    Opened,
    ProtocolViolation,
    QueueOverflowed,
    ReadingPaused,
    ReadingResumed,
    Ready,
    Reconnect,
    ReconnectRequested,
    Register,
    Registered,
    RegistrationFailed,
    RegistrationUndone,
    Resumed,
    SessionInvalidated,
    SlotGranted,
    SlotQueued,
    SlotUnavailable,
    Stop,
    Suspend,
    WriteBlocked,
)
from gatewright.spec.lint import check
from gatewright.spec.rows import LATE_EFFECTS, Row, RowKind, over, with_generations
from gatewright.spec.states import HEARTBEAT_STATES, SOCKET_STATES, State

IDLE, REGISTERING, FETCHING = State.IDLE, State.REGISTERING, State.FETCHING_METADATA
CONNECTING, AWAITING_HELLO = State.CONNECTING, State.AWAITING_HELLO
SLOT, IDENTIFIED, RESUMING, READY = State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED, State.RESUMING, State.READY
STALLED, DRAINING, BACKING_OFF = State.STALLED, State.DRAINING, State.BACKING_OFF
SUSPENDED, STOPPED, FAILED = State.SUSPENDED, State.STOPPED, State.FAILED

LIVE: Final = (AWAITING_HELLO, SLOT, IDENTIFIED, RESUMING, READY)
"""States with an open socket that is not being left."""
LEAVING: Final = (STALLED, DRAINING)
NO_SOCKET: Final = tuple(state for state in State if state not in SOCKET_STATES)
OVER: Final = (STOPPED, FAILED)

_IGNORE, _UNEXPECTED, _REFUSE = RowKind.IGNORE, RowKind.UNEXPECTED, RowKind.REFUSE


def _judged(source: State, updates: tuple[str, ...]) -> tuple[str, ...]:
    """Leaving `resuming` for a reason that is not the user's judges the RESUME; dropping the session makes it moot."""
    return ("judge_resume", *updates) if source is RESUMING and "drop_session" not in updates else updates


def _withdrawn(source: State, effects: tuple[type[Effect], ...]) -> tuple[type[Effect], ...]:
    """Leaving the wait for a slot takes the request back."""
    return (WithdrawSlot, *effects) if source is SLOT else effects


def _leave(
    sources: tuple[State, ...],
    event: type[Event],
    variant: str = "",
    *,
    why: str,
    ref: str,
    target: State,
    updates: tuple[str, ...] = (),
    effects: tuple[type[Effect], ...] = (),
    guard: str | None = None,
    judged: bool = True,
) -> tuple[Row, ...]:
    """Rows that leave a live socket."""
    rows: list[Row] = []
    for source in sources:
        rows += over(
            (source,), event, variant, why=why, ref=ref, target=target, guard=guard,
            updates=_judged(source, updates) if judged else updates,
            effects=_withdrawn(source, effects),
        )  # fmt: skip
    return tuple(rows)


# Start-up -------------------------------------------------------------------------------------------------------------

_START_UP: Final = (
    *over((IDLE,), Register, target=REGISTERING, updates=("bind_client",), effects=(ApplyRegistrations,),
          why="The client is bound before anything can open a socket; a HELLO without a client cannot happen.",
          ref="R01 R22 S72 F03"),
    *over((REGISTERING,), Registered, "fresh", guard="not has_session", target=FETCHING,
          updates=("note_registered", "begin_fetch"), effects=(FetchMetadata,),
          why="The URL and the identify budget are asked for before the first connection.", ref="P01 I05 F03"),
    *over((REGISTERING,), Registered, "imported", guard="has_session", target=CONNECTING,
          updates=("note_registered", "next_generation"), effects=(OpenSocket,),
          why="A session that was brought along is resumed at once: RESUME needs neither budget nor slot.",
          ref="P34 P41 I05"),
    *over((REGISTERING,), RegistrationFailed, target=DRAINING,
          updates=("leave_to_fail", "cause_registration", "fail_registration"), effects=(UndoRegistrations,),
          why="A failed registration is undone and surfaces; nothing connects without it.", ref="F04 R02 I05"),
    *over((REGISTERING,), DeadlinePassed, target=DRAINING,
          updates=("leave_to_fail", "cause_registration", "fail_registration_timeout"), effects=(UndoRegistrations,),
          why="A registration that never ends must not hold the shard for ever.", ref="I03 F06"),
    *over((FETCHING,), MetadataFetched, guard="not late_answer", target=CONNECTING,
          updates=("keep_metadata", "next_generation"), effects=(OpenSocket,),
          why="Only the shard itself connects, after its metadata came; nobody can race it.", ref="P01 P02 R01 R33"),
    *over((FETCHING,), MetadataFetched, "late", guard="late_answer", kind=_IGNORE,
          why="The answer belongs to a request that was given up.", ref="R03 R33"),
    *over((FETCHING,), MetadataFailed, "refused", guard="not late_answer and metadata_refused", target=FAILED,
          updates=("fail_metadata",), why="401 and 403 do not heal by trying again.", ref="P08 F04 F05"),
    *over((FETCHING,), MetadataFailed, "transient", guard="not late_answer and not metadata_refused",
          updates=("retry_fetch",), effects=(FetchMetadata,),
          why="Time-outs, 429, 5xx and unusable answers are tried again within the deadline.", ref="P08 F05"),
    *over((FETCHING,), MetadataFailed, "late", guard="late_answer", kind=_IGNORE,
          why="The answer belongs to a request that was given up.", ref="R03"),
    *over((FETCHING,), DeadlinePassed, target=CONNECTING, updates=("use_fallback", "next_generation"),
          effects=(CancelMetadata, OpenSocket),
          why="A bot must come online although the metadata end point is down: the cached URL serves, or the fallback.",
          ref="P02 F05 R33 I03"),
)  # fmt: skip

# Connecting and HELLO -------------------------------------------------------------------------------------------------

_CONNECTING: Final = (
    *over((CONNECTING,), Opened, target=AWAITING_HELLO,
          why="The server speaks first.", ref="P10 F27"),
    *over((CONNECTING,), ConnectFailed, "forget_url", guard="resume_url_failing", target=BACKING_OFF,
          updates=("forget_url", "cause_connect_failed"),
          why="A resume host that cannot be reached must not hold the session back: the main URL resumes it as well.",
          ref="P40 A04"),
    *over((CONNECTING,), ConnectFailed, guard="not resume_url_failing", target=BACKING_OFF,
          updates=("count_connect_failure", "cause_connect_failed"),
          why="An unreachable network says nothing about the session.", ref="P52 I10 R34"),
    *over((CONNECTING,), DeadlinePassed, "forget_url", guard="resume_url_failing", target=STALLED,
          updates=("note_stalled_phase", "forget_url", "cause_stalled"), effects=(AbortSocket,),
          why="A host that accepts and hangs fails like one that refuses.", ref="P09 P40 R18 F29"),
    *over((CONNECTING,), DeadlinePassed, guard="not resume_url_failing", target=STALLED,
          updates=("note_stalled_phase", "count_connect_failure", "cause_stalled"), effects=(AbortSocket,),
          why="A handshake that never ends is aborted.", ref="P09 R18 F29 I03"),
    *over((AWAITING_HELLO,), Hello, "resume", guard="has_session", target=RESUMING,
          updates=("url_works", "start_heartbeat", "begin_resume"), effects=(SendResume,),
          why="A session survives the socket that carried it; RESUME costs no identify budget.",
          ref="P10 P13 P35 P37 I02 I10"),
    *over((AWAITING_HELLO,), Hello, "identify", guard="not has_session", target=SLOT,
          updates=("url_works", "start_heartbeat"), effects=(RequestSlot,),
          why="IDENTIFY waits for its slot; heartbeats do not.", ref="P10 P13 P22 P27 I02 I12"),
    *over((AWAITING_HELLO,), DeadlinePassed, "paused", guard="paused", target=DRAINING,
          updates=("leave_to_retry", "cause_paused"), effects=(CloseKeepingSession,),
          why="A HELLO that our own consumer keeps unread is no stall of the server's.", ref="I23"),
    *over((AWAITING_HELLO,), DeadlinePassed, "first", guard="not paused and hello_first_stall", target=STALLED,
          updates=("note_stalled_phase", "count_stall", "cause_stalled"), effects=(CloseKeepingSession,),
          why="Silence after the upgrade is not the session's fault.", ref="P12 S32 F10 F11 R10"),
    *over((AWAITING_HELLO,), DeadlinePassed, "again",
          guard="not paused and not hello_first_stall and not hello_last_stall", target=STALLED,
          updates=("note_stalled_phase", "count_stall", "forget_url", "cause_stalled"),
          effects=(CloseKeepingSession,),
          why="A second silence in a row suspects the resume URL.", ref="P12 P40 S32 F11"),
    *over((AWAITING_HELLO,), DeadlinePassed, "last", guard="not paused and hello_last_stall", target=STALLED,
          updates=("note_stalled_phase", "count_stall", "drop_session", "cause_stalled"),
          effects=(CloseKeepingSession,),
          why="A third silence in a row gives the session up.", ref="S05 S32 F11 I10"),
)  # fmt: skip

# IDENTIFY -------------------------------------------------------------------------------------------------------------

_IDENTIFY: Final = (
    *over((SLOT,), SlotGranted, target=IDENTIFIED, updates=("note_identify",), effects=(SendIdentify,),
          why="IDENTIFY is sent in the same step as the grant, on the generation it was granted for.",
          ref="P22 P27 I02 I12 F30"),
    *over((SLOT,), SlotQueued, updates=("await_slot",),
          why="The wait in the gate's queue is known, and bounded by its estimate.", ref="P27 F30 I03"),
    *_leave((SLOT,), SlotUnavailable, "budget", guard="over_budget", target=DRAINING,
            updates=("leave_to_retry", "refund_attempt", "cause_budget"), effects=(CloseKeepingSession,),
            why="What the gate knows of the budget came with the metadata, and is asked for before the next attempt.",
            ref="P29 P30 A22 I12 F31"),
    *_leave((SLOT,), SlotUnavailable, guard="not over_budget", target=DRAINING,
            updates=("leave_to_retry", "refund_attempt", "cause_gate"), effects=(CloseKeepingSession,),
            why="Without a slot the socket is of no use; the refusal is not the server's, so no attempt is counted.",
            ref="P29 P30 I12 F31"),
    *_leave((SLOT,), DeadlinePassed, target=STALLED, updates=("note_stalled_phase", "cause_stalled"),
            effects=(CloseKeepingSession,),
            why="A gate that neither grants nor refuses must not hold the shard for ever.", ref="I03 F30"),
    *over((IDENTIFIED,), Ready, target=READY, updates=("begin_session",), effects=(Deliver,),
          why="READY completes the handshake and begins a session.", ref="P31 P32 I10 I11 R19 R20"),
    *over((IDENTIFIED,), DeadlinePassed, "patient", guard="patient", updates=("extend_patience",),
          why="In an outage the server answers eventually; a new IDENTIFY would only spend budget.", ref="P20 P29 A13"),
    *over((IDENTIFIED,), DeadlinePassed, "paused", guard="not patient and paused_within_cap",
          updates=("wait_for_reader",),
          why="READY may be among what our own consumer keeps unread; another IDENTIFY would only spend budget.",
          ref="I23 P29"),
    *over((IDENTIFIED,), DeadlinePassed, "held_back", guard="not patient and paused and not paused_within_cap",
          target=DRAINING, updates=("leave_to_retry", "cause_paused"), effects=(CloseKeepingSession,),
          why="The consumer held the reader back for longer than may be waited for READY.", ref="I23 I03"),
    *over((IDENTIFIED,), DeadlinePassed, guard="not patient and not paused", target=STALLED,
          updates=("note_stalled_phase", "cause_stalled"), effects=(CloseKeepingSession,),
          why="IDENTIFY was sent and nothing came: named for what it is, and tried again.", ref="I03 R10 F30"),
    *over((IDENTIFIED,), Dispatched, effects=(Deliver,), kind=_UNEXPECTED,
          why="Nothing is lost, but a dispatch before READY belongs to no session that we know.", ref="P78 P42"),
)  # fmt: skip

# RESUME and the live session ------------------------------------------------------------------------------------------

_SESSION: Final = (
    *over((RESUMING,), Resumed, target=READY, updates=("session_resumed", "raise_sequence"), effects=(Deliver,),
          why="RESUMED marks the end of the replay.", ref="P38 A16 I11"),
    *over((RESUMING,), Ready, target=READY, updates=("begin_session",), effects=(Deliver,),
          why="A server that answers RESUME with READY has begun a new session.", ref="P31 R32"),
    *over((RESUMING,), Dispatched, "advances", guard="advances", updates=("advance", "note_progress"),
          effects=(Deliver,), why="Replayed dispatches are ordinary ones, and progress.", ref="P38 I17"),
    *over((RESUMING,), Dispatched, "behind", guard="not advances", effects=(Deliver,), kind=_UNEXPECTED,
          why="A lower sequence moves nothing; the event is still the consumer's.", ref="P43 A16 I17"),
    *over((RESUMING,), DeadlinePassed, "paused", guard="paused_within_cap", updates=("wait_for_reader",),
          why="While our own consumer holds the reader back, silence is not the server's.", ref="I23"),
    *over((RESUMING,), DeadlinePassed, "held_back", guard="paused and not paused_within_cap", target=DRAINING,
          updates=("leave_to_retry", "cause_paused"), effects=(CloseKeepingSession,),
          why="The consumer held the replay back for longer than may be waited; that is no failed resume.",
          ref="I23 I03"),
    *_leave((RESUMING,), DeadlinePassed, guard="not paused", target=STALLED,
            updates=("note_stalled_phase", "cause_stalled"), effects=(CloseKeepingSession,),
            why="A replay that does not move is given up.", ref="A15 I03 R10"),
    *_leave((RESUMING,), SessionInvalidated, "resumable", guard="resumable", target=DRAINING,
            updates=("leave_to_retry", "cause_invalid_session"), effects=(CloseKeepingSession,),
            why="The server refuses this RESUME and allows another.", ref="P46 P47 P48 F33"),
    *over((RESUMING,), SessionInvalidated, "final", guard="not resumable", target=DRAINING,
          updates=("drop_session", "leave_to_retry", "cause_invalid_session"), effects=(CloseKeepingSession,),
          why="The session is gone; the next handshake is IDENTIFY, at the main URL.", ref="P39 P46 P48 I10"),
    *over((READY,), Dispatched, "advances", guard="advances", updates=("advance",), effects=(Deliver,),
          why="The dispatch path: remember the sequence, hand the event over.", ref="P42 I17"),
    *over((READY,), Dispatched, "behind", guard="not advances", effects=(Deliver,), kind=_UNEXPECTED,
          why="A lower sequence moves nothing; the event is still the consumer's.", ref="P43 A16 I17"),
    *over((READY,), Ready, updates=("begin_session",), effects=(Deliver,),
          why="A second READY replaces the session whole.", ref="P31 R32"),
    *over((READY,), Resumed, updates=("raise_sequence",), effects=(Deliver,), kind=_UNEXPECTED,
          why="RESUMED in a live session says nothing new; its sequence counts.", ref="P42 A16"),
    *over((READY,), SessionInvalidated, "resumable", guard="resumable", target=DRAINING,
          updates=("leave_to_retry", "cause_invalid_session"), effects=(CloseKeepingSession,),
          why="The server drops the socket and keeps the session.", ref="P46 P47 A02"),
    *over((READY,), SessionInvalidated, "final", guard="not resumable", target=DRAINING,
          updates=("drop_session", "leave_to_retry", "cause_invalid_session"), effects=(CloseKeepingSession,),
          why="The live session was ended by the server.", ref="P39 P46 P48 I10"),
    *_leave((AWAITING_HELLO, SLOT, IDENTIFIED), SessionInvalidated, target=DRAINING,
            updates=("drop_session", "leave_to_retry", "cause_invalid_session"), effects=(CloseKeepingSession,),
            why="Before a session is live, opcode 9 refuses the handshake, whatever its payload says.",
            ref="P46 P48 A01 A02"),
)  # fmt: skip

# The heartbeat region -------------------------------------------------------------------------------------------------

_HEARTBEATS: Final = (
    *over(HEARTBEAT_STATES, HeartbeatDue, "beat", guard="not beat_missed and not paused_too_long",
          updates=("issue_beat",), effects=(SendHeartbeat,),
          why="Heartbeats run from HELLO until the socket is left, whatever else happens.",
          ref="P13 P14 P15 P17 P21 F32"),
    *_leave(HEARTBEAT_STATES, HeartbeatDue, "zombie", guard="beat_missed", target=STALLED,
            updates=("note_stalled_phase", "cause_zombie"), effects=(CloseKeepingSession,),
            why="A scheduled beat without its ACK when the next is due: the connection is dead, though it looks alive.",
            ref="P18 A07 A08 I20 I21 R17"),
    *_leave(HEARTBEAT_STATES, HeartbeatDue, "paused", guard="not beat_missed and paused_too_long", target=DRAINING,
            updates=("leave_to_retry", "cause_paused"), effects=(CloseKeepingSession,), judged=False,
            why="A peer that is not read cannot be told from a dead one; the session waits for the consumer's return.",
            ref="I23"),
    *over((SLOT, IDENTIFIED, RESUMING), HeartbeatAcked, updates=("note_ack",),
          why="The connection lives; only a session that outlives a beat is proved.", ref="P18 I11 A07"),
    *over((READY,), HeartbeatAcked, "proves", guard="proves", updates=("note_ack", "prove_session"),
          why="The first ACK of a beat scheduled in ready ends the back-off: this session works.", ref="P18 I11 R25"),
    *over((READY,), HeartbeatAcked, guard="not proves", updates=("note_ack",),
          why="An ACK clears the outstanding beat, whoever asked for it.", ref="P18 A08 I20"),
    *over((AWAITING_HELLO, *HEARTBEAT_STATES), HeartbeatRequested, effects=(SendHeartbeat,),
          why="Answered at once, and outside the schedule: it can neither make nor hide a zombie.",
          ref="P19 A08 I20 F32"),
    *over(LIVE, ReadingPaused, updates=("pause_reading",),
          why="The machine knows that ACKs may lie unread.", ref="I23"),
    *over(LIVE, ReadingResumed, updates=("resume_reading",),
          why="The next verdict is fair again after one more beat.", ref="I23"),
)  # fmt: skip

# Leaving a live socket ------------------------------------------------------------------------------------------------

_LEAVE_LIVE: Final = (
    *_leave(LIVE, ReconnectRequested, target=DRAINING, updates=("leave_to_retry", "cause_reconnect"),
            effects=(CloseKeepingSession,),
            why="The server asks us to move; the session moves with us.", ref="P11 P45 R17 F33"),
    *_leave(LIVE, ProtocolViolation, target=DRAINING, updates=("leave_to_retry", "cause_violation"),
            effects=(CloseKeepingSession,),
            why="What cannot be understood ends the connection, not the process and not the session.",
            ref="P77 R19 F33"),
    *_leave(LIVE, QueueOverflowed, target=DRAINING, updates=("leave_to_fail", "cause_overflow", "fail_overflow"),
            effects=(CloseKeepingSession,), judged=False,
            why="The consumer is too slow and it was asked that this be fatal; what it has not handled can be resumed.",
            ref="I09 I17 P50"),
    *_leave(LIVE, WriteBlocked, target=STALLED, updates=("note_stalled_phase", "cause_write_blocked"),
            effects=(AbortSocket,),
            why="A frame that was begun and not finished poisons the stream: nothing can be sent after it.",
            ref="I03 I16"),
    *_leave(LIVE, Closed, "resumable", guard="close_resumable", target=BACKING_OFF, updates=("cause_dropped",),
            why="A drop or a resumable close keeps the session.", ref="P34 A05 F34 I10"),
    *_leave(LIVE, Closed, "rate_limited", guard="close_rate_limited", target=BACKING_OFF,
            updates=("cause_rate_limited",),
            why="Coming back before the window has passed would be closed again.", ref="P55 F34 I18"),
    *_leave(LIVE, Closed, "new_session", guard="close_new_session", target=BACKING_OFF,
            updates=("drop_session", "cause_session_ended"),
            why="The code says that the session is gone.", ref="A06 F34 I10"),
    *_leave(LIVE, Closed, "fatal", guard="close_fatal", target=FAILED, updates=("fail_close",), judged=False,
            why="A fatal code is never answered by a reconnect.", ref="P51 I08 R09 F34"),
    *_leave(LIVE, Reconnect, target=DRAINING, updates=("leave_to_retry", "cause_command"),
            effects=(CloseKeepingSession,), judged=False,
            why="The user wants another socket, not another session.", ref="P50 I21"),
    *_leave(LIVE, ForceIdentify, target=DRAINING, updates=("drop_session", "leave_to_retry", "cause_command"),
            effects=(CloseEndingSession,),
            why="The user wants another session; this one is ended so that it does not linger.", ref="P49 I10 R35"),
    *_leave(LIVE, Suspend, target=DRAINING, updates=("leave_to_suspend", "cause_command"),
            effects=(CloseKeepingSession,), judged=False,
            why="Any code but 1000 and 1001 keeps the session for later.", ref="P50 I21 R13"),
    *_leave(LIVE, Stop, target=DRAINING, updates=("drop_session", "leave_to_stop", "cause_command"),
            effects=(CloseEndingSession,),
            why="1000 ends the session and shows the bot as offline at once.", ref="P49 R29 F14"),
)  # fmt: skip

# Stalled --------------------------------------------------------------------------------------------------------------

_STALLED: Final = (
    *over((STALLED,), Closed, "resumable", guard="close_resumable", target=BACKING_OFF,
          why="The old socket is gone; the session is kept.", ref="P18 I01"),
    *over((STALLED,), Closed, "rate_limited", guard="close_rate_limited", target=BACKING_OFF,
          updates=("cause_rate_limited",), why="The longer delay wins.", ref="P55 I18 R24"),
    *over((STALLED,), Closed, "new_session", guard="close_new_session", target=BACKING_OFF,
          updates=("drop_session", "cause_session_ended"), why="The code says that the session is gone.",
          ref="A06 I10"),
    *over((STALLED,), Closed, "fatal", guard="close_fatal", target=FAILED, updates=("fail_close",),
          why="A fatal code counts, however late it comes.", ref="P51 I08"),
    *over((STALLED,), Aborted, target=BACKING_OFF, why="The old socket is gone.", ref="I01 F28"),
    *over((STALLED,), ConnectFailed, target=BACKING_OFF,
          why="The handshake failed by itself while it was being aborted.", ref="I01"),
    *over((STALLED,), DeadlinePassed, target=BACKING_OFF, effects=(AbortSocket,),
          why="A dark peer answers no close frame.", ref="I01 I03 F28"),
    *over((STALLED,), Stop, target=DRAINING, updates=("drop_session", "leave_to_stop", "cause_command"),
          why="A close frame is on its way already; only what comes after changes.", ref="F14 R12"),
    *over((STALLED,), Suspend, target=DRAINING, updates=("leave_to_suspend", "cause_command"),
          why="A close frame is on its way already; only what comes after changes.", ref="P50"),
    *over((STALLED,), ForceIdentify, updates=("drop_session",),
          why="The next handshake is IDENTIFY; the reconnect is on its way already.", ref="I10 R35"),
)  # fmt: skip

# Draining -------------------------------------------------------------------------------------------------------------


def _then(
    event: type[Event],
    *,
    why: str,
    ref: str,
    guard: str | None = None,
    effects: tuple[type[Effect], ...] = (),
    only: tuple[State, ...] = (BACKING_OFF, SUSPENDED, STOPPED, FAILED),
    variant: str = "",
) -> tuple[Row, ...]:
    """Rows that leave `draining` for what `then` says."""
    names = {BACKING_OFF: "retry", SUSPENDED: "suspend", STOPPED: "stop", FAILED: "fail"}
    rows: list[Row] = []
    for target in only:
        mine = f"then_{names[target]}"
        rows += over((DRAINING,), event, f"{variant}{names[target]}", target=target, why=why, ref=ref, effects=effects,
                     guard=mine if guard is None else f"{guard} and {mine}")  # fmt: skip
    return tuple(rows)


_DRAINING: Final = (
    *over((DRAINING,), Closed, "fatal", guard="close_fatal", target=FAILED, updates=("fail_close",),
          why="A fatal code counts, whatever we were about to do.", ref="P51 I08"),
    *over((DRAINING,), Closed, "new_session.retry", guard="close_new_session and then_retry", target=BACKING_OFF,
          updates=("drop_session",), why="The code says that the session is gone.", ref="A06 I10"),
    *over((DRAINING,), Closed, "new_session.suspend", guard="close_new_session and then_suspend", target=SUSPENDED,
          updates=("drop_session",), why="The code says that the session is gone.", ref="A06 I10"),
    *over((DRAINING,), Closed, "rate_limited.retry", guard="close_rate_limited and then_retry", target=BACKING_OFF,
          updates=("cause_rate_limited",), why="The longer delay wins.", ref="P55 I18 R24"),
    *over((DRAINING,), Closed, "retry", guard="close_resumable and then_retry", target=BACKING_OFF,
          why="The old socket is gone; the next attempt may begin.", ref="I01 P50"),
    *over((DRAINING,), Closed, "suspend", guard="(close_resumable or close_rate_limited) and then_suspend",
          target=SUSPENDED, why="The old socket is gone; the session is kept.", ref="I01 P50"),
    *over((DRAINING,), Closed, "stop", guard="not close_fatal and then_stop", target=STOPPED,
          why="The peer answered our close.", ref="P49 I04"),
    *over((DRAINING,), Closed, "new_session.fail", guard="close_new_session and then_fail", target=FAILED,
          updates=("drop_session",), why="The code says that the session is gone: it cannot be resumed later either.",
          ref="A06 I10"),
    *over((DRAINING,), Closed, "fail", guard="(close_resumable or close_rate_limited) and then_fail", target=FAILED,
          why="The socket is gone.", ref="I04"),
    *_then(Aborted, why="The old socket is gone.", ref="I01 F28"),
    *_then(ConnectFailed, why="The handshake ended by itself while it was being aborted.", ref="I01 F28"),
    *_then(CloseFlushed, effects=(AbortSocket,), only=(BACKING_OFF, SUSPENDED, FAILED),
           why="The close frame has left; a session that is kept needs no farewell.", ref="P50 I01 F28"),
    *over((DRAINING,), CloseFlushed, "stop", guard="then_stop",
          why="A final close waits for the peer's answer, within its deadline.", ref="P49"),
    *_then(DeadlinePassed, guard="registered", effects=(AbortSocket,),
           why="The peer did not answer in time; the socket is aborted.", ref="I03 I04 F28"),
    *_then(DeadlinePassed, guard="not registered", only=(SUSPENDED, STOPPED), variant="undo.",
           why="Undoing took too long; the shard ends all the same.", ref="I03 I04"),
    *over((DRAINING,), DeadlinePassed, "undo.fail", guard="not registered and not then_suspend and not then_stop",
          target=FAILED, why="Undoing took too long; the shard ends all the same.", ref="I03 I04"),
    *_then(RegistrationUndone, guard="not registered", only=(SUSPENDED, STOPPED), why="What was applied is undone.",
           ref="F04 I14"),
    *over((DRAINING,), RegistrationUndone, "late", guard="registered", kind=_IGNORE,
          why="It belongs to a registration that was given up, and this shard is leaving a socket.", ref="I14 I01"),
    *over((DRAINING,), RegistrationUndone, "fail", guard="not registered and not then_suspend and not then_stop",
          target=FAILED,
          why="What was applied is undone; the failure surfaces.", ref="F04 I14"),
    *over((DRAINING,), Stop, guard="not then_stop and not then_fail",
          updates=("drop_session", "leave_to_stop", "cause_command"),
          why="Stop is stronger than retry and suspend; no second close frame is sent.", ref="F14 R24"),
    *over((DRAINING,), Stop, "already", guard="then_stop or then_fail", kind=_IGNORE,
          why="The end is on its way.", ref="F14 R24"),
    *over((DRAINING,), Suspend, guard="then_retry", updates=("leave_to_suspend", "cause_command"),
          why="Suspend is stronger than retry.", ref="R24"),
    *over((DRAINING,), Suspend, "already", guard="then_suspend", kind=_IGNORE,
          why="It is on its way.", ref="R24"),
    *over((DRAINING,), Suspend, "refused", guard="then_stop or then_fail", kind=_REFUSE,
          why="The shard is ending, and a session that is being ended cannot be kept.", ref="R24 I15"),
    *over((DRAINING,), ForceIdentify, guard="then_retry", updates=("drop_session",),
          why="Fresh is stronger than resume; the reconnect is on its way already.", ref="R24 R35 I10"),
    *over((DRAINING,), ForceIdentify, "refused", guard="not then_retry", kind=_REFUSE,
          why="The shard is leaving for good or to stay away; there will be no handshake.", ref="R24 I15"),
    *over(LEAVING, WriteBlocked, effects=(AbortSocket,),
          why="The close frame cannot leave; there is nothing to wait for.", ref="I03 F28"),
)  # fmt: skip

# Backing off, suspended, and what no socket means ---------------------------------------------------------------------


def _go(source: State, event: type[Event], *, why: str, ref: str, prefix: str = "", also: tuple[str, ...] = (),
        unless: tuple[str, ...] = ("needs_metadata", "budget_refused")) -> tuple[Row, ...]:  # fmt: skip
    """Two rows: connect, or fetch metadata first when one of these guards holds."""
    some, none = " or ".join(unless), " and ".join(f"not {name}" for name in unless)
    return (
        *over((source,), event, "fetch", guard=f"{prefix}({some})" if prefix else some, target=FETCHING,
              updates=(*also, "begin_fetch"), effects=(FetchMetadata,),
              why=f"{why} Metadata come first, for the main URL or the budget.", ref=ref),
        *over((source,), event, "connect", guard=f"{prefix}{none}", target=CONNECTING,
              updates=(*also, "next_generation"), effects=(OpenSocket,), why=why, ref=ref),
    )  # fmt: skip


_WAITING: Final = (
    *over((BACKING_OFF,), DeadlinePassed, "give_up", guard="attempts_spent", target=FAILED, updates=("fail_attempts",),
          why="An attempt cap was asked for, and it is reached.", ref="I18 F35"),
    *_go(BACKING_OFF, DeadlinePassed, prefix="not attempts_spent and ", why="The delay is over.",
         ref="P52 P02 P30 F35 I18"),
    *_go(BACKING_OFF, Connect, why="The user wakes the back-off.", ref="P30 I15 I18 F02"),
    *_go(BACKING_OFF, Reconnect, why="The user wakes the back-off.", ref="P30 I15 I18"),
    *_go(BACKING_OFF, ForceIdentify, also=("drop_session",), unless=("main_url_unknown", "budget_refused"),
         why="The user wakes the back-off and wants a new session.", ref="P30 I10 I18"),
    *over((BACKING_OFF,), Stop, target=STOPPED, updates=("drop_session",),
          why="There is no socket to leave.", ref="F14 I04 R12"),
    *over((BACKING_OFF,), Suspend, target=SUSPENDED, why="There is no socket to leave.", ref="P50"),
    *_go(SUSPENDED, Connect, prefix="registered and ", unless=("needs_metadata",), why="The user comes back.",
         ref="I15 F02"),
    *over((SUSPENDED,), Connect, "register", guard="not registered", target=REGISTERING, effects=(ApplyRegistrations,),
          why="It was suspended before its registrations were in place; they are applied first.", ref="I05 R02"),
    *over((SUSPENDED,), Stop, target=STOPPED, updates=("drop_session",),
          why="There is no socket to leave.", ref="F14 I04"),
    *over((IDLE,), Stop, target=STOPPED, updates=("drop_session",), why="Nothing was begun.", ref="F14 I04"),
    *over((REGISTERING,), Stop, target=DRAINING, updates=("drop_session", "leave_to_stop", "cause_command"),
          effects=(UndoRegistrations,), why="What was applied is undone in reverse before the end.", ref="R03 F14 I14"),
    *over((REGISTERING,), Suspend, target=DRAINING, updates=("leave_to_suspend", "cause_command"),
          effects=(UndoRegistrations,), why="What was applied is undone; coming back applies it anew.", ref="I05 I14"),
    *over((FETCHING,), Stop, target=STOPPED, updates=("drop_session",), effects=(CancelMetadata,),
          why="The request is cancelled with its owner: no answer can connect a stopped shard.", ref="R03 F14 I04"),
    *over((FETCHING,), Suspend, target=SUSPENDED, effects=(CancelMetadata,),
          why="The request is cancelled with its owner.", ref="R03"),
    *over((FETCHING,), ForceIdentify, updates=("drop_session",),
          why="The next handshake is IDENTIFY; the connection follows by itself.", ref="I10 R35"),
    *over((CONNECTING,), Stop, target=DRAINING, updates=("drop_session", "leave_to_stop", "cause_command"),
          effects=(AbortSocket,), why="A handshake is aborted, not closed.", ref="F14 R18 I04"),
    *over((CONNECTING,), Suspend, target=DRAINING, updates=("leave_to_suspend", "cause_command"),
          effects=(AbortSocket,), why="A handshake is aborted, not closed.", ref="P50"),
    *over((CONNECTING,), ForceIdentify, "resume", guard="has_session", target=DRAINING,
          updates=("drop_session", "leave_to_retry", "cause_command"), effects=(AbortSocket,),
          why="The socket goes to the resume URL; a new session begins at the main one.", ref="P39 R35 I10"),
    *over((CONNECTING,), ForceIdentify, "fresh", guard="not has_session", kind=_IGNORE,
          why="This attempt ends in IDENTIFY already.", ref="R35 I15"),
)  # fmt: skip

# Commands that are not possible ---------------------------------------------------------------------------------------


def _refuse(sources: tuple[State, ...], event: type[Event], *, why: str, ref: str = "I15 F02") -> tuple[Row, ...]:
    return over(sources, event, why=why, ref=ref, kind=_REFUSE)


_REFUSALS: Final = (
    *_refuse((REGISTERING,), Connect, ref="R01 S71 S73 F02 I15",
             why="The registration decides whether there is a shard at all; the shard connects by itself after it."),
    *_refuse((FETCHING,), Connect, ref="R01 R04 S71 S73 F02 I15",
             why="The metadata request decides the URL; the shard connects by itself when it ends."),
    *_refuse((CONNECTING,), Connect, ref="R18 R34 F02 I15", why="A connection is being opened already."),
    *_refuse(LIVE, Connect, ref="F02 I01 I15", why="There is a connection already; reconnect() replaces it."),
    *_refuse(LEAVING, Connect, ref="R11 I01 I15",
             why="The old socket is still being left; what comes after it follows by itself."),
    *_refuse((IDLE,), Connect, why="Nothing is registered; register() starts the shard, and it connects by itself."),
    *_refuse(OVER, Connect, ref="R03 I04 I15", why="This shard is over; make a new one."),
    *_refuse((IDLE, REGISTERING, FETCHING), Reconnect, why="There is no connection yet that could be replaced."),
    *_refuse((CONNECTING,), Reconnect, ref="R18 R34 I15", why="A connection is being opened already."),
    *_refuse(LEAVING, Reconnect, why="The old socket is being left already; what comes after it follows by itself."),
    *_refuse((SUSPENDED,), Reconnect, why="There is no connection that could be replaced; connect() comes back."),
    *_refuse(OVER, Reconnect, ref="I04 I15", why="This shard is over; make a new one."),
    *_refuse((IDLE, REGISTERING), ForceIdentify,
             why="Nothing is connected yet; to begin anew, make the shard without a session."),
    *_refuse((SUSPENDED,), ForceIdentify, why="The shard stays away; connect() comes back, then drop the session."),
    *_refuse(OVER, ForceIdentify, ref="I04 I15", why="This shard is over; make a new one."),
    *_refuse((IDLE,), Suspend, why="Nothing was begun that could be suspended."),
    *_refuse(OVER, Suspend, ref="I04 I15", why="This shard is over, and its session with it."),
    *_refuse(tuple(state for state in State if state is not IDLE), Register, ref="R02 R23 I05 I15",
             why="This shard is registered already; a registration happens once."),
    *over((SUSPENDED,), Suspend, kind=_IGNORE, why="It is suspended already.", ref="I15"),
    *over(OVER, Stop, kind=_IGNORE, why="It is over already.", ref="I04 F14"),
)  # fmt: skip

# What comes too late, and what should not come ------------------------------------------------------------------------


def _late(sources: tuple[State, ...], event: type[Event], *, why: str, ref: str) -> tuple[Row, ...]:
    return over(sources, event, why=why, ref=ref, kind=_IGNORE, effects=LATE_EFFECTS.get(event, ()))


_ENDED: Final = "The connection that this belongs to has ended."
_VOID: Final = "Once we have decided to leave a socket, its frames are void."
_CONNECTION_OUTCOMES: Final = (
    Opened, ConnectFailed, Closed, CloseFlushed, Aborted, WriteBlocked, ReadingPaused, ReadingResumed,
    QueueOverflowed, SlotQueued, SlotGranted, SlotUnavailable,
)  # fmt: skip

_LATE: Final = (
    *(row for event in _CONNECTION_OUTCOMES for row in _late(NO_SOCKET, event, why=_ENDED, ref="I06 P53 F27 R15")),
    *(row for event in MESSAGES for row in _late(NO_SOCKET, event, why=_ENDED, ref="I06 P53 F27")),
    *(row for event in MESSAGES for row in _late(LEAVING, event, why=_VOID, ref="P53 I06")),
    *_late((STALLED,), CloseFlushed, why="Whether it reaches the peer remains to be seen.", ref="F28"),
    *_late(LEAVING, Opened, why="The handshake ended while it was being aborted; the abort follows.", ref="F28 I06"),
    *(row for event in (ReadingPaused, ReadingResumed, QueueOverflowed, SlotQueued, SlotGranted, SlotUnavailable)
      for row in _late(LEAVING, event, why=_VOID, ref="P53 I06 I12")),
    *(row for event in (SlotQueued, SlotGranted, SlotUnavailable)
      for row in _late((IDENTIFIED, RESUMING, READY), event, why="Nobody waits for the slot any more.", ref="I06 I12")),
    *(row for event in (MetadataFetched, MetadataFailed)
      for row in _late(tuple(s for s in State if s not in (IDLE, REGISTERING, FETCHING)), event,
                       why="The request was given up; its answer can move nothing.", ref="R03 R33 I06")),
    *(row for event in (Registered, RegistrationFailed)
      for row in _late(tuple(s for s in State if s not in (IDLE, REGISTERING)), event,
                       why="It ended while it was being cancelled; it is undone all the same.", ref="R03 I05")),
    *_late(tuple(s for s in State if s not in (IDLE, DRAINING)), RegistrationUndone,
           why="Undoing took longer than the shard waited for it.", ref="I14"),
)  # fmt: skip


def _unexpected(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """A row for each message in each state with a socket that has none yet: counted and tolerated (F33)."""
    present = {(row.source, row.event) for row in rows}
    return tuple(
        row
        for event in MESSAGES
        for source in (CONNECTING, *LIVE)
        if (source, event) not in present
        for row in over(
            (source,),
            event,
            kind=_UNEXPECTED,
            why="Nothing that a server should say here; counted, and the connection goes on.",
            ref="P78 F33",
        )
    )


def _impossible(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """A row for each outcome of a connection in each state with a socket that has none yet.

    Of an older generation it comes late, as everywhere; of this one it would answer an effect that nobody asked for.
    """
    present = {(row.source, row.event) for row in rows}
    return tuple(
        row
        for event in _CONNECTION_OUTCOMES
        for source in SOCKET_STATES
        if (source, event) not in present
        for row in over(
            (source,),
            event,
            kind=_REFUSE,
            why="Nothing was asked for here that could end like this; whoever fed it is out of step.",
            ref="I06 I15",
        )
    )


def _noting_the_loss(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Every row that leaves `ready` notes when, so that none can forget it (I07)."""
    return tuple(
        attrs.evolve(row, updates=(*row.updates, "note_not_ready"))
        if row.source is READY and row.target not in (None, READY)
        else row
        for row in rows
    )


_WRITTEN: Final = _noting_the_loss((
    *_START_UP, *_CONNECTING, *_IDENTIFY, *_SESSION, *_HEARTBEATS, *_LEAVE_LIVE, *_STALLED, *_DRAINING, *_WAITING,
    *_REFUSALS, *_LATE,
))  # fmt: skip

TABLE: Final[tuple[Row, ...]] = with_generations((*_WRITTEN, *_unexpected(_WRITTEN), *_impossible(_WRITTEN)))
"""Every row, expanded, in the order in which documents list them."""


def _cells(rows: tuple[Row, ...]) -> Mapping[tuple[State, type[Event]], tuple[Row, ...]]:
    cells: defaultdict[tuple[State, type[Event]], list[Row]] = defaultdict(list)
    for row in rows:
        cells[row.source, row.event].append(row)
    return MappingProxyType({cell: tuple(found) for cell, found in cells.items()})


CELLS: Final = _cells(TABLE)
"""The rows of each (state, event) pair; a pair that is not here is impossible."""

check(TABLE)
