"""The JSON that the fake gateway sends, in Discord's shapes (protocol sections 1.1, 1.2 and 1.4)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gatewright.harness.fake.population import Guild
from gatewright.harness.fake.sessions import Session
from gatewright.spec.protocol import API_VERSION, Opcode

BOT_ID = "1000000000000000001"
APPLICATION_ID = "1000000000000000002"


def envelope(op: int, data: object = None, *, seq: int | None = None, event: str | None = None) -> str:
    """One payload with all four keys, as the real server sends it."""
    return msgspec.json.encode({"t": event, "s": seq, "op": op, "d": data}).decode()


def hello(interval: float) -> dict[str, object]:
    """HELLO's ``d``; `interval` in seconds becomes milliseconds."""
    return {"heartbeat_interval": round(interval * 1000), "_trace": ['["fake-gateway",{"micros":0.0}]']}


def ready(session: Session, guilds: Sequence[Guild], *, resume_url: str, sent_shard: bool) -> dict[str, object]:
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
        "guilds": [{"id": guild.id, "unavailable": True} for guild in guilds],
        "session_id": session.id,
        "resume_gateway_url": resume_url,
        "application": {"id": APPLICATION_ID, "flags": 565_248},
        "private_channels": [],
        "_trace": ['["fake-gateway",{"micros":0.0}]'],
    }
    if sent_shard:
        content["shard"] = list(session.shard)
    return content


def guild_create(guild: Guild) -> dict[str, object]:
    """GUILD_CREATE's ``d``. Of the members only the bot is in it, as where presences are not asked for (P86)."""
    return {
        "id": guild.id,
        "name": f"Guild {guild.id}",
        "icon": None,
        "owner_id": BOT_ID,
        "unavailable": False,
        "large": len(guild.members) >= 250,
        "joined_at": "2024-01-01T00:00:00.000000+00:00",
        "member_count": 1 + len(guild.members),
        "members": [
            {"user": {"id": BOT_ID, "username": "fake", "discriminator": "0000", "bot": True}, "roles": []},
        ],
        "channels": [channel.payload() for channel in guild.channels],
        "threads": [],
        "presences": [],
        "voice_states": [],
        "roles": [],
        "emojis": [],
        "stickers": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [sound.payload(guild.id) for sound in guild.sounds],
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
