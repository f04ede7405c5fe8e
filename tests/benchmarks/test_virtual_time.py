"""How long a resume and a start take, exactly: on virtual time, where neither processor nor machine costs anything."""

import pytest
import trio
from trio.testing import MockClock

from benchmarks.server import Load
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import IDENTIFY_SPACING
from gatewright.spec.states import State
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.shard import Shard
from tests.benchmarks.distance import Distance, far_metadata
from tests.support.conforms import conforms
from tests.support.shards import TOKEN

ROUND_TRIP = 0.1


@conforms("P35", "P52")
@pytest.mark.parametrize("drop", ["close", "op 7", "reset"])
async def test_from_a_drop_to_resumed_there_are_three_round_trips_and_no_wait(
    autojump_clock: MockClock, drop: str
) -> None:
    """TCP, the upgrade with HELLO behind it, and RESUME."""
    async with trio.open_nursery() as nursery:
        opener = Distance(Load(mode="drop", drop=drop), nursery, one_way=ROUND_TRIP / 2)
        async with Shard(TOKEN, intents=Intents.GUILDS, opener=opener, metadata=far_metadata()) as shard:
            left: float | None = None
            async for move in shard.transitions():
                if move.state is State.READY:
                    left = move.time
                elif move.to is State.READY and left is not None:
                    assert move.time - left == pytest.approx(3 * ROUND_TRIP, abs=1e-6)
                    break
        nursery.cancel_scope.cancel()


@conforms("P27", "P28")
@pytest.mark.parametrize(("round_trip", "of_the_least"), [(0.0, 1.002), (0.1, 1.022)])
async def test_a_start_of_many_shards_takes_hardly_more_than_discord_allows(
    autojump_clock: MockClock, round_trip: float, of_the_least: float
) -> None:
    """READY's way in each window, and two thousandths of the window for the server's clock."""
    shards, at_a_time = 200, 16
    windows = -(-shards // at_a_time) - 1
    gate = InMemoryIdentifyGate()
    metadata = far_metadata(max_concurrency=at_a_time)
    ready: list[float] = []
    done = trio.Event()

    async with trio.open_nursery() as nursery:
        opener = Distance(Load(mode="idle"), nursery, one_way=round_trip / 2)

        async def hold(number: int) -> None:
            async with Shard(
                TOKEN,
                intents=Intents.GUILDS,
                shard_id=number,
                shard_count=shards,
                gate=gate,
                metadata=metadata,
                opener=opener,
            ) as shard:
                await shard.wait_for("ready")
                ready.append(trio.current_time())
                if len(ready) == shards:
                    done.set()
                await trio.sleep_forever()

        for number in range(shards):
            nursery.start_soon(hold, number)
        await done.wait()
        nursery.cancel_scope.cancel()
    assert ready[-1] - ready[0] == pytest.approx(windows * IDENTIFY_SPACING * of_the_least, rel=1e-4)
