"""One connection: one generation of the socket, from opening it to the moment when nothing of it is left.

trio-websocket makes the handshake, frames, pings and the close. Three tasks live inside the connection's own nursery:
trio-websocket's reader, ours (which feeds the machine) and the one writer, which alone sends. Whatever happens to it,
the connection ends with exactly one event (`ConnectFailed`, `Closed` or `Aborted`), after its stream was closed.
"""

from __future__ import annotations

from typing import Final, Protocol, cast

import trio
from trio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from gatewright.spec.events import (
    Aborted,
    Closed,
    CloseFlushed,
    ConnectError,
    ConnectFailed,
    Event,
    Opened,
    WriteBlocked,
)
from gatewright.transport.limiter import SendLimiter
from gatewright.transport.outbox import Fate, Outbox
from gatewright.transport.seams import ConnectionUnavailable, StreamOpener
from gatewright.transport.urls import GatewayUrl

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""Largest message that is accepted. READY of a large bot has megabytes (P81)."""

_RECEIVE_BYTES: Final = 64 * 1024
_MESSAGE_QUEUE: Final = 64
_MAX_REASON: Final = 128
"""Characters; a close frame has room for 123 bytes (RFC 6455, 5.5)."""
_NO_CODE: Final = frozenset({1005, 1006})
_CLOSE_FRAME: Final = 0x88
"""First byte of an unfragmented close frame, which is the only form that a close frame has (RFC 6455, 5.5)."""


class Host(Protocol):
    """What a connection needs of the shard that owns it."""

    def feed(self, event: Event) -> None:
        """Takes an event into the machine and performs its effects."""
        ...

    async def receive(self, gen: int, message: str | bytes) -> None:
        """Takes a message of the peer; waits while reading is paused."""
        ...


class WatchedStream(trio.abc.Stream):
    """The stream below the websocket, which can be asked whether it waits for bytes, and ended.

    It knows when a close frame has left, which trio-websocket does not tell.
    """

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self.waiting = False
        """Whether a read is under way that has no bytes yet."""
        self.ended = trio.Event()
        """No more bytes will come."""
        self.close_sent = trio.Event()
        """A close frame has left completely."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends; notes a close frame when the last byte of it has left."""
        await self._inner.send_all(data)
        if data and data[0] == _CLOSE_FRAME:
            self.close_sent.set()

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream below."""
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receives; notes that it waits, and the end."""
        self.waiting = True
        try:
            data = await self._inner.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise
        finally:
            self.waiting = False
        if not data:
            self.ended.set()
        return data

    async def aclose(self) -> None:
        """Closes at once. TLS says no goodbye: a dark peer would never take it, and the websocket has said its own."""
        self.ended.set()
        await trio.aclose_forcefully(self._inner)


class _HandshakeFailed(Exception):
    def __init__(self, error: ConnectError, reason: str) -> None:
        self.error = error
        self.reason = reason


class Connection:
    """One generation of a shard's socket.

    Args:
        gen: the generation.
        url: where to connect, with its query.
        opener: how to open a stream to it.
        host: whom to feed.
        limiter: counts what is sent.
        write_timeout: seconds that a write may take before the connection counts as blocked.
    """

    def __init__(
        self,
        *,
        gen: int,
        url: GatewayUrl,
        opener: StreamOpener,
        host: Host,
        limiter: SendLimiter,
        write_timeout: float,
    ) -> None:
        self.gen = gen
        self.outbox = Outbox(limiter)
        self.limiter = limiter
        self.gone = trio.Event()
        """Set when nothing of the socket is left."""
        self._url = url
        self._opener = opener
        self._host = host
        self._write_timeout = write_timeout
        self._scope = trio.CancelScope()
        self._stream: WatchedStream | None = None
        self._aborted = False
        self._at_rest = True
        self._outcome: Event | None = None

    # -- what the shard asks of it ---------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether everything that has arrived so far was fed: both readers wait for more."""
        return self._at_rest and (self._stream is None or self._stream.waiting or self._stream.ended.is_set())

    def close(self, code: int) -> None:
        """Sends a close frame with `code`, after the write that is under way."""
        self.outbox.close(code)

    def abort(self) -> None:
        """Leaves without a word; idempotent."""
        self._aborted = True
        self.outbox.discard()
        self._scope.cancel()

    # -- its life --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Opens the socket, lives on it, and feeds the one event that ends it."""
        outcome: Event | None = None
        try:
            with self._scope:
                outcome = await self._live()
        finally:
            self.outbox.discard()
            if self._stream is not None:
                with trio.CancelScope(shield=True):
                    await self._stream.aclose()
            self.gone.set()
        self._host.feed(Aborted(self.gen) if self._aborted or outcome is None else outcome)

    async def _live(self) -> Event:
        try:
            self._stream = WatchedStream(await self._opener(self._url))
        except ConnectionUnavailable as failure:
            return ConnectFailed(self.gen, failure.error, failure.reason)
        try:
            async with trio.open_nursery() as nursery:
                websocket = await self._handshake(nursery, self._stream)
                self._host.feed(Opened(self.gen))
                nursery.start_soon(self._write, websocket, nursery.cancel_scope)
                self._outcome = await self._read(websocket)
                nursery.cancel_scope.cancel()
        except* _HandshakeFailed as group:
            failed = cast("_HandshakeFailed", _first(group))
            self._outcome = ConnectFailed(self.gen, failed.error, failed.reason)
        except* ConnectionRejected as group:
            rejected = cast("ConnectionRejected", _first(group))
            reason = f"the server answered {rejected.status_code} instead of 101"
            self._outcome = ConnectFailed(self.gen, ConnectError.REJECTED, reason)
        return self._ended()

    async def _handshake(self, nursery: trio.Nursery, stream: WatchedStream) -> WebSocketConnection:
        """The upgrade. trio-websocket waits for ever on a stream that ends before the 101, so that is watched."""
        opened: list[WebSocketConnection] = []
        async with trio.open_nursery() as handshake:

            async def watch_for_the_end() -> None:
                await stream.ended.wait()
                handshake.cancel_scope.cancel()

            handshake.start_soon(watch_for_the_end)
            websocket = await wrap_client_stream(
                nursery,
                # Typed for sockets; any stream does (it falls back to the text of an unknown endpoint).
                cast("trio.SocketStream", stream),
                self._url.authority,
                self._url.target,
                message_queue_size=_MESSAGE_QUEUE,
                max_message_size=MAX_MESSAGE_BYTES,
                receive_buffer_size=_RECEIVE_BYTES,
            )
            opened.append(websocket)
            handshake.cancel_scope.cancel()
        if not opened:
            raise _HandshakeFailed(ConnectError.GARBAGE, "the connection ended before the upgrade was answered")
        return opened[0]

    async def _read(self, websocket: WebSocketConnection) -> Event:
        while True:
            self._at_rest = True
            try:
                message = await websocket.get_message()
            except ConnectionClosed as closed:
                if self.outbox.close_code is not None:
                    # We closed; what trio-websocket recorded is our code or an echo of it. The writer ends this.
                    await trio.sleep_forever()
                return self._closed_by_peer(closed.reason)
            finally:
                self._at_rest = False
            await self._host.receive(self.gen, message)

    async def _write(self, websocket: WebSocketConnection, scope: trio.CancelScope) -> None:
        """The one task that sends."""
        while (outgoing := await self.outbox.next()) is not None:
            with trio.move_on_after(self._write_timeout) as patience:
                try:
                    await websocket.send_message(outgoing.payload.decode())
                except ConnectionClosed:
                    outgoing.settle(Fate.LOST)
                    break  # the reader learns why
                else:
                    self.limiter.sent(outgoing.op)
                    outgoing.settle(Fate.SENT)
                finally:
                    if outgoing.fate is Fate.BEGUN:
                        outgoing.settle(Fate.LOST)
            if patience.cancelled_caught:
                # Half a frame is out: nothing can follow it, not even a close frame.
                self._host.feed(WriteBlocked(self.gen))
                return
        code = self.outbox.close_code
        if code is None:
            return
        if websocket.closed is not None:  # the peer was first, and its code counts
            self._outcome = self._closed_by_peer(websocket.closed)
            scope.cancel()
            return
        async with trio.open_nursery() as closing:
            closing.start_soon(self._tell_when_flushed)
            await websocket.aclose(code)
            closing.cancel_scope.cancel()
        self._outcome = Closed(self.gen)
        scope.cancel()

    def _ended(self) -> Event:
        return Closed(self.gen) if self._outcome is None else self._outcome

    def _closed_by_peer(self, close: CloseReason | None) -> Closed:
        if close is None or close.code in _NO_CODE:
            return Closed(self.gen)
        return Closed(self.gen, close.code, (close.reason or "")[:_MAX_REASON])

    async def _tell_when_flushed(self) -> None:
        assert self._stream is not None
        await self._stream.close_sent.wait()
        self._host.feed(CloseFlushed(self.gen))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first leaf of a group: a nursery may wrap one failure several times."""
    error = group.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _first(cast("BaseExceptionGroup[BaseException]", error))
    return error
