"""What a program may ask of the gateway on a live session, as values that were checked before anything is sent.

A malformed command closes the connection with 4001 or 4002, or even ends the session, so each is refused here first, by
name (P61). Snowflakes may be given as ``int`` or ``str`` and are sent as strings (P79). Every constructor raises
:class:`~gatewright.spec.errors.ConfigurationError` for a value that cannot work.
"""

from __future__ import annotations

import abc
import enum
import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import Opcode
from gatewright.transport.codec import encode_payload

Snowflake: TypeAlias = int | str
"""An id of Discord: 64 bits, given as a number or as its decimal text."""

MAX_NONCE_BYTES: Final = 32
"""A longer nonce is dropped by the server without a word, and the chunks come back without one (P64)."""

MAX_MEMBERS: Final = 100
"""Members that one request by id or by prefix returns at most (P62)."""

GUILDS_PER_SOUNDBOARD_REQUEST: Final = 176
"""Guild ids of the longest kind, 20 digits, that fit in one payload; the documentation sets no other bound (P68)."""

STATUSES: Final = ("online", "dnd", "idle", "invisible", "offline")
"""The statuses of a presence. ``offline`` has no effect when a client sends it; ``invisible`` is sent instead (A26)."""

CHANNEL_INFO_FIELDS: Final = ("status", "voice_start_time")
"""What :class:`RequestChannelInfo` can ask for (P69)."""


class UserCommand(abc.ABC):
    """Base of all commands. `op` is the opcode it is sent with, which also tells the limits that it falls under."""

    __slots__ = ()
    op: ClassVar[Opcode]

    @abc.abstractmethod
    def payload(self) -> dict[str, object]:
        """The ``d`` of the message, ready for JSON."""


def encode_command(command: UserCommand) -> bytes:
    """One command as the message to send.

    Raises:
        PayloadTooLarge: if it has more than 4096 bytes (P54).
        ConfigurationError: if it is no command, or holds text that is not Unicode.
    """
    if not isinstance(command, UserCommand):  # pyright: ignore[reportUnnecessaryIsInstance] # not all use a type checker
        raise ConfigurationError(
            f"what is sent must be a command such as gatewright.UpdatePresence, not {type(command).__name__}"
        )
    return encode_payload(command.op, command.payload())


# -- checks ------------------------------------------------------------------------------------------------------------


def _snowflake(value: Snowflake) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return str(value)
    # 20 digits hold 64 bits; longer text must not reach int(), whose time grows with its square.
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit() and int(value) < 2**64:
        return str(int(value))
    raise ConfigurationError(f"{value!r:.60} is not a Discord id; give 64 bits as a number or as its decimal text")


def _snowflake_or_none(value: Snowflake | None) -> str | None:
    return None if value is None else _snowflake(value)


def _snowflakes(values: Iterable[Snowflake]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ConfigurationError(f"expected a list of Discord ids, not the one text {values!r:.60}")
    try:
        found = tuple(values)
    except TypeError:
        raise ConfigurationError(
            f"expected a list of Discord ids, not {type(values).__name__}; put one id into a list"
        ) from None
    return tuple(map(_snowflake, found))


def _snowflakes_or_none(values: Iterable[Snowflake] | None) -> tuple[str, ...] | None:
    return None if values is None else _snowflakes(values)


_Check: TypeAlias = Callable[[object, "attrs.Attribute[Any]", object], None]


def _must_be(kind: type, words: str, *, or_none: bool = False) -> _Check:
    def check(owner: object, attribute: attrs.Attribute[Any], value: object) -> None:
        # bool is an int, and True is no number that anybody meant.
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not fits and not (or_none and value is None):
            where = f"{type(owner).__name__}.{attribute.name}"
            raise ConfigurationError(f"{where} must be {words}, not {type(value).__name__}")

    return check


_TEXT: Final = _must_be(str, "text")
_TEXT_OR_NONE: Final = _must_be(str, "text or None", or_none=True)
_FLAG: Final = _must_be(bool, "True or False")
_NUMBER: Final = _must_be(int, "a whole number")


# -- presence ----------------------------------------------------------------------------------------------------------


class ActivityType(enum.IntEnum):
    """What an activity says that the bot does. Source: GE › Activity Types."""

    PLAYING = 0
    STREAMING = 1
    LISTENING = 2
    WATCHING = 3
    CUSTOM = 4
    COMPETING = 5


def _activity_type(value: int) -> ActivityType:
    try:
        return ActivityType(value)
    except ValueError:
        raise ConfigurationError(f"an activity's type is a number from 0 to 5, not {value!r:.60}") from None


@attrs.frozen
class Activity:
    """One activity of a presence; its fields are all that a bot may set (P58).

    `state` is the second line, and the whole text of a ``CUSTOM`` activity. `url` is the stream of a ``STREAMING`` one;
    Discord shows Twitch and YouTube.
    """

    name: str = attrs.field(validator=_TEXT)
    type: ActivityType = attrs.field(default=ActivityType.PLAYING, kw_only=True, converter=_activity_type)
    state: str | None = attrs.field(default=None, kw_only=True, validator=_TEXT_OR_NONE)
    url: str | None = attrs.field(default=None, kw_only=True, validator=_TEXT_OR_NONE)

    def payload(self) -> dict[str, object]:
        """The activity object, ready for JSON."""
        data: dict[str, object] = {"name": self.name, "type": int(self.type)}
        if self.state is not None:
            data["state"] = self.state
        if self.url is not None:
            data["url"] = self.url
        return data


def _status(value: str) -> str:
    if value not in STATUSES:
        raise ConfigurationError(f"a status is one of {', '.join(STATUSES)}, not {value!r:.60}")
    return "invisible" if value == "offline" else value


def _activities(values: Iterable[Activity]) -> tuple[Activity, ...]:
    try:
        activities = tuple(values)
    except TypeError:
        raise ConfigurationError(
            f"activities must be a list of Activity values, not {type(values).__name__}; put one into a list"
        ) from None
    if not all(isinstance(activity, Activity) for activity in activities):
        raise ConfigurationError("activities must be Activity values")
    return activities


def _since(value: float | None) -> float | None:
    if value is None:
        return None
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)  # pyright: ignore[reportUnnecessaryIsInstance] # not all use a type checker
    if fits and math.isfinite(value) and 0 <= value < 2**43:
        return value
    raise ConfigurationError(f"since is Unix time in seconds or None, not {value!r}")


@attrs.frozen(kw_only=True)
class UpdatePresence(UserCommand):
    """Change the bot's presence (opcode 3), at most 5 times in 20 s. Also what it appears with, in IDENTIFY.

    `status` is one of :data:`STATUSES`. `since` is the Unix time in seconds at which the bot went idle, or ``None``; it
    is sent in milliseconds.

    Source: P58, P59, A26, A27.
    """

    op = Opcode.PRESENCE_UPDATE
    status: str = attrs.field(default="online", converter=_status)
    activities: tuple[Activity, ...] = attrs.field(default=(), converter=_activities)
    since: float | None = attrs.field(default=None, converter=_since)
    afk: bool = attrs.field(default=False, validator=_FLAG)

    def payload(self) -> dict[str, object]:
        """The ``d`` of PRESENCE_UPDATE."""
        return {
            "since": None if self.since is None else int(self.since * 1000),
            "activities": [activity.payload() for activity in self.activities],
            "status": self.status,
            "afk": self.afk,
        }


# -- voice -------------------------------------------------------------------------------------------------------------


@attrs.frozen
class UpdateVoiceState(UserCommand):
    """Join, move between or leave voice channels (opcode 4); `channel_id` ``None`` leaves.

    The answer is two dispatches, VOICE_STATE_UPDATE and VOICE_SERVER_UPDATE, in either order; for a full channel there
    is none (P70).
    """

    op = Opcode.VOICE_STATE_UPDATE
    guild_id: str = attrs.field(converter=_snowflake)
    channel_id: str | None = attrs.field(converter=_snowflake_or_none)
    self_mute: bool = attrs.field(default=False, kw_only=True, validator=_FLAG)
    self_deaf: bool = attrs.field(default=False, kw_only=True, validator=_FLAG)

    def payload(self) -> dict[str, object]:
        """The ``d`` of VOICE_STATE_UPDATE."""
        return {
            "guild_id": self.guild_id,
            "channel_id": self.channel_id,
            "self_mute": self.self_mute,
            "self_deaf": self.self_deaf,
        }


# -- requests ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class RequestGuildMembers(UserCommand):
    """Ask for members of one guild (opcode 8); they arrive as GUILD_MEMBERS_CHUNK dispatches that carry `nonce`.

    Exactly one of `query` and `user_ids` is given. `query` is a prefix of names; the empty one with `limit` 0 asks for
    the whole list, which needs the GUILD_MEMBERS intent and is answered once per guild in 30 s. `limit` is 0 to 100.
    `presences` needs the GUILD_PRESENCES intent. `nonce` has at most 32 bytes; set it, or the chunks of two requests
    cannot be told apart.

    Source: P61-P65, A24.
    """

    op = Opcode.REQUEST_GUILD_MEMBERS
    guild_id: str = attrs.field(converter=_snowflake)
    query: str | None = attrs.field(default=None, kw_only=True, validator=_TEXT_OR_NONE)
    limit: int = attrs.field(default=0, kw_only=True, validator=_NUMBER)
    user_ids: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=_snowflakes_or_none)
    presences: bool = attrs.field(default=False, kw_only=True, validator=_FLAG)
    nonce: str | None = attrs.field(default=None, kw_only=True, validator=_TEXT_OR_NONE)

    def __attrs_post_init__(self) -> None:
        if (self.query is None) == (self.user_ids is None):
            raise ConfigurationError("members are asked for either by query or by user_ids; give exactly one of them")
        if not 0 <= self.limit <= MAX_MEMBERS:
            raise ConfigurationError(f"limit must be between 0 and {MAX_MEMBERS}, not {self.limit}")
        if self.user_ids is not None and not (1 <= len(self.user_ids) <= MAX_MEMBERS and self.limit == 0):
            raise ConfigurationError(
                f"user_ids takes 1 to {MAX_MEMBERS} ids, not {len(self.user_ids)}, and no limit beside them"
            )
        if self.nonce is not None and len(self.nonce.encode("utf-8", "replace")) > MAX_NONCE_BYTES:
            raise ConfigurationError(f"a nonce has at most {MAX_NONCE_BYTES} bytes; the server drops a longer one")

    @property
    def whole_list(self) -> bool:
        """Whether this asks for every member, which the server answers once per guild in 30 s (P63)."""
        return self.query == "" and self.limit == 0

    def payload(self) -> dict[str, object]:
        """The ``d`` of REQUEST_GUILD_MEMBERS."""
        data: dict[str, object] = {"guild_id": self.guild_id, "presences": self.presences}
        if self.user_ids is not None:
            data["user_ids"] = list(self.user_ids)
        else:
            data |= {"query": self.query, "limit": self.limit}
        if self.nonce is not None:
            data["nonce"] = self.nonce
        return data


@attrs.frozen
class RequestSoundboardSounds(UserCommand):
    """Ask for the soundboards of some guilds (opcode 31): one SOUNDBOARD_SOUNDS dispatch for each.

    Source: P68.
    """

    op = Opcode.REQUEST_SOUNDBOARD_SOUNDS
    guild_ids: tuple[str, ...] = attrs.field(converter=_snowflakes)

    def __attrs_post_init__(self) -> None:
        if not self.guild_ids:
            raise ConfigurationError("guild_ids is empty; name at least one guild")

    def split(self) -> tuple[RequestSoundboardSounds, ...]:
        """The same request in as many parts as it takes for each to fit in a payload."""
        ids, size = self.guild_ids, GUILDS_PER_SOUNDBOARD_REQUEST
        return tuple(RequestSoundboardSounds(ids[start : start + size]) for start in range(0, len(ids), size))

    def payload(self) -> dict[str, object]:
        """The ``d`` of REQUEST_SOUNDBOARD_SOUNDS."""
        return {"guild_ids": list(self.guild_ids)}


def _channel_info_fields(values: Iterable[str]) -> tuple[str, ...]:
    try:
        fields = (values,) if isinstance(values, str) else tuple(values)
    except TypeError:
        fields = ()
    if not fields or not all(field in CHANNEL_INFO_FIELDS for field in fields):
        raise ConfigurationError(f"fields takes one or more of {', '.join(CHANNEL_INFO_FIELDS)}")
    return fields


@attrs.frozen
class RequestChannelInfo(UserCommand):
    """Ask for fields of a guild's voice channels that no channel object holds (opcode 43): one CHANNEL_INFO dispatch.

    Source: P69.
    """

    op = Opcode.REQUEST_CHANNEL_INFO
    guild_id: str = attrs.field(converter=_snowflake)
    fields: tuple[str, ...] = attrs.field(default=CHANNEL_INFO_FIELDS, converter=_channel_info_fields)

    def payload(self) -> dict[str, object]:
        """The ``d`` of REQUEST_CHANNEL_INFO."""
        return {"guild_id": self.guild_id, "fields": list(self.fields)}
