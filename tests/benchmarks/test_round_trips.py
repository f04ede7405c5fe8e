"""How many round trips a resume takes, exactly: the benchmark's server at a distance, on virtual time."""

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from benchmarks import payloads
from benchmarks.link import Far, Plain
from benchmarks.server import Connection, Load, Server
from gatewright.spec.intents import Intents
from gatewright.spec.session import Metadata
from gatewright.spec.states import State
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.shard import Shard
from gatewright.transport.urls import GatewayUrl
from tests.support.conforms import conforms
from tests.support.shards import TOKEN

ONE_WAY = 0.05
ROUND_TRIP = 2 * ONE_WAY


class Distance:
    """Opens streams to a server, after the round trip of TCP."""

    def __init__(self, load: Load, nursery: trio.Nursery) -> None:
        self._server = Server(load)
        self._server.ready = payloads.ready(1, secure=False)
        self._nursery = nursery

    async def __call__(self, url: GatewayUrl) -> trio.abc.Stream:
        await trio.sleep(ROUND_TRIP)
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            async with trio.open_nursery() as nursery:
                link = Far(Plain(stream), ONE_WAY, nursery)
                await Connection(self._server, link, stream, nursery).serve()
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass


@conforms("P35", "P52")
@pytest.mark.parametrize("drop", ["close", "op 7", "reset"])
async def test_from_a_drop_to_resumed_there_are_three_round_trips_and_no_wait(
    autojump_clock: MockClock, drop: str
) -> None:
    """TCP, the upgrade with HELLO behind it, and RESUME."""
    async with trio.open_nursery() as nursery:
        opener = Distance(Load(mode="drop", drop=drop), nursery)
        metadata = StaticMetadataSource(Metadata(url="wss://gateway.invalid/"))
        async with Shard(TOKEN, intents=Intents.GUILDS, opener=opener, metadata=metadata) as shard:
            left: float | None = None
            async for move in shard.transitions():
                if move.state is State.READY:
                    left = move.time
                elif move.to is State.READY and left is not None:
                    assert move.time - left == pytest.approx(3 * ROUND_TRIP, abs=1e-6)
                    break
        nursery.cancel_scope.cancel()
