"""Heartbeats: what makes a zombie and what does not, and what a paused reader changes."""

import pytest

from gatewright.harness.walks import Walk
from gatewright.spec.effects import CloseKeepingSession, SendHeartbeat, WithdrawSlot
from gatewright.spec.events import (
    Dispatched,
    HeartbeatAcked,
    HeartbeatRequested,
    Hello,
    ReadingPaused,
    ReadingResumed,
    SlotQueued,
)
from gatewright.spec.settings import Settings
from gatewright.spec.states import HEARTBEAT_STATES, State
from tests.fsm.standing import at, does, made, resuming, session_id, where
from tests.support.conforms import conforms

INTERVAL = 40.0


def beating(state: State) -> Walk:
    """A shard in one of the states with heartbeats, whose deadline is far away."""
    if state is State.RESUMING:
        return resuming()
    walk = at(state)
    if state is State.AWAITING_IDENTIFY_SLOT:
        walk.must(SlotQueued(walk.gen, eta=10_000.0))
    return walk


def ack(walk: Walk) -> None:
    walk.must(HeartbeatAcked(walk.gen))


def until_left(walk: Walk) -> int:
    """Lets timers pass until the socket is left; gives how many heartbeats were sent meanwhile."""
    beats = 0
    while where(walk) not in {State.STALLED, State.DRAINING}:
        walk.elapse()
        beats += sum(isinstance(effect, SendHeartbeat) for effect in walk.made)
        assert beats < 50
    return beats


# -- scheduled beats ---------------------------------------------------------------------------------------------------


@conforms("P13")
def test_hello_starts_the_heartbeat_before_any_session() -> None:
    walk = at(State.AWAITING_HELLO)
    walk.must(Hello(walk.gen, INTERVAL))
    walk.wait(INTERVAL / 2)
    assert made(walk, SendHeartbeat) == SendHeartbeat(gen=walk.gen, seq=None)


@conforms("P15")
def test_a_heartbeat_carries_the_last_sequence() -> None:
    walk = at(State.READY)
    walk.must(Dispatched(walk.gen, seq=12))
    walk.elapse()
    assert made(walk, SendHeartbeat).seq == 12


@conforms("P15")
def test_a_heartbeat_while_resuming_carries_the_stored_sequence() -> None:
    walk = resuming()
    walk.elapse()
    assert made(walk, SendHeartbeat).seq == 1


@conforms("P14", "P17")
def test_heartbeats_follow_each_other_by_the_interval() -> None:
    walk = at(State.READY)
    walk.elapse()
    first = walk.now
    ack(walk)
    walk.elapse()
    assert walk.now - first == INTERVAL


@conforms("P17")
def test_a_second_hello_changes_neither_schedule_nor_interval() -> None:
    walk = at(State.READY)
    before = walk.core.next_deadline()
    walk.must(Hello(walk.gen, 1.0))
    assert (walk.core.next_deadline(), walk.core.interval) == (before, INTERVAL)


# -- zombies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", HEARTBEAT_STATES)
@conforms("P18")
def test_a_beat_without_an_ack_when_the_next_is_due_is_a_zombie(state: State) -> None:
    walk = beating(state)
    assert until_left(walk) == 1
    assert (where(walk), walk.core.snapshot().stalled_in) == (State.STALLED, state)


@pytest.mark.parametrize("state", HEARTBEAT_STATES)
@conforms("P18")
def test_an_ack_in_time_is_no_zombie(state: State) -> None:
    walk = beating(state)
    walk.elapse()
    ack(walk)
    walk.elapse()
    assert (where(walk), does(walk, SendHeartbeat)) == (state, True)


@conforms("P18", "P50")
def test_a_zombie_is_closed_with_a_code_that_keeps_the_session() -> None:
    walk = at(State.READY)
    until_left(walk)
    assert does(walk, CloseKeepingSession)
    assert session_id(walk) == "session 1"


def test_a_zombie_that_waits_for_a_slot_takes_its_request_back() -> None:
    walk = beating(State.AWAITING_IDENTIFY_SLOT)
    until_left(walk)
    assert does(walk, WithdrawSlot, CloseKeepingSession)


def test_the_first_beat_of_a_connection_is_never_judged() -> None:
    walk = at(State.READY)
    walk.elapse()
    assert where(walk) is State.READY


def test_an_ack_that_nobody_asked_for_is_harmless() -> None:
    walk = at(State.READY)
    ack(walk)
    ack(walk)
    walk.elapse()
    assert (where(walk), does(walk, SendHeartbeat)) == (State.READY, True)


@conforms("A07")
def test_dispatches_prove_no_liveness() -> None:
    walk = at(State.READY)
    walk.elapse()
    walk.must(Dispatched(walk.gen, seq=5))
    walk.elapse()
    assert where(walk) is State.STALLED


def test_the_round_trip_is_measured_from_the_issue_of_the_beat() -> None:
    walk = at(State.READY)
    walk.elapse()
    walk.wait(0.125)
    ack(walk)
    assert walk.core.snapshot().latency == 0.125


# -- beats that the server asks for ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.AWAITING_HELLO, *HEARTBEAT_STATES])
@conforms("P19")
def test_a_beat_that_the_server_asks_for_is_sent_at_once(state: State) -> None:
    walk = at(state) if state is State.AWAITING_HELLO else beating(state)
    walk.must(HeartbeatRequested(walk.gen))
    assert does(walk, SendHeartbeat)


@conforms("P19")
def test_a_requested_beat_does_not_move_the_schedule() -> None:
    walk = at(State.READY)
    before = walk.core.next_deadline()
    walk.must(HeartbeatRequested(walk.gen))
    assert walk.core.next_deadline() == before


@conforms("A08")
def test_a_requested_beat_without_an_ack_makes_no_zombie() -> None:
    walk = at(State.READY)
    walk.elapse()
    ack(walk)
    walk.must(HeartbeatRequested(walk.gen))  # a moment before the next is due, and never acknowledged
    walk.elapse()
    assert where(walk) is State.READY


@conforms("A08", "P18")
def test_a_requested_beat_does_not_hide_a_zombie() -> None:
    walk = at(State.READY)
    walk.elapse()
    walk.must(HeartbeatRequested(walk.gen))
    walk.elapse()
    assert where(walk) is State.STALLED


@conforms("A08")
def test_the_ack_of_a_requested_beat_clears_the_one_that_is_outstanding() -> None:
    walk = at(State.READY)
    walk.elapse()
    walk.must(HeartbeatRequested(walk.gen))
    ack(walk)
    walk.elapse()
    assert where(walk) is State.READY


# -- a paused reader ---------------------------------------------------------------------------------------------------


def paused(walk: Walk) -> Walk:
    walk.must(ReadingPaused(walk.gen))
    return walk


@pytest.mark.parametrize("state", [State.AWAITING_IDENTIFY_SLOT, State.RESUMING, State.READY])
def test_while_reading_is_paused_no_zombie_is_seen(state: State) -> None:
    walk = paused(beating(state))
    for _ in range(3):
        walk.elapse()
    assert (where(walk), does(walk, SendHeartbeat)) == (state, True)


@conforms("A07")
def test_a_pause_after_the_beat_excuses_the_missing_ack() -> None:
    walk = at(State.READY)
    walk.elapse()
    paused(walk)
    walk.must(ReadingResumed(walk.gen))
    walk.elapse()
    assert where(walk) is State.READY


def test_after_reading_goes_on_the_next_missing_ack_is_a_zombie() -> None:
    walk = paused(at(State.READY))
    walk.elapse()
    walk.must(ReadingResumed(walk.gen))
    walk.elapse()  # issued while nothing was paused
    walk.elapse()
    assert where(walk) is State.STALLED


def test_a_reader_that_is_paused_for_too_long_leaves_with_the_session() -> None:
    walk = paused(at(State.READY))
    assert until_left(walk) == walk.core.settings.max_paused_beats
    assert does(walk, CloseKeepingSession)
    assert (where(walk), walk.core.snapshot().cause) == (State.DRAINING, "reading_paused")
    assert session_id(walk) == "session 1"


def test_reading_again_begins_the_count_of_paused_beats_anew() -> None:
    walk = paused(at(State.READY, Settings(max_paused_beats=2)))
    for _ in range(6):
        walk.elapse()
        walk.must(ReadingResumed(walk.gen))
        paused(walk)
    assert where(walk) is State.READY


def test_a_paused_reader_of_the_old_socket_is_forgotten_on_the_next() -> None:
    walk = paused(at(State.READY))
    until_left(walk)
    walk.reach(State.READY)
    assert not walk.core.snapshot().reading_paused
    assert until_left(walk) == 1


def test_a_replay_that_is_paused_is_not_given_up_as_silent() -> None:
    walk = paused(resuming(Settings(max_paused_beats=100)))
    for _ in range(5):
        walk.elapse()
    assert walk.now > 120.0
    assert where(walk) is State.RESUMING


def test_a_replay_that_is_paused_is_given_up_at_the_cap() -> None:
    walk = paused(resuming(Settings(max_paused_beats=100)))
    until_left(walk)
    assert walk.now == pytest.approx(600.0)


def test_a_ready_that_lies_unread_costs_no_identify() -> None:
    walk = paused(at(State.IDENTIFIED, Settings(max_paused_beats=100)))
    while walk.now < 300.0:
        walk.elapse()
    assert where(walk) is State.IDENTIFIED


def test_a_paused_replay_that_reaches_the_cap_is_no_failed_resume() -> None:
    walk = paused(resuming(Settings(max_paused_beats=100, max_failed_resumes=1)))
    until_left(walk)
    assert session_id(walk) == "session 1"


def test_a_hello_that_lies_unread_is_no_stall_of_the_session() -> None:
    walk = at(State.READY)
    until_left(walk)
    for _ in range(3):
        walk.reach(State.AWAITING_HELLO)
        paused(walk)
        walk.wait(30.0)
    assert session_id(walk) == "session 1"
