"""The few end points of the REST API that tell a library who its bot is, and what it is in."""

from __future__ import annotations

from gatewright.harness.fake import payloads
from gatewright.harness.fake.population import Guild
from gatewright.harness.fake.world import World

_GATEWAY_ONLY = frozenset(
    {
        "channels",
        "guild_scheduled_events",
        "joined_at",
        "large",
        "member_count",
        "members",
        "presences",
        "soundboard_sounds",
        "stage_instances",
        "threads",
        "unavailable",
        "voice_states",
    }
)
"""What GUILD_CREATE adds to the guild object (GE › Guild Create Extra Fields)."""


def about(path: str, world: World) -> object:
    """What `path`, without its prefix, tells; ``None`` if it is none of these end points."""
    match path.split("/")[1:]:
        case ["users", "@me"]:
            return payloads.user()
        case ["applications", "@me"] | ["oauth2", "applications", "@me"]:
            return payloads.application()
        case ["soundboard-default-sounds"]:
            return []
        case ["users", "@me", "guilds"]:
            return [_partial(guild) for guild in world.guilds]
        case ["guilds", guild_id, *rest]:
            guild = next((one for one in world.guilds if one.id == guild_id), None)
            return None if guild is None else _about_guild(guild, rest)
        case _:
            return None


def _about_guild(guild: Guild, rest: list[str]) -> object:
    match rest:
        case []:
            whole = payloads.guild_create(guild)
            counted = {"approximate_member_count": whole["member_count"]}
            return {name: value for name, value in whole.items() if name not in _GATEWAY_ONLY} | counted
        case ["channels"]:
            return [channel.payload() for channel in guild.channels]
        case ["threads", "active"]:
            return {"threads": [], "members": []}
        case ["members", payloads.BOT_ID]:
            return payloads.member(payloads.user())
        case _:
            return None


def _partial(guild: Guild) -> dict[str, object]:
    return {
        "id": guild.id,
        "name": f"Guild {guild.id}",
        "icon": None,
        "banner": None,
        "owner": True,
        "permissions": "0",
        "features": [],
    }
