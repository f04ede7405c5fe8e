"""The grammar: messages of a gateway, and the websocket frames that carry them; all that is drawn comes of one die.

Two of three messages are by the book, with a sequence that goes on, so that a run reaches the states in which damage
matters. The others are broken in one place. A frame's grammar is the same one layer below: mostly whole, sometimes in
fragments, and sometimes with a bit that RFC 6455 forbids.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final, TypeVar, cast

import msgspec

from gatewright.spec.protocol import Opcode

T = TypeVar("T")

JSON: Final = msgspec.json.Encoder(order="sorted").encode

EVENTS: Final = (
    "MESSAGE_CREATE",
    "GUILD_CREATE",
    "PRESENCE_UPDATE",
    "TYPING_START",
    "GUILD_MEMBERS_CHUNK",
    "RATE_LIMITED",
    "VOICE_STATE_UPDATE",
    "A_NEW_EVENT",
)

JUNK: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**31,
    2**53,
    2**63 - 1,
    1e308,
    "",
    "0",
    "x" * 5000,
    "\u0000",
    "\U0001f600",
    list[object](),
    dict[str, object](),
    [list[object]()],
    {"": {"d": None}},
)
"""Values that stand where something else should."""

RAW_JUNK: Final = (
    b"NaN",
    b"-Infinity",
    b"1e400",
    b"-0",
    b"1" * 400,
    b'"\\ud800"',
    b'"\xff\xfe"',
    b"[" * 2000,
    b'{"a":' * 2000,
    b"'x'",
    b"nul",
    b"",
)
"""The same below JSON."""

NO_OBJECTS: Final = (
    b"",
    b" ",
    b"\x00",
    b"null",
    b"[]",
    b'"op"',
    b"0",
    b"{",
    b"}",
    b"{}",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b'{"op":1}{"op":1}',
    b"[" * 100_000,
    b'{"op":11,' + b'"a":[' * 50_000,
    b"<html><body>502 Bad Gateway</body></html>",
)
"""What is no message at all."""

CLOSE_CODES: Final = (None, 0, 999, 1000, 1001, 1005, 1006, 1011, 3000, 4000, 4003, 4007, 4008, 4009, 4999, 65535)
"""Those that do not end a shard for good."""

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10


class BytesRandom(Random):
    """A die whose rolls are read from bytes, for fuzzers that look for the bytes; then it goes on as a usual one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        super().__init__(0)

    def getrandbits(self, k: int, /) -> int:
        """`k` bits of what comes next."""
        if self._at >= len(self._data):
            return super().getrandbits(k)
        size = (k + 7) // 8
        taken, self._at = self._data[self._at : self._at + size], self._at + size
        return int.from_bytes(taken.ljust(size, b"\0"), "little") >> (size * 8 - k)

    def random(self) -> float:
        """A number in [0, 1), of 16 bits."""
        return self.getrandbits(16) / 65536


class FrameGrammar:
    """Draws what a gateway may send.

    Args:
        random: the die. The same die gives the same frames.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.seq = 0
        """The last sequence that was given out in order."""
        self._bodies: tuple[tuple[int, Callable[[], dict[str, object]]], ...] = (
            (30, self._dispatch),
            (10, self._ack),
            (5, self._ready),
            (4, self._resumed),
            (4, self._hello),
            (4, self._heartbeat_request),
            (3, self._unknown),
            (2, self._reconnect),
            (2, self._invalid_session),
        )
        self._total = sum(weight for weight, _ in self._bodies)

    # -- messages ------------------------------------------------------------------------------------------------------

    def message(self) -> bytes:
        """One message, before compression."""
        roll = self.random.random()
        if roll < 0.02:
            return self._pick(NO_OBJECTS)
        body = self._body()
        if roll < 0.67:
            return JSON(body)
        return self._damaged(body)

    def _body(self) -> dict[str, object]:
        roll = self.random.randrange(self._total)
        for weight, make in self._bodies:
            roll -= weight
            if roll < 0:
                return make()
        raise AssertionError("the weights do not add up")

    def _envelope(self, op: object, data: object = None, seq: object = None, type_: object = None) -> dict[str, object]:
        return {"op": op, "d": data, "s": seq, "t": type_}

    def _next(self) -> object:
        roll = self.random.random()
        if roll < 0.9:
            self.seq += 1
            return self.seq
        if roll < 0.98:
            return max(self.seq + self._pick((-2, -1, 0, 2, 10, 1000)), 0)
        return self._pick((0, -1, 2**31, 2**53, 2**63))

    def _dispatch(self) -> dict[str, object]:
        data: object = {"id": "1", "content": "x" * self._pick((0, 5, 100, 3000))}
        return self._envelope(0, data, self._next(), self._pick(EVENTS))

    def _ready(self) -> dict[str, object]:
        url = self._pick(
            ("wss://resume.example", "ws://127.0.0.1:1/", "http://resume.example", "wss://u:p@h", "::", None, 5)
        )
        data: dict[str, object] = {
            "v": 10,
            "user": {"id": "1"},
            "session_id": self._pick(("a", "b", "c" * 100)),
            "resume_gateway_url": url,
            "guilds": [],
        }
        return self._envelope(0, data, self._next(), "READY")

    def _resumed(self) -> dict[str, object]:
        return self._envelope(0, {"_trace": []}, self._next(), "RESUMED")

    def _hello(self) -> dict[str, object]:
        interval = self._pick((41250, 41250, 41250, 1, 0, -1, 1e308, 0.001, 10**9, "41250", None))
        return self._envelope(Opcode.HELLO, {"heartbeat_interval": interval})

    def _ack(self) -> dict[str, object]:
        return self._envelope(Opcode.HEARTBEAT_ACK)

    def _heartbeat_request(self) -> dict[str, object]:
        return self._envelope(Opcode.HEARTBEAT)

    def _reconnect(self) -> dict[str, object]:
        return self._envelope(Opcode.RECONNECT)

    def _invalid_session(self) -> dict[str, object]:
        return self._envelope(Opcode.INVALID_SESSION, self._pick((True, False, None, 1, "true", {})))

    def _unknown(self) -> dict[str, object]:
        return self._envelope(self._pick((2, 3, 4, 5, 6, 8, 12, 31, 255, -1, 2**31, 2**63 - 1)), self._pick(JUNK))

    def _damaged(self, body: dict[str, object]) -> bytes:
        random = self.random
        match random.randrange(8):
            case 0:
                del body[self._pick(tuple(body))]
            case 1:
                body[self._pick(tuple(body))] = self._pick(JUNK)
            case 2:
                body = {**body, self._pick(("x", "op ", "OP", "", "_trace")): self._pick(JUNK)}
            case 3:
                data = body["d"]
                if isinstance(data, dict) and data:
                    inner = dict(cast("dict[str, object]", data))
                    key = self._pick(tuple(inner))
                    if random.random() < 0.5:
                        del inner[key]
                    else:
                        inner[key] = self._pick(JUNK)
                    body["d"] = inner
            case 4:
                return self._spliced(body)
            case 5:  # one field twice
                return (
                    JSON(body)[:-1]
                    + b',"'
                    + self._pick((b"op", b"s", b"t", b"d"))
                    + b'":'
                    + JSON(self._pick(JUNK))
                    + b"}"
                )
            case 6:
                text = JSON(body)
                return text[: random.randrange(len(text))]
            case _:
                return self._flipped(JSON(body))
        return JSON(body)

    def _spliced(self, body: Mapping[str, object]) -> bytes:
        broken = self._pick(tuple(body))
        fields = (
            JSON(key) + b":" + (self._pick(RAW_JUNK) if key == broken else JSON(value)) for key, value in body.items()
        )
        return b"{" + b",".join(fields) + b"}"

    def _flipped(self, data: bytes) -> bytes:
        flipped = bytearray(data)
        for _ in range(self._pick((1, 1, 2, 8))):
            flipped[self.random.randrange(len(flipped))] = self.random.randrange(256)
        return bytes(flipped)

    # -- websocket frames ----------------------------------------------------------------------------------------------

    def frames(self, message: bytes, *, binary: bool = False) -> bytes:
        """`message` as it stands on the wire: whole or in fragments, by the book in nine of ten."""
        random = self.random
        opcode = _BINARY if binary else _TEXT
        if random.random() < 0.8:
            return frame(opcode, message)
        if random.random() < 0.5:
            return self._fragments(opcode, message)
        return self._forbidden(opcode, message)

    def control(self) -> bytes:
        """A frame that carries no message: ping, pong, or a close that does not end a shard for good."""
        roll = self.random.random()
        if roll < 0.8:
            return frame(self._pick((_PING, _PONG)), b"x" * self._pick((0, 5, 125)))
        code = self._pick(CLOSE_CODES)
        if code is None:
            return frame(_CLOSE, self._pick((b"", b"\x03")))
        return frame(_CLOSE, struct.pack("!H", code) + self._pick((b"", b"bye", b"\xff\xfe")))

    def _fragments(self, opcode: int, message: bytes) -> bytes:
        middle = self.random.randrange(len(message) + 1)
        between = self._pick((b"", b"", frame(_PING, b"in between"), frame(_PONG, b"")))
        return frame(opcode, message[:middle], final=False) + between + frame(0, message[middle:])

    def _forbidden(self, opcode: int, message: bytes) -> bytes:
        match self.random.randrange(8):
            case 0:
                return frame(self._pick((3, 7, 11, 15)), message[:100])
            case 1:
                return frame(opcode, message, reserved=self._pick((1, 2, 4, 7)))
            case 2:
                return frame(opcode, message, mask=True)
            case 3:
                return frame(_PING, b"x" * 126)
            case 4:
                return frame(self._pick((_PING, _CLOSE)), b"", final=False)
            case 5:
                return frame(0, message)  # goes on with nothing
            case 6:
                return frame(opcode, b"\xff\xfe\xfd")
            case _:  # a length that is not true, or more than can be
                return self._pick((b"\x81\x05ab", b"\x82\x7f" + b"\xff" * 8, b"\x81\x7f" + struct.pack("!Q", 2**40)))

    def _pick(self, values: Sequence[T]) -> T:
        return values[self.random.randrange(len(values))]


def frame(opcode: int, payload: bytes, *, final: bool = True, reserved: int = 0, mask: bool = False) -> bytes:
    """One frame (RFC 6455, 5.2), whether it may be or not; a mask is four zeros, which leave the payload as it is."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    flag = 0x80 if mask else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, flag | len(payload))
    elif len(payload) < 65536:
        head = struct.pack("!BBH", first, flag | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, flag | 127, len(payload))
    return head + (b"\0" * 4 if mask else b"") + payload
