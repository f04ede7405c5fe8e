"""Coming back: HELLO stalls, the resume URL, failed resumes, and when a session is given up."""

import pytest

from gatewright.harness.outside import MAIN_URL, RESUME_URL
from gatewright.harness.walks import Walk
from gatewright.spec.effects import AbortSocket, CloseKeepingSession, OpenSocket, RequestSlot, SendResume
from gatewright.spec.events import (
    Aborted,
    Closed,
    ConnectFailed,
    Dispatched,
    Event,
    HeartbeatAcked,
    Hello,
    Reconnect,
    ReconnectRequested,
    Resumed,
    SessionInvalidated,
    Stop,
    Suspend,
    WriteBlocked,
)
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from tests.fsm.standing import again, at, does, made, opened, ready, resuming, session_id, where
from tests.support.conforms import conforms


def stall(walk: Walk) -> None:
    """HELLO does not come on the next socket either; the shard backs off."""
    walk.reach(State.AWAITING_HELLO)
    walk.wait(walk.core.settings.hello_timeout)
    assert where(walk) is State.STALLED
    walk.reach(State.BACKING_OFF)


def fail_resume(walk: Walk) -> None:
    """RESUME is sent, and the socket is lost before anything came."""
    walk.reach(State.RESUMING)
    walk.must(Closed(walk.gen))


def opened_plan(walk: Walk) -> bool:
    return made(walk, OpenSocket).resume


def acknowledge(walk: Walk) -> None:
    walk.must(HeartbeatAcked(walk.gen))


def give_up_at(walk: Walk, seconds: float) -> None:
    """The peer acknowledges every heartbeat, and says nothing else until the shard gives up after so long."""
    end = walk.now + seconds
    while where(walk) is State.RESUMING:
        assert walk.now < end
        walk.elapse()
        answer = walk.outside.socket is not None and walk.outside.socket.beats
        if answer and where(walk) is State.RESUMING:
            acknowledge(walk)
    assert where(walk) is State.STALLED
    assert walk.now == pytest.approx(end)


# -- HELLO -------------------------------------------------------------------------------------------------------------


@conforms("A13", "P12")
def test_hello_is_awaited_for_thirty_seconds() -> None:
    walk = at(State.AWAITING_HELLO)
    walk.wait(29.999)
    assert where(walk) is State.AWAITING_HELLO
    walk.wait(0.001)
    assert (where(walk), walk.core.snapshot().stalled_in) == (State.STALLED, State.AWAITING_HELLO)


@conforms("P12", "P36")
def test_the_first_stall_in_a_row_resumes_at_the_resume_url() -> None:
    walk = at(State.READY)
    again(walk, State.AWAITING_HELLO)
    stall(walk)
    assert (opened(walk).url, opened_plan(walk)) == (RESUME_URL, True)


@conforms("A04", "P40")
def test_the_second_stall_in_a_row_resumes_at_the_main_url() -> None:
    walk = at(State.READY)
    again(walk, State.AWAITING_HELLO)
    stall(walk)
    stall(walk)
    assert (opened(walk).url, opened_plan(walk)) == (MAIN_URL, True)


def test_the_third_stall_in_a_row_drops_the_session() -> None:
    walk = at(State.READY)
    again(walk, State.AWAITING_HELLO)
    for _ in range(3):
        assert session_id(walk) == "session 1"
        stall(walk)
    assert session_id(walk) is None


def test_a_session_that_came_back_begins_its_stalls_anew() -> None:
    walk = at(State.READY)
    again(walk, State.AWAITING_HELLO)
    stall(walk)
    stall(walk)
    walk.reach(State.READY)
    again(walk, State.AWAITING_HELLO)
    stall(walk)
    assert session_id(walk) == "session 1"


def test_hello_alone_does_not_end_the_stalls() -> None:
    walk = at(State.READY)
    again(walk, State.AWAITING_HELLO)
    stall(walk)
    stall(walk)
    walk.reach(State.RESUMING)  # HELLO came
    walk.must(Closed(walk.gen))
    stall(walk)
    assert session_id(walk) is None


def test_a_stall_closes_with_a_code_that_keeps_the_session() -> None:
    walk = at(State.READY)
    again(walk, State.AWAITING_HELLO)
    walk.wait(30.0)
    assert does(walk, CloseKeepingSession)


def test_a_stalled_socket_is_aborted_when_the_peer_stays_dark() -> None:
    walk = at(State.AWAITING_HELLO)
    walk.wait(30.0)
    walk.wait(1.0)
    assert does(walk, AbortSocket)
    assert where(walk) is State.BACKING_OFF


def test_a_stall_that_ends_by_itself_needs_no_abort() -> None:
    walk = at(State.CONNECTING)
    walk.wait(20.0)
    walk.must(Aborted(walk.gen))
    assert where(walk) is State.BACKING_OFF


# -- the resume URL ----------------------------------------------------------------------------------------------------


@conforms("A04")
def test_one_connect_failure_keeps_the_resume_url() -> None:
    walk = at(State.READY)
    again(walk, State.CONNECTING)
    walk.must(ConnectFailed(walk.gen))
    assert opened(walk).url == RESUME_URL


@conforms("A04", "P40")
def test_two_connect_failures_resume_through_the_main_url() -> None:
    walk = at(State.READY)
    again(walk, State.CONNECTING)
    walk.must(ConnectFailed(walk.gen))
    walk.elapse()
    walk.must(ConnectFailed(walk.gen))
    assert (opened(walk).url, opened_plan(walk)) == (MAIN_URL, True)


@conforms("P40")
def test_a_host_that_hangs_counts_like_one_that_refuses() -> None:
    walk = at(State.READY)
    again(walk, State.CONNECTING)
    walk.must(ConnectFailed(walk.gen))
    walk.elapse()
    walk.wait(20.0)
    walk.reach(State.BACKING_OFF)
    assert opened(walk).url == MAIN_URL


def test_hello_from_the_resume_url_forgives_its_failures() -> None:
    walk = at(State.READY)
    for _ in range(3):
        again(walk, State.CONNECTING)
        walk.must(ConnectFailed(walk.gen))
        walk.reach(State.READY)
    again(walk, State.CONNECTING)
    assert walk.core.session is not None
    assert walk.core.session.resume_url == RESUME_URL


@conforms("P52")
def test_connect_failures_never_drop_the_session() -> None:
    walk = at(State.READY)
    again(walk, State.CONNECTING)
    for _ in range(20):
        walk.must(ConnectFailed(walk.gen))
        walk.reach(State.CONNECTING)
    assert session_id(walk) == "session 1"


# -- failed resumes ----------------------------------------------------------------------------------------------------


@conforms("P35", "P37")
def test_a_resume_carries_the_session_and_the_last_sequence() -> None:
    walk = at(State.READY)
    walk.must(Dispatched(walk.gen, seq=9))
    again(walk, State.AWAITING_HELLO)
    walk.must(Hello(walk.gen, 40.0))
    assert made(walk, SendResume) == SendResume(gen=walk.gen, session_id="session 1", seq=9)


@conforms("A15")
def test_two_failed_resumes_keep_the_session() -> None:
    walk = resuming()
    for _ in range(2):
        fail_resume(walk)
    assert session_id(walk) == "session 1"


@conforms("A15")
def test_the_third_failed_resume_in_a_row_drops_the_session() -> None:
    walk = resuming()
    for _ in range(3):
        fail_resume(walk)
    assert session_id(walk) is None


@conforms("A15")
def test_after_the_third_failed_resume_the_next_handshake_is_an_identify() -> None:
    walk = resuming()
    for _ in range(3):
        fail_resume(walk)
    walk.reach(State.AWAITING_HELLO)
    walk.must(Hello(walk.gen, 40.0))
    assert does(walk, RequestSlot)


def test_resumed_begins_the_count_anew() -> None:
    walk = resuming()
    fail_resume(walk)
    fail_resume(walk)
    walk.reach(State.READY)
    again(walk, State.RESUMING)
    fail_resume(walk)
    assert session_id(walk) == "session 1"


@pytest.mark.parametrize(
    "lost", [ReconnectRequested(2), WriteBlocked(2), SessionInvalidated(2, True), Closed(2), Closed(2, 4008)]
)
def test_whatever_ends_a_resume_before_progress_it_has_failed(lost: Event) -> None:
    walk = resuming(Settings(max_failed_resumes=1))
    walk.must(lost)
    assert session_id(walk) is None


def test_a_replay_that_moves_the_sequence_is_no_failure() -> None:
    walk = resuming(Settings(max_failed_resumes=1))
    walk.must(Dispatched(walk.gen, seq=2))
    walk.must(Closed(walk.gen))
    assert session_id(walk) == "session 1"


def test_a_replay_that_repeats_old_events_is_no_progress() -> None:
    walk = resuming(Settings(max_failed_resumes=1))
    walk.must(Dispatched(walk.gen, seq=1))
    walk.must(Closed(walk.gen))
    assert session_id(walk) is None


@pytest.mark.parametrize("command", [Reconnect(), Suspend()])
def test_a_resume_that_the_user_leaves_has_not_failed(command: Reconnect | Suspend) -> None:
    walk = resuming(Settings(max_failed_resumes=1))
    walk.must(command)
    assert session_id(walk) == "session 1"


def test_connect_failures_and_stalls_are_no_failed_resumes() -> None:
    walk = at(State.READY, Settings(max_failed_resumes=1))
    again(walk, State.CONNECTING)
    walk.must(ConnectFailed(walk.gen))
    stall(walk)
    stall(walk)
    assert session_id(walk) == "session 1"


@conforms("P31")
def test_a_server_that_answers_resume_with_ready_has_begun_a_new_session() -> None:
    walk = resuming()
    walk.must(ready(walk, "another"))
    assert (where(walk), session_id(walk)) == (State.READY, "another")


def test_a_second_ready_replaces_the_session_whole() -> None:
    walk = at(State.READY)
    walk.must(Dispatched(walk.gen, seq=50))
    walk.must(ready(walk, "another", url=None))
    assert walk.core.session is not None
    assert (walk.core.session.id, walk.core.session.seq, walk.core.session.resume_url) == ("another", 1, None)


@conforms("A16")
def test_a_lower_sequence_in_resumed_moves_nothing() -> None:
    walk = at(State.READY)
    walk.must(Dispatched(walk.gen, seq=9))
    again(walk, State.RESUMING)
    walk.must(Resumed(walk.gen, seq=3))
    assert (where(walk), walk.core.snapshot().received) == (State.READY, 9)


# -- waiting for the replay --------------------------------------------------------------------------------------------


@conforms("A13")
def test_a_replay_without_progress_is_given_up_after_two_minutes() -> None:
    walk = resuming()
    give_up_at(walk, 120.0)


def test_progress_gives_the_replay_its_two_minutes_again() -> None:
    walk = resuming()
    walk.wait(15.0)
    walk.must(Dispatched(walk.gen, seq=2))
    give_up_at(walk, 120.0)


def test_a_repeated_event_gives_the_replay_no_time() -> None:
    walk = resuming()
    walk.wait(15.0)
    walk.must(Dispatched(walk.gen, seq=1))
    give_up_at(walk, 105.0)


def test_a_replay_is_given_up_after_ten_minutes_whatever_its_progress() -> None:
    walk = resuming()
    end = walk.now + 600.0
    seq = 1
    while where(walk) is State.RESUMING:
        assert walk.now <= end
        seq += 1
        walk.must(Dispatched(walk.gen, seq=seq))
        if walk.outside.socket is not None and walk.outside.socket.beats:
            acknowledge(walk)
        walk.elapse()
    assert where(walk) is State.STALLED
    assert walk.now == pytest.approx(end)


def test_a_replay_with_progress_that_is_given_up_is_no_failed_resume() -> None:
    walk = resuming(Settings(max_failed_resumes=1))
    walk.must(Dispatched(walk.gen, seq=2))
    give_up_at(walk, 120.0)
    assert session_id(walk) == "session 1"


def test_stop_drops_the_session_that_is_being_resumed() -> None:
    walk = resuming()
    walk.must(Stop())
    assert session_id(walk) is None
