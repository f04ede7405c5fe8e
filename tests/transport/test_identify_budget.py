"""The identify budget: no loop can spend the day, whatever the server says, and a person can still start the bot."""

import logging
import random
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
from gatewright.transport.gate import UNKNOWN_RESET, IdentifyBudget, InMemoryIdentifyGate
from gatewright.transport.seams import GateUnavailable
from tests.support.conforms import conforms
from tests.transport.gates import identify, ignore, metadata, new_gate

# -- the budget --------------------------------------------------------------------------------------------------------


async def refused(gate: InMemoryIdentifyGate, shard_id: int = 0) -> float:
    with pytest.raises(GateUnavailable) as refusal:
        await gate.acquire(shard_id=shard_id, on_queued=ignore)
    assert refusal.value.refusal is SlotRefusal.BUDGET
    return refusal.value.retry_after


@conforms("P30")
async def test_the_reserve_is_left_alone(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate(spacing=0.0)
    gate.learn(metadata(total=1000, remaining=103, reset_after=3600))
    for shard_id in range(3):
        await identify(gate, shard_id)
    assert await refused(gate, 3) == pytest.approx(3600 - trio.current_time())
    assert gate.budget().usable == 0


@pytest.mark.parametrize("remaining", [1, 30, 100])
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


@conforms("P29", "P30")
async def test_nothing_is_granted_when_nothing_remains(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=0, reset_after=120))
    assert await refused(gate) == pytest.approx(120)
    await trio.sleep(120)
    await identify(gate)


@conforms("A22")
async def test_a_reset_that_the_server_does_not_tell_is_neither_now_nor_never(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=0, reset_after=0))
    assert await refused(gate) == pytest.approx(UNKNOWN_RESET)
    assert gate.budget().resets_in is None
    await trio.sleep(DAY)
    await identify(gate)


@conforms("A22")
async def test_a_pace_to_a_reset_that_the_server_does_not_tell_is_not_waited_for_at_one_go(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=105, reset_after=0))
    await identify(gate)
    assert gate.budget().pace > 6 * UNKNOWN_RESET
    assert await refused(gate) == pytest.approx(UNKNOWN_RESET)
    await trio.sleep(UNKNOWN_RESET)
    gate.learn(metadata(remaining=105, reset_after=0))  # nothing is new, so asking has gained nothing
    assert await refused(gate) == pytest.approx(UNKNOWN_RESET)
    gate.learn(metadata(remaining=1000, reset_after=0))
    await identify(gate)


async def test_a_pace_to_a_reset_that_is_known_or_counted_here_is_waited_for_at_one_go(
    autojump_clock: trio.testing.MockClock,
) -> None:
    known = new_gate()
    known.learn(metadata(remaining=105, reset_after=DAY))
    await identify(known)
    assert await refused(known) > 6 * UNKNOWN_RESET
    counted = new_gate(total=10, reserve=1)
    for _ in range(5):
        await identify(counted)
    assert await refused(counted) > 6 * UNKNOWN_RESET


async def test_a_newer_answer_of_the_server_ends_a_refusal(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=0, reset_after=0))
    await refused(gate)
    gate.learn(metadata(remaining=1000, reset_after=0))
    await identify(gate)


@conforms("P30")
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


@conforms("P29", "P30")
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


async def test_another_bucket_s_identify_can_end_the_budget_of_those_who_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=102, reset_after=3600, max_concurrency=2))
    await identify(gate, 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused, gate, 2)
        await trio.testing.wait_all_tasks_blocked()
        await identify(gate, 1)
    assert trio.current_time() == 0.0  # and not 5.5, when it would have been its turn


async def test_a_slot_that_is_out_counts_as_spent(autojump_clock: trio.testing.MockClock) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=102, reset_after=3600, max_concurrency=3))
    await identify(gate, 0)
    slot = await gate.acquire(shard_id=1, on_queued=ignore)
    assert await refused(gate, 2) == pytest.approx(1)  # it may come back any moment
    gate.give_back(slot)
    await identify(gate, 2)


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
    assert min(gaps[501:]) > 150  # about 83 000 s for 400
    assert gate.budget().usable > 0
    assert 850 < len(times) < 900


async def test_a_loop_begun_late_in_the_server_s_day_is_paced_by_what_is_left_of_both(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = new_gate()
    gate.learn(metadata(remaining=150, reset_after=10_000))
    await identify(gate)
    assert gate.budget().pace == pytest.approx(10_000 / 49)
    assert await refused(gate) == pytest.approx(10_000 / 49)


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
    assert (status.total, status.remaining, status.reserve, status.usable) == (2000, 1500, 200, 1300)
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
    sent: list[tuple[float, int]] = attrs.field(factory=list[tuple[float, int]])
    waits: list[float] = attrs.field(factory=list[float])

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
@conforms("P27", "P29")
def test_whatever_happens_no_bucket_and_no_day_gets_more_than_its_due(seed: int) -> None:
    world = World(seed)
    trio.run(world.run, clock=trio.testing.MockClock(autojump_threshold=0))
    for bucket in range(world.concurrency):
        times = [at for at, shard_id in world.sent if shard_id % world.concurrency == bucket]
        assert all(later - earlier >= 5.5 - 1e-6 for earlier, later in pairwise(times))
    for start, _ in world.sent:
        assert sum(start <= at < start + DAY for at, _ in world.sent) <= world.total - world.reserve + 1
    assert world.sent or world.waits
    assert all(0 < wait <= DAY for wait in world.waits)


def test_a_total_that_shrinks_is_waited_for_until_enough_is_a_day_old() -> None:
    budget = IdentifyBudget(total=10, remaining=None, reserve=1)
    for number in range(5):
        budget.charge(number, number * 100.0)
    budget.learn(metadata(total=4, remaining=4, reset_after=60), 1000.0)
    # Of five, no more than two may count before another is usable: three have to be a day old.
    assert budget.delay_for(9, 1000.0) == pytest.approx(200.0 + DAY - 1000.0)
    assert budget.delay_for(9, 200.0 + DAY) == 0.0


def test_the_budget_needs_no_event_loop() -> None:
    budget = IdentifyBudget(total=1000, remaining=None, reserve=None)
    assert budget.delay_for(0, 5.0) == 0.0
    budget.charge(0, 5.0)
    assert budget.status(5.0).remaining == 999
    assert budget.status(5.0 + DAY).remaining == 1000
