"""The numbers of a shard are read off the rows that were taken, and agree with what happened."""

import pytest
from hypothesis import given

from gatewright.fsm.metrics import _COUNTED, RECENT_BEATS, Metrics
from gatewright.harness.strategies import hostile, plausible, walks
from gatewright.harness.walks import Move, Walk
from gatewright.spec.effects import OpenSocket, SendIdentify, SendResume
from gatewright.spec.events import (
    Closed,
    Connect,
    Dispatched,
    HeartbeatAcked,
    HeartbeatRequested,
    ProtocolViolation,
    Ready,
    Reconnect,
    ReconnectRequested,
    Register,
    Resumed,
    SessionInvalidated,
    UnknownMessage,
    ViolationKind,
)
from gatewright.spec.states import Cause, State
from gatewright.spec.table import TABLE
from tests.fsm.standing import again, at, resuming, where

DISPATCHES = {Dispatched.name, Ready.name, Resumed.name}


def numbers(walk: Walk) -> Metrics:
    return walk.core.metrics(walk.now)


def absent_since(walk: Walk) -> float | None:
    return walk.core.not_ready_since


def prove(walk: Walk) -> None:
    """The first heartbeat in `ready`, and its ACK."""
    walk.elapse()
    walk.must(HeartbeatAcked(walk.gen))


def test_a_session_without_trouble() -> None:
    walk = at(State.READY)
    for seq in range(2, 12):
        walk.must(Dispatched(walk.gen, seq=seq))
    found = numbers(walk)
    assert (found.connections, found.identifies, found.sessions, found.dispatches) == (1, 1, 1, 11)  # READY is one
    assert (found.resumes, found.zombies, found.replayed, dict(found.reconnects)) == (0, 0, 0, {})
    assert (found.illegal_commands, found.illegal_messages, found.violations, found.ignored) == (0, 0, 0, 0)


def test_a_resume_that_works_and_what_it_replays() -> None:
    walk = resuming()
    for seq in (2, 3):
        walk.must(Dispatched(walk.gen, seq=seq))
    walk.must(Resumed(walk.gen, 4))
    walk.must(Dispatched(walk.gen, seq=5))
    found = numbers(walk)
    assert (found.resumes, found.resumes_good, found.resumes_failed) == (1, 1, 0)
    assert (found.replayed, found.dispatches) == (2, 5)  # READY and RESUMED are dispatches too
    assert dict(found.reconnects) == {Cause.DROPPED: 1}


@pytest.mark.parametrize("how", ["refused", "dropped", "silent", "another session"])
def test_a_resume_that_fails(how: str) -> None:
    walk = resuming()
    match how:
        case "refused":
            walk.must(SessionInvalidated(walk.gen, resumable=False))
        case "dropped":
            walk.must(Closed(walk.gen))
        case "another session":
            walk.must(Ready(walk.gen, 1, "other", None))
        case _:
            while where(walk) is State.RESUMING:  # heartbeats are acknowledged, and nothing else comes
                walk.elapse()
                if where(walk) is State.RESUMING:
                    walk.must(HeartbeatAcked(walk.gen))
    found = numbers(walk)
    assert (found.resumes, found.resumes_good, found.resumes_failed) == (1, 0, 1)


def test_a_resume_that_a_command_ended_says_nothing_against_it() -> None:
    walk = resuming()
    walk.must(Reconnect())
    found = numbers(walk)
    assert (found.resumes, found.resumes_good, found.resumes_failed) == (1, 0, 0)


def test_a_zombie_is_a_zombie_and_a_reason() -> None:
    walk = at(State.READY)
    walk.elapse()
    walk.elapse()
    assert where(walk) is State.STALLED
    walk.must(Closed(walk.gen))
    found = numbers(walk)
    assert (found.zombies, dict(found.reconnects)) == (1, {Cause.ZOMBIE: 1})


def test_reconnects_are_told_apart_by_their_reason() -> None:
    walk = at(State.READY)
    walk.must(ReconnectRequested(walk.gen))
    again(walk, State.READY)
    walk.must(ProtocolViolation(walk.gen, ViolationKind.NOT_JSON))
    again(walk, State.READY)
    again(walk, State.READY)
    found = numbers(walk)
    assert dict(found.reconnects) == {Cause.RECONNECT_REQUESTED: 1, Cause.VIOLATION: 1, Cause.DROPPED: 1}
    assert found.violations == 1
    assert found.as_dict()["reconnects"] == {"reconnect_requested": 1, "violation": 1, "dropped": 1}


def test_what_is_out_of_place_is_counted_by_who_did_it() -> None:
    walk = at(State.READY)
    assert not walk.feed(Connect())
    assert not walk.feed(Register(None))
    walk.must(UnknownMessage(walk.gen, 99))
    walk.must(HeartbeatAcked(walk.gen - 1))
    found = numbers(walk)
    assert (found.illegal_commands, found.illegal_messages, found.ignored) == (2, 1, 1)


# -- not ready ---------------------------------------------------------------------------------------------------------


def test_not_ready_lasts_until_a_session_is_proven() -> None:
    walk = at(State.READY)
    assert absent_since(walk) == 0.0
    prove(walk)
    assert absent_since(walk) is None
    assert (numbers(walk).not_ready_for, walk.core.snapshot(walk.now).not_ready_for) == (None, None)


def test_flapping_does_not_reset_not_ready() -> None:
    walk = at(State.READY)
    prove(walk)
    walk.wait(3.0)
    lost = walk.now
    walk.must(Closed(walk.gen))
    for _ in range(4):  # each comes back and is lost before its first heartbeat
        walk.reach(State.READY)
        walk.wait(1.0)
        assert absent_since(walk) == lost
        walk.must(Closed(walk.gen))
    walk.reach(State.READY)
    assert numbers(walk).not_ready_for == walk.now - lost > 4.0
    prove(walk)
    assert absent_since(walk) is None


def test_an_ack_that_proves_nothing_leaves_not_ready_as_it_is() -> None:
    walk = at(State.READY)
    walk.must(HeartbeatRequested(walk.gen))
    walk.must(HeartbeatAcked(walk.gen))
    assert absent_since(walk) == 0.0


# -- heartbeats --------------------------------------------------------------------------------------------------------


def test_each_beat_has_its_round_trip() -> None:
    walk = at(State.READY)
    for round_trip in (0.1, 0.2, 0.6):
        walk.elapse()
        walk.wait(round_trip)
        walk.must(HeartbeatAcked(walk.gen))
    walk.elapse()
    beats = walk.core.beats
    assert [beat.latency for beat in beats[:3]] == pytest.approx([0.1, 0.2, 0.6])
    assert (beats[3].latency, beats[3].sent_at, beats[3].gen) == (None, walk.now, walk.gen)
    found = numbers(walk)
    assert [found.latency, found.latency_mean] == pytest.approx([0.6, 0.3])


def test_only_the_recent_beats_are_kept() -> None:
    walk = at(State.READY)
    for number in range(RECENT_BEATS + 5):
        walk.elapse()
        walk.wait(1.0 if number < 5 else 0.5)
        walk.must(HeartbeatAcked(walk.gen))
    assert len(walk.core.beats) == RECENT_BEATS
    assert numbers(walk).latency_mean == pytest.approx(0.5)


def test_an_ack_of_a_new_connection_does_not_answer_the_beat_of_the_old_one() -> None:
    walk = at(State.READY)
    walk.elapse()
    again(walk, State.READY)
    walk.must(HeartbeatRequested(walk.gen))
    walk.wait(1.0)
    walk.must(HeartbeatAcked(walk.gen))
    assert [beat.latency for beat in walk.core.beats] == [None]
    assert numbers(walk).latency is None


# -- against what the walks see ----------------------------------------------------------------------------------------


@given(walk=walks(), moves=plausible() | hostile())
def test_the_numbers_agree_with_what_was_done(walk: Walk, moves: list[Move]) -> None:
    walk.take(moves)
    found = walk.core.metrics()
    effects = [name for record in walk.core.journal for name in record.effects]
    records = list(walk.core.journal)
    if walk.core.journal.written > len(records):
        return  # the journal has forgotten the beginning
    assert found.connections == effects.count(OpenSocket.name)
    assert found.identifies == effects.count(SendIdentify.name)
    assert found.resumes == effects.count(SendResume.name) >= found.resumes_good + found.resumes_failed
    assert found.dispatches == sum(record.event in DISPATCHES for record in records)
    assert sum(found.reconnects.values()) == sum(record.moved and record.to is State.BACKING_OFF for record in records)
    acknowledged = [beat.latency for beat in walk.core.beats if beat.latency is not None]
    if acknowledged:
        assert found.latency == acknowledged[-1]


def test_every_counter_counts_some_row() -> None:
    assert [name for name, belongs in _COUNTED.items() if not any(map(belongs, TABLE))] == []
