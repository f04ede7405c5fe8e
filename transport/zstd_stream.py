"""zstd-stream: the one module that needs a zstd library. :mod:`gatewright.transport.inflate` imports it on use.

The library is that of the standard library from Python 3.14 on, and its backport before: ``gatewright[zstd]``.
"""

from __future__ import annotations

import sys
from typing import Final

from gatewright.transport.inflate import STEP, CorruptCompression, TooLarge

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["MAX_WINDOW_LOG", "ZstdStream", "zstd"]

MAX_WINDOW_LOG: Final = 23
"""A stream whose window is larger than 2**23 bytes (8 MiB) is refused: RFC 8878, 3.1.1.1.2 asks decoders to support
that much and encoders not to use more. The window is memory that the first bytes of a stream can make us take."""


class ZstdStream:
    """One zstd frame for the whole connection; each message of the websocket is one of the gateway (P76).

    An :class:`~gatewright.transport.inflate.Inflater`. `limit` is bytes that a message may have when it is inflated.
    """

    __slots__ = ("_context", "_limit")

    def __init__(self, limit: int) -> None:
        self._context: zstd.ZstdDecompressor | None = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
        )
        self._limit = limit

    def feed(self, message: str | bytes) -> str | bytes | None:
        """See :class:`~gatewright.transport.inflate.Inflater`."""
        if isinstance(message, str):
            return message
        context, self._context = self._context, None  # put back if all goes well: an error poisons it (P77)
        if context is None:
            raise CorruptCompression("the zstd stream was given up before")
        parts: list[bytes] = []
        room = self._limit
        piece = message
        while True:
            try:
                part = context.decompress(piece, min(STEP, room + 1))
            except zstd.ZstdError as error:
                raise CorruptCompression(f"the zstd stream is damaged ({error})") from None
            parts.append(part)
            room -= len(part)
            if room < 0:
                raise TooLarge(self._limit)
            if context.eof:
                raise CorruptCompression("the zstd stream ended before its connection")
            if context.needs_input:
                break
            piece = b""  # the library keeps what it has not used
        self._context = context
        return b"".join(parts) or None  # the beginning of a frame has no content yet
