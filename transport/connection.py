"""One connection: one generation of the socket, from opening it to the moment when nothing of it is left.

trio-websocket makes the handshake, sends frames, answers pings and closes. Messages are lifted out of the stream below
it (:mod:`gatewright.transport.tap`) and fed to the machine in the step in which they were read. A connection is one
task, which runs trio-websocket's reader; beside it there are, for as long as each takes, one for the handshake and one,
the writer, that alone sends. Whatever happens to it, the connection ends with exactly one event (`ConnectFailed`,
`Closed` or `Aborted`), after its stream was closed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias, cast

import trio
from trio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError

from gatewright.spec.events import (
    Aborted,
    Closed,
    CloseFlushed,
    ConnectError,
    ConnectFailed,
    ConnectionOutcome,
    Opened,
    ProtocolViolation,
    WriteBlocked,
)
from gatewright.transport.arrivals import COMPRESSED_PORTION, PORTION
from gatewright.transport.frames import Received
from gatewright.transport.inflate import MAX_MESSAGE_BYTES, InflateError, Inflater, Plain, TooLarge, inflate_many
from gatewright.transport.limiter import SendLimiter
from gatewright.transport.outbox import Fate, Outbox
from gatewright.transport.seams import ConnectionUnavailable, StreamOpener
from gatewright.transport.tap import FrameTap
from gatewright.transport.urls import GatewayUrl
from gatewright.transport.waiting import Latch, Lot

_MAX_REASON: Final = 128
"""Characters; a close frame has room for 123 bytes (RFC 6455, 5.5)."""
_ENOUGH: Final = 256 * 1024
"""Bytes that are inflated ahead of what was fed, beside a message that has more by itself."""
_NO_CODE: Final = frozenset({1005, 1006})


_Reader: TypeAlias = Callable[[], Awaitable[object]]


class Host(Protocol):
    """What a connection needs of the shard that owns it."""

    def receive(self, gen: int, messages: list[str | bytes], *, checked: bool) -> bool:
        """Takes messages of the peer out of the list; whether reading may go on.

        If not, it does after `room`, with those that are left. `checked` says that all are bytes, and UTF-8.
        """
        ...

    async def room(self, gen: int) -> None:
        """Waits until reading may go on."""
        ...

    def feed(self, event: ConnectionOutcome | ProtocolViolation) -> None:
        """Takes what became of the connection, or came in place of a message, into the machine, and does its effects.

        Also when another connection has taken this one's place: what that is worth then is for the table to say.
        """
        ...


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
        inflater: a new one: what it knows of the peer's stream is this connection's alone (P77).
        host: whom to feed.
        limiter: counts what is sent.
        write_timeout: seconds that a write may take before the connection counts as blocked.
    """

    __slots__ = (
        "_aborted", "_fault", "_fed", "_has_room", "_host", "_inbox", "_inflater", "_lot", "_messages", "_nursery",
        "_opener", "_outcome", "_plain", "_stream", "_stumbled", "_url", "_violation", "_websocket", "_write_timeout",
        "_writing", "gen", "gone", "limiter", "outbox",
    )  # fmt: skip

    def __init__(
        self,
        *,
        gen: int,
        url: GatewayUrl,
        opener: StreamOpener,
        inflater: Inflater,
        host: Host,
        limiter: SendLimiter,
        write_timeout: float,
    ) -> None:
        self.gen = gen
        self.outbox = Outbox(limiter, self._wake_writer)
        self.limiter = limiter
        self.gone = Latch()
        """Set when nothing of the socket is left."""
        self._url = url
        self._opener = opener
        self._inflater = inflater
        self._plain = isinstance(inflater, Plain)
        self._host = host
        self._write_timeout = write_timeout
        self._stream: FrameTap | None = None
        self._nursery: trio.Nursery | None = None
        self._websocket: WebSocketConnection | None = None  # while something can be sent on it
        self._writing = False  # or nothing more may be written
        self._inbox: list[Received] = []  # as it came
        self._messages: list[str | bytes] = []  # inflated, and to be fed before what is in the inbox
        self._violation: InflateError | None = None  # what follows upon these
        self._has_room = True
        self._lot = Lot()  # of those who wait for room
        self._fault: Exception | None = None
        self._aborted = False
        self._fed = 0
        self._stumbled = False
        self._outcome: ConnectionOutcome | None = None

    # -- what the shard asks of it ---------------------------------------------------------------------------------

    @property
    def progress(self) -> int:
        """A number that grows with each read from the socket and with each message that was fed."""
        return self._fed + (0 if self._stream is None else self._stream.reads)

    def close(self, code: int) -> None:
        """Sends a close frame with `code`, after the write that is under way."""
        self.outbox.close(code)

    def abort(self) -> None:
        """Leaves without a word; idempotent."""
        self._aborted = True
        self.outbox.discard()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    # -- its life --------------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def run(self, before: Latch | None = None) -> None:
        """Opens the socket, lives on it, and feeds the one event that ends it.

        Args:
            before: what to wait for first: that the connection before this one is gone.
        """
        try:
            if before is not None:
                await before.wait()
            await self._live()
        finally:
            self.outbox.discard()
            if self._stream is not None:
                with trio.CancelScope(shield=True):
                    await self._stream.aclose()
            self.gone.set()
        if self._fault is not None:
            raise self._fault
        # What became of it by itself counts, also when it was aborted in the same instant: the peer's code, above all.
        self._host.feed(Aborted(self.gen) if self._outcome is None else self._outcome)

    async def _live(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                if self._aborted:  # before it began
                    nursery.cancel_scope.cancel()
                stream = self._stream = FrameTap(
                    await self._opener(self._url),
                    deliver=self._deliver,
                    limit=MAX_MESSAGE_BYTES,
                    encoded=self._plain,
                    portion=PORTION if self._plain else COMPRESSED_PORTION,
                    finished=self._finished,
                )
                # trio-websocket's reader is a task of this nursery by rights; here it is what this task does, and the
                # handshake beside it a short one.
                read = cast("_Reader", await nursery.start(self._shake_hands, stream))
                try:
                    await read()
                except ConnectionRejected:
                    raise
                except Exception:  # noqa: BLE001 - what it stumbled over came from the peer, or `_fault` has it as well
                    self._stumbled = True
                await self._end_of_reading()
                nursery.cancel_scope.cancel()
        except* ConnectionUnavailable as group:
            unavailable = cast("ConnectionUnavailable", _first(group))
            self._outcome = ConnectFailed(self.gen, unavailable.error, unavailable.reason)
        except* _HandshakeFailed as group:
            failed = cast("_HandshakeFailed", _first(group))
            self._outcome = ConnectFailed(self.gen, failed.error, failed.reason)
        except* ConnectionRejected as group:
            rejected = cast("ConnectionRejected", _first(group))
            reason = f"the server answered {rejected.status_code} instead of 101"
            self._outcome = ConnectFailed(self.gen, ConnectError.REJECTED, reason)

    @trio.lowlevel.enable_ki_protection
    async def _shake_hands(self, stream: FrameTap, *, task_status: trio.TaskStatus[_Reader]) -> None:
        """The upgrade. trio-websocket waits for ever on a stream that ends before the 101; whoever reads notices."""
        websocket = await wrap_client_stream(
            cast("trio.Nursery", _Lent(task_status)),  # it starts its reader there, and nothing else
            # Typed for sockets; any stream does (it falls back to the text of an unknown endpoint).
            cast("trio.SocketStream", stream),
            self._url.authority,
            self._url.target,
        )
        _forget_handshake(websocket)
        self._host.feed(Opened(self.gen))
        self._websocket = websocket
        stream.release()
        self._wake_writer()

    def _finished(self) -> bool:
        """Whether trio-websocket has nothing more to read: the peer has closed, or what it sent makes no sense.

        After a close of ours the peer's answer is still to be read; then it is the writer who ends the connection.
        """
        websocket = self._websocket
        return websocket is not None and websocket.closed is not None and self.outbox.close_code is None

    async def _end_of_reading(self) -> None:
        """What becomes of the connection, now that trio-websocket reads no more; after all that came before was fed.

        It answers pings and malformed frames without asking whether it may. What it then raises (of its own, of
        wsproto's, of h11's) says that the peer cannot be understood, and must not end the shard (R06).
        """
        websocket = self._websocket
        if self._fault is not None:
            return  # it surfaces when nothing of the socket is left
        if websocket is None:
            what = "the answer to the upgrade cannot be understood" if self._stumbled else "it ended before the upgrade"
            raise _HandshakeFailed(ConnectError.GARBAGE, what)
        try:
            while not self._has_room:
                await self._lot.park()
            if self.outbox.close_code is None:
                self._outcome = self._closed_by_peer(websocket.closed)
            elif not self._stumbled:
                # We closed; what trio-websocket recorded is our code or an echo of it. The writer ends this. After a
                # stumble it would wait for the peer's answer, which nobody reads any more.
                await trio.sleep_forever()
        finally:
            self._websocket = None

    def _deliver(self, messages: list[Received]) -> None:
        """Takes what was lifted out of the stream, in the task that reads it."""
        self._inbox.extend(messages)
        if not self._feed():
            assert self._stream is not None
            assert self._nursery is not None
            self._stream.hold()
            self._has_room = False
            self._nursery.start_soon(self._wait_for_room)

    @trio.lowlevel.enable_ki_protection
    async def _wait_for_room(self) -> None:
        await self._host.room(self.gen)
        while not self._feed():
            await self._host.room(self.gen)
        self._has_room = True
        self._lot.unpark_all()
        assert self._stream is not None
        self._stream.release()

    def _feed(self) -> bool:
        """Feeds what is in the inbox, in order; whether it is empty now."""
        assert self._stream is not None
        if self._stream.closing and self.outbox.close_code is not None:  # by ourselves, not in answer to the peer
            self._inbox.clear()
            self._messages.clear()
            self._violation = None
        try:
            while True:
                if self._messages and not self._feed_messages():
                    return False
                violation, self._violation = self._violation, None
                if violation is not None:
                    self._host.feed(ProtocolViolation(self.gen, violation.violation, str(violation)))
                elif not self._inbox:
                    return True
                self._inflate()
        except Exception as fault:
            self._fault = fault
            raise

    def _feed_messages(self) -> bool:
        assert self._stream is not None
        messages = self._messages
        before = len(messages)
        try:
            return self._host.receive(self.gen, messages, checked=self._plain and not self._stream.binary)
        finally:
            self._fed += before - len(messages)

    def _inflate(self) -> None:
        """Inflates what is in the inbox, or as much of it as is enough for now."""
        inbox, messages = self._inbox, self._messages
        if self._plain and not (inbox and isinstance(inbox[-1], TooLarge)):  # it is always the last
            self._inbox, self._messages = [], cast("list[str | bytes]", inbox)
            return
        last = inbox.pop() if inbox and isinstance(inbox[-1], TooLarge) else None
        rest = iter(cast("list[str | bytes]", inbox))
        try:
            inflate_many(self._inflater, rest, messages, _ENOUGH)
        except InflateError as error:
            self._violation = error
        self._inbox = list(rest)
        if isinstance(last, TooLarge):
            if self._inbox or self._violation is not None:
                self._inbox.append(last)
            else:
                self._violation = last

    def _wake_writer(self) -> None:
        """Begins to write, unless that is under way. Nearly always there is nothing to write, and no task waits."""
        if self._websocket is not None and not self._writing:
            assert self._nursery is not None
            self._writing = True
            self._nursery.start_soon(self._write, self._websocket, self._nursery.cancel_scope)

    @trio.lowlevel.enable_ki_protection
    async def _write(self, websocket: WebSocketConnection, scope: trio.CancelScope) -> None:
        """The one task that sends, until nothing is left."""
        while (outgoing := await self.outbox.next()) is not None:
            with trio.move_on_after(self._write_timeout) as patience:
                try:
                    await websocket.send_message(outgoing.payload.decode())
                except (ConnectionClosed, ProtocolError):  # the latter: trio-websocket is closing by itself
                    outgoing.settle(Fate.LOST)
                    break  # the reader learns why
                else:
                    self.limiter.sent(outgoing.op)
                    outgoing.settle(Fate.SENT)
                finally:
                    if outgoing.fate is Fate.BEGUN:
                        outgoing.settle(Fate.LOST)
                    del outgoing  # an idle writer need not hold on to what it sent last
            if patience.cancelled_caught:
                # Half a frame is out: nothing can follow it, not even a close frame.
                self._host.feed(WriteBlocked(self.gen))
                return
        else:
            self._writing = self.outbox.closed
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

    def _closed_by_peer(self, close: CloseReason | None) -> Closed:
        if close is None or close.code in _NO_CODE:
            return Closed(self.gen)
        return Closed(self.gen, close.code, (close.reason or "")[:_MAX_REASON])

    @trio.lowlevel.enable_ki_protection
    async def _tell_when_flushed(self) -> None:
        assert self._stream is not None
        await self._stream.close_sent.wait()
        self._host.feed(CloseFlushed(self.gen))


class _Lent:
    """A nursery for trio-websocket's reader, which is not started in it, but told to whoever waits for it."""

    def __init__(self, task_status: trio.TaskStatus[_Reader]) -> None:
        self._task_status = task_status

    def start_soon(self, reader: _Reader) -> None:
        """As a nursery's."""
        self._task_status.started(reader)


def _forget_handshake(websocket: WebSocketConnection) -> None:
    """Lets go of what only the upgrade needed, 2 KiB for as long as the connection lasts; elsewhere it may be kept."""
    done: object = getattr(getattr(websocket, "_wsproto", None), "handshake", None)
    if isinstance(done, H11Handshake):
        for unused, nothing in (("_h11_connection", None), ("_events", ())):
            if hasattr(done, unused):
                setattr(done, unused, nothing)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first leaf of a group: a nursery may wrap one failure several times."""
    error = group.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _first(cast("BaseExceptionGroup[BaseException]", error))
    return error
