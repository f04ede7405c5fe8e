"""Receiving from sockets: all that has come in one read and one pass of the loop, and every way in which it can end."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing
from trio.testing import wait_all_tasks_blocked

from gatewright.transport.arrivals import PORTION, Arrivals, SocketBytes, StreamBytes, TlsRecords, arrivals_of
from tests.support.threads import tls_contexts

pytestmark = pytest.mark.sockets

LARGE = PORTION


@attrs.frozen(eq=False)
class Wire:
    """Both ends of a TCP connection on loopback; bytes that are sent are there when the next line begins."""

    client: trio.SocketStream
    server: trio.SocketStream

    async def send(self, data: bytes) -> None:
        await self.server.send_all(data)


@asynccontextmanager
async def wire() -> AsyncGenerator[Wire]:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.getsockname()[1])
        accepted, _ = listener.accept()
    accepted.setblocking(False)
    server = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
    try:
        yield Wire(client, server)
    finally:
        await trio.aclose_forcefully(client)
        await trio.aclose_forcefully(server)


class Passes(trio.abc.Instrument):
    """Counts the passes of trio's loop."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


def socket_of(stream: trio.abc.Stream) -> SocketBytes:
    arrivals = SocketBytes.of(stream)
    assert arrivals is not None, (
        "trio keeps the socket of its SocketType somewhere else than in `_sock`: everything works without reading it, "
        "and an event that comes alone costs half as much again; adapt SocketBytes.of"
    )
    return arrivals


# -- TCP ---------------------------------------------------------------------------------------------------------------


async def test_trio_keeps_what_reading_below_it_leans_on() -> None:
    async with wire() as at:
        assert isinstance(arrivals_of(at.client), SocketBytes)
        assert isinstance(socket_of(at.client), SocketBytes)


async def test_another_stream_is_read_through_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    assert isinstance(arrivals_of(ours), StreamBytes)
    await theirs.send_all(b"abc")
    assert await arrivals_of(ours).receive() == b"abc"
    async with wire() as at:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(at.client.socket, "_sock", None)
            assert isinstance(arrivals_of(at.client), StreamBytes)


async def test_what_is_there_is_read_in_one_pass() -> None:
    async with wire() as at:
        arrivals, through_trio = socket_of(at.client), StreamBytes(at.client)
        counts: list[int] = []
        for each in (arrivals, through_trio):
            passes = Passes()
            await at.send(b"abc")
            trio.lowlevel.add_instrument(passes)
            assert await each.receive() == b"abc"
            trio.lowlevel.remove_instrument(passes)
            counts.append(passes.count)
        assert counts[0] == 1


async def test_it_waits_for_what_comes() -> None:
    async with wire() as at:
        async with trio.open_nursery() as nursery:
            found: list[bytes] = []

            async def receive() -> None:
                found.append(await socket_of(at.client).receive())

            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            assert found == []
            await at.send(b"abc")
        assert found == [b"abc"]


async def test_a_lot_is_read_in_portions_and_then_waited_for() -> None:
    async with wire() as at:
        arrivals = socket_of(at.client)
        got = bytearray()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.send, bytes(range(256)) * 4096)
            while len(got) < 256 * 4096:
                portion = await arrivals.receive()
                assert 0 < len(portion) <= LARGE
                got += portion
        assert bytes(got) == bytes(range(256)) * 4096
        with trio.move_on_after(0.01) as patience:
            await arrivals.receive()
        assert patience.cancelled_caught
        await at.send(b"more")
        assert await arrivals.receive() == b"more"


async def test_exactly_what_one_read_takes_leaves_nothing_to_wait_for_in_vain() -> None:
    async with wire() as at:
        arrivals = socket_of(at.client)
        at.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * LARGE)
        got = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.send, bytes(LARGE))
            while got < LARGE:
                got += len(await arrivals.receive())
        with trio.move_on_after(0.01) as patience:
            await arrivals.receive()
        assert patience.cancelled_caught
        await at.send(b"more")
        assert await arrivals.receive() == b"more"


async def test_receiving_is_always_a_checkpoint() -> None:
    async with wire() as at, trio.open_nursery() as nursery:
        arrivals = socket_of(at.client)
        nursery.start_soon(at.send, bytes(30 * LARGE))
        sizes: set[bool] = set()
        for _ in range(20):
            with trio.CancelScope() as scope:
                scope.cancel()
                await arrivals.receive()
            assert scope.cancelled_caught
            with trio.testing.assert_checkpoints():
                sizes.add(len(await arrivals.receive()) == LARGE)
        assert True in sizes  # after such a one it does not wait
        nursery.cancel_scope.cancel()


async def test_its_end_is_told_behind_what_came_before_and_told_again() -> None:
    async with wire() as at:
        arrivals = socket_of(at.client)
        await at.send(b"abc")
        await at.server.aclose()
        assert [await arrivals.receive() for _ in range(3)] == [b"abc", b"", b""]


async def test_a_reset_is_a_broken_stream() -> None:
    async with wire() as at:
        arrivals = socket_of(at.client)
        at.server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        at.server.socket.close()
        with pytest.raises(trio.BrokenResourceError, match="socket connection broken"):
            await arrivals.receive()


async def test_a_stream_that_we_have_closed_is_told_as_one() -> None:
    async with wire() as at:
        arrivals = socket_of(at.client)
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await arrivals.receive()

            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            await trio.aclose_forcefully(at.client)
        with pytest.raises(trio.ClosedResourceError):
            await arrivals.receive()


# -- TLS ---------------------------------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Line:
    """TLS over TCP."""

    wire: Wire
    client: trio.SSLStream[trio.SocketStream]
    server: trio.SSLStream[trio.SocketStream]
    arrivals: Arrivals

    async def send(self, *records: bytes) -> None:
        for record in records:
            await self.server.send_all(record)


@asynccontextmanager
async def line(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> AsyncGenerator[Line]:
    server_context, client_context = tls_contexts("gateway.invalid")
    client_context.minimum_version = client_context.maximum_version = version
    async with wire() as at:
        client = trio.SSLStream(at.client, client_context, server_hostname="gateway.invalid", https_compatible=True)
        server = trio.SSLStream(at.server, server_context, server_side=True, https_compatible=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            nursery.start_soon(server.do_handshake)
        records = TlsRecords.of(client)
        assert records is not None
        assert records._socket is not None, "trio keeps the buffers of an SSLStream elsewhere; adapt TlsRecords"
        yield Line(at, client, server, records)


BOTH = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@BOTH
async def test_records_are_read_together_and_in_order(version: ssl.TLSVersion) -> None:
    async with line(version) as at:
        sent = [b"%03d;" % number for number in range(100)]
        await at.send(*sent)
        got = b""
        while len(got) < 400:
            got += await at.arrivals.receive()
        assert got == b"".join(sent)


@BOTH
async def test_both_ways_at_once(version: ssl.TLSVersion) -> None:
    """The writer uses trio's stream while its records are received beside it."""
    async with line(version) as at, trio.open_nursery() as nursery:
        size = 3_000_000

        async def echo() -> None:
            async for data in at.server:
                await at.server.send_all(data)

        async def send() -> None:
            for start in range(0, size, 50_000):
                await at.client.send_all(bytes([start // 50_000 % 251]) * 50_000)

        nursery.start_soon(echo)
        nursery.start_soon(send)
        got = bytearray()
        while len(got) < size:
            got += await at.arrivals.receive()
        assert [got[start] for start in range(0, size, 50_000)] == [n % 251 for n in range(size // 50_000)]
        nursery.cancel_scope.cancel()


async def test_what_trio_has_received_before_comes_first() -> None:
    """The answer to the upgrade may lie in the buffer since the handshake."""
    async with line() as at:
        await at.send(b"first", b"second")
        assert await at.client.receive_some(1000) == b"first"  # and `second` is in the buffer, or soon in the socket
        assert await at.arrivals.receive() == b"second"


async def test_half_a_record_waits_for_the_rest() -> None:
    async with line() as at:
        await at.send(b"before")  # with which the server sends what is left of its handshake
        records = [await at.arrivals.receive()]
        server = at.server._ssl_object  # trio's own: to cut what it would send
        outgoing = at.server._outgoing
        server.write(b"first")
        server.write(b"second")
        data = outgoing.read()
        await at.wire.send(data[:-9])
        records.append(await at.arrivals.receive())
        await at.wire.send(data[-9:-1])
        with trio.move_on_after(0.01) as patience:
            await at.arrivals.receive()
        assert patience.cancelled_caught
        await at.wire.send(data[-1:])
        records.append(await at.arrivals.receive())
        assert records == [b"before", b"first", b"second"]


@BOTH
async def test_the_goodbye_comes_behind_what_was_said(version: ssl.TLSVersion) -> None:
    async with line(version) as at, trio.open_nursery() as nursery:
        await at.send(b"a")
        nursery.start_soon(at.server.unwrap)
        await wait_all_tasks_blocked()  # it waits for ours
        assert [await at.arrivals.receive() for _ in range(3)] == [b"a", b"", b""]
        nursery.cancel_scope.cancel()


async def test_an_end_without_a_goodbye_is_an_end() -> None:
    async with line() as at:
        await at.send(b"a")
        await trio.aclose_forcefully(at.wire.server)
        assert [await at.arrivals.receive() for _ in range(2)] == [b"a", b""]


async def test_a_reset_below_is_told() -> None:
    async with line() as at:
        at.wire.server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        at.wire.server.socket.close()
        with pytest.raises(trio.BrokenResourceError):
            await at.arrivals.receive()


async def test_a_damaged_record_is_told_behind_what_came_before() -> None:
    async with line() as at:
        await at.send(b"a", b"b")
        await at.wire.send(b"\x17\x03\x03\x00\x20" + bytes(32))
        got = b""
        while len(got) < 2:
            got += await at.arrivals.receive()
        assert got == b"ab"
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError) as broken:
                await at.arrivals.receive()
            assert isinstance(broken.value.__cause__, ssl.SSLError)


async def test_what_tls_itself_has_to_answer_is_sent_by_trio() -> None:
    """A renegotiation or a new key may ask for it; nobody may be about to write."""
    async with line() as at:
        at.client._outgoing.write(b"answer")  # in place of one
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.arrivals.receive)
            assert await at.wire.server.receive_some() == b"answer"
            nursery.cancel_scope.cancel()


async def test_a_flood_is_read_in_bounded_portions() -> None:
    async with line() as at, trio.open_nursery() as nursery:
        nursery.start_soon(at.send, *[bytes(16 * 1024)] * 40)
        sizes: list[int] = []
        while sum(sizes) < 40 * 16 * 1024:
            with trio.testing.assert_checkpoints():
                sizes.append(len(await at.arrivals.receive()))
        assert max(sizes) <= LARGE + 16 * 1024
