"""The benchmark's server at a distance, in memory: with a virtual clock, times are what the protocol makes of them."""

import trio
import trio.testing

from benchmarks import payloads
from benchmarks.link import Far, Link, Plain
from benchmarks.server import Connection, Load, Server
from gatewright.spec.session import Metadata
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.urls import GatewayUrl


def far_metadata(**changes: int) -> StaticMetadataSource:
    return StaticMetadataSource(Metadata(url="wss://gateway.invalid/", **changes))


class Distance:
    """Opens streams to a server that is `one_way` seconds away, after the round trip of TCP."""

    def __init__(self, load: Load, nursery: trio.Nursery, *, one_way: float) -> None:
        self._server = Server(load)
        self._server.ready = payloads.ready(1, secure=False)
        self._nursery = nursery
        self._one_way = one_way

    async def __call__(self, url: GatewayUrl) -> trio.abc.Stream:
        await trio.sleep(2 * self._one_way)
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            async with trio.open_nursery() as nursery:
                link: Link = Plain(stream)
                if self._one_way:
                    link = Far(link, self._one_way, nursery)
                await Connection(self._server, link, stream, nursery).serve()
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
