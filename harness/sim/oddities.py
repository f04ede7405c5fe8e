"""Answers that nobody has asked for, compressed messages that are cut or damaged, and frames that are none."""

from __future__ import annotations

from typing import Final

import msgspec

from gatewright.harness.fake.payloads import BOT_ID
from gatewright.harness.fake.script import Bomb, Corrupt, Dispatch, Fragment, MessageAction, Split
from gatewright.spec.protocol import Opcode
from gatewright.transport.inflate import MAX_MESSAGE_BYTES

GUILD: Final = "1000000000000000001"
NONCE: Final = "0123456789abcdef"
"""With which the nonces of a simulated shard begin."""


def _limited(opcode: int, retry_after: object, **meta: object) -> Dispatch:
    return Dispatch("RATE_LIMITED", {"opcode": opcode, "retry_after": retry_after, "meta": meta})


def _chunk(index: int, count: int, nonce: str, *, of: str = GUILD, size: int = 0) -> Dispatch:
    members = [{"user": {"id": str(10**18 + number)}, "nick": "x" * 40} for number in range(size)]
    return Dispatch(
        "GUILD_MEMBERS_CHUNK",
        {"guild_id": of, "members": members, "chunk_index": index, "chunk_count": count, "nonce": nonce},
    )


_FIRST: Final = f"{NONCE}-1"
_MEMBERS: Final = int(Opcode.REQUEST_GUILD_MEMBERS)

ANSWERS: Final[tuple[MessageAction, ...]] = (
    _limited(_MEMBERS, 2.5, guild_id=GUILD, nonce=_FIRST),
    _limited(_MEMBERS, 2.5, guild_id=GUILD),
    _limited(_MEMBERS, "soon", guild_id=GUILD),
    _limited(int(Opcode.REQUEST_SOUNDBOARD_SOUNDS), 1.0, guild_id=GUILD, nonce=_FIRST),
    Dispatch("RATE_LIMITED", {"opcode": _MEMBERS}),
    Dispatch("RATE_LIMITED", "nothing of the kind"),
    _chunk(0, 2, _FIRST, size=1),
    _chunk(1, 2, f"{NONCE}-2", of="5"),
    _chunk(0, 1, f"{NONCE}-2", size=10),
    Dispatch("VOICE_STATE_UPDATE", {"user_id": BOT_ID, "session_id": "v", "guild_id": GUILD, "channel_id": "7"}),
    Dispatch("VOICE_SERVER_UPDATE", {"token": "t", "guild_id": GUILD, "endpoint": None}),
    Dispatch("MESSAGE_CREATE", msgspec.Raw(b'{"content":"\\ud800"}')),
)
"""To requests that were made, or to none."""

SPOILED: Final[tuple[MessageAction, ...]] = (
    Split(-2), Split((0, 1)), Split((5, 9, -4)), Split(-5), Corrupt(), Split(0), Bomb(3 * 2**20),
    Fragment(3), Fragment(2, ping=False),
)  # fmt: skip
"""What becomes of the next compressed message, or of the next message at all."""

_TOO_MUCH: Final = MAX_MESSAGE_BYTES + 1

WIRE: Final = (
    b"\x81\x02\xff\xfe", b"\x81\x7e\x00\x80" + b"\xff" * 128, b"\x80\x01a", b"\x83\x00", b"\x81\x81aaaaa",
    b"\x01\x01\xff\x80\x00", b"\x01\x02\xc3\xa4\x00\x01x\x80\x01\xff", b"\x82\x7f" + (5).to_bytes(8) + b"abcde",
    b"\x81\x7e\x00\x05hello", b"\x88\x01\x03", b"\x88\x02\x03\xe8", b"\x89\x7e\x00\x80" + b"p" * 128,
    b"\x82\x7f" + _TOO_MUCH.to_bytes(8) + b"and so on", b"\x02\x03abc\x89\x00\x00\x02de\x80\x01f",
    b"\x01\x01a\x81\x01b",
)  # fmt: skip
"""Frames of the websocket, most of them malformed (RFC 6455, 5 and 8.1)."""
