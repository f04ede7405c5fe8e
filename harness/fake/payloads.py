"""The JSON that the fake gateway sends, in Discord's shapes (protocol sections 1.1, 1.2 and 1.4)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gatewright.harness.fake.sessions import Session
from gatewright.spec.protocol import API_VERSION, Opcode

BOT_ID = "1000000000000000001"
APPLICATION_ID = "1000000000000000002"
_FIRST_GUILD = 41_771_983_423


def envelope(op: int, data: object = None, *, seq: int | None = None, event: str | None = None) -> str:
    """One payload with all four keys, as the real server sends it."""
    return msgspec.json.encode({"t": event, "s": seq, "op": op, "d": data}).decode()


def hello(interval: float) -> dict[str, object]:
    """HELLO's ``d``; `interval` in seconds becomes milliseconds."""
    return {"heartbeat_interval": round(interval * 1000), "_trace": ['["fake-gateway",{"micros":0.0}]']}


def ready(session: Session, guilds: Sequence[str], *, resume_url: str, sent_shard: bool) -> dict[str, object]:
    """READY's ``d``: every guild unavailable, ``shard`` only if the IDENTIFY had one (P31, P32)."""
    content: dict[str, object] = {
        "v": API_VERSION,
        "user": {
            "id": BOT_ID,
            "username": "fake",
            "discriminator": "0000",
            "global_name": None,
            "avatar": None,
            "bot": True,
        },
        "guilds": [{"id": guild, "unavailable": True} for guild in guilds],
        "session_id": session.id,
        "resume_gateway_url": resume_url,
        "application": {"id": APPLICATION_ID, "flags": 565_248},
        "private_channels": [],
        "_trace": ['["fake-gateway",{"micros":0.0}]'],
    }
    if sent_shard:
        content["shard"] = list(session.shard)
    return content


def guild_create(guild: str) -> dict[str, object]:
    """GUILD_CREATE's ``d`` for a small guild with nobody in it but the bot."""
    return {
        "id": guild,
        "name": f"Guild {guild}",
        "icon": None,
        "owner_id": BOT_ID,
        "unavailable": False,
        "large": False,
        "joined_at": "2024-01-01T00:00:00.000000+00:00",
        "member_count": 1,
        "members": [
            {"user": {"id": BOT_ID, "username": "fake", "discriminator": "0000", "bot": True}, "roles": []},
        ],
        "channels": [],
        "threads": [],
        "presences": [],
        "voice_states": [],
        "roles": [],
        "emojis": [],
        "stickers": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def resumed() -> dict[str, object]:
    """RESUMED's ``d``; no field of it is documented."""
    return {"_trace": ['["fake-gateway",{"micros":0.0}]']}


def gateway_bot(
    url: str, *, shards: int, total: int, remaining: int, reset_after: float, max_concurrency: int
) -> dict[str, object]:
    """The answer to ``GET /gateway/bot``; `reset_after` in seconds becomes milliseconds."""
    return {
        "url": url,
        "shards": shards,
        "session_start_limit": {
            "total": total,
            "remaining": remaining,
            "reset_after": round(reset_after * 1000),
            "max_concurrency": max_concurrency,
        },
    }


def guild_ids(count: int) -> tuple[str, ...]:
    """Ids of `count` guilds that are spread evenly over shards by ``(id >> 22) % n`` (P88)."""
    return tuple(str(((_FIRST_GUILD + index) << 22) | 1) for index in range(count))


def shard_of(guild: str, shard_count: int) -> int:
    """The shard that a guild's events go to (P88)."""
    return (int(guild) >> 22) % shard_count


OPCODES_OF_CLIENTS = frozenset(
    {
        Opcode.HEARTBEAT,
        Opcode.IDENTIFY,
        Opcode.PRESENCE_UPDATE,
        Opcode.VOICE_STATE_UPDATE,
        Opcode.RESUME,
        Opcode.REQUEST_GUILD_MEMBERS,
        Opcode.REQUEST_SOUNDBOARD_SOUNDS,
        Opcode.REQUEST_CHANNEL_INFO,
    }
)
"""What a client may send; anything else is closed with 4001."""
