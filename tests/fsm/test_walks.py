"""Walks of many steps over the core: no invariant breaks, whatever happens, and whatever happened heals."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest
from hypothesis import given, note, settings

from gatewright.harness.strategies import hostile, plausible, walks
from gatewright.harness.walks import Move, Walk
from gatewright.spec.events import RegistrationUndone
from gatewright.spec.states import State

# A walk is cheap: several for each example that the profile grants.
LONG = settings(max_examples=settings().max_examples * 3)

# A registration that is undone when the shard has a socket again moves it, and must not (see test_registration.py).
UNTAMED = (RegistrationUndone,)


@contextmanager
def told(walk: Walk) -> Generator[None]:
    """Notes the whole story for a walk that fails."""
    try:
        yield
    finally:
        note(walk.story())


@LONG
@given(walk=walks(), moves=plausible(late=False))
def test_no_invariant_breaks_while_the_driver_keeps_its_contract(walk: Walk, moves: list[Move]) -> None:
    with told(walk):
        walk.take(moves)


@pytest.mark.xfail(strict=True, reason="a connection's events have no row in some states with a newer socket")
@LONG
@given(walk=walks(), moves=plausible(late=True))
def test_no_invariant_breaks_when_answers_come_late(walk: Walk, moves: list[Move]) -> None:
    with told(walk):
        walk.take(moves)


@LONG
@given(walk=walks(), moves=hostile(without=UNTAMED))
def test_no_invariant_breaks_when_anything_is_fed_at_any_time(walk: Walk, moves: list[Move]) -> None:
    with told(walk):
        walk.take(moves)


@LONG
@given(walk=walks(), moves=hostile(without=UNTAMED))
def test_whatever_happened_a_well_behaved_outside_heals(walk: Walk, moves: list[Move]) -> None:
    with told(walk):
        walk.take(moves)
        walk.heal()


@LONG
@given(walk=walks(), moves=plausible(late=False))
def test_a_shard_that_has_healed_stays_ready_while_all_behave(walk: Walk, moves: list[Move]) -> None:
    with told(walk):
        walk.take(moves)
        if walk.heal() is State.READY:
            gen = walk.gen
            for _ in range(20):
                walk.behave()
            assert (walk.state, walk.gen) == (State.READY, gen)
