"""Websocket frames of a server, split off its bytes: messages for us, everything else for trio-websocket. Pure.

Only what is easy is done here: unmasked data frames, whole or in fragments. Control frames pass, and so does the first
frame that is malformed, together with all that follows it: trio-websocket knows what to answer, and gives up. Two
faults do not show in one frame alone, a message within another one and text that is not UTF-8. For them trio-websocket
is shown the smallest frame that has the same fault.
"""

from __future__ import annotations

import codecs
import struct
from typing import Final, TypeAlias

from gatewright.transport.inflate import TooLarge

Received: TypeAlias = str | bytes | TooLarge
"""A message; or that one was larger than the limit, and was thrown away."""

_FIN: Final = 0x80
_CONTINUATION: Final = 0x0
_TEXT: Final = 0x1
_BINARY: Final = 0x2
_WHOLE_TEXT: Final = _FIN | _TEXT
_WHOLE_BINARY: Final = _FIN | _BINARY
_WHOLE: Final = frozenset({_WHOLE_TEXT, _WHOLE_BINARY})
_CLOSE: Final = _FIN | 0x8
_CONTROL: Final = frozenset({_CLOSE, _FIN | 0x9, _FIN | 0xA})
_DATA: Final = frozenset({_WHOLE_TEXT, _WHOLE_BINARY, _FIN | _CONTINUATION, _TEXT, _BINARY, _CONTINUATION})
_MOST_CONTROL_BYTES: Final = 125

_USUAL_HEADER: Final = struct.Struct("!HH").unpack_from
_USUAL_TEXT: Final = _WHOLE_TEXT << 8 | 126
_USUAL_BINARY: Final = _WHOLE_BINARY << 8 | 126
"""The first half of the header of a whole message that has a length of two bytes, the second half; unmasked."""

_HEADER: Final = {126: 4, 127: 10}
"""Bytes of a header whose second byte is this."""

_MALFORMED: Final = -1
"""In place of a length."""

_OVER: Final = -1
"""In place of where the next frame begins."""

_MISPLACED: Final = bytes([_FIN | _CONTINUATION, 0])
"""A continuation of nothing, in place of any frame that the one before forbids (trio-websocket: 1002)."""

_NOT_UTF8: Final = bytes([_WHOLE_TEXT, 1, 0xFF])
"""A text that is not UTF-8, in place of one that was lifted (trio-websocket: 1007)."""


class FrameSplitter:
    """Splits the bytes that follow the 101 of one connection.

    Args:
        limit: bytes that a message may have on the wire.
        encoded: leave a text in its bytes, which are UTF-8. For those who do not tell texts from other messages, and
            would only encode it again.

    Attributes:
        over: whether a close frame or a malformed one has passed: nothing after it is a message.
        binary: whether there was a message that is no text, and need not be UTF-8.
    """

    __slots__ = (
        "_encoded", "_fragments", "_held", "_limit", "_needed", "_parts", "_passed", "_skip", "_void", "binary", "over"
    )  # fmt: skip

    def __init__(self, limit: int, *, encoded: bool = False) -> None:
        self.over = False
        self.binary = False
        self._encoded = encoded
        self._limit = limit
        # The frame that is not whole yet: its bytes so far, how many these are, and with how many it can go on.
        self._parts: list[bytes] = []
        self._held = 0
        self._needed = 0
        self._skip = 0  # bytes still to come of a frame that is thrown away
        self._fragments: _Fragments | None = None  # the message that is not whole yet
        self._void = False
        self._passed = b""

    def void(self) -> None:
        """Throws messages away from now on. The frames around them keep their sense, and control frames still pass."""
        self._void = True

    def feed(self, data: bytes, found: list[Received]) -> bytes:
        """Takes the next bytes, in pieces of any size.

        Args:
            data: what was received.
            found: gets the messages that are whole now, in order.

        Returns:
            The bytes that are for trio-websocket.
        """
        if self.over:
            return data
        if self._parts:
            self._parts.append(data)
            self._held += len(data)
            if self._held < self._needed:
                return b""
            data = b"".join(self._parts)
            self._parts = []
        end = len(data)
        position = min(self._skip, end)
        self._skip -= position
        limit = self._limit_of_a_whole_message()
        needed = 2
        last_header = end - 4
        header_at, add, encoded = _USUAL_HEADER, found.append, self._encoded
        while True:
            # What nearly every frame is comes first, and by itself: a message of its own, of usual size.
            while position <= last_header:
                header, length = header_at(data, position)
                start = position + 4
                stop = start + length
                if length < 126 or length > limit or stop > end:
                    break
                if header == _USUAL_TEXT:
                    payload = data[start:stop]
                    try:
                        if not encoded:
                            add(payload.decode())
                        else:
                            if not payload.isascii():
                                payload.decode()
                            add(payload)
                    except UnicodeDecodeError:
                        self._end(_NOT_UTF8)
                        return self._flush()
                elif header == _USUAL_BINARY:
                    self.binary = True
                    add(data[start:stop])
                else:
                    break
                position = stop
            if end - position < 2:
                break
            first, length = data[position], data[position + 1]
            if length < 126:
                start = position + 2
            elif length == 126 and position + 4 <= end:
                start = position + 4
                length = data[position + 2] << 8 | data[position + 3]
                if length < 126:
                    length = _MALFORMED
            else:
                start = position + _HEADER.get(length, 2)
                if start > end and first in _DATA:
                    needed = start - position
                    break
                length = _long_length(data, position, start)
            stop = start + length
            if 0 <= length <= limit and first in _WHOLE:
                if stop > end:
                    needed = stop - position
                    break
                payload = data[start:stop]
                if first == _WHOLE_BINARY:
                    self.binary = True
                    add(payload)
                else:
                    try:
                        text = payload.decode()
                    except UnicodeDecodeError:
                        self._end(_NOT_UTF8)
                        return self._flush()
                    add(payload if encoded else text)
                position = stop
                continue
            rest = self._take(data, position, start, length, found)
            if rest == _OVER:
                return self._flush()
            if rest == position:
                needed = stop - position
                break
            position = rest
            limit = self._limit_of_a_whole_message()
        if position < end:
            self._parts = [data[position:]]
            self._held = end - position
            self._needed = needed
        return self._flush()

    def _limit_of_a_whole_message(self) -> int:
        return -1 if self._void or self._fragments is not None else self._limit

    def _take(self, data: bytes, position: int, start: int, length: int, found: list[Received]) -> int:
        """Takes a frame that is no ordinary message; where the next one begins, `position` if it is not whole yet."""
        first, stop, end = data[position], start + length, len(data)
        if first in _CONTROL and 0 <= length <= _MOST_CONTROL_BYTES:
            if stop > end:
                return position
            self._passed += data[position:stop]
            return self._end(b"") if first == _CLOSE else stop
        if length == _MALFORMED or first not in _DATA:
            return self._end(data[position:])
        fragments = self._fragments
        if (first & ~_FIN == _CONTINUATION) is not (fragments is not None):
            return self._end(_MISPLACED)
        if fragments is None:
            fragments = _Fragments(text=first & ~_FIN == _TEXT, encoded=self._encoded)
            self.binary |= first & ~_FIN == _BINARY
        if self._void or fragments.size + length > self._limit:
            if not self._void:
                self._void = True
                found.append(TooLarge(self._limit))
            self._skip = max(stop - end, 0)
            self._fragments = None if first & _FIN else fragments
            return min(stop, end)
        if stop > end:
            return position
        try:
            message = fragments.add(data[start:stop], final=first & _FIN != 0)
        except UnicodeDecodeError:
            return self._end(_NOT_UTF8)
        self._fragments = fragments if message is None else None
        if message is not None:
            found.append(message)
        return stop

    def _end(self, shown: bytes) -> int:
        """Passes on how it ends."""
        self._passed += shown
        self.over = True
        return _OVER

    def _flush(self) -> bytes:
        passed, self._passed = self._passed, b""
        return passed


class _Fragments:
    """A message that comes in several frames. Its text is checked fragment by fragment, as far as it has come."""

    __slots__ = ("_decoder", "_parts", "_texts", "size")

    def __init__(self, *, text: bool, encoded: bool) -> None:
        self.size = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")() if text else None
        self._texts: list[str] | None = [] if text and not encoded else None
        self._parts: list[bytes] = []

    def add(self, payload: bytes, *, final: bool) -> str | bytes | None:
        """The message, when `payload` is the last of it.

        Raises:
            UnicodeDecodeError: it is a text, and not UTF-8.
        """
        self.size += len(payload)
        text = "" if self._decoder is None else self._decoder.decode(payload, final)
        if self._texts is not None:
            self._texts.append(text)
            return "".join(self._texts) if final else None
        self._parts.append(payload)
        return b"".join(self._parts) if final else None


def _long_length(data: bytes, position: int, start: int) -> int:
    """The length of a frame that has eight bytes for it; anything else here is malformed, as a masked one is."""
    length = int.from_bytes(data[position + 2 : start]) if position + 10 == start <= len(data) else 0
    return length if 0xFFFF < length < 1 << 63 else _MALFORMED
