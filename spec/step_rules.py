"""Rules over one step of a shard: pure functions that :mod:`gatewright.spec.invariants` gives their sentences.

The first line of a rule's docstring says what it demands, and a violation is reported with it. Facts of the protocol
are written out here a second time, on purpose: a rule that asked the table would agree with whatever the table says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from gatewright.spec import events
from gatewright.spec.context import Context
from gatewright.spec.effects import (
    AbortSocket,
    CloseEndingSession,
    CloseKeepingSession,
    Deliver,
    Effect,
    OpenSocket,
    RequestSlot,
    ReturnSlot,
    SendHeartbeat,
    SendIdentify,
    SendResume,
    WithdrawSlot,
)
from gatewright.spec.events import Event
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import HEARTBEAT_STATES, SOCKET_STATES, State, Then

OVER: Final = (State.STOPPED, State.FAILED)
LIVE: Final = (State.AWAITING_HELLO, *HEARTBEAT_STATES)
"""States with an open socket that is not being left."""
_OPEN: Final = (*LIVE, State.STALLED, State.DRAINING)
"""States in which the peer may close."""
_EARLY: Final = (State.AWAITING_HELLO, State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED)
_HANDSHAKEN: Final = (State.IDENTIFIED, State.RESUMING, State.READY)

SESSION_ENDING_CODES: Final = frozenset({4003, 4006, 4007, 4009})
"""Close codes that take the session with them (protocol section 3.1)."""
FATAL_CODES: Final = frozenset({4004, 4010, 4011, 4012, 4013, 4014})
"""Close codes after which there is no reconnect."""


@attrs.frozen
class Step:
    """One step: what was true `before`, the `event`, the `row` taken, its `effects`, what is true `after`."""

    before: Context
    event: Event
    row: Row
    effects: tuple[Effect, ...]
    after: Context

    @property
    def current(self) -> bool:
        """The event belongs to the socket that there is; trivially so when it belongs to none."""
        event = self.event
        return not isinstance(event, events.ConnectionEvent) or (
            event.gen == self.before.gen and self.before.state in SOCKET_STATES
        )

    @property
    def unchanged(self) -> bool:
        """Nothing is different after it but the time and the die."""
        return attrs.evolve(self.before, now=self.after.now, roll=self.after.roll) == self.after

    def does(self, *kinds: type[Effect]) -> bool:
        """Whether one of the effects is of these kinds."""
        return bool(self.effects) and any(isinstance(effect, kinds) for effect in self.effects)


Rule = Callable[[Step], bool]
"""True when the step keeps the invariant. The first line of its docstring says what it demands."""


# -- sockets and generations -------------------------------------------------------------------------------------------


def opens_only_without_a_socket(step: Step) -> bool:
    """A socket is opened only from a state without one, for the next generation, and nothing else makes one."""
    opened = step.does(OpenSocket)
    return opened == (step.after.gen != step.before.gen) and (
        not opened or (step.before.state not in SOCKET_STATES and step.after.gen == step.before.gen + 1)
    )


def handshakes_follow_hello_or_a_grant(step: Step) -> bool:
    """RESUME is sent on this generation's HELLO only, IDENTIFY on its grant only."""
    event, state = step.event, step.before.state
    return (not step.does(SendResume) or (isinstance(event, events.Hello) and state is State.AWAITING_HELLO)) and (
        not step.does(SendIdentify)
        or (isinstance(event, events.SlotGranted) and state is State.AWAITING_IDENTIFY_SLOT and step.current)
    )


def the_end_is_the_end(step: Step) -> bool:
    """Nothing leaves `stopped` and `failed`, and nothing is done there but giving a slot back."""
    if step.before.state not in OVER:
        return True
    return step.unchanged and all(isinstance(effect, ReturnSlot) for effect in step.effects)


def late_events_act_on_nothing(step: Step) -> bool:
    """An event of an ended generation changes nothing; a slot that it grants goes back."""
    if step.current:
        return True
    event = step.event
    slot = (ReturnSlot(event.gen),) if isinstance(event, events.SlotGranted) else ()
    return step.unchanged and step.effects == slot


def late_answers_act_on_nothing(step: Step) -> bool:
    """An answer to a metadata request that was given up changes nothing."""
    event = step.event
    if not isinstance(event, (events.MetadataFetched, events.MetadataFailed)):
        return True
    awaited = step.before.state is State.FETCHING_METADATA and event.request == step.before.request
    return awaited or (step.unchanged and not step.effects)


def effects_stay_in_their_generation(step: Step) -> bool:
    """Every effect on a connection names the generation that it was made under."""
    for effect in step.effects:
        if isinstance(effect, ReturnSlot):
            if not isinstance(step.event, events.SlotGranted) or effect.gen != step.event.gen:
                return False
        elif isinstance(effect, _ON_A_CONNECTION) and effect.gen != step.after.gen:
            return False
    return True


_ON_A_CONNECTION: Final = (
    OpenSocket,
    CloseKeepingSession,
    CloseEndingSession,
    AbortSocket,
    RequestSlot,
    WithdrawSlot,
    SendIdentify,
    SendResume,
    SendHeartbeat,
)

# -- failures ----------------------------------------------------------------------------------------------------------


def fatal_codes_fail(step: Step) -> bool:
    """A fatal close code of the current socket leads to `failed`."""
    event = step.event
    fatal = isinstance(event, events.Closed) and event.code in FATAL_CODES
    there = step.current and step.before.state in _OPEN
    return not (fatal and there) or step.after.state is State.FAILED


def the_first_failure_stays(step: Step) -> bool:
    """A failure that is known is never replaced by a later one."""
    return step.before.failure is None or step.after.failure == step.before.failure


# -- the session -------------------------------------------------------------------------------------------------------


def _ends_session(step: Step) -> bool:
    """The event takes the session with it, whatever else is remembered."""
    event, state = step.event, step.before.state
    match event:
        case events.Stop() | events.ForceIdentify():
            return step.row.kind is RowKind.TAKE
        case events.Closed():
            return step.current and state in _OPEN and event.code in SESSION_ENDING_CODES
        case events.SessionInvalidated():
            return step.current and (state in _EARLY or (state in LIVE and not event.resumable))
        case _:
            return False


def sessions_end_when_they_must(step: Step) -> bool:
    """A session-ending close, INVALID_SESSION as its state demands, `stop` and `force_identify` drop the session."""
    return not _ends_session(step) or step.after.session is None


def sessions_end_only_when_they_must(step: Step) -> bool:
    """Nothing else drops a session, but failed resumes and HELLO stalls, which the history counts."""
    if step.before.session is None or step.after.session is not None:
        return True
    failed_resume = step.before.state is State.RESUMING and step.after.state is not State.READY
    hello_stall = step.before.state is State.AWAITING_HELLO and isinstance(step.event, events.DeadlinePassed)
    return _ends_session(step) or failed_resume or hello_stall


def only_ready_begins_a_session(step: Step) -> bool:
    """A session is replaced whole, by READY."""
    before, after = step.before.session, step.after.session
    if after is None or isinstance(step.event, events.Ready):
        return True
    return before is not None and attrs.evolve(before, resume_url=after.resume_url) == after


def only_success_forgives(step: Step) -> bool:
    """READY and RESUMED alone reset stalls and failed resumes; an ACK in `ready` alone resets the attempts."""
    before, after = step.before, step.after
    forgiven = after.stalls < before.stalls or after.failed_resumes < before.failed_resumes
    if forgiven and not isinstance(step.event, (events.Ready, events.Resumed)):
        return False
    acked = before.state is State.READY and isinstance(step.event, events.HeartbeatAcked)
    refunded = isinstance(step.event, events.SlotUnavailable) and after.attempts == before.attempts - 1
    return (after.attempts >= before.attempts or acked or refunded) and (after.identifies >= before.identifies or acked)


def an_absence_lasts_until_a_proof(step: Step) -> bool:
    """Leaving `ready` begins an absence unless one lasts already; an ACK in `ready` alone ends it."""
    before, after = step.before, step.after
    if before.not_ready_since is None:
        left = before.state is State.READY and after.state is not State.READY
        return after.not_ready_since == (after.now if left else None)
    acked = before.state is State.READY and isinstance(step.event, events.HeartbeatAcked)
    return after.not_ready_since == before.not_ready_since or (acked and after.not_ready_since is None)


def a_grant_is_used_or_returned(step: Step) -> bool:
    """Every granted slot is spent on an IDENTIFY in the same step, or given back."""
    if not isinstance(step.event, events.SlotGranted):
        return not step.does(SendIdentify, ReturnSlot)
    return len(step.effects) == 1 and step.does(SendIdentify, ReturnSlot)


def only_ends_are_closed_with_1000(step: Step) -> bool:
    """1000 is sent for `stop` and `force_identify` only, with the session gone; a live socket is stopped with it."""
    if step.does(CloseEndingSession):
        return step.after.session is None and isinstance(step.event, (events.Stop, events.ForceIdentify))
    return not (isinstance(step.event, events.Stop) and step.before.state in LIVE)


def the_sequence_never_goes_back(step: Step) -> bool:
    """Within one session the received sequence only grows."""
    before, after = step.before, step.after
    same = before.session is not None and after.session is not None and not isinstance(step.event, events.Ready)
    return not same or before.received is None or (after.received is not None and after.received >= before.received)


def dispatches_are_delivered(step: Step) -> bool:
    """Every dispatch of a session's connection is handed over once, in the step that saw it; nothing else is."""
    event, state = step.event, step.before.state
    match event:
        case events.Dispatched() | events.Ready():
            due = step.current and state in _HANDSHAKEN
        case events.Resumed():
            due = step.current and state in {State.RESUMING, State.READY}
        case _:
            due = False
    return [effect for effect in step.effects if isinstance(effect, Deliver)] == ([Deliver()] if due else [])


# -- requests and timers -----------------------------------------------------------------------------------------------


def no_request_is_dropped(step: Step) -> bool:
    """A command does something, or what it asks for is so already or on its way; everything else raises."""
    if step.event.kind is not events.EventKind.COMMAND or step.row.kind is RowKind.TAKE:
        return True
    before = step.before
    then = before.then if before.state is State.DRAINING else None
    match step.event:
        case events.Stop():
            return before.state in OVER or then in {Then.STOP, Then.FAIL}
        case events.Suspend():
            return before.state is State.SUSPENDED or then is Then.SUSPEND
        case events.ForceIdentify():
            return before.state is State.CONNECTING and before.session is None
        case _:
            return False


def connect_wakes_or_comes_back(step: Step) -> bool:
    """connect() is taken in `backing_off` and `suspended` only: everywhere else the shard connects by itself."""
    if not isinstance(step.event, events.Connect) or step.row.kind is RowKind.REFUSE:
        return True
    return step.before.state in {State.BACKING_OFF, State.SUSPENDED}


def deadlines_move_only_where_declared(step: Step) -> bool:
    """A deadline runs from the entry of its state; the declared re-arms alone move it, and never past the cap."""
    before, after = step.before, step.after
    if step.row.target is not None or after.deadline == before.deadline:
        return True
    where: dict[State, tuple[type[Event], ...]] = {
        State.AWAITING_IDENTIFY_SLOT: (events.SlotQueued,),
        State.IDENTIFIED: (events.DeadlinePassed,),
        State.RESUMING: (events.Dispatched, events.DeadlinePassed),
    }
    declared = isinstance(step.event, where.get(before.state, ()))
    return declared and after.deadline is not None and after.cap is not None and after.deadline <= after.cap


def beats_are_scheduled_by_beats(step: Step) -> bool:
    """HELLO arms the heartbeat, a beat re-arms it, leaving the socket disarms it; nothing else touches it."""
    before, after = step.before, step.after
    if after.beat_at == before.beat_at or after.beat_at is None:
        return True
    first = isinstance(step.event, events.Hello) and before.state is State.AWAITING_HELLO
    return first or isinstance(step.event, events.HeartbeatDue)


def requested_beats_judge_nothing(step: Step) -> bool:
    """A beat that the server asks for is sent at once and changes nothing else."""
    if not isinstance(step.event, events.HeartbeatRequested):
        return True
    due = step.current and step.before.state in LIVE
    return step.unchanged and len(step.effects) == due and (not due or step.does(SendHeartbeat))


def paused_readers_are_no_zombies(step: Step) -> bool:
    """While reading is paused, neither a missing ACK nor a missing message proves anything."""
    before = step.before
    match step.event:
        case events.HeartbeatDue():
            excused = before.paused_since_beat
        case events.DeadlinePassed():
            excused = before.paused and before.state in {State.AWAITING_HELLO, State.IDENTIFIED, State.RESUMING}
        case _:
            excused = False
    return not (excused and step.after.state is State.STALLED)
