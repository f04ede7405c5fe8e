"""Shards begin a few at a time, in order, and nobody waits for anybody's server."""

import itertools

import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from gatewright.spec.states import State
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.shard import Shard
from gatewright.transport.turnstile import AT_A_TIME, turn
from tests.support.shards import gateway, shard_on

MANY = 10 * AT_A_TIME


class Passes(trio.abc.Instrument):
    """Counts the passes of trio's loop."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_whoever_comes_alone_goes_through() -> None:
    for _ in range(2 * AT_A_TIME):
        with assert_checkpoints():
            await turn()


async def test_a_crowd_goes_through_in_order_a_few_a_pass_of_the_loop() -> None:
    passes, came, went = Passes(), list[int](), list[tuple[int, int]]()

    async def come(number: int) -> None:
        came.append(number)
        await turn()
        went.append((number, passes.count))

    trio.lowlevel.add_instrument(passes)
    try:
        async with trio.open_nursery() as nursery:
            for number in range(MANY):
                nursery.start_soon(come, number)
    finally:
        trio.lowlevel.remove_instrument(passes)
    # Within a pass trio runs tasks in an order of its own.
    groups = [[number for number, _ in group] for _, group in itertools.groupby(went, key=lambda gone: gone[1])]
    assert [sorted(group) for group in groups] == [
        sorted(came[first : first + AT_A_TIME]) for first in range(0, MANY, AT_A_TIME)
    ]


async def test_whoever_is_cancelled_leaves_its_turn_to_the_next(autojump_clock: MockClock) -> None:
    went = False

    async def come() -> None:
        nonlocal went
        await turn()
        went = True

    async with trio.open_nursery() as impatient:
        for _ in range(MANY):
            impatient.start_soon(turn)
        await trio.lowlevel.checkpoint()
        impatient.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(come)
        await wait_all_tasks_blocked()
        assert went


async def test_the_first_of_a_crowd_has_its_hello_while_the_last_have_not_begun(autojump_clock: MockClock) -> None:
    """Side by side, they would all have it together, when the processor has been through all of them."""
    gate, crowd = InMemoryIdentifyGate(), 50 * AT_A_TIME
    begun = 0
    begun_at_first_hello: int | None = None

    async with gateway() as fake:

        async def hold(number: int) -> None:
            nonlocal begun, begun_at_first_hello
            async with shard_on(fake, shard_id=number, shard_count=crowd, gate=gate) as shard:
                begun += 1
                await shard.wait_for("awaiting_identify_slot")
                if begun_at_first_hello is None:
                    begun_at_first_hello = begun
                await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            for number in range(crowd):
                nursery.start_soon(hold, number)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert begun == crowd
    assert begun_at_first_hello is not None
    assert begun_at_first_hello < crowd * 3 // 4


async def test_a_shard_that_is_cancelled_before_its_turn_has_not_begun(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        gate = InMemoryIdentifyGate()
        shards = [shard_on(fake, shard_id=number, shard_count=MANY, gate=gate) for number in range(MANY)]

        async def hold(shard: Shard) -> None:
            async with shard:
                await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            for shard in shards:
                nursery.start_soon(hold, shard)
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        waited = [shard for shard in shards if shard.state is State.IDLE]
        assert len(waited) >= MANY - 2 * AT_A_TIME
        async with waited[0] as shard:  # nothing of it was used up
            assert await shard.wait_for("ready") is State.READY
