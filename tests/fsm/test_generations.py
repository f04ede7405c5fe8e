"""Events of a connection that has ended: they come late, in any state, and act on nothing."""

import contextlib
import copy
from collections.abc import Iterator

import pytest

from gatewright.fsm.compiled import CompiledTable
from gatewright.fsm.core import shipped_compiled
from gatewright.fsm.errors import Refusal
from gatewright.harness.monitor import InvariantViolated
from gatewright.harness.walks import Walk
from gatewright.spec.context import Context
from gatewright.spec.effects import ReturnSlot
from gatewright.spec.events import (
    EVENTS,
    Aborted,
    Closed,
    CloseFlushed,
    ConnectFailed,
    ConnectionEvent,
    Opened,
    ReconnectRequested,
    SlotGranted,
    WriteBlocked,
)
from gatewright.spec.states import SOCKET_STATES, State
from gatewright.spec.table import CELLS, LIVE
from tests.fsm.exploration import variants
from tests.fsm.standing import at, where
from tests.support.conforms import conforms
from tests.support.tables import Weakened


def late(state: State) -> Iterator[ConnectionEvent]:
    """Every event of a connection, of a generation before the one that the shard is in."""
    for event in variants(Context(gen=5, state=state)):
        if isinstance(event, ConnectionEvent) and event.gen == 4:
            yield event


def shard(state: State) -> Context:
    return Context(state=state, gen=5, registered=True, interval=40.0, now=100.0)


@pytest.mark.parametrize("state", list(State))
def test_whatever_comes_late_has_a_row_wherever_the_shard_is(state: State) -> None:
    missing = [kind.name for kind in EVENTS if issubclass(kind, ConnectionEvent) and (state, kind) not in CELLS]
    assert missing == []


@pytest.mark.parametrize("state", list(State))
@conforms("P53")
def test_whatever_comes_late_changes_nothing(state: State) -> None:
    for event in late(state):
        context = shard(state)
        shipped_compiled().step(context, event)
        assert context == shard(state), event


@pytest.mark.parametrize("state", list(State))
def test_whatever_comes_late_does_nothing_but_give_a_slot_back(state: State) -> None:
    for event in late(state):
        _, effects = shipped_compiled().step(shard(state), event)
        assert effects == ((ReturnSlot(4),) if isinstance(event, SlotGranted) else ()), event


@pytest.mark.parametrize("state", SOCKET_STATES)
def test_the_same_events_of_the_present_connection_do_something(state: State) -> None:
    # The positive control: it is the generation that makes them harmless.
    changed = 0
    for event in variants(shard(state)):
        if isinstance(event, ConnectionEvent) and event.gen == 5:
            context = shard(state)
            with contextlib.suppress(Refusal):
                shipped_compiled().step(context, event)
            changed += context != shard(state)
    assert changed > 0


@conforms("P53")
def test_a_late_close_of_the_old_socket_leaves_the_new_one_alone() -> None:
    walk = at(State.READY)
    old = walk.gen
    walk.must(ReconnectRequested(old))
    walk.must(CloseFlushed(old))
    walk.reach(State.AWAITING_HELLO)
    walk.must(Closed(old, 4004))
    assert (where(walk), walk.gen) == (State.AWAITING_HELLO, old + 1)


def test_the_abort_of_the_old_socket_may_be_told_after_the_next_one_is_opened() -> None:
    walk = at(State.READY)
    old = walk.gen
    walk.must(ReconnectRequested(old))
    walk.must(CloseFlushed(old))
    walk.wait(0.0)  # op 7 is followed at once
    assert where(walk) is State.CONNECTING
    walk.must(Aborted(old))


@conforms("P53")
def test_a_table_that_forgets_the_generation_is_noticed() -> None:
    forgetful = Weakened().unguarded("awaiting_hello.closed.resumable").rows
    walk = Walk(table=forgetful)
    walk.reach(State.READY)
    walk.must(Closed(walk.gen))
    walk.reach(State.AWAITING_HELLO)
    with pytest.raises(InvariantViolated, match="I06"):
        walk.feed(Closed(walk.gen - 1))


def test_a_context_is_left_alone_by_a_runtime_that_serves_another() -> None:
    table = CompiledTable(Weakened().rows)
    one = shard(State.READY)
    before = copy.copy(one)
    table.step(shard(State.READY), Closed(5))
    assert one == before


ANSWERS = (Opened(5), ConnectFailed(5), CloseFlushed(5), Aborted(5), Closed(5), WriteBlocked(5), SlotGranted(5))


@pytest.mark.parametrize("state", [State.CONNECTING, *LIVE])
def test_an_answer_to_what_was_not_asked_is_refused_and_changes_nothing(state: State) -> None:
    refused = 0
    for event in ANSWERS:
        context = shard(state)
        try:
            shipped_compiled().step(context, event)
        except Refusal:
            refused += 1
            assert context == shard(state)
    assert refused > 0
