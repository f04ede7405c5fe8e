"""Shards begin a few at a time, in order, and nobody waits for anybody's server."""

import itertools

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from gatewright.spec.states import State
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.shard import Shard
from gatewright.transport.turnstile import AT_A_TIME, turn
from gatewright.transport.urls import GatewayUrl
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
    states: list[State] | None = None
    shards: list[Shard] = []
    gate, crowd = InMemoryIdentifyGate(), 50 * AT_A_TIME

    async with gateway() as fake:

        async def hold(number: int) -> None:
            nonlocal states
            async with shard_on(fake, shard_id=number, shard_count=crowd, gate=gate) as shard:
                shards.append(shard)
                await shard.wait_for("awaiting_identify_slot")
                if states is None:
                    states = [each.state for each in shards]
                await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            for number in range(crowd):
                nursery.start_soon(hold, number)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert states is not None
    assert len(states) == crowd
    assert states.count(State.REGISTERING) > crowd // 4


@pytest.mark.parametrize("cancelled", [False, True])
async def test_shards_that_are_left_before_their_turn_end_at_once(autojump_clock: MockClock, cancelled: bool) -> None:
    dialled = 0

    async def dial(_url: GatewayUrl) -> trio.abc.Stream:
        nonlocal dialled
        dialled += 1
        await trio.sleep_forever()
        raise AssertionError

    ends: list[State] = []
    async with gateway() as fake:

        async def pass_by(number: int) -> None:
            shard = shard_on(fake, opener=dial, shard_id=number, shard_count=MANY)
            with trio.CancelScope() as scope:
                async with shard:
                    if cancelled:
                        scope.cancel()
            ends.append(shard.state)

        async with trio.open_nursery() as nursery:
            for number in range(MANY):
                nursery.start_soon(pass_by, number)
    assert (ends, dialled, trio.current_time()) == ([State.STOPPED] * MANY, 0, 0.0)
