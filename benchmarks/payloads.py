"""What the load server sends: dispatches of the three kinds that a bot in many guilds sees most, 450 bytes each."""

from __future__ import annotations

import json
import random
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


def end(seq: int) -> bytes:
    return dispatch(END, seq, {})


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
