"""What the gateway answers to a command, as values; and the few fields by which an answer is recognised.

Recognising reads those fields alone and skips the rest, so that a chunk of a thousand members costs the reader next to
nothing. The members themselves are decoded once, by whoever looks first: the caller of the request or the consumer of
the shard, who receives the same dispatch.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import attrs
import msgspec

from gatewright.transport.dispatch import Dispatch

# Any: the documentation promises no schema for what is inside.
Fields: TypeAlias = dict[str, Any]
"""One object of the gateway, decoded: a member, a sound, a channel. Snowflakes are strings (P79)."""


WHOLE_LIST_WINDOW: Final = 30.0
"""Seconds in which the whole list of one guild's members is sent once (P63)."""

MAX_RETRY_AFTER: Final = 86_400.0


# -- members -----------------------------------------------------------------------------------------------------------


class MembersChunk:
    """One GUILD_MEMBERS_CHUNK: up to 1000 members of a guild.

    Attributes:
        guild_id: the guild.
        index: its place among the chunks of one answer, from 0. They may come in any order (P65).
        count: how many chunks the answer has.
        dispatch: the dispatch that carried it, the very one that the consumer of the shard receives too; its bytes are
            at ``dispatch.raw``.
        size: bytes of its data.
    """

    __slots__ = ("count", "dispatch", "guild_id", "index", "size")

    def __init__(self, dispatch: Dispatch, *, guild_id: str, index: int, count: int) -> None:
        self.dispatch = dispatch
        self.guild_id = guild_id
        self.index = index
        self.count = count
        self.size = dispatch.view.nbytes

    @property
    def members(self) -> tuple[Fields, ...]:
        """Its members, decoded on first use.

        Raises:
            UndecodableData: if the data is not usable JSON.
        """
        return _objects(self.dispatch.data, "members")

    @property
    def presences(self) -> tuple[Fields, ...]:
        """The presences of its members; empty unless they were asked for."""
        return _objects(self.dispatch.data, "presences")

    @property
    def not_found(self) -> tuple[str, ...]:
        """The ids that name no member, as text; the server echoes some of them as numbers (P66)."""
        found: object = self.dispatch.data.get("not_found")
        return tuple(str(id_) for id_ in found if isinstance(id_, str | int)) if isinstance(found, list) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # JSON

    def __repr__(self) -> str:
        return f"<MembersChunk {self.index + 1} of {self.count} of guild {self.guild_id}>"


def _counted(objects: tuple[Fields, ...]) -> str:
    return f"<{len(objects)} of them>"


@attrs.frozen(kw_only=True)
class GuildMembers:
    """The whole answer to a request for members.

    Attributes:
        guild_id: the guild.
        members: in the order of the chunks.
        presences: empty unless they were asked for.
        not_found: the ids that name no member, as text.
    """

    guild_id: str
    members: tuple[Fields, ...] = attrs.field(repr=_counted)
    presences: tuple[Fields, ...] = attrs.field(default=(), repr=_counted)
    not_found: tuple[str, ...] = ()


# -- voice -------------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class VoiceState:
    """Where the bot is in a guild's voice channels; `channel_id` is ``None`` when it left.

    `session_id` is the voice session, which a voice connection identifies with.
    """

    guild_id: str
    channel_id: str | None
    user_id: str
    session_id: str


@attrs.frozen(kw_only=True)
class VoiceServer:
    """All that a voice connection needs. Use it at once and never again: the next join has other values (P70).

    `endpoint` is a host and perhaps a port, without a scheme. When a later VOICE_SERVER_UPDATE of the guild comes, with
    an endpoint or ``null``, the voice connection has to be made anew with what that says (P71).
    """

    state: VoiceState
    endpoint: str
    token: str = attrs.field(repr=False)


# -- the other answers -------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ChannelInfo:
    """The fields of a guild's voice channels that no channel object holds, as they are at this moment (P69).

    Each of `channels` has ``id`` and what was asked for of ``status`` and ``voice_start_time`` (Unix time in seconds).
    """

    guild_id: str
    channels: tuple[Fields, ...]


class PresenceOutcome(enum.StrEnum):
    """What became of a presence that was asked for."""

    SENT = "sent"
    """It was written to the socket."""
    CARRIED = "carried"
    """It went with the IDENTIFY of a new session."""
    SUPERSEDED = "superseded"
    """A newer one took its place before it was sent (P59)."""


# -- recognising -------------------------------------------------------------------------------------------------------


class ChunkHead(msgspec.Struct, gc=False):
    """What tells which request a GUILD_MEMBERS_CHUNK answers, and which part of the answer it is."""

    guild_id: str
    chunk_index: Annotated[int, msgspec.Meta(ge=0)]
    chunk_count: Annotated[int, msgspec.Meta(ge=1)]
    nonce: str | None = None


class GuildHead(msgspec.Struct, gc=False):
    """The guild that a dispatch is about."""

    guild_id: str


class RateLimitedMeta(msgspec.Struct, gc=False):
    """Which request was too much; only that of opcode 8 is documented."""

    guild_id: str | None = None
    nonce: str | None = None


class RateLimitedHead(msgspec.Struct, gc=False):
    """RATE_LIMITED."""

    opcode: int
    retry_after: object = None
    meta: RateLimitedMeta | None = None

    @property
    def seconds(self) -> float:
        """How long to wait; the documented window when it does not say so in a number that can be waited for."""
        told = self.retry_after
        if isinstance(told, int | float) and not isinstance(told, bool) and 0 <= told <= MAX_RETRY_AFTER:
            return float(told)
        return WHOLE_LIST_WINDOW


class VoiceStateHead(msgspec.Struct, gc=False):
    """VOICE_STATE_UPDATE, as far as it concerns a join."""

    user_id: str
    session_id: str
    guild_id: str | None = None
    channel_id: str | None = None


class VoiceServerHead(msgspec.Struct, gc=False):
    """VOICE_SERVER_UPDATE."""

    guild_id: str
    token: str
    endpoint: str | None = None


HeadT = TypeVar("HeadT", bound=msgspec.Struct)

_DECODERS: Final[dict[type[msgspec.Struct], msgspec.json.Decoder[Any]]] = {
    shape: msgspec.json.Decoder(shape)
    for shape in (ChunkHead, GuildHead, RateLimitedHead, VoiceStateHead, VoiceServerHead)
}


def head(shape: type[HeadT], dispatch: Dispatch) -> HeadT | None:
    """The fields of `shape` in a dispatch's data; ``None`` when they are not there, or not of their types."""
    try:
        found: HeadT = _DECODERS[shape].decode(dispatch.view)
    except (ValueError, RecursionError):
        return None
    return found


def channel_info(dispatch: Dispatch, guild_id: str) -> ChannelInfo:
    """The answer that a CHANNEL_INFO holds."""
    return ChannelInfo(guild_id=guild_id, channels=_objects(dispatch.data, "channels"))


def sounds(dispatch: Dispatch) -> tuple[Fields, ...]:
    """The sounds that a SOUNDBOARD_SOUNDS holds."""
    return _objects(dispatch.data, "soundboard_sounds")


def _objects(data: Fields, key: str) -> tuple[Fields, ...]:
    found: object = data.get(key)
    return tuple(item for item in found if isinstance(item, dict)) if isinstance(found, list) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # JSON
