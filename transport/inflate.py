"""Compressed messages in, whole messages out: what a connection negotiated decides how. Pure: no I/O, no clock.

A connection has one inflater, made with it and thrown away with it: the state of a stream is worth nothing on the next
connection, and resuming a session changes nothing about that (P77). Whatever arrives, the answer is a message, ``None``
or one of two exceptions, and output is bounded: a message that inflates to more than the limit ends in
:class:`TooLarge` after the limit was used, never after the memory was (P81).

A text message was not compressed, whatever was negotiated, and passes as it is.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Iterator
from typing import ClassVar, Final, Literal, Protocol, TypeAlias

from gatewright.spec.errors import ConfigurationError, GatewrightError
from gatewright.spec.events import ViolationKind

MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024
"""Largest message that is accepted, on the wire and inflated. READY of a large bot has megabytes (P81).

It is what a bomb can cost, beside a few megabytes for the work on it.
"""

PIECE: Final = 64 * 1024
"""Bytes that are inflated in one call. zlib copies what it leaves of its input, so a piece is what a copy can cost."""

STEP: Final = 1024 * 1024
"""Bytes of output that one call may give. The libraries collect them twice over, so a step is what that can cost."""

_TRAILING: Final = "bytes follow the end of the zlib data"

_FLUSHED: Final = b"\x00\x00\xff\xff"
"""How deflate ends a flush, and so each message of a zlib stream (P75)."""


class Compression(enum.StrEnum):
    """How the gateway compresses what it sends. Nothing that we send is ever compressed (P57)."""

    NONE = "none"
    ZLIB_STREAM = "zlib-stream"
    ZSTD_STREAM = "zstd-stream"
    PAYLOAD = "payload"

    @property
    def query(self) -> str | None:
        """The value of ``compress`` in a connection's URL, or ``None``: then it is left out.

        Payload compression is asked for in IDENTIFY instead, and excludes the others (P73).
        """
        return self.value if self in {Compression.ZLIB_STREAM, Compression.ZSTD_STREAM} else None


CompressionName: TypeAlias = Literal["none", "zlib-stream", "zstd-stream", "payload"]
"""The values of :class:`Compression`, for those who write them as they are."""


class InflateError(GatewrightError):
    """A message cannot be inflated, and its connection not be used any more; the text says why, without content."""

    violation: ClassVar[ViolationKind]


class CorruptCompression(InflateError):
    """The bytes are not what was negotiated: damaged, cut short, gone on too long, or after such ones."""

    violation = ViolationKind.CORRUPT_COMPRESSION


class TooLarge(InflateError):
    """The message is larger than the limit, on the wire or inflated."""

    violation = ViolationKind.TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(f"a message has more than {limit} bytes")


class Inflater(Protocol):
    """Inflates the messages of one connection."""

    def feed(self, message: str | bytes) -> str | bytes | None:
        """Take one message of the websocket, in the order in which they come.

        Returns:
            The gateway's message, or ``None`` when it goes on in the next one of the websocket.

        Raises:
            CorruptCompression: the bytes make no sense. Those of a stream make none from here on either: each later
                call raises as well.
            TooLarge: as `CorruptCompression`, for a message that is larger than the limit when inflated.
        """
        ...


def inflate_many(inflater: Inflater, messages: Iterator[str | bytes], found: list[str | bytes], enough: int) -> None:
    """Feeds `messages` to an inflater, until there are no more or `enough` bytes are found.

    What it has looked at is gone from the iterator, the one that it stumbled over included.

    Args:
        inflater: of the connection that they came on.
        messages: of the websocket, in order.
        found: gets the gateway's messages.
        enough: bytes after which it stops.

    Raises:
        InflateError: as :meth:`Inflater.feed` does; what came before is in `found`.
    """
    if type(inflater) is _ZlibStream:
        inflater.feed_many(messages, found, enough)
        return
    size = 0
    for message in messages:
        whole = inflater.feed(message)
        if whole is not None:
            found.append(whole)
            size += len(whole)
            if size >= enough:
                return


def compression(value: Compression | CompressionName) -> Compression:
    """The compression that a user asks for.

    Raises:
        ConfigurationError: if there is none of that name, or if it needs a library that is not installed.
    """
    try:
        kind = Compression(value)
    except ValueError:
        names = ", ".join(repr(kind.value) for kind in Compression)
        raise ConfigurationError(f"compress must be one of {names}, not {value!r}") from None
    inflater(kind)  # says now, rather than at the first connection, what is missing
    return kind


def inflater(kind: Compression, *, limit: int = MAX_MESSAGE_BYTES) -> Inflater:
    """A new inflater, for one connection.

    Args:
        kind: what the connection negotiates.
        limit: bytes that a message may have when it is inflated.

    Raises:
        ConfigurationError: for ``zstd-stream`` without a library for it.

    Source: P73-P77.
    """
    match kind:
        case Compression.NONE:
            return Plain()
        case Compression.ZLIB_STREAM:
            return _ZlibStream(limit)
        case Compression.ZSTD_STREAM:
            return _zstd_stream(limit)
        case Compression.PAYLOAD:
            return _Payload(limit)


def _zstd_stream(limit: int) -> Inflater:
    try:
        from gatewright.transport.zstd_stream import ZstdStream
    except ModuleNotFoundError as missing:
        raise ConfigurationError(
            "compress='zstd-stream' needs a zstd library: pip install 'gatewright[zstd]' (Python 3.14 and later bring "
            "their own, unless they were built without it). compress='zlib-stream' needs nothing"
        ) from missing
    return ZstdStream(limit)


class Plain:
    """No compression: every message is the gateway's as it is. Its size is the websocket's business."""

    __slots__ = ()

    def feed(self, message: str | bytes) -> str | bytes:
        """The message."""
        return message


class _ZlibStream:
    """One zlib stream for the whole connection, flushed after each message (P75).

    Each frame is inflated as it comes, and the message is whole when *its* bytes so far end with a flush, whose four
    bytes may lie in several frames. So nothing is held back that is still compressed, and damage shows in the frame
    that has it instead of with the next flush.
    """

    __slots__ = ("_context", "_limit", "_parts", "_size", "_tail")

    def __init__(self, limit: int) -> None:
        self._context: _ZlibContext | None = zlib.decompressobj()
        self._limit = limit
        # Of the message that is not whole yet: what it inflates to, how much that is, its last compressed bytes.
        self._parts: list[bytes] = []
        self._size = 0
        self._tail = b""

    def feed(self, message: str | bytes) -> str | bytes | None:
        if isinstance(message, str):
            if self._tail:
                raise CorruptCompression("a text message came in the middle of a compressed one")
            return message
        context, parts = self._context, self._parts
        if context is None:
            raise CorruptCompression("the zlib stream was given up before")
        self._context, self._parts = None, []  # put back if all goes well: an error poisons the stream (P77)
        return self._go_on(context, message, parts, self._size, message)

    def feed_many(self, messages: Iterator[str | bytes], found: list[str | bytes], enough: int) -> None:
        """See :func:`inflate_many`."""
        size = 0
        for message in messages:
            context = self._context
            whole: str | bytes | None
            if (
                type(message) is bytes
                and message[-4:] == _FLUSHED
                and context is not None
                and not self._tail
                and len(message) <= PIECE
                and self._limit >= STEP
            ):
                # Nearly always a message is small, comes in one piece, and is done with one call.
                try:
                    part = context.decompress(message, STEP)
                except zlib.error as error:
                    self._context = None
                    raise _damaged(error) from None
                whole = part or None
                if len(part) >= STEP or context.eof:
                    self._context = None
                    whole = self._go_on(context, message, [part], len(part), context.unconsumed_tail)
            else:
                whole = self.feed(message)
            if whole is not None:
                found.append(whole)
                size += len(whole)
                if size >= enough:
                    return

    def _go_on(
        self, context: _ZlibContext, message: bytes, parts: list[bytes], size: int, rest: bytes
    ) -> str | bytes | None:
        """Inflates the `rest` of a message of which there are `parts`; if that goes well, the stream goes on."""
        if not context.eof:
            size = _inflate(context, rest, parts, size, self._limit)
        if context.unused_data:
            raise CorruptCompression(_TRAILING)
        if context.eof:
            raise CorruptCompression("the zlib stream ended before its connection")
        self._context = context
        tail = (self._tail + message[-4:])[-4:]
        if tail != _FLUSHED:
            self._parts, self._size, self._tail = parts, size, tail
            return None
        self._size, self._tail = 0, b""
        return b"".join(parts) or None  # a flush with nothing before it is no message


class _Payload:
    """Each binary message is zlib data of its own, whole; nothing carries over (P74)."""

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def feed(self, message: str | bytes) -> str | bytes:
        if isinstance(message, str):
            return message
        context, parts = zlib.decompressobj(), list[bytes]()
        _inflate(context, message, parts, 0, self._limit)
        if not context.eof:
            raise CorruptCompression("the zlib data of a message are cut short")
        return b"".join(parts)


class _ZlibContext(Protocol):
    """What ``zlib.decompressobj`` makes; its class has no public name."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes: ...


def _inflate(context: _ZlibContext, data: bytes, parts: list[bytes], size: int, limit: int) -> int:
    """Inflate all of `data` into more `parts` of a message, which has `size` bytes so far; returns its new size.

    Raises:
        TooLarge: that is more than `limit`.
        CorruptCompression: `data` are not zlib data, or go on after the end of those.
    """
    for piece in (data,) if len(data) <= PIECE else _pieces(data):
        if context.eof:
            raise CorruptCompression(_TRAILING)
        rest: bytes | memoryview = piece
        while True:
            step = min(STEP, limit - size + 1)
            part = _decompress(context, rest, step)
            parts.append(part)
            size += len(part)
            if len(part) < step:
                break
            if size > limit:
                raise TooLarge(limit)
            # More may be to come even if the input is used up: zlib holds back what did not fit.
            rest = context.unconsumed_tail
    if context.unused_data:
        raise CorruptCompression(_TRAILING)
    return size


def _decompress(context: _ZlibContext, data: bytes | memoryview, most: int) -> bytes:
    try:
        return context.decompress(data, most)
    except zlib.error as error:
        raise _damaged(error) from None


def _damaged(error: zlib.error) -> CorruptCompression:
    return CorruptCompression(f"the zlib data are damaged ({error})")


def _pieces(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[start : start + PIECE] for start in range(0, len(data), PIECE))
