"""The identify gate: spacing per bucket, a budget that no loop can spend, and waiters that can go at any time."""

import logging
import random
from collections.abc import Callable
from itertools import pairwise

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import SlotRefusal
from gatewright.spec.protocol import DAY
from gatewright.spec.session import Metadata
from gatewright.transport.gate import HOLD, UNKNOWN_RESET, IdentifyBudget, InMemoryIdentifyGate
from gatewright.transport.seams import GateUnavailable, Slot

URL = "wss://gateway.discord.gg/"


def metadata(**changes: float) -> Metadata:
    return Metadata(url=URL, **changes)  # type: ignore[arg-type]  # numbers by name


def new_gate(**options: float | None) -> InMemoryIdentifyGate:
    arguments: dict[str, object] = {"random": lambda: 0.0, **options}
    return InMemoryIdentifyGate(**arguments)  # type: ignore[arg-type]  # numbers by name


def ignore(eta: float) -> None:
    pass


async def identify(gate: InMemoryIdentifyGate, shard_id: int = 0) -> float:
    """Take a slot, use it in the same step, and say when."""
    gate.sent(await gate.acquire(shard_id=shard_id, on_queued=ignore))
    return trio.current_time()


# -- spacing -----------------------------------------------------------------------------------------------------------


async def test_a_free_slot_is_granted_at_once_and_nobody_is_told_of_a_queue(
    autojump_clock: trio.testing.MockClock,
) -> None:
    told: list[float] = []
    slot = await new_gate().acquire(shard_id=3, on_queued=told.append)
    assert (slot.shard_id, slot.bucket) == (3, 0)
    assert told == []
    assert trio.current_time() == 0.0


async def test_identifies_of_one_bucket_are_more_than_five_seconds_apart(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    times = [await identify(gate, shard_id) for shard_id in (0, 1, 0, 2)]
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([5.5, 5.5, 5.5])


async def test_the_spacing_counts_from_the_sending_and_not_from_the_grant(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    slot = await gate.acquire(shard_id=0, on_queued=ignore)
    await trio.sleep(10)
    gate.sent(slot)
    assert await identify(gate, 1) == pytest.approx(15.5)


async def test_slack_is_added_at_random(autojump_clock: trio.testing.MockClock) -> None:
    gate = InMemoryIdentifyGate(random=lambda: 0.5)
    await identify(gate)
    assert await identify(gate) == pytest.approx(5.75)


async def test_buckets_do_not_wait_for_each_other(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    gate.learn(metadata(max_concurrency=2))
    assert [await identify(gate, shard_id) for shard_id in (0, 1)] == [0.0, 0.0]
    assert [await identify(gate, shard_id) for shard_id in (2, 3)] == pytest.approx([5.5, 5.5])


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


# -- the budget --------------------------------------------------------------------------------------------------------


async def refused(gate: InMemoryIdentifyGate, shard_id: int = 0) -> float:
    with pytest.raises(GateUnavailable) as refusal:
        await gate.acquire(shard_id=shard_id, on_queued=ignore)
    assert refusal.value.refusal is SlotRefusal.BUDGET
    return refusal.value.retry_after


async def test_the_reserve_is_left_alone(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate(spacing=0.0)
    gate.learn(metadata(total=1000, remaining=53, reset_after=3600))
    for shard_id in range(3):
        await identify(gate, shard_id)
    assert await refused(gate, 3) == pytest.approx(3600 - trio.current_time())
    assert gate.budget().usable == 0


@pytest.mark.parametrize("remaining", [1, 30, 50])
async def test_the_very_first_identify_may_come_out_of_the_reserve(
    autojump_clock: trio.testing.MockClock, remaining: int
) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=remaining, reset_after=3600))
    await identify(gate, 0)
    assert gate.budget().remaining == remaining - 1
    await refused(gate, 0)
    await refused(gate, 1)


async def test_only_one_may_be_the_very_first(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=50, reset_after=3600, max_concurrency=16))
    slot = await gate.acquire(shard_id=0, on_queued=ignore)
    await refused(gate, 1)
    gate.give_back(slot)
    await identify(gate, 1)


async def test_nothing_is_granted_when_nothing_remains(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=0, reset_after=120))
    assert await refused(gate) == pytest.approx(120)
    await trio.sleep(120)
    await identify(gate)


async def test_a_reset_that_the_server_does_not_tell_is_neither_now_nor_never(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=0, reset_after=0))
    assert await refused(gate) == pytest.approx(UNKNOWN_RESET)
    assert gate.budget().resets_in is None
    await trio.sleep(DAY)
    await identify(gate)


async def test_a_newer_answer_of_the_server_ends_a_refusal(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=0, reset_after=0))
    await refused(gate)
    gate.learn(metadata(remaining=1000, reset_after=0))
    await identify(gate)


async def test_what_was_sent_lately_is_taken_off_the_server_s_answer(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    await identify(gate, 0)
    await identify(gate, 0)
    gate.learn(metadata(remaining=500, reset_after=3600))  # both may have been in flight
    assert gate.budget().remaining == 498
    await trio.sleep(60)
    gate.learn(metadata(remaining=498, reset_after=3600))
    assert gate.budget().remaining == 498


async def test_the_same_answer_out_of_a_cache_does_not_renew_the_budget(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    answer = metadata(remaining=500, reset_after=3600)
    gate.learn(answer)
    await identify(gate, 0)
    await trio.sleep(60)
    gate.learn(answer)
    assert gate.budget().remaining == 499
    assert gate.budget().resets_in == pytest.approx(3540)


async def test_the_own_count_holds_whatever_the_server_says(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate(spacing=0.0, reserve=0)
    gate.learn(metadata(total=10, remaining=10, reset_after=3600))
    for shard_id in range(10):
        await identify(gate, shard_id)
    await trio.sleep(60)
    gate.learn(metadata(total=10, remaining=10, reset_after=3600))
    assert await refused(gate, 10) == pytest.approx(DAY - trio.current_time())


async def test_those_who_wait_are_refused_when_the_budget_ends_before_their_turn(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    await identify(gate, 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused, gate, 1)
        await trio.testing.wait_all_tasks_blocked()
        gate.learn(metadata(remaining=0, reset_after=3600))
    assert trio.current_time() == 0.0


async def test_a_loop_of_one_shard_cannot_spend_the_day(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=1000, reset_after=DAY))
    times: list[float] = []
    while trio.current_time() < DAY - 600:
        try:
            times.append(await identify(gate))
        except GateUnavailable as refusal:
            await trio.sleep(refusal.retry_after)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[:400] == pytest.approx([5.5] * 400)
    assert min(gaps[501:]) > 150  # about 83 000 s for 450
    assert gate.budget().usable > 0
    assert 900 < len(times) < 950


async def test_a_loop_begun_late_in_the_server_s_day_is_paced_by_what_is_left_of_both(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=150, reset_after=10_000))
    await identify(gate)
    assert gate.budget().pace == pytest.approx(10_000 / 99)
    assert await refused(gate) == pytest.approx(10_000 / 99)


async def test_shards_of_a_fleet_that_each_identify_once_are_not_throttled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=300, reset_after=DAY))
    times = [await identify(gate, shard_id) for shard_id in range(50)]
    assert times[-1] == pytest.approx(49 * 5.5)
    assert await refused(gate, 0) > 50 * 200  # the second time each of them is


async def test_the_log_warns_once_at_half_and_once_at_the_reserve(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    gate = new_gate(spacing=0.0, reserve=2)
    gate.learn(metadata(total=10, remaining=8, reset_after=3600))
    assert caplog.records == []
    for shard_id in range(6):
        await identify(gate, shard_id)
    assert [(record.name, record.levelno) for record in caplog.records] == [("gatewright.gate", logging.WARNING)] * 2
    assert "half used: 5 of 10 remain" in caplog.messages[0]
    assert "down to its reserve: 2 of 10 remain" in caplog.messages[1]
    caplog.clear()
    await trio.sleep(DAY)
    gate.learn(metadata(total=10, remaining=10, reset_after=3600))
    assert caplog.records == []
    gate.learn(metadata(total=10, remaining=5, reset_after=3600))
    assert len(caplog.records) == 1


async def test_the_budget_can_be_read(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    gate.learn(metadata(total=2000, remaining=1500, reset_after=60))
    status = gate.budget()
    assert (status.total, status.remaining, status.reserve, status.usable) == (2000, 1500, 100, 1400)
    assert (status.resets_in, status.pace) == (60, 0.0)


async def test_a_bot_with_a_budget_of_one_can_start(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    gate.learn(metadata(total=1, remaining=1, reset_after=60))
    await identify(gate)
    assert await refused(gate) == pytest.approx(DAY)


async def test_what_remained_before_the_start_can_be_given(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate(remaining=0)
    assert await refused(gate) == pytest.approx(UNKNOWN_RESET)
    await trio.sleep(DAY)
    await identify(gate)


@pytest.mark.parametrize("wrong", [{"total": 0}, {"remaining": -1}, {"reserve": -1}, {"spacing": -1.0}, {"hold": 0.0}])
def test_a_gate_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        new_gate(**wrong)


async def test_a_negative_shard_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        await new_gate().acquire(shard_id=-1, on_queued=ignore)


# -- everything at once ------------------------------------------------------------------------------------------------


@attrs.define
class World:
    """Shards that take slots, use them, give them back, lose them or are cancelled, and a server that says anything."""

    seed: int
    total: int = 0
    reserve: int = 0
    concurrency: int = 1
    sent: list[tuple[float, int]] = attrs.field(factory=list)
    waits: list[float] = attrs.field(factory=list)

    async def run(self) -> None:
        draw = random.Random(self.seed)
        total = self.total = draw.choice([3, 20, 60])
        self.concurrency = draw.choice([1, 2, 5])
        gate = InMemoryIdentifyGate(total=total, random=draw.random)
        gate.learn(metadata(total=total, remaining=total, reset_after=0, max_concurrency=self.concurrency))
        self.reserve = gate.budget().reserve
        with trio.move_on_after(2 * DAY):
            async with trio.open_nursery() as nursery:
                for shard_id in range(draw.choice([1, 3, 12])):
                    nursery.start_soon(self.shard, gate, shard_id, random.Random(draw.random()))
                nursery.start_soon(self.server, gate, random.Random(draw.random()))

    async def shard(self, gate: InMemoryIdentifyGate, shard_id: int, draw: random.Random) -> None:
        while True:
            await trio.sleep(draw.choice([0, 1, 60, 4000]))
            with trio.move_on_after(draw.choice([2, 30, 600])):
                try:
                    slot = await gate.acquire(shard_id=shard_id, on_queued=ignore)
                except GateUnavailable as refusal:
                    self.waits.append(refusal.retry_after)
                    with trio.CancelScope(shield=True):
                        await trio.sleep(refusal.retry_after * draw.choice([0.5, 1]))
                    continue
                match draw.randrange(20):
                    case 0:
                        pass  # the holder is gone
                    case 1 | 2:
                        gate.give_back(slot)
                    case _:
                        gate.sent(slot)
                        self.sent.append((trio.current_time(), shard_id))

    async def server(self, gate: InMemoryIdentifyGate, draw: random.Random) -> None:
        while True:
            await trio.sleep(draw.choice([600, 40_000]))
            gate.learn(
                metadata(
                    total=self.total,
                    remaining=draw.choice([0, self.total // 3, self.total]),
                    reset_after=draw.choice([0, 30, 9000, DAY]),
                    max_concurrency=self.concurrency,
                )
            )


@given(st.integers(0, 2**32))
def test_whatever_happens_no_bucket_and_no_day_gets_more_than_its_due(seed: int) -> None:
    world = World(seed)
    trio.run(world.run, clock=trio.testing.MockClock(autojump_threshold=0))
    for bucket in range(world.concurrency):
        times = [at for at, shard_id in world.sent if shard_id % world.concurrency == bucket]
        assert all(later - earlier >= 5.5 - 1e-6 for earlier, later in pairwise(times))
    for start, _ in world.sent:
        assert sum(start <= at < start + DAY for at, _ in world.sent) <= world.total - world.reserve + 1
    assert world.sent
    assert all(0 < wait <= DAY for wait in world.waits)


def test_the_budget_needs_no_event_loop() -> None:
    budget = IdentifyBudget(total=1000, remaining=None, reserve=None)
    assert budget.delay_for(0, 5.0) == 0.0
    budget.charge(0, 5.0)
    assert budget.status(5.0).remaining == 999
    assert budget.status(5.0 + DAY).remaining == 1000
