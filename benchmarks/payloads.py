"""What the load server sends: dispatches of the three kinds that a bot in many guilds sees most, 450 bytes each."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator

END = "BENCH_END"
_NAMES = ("ada", "béla", "chloé", "dmitri", "emeka", "fatma", "giulia", "小林")


def hello(interval_ms: int = 41_250) -> bytes:
    return _encode({"op": 10, "d": {"heartbeat_interval": interval_ms, "_trace": ['["gateway-prd"]']}})


def ready(port: int, *, secure: bool, session: str = "bench") -> bytes:
    user = {"id": "80351110224678912", "username": "bench", "discriminator": "0", "avatar": None, "bot": True}
    data = {
        "v": 10,
        "user": user,
        "guilds": [],
        "session_id": session,
        "resume_gateway_url": f"{'wss' if secure else 'ws'}://127.0.0.1:{port}",
        "shard": [0, 1],
        "application": {"id": "80351110224678912", "flags": 0},
        "session_type": "normal",
        "private_channels": [],
        "presences": [],
        "relationships": [],
        "user_settings": {},
    }
    return dispatch("READY", 1, data)


def frame(payload: bytes, opcode: int) -> bytes:
    """A websocket frame of a server."""
    size = len(payload)
    if size < 126:
        return bytes([0x80 | opcode, size]) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


def end(seq: int, **data: object) -> bytes:
    return dispatch(END, seq, data)


def ack() -> bytes:
    return _encode({"op": 11})


def reconnect() -> bytes:
    return _encode({"op": 7, "d": None})


def dispatch(type_: str, seq: int, data: object) -> bytes:
    return _encode({"t": type_, "s": seq, "op": 0, "d": data})


def events(count: int, *, first_seq: int = 2, seed: int = 1) -> Iterator[bytes]:
    """Half of them presences, a third messages, the rest typing; the same ones for every client."""
    draw = random.Random(seed)
    for seq in range(first_seq, first_seq + count):
        kind = draw.random()
        if kind < 0.5:
            yield dispatch("PRESENCE_UPDATE", seq, _presence(draw))
        elif kind < 0.8:
            yield dispatch("MESSAGE_CREATE", seq, _message(draw))
        else:
            yield dispatch("TYPING_START", seq, _typing(draw))


class Endless:
    """Frames of events without an end: always the same thousand, with sequences that grow."""

    _COUNT = 1000
    _FIRST = 1_000_000_000
    """So that all sequences have ten digits, of which the first seven are counted up."""

    def __init__(self) -> None:
        self.seq = self._FIRST
        chunk = b"".join(frame(event, 1) for event in events(self._COUNT, first_seq=self._FIRST))
        self._before, *self._parts = chunk.split(self._prefix())

    def _prefix(self) -> bytes:
        return f'"s":{self.seq // self._COUNT}'.encode()

    def chunk(self) -> bytes:
        """The next thousand, as one piece."""
        data = self._prefix().join((self._before, *self._parts))
        self.seq += self._COUNT
        return data


def timed_event(seq: int, sent_ns: int) -> bytes:
    """A message that says when it was sent."""
    return dispatch("MESSAGE_CREATE", seq, {**_message(random.Random(seq)), "sent_ns": sent_ns})


def _id(draw: random.Random) -> str:
    return str(draw.randrange(10**17, 10**18))


def _presence(draw: random.Random) -> dict[str, object]:
    activity = {
        "type": 0,
        "name": draw.choice(("Factorio", "Old School RuneScape", "Visual Studio Code")),
        "id": f"{draw.getrandbits(64):x}",
        "created_at": 1_700_000_000_000 + draw.randrange(10**9),
        "timestamps": {"start": 1_700_000_000_000 + draw.randrange(10**9)},
        "details": "in the main menu, looking around",
    }
    return {
        "user": {"id": _id(draw)},
        "status": draw.choice(("online", "idle", "dnd")),
        "guild_id": _id(draw),
        "client_status": {"desktop": "online", "mobile": "idle"},
        "broadcast": None,
        "activities": [activity],
    }


def _message(draw: random.Random) -> dict[str, object]:
    name = draw.choice(_NAMES)
    author = {
        "id": _id(draw),
        "username": name,
        "global_name": name.title(),
        "discriminator": "0",
        "avatar": f"{draw.getrandbits(128):032x}",
        "public_flags": 0,
    }
    return {
        "type": 0,
        "tts": False,
        "timestamp": "2026-01-02T03:04:05.678000+00:00",
        "pinned": False,
        "mentions": [],
        "mention_roles": [],
        "mention_everyone": False,
        "id": _id(draw),
        "flags": 0,
        "embeds": [],
        "edited_timestamp": None,
        "content": " ".join(draw.choice(("hello", "there", "naïve", "tea", "?")) for _ in range(12)),
        "components": [],
        "channel_id": _id(draw),
        "author": author,
        "attachments": [],
        "guild_id": _id(draw),
    }


def _typing(draw: random.Random) -> dict[str, object]:
    user = {"id": _id(draw), "username": draw.choice(_NAMES), "discriminator": "0", "avatar": None}
    member = {"user": user, "roles": [_id(draw) for _ in range(4)], "nick": None, "joined_at": "2024-05-06T07:08:09"}
    return {
        "user_id": user["id"],
        "timestamp": 1_700_000_000,
        "member": member,
        "channel_id": _id(draw),
        "guild_id": _id(draw),
    }


def _encode(value: object) -> bytes:
    # As Discord does it: compact, and characters as they are.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
