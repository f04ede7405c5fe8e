"""Entering and leaving the fake gateway: nothing hangs, nothing is left running, and errors come out as they are."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from gatewright.harness.fake import Closed, Connection, Dark, Delay, FakeGateway, Log, Side, Withhold
from tests.harness.client import Forwarding, connected

PLANS = [
    Connection(),
    Connection(accept=Dark()),
    Connection(accept=Delay(1000)),
    Connection(hello=Withhold()),
    Connection(hello=Dark(reading=False)),
    Connection(ready=Delay(1000)),
]


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


@pytest.mark.parametrize("plan", PLANS)
async def test_leaving_ends_every_connection_at_once_and_leaves_no_task(
    autojump_clock: MockClock, plan: Connection
) -> None:
    before = tasks()
    async with FakeGateway(listen=False, script=[plan]) as fake:
        stream = await fake.open_stream()
        head = b"GET /?v=10 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        await stream.send_all(head + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n")
        await fake.wait_until(lambda log: log.connections == 1)
        await trio.sleep(1)
        assert fake.open_connections == 1
    assert trio.current_time() == 1
    assert tasks() == before
    assert fake.open_connections == 0
    assert fake.log.of(Closed)[0].by is Side.SERVER


async def test_a_stream_that_the_caller_serves_ends_with_the_fake(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery, FakeGateway(listen=False) as fake:
        nursery.start_soon(fake.serve_stream, theirs)
        async with connected(fake, stream=ours) as client:
            assert await client.start_session()
            await client.read()
    assert trio.current_time() == 0
    assert fake.open_connections == 0


async def test_a_stream_that_says_nothing_is_served_until_it_ends(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    async with FakeGateway(listen=False) as fake, trio.open_nursery() as nursery:
        nursery.start_soon(fake.serve_stream, theirs)
        await trio.sleep(60)
        await ours.aclose()
    assert fake.connections == 0


@pytest.mark.parametrize("first", [b"\x16\x03\x01", b"\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"x" * 100_000])
async def test_what_is_no_http_is_hung_up_on(autojump_clock: MockClock, first: bytes) -> None:
    async with FakeGateway(listen=False) as fake:
        stream = await fake.open_stream()
        await stream.send_all(first + b"\r\n\r\n")
        assert await stream.receive_some() == b""
        assert len(fake.log) == 0


class Resettable(Forwarding):
    """A stream of a simulated network, that can end in a reset."""

    resets = 0

    def reset(self) -> None:
        self.resets += 1


@pytest.mark.parametrize("reset", [False, True])
async def test_a_stream_that_can_be_reset_is_reset_only_when_asked(autojump_clock: MockClock, reset: bool) -> None:
    ours, theirs = memory_stream_pair()
    resettable = Resettable(theirs)
    async with FakeGateway(listen=False) as fake, trio.open_nursery() as nursery:
        nursery.start_soon(fake.serve_stream, resettable)
        async with connected(fake, stream=ours) as client:
            await client.read()
            fake.drop(reset=reset)
            assert await client.close_code() == 1006
    assert resettable.resets == int(reset)


async def test_an_upgrade_that_is_none_is_refused(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake:
        stream = await fake.open_stream()
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 400 ")
        assert fake.connections == 0


async def test_the_blocks_own_error_comes_out_as_itself(autojump_clock: MockClock) -> None:
    async def block() -> None:
        async with FakeGateway(listen=False) as fake:
            await fake.open_stream()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()


async def test_the_blocks_own_error_survives_a_cancellation_from_outside(autojump_clock: MockClock) -> None:
    async def block() -> None:
        async with FakeGateway(listen=False) as fake:
            await fake.open_stream()
            scope.cancel()
            raise ZeroDivisionError

    with trio.CancelScope() as scope, pytest.raises(ZeroDivisionError):
        await block()


async def test_a_cancellation_from_outside_passes(autojump_clock: MockClock) -> None:
    with trio.move_on_after(5) as scope:
        async with FakeGateway(listen=False) as fake:
            await fake.open_stream()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_an_error_in_the_fake_itself_is_not_swallowed(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: Log, _record: object) -> None:
        raise RuntimeError("a bug of the fake")

    monkeypatch.setattr(Log, "add", broken)
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug of the fake"), flatten_subgroups=True):
        async with FakeGateway(listen=False) as fake, connected(fake):
            await trio.sleep_forever()


async def test_a_fake_is_entered_once(autojump_clock: MockClock) -> None:
    fake = FakeGateway(listen=False)
    async with fake:
        pass
    with pytest.raises(RuntimeError, match="make another one"):
        async with fake:
            pass


async def test_before_it_is_entered_no_stream_can_be_opened(autojump_clock: MockClock) -> None:
    with pytest.raises(RuntimeError, match="enter the FakeGateway first"):
        await FakeGateway(listen=False).open_stream()
