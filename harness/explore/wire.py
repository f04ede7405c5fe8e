"""The way of a message from the server's bytes to the codec: compressed, framed, cut anywhere, put together again.

What puts it together is the engine's own: the splitter of frames and the inflater of the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from gatewright.harness.fake.compression import Deflater
from gatewright.harness.fake.script import Corrupt, Split
from gatewright.transport.frames import FrameSplitter, Received
from gatewright.transport.inflate import MAX_MESSAGE_BYTES, Compression, TooLarge, inflater

_FIN: Final = 0x80
_TEXT: Final = 0x1
_BINARY: Final = 0x2


class Wire:
    """One connection's bytes, from the server's compression to the messages that the codec reads."""

    def __init__(self, kind: Compression) -> None:
        self.kind = kind
        self._deflater = Deflater(kind)
        self._splitter = FrameSplitter(MAX_MESSAGE_BYTES)
        self._inflater = inflater(kind)

    def carry(self, message: bytes, cuts: Callable[[], Sequence[int]], *, corrupt: bool = False) -> str | bytes:
        """The message as it comes out at the other end.

        Args:
            message: one of the gateway's.
            cuts: draws where bytes are cut: those of a compressed message into several of the websocket (where the
                protocol allows it), those of a message into fragments, and those on the wire into reads.
            corrupt: it is damaged on its way; only where there is compression.

        Raises:
            InflateError: it was damaged.
        """
        found: list[Received] = []
        for part in self._parts(message, cuts, corrupt=corrupt):
            on_the_wire = b"".join(_frames(part, cuts()))
            for piece in _cut(on_the_wire, cuts()):
                rest = self._splitter.feed(piece, found)
                assert not rest, "a data frame was taken for something else"
        whole: list[str | bytes] = []
        for received in found:
            assert not isinstance(received, TooLarge)
            inflated = self._inflater.feed(received)
            if inflated is not None:
                whole.append(inflated)
        [carried] = whole
        return carried

    def _parts(self, message: bytes, cuts: Callable[[], Sequence[int]], *, corrupt: bool) -> Sequence[str | bytes]:
        """The messages of the websocket."""
        if self.kind is Compression.NONE:
            try:
                return [message.decode()]
            except UnicodeDecodeError:
                return [message]
        if corrupt:
            self._deflater.prepare(Corrupt())
        elif self.kind is Compression.ZLIB_STREAM:
            places = tuple(cuts())
            if places:
                self._deflater.prepare(Split(places))
        return self._deflater.frames(message.decode())


def _cut(data: bytes, places: Sequence[int]) -> Iterator[bytes]:
    start = 0
    for place in places:
        yield data[start:place]
        start = max(place, start)
    yield data[start:]


def _frames(message: str | bytes, places: Sequence[int]) -> Iterator[bytes]:
    """A message as frames of a server: whole, or in fragments."""
    opcode, data = (_TEXT, message.encode()) if isinstance(message, str) else (_BINARY, message)
    pieces = list(_cut(data, [place for place in places if place < len(data)]))
    for number, piece in enumerate(pieces):
        first = (opcode if number == 0 else 0) | (_FIN if number == len(pieces) - 1 else 0)
        yield bytes([first]) + _length(len(piece)) + piece


def _length(size: int) -> bytes:
    if size < 126:
        return bytes([size])
    if size < 1 << 16:
        return bytes([126]) + size.to_bytes(2)
    return bytes([127]) + size.to_bytes(8)
