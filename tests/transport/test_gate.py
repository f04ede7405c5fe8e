"""The identify gate: spacing per bucket, an order, an estimate, and waiters that can go at any time."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gatewright.transport.gate import HOLD, InMemoryIdentifyGate
from gatewright.transport.seams import Slot
from tests.support.conforms import conforms
from tests.transport.gates import identify, ignore, metadata, new_gate

# -- spacing -----------------------------------------------------------------------------------------------------------


async def test_a_free_slot_is_granted_at_once_and_nobody_is_told_of_a_queue(
    autojump_clock: trio.testing.MockClock,
) -> None:
    told: list[float] = []
    slot = await new_gate().acquire(shard_id=3, on_queued=told.append)
    assert (slot.shard_id, slot.bucket) == (3, 0)
    assert told == []
    assert trio.current_time() == 0.0


@conforms("A12", "P27", "P28")
async def test_identifies_of_one_bucket_are_more_than_five_seconds_apart(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    times = [await identify(gate, shard_id) for shard_id in (0, 1, 0, 2)]
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([5.5, 5.5, 5.5])


@conforms("A11", "P28")
async def test_the_spacing_counts_from_the_sending_and_not_from_the_grant(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    slot = await gate.acquire(shard_id=0, on_queued=ignore)
    await trio.sleep(10)
    gate.sent(slot)
    assert await identify(gate, 1) == pytest.approx(15.5)


@conforms("P28")
async def test_slack_is_added_at_random(autojump_clock: trio.testing.MockClock) -> None:
    gate = InMemoryIdentifyGate(random=lambda: 0.5)
    await identify(gate)
    assert await identify(gate) == pytest.approx(5.75)


async def test_the_slack_is_the_caller_s_choice(autojump_clock: trio.testing.MockClock) -> None:
    gate = InMemoryIdentifyGate(slack=0.1, random=lambda: 0.5)
    await identify(gate)
    assert await identify(gate) == pytest.approx(5.15)


@conforms("A11", "P28")
@pytest.mark.parametrize(("ready_after", "next_at"), [(0.0, 5.01), (0.3, 5.31), (0.6, 5.5)])
async def test_ready_ends_the_slack_and_never_adds_to_it(
    autojump_clock: trio.testing.MockClock, ready_after: float, next_at: float
) -> None:
    gate = new_gate()
    slot = await gate.acquire(shard_id=0, on_queued=ignore)
    gate.sent(slot)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(identify, gate, 1)
        await trio.sleep(ready_after)
        gate.answered(slot)
    assert trio.current_time() == pytest.approx(next_at)


async def test_ready_for_an_earlier_identify_says_nothing_about_the_last(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    first = await gate.acquire(shard_id=0, on_queued=ignore)
    gate.sent(first)
    await identify(gate, 1)
    gate.answered(first)
    assert await identify(gate, 2) == pytest.approx(11.0)


@conforms("A11", "P27", "P28")
@given(ways=st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 2), st.floats(0, 0.5)), min_size=2, max_size=8))
def test_whichever_moment_the_server_counts_from_its_identifies_are_five_seconds_apart(
    ways: list[tuple[float, float, float]],
) -> None:
    """On a way whose delay differs by up to the slack; and by any reading of A11 where READY comes within it."""
    came: list[float] = []
    answered: list[tuple[float, bool]] = []

    async def shards() -> None:
        gate = new_gate()
        async with trio.open_nursery() as nursery:
            for shard_id, (out, work, back) in enumerate(ways):
                slot = await gate.acquire(shard_id=shard_id, on_queued=ignore)
                gate.sent(slot)
                came.append(trio.current_time() + out)
                answered.append((trio.current_time() + out + work, out + work + back <= 0.5))
                nursery.start_soon(ready, gate, slot, out + work + back)

    async def ready(gate: InMemoryIdentifyGate, slot: Slot, after: float) -> None:
        await trio.sleep(after)
        gate.answered(slot)

    trio.run(shards, clock=trio.testing.MockClock(autojump_threshold=0))
    assert all(later - earlier >= 5.0 - 1e-6 for earlier, later in pairwise(came))
    for (earlier, in_time), later in zip(answered, came[1:], strict=False):
        assert not in_time or later - earlier >= 5.0 - 1e-6


async def test_a_thousand_waiting_shards_are_not_all_woken_by_each_identify(
    autojump_clock: trio.testing.MockClock,
) -> None:
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return trio.current_time()

    gate = new_gate(clock=clock, total=5000)
    gate.learn(metadata(max_concurrency=16, total=5000, remaining=5000))
    async with trio.open_nursery() as nursery:
        for shard_id in range(1000):
            nursery.start_soon(identify, gate, shard_id)
    assert trio.current_time() == pytest.approx(62 * 5.5)
    assert looks < 10 * 1000


@conforms("P27")
async def test_buckets_do_not_wait_for_each_other(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    gate.learn(metadata(max_concurrency=2))
    assert [await identify(gate, shard_id) for shard_id in (0, 1)] == [0.0, 0.0]
    assert [await identify(gate, shard_id) for shard_id in (2, 3)] == pytest.approx([5.5, 5.5])


@conforms("A20", "P27")
async def test_shards_of_a_bucket_go_in_the_order_of_their_ids_and_then_of_their_coming(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    order: list[str] = []

    async def shard(shard_id: int, name: str) -> None:
        await identify(gate, shard_id)
        order.append(name)

    await identify(gate, 9)
    async with trio.open_nursery() as nursery:
        for shard_id, name in [(3, "3"), (1, "1a"), (2, "2"), (1, "1b")]:
            nursery.start_soon(shard, shard_id, name)
            await trio.testing.wait_all_tasks_blocked()
    assert order == ["1a", "1b", "2", "3"]


@conforms("P27")
async def test_only_one_slot_of_a_bucket_is_out_at_a_time(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    slot = await gate.acquire(shard_id=0, on_queued=ignore)
    with trio.move_on_after(HOLD - 1) as scope:
        await gate.acquire(shard_id=1, on_queued=ignore)
    assert scope.cancelled_caught
    gate.sent(slot)


async def test_a_slot_that_is_given_back_goes_to_the_next_at_once(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    slot = await gate.acquire(shard_id=0, on_queued=ignore)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(identify, gate, 1)
        await trio.testing.wait_all_tasks_blocked()
        gate.give_back(slot)
    assert trio.current_time() == 0.0
    assert gate.budget().remaining == 999


async def test_giving_back_what_was_sent_or_given_back_changes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    slot = await gate.acquire(shard_id=0, on_queued=ignore)
    gate.sent(slot)
    gate.give_back(slot)
    assert gate.budget().remaining == 999
    assert await identify(gate, 0) == pytest.approx(5.5)


async def test_a_holder_that_is_gone_does_not_block_its_bucket_for_ever(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    gate = new_gate(hold=30.0)
    slot = await gate.acquire(shard_id=0, on_queued=ignore)
    assert await identify(gate, 1) == pytest.approx(30.0)
    assert gate.budget().remaining == 998  # it may have been used, so it counts
    assert "held an identify slot" in caplog.text
    gate.sent(slot)  # and the holder was only slow: that IDENTIFY counts, and the next waits for it
    assert await identify(gate, 2) == pytest.approx(35.5)


@pytest.mark.parametrize("shards", [2, 5])
async def test_a_new_concurrency_applies_to_those_who_wait_and_to_what_was_sent(
    autojump_clock: trio.testing.MockClock, shards: int
) -> None:
    gate = new_gate()
    times: dict[int, float] = {}

    async def shard(shard_id: int) -> None:
        times[shard_id] = await identify(gate, shard_id)

    await identify(gate, 0)
    async with trio.open_nursery() as nursery:
        for shard_id in range(1, shards + 1):
            nursery.start_soon(shard, shard_id)
        await trio.testing.wait_all_tasks_blocked()
        gate.learn(metadata(max_concurrency=shards))
    # Shard 0 was sent at 0.0 and shares its bucket with the last one only.
    assert times == pytest.approx(dict.fromkeys(range(1, shards), 0.0) | {shards: 5.5})


async def test_the_order_is_kept_when_the_concurrency_changes(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    order: list[int] = []

    async def shard(shard_id: int) -> None:
        await identify(gate, shard_id)
        order.append(shard_id)

    await identify(gate, 0)
    async with trio.open_nursery() as nursery:
        for shard_id in (6, 2, 4, 8):
            nursery.start_soon(shard, shard_id)
        await trio.testing.wait_all_tasks_blocked()
        gate.learn(metadata(max_concurrency=2))
    assert order == [2, 4, 6, 8]


# -- the estimate ------------------------------------------------------------------------------------------------------


async def test_a_waiter_is_told_its_estimate_before_it_waits(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    await identify(gate, 0)
    told: dict[int, list[float]] = {1: [], 2: []}
    async with trio.open_nursery() as nursery:
        for shard_id in (1, 2):
            nursery.start_soon(
                lambda shard_id=shard_id: acquire_and_send(gate, shard_id, told[shard_id].append)  # type: ignore[misc]
            )
            await trio.testing.wait_all_tasks_blocked()
            assert trio.current_time() == 0.0
            assert len(told[shard_id]) == 1
    assert told[1] == pytest.approx([5.5])
    assert told[2] == pytest.approx([5.5 + 5.75])


async def acquire_and_send(gate: InMemoryIdentifyGate, shard_id: int, on_queued: Callable[[float], None]) -> None:
    gate.sent(await gate.acquire(shard_id=shard_id, on_queued=on_queued))


async def test_a_waiter_hears_again_when_others_were_let_in_before_it(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    await identify(gate, 0)
    told: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(acquire_and_send, gate, 50, told.append)
        await trio.testing.wait_all_tasks_blocked()
        for shard_id in range(1, 5):
            nursery.start_soon(acquire_and_send, gate, shard_id, ignore)
            await trio.testing.wait_all_tasks_blocked()
    # 5.5 and one more each; the first step back of 5.75 s is not much, the second is.
    assert told == pytest.approx([5.5, 5.5 + 2 * 5.75, 5.5 + 4 * 5.75])


async def test_an_estimate_is_kept_when_nothing_comes_between(autojump_clock: trio.testing.MockClock) -> None:
    gate = InMemoryIdentifyGate(random=lambda: 0.5)
    await identify(gate, 0)
    late: list[float] = []

    async def shard(shard_id: int) -> None:
        told: list[float] = []
        await acquire_and_send(gate, shard_id, lambda eta: told.append(trio.current_time() + eta))
        late.append(trio.current_time() - told[-1])
        assert len(told) == 1

    async with trio.open_nursery() as nursery:
        for shard_id in range(1, 9):
            nursery.start_soon(shard, shard_id)
            await trio.testing.wait_all_tasks_blocked()
    assert late == pytest.approx([0.0] * 8)


# -- cancellation ------------------------------------------------------------------------------------------------------


async def test_a_cancelled_waiter_is_gone_and_the_next_takes_its_place(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    await identify(gate, 0)
    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def cancelled() -> None:
            with first:
                await gate.acquire(shard_id=1, on_queued=ignore)

        nursery.start_soon(cancelled)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(identify, gate, 2)
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
    assert trio.current_time() == pytest.approx(5.5)
    assert gate.budget().remaining == 998


@pytest.mark.parametrize("when", [0.0, 1.0, 5.5, 6.0])
async def test_a_cancelled_call_never_keeps_a_slot(autojump_clock: trio.testing.MockClock, when: float) -> None:
    gate = new_gate()
    await identify(gate, 0)
    taken: list[Slot] = []
    with trio.move_on_at(when):
        taken.append(await gate.acquire(shard_id=1, on_queued=ignore))
    for slot in taken:
        gate.give_back(slot)
    assert await identify(gate, 2) == pytest.approx(5.5)


async def test_a_slot_is_returned_in_the_very_step_in_which_it_was_taken(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    await identify(gate, 0)
    with trio.CancelScope() as scope:

        class Cancels(InMemoryIdentifyGate):
            def _grant(self, shard_id: int, now: float) -> Slot:
                slot = super()._grant(shard_id, now)
                scope.cancel()  # from here on any checkpoint would lose it
                return slot

        gate.__class__ = Cancels
        slot = await gate.acquire(shard_id=1, on_queued=ignore)
        gate.sent(slot)
    assert gate.budget().remaining == 998


async def test_a_call_that_was_cancelled_before_takes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    with trio.CancelScope() as scope:
        scope.cancel()
        await gate.acquire(shard_id=0, on_queued=ignore)
    assert scope.cancelled_caught
    assert await identify(gate, 1) == 0.0


async def test_a_queue_callback_that_fails_leaves_no_trace_in_the_queue(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    await identify(gate, 0)

    def fail(eta: float) -> None:
        raise RuntimeError("callback")

    with pytest.raises(RuntimeError, match="callback"):
        await gate.acquire(shard_id=1, on_queued=fail)
    assert await identify(gate, 2) == pytest.approx(5.5)
