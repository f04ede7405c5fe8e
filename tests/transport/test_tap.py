"""trio-websocket with the tap below it behaves as without: what is delivered, answered, closed, and how it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import attrs
import pytest
import trio
import trio.testing
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request

from gatewright.transport.frames import Received
from gatewright.transport.inflate import TooLarge
from gatewright.transport.tap import FrameTap
from tests.support.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, cut, frame, places, streams

LIMIT = 1 << 26


@attrs.define(eq=False)
class Outcome:
    """What a client makes of what a server sends."""

    messages: list[Received] = attrs.field(factory=list[Received])
    sent: bytes = b""
    close: int | None = None


async def upgrade(stream: trio.abc.Stream) -> bytes:
    """Reads the request of a client; the answer that accepts it."""
    protocol = WSConnection(ConnectionType.SERVER)
    protocol.receive_data(bytes(await stream.receive_some()))
    (request,) = protocol.events()
    assert isinstance(request, Request)
    return protocol.send(AcceptConnection())


async def play(stream: trio.abc.Stream, pieces: list[bytes], *, glued: bool) -> bytes:
    """A server that sends `pieces` after its 101, or the first of them with it; everything that the client sent."""
    answer = await upgrade(stream)
    if glued and pieces:
        answer, pieces = answer + pieces[0], pieces[1:]
    sent = bytearray()
    async with trio.open_nursery() as nursery:

        async def listen() -> None:
            async for data in stream:
                sent.extend(data)

        nursery.start_soon(listen)
        for piece in [answer, *pieces]:
            await stream.send_all(piece)
            await wait_all_tasks_blocked()
        assert isinstance(stream, trio.StapledStream)
        await stream.send_eof()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return bytes(sent)


async def without_tap(nursery: trio.Nursery, stream: trio.abc.Stream, outcome: Outcome) -> None:
    websocket = await connect(nursery, stream)
    try:
        while True:
            outcome.messages.append(await websocket.get_message())
    except ConnectionClosed as closed:
        outcome.close = None if closed.reason is None else closed.reason.code


async def with_tap(nursery: trio.Nursery, stream: trio.abc.Stream, outcome: Outcome) -> None:
    tap = FrameTap(stream, deliver=outcome.messages.extend, limit=LIMIT)
    websocket = await connect(nursery, tap)
    tap.release()
    try:
        await websocket.get_message()
    except ConnectionClosed as closed:
        outcome.close = None if closed.reason is None else closed.reason.code


async def connect(nursery: trio.Nursery, stream: trio.abc.Stream) -> WebSocketConnection:
    return await wrap_client_stream(
        nursery,
        cast("trio.SocketStream", stream),
        "gateway.invalid",
        "/",
        message_queue_size=1000,
        max_message_size=LIMIT,
    )


Client = Callable[[trio.Nursery, trio.abc.Stream, Outcome], Awaitable[None]]


def outcome_of(client: Client, pieces: list[bytes], *, glued: bool = False) -> Outcome:
    async def main() -> Outcome:
        ours, theirs = trio.testing.memory_stream_pair()
        outcome = Outcome()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client, nursery, ours, outcome)
            outcome.sent = await play(theirs, pieces, glued=glued)
            nursery.cancel_scope.cancel()
        return outcome

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def unmasked(data: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of the client's frames, which are small; each has a mask of its own."""
    frames: list[tuple[int, bytes]] = []
    while data:
        size = data[1] & 0x7F
        mask, payload = data[2:6], data[6 : 6 + size]
        frames.append((data[0] & 0xF, bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))))
        data = data[6 + size :]
    return frames


def compare(pieces: list[bytes], *, glued: bool = False) -> Outcome:
    """The outcome with the tap, after it was found to be that without."""
    reference, tapped = outcome_of(without_tap, pieces, glued=glued), outcome_of(with_tap, pieces, glued=glued)
    assert (tapped.messages, tapped.close) == (reference.messages, reference.close)
    assert unmasked(tapped.sent) == unmasked(reference.sent)
    return tapped


@given(data=streams, places=places, glued=st.booleans())
@example(frame(TEXT, b"a") + frame(CLOSE, b"\x0f\xa0bye") + frame(TEXT, b"late"), [], True)
@example(frame(TEXT, b"a", fin=False) + frame(PING, b"?") + frame(CONTINUATION, b"b"), [3], False)
@example(frame(TEXT, b"a", masked=True), [], False)
@example(frame(TEXT, b"\xff"), [], False)
def test_it_behaves_as_without_the_tap(data: bytes, places: list[int], glued: bool) -> None:
    compare(cut(data, places), glued=glued)


@pytest.mark.parametrize("glued", [False, True])
def test_it_behaves_as_without_wherever_the_stream_is_cut(glued: bool) -> None:
    data = frame(TEXT, b"a", fin=False) + frame(PING, b"?") + frame(CONTINUATION, "ä".encode()) + frame(BINARY, b"b")
    data += frame(CLOSE, b"\x0f\xa0bye")
    for place in range(1, len(data)):
        outcome = compare(cut(data, [place]), glued=glued)
        assert (outcome.messages, outcome.close) == (["aä", b"b"], 4000)
        assert [opcode for opcode, _ in unmasked(outcome.sent)] == [0xA, CLOSE]


def test_an_end_without_a_close_frame_is_told_as_without() -> None:
    assert compare([frame(TEXT, b"a"), frame(TEXT, b"b")[:2]]).close == 1006


# -- by itself ---------------------------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Bench:
    """A tap after its upgrade, and the server's end of its stream."""

    tap: FrameTap
    server: trio.abc.Stream
    found: list[Received]


async def bench(*, limit: int = LIMIT, glued: bytes = b"", released: bool = True) -> Bench:
    ours, server = trio.testing.memory_stream_pair()
    found: list[Received] = []
    tap = FrameTap(ours, deliver=found.extend, limit=limit)
    await server.send_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n" + glued)
    assert (await tap.receive_some()).endswith(b"\r\n\r\n")
    if released:
        tap.release()
    return Bench(tap, server, found)


async def test_nothing_behind_the_101_is_delivered_before_it_was_taken(autojump_clock: MockClock) -> None:
    at = await bench(glued=frame(TEXT, b"a") + frame(PING), released=False)
    with trio.move_on_after(1):
        await at.tap.receive_some()
    assert at.found == []
    at.tap.release()
    assert await at.tap.receive_some() == frame(PING)
    assert at.found == ["a"]


@pytest.mark.parametrize("ending", [b"\r\n\r\n", b"\n\n", b"\r\n\n"])
@pytest.mark.parametrize("place", range(1, 40))
async def test_the_upgrade_is_found_wherever_it_is_cut(autojump_clock: MockClock, ending: bytes, place: int) -> None:
    ours, server = trio.testing.memory_stream_pair()
    found: list[Received] = []
    tap = FrameTap(ours, deliver=found.extend, limit=LIMIT)
    answer = b"HTTP/1.1 101 S\r\nupgrade: websocket" + ending
    passed = b""
    for piece in cut(answer + frame(TEXT, b"a"), [place]):
        await server.send_all(piece)
        with trio.move_on_after(1):
            passed += await tap.receive_some()
    assert (passed, found) == (answer, [])
    tap.release()
    await server.send_all(frame(PING))
    assert (await tap.receive_some(), found) == (frame(PING), ["a"])


@pytest.mark.parametrize("status", [b"100", b"200", b"403", b"1010"])
async def test_after_any_other_answer_everything_passes(status: bytes) -> None:
    ours, server = trio.testing.memory_stream_pair()
    tap = FrameTap(ours, deliver=lambda messages: pytest.fail(f"{messages} were delivered"), limit=LIMIT)
    for data in (b"HTTP/1.1 " + status + b" No\r\n\r\n" + frame(TEXT, b"a"), frame(TEXT, b"b")):
        await server.send_all(data)
        assert await tap.receive_some() == data


async def test_while_it_is_held_nothing_is_read(autojump_clock: MockClock) -> None:
    at = await bench()
    at.tap.hold()
    await at.server.send_all(frame(TEXT, b"a") + frame(PING))
    reads = at.tap.reads
    with trio.move_on_after(100):
        await at.tap.receive_some()
    assert (at.found, at.tap.reads) == ([], reads)
    at.tap.release()
    assert (await at.tap.receive_some(), at.found) == (frame(PING), ["a"])


async def test_a_burst_is_delivered_at_once() -> None:
    at = await bench()
    bursts: list[int] = []

    def count(messages: list[Received]) -> None:
        bursts.append(len(messages))

    at.tap._deliver = count
    await at.server.send_all(frame(TEXT, b"x" * 400) * 100 + frame(PING))
    assert (await at.tap.receive_some(), bursts) == (frame(PING), [100])


async def test_from_our_close_frame_on_nothing_is_delivered_and_the_answer_is_read(autojump_clock: MockClock) -> None:
    at = await bench()
    at.tap.hold()
    close = frame(CLOSE, b"\x03\xe8", masked=True)
    await at.tap.send_all(close)
    assert at.tap.close_sent.is_set()
    await at.server.send_all(frame(TEXT, b"a") + frame(CLOSE, b"\x03\xe8"))
    assert (await at.tap.receive_some(), at.found) == (frame(CLOSE, b"\x03\xe8"), [])
    at.tap.hold()
    await at.server.aclose()
    assert await at.tap.receive_some() == b""


async def test_one_that_is_too_large_is_delivered_as_such() -> None:
    at = await bench(limit=100)
    await at.server.send_all(frame(TEXT, b"a") + frame(TEXT, b"x" * 101) + frame(PING))
    await at.tap.receive_some()
    assert [type(message) for message in at.found] == [str, TooLarge]


async def test_its_end_is_told(autojump_clock: MockClock) -> None:
    at = await bench()
    await at.server.send_all(frame(TEXT, b"a")[:1])
    await at.server.aclose()
    assert await at.tap.receive_some() == b""


async def test_a_broken_stream_is_told_as_one() -> None:
    at = await bench()
    await at.tap.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await at.tap.receive_some()


async def test_once_the_connection_is_over_reading_on_meets_its_end(autojump_clock: MockClock) -> None:
    """trio-websocket would wait for the end of a stream that the peer keeps open."""
    ours, server = trio.testing.memory_stream_pair()
    over = False
    tap = FrameTap(ours, deliver=lambda _: None, limit=LIMIT, finished=lambda: over)
    await server.send_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + frame(PING))
    await tap.receive_some()
    tap.release()
    assert await tap.receive_some() == frame(PING)
    over = True
    assert await tap.receive_some() == b""


async def test_whoever_reads_learns_that_nothing_can_be_sent(autojump_clock: MockClock) -> None:
    class Deaf(trio.abc.SendStream):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            raise trio.BrokenResourceError

        async def wait_send_all_might_not_block(self) -> None:
            await trio.lowlevel.checkpoint()

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    ours, server = trio.testing.memory_stream_pair()
    tap = FrameTap(trio.StapledStream(Deaf(), ours.receive_stream), deliver=lambda _: None, limit=LIMIT)

    async def read() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await tap.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError):
            await tap.send_all(b"x")
    await server.aclose()


async def test_closing_ends_the_wait_of_one_that_is_held(autojump_clock: MockClock) -> None:
    at = await bench(released=False)

    async def read() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await at.tap.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        await at.tap.aclose()


@attrs.define(eq=False)
class SlowToClose(trio.abc.Stream):
    """A stream below whose end takes its time, as one in a thread or in another process may."""

    inner: trio.abc.Stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self.inner.receive_some(max_bytes))

    async def aclose(self) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(2.0)
        await self.inner.aclose()


async def test_what_lies_there_still_is_not_delivered_while_a_stream_that_is_held_is_being_closed(
    autojump_clock: MockClock,
) -> None:
    ours, server = trio.testing.memory_stream_pair()
    found: list[Received] = []
    tap = FrameTap(SlowToClose(ours), deliver=found.extend, limit=LIMIT)
    await server.send_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    assert await tap.receive_some()  # nothing was released after it
    await server.send_all(frame(TEXT, b"a"))

    async def read() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await tap.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError):
            await tap.send_all(b"x")
    assert found == []
