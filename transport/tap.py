"""The stream below trio-websocket: it lifts messages out of what is received, many at once, and passes on the rest.

trio-websocket makes the handshake, sends, answers pings and closes. As a reader it costs ten times what receiving and
finding frames costs by itself, because each message goes through frames in pure Python and a memory channel. So the
messages never reach it. Its reader task is still the one that reads, by calling :meth:`FrameTap.receive_some`, and
messages are delivered from there, in the step in which they came.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from typing import Final, cast

import trio

from gatewright.transport.frames import FrameSplitter, Received

_RECEIVE_BYTES: Final = 64 * 1024
"""Bytes that one read takes at most: more than a hundred messages of usual size."""

_RECORD_BYTES: Final = 16 * 1024
"""Bytes of a TLS record at most (RFC 8446, 5.1)."""

_DRAINED_BYTES: Final = 64 * 1024
"""Bytes of decrypted records with which a read is content: about as much as consumers take between two reads."""

_CLOSE_FRAME: Final = 0x88
"""First byte of an unfragmented close frame, which is the only form that a close frame has (RFC 6455, 5.5)."""

_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_SWITCHING: Final = re.compile(rb"HTTP/[0-9]\.[0-9] 101(?![0-9])")
"""The end of a header, and the beginning of the one after which frames follow; both as h11 reads them."""


class FrameTap(trio.abc.Stream):
    """A client's stream to a server, without the messages in it.

    Args:
        inner: the stream.
        deliver: takes messages: in order, one or more at a time. It must not block; when it has enough it calls
            :meth:`hold`, and keeps what it was given.
        limit: bytes that a message may have on the wire.

    After the 101 nothing is read before :meth:`release` was called. From a close frame on, in either direction, nothing
    is delivered.
    """

    def __init__(self, inner: trio.abc.Stream, *, deliver: Callable[[list[Received]], None], limit: int) -> None:
        self._inner = inner
        self._records = TlsRecords.of(inner)
        self._deliver = deliver
        self._splitter = FrameSplitter(limit)
        self._pass: Callable[[bytes], bytes] = self._upgrade
        self._head = bytearray()  # of the answer to the upgrade
        self._glued = b""  # what came in one piece with the 101
        self._held = False
        self._lot = trio.lowlevel.ParkingLot()
        self.closing = False
        """A close frame was begun: nothing will be delivered any more."""
        self.reads = 0
        """How often bytes, or their end, have come."""
        self.ended = trio.Event()
        """No more bytes will come."""
        self.close_sent = trio.Event()
        """A close frame has left completely."""

    # -- sending ---------------------------------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends; with a close frame delivering ends, and the moment when the last byte of it has left is noted."""
        closing = bool(data) and data[0] == _CLOSE_FRAME
        if closing:
            self.closing = True
            self._splitter.void()
            self.release()  # the peer's answer is still to be read
        await self._inner.send_all(data)
        if closing:
            self.close_sent.set()

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream below."""
        await self._inner.wait_send_all_might_not_block()

    # -- receiving -------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Stops reading, until :meth:`release`. Pings that were read are still answered."""
        self._held = not self.closing

    def release(self) -> None:
        """Reads on."""
        self._held = False
        self._lot.unpark_all()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receives, delivers the messages, and returns what is for trio-websocket; nothing at the end only.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: as the stream below.
        """
        while True:
            while self._held:
                await self._lot.park()
            data, self._glued = self._glued, b""
            if not data:
                data = await self._receive()
                if not data:
                    return b""
            passed = self._pass(data)
            if passed:
                return passed

    async def _receive(self) -> bytes:
        records = self._records
        try:
            if records is None:
                data = await self._inner.receive_some(_RECEIVE_BYTES)
            else:
                data = await records.receive()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise
        finally:
            self.reads += 1
        if not data:
            self.ended.set()
        return bytes(data)

    def _upgrade(self, data: bytes) -> bytes:
        """The answer to the upgrade passes as it comes, so that trio-websocket's own bounds on it hold."""
        before = len(self._head)
        self._head += data
        blank = _BLANK_LINE.search(self._head, max(before - 2, 0))
        if blank is None:
            return data
        if _SWITCHING.match(self._head) is None:
            self._pass = _as_it_is
            return data
        cut = blank.end() - before
        self._glued = data[cut:]
        self._head.clear()
        self._pass = self._split
        self.hold()
        return data[:cut]

    def _split(self, data: bytes) -> bytes:
        found: list[Received] = []
        passed = self._splitter.feed(data, found)
        if found:
            self._deliver(found)
        return passed

    async def aclose(self) -> None:
        """Closes at once. TLS says no goodbye: a dark peer would never take it, and the websocket has said its own."""
        self.ended.set()
        await trio.aclose_forcefully(self._inner)


def _as_it_is(data: bytes) -> bytes:
    return data


class TlsRecords:
    """Receives from a TLS stream all records that have come, where `SSLStream.receive_some` gives one a call.

    A server that sends each message by itself makes a record of each, and a call to trio costs several times what
    decrypting one does. What was received lies in a buffer below the stream's `ssl.SSLObject`, which trio keeps to
    itself; a stream without one there is read through trio alone.
    """

    def __init__(self, stream: trio.abc.Stream, read: Callable[[int], bytes]) -> None:
        self._stream = stream
        self._read = read
        self._failure: ssl.SSLError | None = None

    @classmethod
    def of(cls, stream: trio.abc.Stream) -> TlsRecords | None:
        """The records of a TLS stream whose handshake is done; ``None`` for any other stream."""
        if not isinstance(stream, trio.SSLStream):
            return None
        tls = cast("trio.SSLStream[trio.abc.Stream]", stream)
        connection: object = getattr(tls, "_ssl_object", None)
        return cls(tls, connection.read) if isinstance(connection, ssl.SSLObject) else None

    async def receive(self) -> bytes:
        """The next record, and those behind it that are there; nothing at the end.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: as the stream does; records before a broken one are
                returned first.
        """
        if self._failure is not None:
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError from self._failure
        first = bytes(await self._stream.receive_some(_RECORD_BYTES))
        records, size = [first], len(first)
        try:
            while first and size < _DRAINED_BYTES:
                record = self._read(_RECORD_BYTES)
                if not record:
                    break  # the peer's goodbye, which trio finds again
                records.append(record)
                size += len(record)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as failure:
            self._failure = failure
        return b"".join(records)
