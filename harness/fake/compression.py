"""The server's end of compression: each message as the client negotiated it, or as a script breaks it."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from gatewright.harness.fake.script import Corrupt, Split
from gatewright.spec.errors import ConfigurationError
from gatewright.transport.inflate import Compression, compression

_SMALL: Final = 128
"""Bytes up to which a message goes as text under payload compression, so that both kinds come up (P74)."""

_CHUNK: Final = 1024 * 1024


def negotiate(compress: str | None) -> Compression:
    """What a connection speaks whose query has this ``compress``, or none.

    Raises:
        ConfigurationError: if it is none that a query can ask for, or if it needs a library that is not installed.
    """
    if compress is None:
        return Compression.NONE
    kind = next((kind for kind in Compression if kind.query == compress), None)
    if kind is None:
        streams = " and ".join(kind.query for kind in Compression if kind.query is not None)
        raise ConfigurationError(f"compress={compress} is none that a query can ask for; {streams} are")
    return compression(kind)


class Deflater:
    """Compresses what one connection sends. Its context begins with the connection (P77)."""

    def __init__(self, kind: Compression) -> None:
        self._kind = kind
        self._stream = _stream(kind)
        self._split: Split | None = None
        self._corrupt = False

    def compress_payloads(self) -> None:
        """IDENTIFY asks for payload compression; what the query asked for excludes it (P73)."""
        if self._kind is Compression.NONE:
            self._kind, self._stream = Compression.PAYLOAD, _payload

    def prepare(self, word: Split | Corrupt) -> None:
        """Keep `word` for the next message that is compressed."""
        if isinstance(word, Split):
            self._split = word
        else:
            self._corrupt = True

    def frames(self, text: str) -> list[str | bytes]:
        """The messages of the websocket that carry one of the gateway."""
        message = text.encode()
        if self._stream is None or (self._kind is Compression.PAYLOAD and len(message) <= _SMALL):
            return [text]
        return self._fault(self._stream(iter((message,))))

    def bomb(self, size: int) -> list[str | bytes]:
        """A message of `size` spaces; nothing where nothing is compressed."""
        if self._stream is None:
            return []
        whole, rest = divmod(size, _CHUNK)
        chunk = b" " * _CHUNK
        return self._fault(self._stream(itertools.chain(itertools.repeat(chunk, whole), (chunk[:rest],))))

    def _fault(self, data: bytes) -> list[str | bytes]:
        split, self._split = self._split, None
        corrupt, self._corrupt = self._corrupt, False
        if corrupt:
            data = b"\xff" * len(data)
        return [data] if split is None else list(split(data))


def _stream(kind: Compression) -> Callable[[Iterator[bytes]], bytes] | None:
    """What compresses a message that comes in chunks, with the context of one connection."""
    match kind:
        case Compression.NONE:
            return None
        case Compression.PAYLOAD:
            return _payload
        case Compression.ZLIB_STREAM:
            deflate = zlib.compressobj()
            return lambda chunks: b"".join(map(deflate.compress, chunks)) + deflate.flush(zlib.Z_SYNC_FLUSH)
        case Compression.ZSTD_STREAM:
            from gatewright.transport.zstd_stream import zstd

            frame = zstd.ZstdCompressor()
            return lambda chunks: b"".join(map(frame.compress, chunks)) + frame.flush(frame.FLUSH_BLOCK)


def _payload(chunks: Iterator[bytes]) -> bytes:
    deflate = zlib.compressobj()
    return b"".join(map(deflate.compress, chunks)) + deflate.flush()
