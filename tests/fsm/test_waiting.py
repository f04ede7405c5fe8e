"""Waiting: for READY, for a slot, between attempts; and what ends the count of attempts."""

import itertools

import pytest

from gatewright.harness.walks import Walk
from gatewright.spec.effects import FetchMetadata, OpenSocket, ReturnSlot, SendIdentify, WithdrawSlot
from gatewright.spec.events import (
    Closed,
    Command,
    Connect,
    ConnectFailed,
    ForceIdentify,
    HeartbeatAcked,
    Hello,
    MetadataFetched,
    Reconnect,
    ReconnectRequested,
    SlotGranted,
    SlotQueued,
    SlotRefusal,
    SlotUnavailable,
)
from gatewright.spec.settings import Settings
from gatewright.spec.states import Cause, State
from tests.fsm.standing import again, at, does, made, opened, proven, wait_of, where
from tests.support.conforms import conforms


def acknowledging(walk: Walk, seconds: float) -> None:
    """Time passes while every heartbeat is acknowledged and nothing else is said."""
    end = walk.now + seconds
    while (due := walk.core.next_deadline()) is not None and due <= end:
        walk.elapse()
        socket = walk.outside.socket
        if socket is not None and socket.beats and where(walk) is State.IDENTIFIED:
            walk.must(HeartbeatAcked(walk.gen))
        if where(walk) is not State.IDENTIFIED:
            return
    walk.now = end


def attempts(walk: Walk) -> int:
    return walk.core.snapshot().attempts


def wait_before(walk: Walk) -> float:
    """How long the last back-off took."""
    times = [record.time for record in walk.core.journal if State.BACKING_OFF in (record.state, record.to)]
    return times[-1] - times[-2]


# -- READY -------------------------------------------------------------------------------------------------------------


@conforms("A13", "P20")
def test_ready_is_awaited_for_two_minutes() -> None:
    walk = at(State.IDENTIFIED)
    assert walk.core.snapshot(walk.now).deadline_in == 120.0


@conforms("A13", "P20")
def test_while_heartbeats_are_acknowledged_ready_is_awaited_longer_each_time_for_an_hour() -> None:
    walk = at(State.IDENTIFIED)
    acknowledging(walk, 4000.0)
    patience = [record.time for record in walk.core.journal if record.row == "identified.deadline_passed.patient"]
    assert patience == [pytest.approx(120.0), pytest.approx(360.0), pytest.approx(840.0), pytest.approx(1800.0)]
    assert where(walk) is State.STALLED
    assert walk.now == pytest.approx(3600.0)


def test_when_acks_cease_ready_is_awaited_no_longer() -> None:
    walk = at(State.IDENTIFIED)
    acknowledging(walk, 130.0)
    while where(walk) is State.IDENTIFIED:
        walk.elapse()
    assert walk.now < 360.0


def test_a_peer_that_acknowledged_nothing_is_left_after_two_minutes() -> None:
    # The first beat falls after the deadline here, so that no zombie is seen before it.
    walk = at(State.AWAITING_HELLO, random=lambda: 0.9)
    walk.must(Hello(walk.gen, 600.0))
    walk.reach(State.IDENTIFIED)
    start = walk.now
    walk.elapse()
    assert (where(walk), walk.now - start) == (State.STALLED, 120.0)


def test_in_strict_start_up_acks_buy_no_time() -> None:
    walk = at(State.IDENTIFIED, Settings(strict_startup=True, strict_ready_timeout=100.0))
    acknowledging(walk, 1000.0)
    assert where(walk) is State.STALLED
    assert walk.now == pytest.approx(100.0)


def test_after_the_first_ready_strict_start_up_is_over() -> None:
    walk = at(State.READY, Settings(strict_startup=True))
    walk.must(Closed(walk.gen, 4009))
    walk.reach(State.IDENTIFIED)
    walk.wait(15.0)
    assert where(walk) is State.IDENTIFIED


# -- slots -------------------------------------------------------------------------------------------------------------


@conforms("P22", "P27")
def test_identify_is_sent_in_the_step_of_the_grant() -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT)
    walk.must(SlotGranted(walk.gen))
    assert walk.made == (SendIdentify(gen=walk.gen),)


def test_a_slot_is_awaited_for_as_long_as_the_gate_estimates_and_thirty_seconds() -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT)
    walk.must(SlotQueued(walk.gen, eta=90.0))
    assert walk.core.snapshot(walk.now).deadline_in == 120.0


def test_no_estimate_moves_the_wait_for_a_slot_beyond_its_cap() -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT, Settings(slot_wait_max=100.0))
    walk.must(SlotQueued(walk.gen, eta=1e9))
    assert walk.core.snapshot(walk.now).deadline_in == 100.0


def test_a_gate_that_says_nothing_is_given_up() -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT, Settings(slot_timeout=10.0))
    walk.elapse()
    assert (where(walk), walk.core.snapshot().stalled_in) == (State.STALLED, State.AWAITING_IDENTIFY_SLOT)
    assert isinstance(walk.made[0], WithdrawSlot)


def test_a_grant_that_comes_too_late_is_given_back() -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT)
    walk.must(ReconnectRequested(walk.gen))
    walk.must(SlotGranted(walk.gen))
    assert walk.made == (ReturnSlot(gen=walk.gen),)


@conforms("A11", "P53")
def test_a_grant_for_an_older_connection_is_given_back_and_not_used() -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT)
    old = walk.gen
    again(walk, State.AWAITING_IDENTIFY_SLOT)
    walk.must(SlotGranted(old))
    assert walk.made == (ReturnSlot(gen=old),)
    assert where(walk) is State.AWAITING_IDENTIFY_SLOT


@pytest.mark.parametrize(("refusal", "cause"), [(SlotRefusal.OUTAGE, Cause.GATE), (SlotRefusal.BUDGET, Cause.BUDGET)])
def test_without_a_slot_the_shard_waits_as_long_as_the_gate_says(refusal: SlotRefusal, cause: Cause) -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT)
    walk.must(SlotUnavailable(walk.gen, refusal, retry_after=77.0))
    walk.reach(State.BACKING_OFF)
    assert (wait_of(walk), walk.core.snapshot().cause) == (77.0, cause)


@conforms("P30", "A22")
@pytest.mark.parametrize("ends", [None, Connect(), Reconnect(), ForceIdentify()])
def test_after_the_budget_was_refused_it_is_asked_for_before_the_next_attempt(ends: Command | None) -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT)
    walk.must(SlotUnavailable(walk.gen, SlotRefusal.BUDGET, retry_after=77.0))
    walk.reach(State.BACKING_OFF)
    if ends is None:
        walk.elapse()
    else:
        walk.must(ends)
    assert (where(walk), [type(effect) for effect in walk.made]) == (State.FETCHING_METADATA, [FetchMetadata])


def test_a_gate_that_is_out_costs_no_metadata_request() -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT)
    walk.must(SlotUnavailable(walk.gen, SlotRefusal.OUTAGE, retry_after=77.0))
    walk.reach(State.BACKING_OFF)
    walk.elapse()
    assert where(walk) is State.CONNECTING


def test_a_refusal_of_the_gate_counts_as_no_attempt() -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT, Settings(max_attempts=2))
    for _ in range(5):
        walk.must(SlotUnavailable(walk.gen, retry_after=1.0))
        walk.reach(State.AWAITING_IDENTIFY_SLOT)
    assert attempts(walk) == 1


def test_a_gate_that_names_no_time_is_not_asked_again_at_once() -> None:
    walk = at(State.AWAITING_IDENTIFY_SLOT)
    walk.must(SlotUnavailable(walk.gen, retry_after=0.0))
    walk.reach(State.BACKING_OFF)
    assert wait_of(walk) >= 1.0


# -- the back-off ------------------------------------------------------------------------------------------------------


@conforms("P52")
def test_attempts_in_a_row_wait_twice_as_long_each_time_up_to_thirty_seconds() -> None:
    walk = at(State.CONNECTING)
    waits: list[float] = []
    for _ in range(8):
        walk.must(ConnectFailed(walk.gen))
        waits.append(wait_of(walk))
        walk.reach(State.CONNECTING)
    assert waits == [pytest.approx(wait) for wait in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0)]


@pytest.mark.parametrize(("roll", "factor"), [(0.0, 0.85), (0.5, 1.0), (0.999_999, 1.15)])
@conforms("P52")
def test_the_delay_is_spread_by_the_die(roll: float, factor: float) -> None:
    walk = at(State.CONNECTING, random=lambda: roll)
    walk.must(ConnectFailed(walk.gen))
    assert wait_of(walk) == pytest.approx(factor, abs=1e-3)


@pytest.mark.parametrize("code", [None, 1000, 1001, 4000, 4001, 4005])
@conforms("P52")
def test_after_the_first_drop_there_is_no_wait(code: int | None) -> None:
    walk = proven()
    walk.must(Closed(walk.gen, code))
    assert wait_of(walk) == 0.0


def test_drops_that_repeat_wait() -> None:
    walk = at(State.READY)
    again(walk, State.READY)
    walk.must(Closed(walk.gen))
    assert wait_of(walk) == pytest.approx(1.0)


def test_after_a_proof_only_the_first_drop_is_followed_at_once() -> None:
    walk = proven()
    again(walk, State.READY)
    walk.must(Closed(walk.gen))
    assert wait_of(walk) > 0.0


def test_a_delay_that_was_long_for_another_reason_stays_long() -> None:
    walk = at(State.READY)
    walk.must(Closed(walk.gen, 4008))
    assert wait_of(walk) == pytest.approx(60.0)


@pytest.mark.parametrize("command", [Connect(), Reconnect(), ForceIdentify()])
def test_a_verb_of_the_user_wakes_a_back_off(command: Connect | Reconnect | ForceIdentify) -> None:
    walk = at(State.READY)
    walk.must(Closed(walk.gen, 4008))
    walk.must(command)
    assert (where(walk), made(walk, OpenSocket).gen) == (State.CONNECTING, 2)


def test_waking_a_back_off_keeps_its_session_unless_another_is_wanted() -> None:
    plans: list[bool] = []
    for command in (Connect(), Reconnect(), ForceIdentify()):
        walk = at(State.READY)
        walk.must(Closed(walk.gen))
        walk.must(command)
        plans.append(made(walk, OpenSocket).resume)
    assert plans == [True, True, False]


@pytest.mark.parametrize("command", [Connect(), Reconnect(), ForceIdentify()])
def test_waking_a_back_off_whose_url_is_unknown_looks_it_up_first(
    command: Connect | Reconnect | ForceIdentify,
) -> None:
    walk = at(State.FETCHING_METADATA)
    walk.elapse()  # the fallback
    walk.must(ConnectFailed(walk.gen))
    walk.must(command)
    assert does(walk, FetchMetadata)
    assert where(walk) is State.FETCHING_METADATA


def test_there_is_no_cap_on_attempts_unless_one_was_asked_for() -> None:
    walk = at(State.CONNECTING)
    for _ in range(100):
        walk.must(ConnectFailed(walk.gen))
        walk.reach(State.CONNECTING)
    assert attempts(walk) == 101


def test_a_cap_that_was_asked_for_ends_the_shard() -> None:
    walk = at(State.CONNECTING, Settings(max_attempts=2))
    walk.must(ConnectFailed(walk.gen))
    walk.elapse()
    walk.must(ConnectFailed(walk.gen))
    walk.elapse()
    assert where(walk) is State.FAILED
    assert walk.core.failure is not None
    assert walk.core.failure.kind == "attempts"


# -- what proves a session ---------------------------------------------------------------------------------------------


def test_ready_alone_does_not_end_the_count_of_attempts() -> None:
    assert attempts(at(State.READY)) == 1


def test_the_first_ack_of_a_beat_scheduled_in_ready_ends_the_count() -> None:
    walk = at(State.READY)
    walk.elapse()
    assert attempts(walk) == 1
    walk.must(HeartbeatAcked(walk.gen))
    assert attempts(walk) == 0


def test_the_ack_of_a_beat_that_was_sent_before_ready_proves_nothing() -> None:
    walk = at(State.IDENTIFIED)
    walk.elapse()
    walk.must(walk.outside.ready(walk.gen))
    walk.must(HeartbeatAcked(walk.gen))
    assert (where(walk), attempts(walk)) == (State.READY, 1)


def test_an_ack_without_a_scheduled_beat_proves_nothing() -> None:
    walk = at(State.READY)
    walk.must(HeartbeatAcked(walk.gen))
    assert attempts(walk) == 1


# -- IDENTIFYs that repeat ---------------------------------------------------------------------------------------------


def refused(walk: Walk) -> float:
    """Comes to IDENTIFY, and has its session ended; gives when IDENTIFY was sent."""
    walk.reach(State.IDENTIFIED)
    sent = walk.now
    walk.must(Closed(walk.gen, 4009))
    return sent


@pytest.mark.parametrize("shards", [1, 3])
@conforms("P30", "P52")
def test_identifies_that_repeat_are_spaced_so_that_they_last_for_a_day(shards: int) -> None:
    walk = at(State.CONNECTING, Settings(shard_count=shards))
    sent = [refused(walk) for _ in range(5)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert gaps[0] < 5.0
    assert gaps[1:] == [pytest.approx(86.4 * shards)] * 3


def test_a_smaller_budget_spaces_them_further_apart() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.must(MetadataFetched(1, "wss://main.example/", total=100))
    refused(walk)
    first = refused(walk)
    assert refused(walk) - first == pytest.approx(864.0)


@conforms("P29")
def test_a_larger_budget_does_not_bring_them_closer() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.must(MetadataFetched(1, "wss://main.example/", total=100_000))
    refused(walk)
    first = refused(walk)
    assert refused(walk) - first == pytest.approx(86.4)


def test_a_proven_session_ends_the_spacing() -> None:
    walk = at(State.CONNECTING)
    refused(walk)
    refused(walk)
    walk.reach(State.READY)
    walk.elapse()
    walk.must(HeartbeatAcked(walk.gen))
    walk.must(Closed(walk.gen, 4009))
    assert wait_of(walk) == 0.0


@conforms("P41", "P52")
def test_resumes_are_not_spaced() -> None:
    walk = at(State.CONNECTING)
    refused(walk)
    refused(walk)
    walk.reach(State.READY)
    walk.must(Closed(walk.gen))
    assert opened(walk).resume
    assert wait_before(walk) < 31.0
