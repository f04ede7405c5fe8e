"""The data of the dispatches that belong to the gateway itself, typed: the handshake, and the answers to commands.

:meth:`Dispatch.typed() <gatewright.transport.dispatch.Dispatch.typed>` makes them. Fields that nobody documented are
left out, those that may be missing have a default, and ids are strings (P78, P79). Objects of Discord's wider model
(users, members, sounds) stay as they are in JSON.

Source: protocol section 1.2.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import force_setattr

Fields: TypeAlias = dict[str, Any]
"""One object of JSON. Any: the documentation promises no schema."""


class UnavailableGuild(msgspec.Struct, frozen=True):
    """A guild of READY; its data come with GUILD_CREATE (P32)."""

    id: str
    unavailable: bool = True


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """READY: a session began (P31). `shard` is the pair of IDENTIFY."""

    session_id: str
    resume_gateway_url: str | None = None
    v: int | None = None
    user: Fields = {}
    guilds: tuple[UnavailableGuild, ...] = ()
    application: Fields = {}
    shard: tuple[int, int] | None = None


class Resumed(msgspec.Struct, frozen=True):
    """RESUMED: the replay is over (P38). It has no documented fields."""


class RateLimited(msgspec.Struct, frozen=True, kw_only=True):
    """RATE_LIMITED: a command was refused; `retry_after` in seconds. `meta` depends on `opcode`."""

    opcode: int
    retry_after: float
    meta: Fields = {}


class GuildMembersChunk(msgspec.Struct, frozen=True, kw_only=True):
    """GUILD_MEMBERS_CHUNK: up to 1000 members; `not_found` as text, though the server echoes some as numbers (P66)."""

    guild_id: str
    members: tuple[Fields, ...] = ()
    chunk_index: int = 0
    chunk_count: int = 1
    not_found: tuple[str | int, ...] = ()
    presences: tuple[Fields, ...] = ()
    nonce: str | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "not_found", tuple(map(str, self.not_found)))


class VoiceServerUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """VOICE_SERVER_UPDATE: where to join, and with which token; without an `endpoint` there is no server yet (P71)."""

    token: str
    guild_id: str
    endpoint: str | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"VoiceServerUpdate(guild_id={self.guild_id!r}, endpoint={self.endpoint!r}, token=***)"


class VoiceStateUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """VOICE_STATE_UPDATE: where somebody is; `channel_id` is ``None`` when nowhere."""

    user_id: str
    session_id: str
    guild_id: str | None = None
    channel_id: str | None = None
    deaf: bool = False
    mute: bool = False
    self_deaf: bool = False
    self_mute: bool = False
    self_stream: bool = False
    self_video: bool = False
    suppress: bool = False
    request_to_speak_timestamp: str | None = None
    member: Fields | None = None


class ChannelDetails(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of CHANNEL_INFO. A field that was not asked for is ``UNSET``; `voice_start_time` is Unix time."""

    id: str
    status: str | msgspec.UnsetType | None = msgspec.UNSET
    voice_start_time: int | msgspec.UnsetType | None = msgspec.UNSET


class ChannelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """CHANNEL_INFO: what is passing in the voice channels of a guild."""

    guild_id: str
    channels: tuple[ChannelDetails, ...] = ()


class SoundboardSounds(msgspec.Struct, frozen=True, kw_only=True):
    """SOUNDBOARD_SOUNDS: the sounds of a guild."""

    guild_id: str
    soundboard_sounds: tuple[Fields, ...] = ()


Payload: TypeAlias = (
    Ready
    | Resumed
    | RateLimited
    | GuildMembersChunk
    | VoiceServerUpdate
    | VoiceStateUpdate
    | ChannelInfo
    | SoundboardSounds
)

PAYLOADS: Final[dict[str, type[Payload]]] = {
    "READY": Ready,
    "RESUMED": Resumed,
    "RATE_LIMITED": RateLimited,
    "GUILD_MEMBERS_CHUNK": GuildMembersChunk,
    "VOICE_SERVER_UPDATE": VoiceServerUpdate,
    "VOICE_STATE_UPDATE": VoiceStateUpdate,
    "CHANNEL_INFO": ChannelInfo,
    "SOUNDBOARD_SOUNDS": SoundboardSounds,
}
"""The class of each dispatch that has one, by its name."""

_DECODERS: Final = {name: msgspec.json.Decoder(kind) for name, kind in PAYLOADS.items()}


def decode_payload(type_: str, raw: msgspec.Raw | bytes) -> Payload | None:
    """The data of a dispatch of this type; ``None`` for a type that has no class here.

    Raises:
        ValueError: if they do not fit, or are not JSON.
        RecursionError: if they are nested without end.
    """
    decoder = _DECODERS.get(type_)
    return None if decoder is None else decoder.decode(raw)
