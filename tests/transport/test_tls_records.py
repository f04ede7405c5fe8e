"""Draining TLS: the records that have come are read in one call, in order, and none is lost when something fails."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gatewright.transport.arrivals import TlsRecords
from tests.support.threads import tls_contexts


@attrs.frozen(eq=False)
class Line:
    """A TLS connection in memory; the server's records go through `below` to `above`."""

    client: trio.SSLStream[trio.abc.Stream]
    server: trio.SSLStream[trio.abc.Stream]
    below: trio.testing.MemorySendStream
    above: trio.testing.MemoryReceiveStream


@asynccontextmanager
async def line(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> AsyncGenerator[Line]:
    server_context, client_context = tls_contexts("gateway.invalid")
    client_context.minimum_version = client_context.maximum_version = version
    ours, theirs = trio.testing.memory_stream_pair()
    client = trio.SSLStream[trio.abc.Stream](
        ours, client_context, server_hostname="gateway.invalid", https_compatible=True
    )
    server = trio.SSLStream[trio.abc.Stream](theirs, server_context, server_side=True, https_compatible=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    assert isinstance(theirs.send_stream, trio.testing.MemorySendStream)
    assert isinstance(ours.receive_stream, trio.testing.MemoryReceiveStream)
    yield Line(client, server, theirs.send_stream, ours.receive_stream)


def records_of(stream: trio.abc.Stream) -> TlsRecords:
    records = TlsRecords.of(stream)
    assert records is not None, (
        "trio keeps the buffer of an SSLStream somewhere else than `_ssl_object`: everything works without draining, "
        "and TLS costs twice as much a message; adapt TlsRecords.of"
    )
    return records


async def test_trio_keeps_what_draining_leans_on() -> None:
    async with line() as at:
        assert isinstance(records_of(at.client), TlsRecords)


async def test_what_is_no_tls_stream_or_keeps_it_elsewhere_is_not_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TlsRecords.of(trio.testing.memory_stream_pair()[0]) is None
    async with line() as at:
        monkeypatch.setattr(at.client, "_ssl_object", None)
        assert TlsRecords.of(at.client) is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_records_that_have_come_are_read_together_and_in_order(version: ssl.TLSVersion) -> None:
    async with line(version) as at:
        for number in range(100):
            await at.server.send_all(b"%03d;" % number)
        assert await records_of(at.client).receive() == b"".join(b"%03d;" % number for number in range(100))


async def test_trio_alone_reads_one_a_call() -> None:
    """The control: what draining is for."""
    async with line() as at:
        for _ in range(2):
            await at.server.send_all(b"x")
        assert await at.client.receive_some(1000) == b"x"


async def test_half_a_record_waits_for_its_other_half() -> None:
    async with line() as at:
        records = records_of(at.client)
        at.below.send_all_hook = None
        for text in (b"first", b"second"):
            await at.server.send_all(text)
        data = at.below.get_data_nowait()
        cut = len(data) - 9
        at.above.put_data(data[:cut])
        assert await records.receive() == b"first"
        at.above.put_data(data[cut:])
        assert await records.receive() == b"second"


async def test_the_goodbye_of_the_peer_comes_after_what_it_said(autojump_clock: MockClock) -> None:
    async with line() as at:
        records = records_of(at.client)
        await at.server.send_all(b"a")
        await at.server.send_all(b"b")
        with trio.move_on_after(1):
            await at.server.unwrap()
        assert await records.receive() == b"ab"
        assert await records.receive() == b""
        assert await records.receive() == b""


async def test_a_damaged_record_is_told_after_what_came_before_it() -> None:
    async with line() as at:
        records = records_of(at.client)
        await at.server.send_all(b"a")
        await at.server.send_all(b"b")
        await at.below.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert await records.receive() == b"ab"
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError) as broken:
                await records.receive()
            assert isinstance(broken.value.__cause__, ssl.SSLError)


async def test_a_flood_is_read_in_bounded_portions() -> None:
    async with line() as at:
        records = records_of(at.client)
        for _ in range(40):
            await at.server.send_all(bytes(16 * 1024))
        sizes: list[int] = []
        while sum(sizes) < 40 * 16 * 1024:
            sizes.append(len(await records.receive()))
        assert max(sizes) <= 256 * 1024 + 16 * 1024
        assert len(sizes) < 40
