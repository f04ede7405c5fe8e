"""Receives for the tap: all that has come, with as few passes of trio's loop and calls of trio's as there can be.

A socket of trio's tries, passes through the loop once more when there was something, and tries again in vain before it
waits; at a few hundred events a second that is most of what an event costs. Over TLS it gives one record a call. So the
socket below trio's is read here when trio says that it can be, and the records of a TLS stream that have come are
drained in one go. Both lean on attributes that trio keeps to itself; without them all is received through trio alone.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Final, Protocol, cast

import trio

PORTION: Final = 96 * 1024
COMPRESSED_PORTION: Final = 16 * 1024
"""Bytes that one read takes at most: two hundred messages of usual size, and as many that are compressed.

Consumers take 256 between two reads; if a read brought more, their queue would fill up in each flood.
"""

_RECORD_BYTES: Final = 16 * 1024
"""Bytes of a TLS record at most (RFC 8446, 5.1)."""

_CLOSED: Final = frozenset({errno.EBADF, errno.ENOTSOCK})


class Arrivals(Protocol):
    """What comes in on a stream."""

    async def receive(self) -> bytes:
        """Waits until something is there, and returns as much as one read takes; nothing at the end only.

        Always a checkpoint.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: as the stream does, after what came before.
        """
        ...


def arrivals_of(stream: trio.abc.Stream, portion: int = PORTION) -> Arrivals:
    """The quickest way to receive from a stream that nobody else receives from, about `portion` bytes a read."""
    return TlsRecords.of(stream, portion) or SocketBytes.of(stream, portion) or StreamBytes(stream, portion)


class StreamBytes:
    """Receives through the stream itself."""

    def __init__(self, stream: trio.abc.Stream, portion: int = PORTION) -> None:
        self._stream = stream
        self._portion = portion

    async def receive(self) -> bytes:
        """See :class:`Arrivals`."""
        return bytes(await self._stream.receive_some(self._portion))


class SocketBytes:
    """Receives from the socket of a stream, once trio says that it is readable: one pass of the loop a read."""

    __slots__ = ("_connection", "_more", "_portion")

    def __init__(self, connection: socket.socket, portion: int) -> None:
        self._connection = connection
        self._portion = portion
        self._more = False  # the last read took all that it could

    @classmethod
    def of(cls, stream: trio.abc.Stream, portion: int = PORTION) -> SocketBytes | None:
        """The socket of a TCP stream; ``None`` for any other stream."""
        if not isinstance(stream, trio.SocketStream):
            return None
        connection: object = getattr(stream.socket, "_sock", None)
        return cls(connection, portion) if isinstance(connection, socket.socket) else None

    async def receive(self) -> bytes:
        """See :class:`Arrivals`."""
        connection = self._connection
        while True:
            if self._more:
                self._more = False
                await trio.lowlevel.checkpoint()
            else:
                if connection.fileno() < 0:
                    raise trio.ClosedResourceError("this socket was already closed")
                await trio.lowlevel.wait_readable(connection)
            try:
                data = connection.recv(self._portion)
            except BlockingIOError:
                continue  # somebody was woken for nothing
            except OSError as error:
                if error.errno in _CLOSED:
                    raise trio.ClosedResourceError("this socket was already closed") from None
                raise trio.BrokenResourceError(f"socket connection broken: {error}") from error
            self._more = len(data) == self._portion
            return data


class TlsRecords:
    """Receives from a TLS stream all records that have come, where `SSLStream.receive_some` gives one a call.

    A server that sends each message by itself makes a record of each, and a call to trio costs several times what
    decrypting one does. What was received lies in a buffer below the stream's `ssl.SSLObject`.
    """

    def __init__(self, stream: trio.SSLStream[trio.abc.Stream], connection: ssl.SSLObject, portion: int) -> None:
        self._stream = stream
        self._portion = portion
        self._read = connection.read
        self._failure: ssl.SSLError | None = None
        self._used_up = False  # no whole record is in the buffer
        # With the socket and both buffers trio's part is done here, but for what is not received: its end, and answers
        # of TLS itself.
        self._socket: SocketBytes | None = None
        self._incoming: object = getattr(stream, "_incoming", None)
        self._outgoing: object = getattr(stream, "_outgoing", None)
        if isinstance(self._incoming, ssl.MemoryBIO) and isinstance(self._outgoing, ssl.MemoryBIO):
            self._socket = SocketBytes.of(stream.transport_stream, portion)

    @classmethod
    def of(cls, stream: trio.abc.Stream, portion: int = PORTION) -> TlsRecords | None:
        """The records of a TLS stream whose handshake is done; ``None`` for any other stream."""
        if not isinstance(stream, trio.SSLStream):
            return None
        tls = cast("trio.SSLStream[trio.abc.Stream]", stream)
        connection: object = getattr(tls, "_ssl_object", None)
        return cls(tls, connection, portion) if isinstance(connection, ssl.SSLObject) else None

    async def receive(self) -> bytes:
        """The next record, and those behind it that are there; see :class:`Arrivals`."""
        records: list[bytes] = []
        if self._socket is not None:
            await self._receive_below(self._socket, records)
        if not records:
            if self._failure is not None:
                await trio.lowlevel.checkpoint()
                raise trio.BrokenResourceError from self._failure
            first = bytes(await self._stream.receive_some(_RECORD_BYTES))
            if not first:
                return first
            records.append(first)
            self._drain(records)
        return records[0] if len(records) == 1 else b"".join(records)

    async def _receive_below(self, below: SocketBytes, records: list[bytes]) -> None:
        """Receives from the socket until there is a record, or something that is trio's affair."""
        incoming, outgoing = cast("ssl.MemoryBIO", self._incoming), cast("ssl.MemoryBIO", self._outgoing)
        while not records and self._failure is None and not outgoing.pending:
            if self._used_up:
                data = await below.receive()
                if not data:
                    return  # trio finds it again, and knows what it means
                incoming.write(data)
            else:
                await trio.lowlevel.checkpoint()
            if not self._drain(records):
                return

    def _drain(self, records: list[bytes]) -> bool:
        """Takes records out of the buffer; whether there may be more, now or when more is received."""
        size = sum(map(len, records))
        read = self._read
        self._used_up = False
        try:
            while size < self._portion:
                record = read(_RECORD_BYTES)
                if not record:
                    return False  # the peer's goodbye, which trio finds again
                records.append(record)
                size += len(record)
        except ssl.SSLWantReadError:
            self._used_up = True
        except ssl.SSLError as failure:
            self._failure = failure
            return False
        return True
