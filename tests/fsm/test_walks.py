"""Walks of many steps over the core: no invariant breaks, whatever happens, and whatever happened heals."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest
from hypothesis import Phase, find, given, note, settings
from hypothesis import strategies as st

from gatewright.harness.strategies import hostile, plausible, walks
from gatewright.harness.walks import Move, Walk
from gatewright.spec.effects import CloseEndingSession, RequestSlot, ReturnSlot
from gatewright.spec.events import Connect, DeadlinePassed, MetadataFetched, UnknownMessage
from gatewright.spec.states import State
from tests.support.tables import SHIPPED, Weakened, opening

# A walk is cheap: several for each example that the profile grants.
LONG = settings(max_examples=settings().max_examples * 3)


@contextmanager
def told(walk: Walk) -> Generator[None]:
    """Notes the whole story for a walk that fails."""
    try:
        yield
    finally:
        note(walk.story())


@LONG
@given(walk=walks(), moves=plausible())
def test_no_invariant_breaks_while_the_driver_keeps_its_contract(walk: Walk, moves: list[Move]) -> None:
    with told(walk):
        walk.take(moves)


@LONG
@given(walk=walks(), moves=hostile())
def test_no_invariant_breaks_when_anything_is_fed_at_any_time(walk: Walk, moves: list[Move]) -> None:
    with told(walk):
        walk.take(moves)


@LONG
@given(walk=walks(), moves=hostile())
def test_whatever_happened_a_well_behaved_outside_heals(walk: Walk, moves: list[Move]) -> None:
    with told(walk):
        walk.take(moves)
        walk.heal()


@LONG
@given(walk=walks(), moves=plausible())
def test_a_shard_that_has_healed_stays_ready_while_all_behave(walk: Walk, moves: list[Move]) -> None:
    with told(walk):
        walk.take(moves)
        if walk.heal() is State.READY:
            gen = walk.gen
            for _ in range(20):
                walk.behave()
            assert (walk.state, walk.gen) == (State.READY, gen)


# -- what a walk is worth: a table that is wrong does not survive it ---------------------------------------------------

WRONG = {
    "connect() while registering": opening(State.REGISTERING, Connect),
    "connect() while metadata are pending": opening(State.FETCHING_METADATA, Connect),
    "metadata after stop()": opening(State.STOPPED, MetadataFetched),
    "a stop() that is forgotten while leaving": SHIPPED.without_update("leave_to_stop", "draining.stop"),
    "a 1000 before a RESUME": SHIPPED.with_effects((CloseEndingSession,), "ready.reconnect_requested"),
    "a slot that is kept": SHIPPED.without_effect(ReturnSlot, "backing_off.slot_granted"),
    "a HELLO that is not answered": SHIPPED.without_effect(RequestSlot, "awaiting_hello.hello.identify"),
}


@pytest.mark.parametrize("table", WRONG.values(), ids=WRONG.keys())
def test_a_walk_finds_what_a_wrong_table_does(table: Weakened) -> None:
    def breaks(case: tuple[Walk, list[Move]]) -> bool:
        walk, moves = case
        try:
            walk.take(moves)
            walk.heal()
        except AssertionError:
            return True
        return False

    cases = st.tuples(walks(table.rows), hostile())
    find(cases, breaks, settings=settings(max_examples=2_000, phases=[Phase.generate], database=None, derandomize=True))


def test_a_walk_over_the_shipped_table_finds_nothing_of_the_kind() -> None:
    walk = Walk()
    walk.reach(State.READY)
    assert walk.heal() is State.READY


def test_what_has_no_row_is_refused_on_a_walk() -> None:
    walk = Walk()
    walk.reach(State.READY)
    assert not walk.feed(DeadlinePassed())


def test_what_has_a_row_is_taken_on_a_walk() -> None:
    walk = Walk()
    walk.reach(State.READY)
    assert walk.feed(UnknownMessage(walk.gen, 12))


def test_a_walk_complains_of_what_is_taken_without_a_row() -> None:
    walk = Walk()
    walk.reach(State.READY)
    walk.cells -= {(State.READY, UnknownMessage)}
    with pytest.raises(AssertionError, match="has no row in ready and was taken"):
        walk.feed(UnknownMessage(walk.gen, 12))


def test_a_walk_complains_of_what_is_refused_in_spite_of_its_row() -> None:
    walk = Walk()
    walk.reach(State.READY)
    walk.cells |= {(State.READY, DeadlinePassed)}
    with pytest.raises(AssertionError, match="has a row in ready and was refused"):
        walk.feed(DeadlinePassed())
