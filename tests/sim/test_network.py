"""The simulated network: what arrives, when, and how it ends."""

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from gatewright.harness.sim.choices import Choices
from gatewright.harness.sim.network import BUFFER, Network
from gatewright.transport.seams import ConnectionUnavailable
from gatewright.transport.urls import parse_gateway_url

URL = parse_gateway_url("wss://gateway.invalid/")


class Server:
    """Keeps the stream that it was given."""

    def __init__(self) -> None:
        self.streams: list[trio.abc.Stream] = []

    async def __call__(self, stream: trio.abc.Stream) -> None:
        self.streams.append(stream)
        await trio.sleep_forever()


async def everything(stream: trio.abc.Stream) -> bytes:
    found = b""
    while data := await stream.receive_some():
        found += data
    return found


async def pair(
    nursery: trio.Nursery, *numbers: int, seed: int | None = None
) -> tuple[Network, trio.abc.Stream, trio.abc.Stream]:
    server = Server()
    network = Network(server, nursery, Choices(numbers, seed), unreachable="wss://unreachable")
    client = await network(URL)
    while not server.streams:
        await trio.lowlevel.checkpoint()
    return network, client, server.streams[0]


async def test_bytes_arrive_whole_and_in_order_wherever_they_are_cut(autojump_clock: MockClock) -> None:
    sent = [bytes([number]) * (1 + number * 7) for number in range(40)]
    for seed in range(10):
        async with trio.open_nursery() as nursery:
            _, client, server = await pair(nursery, seed=seed)
            for data in sent:
                await server.send_all(data)
            await server.aclose()
            assert await everything(client) == b"".join(sent)
            nursery.cancel_scope.cancel()


async def test_reads_are_cut_and_merged(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        # No latency to connect, none for either write, then: merge (0), cut at 3 bytes (7).
        _, client, server = await pair(nursery, 0, 0, 0, 0, 7)
        await server.send_all(b"ab")
        await server.send_all(b"cd")
        assert await client.receive_some() == b"abc"
        assert await client.receive_some() == b"d"
        nursery.cancel_scope.cancel()


async def test_what_is_sent_takes_its_time(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        network, client, server = await pair(nursery)
        network.live[0].slow(3.0)
        began = trio.current_time()
        await server.send_all(b"late")
        assert await client.receive_some() == b"late"
        assert trio.current_time() - began == pytest.approx(3.0)
        nursery.cancel_scope.cancel()


async def test_fin_comes_after_what_was_sent_and_rst_before_it(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        _, client, server = await pair(nursery)
        await server.send_all(b"last words")
        await server.aclose()
        assert await everything(client) == b"last words"
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"to nobody")
        network, client, server = await pair(nursery)
        await server.send_all(b"lost")
        network.live[0].reset()
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()
        nursery.cancel_scope.cancel()


async def test_a_cable_that_is_out_tells_nobody(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        network, client, server = await pair(nursery)
        network.live[0].cut()
        await server.send_all(b"held back")
        with trio.move_on_after(1000) as waiting:
            await client.receive_some()
        assert waiting.cancelled_caught
        network.heal()
        assert await client.receive_some() == b"held back"
        nursery.cancel_scope.cancel()


async def test_a_full_buffer_holds_the_writer_up(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        _, client, server = await pair(nursery)
        await client.send_all(b"x" * BUFFER)
        with trio.move_on_after(1000) as waiting:
            await client.send_all(b"y")
        assert waiting.cancelled_caught
        assert len(await server.receive_some()) == BUFFER
        with trio.fail_after(1000):
            await client.send_all(b"y")
        nursery.cancel_scope.cancel()


async def test_connections_are_refused_hang_and_are_counted(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        network, client, _ = await pair(nursery)
        network.refuse = 1
        with pytest.raises(ConnectionUnavailable):
            await network(URL)
        network.hang = 1
        with trio.move_on_after(1000) as waiting:
            await network(URL)
        assert waiting.cancelled_caught
        with pytest.raises(ConnectionUnavailable):
            await network(parse_gateway_url("wss://unreachable.invalid/"))
        second = await network(URL)
        assert (network.open, network.most_open) == (2, 2)
        await client.aclose()
        await second.aclose()
        assert network.open == 0
        nursery.cancel_scope.cancel()
