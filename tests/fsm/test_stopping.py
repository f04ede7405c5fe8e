"""Ending and staying away: stop and suspend from every state, and what happens when two reasons meet."""

import pytest

from gatewright.harness.walks import Walk
from gatewright.spec.effects import (
    AbortSocket,
    CancelMetadata,
    CloseEndingSession,
    CloseKeepingSession,
    Effect,
    OpenSocket,
    UndoRegistrations,
    WithdrawSlot,
)
from gatewright.spec.events import (
    Closed,
    CloseFlushed,
    Connect,
    ConnectFailed,
    ForceIdentify,
    SessionInvalidated,
    Stop,
    Suspend,
)
from gatewright.spec.states import State
from tests.fsm.standing import IMPORTED, at, does, draining, holding, made, opened, resuming, session_id, wait_of, where
from tests.support.conforms import conforms

# -- stop --------------------------------------------------------------------------------------------------------------

STOPS_AT_ONCE: dict[State, tuple[type[Effect], ...]] = {
    State.IDLE: (),
    State.FETCHING_METADATA: (CancelMetadata,),
    State.BACKING_OFF: (),
    State.SUSPENDED: (),
}
STOPS_AFTER: dict[State, tuple[type[Effect], ...]] = {
    State.REGISTERING: (UndoRegistrations,),
    State.CONNECTING: (AbortSocket,),
    State.AWAITING_HELLO: (CloseEndingSession,),
    State.AWAITING_IDENTIFY_SLOT: (WithdrawSlot, CloseEndingSession),
    State.IDENTIFIED: (CloseEndingSession,),
    State.RESUMING: (CloseEndingSession,),
    State.READY: (CloseEndingSession,),
    State.STALLED: (),
    State.DRAINING: (),
}


def anywhere(state: State) -> Walk:
    """A shard in any state but the ends."""
    match state:
        case State.RESUMING:
            return resuming()
        case State.STALLED:
            walk = at(State.AWAITING_HELLO)
            walk.wait(30.0)
        case State.DRAINING:
            walk = draining()
        case State.BACKING_OFF:
            walk = at(State.READY)
            walk.must(Closed(walk.gen))
        case State.SUSPENDED:
            walk = draining(Suspend())
            walk.reach(State.SUSPENDED)
        case _:
            walk = at(state)
    assert where(walk) is state
    return walk


def test_stop_is_tested_in_every_state() -> None:
    assert {*STOPS_AT_ONCE, *STOPS_AFTER, State.STOPPED, State.FAILED} == set(State)


@pytest.mark.parametrize(("state", "effects"), STOPS_AT_ONCE.items())
def test_without_a_socket_stop_is_at_once(state: State, effects: tuple[type[Effect], ...]) -> None:
    walk = anywhere(state)
    walk.must(Stop())
    assert does(walk, *effects)
    assert where(walk) is State.STOPPED


@pytest.mark.parametrize(("state", "effects"), STOPS_AFTER.items())
def test_with_something_to_take_down_stop_begins_to_take_it_down(
    state: State, effects: tuple[type[Effect], ...]
) -> None:
    walk = anywhere(state)
    walk.must(Stop())
    assert does(walk, *effects)
    assert (where(walk), walk.core.snapshot().then) == (State.DRAINING, "stop")


@pytest.mark.parametrize("state", STOPS_AFTER)
def test_stop_ends_within_its_deadline_though_nobody_answers(state: State) -> None:
    walk = anywhere(state)
    asked = walk.now
    walk.must(Stop())
    while where(walk) is not State.STOPPED:
        assert walk.elapse()
    assert walk.now - asked <= 5.0


@pytest.mark.parametrize("state", STOPS_AFTER)
def test_stop_ends_when_everything_is_taken_down(state: State) -> None:
    walk = anywhere(state)
    walk.must(Stop())
    walk.reach(State.STOPPED)
    assert session_id(walk) is None


@pytest.mark.parametrize("state", [State.STOPPED, State.FAILED])
def test_stop_after_the_end_is_ignored_and_counted(state: State) -> None:
    walk = at(State.READY)
    walk.must(Stop() if state is State.STOPPED else Closed(walk.gen, 4004))
    walk.reach(state)
    walk.must(Stop())
    assert walk.core.counts[f"{state}.stop"] == 1


@conforms("P49")
def test_a_final_close_waits_for_the_answer_of_the_peer() -> None:
    walk = at(State.READY)
    walk.must(Stop())
    walk.must(CloseFlushed(walk.gen))
    assert where(walk) is State.DRAINING
    walk.must(Closed(walk.gen, 1000))
    assert where(walk) is State.STOPPED


def test_a_socket_whose_final_close_has_no_answer_is_aborted() -> None:
    walk = at(State.READY)
    walk.must(Stop())
    walk.wait(5.0)
    assert does(walk, AbortSocket)


# A session may be held before there ever was a socket, and between two of them.
HOLDS = (
    State.IDLE,
    State.REGISTERING,
    State.FETCHING_METADATA,
    State.CONNECTING,
    State.AWAITING_HELLO,
    State.RESUMING,
    State.READY,
    State.STALLED,
    State.DRAINING,
    State.BACKING_OFF,
    State.SUSPENDED,
)


def keeper(state: State) -> Walk:
    """A shard that holds a session, in any state in which one can be held."""
    match state:
        case State.IDLE | State.REGISTERING:
            walk = at(state, session=IMPORTED)
        case State.FETCHING_METADATA:
            walk = at(State.CONNECTING, session=IMPORTED.without_url())
            walk.must(ConnectFailed(walk.gen))
            walk.elapse()
        case State.CONNECTING | State.AWAITING_HELLO | State.RESUMING | State.READY:
            walk = holding(state)
        case State.STALLED:
            walk = holding(State.AWAITING_HELLO)
            walk.wait(30.0)
        case _:
            walk = anywhere(state)
    assert (where(walk), session_id(walk) is None) == (state, False)
    return walk


@pytest.mark.parametrize("state", HOLDS)
@conforms("P49")
def test_stop_drops_the_session_wherever_one_is_held(state: State) -> None:
    walk = keeper(state)
    walk.must(Stop())
    assert session_id(walk) is None


# -- suspend -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.AWAITING_HELLO, State.RESUMING, State.READY])
@conforms("P50")
def test_suspend_closes_with_a_code_that_keeps_the_session(state: State) -> None:
    walk = holding(state)
    walk.must(Suspend())
    assert does(walk, CloseKeepingSession)
    walk.reach(State.SUSPENDED)
    assert session_id(walk) == "session 1"


@pytest.mark.parametrize("state", [*STOPS_AT_ONCE, *STOPS_AFTER])
def test_suspend_ends_in_suspended_from_wherever_something_was_begun(state: State) -> None:
    walk = anywhere(state)
    if state is State.IDLE:
        assert not walk.feed(Suspend())
        return
    walk.must(Suspend())
    walk.reach(State.SUSPENDED)


@pytest.mark.parametrize("state", [state for state in HOLDS if state is not State.IDLE])
@conforms("P50")
def test_suspend_keeps_the_session_wherever_one_is_held(state: State) -> None:
    walk = keeper(state)
    held = session_id(walk)
    walk.must(Suspend())
    walk.reach(State.SUSPENDED)
    assert session_id(walk) == held


def test_suspend_cancels_the_metadata_request() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.must(Suspend())
    assert does(walk, CancelMetadata)


@conforms("P34")
def test_a_suspended_shard_comes_back_with_resume() -> None:
    walk = anywhere(State.SUSPENDED)
    walk.must(Connect())
    assert made(walk, OpenSocket).resume


def test_a_suspended_shard_without_metadata_and_without_a_url_looks_the_url_up() -> None:
    walk = at(State.CONNECTING, session=IMPORTED.without_url())
    walk.must(Suspend())
    walk.reach(State.SUSPENDED)
    walk.must(Connect())
    assert where(walk) is State.FETCHING_METADATA


def test_a_suspended_shard_stays_where_it_is() -> None:
    walk = anywhere(State.SUSPENDED)
    assert walk.core.next_deadline() is None


# -- two reasons meet --------------------------------------------------------------------------------------------------


def test_stop_is_stronger_than_retry() -> None:
    walk = draining(Stop())
    walk.reach(State.STOPPED)


def test_stop_is_stronger_than_suspend() -> None:
    walk = draining(Suspend(), Stop())
    walk.reach(State.STOPPED)


def test_suspend_is_stronger_than_retry() -> None:
    walk = draining(Suspend())
    walk.reach(State.SUSPENDED)


def test_suspend_does_not_undo_stop() -> None:
    walk = draining(Stop())
    assert not walk.feed(Suspend())
    walk.reach(State.STOPPED)


def test_fresh_is_stronger_than_resume() -> None:
    walk = draining(ForceIdentify())
    walk.reach(State.BACKING_OFF)
    assert not opened(walk).resume


@conforms("P51")
def test_a_fatal_close_is_stronger_than_stop() -> None:
    walk = draining(Stop())
    walk.must(Closed(walk.gen, 4014))
    assert where(walk) is State.FAILED


def test_the_same_reason_twice_changes_nothing() -> None:
    walk = draining(Stop())
    before = walk.core.snapshot()
    walk.must(Stop())
    assert walk.core.snapshot() == before


def test_no_second_close_frame_is_sent() -> None:
    walk = draining(Stop())
    assert does(walk)


def test_of_two_delays_the_longer_wins() -> None:
    walk = at(State.READY)
    walk.must(SessionInvalidated(walk.gen, resumable=True))
    walk.must(Closed(walk.gen, 4008))
    assert wait_of(walk) == pytest.approx(60.0)


def test_a_shorter_delay_does_not_replace_a_longer_one() -> None:
    walk = at(State.READY)
    walk.must(SessionInvalidated(walk.gen, resumable=True))
    walk.must(Closed(walk.gen))
    assert wait_of(walk) == pytest.approx(3.0)


@conforms("A06")
def test_a_close_that_ends_the_session_counts_while_leaving_to_resume() -> None:
    walk = draining()
    walk.must(Closed(walk.gen, 4009))
    assert not opened(walk).resume
