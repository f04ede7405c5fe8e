"""Writing on a connection: one writer, frames that are whole or the last, and a close frame behind what was begun."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock, wait_all_tasks_blocked
from wsproto.events import CloseConnection, Ping, TextMessage

from gatewright.spec.events import Closed, CloseFlushed, Opened, WriteBlocked
from gatewright.spec.protocol import Opcode
from gatewright.transport import driver
from gatewright.transport.errors import ConnectionLost
from tests.support.connections import WRITE_TIMEOUT, Pair, Peer, pair

MEMBERS = Opcode.REQUEST_GUILD_MEMBERS


class Blocking(trio.abc.Stream):
    """A stream whose peer stops to read: a write sends one byte and waits."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self.open = trio.Event()
        self.open.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if not self.open.is_set():
            await self._inner.send_all(data[:1])
            await self.open.wait()
            data = data[1:]
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.open.wait()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def opened(at: Pair) -> None:
    await at.peer.accept()
    await wait_all_tasks_blocked()


@asynccontextmanager
async def unread() -> AsyncGenerator[tuple[Pair, Blocking]]:
    """An open connection whose peer does not read until `open` of the stream is set."""
    ours, theirs = trio.testing.memory_stream_pair()
    stream = Blocking(ours)
    async with pair(client=stream) as at:
        at.peer.stream = theirs
        await opened(at)
        stream.open = trio.Event()
        yield at, stream


async def texts(peer: Peer) -> list[str]:
    return [event.data for event in await peer.events() if isinstance(event, TextMessage)]


async def test_what_is_sent_arrives_whole(autojump_clock: MockClock) -> None:
    async with pair() as at:
        await opened(at)
        payload = msgspec.json.encode({"op": 8, "d": {"name": "ä" * 1000}})
        await at.connection.outbox.send(MEMBERS, payload)
        assert await texts(at.peer) == [payload.decode()]


async def test_a_write_that_makes_no_end_is_reported_after_its_limit(autojump_clock: MockClock) -> None:
    async with unread() as (at, _):
        began = trio.current_time()
        with pytest.raises(ConnectionLost):
            await at.connection.outbox.send(MEMBERS, b"{}")
        assert trio.current_time() - began == WRITE_TIMEOUT
        assert at.host.outcomes[-1] == WriteBlocked(1)


async def test_after_a_blocked_write_nothing_follows_on_the_stream(autojump_clock: MockClock) -> None:
    """Half a frame is out: whatever came next would be taken for the rest of it."""
    async with unread() as (at, stream):
        at.connection.outbox.urge(Opcode.HEARTBEAT, b"{}")
        await trio.sleep(WRITE_TIMEOUT + 1)
        at.connection.outbox.urge(Opcode.HEARTBEAT, b"{}")
        at.connection.close(4900)
        stream.open.set()
        await wait_all_tasks_blocked()
        assert len(await at.peer.stream.receive_some()) == 1


async def test_a_slow_write_is_waited_for(autojump_clock: MockClock) -> None:
    async with unread() as (at, stream):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.connection.outbox.send, MEMBERS, b"{}")
            await trio.sleep(WRITE_TIMEOUT - 1)
            stream.open.set()
        await wait_all_tasks_blocked()
        assert await texts(at.peer) == ["{}"]


async def test_a_send_that_was_begun_is_finished_although_it_is_cancelled(autojump_clock: MockClock) -> None:
    async with unread() as (at, stream):
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def send() -> None:
                with scope:
                    await at.connection.outbox.send(MEMBERS, b'{"op":8}')

            nursery.start_soon(send)
            await wait_all_tasks_blocked()
            scope.cancel()
            await trio.sleep(1)
            stream.open.set()
        assert scope.cancelled_caught
        at.connection.outbox.urge(Opcode.HEARTBEAT, b'{"op":1}')
        await wait_all_tasks_blocked()
        assert await texts(at.peer) == ['{"op":8}', '{"op":1}']


@pytest.mark.parametrize("code", [1000, 4900])
async def test_a_close_frame_has_our_code_and_is_told_when_it_left(autojump_clock: MockClock, code: int) -> None:
    async with pair() as at:
        await opened(at)
        at.connection.close(code)
        (frame,) = await at.peer.events()
        assert isinstance(frame, CloseConnection)
        assert frame.code == code
        await wait_all_tasks_blocked()
        assert not at.connection.gone.is_set()
        await at.peer.send(frame.response())
        await at.connection.gone.wait()
    assert at.host.outcomes == [Opened(1), CloseFlushed(1), Closed(1)]


async def test_the_close_frame_goes_behind_a_write_that_was_begun(autojump_clock: MockClock) -> None:
    async with unread() as (at, stream):
        at.connection.outbox.urge(Opcode.HEARTBEAT, b"{}")
        await wait_all_tasks_blocked()
        at.connection.close(4900)
        stream.open.set()
        await wait_all_tasks_blocked()
        message, frame = await at.peer.events()
        assert isinstance(message, TextMessage)
        assert isinstance(frame, CloseConnection)


async def test_our_close_is_ours_whatever_the_peer_answers(autojump_clock: MockClock) -> None:
    async with pair() as at:
        await opened(at)
        at.connection.close(1000)
        await at.peer.events()
        await at.peer.raw(b"\x88\x02\x0f\xa4")  # 4004
        await at.connection.gone.wait()
    assert at.host.outcomes[-1] == Closed(1)


async def test_the_peers_code_and_reason_are_told(autojump_clock: MockClock) -> None:
    async with pair() as at:
        await opened(at)
        await at.peer.send(TextMessage("last"), CloseConnection(4004, "Authentication failed."))
        await at.connection.gone.wait()
    assert (at.host.messages, at.host.outcomes[-1]) == (["last"], Closed(1, 4004, "Authentication failed."))


async def test_a_reader_that_is_paused_does_not_hold_up_the_close(autojump_clock: MockClock) -> None:
    async with pair(reading=False) as at:
        await opened(at)
        await at.peer.send(*[TextMessage("x")] * 500)
        await wait_all_tasks_blocked()
        assert len(at.host.messages) == 1
        at.connection.close(1000)
        (frame,) = await at.peer.events()
        assert isinstance(frame, CloseConnection)
        await at.peer.send(frame.response())
        with trio.fail_after(1):
            await at.connection.gone.wait()


async def test_a_ping_behind_our_close_ends_it(autojump_clock: MockClock) -> None:
    async with pair() as at:
        await opened(at)
        at.connection.close(1000)
        await at.peer.events()
        await at.peer.raw(b"\x89\x00")
        with trio.fail_after(1):
            await at.connection.gone.wait()
    assert at.host.names[-1] == "Aborted"


async def test_a_ping_is_answered_while_nobody_reads(autojump_clock: MockClock) -> None:
    async with pair(reading=False) as at:
        await opened(at)
        await at.peer.send(TextMessage("x"), TextMessage("y"), Ping(b"?"))
        await wait_all_tasks_blocked()
        (pong,) = await at.peer.events()
        assert type(pong).__name__ == "Pong"


async def test_progress_does_not_rest_while_messages_lie_ready(autojump_clock: MockClock) -> None:
    """Timers wait for it to rest, so a message that is overlooked would be a false zombie (I23)."""
    async with pair() as at:
        await opened(at)
        await at.peer.send(*[TextMessage("x")] * 200)
        rests: list[int] = [0]
        while len(at.host.messages) < 200:
            last = at.connection.progress
            await trio.lowlevel.checkpoint()
            rests = [*rests, 0] if at.connection.progress > last else [*rests[:-1], rests[-1] + 1]
        assert max(rests) < driver._QUIET_PASSES
