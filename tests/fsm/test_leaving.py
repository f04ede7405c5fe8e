"""Leaving a socket: op 7 and op 9, stop and suspend from everywhere, and what happens when two reasons meet."""

from collections.abc import Callable

import pytest

from gatewright.harness.outside import MAIN_URL
from gatewright.harness.walks import Walk
from gatewright.spec.effects import (
    AbortSocket,
    CloseEndingSession,
    CloseKeepingSession,
    RequestSlot,
    WithdrawSlot,
)
from gatewright.spec.events import (
    Aborted,
    Closed,
    CloseFlushed,
    ConnectFailed,
    Event,
    ForceIdentify,
    Hello,
    Message,
    Opened,
    ProtocolViolation,
    Ready,
    Reconnect,
    ReconnectRequested,
    SessionInvalidated,
    Stop,
    ViolationKind,
    WriteBlocked,
)
from gatewright.spec.settings import Settings
from gatewright.spec.states import Cause, State
from gatewright.spec.table import LIVE
from tests.fsm.standing import at, does, draining, holding, made, opened, resuming, session_id, wait_of, where
from tests.support.conforms import conforms

HOLDING = (State.RESUMING, State.READY)
"""Live states in which a session is held."""


def live(state: State) -> Walk:
    """A shard in one of the live states."""
    return resuming() if state is State.RESUMING else at(state)


# -- op 7 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", LIVE)
@conforms("P45")
def test_op_7_leaves_from_every_live_state_with_a_code_that_keeps_the_session(state: State) -> None:
    walk = live(state)
    walk.must(ReconnectRequested(walk.gen))
    withdrawn = (WithdrawSlot,) if state is State.AWAITING_IDENTIFY_SLOT else ()
    assert does(walk, *withdrawn, CloseKeepingSession)


@conforms("P11", "P45")
def test_op_7_before_hello_keeps_the_session() -> None:
    walk = holding(State.AWAITING_HELLO)
    walk.must(ReconnectRequested(walk.gen))
    walk.reach(State.BACKING_OFF)
    assert session_id(walk) == "session 1"


@conforms("P52")
def test_the_first_op_7_is_followed_at_once() -> None:
    walk = draining()
    walk.must(CloseFlushed(walk.gen))
    assert wait_of(walk) == 0.0


@conforms("P34", "P45")
def test_after_op_7_the_session_is_resumed() -> None:
    walk = draining()
    walk.must(CloseFlushed(walk.gen))
    assert opened(walk).resume


# -- op 9 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resumable", [False, True])
@pytest.mark.parametrize("state", [State.AWAITING_HELLO, State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED])
@conforms("P46")
def test_before_a_session_is_live_op_9_refuses_the_handshake(state: State, resumable: bool) -> None:
    walk = live(state)
    walk.must(SessionInvalidated(walk.gen, resumable))
    assert where(walk) is State.DRAINING
    assert session_id(walk) is None


@pytest.mark.parametrize("resumable", [False, True])
@conforms("P46")
def test_op_9_before_hello_drops_the_session_that_was_to_be_resumed(resumable: bool) -> None:
    walk = holding(State.AWAITING_HELLO)
    walk.must(SessionInvalidated(walk.gen, resumable))
    assert session_id(walk) is None


@conforms("P39", "P46")
def test_op_9_false_while_resuming_identifies_at_the_main_url() -> None:
    walk = resuming()
    walk.must(SessionInvalidated(walk.gen, resumable=False))
    walk.reach(State.BACKING_OFF)
    socket = opened(walk)
    assert (socket.url, socket.resume) == (MAIN_URL, False)


@conforms("P46", "P47")
def test_op_9_true_while_resuming_is_a_failed_resume() -> None:
    walk = resuming()
    for _ in range(2):
        walk.reach(State.RESUMING)
        walk.must(SessionInvalidated(walk.gen, resumable=True))
    assert session_id(walk) == "session 1"
    walk.reach(State.RESUMING)
    walk.must(SessionInvalidated(walk.gen, resumable=True))
    assert session_id(walk) is None


@conforms("P34", "P46", "P47")
def test_op_9_true_in_ready_resumes() -> None:
    walk = at(State.READY)
    walk.must(SessionInvalidated(walk.gen, resumable=True))
    walk.reach(State.BACKING_OFF)
    assert opened(walk).resume


@conforms("P39", "P46")
def test_op_9_false_in_ready_drops_the_session() -> None:
    walk = at(State.READY)
    walk.must(SessionInvalidated(walk.gen, resumable=False))
    walk.reach(State.BACKING_OFF)
    assert not opened(walk).resume


@pytest.mark.parametrize("roll", [0.0, 0.5, 0.999])
@conforms("A01", "P48")
def test_after_op_9_the_shard_waits_for_one_to_five_seconds(roll: float) -> None:
    walk = at(State.READY, random=lambda: roll)
    walk.must(SessionInvalidated(walk.gen, resumable=True))
    walk.must(CloseFlushed(walk.gen))
    assert wait_of(walk) == pytest.approx(1.0 + 4.0 * roll)


@pytest.mark.parametrize("resumable", [False, True])
@conforms("P53")
def test_op_9_is_void_once_the_socket_is_being_left(resumable: bool) -> None:
    walk = draining()
    walk.must(SessionInvalidated(walk.gen, resumable))
    assert session_id(walk) == "session 1"


@conforms("P53")
def test_op_9_is_void_while_stalled() -> None:
    walk = holding(State.AWAITING_HELLO)
    walk.wait(30.0)
    walk.must(SessionInvalidated(walk.gen, resumable=False))
    assert (where(walk), session_id(walk)) == (State.STALLED, "session 1")


# -- violations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("violation", list(ViolationKind))
@pytest.mark.parametrize("state", LIVE)
def test_what_cannot_be_understood_ends_the_connection(state: State, violation: ViolationKind) -> None:
    walk = live(state)
    walk.must(ProtocolViolation(walk.gen, violation))
    assert (where(walk), walk.core.snapshot().cause) == (State.DRAINING, "violation")


@pytest.mark.parametrize("state", HOLDING)
def test_a_violation_keeps_the_session(state: State) -> None:
    walk = holding(state)
    walk.must(ProtocolViolation(walk.gen, ViolationKind.NOT_JSON))
    assert session_id(walk) == "session 1"


@pytest.mark.parametrize("state", LIVE)
def test_a_blocked_write_aborts_the_socket(state: State) -> None:
    walk = live(state)
    walk.must(WriteBlocked(walk.gen))
    assert where(walk) is State.STALLED
    assert made(walk, AbortSocket).gen == walk.gen


@pytest.mark.parametrize("frame", [Hello(1, 40.0), Ready(1, 9, "late"), ReconnectRequested(1)])
@conforms("P53")
def test_frames_are_void_once_the_socket_is_being_left(frame: Message) -> None:
    walk = draining()
    before = walk.core.snapshot()
    walk.must(frame)
    assert walk.core.snapshot() == before


# -- why it was left ---------------------------------------------------------------------------------------------------

CAUSES: dict[Cause, Callable[[int], Event]] = {
    Cause.DROPPED: Closed,
    Cause.RATE_LIMITED: lambda gen: Closed(gen, 4008),
    Cause.SESSION_ENDED: lambda gen: Closed(gen, 4009),
    Cause.RECONNECT_REQUESTED: ReconnectRequested,
    Cause.INVALID_SESSION: lambda gen: SessionInvalidated(gen, True),
    Cause.VIOLATION: lambda gen: ProtocolViolation(gen, ViolationKind.TOO_LARGE),
    Cause.WRITE_BLOCKED: WriteBlocked,
}


@pytest.mark.parametrize("state", LIVE)
@pytest.mark.parametrize("cause", CAUSES)
def test_the_back_off_says_why_the_connection_was_left(cause: Cause, state: State) -> None:
    walk = live(state)
    walk.must(CAUSES[cause](walk.gen))
    walk.reach(State.BACKING_OFF)
    assert walk.core.snapshot().cause is cause


@pytest.mark.parametrize("state", [State.CONNECTING, *LIVE])
def test_a_blocked_write_and_a_deadline_name_the_phase_in_which_they_came(state: State) -> None:
    if state not in {State.CONNECTING, State.AWAITING_HELLO}:
        walk = live(state)
        walk.must(WriteBlocked(walk.gen))
    else:
        walk = at(state)
        walk.elapse()
    assert walk.core.snapshot().stalled_in is state


@pytest.mark.parametrize("state", [State.CONNECTING, State.AWAITING_HELLO, State.AWAITING_IDENTIFY_SLOT])
def test_a_deadline_that_passed_is_a_stall(state: State) -> None:
    walk = at(state, Settings(slot_timeout=10.0))
    walk.elapse()
    walk.reach(State.BACKING_OFF)
    assert walk.core.snapshot().cause is Cause.STALLED


def test_a_ready_or_resumed_that_does_not_come_is_a_stall() -> None:
    settings = Settings(ready_timeout=10.0, resume_timeout=10.0)
    for walk in (at(State.IDENTIFIED, settings), resuming(settings)):
        walk.elapse()
        assert walk.core.snapshot().cause is Cause.STALLED


def test_a_missing_ack_and_a_missing_hello_are_told_apart() -> None:
    zombie, stalled = at(State.READY), at(State.AWAITING_HELLO)
    zombie.elapse()
    zombie.elapse()
    stalled.elapse()
    assert (zombie.core.snapshot().cause, stalled.core.snapshot().cause) == (Cause.ZOMBIE, Cause.STALLED)


# -- commands that replace a socket or a session -----------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.AWAITING_HELLO, State.RESUMING, State.READY])
def test_reconnect_keeps_the_session(state: State) -> None:
    walk = holding(state)
    walk.must(Reconnect())
    assert does(walk, CloseKeepingSession)
    walk.reach(State.BACKING_OFF)
    assert opened(walk).resume


@pytest.mark.parametrize("state", LIVE)
def test_a_command_that_replaces_the_socket_is_the_cause(state: State) -> None:
    for command in (Reconnect(), ForceIdentify()):
        walk = live(state)
        walk.must(command)
        walk.reach(State.BACKING_OFF)
        assert walk.core.snapshot().cause is Cause.COMMAND


@pytest.mark.parametrize("state", [State.AWAITING_HELLO, State.RESUMING, State.READY])
@conforms("P49")
def test_force_identify_ends_the_session_and_begins_another(state: State) -> None:
    walk = holding(state)
    walk.must(ForceIdentify())
    assert does(walk, CloseEndingSession)
    assert session_id(walk) is None
    walk.reach(State.BACKING_OFF)
    assert not opened(walk).resume
    walk.reach(State.AWAITING_IDENTIFY_SLOT)


def test_force_identify_while_a_resume_is_connecting_turns_to_the_main_url() -> None:
    walk = holding(State.CONNECTING)
    walk.must(ForceIdentify())
    assert does(walk, AbortSocket)
    walk.must(Aborted(walk.gen))
    socket = opened(walk)
    assert (socket.url, socket.resume) == (MAIN_URL, False)


def test_force_identify_while_a_fresh_attempt_is_connecting_changes_nothing() -> None:
    walk = at(State.CONNECTING)
    walk.must(ForceIdentify())
    assert where(walk) is State.CONNECTING


def test_force_identify_while_stalled_leaves_no_session() -> None:
    walk = holding(State.AWAITING_HELLO)
    walk.wait(30.0)
    walk.must(ForceIdentify())
    walk.reach(State.AWAITING_HELLO)
    walk.must(Hello(walk.gen, 40.0))
    assert does(walk, RequestSlot)


@pytest.mark.parametrize("ended", [ConnectFailed(1), Aborted(1), Closed(1)])
def test_whatever_ends_an_aborted_handshake_the_shard_goes_on(ended: Event) -> None:
    walk = at(State.CONNECTING)
    walk.must(Stop())
    walk.must(Opened(1))  # too late: the abort follows
    walk.must(ended)
    assert where(walk) is State.STOPPED
