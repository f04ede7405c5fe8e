"""The JSON that the fake gateway sends, in Discord's shapes (protocol sections 1.1, 1.2 and 1.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gatewright.harness.fake.population import Guild
from gatewright.harness.fake.sessions import Session
from gatewright.spec.protocol import API_VERSION, Opcode

BOT_ID = "1000000000000000001"
APPLICATION_ID = "1000000000000000002"


def envelope(op: int, data: object = None, *, seq: int | None = None, event: str | None = None) -> str:
    """One payload with all four keys, as the real server sends it."""
    return msgspec.json.encode({"t": event, "s": seq, "op": op, "d": data}).decode()


def user() -> dict[str, object]:
    """The bot's user object."""
    return {
        "id": BOT_ID,
        "username": "fake",
        "discriminator": "0000",
        "global_name": None,
        "avatar": None,
        "bot": True,
        "mfa_enabled": False,
        "verified": True,
        "email": None,
        "flags": 0,
        "public_flags": 0,
        "locale": "en-US",
    }


def application() -> dict[str, object]:
    """The bot's application object."""
    return {
        "id": APPLICATION_ID,
        "name": "fake",
        "icon": None,
        "description": "",
        "summary": "",
        "bot_public": False,
        "bot_require_code_grant": False,
        "verify_key": "00",
        "flags": 565_248,
        "owner": {**user(), "id": str(int(BOT_ID) + 2), "username": "owner", "bot": False},
        "team": None,
        "approximate_guild_count": 0,
        "redirect_uris": [],
    }


def hello(interval: float) -> dict[str, object]:
    """HELLO's ``d``; `interval` in seconds becomes milliseconds."""
    return {"heartbeat_interval": round(interval * 1000), "_trace": ['["fake-gateway",{"micros":0.0}]']}


def ready(session: Session, guilds: Sequence[Guild], *, resume_url: str, sent_shard: bool) -> dict[str, object]:
    """READY's ``d``: every guild unavailable, ``shard`` only if the IDENTIFY had one (P31, P32)."""
    content: dict[str, object] = {
        "v": API_VERSION,
        "user": user(),
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


def member(of: Mapping[str, object], *, nick: str | None = None) -> dict[str, object]:
    """A member object."""
    return {
        "user": dict(of),
        "nick": nick,
        "avatar": None,
        "roles": [],
        "joined_at": "2024-01-01T00:00:00.000000+00:00",
        "premium_since": None,
        "communication_disabled_until": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
    }


def _everyone(guild_id: str) -> dict[str, object]:
    return {
        "id": guild_id,
        "name": "@everyone",
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "icon": None,
        "unicode_emoji": None,
        "position": 0,
        "permissions": "0",
        "managed": False,
        "mentionable": False,
        "flags": 0,
    }


def message(content: str, *, channel_id: str, guild_id: str | None = None) -> dict[str, object]:
    """MESSAGE_CREATE's ``d``: a message of somebody else, complete enough for libraries that read all of it."""
    author = {**user(), "id": str(int(BOT_ID) + 2), "username": "author", "bot": False}
    content_of: dict[str, object] = {
        "id": "1500000000000000000",
        "channel_id": channel_id,
        "author": author,
        "content": content,
        "timestamp": "2024-01-01T00:00:00.000000+00:00",
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "pinned": False,
        "type": 0,
        "flags": 0,
    }
    if guild_id is not None:
        whole = member(author)
        del whole["user"]
        content_of.update(guild_id=guild_id, member=whole)
    return content_of


def guild_create(guild: Guild) -> dict[str, object]:
    """GUILD_CREATE's ``d``. Of the members only the bot is in it, as where presences are not asked for (P86)."""
    return {
        "id": guild.id,
        "name": f"Guild {guild.id}",
        "icon": None,
        "splash": None,
        "discovery_splash": None,
        "banner": None,
        "description": None,
        "vanity_url_code": None,
        "application_id": None,
        "owner_id": BOT_ID,
        "features": [],
        "preferred_locale": "en-US",
        "afk_channel_id": None,
        "afk_timeout": 300,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "premium_progress_bar_enabled": False,
        "max_members": 500_000,
        "max_presences": None,
        "max_video_channel_users": 25,
        "unavailable": False,
        "large": len(guild.members) >= 250,
        "joined_at": "2024-01-01T00:00:00.000000+00:00",
        "member_count": 1 + len(guild.members),
        "members": [member(user())],
        "channels": [channel.payload() for channel in guild.channels],
        "threads": [],
        "presences": [],
        "voice_states": [],
        "roles": [_everyone(guild.id)],
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
