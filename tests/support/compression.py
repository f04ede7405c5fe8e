"""Compression for tests: which kinds there are here, and what a server does with them."""

from __future__ import annotations

import importlib.util
import sys
import zlib
from collections.abc import Callable

import pytest

from gatewright.transport.inflate import Compression

ZSTD_LIBRARY = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
needs_zstd = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in (ZSTD_LIBRARY.partition(".")[0], ZSTD_LIBRARY)),
    reason="no zstd library is here; to run this test: pip install 'gatewright[zstd]'",
)

NONE, ZLIB, PAYLOAD = Compression.NONE, Compression.ZLIB_STREAM, Compression.PAYLOAD
ZSTD = pytest.param(Compression.ZSTD_STREAM, marks=needs_zstd)
ALL = pytest.mark.parametrize("kind", [NONE, ZLIB, ZSTD, PAYLOAD])
COMPRESSED = pytest.mark.parametrize("kind", [ZLIB, ZSTD, PAYLOAD])
STREAMS = pytest.mark.parametrize("kind", [ZLIB, ZSTD])


def deflater(kind: Compression, level: int = 6) -> Callable[[bytes], bytes]:
    """What a server does with the messages of one connection."""
    match kind:
        case Compression.NONE:
            return bytes
        case Compression.ZLIB_STREAM:
            stream = zlib.compressobj(level)
            return lambda message: stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH)
        case Compression.ZSTD_STREAM:
            from gatewright.transport.zstd_stream import zstd

            frame = zstd.ZstdCompressor(level)
            return lambda message: frame.compress(message, frame.FLUSH_BLOCK)
        case Compression.PAYLOAD:
            return lambda message: zlib.compress(message, level)
