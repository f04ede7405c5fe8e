"""What a client may ask in a session, and what it is told: members, voice, sounds, channel info and presence.

A command whose payload is not what the documentation says is refused as :attr:`Rules.malformed_command` says. One that
asks for what the bot cannot see gets no answer at all, as with Discord: a client needs a limit of its own (A23).
"""

from __future__ import annotations

import enum
import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import attrs
import msgspec
import trio
from msgspec import Meta

from gatewright.harness.fake.payloads import BOT_ID
from gatewright.harness.fake.population import Guild, Member
from gatewright.harness.fake.rules import Rules
from gatewright.harness.fake.script import Close, Invalidate
from gatewright.harness.fake.sessions import Session
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import CloseCode, Opcode

MAX_CHUNK: Final = 1000
"""Members in one GUILD_MEMBERS_CHUNK (P65)."""

MAX_MATCHES: Final = 100
"""Members that a prefix or a list of ids can find (P62)."""

MAX_NONCE_BYTES: Final = 32

Dispatches: TypeAlias = Sequence[tuple[str, dict[str, object]]]
"""The answer to a command: event names and their data, in order."""

_Id: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9]{1,20}\Z")] | Annotated[int, Meta(ge=0)]


class _Status(enum.StrEnum):
    ONLINE = "online"
    DND = "dnd"
    IDLE = "idle"
    INVISIBLE = "invisible"
    OFFLINE = "offline"


class _Activity(msgspec.Struct, frozen=True):
    name: str
    type: Annotated[int, Meta(ge=0, le=5)]
    url: str | None = None
    state: str | None = None


class _Presence(msgspec.Struct, frozen=True):
    status: _Status
    since: float | None = None
    # Clients in use leave it out, and send the old key `game` (A27).
    activities: Sequence[_Activity] = ()
    afk: bool = False


class _VoiceState(msgspec.Struct, frozen=True):
    guild_id: _Id
    channel_id: _Id | None
    self_mute: bool = False
    self_deaf: bool = False


class _Members(msgspec.Struct, frozen=True):
    guild_id: _Id
    query: str | msgspec.UnsetType = msgspec.UNSET
    limit: Annotated[int, Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET
    presences: bool = False
    user_ids: str | int | Sequence[str | int] | msgspec.UnsetType = msgspec.UNSET
    nonce: object = None

    @property
    def whole_list(self) -> bool:
        return self.user_ids is msgspec.UNSET and self.query == "" and self.limit == 0

    @property
    def well_formed(self) -> bool:
        if self.user_ids is msgspec.UNSET:
            return self.query is not msgspec.UNSET and self.limit is not msgspec.UNSET
        return self.query in {"", msgspec.UNSET}  # an empty one beside ids is what some clients send


class _Sounds(msgspec.Struct, frozen=True):
    guild_ids: Sequence[_Id]


class _ChannelInfo(msgspec.Struct, frozen=True):
    guild_id: _Id
    fields: Annotated[Sequence[Literal["status", "voice_start_time"]], Meta(min_length=1)]


_SHAPES: Final[Mapping[int, Any]] = {
    Opcode.PRESENCE_UPDATE: _Presence,
    Opcode.VOICE_STATE_UPDATE: _VoiceState,
    Opcode.REQUEST_GUILD_MEMBERS: _Members,
    Opcode.REQUEST_SOUNDBOARD_SOUNDS: _Sounds,
    Opcode.REQUEST_CHANNEL_INFO: _ChannelInfo,
}


class CommandDesk:
    """Answers commands and keeps the counts that they share: whole member lists a guild, and presences a session."""

    def __init__(self, *, rules: Rules, guilds: Iterable[Guild], random_source: random.Random) -> None:
        self._rules = rules
        self._guilds = {guild.id: guild for guild in guilds}
        self._random = random_source
        self._whole_lists: dict[str, float] = {}
        self._presences: dict[str, deque[float]] = {}

    def judge(self, op: int, data: object, session: Session) -> Dispatches | Close | Invalidate:
        """The answer to one command of `session`, or how it is refused. No dispatch at all is an answer as well."""
        try:
            command: object = msgspec.convert(data, _SHAPES[op])
        except msgspec.ValidationError:
            return self._rules.malformed_command
        match command:
            case _Members() if not command.well_formed:
                return self._rules.malformed_command
            case _Members():
                guild = self._visible(command.guild_id, session)
                return [] if guild is None else self._members(command, guild, session)
            case _VoiceState():
                guild = self._visible(command.guild_id, session)
                return [] if guild is None else self._voice(command, guild, session)
            case _Sounds():
                asked = [self._visible(guild_id, session) for guild_id in command.guild_ids]
                return [("SOUNDBOARD_SOUNDS", _sounds(guild)) for guild in asked if guild is not None]
            case _ChannelInfo():
                guild = self._visible(command.guild_id, session)
                return [] if guild is None else [("CHANNEL_INFO", _channel_info(command, guild))]
            case _:
                return self._presence(session)

    def _visible(self, guild_id: str | int, session: Session) -> Guild | None:
        guild = self._guilds.get(str(guild_id))
        return guild if guild is not None and session.carries(guild.id) else None

    def _presence(self, session: Session) -> Dispatches | Close:
        if self._rules.presence_limit is None:
            return []
        now, sent = trio.current_time(), self._presences.setdefault(session.id, deque())
        while sent and sent[0] <= now - self._rules.presence_window:
            sent.popleft()
        sent.append(now)
        return [] if len(sent) <= self._rules.presence_limit else Close(CloseCode.RATE_LIMITED, "Rate limited.")

    def _members(self, command: _Members, guild: Guild, session: Session) -> Dispatches:
        nonce = command.nonce if isinstance(command.nonce, str) else None
        if nonce is not None and len(nonce.encode()) > MAX_NONCE_BYTES:
            nonce = None  # dropped without a word (P64)
        echo: dict[str, object] = {} if nonce is None else {"nonce": nonce}
        if command.whole_list:
            if not session.intents & Intents.GUILD_MEMBERS:
                return []  # unanswered, not refused (P62)
            if (wait := self._whole_list_wait(guild.id)) > 0:
                meta = {"guild_id": guild.id, **echo}
                op = int(Opcode.REQUEST_GUILD_MEMBERS)
                return [("RATE_LIMITED", {"opcode": op, "retry_after": wait, "meta": meta})]
        found, missing = _select(command, guild)
        presences = command.presences and bool(session.intents & Intents.GUILD_PRESENCES)
        count = max(1, -(-len(found) // MAX_CHUNK))
        answer: list[tuple[str, dict[str, object]]] = []
        for index in range(count):
            part = found[index * MAX_CHUNK : (index + 1) * MAX_CHUNK]
            content: dict[str, object] = {
                "guild_id": guild.id,
                "members": [member.payload() for member in part],
                "chunk_index": index,
                "chunk_count": count,
            }
            if missing:
                content["not_found"] = missing
            if presences:
                content["presences"] = [member.presence(guild.id) for member in part if member.online]
            answer.append(("GUILD_MEMBERS_CHUNK", {**content, **echo}))
        return answer

    def _whole_list_wait(self, guild_id: str) -> float:
        """Seconds until this guild's whole list can be asked for again; 0 takes the turn (P63)."""
        now = trio.current_time()
        wait = self._whole_lists.get(guild_id, now) - now
        if wait <= 0:
            self._whole_lists[guild_id] = now + self._rules.whole_list_spacing
        return max(wait, 0.0)

    def _voice(self, command: _VoiceState, guild: Guild, session: Session) -> Dispatches:
        before = session.voice.get(guild.id)
        if command.channel_id is None:
            session.voice.pop(guild.id, None)
            if before is None:
                return []
            return self._voice_state(command, guild, session, channel=None, voice_session=before[1])
        channel = guild.channel(str(command.channel_id))
        stays = channel is not None and before is not None and before[0] == channel.id
        if channel is None or (channel.full and not stays):
            return []  # neither of the two answers (P70)
        voice_session = before[1] if before is not None else f"{self._random.getrandbits(128):032x}"
        session.voice[guild.id] = channel.id, voice_session
        answer = [*self._voice_state(command, guild, session, channel=channel.id, voice_session=voice_session)]
        if not stays:
            server: dict[str, object] = {
                "token": f"{self._random.getrandbits(64):016x}",
                "guild_id": guild.id,
                "endpoint": "voice.gateway.invalid:443",
            }
            answer.append(("VOICE_SERVER_UPDATE", server))
        return answer

    def _voice_state(
        self, command: _VoiceState, guild: Guild, session: Session, *, channel: str | None, voice_session: str
    ) -> Dispatches:
        if not session.intents & Intents.GUILD_VOICE_STATES:
            return []  # VOICE_SERVER_UPDATE is tied to no intent, this one is
        state: dict[str, object] = {
            "guild_id": guild.id,
            "channel_id": channel,
            "user_id": BOT_ID,
            "session_id": voice_session,
            "deaf": False,
            "mute": False,
            "self_deaf": command.self_deaf,
            "self_mute": command.self_mute,
            "self_video": False,
            "suppress": False,
            "request_to_speak_timestamp": None,
        }
        return [("VOICE_STATE_UPDATE", state)]


def _select(command: _Members, guild: Guild) -> tuple[list[Member], list[object]]:
    """Who was asked for, and the ids that name nobody: as text if they are ids, else as they came (P66)."""
    if not isinstance(command.user_ids, msgspec.UnsetType):
        asked = [command.user_ids] if isinstance(command.user_ids, (str, int)) else list(command.user_ids)
        by_id = {member.id: member for member in guild.members}
        asked = asked[:MAX_MATCHES]
        found = {by_id[key].id: by_id[key] for key in map(str, asked) if key in by_id}
        return list(found.values()), [user_id for user_id in asked if str(user_id) not in by_id]
    if command.whole_list:
        return list(guild.members), []
    query = command.query if isinstance(command.query, str) else ""
    limit = command.limit if isinstance(command.limit, int) and command.limit else MAX_MATCHES
    return list(_first(_matching(guild.members, query.casefold()), min(limit, MAX_MATCHES))), []


def _matching(members: Iterable[Member], prefix: str) -> Iterator[Member]:
    for member in members:
        if any(name.casefold().startswith(prefix) for name in (member.name, member.nick or member.name)):
            yield member


def _first(members: Iterator[Member], count: int) -> Iterator[Member]:
    return (member for member, _ in zip(members, range(count), strict=False))


def _sounds(guild: Guild) -> dict[str, object]:
    return {"guild_id": guild.id, "soundboard_sounds": [sound.payload(guild.id) for sound in guild.sounds]}


def _channel_info(command: _ChannelInfo, guild: Guild) -> dict[str, object]:
    channels = [
        {"id": channel.id, **{field: attrs.asdict(channel)[field] for field in command.fields}}
        for channel in guild.channels
    ]
    return {"guild_id": guild.id, "channels": channels}
