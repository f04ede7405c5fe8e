"""Who and what is in the guilds of the fake gateway: members, voice channels and sounds, as one value a guild."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

_FIRST_GUILD = 41_771_983_423
_FIRST_USER = 1_500_000_000_000_000_000
_NAMES = ("ada", "bela", "carl", "dora", "emil", "frida", "gustav", "hanna")


@attrs.frozen(kw_only=True)
class Member:
    """Somebody in a guild. A prefix query looks at `name` and `nick`, whatever their case."""

    id: str
    name: str
    nick: str | None = None
    online: bool = False

    def payload(self) -> dict[str, object]:
        """The member object."""
        return {
            "user": {
                "id": self.id,
                "username": self.name,
                "discriminator": "0000",
                "global_name": None,
                "avatar": None,
                "bot": False,
            },
            "nick": self.nick,
            "avatar": None,
            "roles": [],
            "joined_at": "2024-01-01T00:00:00.000000+00:00",
            "deaf": False,
            "mute": False,
            "flags": 0,
        }

    def presence(self, guild: str) -> dict[str, object]:
        """The presence object."""
        status = "online" if self.online else "offline"
        client = {"desktop": "online"} if self.online else {}
        return {
            "user": {"id": self.id},
            "guild_id": guild,
            "status": status,
            "activities": [],
            "client_status": client,
        }


@attrs.frozen(kw_only=True)
class VoiceChannel:
    """A voice channel.

    Attributes:
        id: its id; a command that names another one gets no answer.
        name: what GUILD_CREATE calls it.
        user_limit: how many may be in it; 0 for any number.
        others: how many are in it beside the bot. With as many as `user_limit` it is full: op 4 has no
            answer (P70).
        status: the text that CHANNEL_INFO tells.
        voice_start_time: Unix time in seconds at which somebody began to talk, as CHANNEL_INFO tells it.
    """

    id: str
    name: str = "voice"
    user_limit: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    others: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    status: str | None = None
    voice_start_time: int | None = None

    @property
    def full(self) -> bool:
        """Whether nobody else can join."""
        return 0 < self.user_limit <= self.others

    def payload(self) -> dict[str, object]:
        """The channel object."""
        return {
            "id": self.id,
            "type": 2,
            "name": self.name,
            "position": 0,
            "permission_overwrites": [],
            "parent_id": None,
            "nsfw": False,
            "flags": 0,
            "bitrate": 64_000,
            "user_limit": self.user_limit,
            "rate_limit_per_user": 0,
            "rtc_region": None,
            "last_message_id": None,
        }


@attrs.frozen(kw_only=True)
class Sound:
    """A soundboard sound."""

    id: str
    name: str = "quack"

    def payload(self, guild: str) -> dict[str, object]:
        """The soundboard sound object."""
        return {
            "sound_id": self.id,
            "name": self.name,
            "volume": 1.0,
            "emoji_id": None,
            "emoji_name": "🦆",
            "guild_id": guild,
            "available": True,
        }


@attrs.frozen(kw_only=True)
class Guild:
    """A guild that the bot is in. The bot itself is not among its `members`."""

    id: str
    members: tuple[Member, ...] = attrs.field(default=(), repr=lambda members: f"<{len(members)}>")
    channels: tuple[VoiceChannel, ...] = ()
    sounds: tuple[Sound, ...] = ()

    def channel(self, channel: str) -> VoiceChannel | None:
        """The voice channel with this id."""
        return next((one for one in self.channels if one.id == channel), None)


def members(count: int) -> tuple[Member, ...]:
    """`count` members with names in turn (``ada0``, ``bela1``, …), every second one online."""
    return tuple(
        Member(
            id=str(_FIRST_USER + index),
            name=f"{_NAMES[index % len(_NAMES)]}{index}",
            online=index % 2 == 0,
        )
        for index in range(count)
    )


def guild(guild_id: str, *, member_count: int = 0) -> Guild:
    """A guild with `member_count` members, one voice channel and one sound, whose ids follow the guild's own."""
    number = int(guild_id)
    return Guild(
        id=guild_id,
        members=members(member_count),
        channels=(VoiceChannel(id=str(number + 1)),),
        sounds=(Sound(id=str(number + 2)),),
    )


def guilds(wanted: int | Sequence[str | Guild]) -> tuple[Guild, ...]:
    """Guilds from a count, from ids, or as they are.

    Those of a count are spread evenly over shards by ``(id >> 22) % n`` (P88).
    """
    if isinstance(wanted, int):
        wanted = [str(((_FIRST_GUILD + index) << 22) | 1) for index in range(wanted)]
    return tuple(one if isinstance(one, Guild) else guild(one) for one in wanted)
