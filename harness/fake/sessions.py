"""Sessions of the fake gateway: what survives a socket, and how a RESUME finds it again."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping
from typing import cast

import attrs
import trio

from gatewright.harness.fake.rules import Rules
from gatewright.harness.fake.script import Close, Invalidate
from gatewright.spec.protocol import CloseCode
from gatewright.spec.sharding import shard_of

_ABOUT_GUILDS = frozenset({"GUILD_CREATE", "GUILD_UPDATE", "GUILD_DELETE"})
"""Dispatches whose own ``id`` is the guild's."""


@attrs.frozen
class Dispatched:
    """A dispatch as it is kept for replay."""

    seq: int
    event: str
    data: object


@attrs.define(eq=False)
class Session:
    """One session. `connection` is the number of the websocket connection that carries it now, if any."""

    id: str
    shard: tuple[int, int]
    intents: int
    connection: int | None
    seq: int = 0
    kept: deque[Dispatched] = attrs.field(factory=deque[Dispatched], repr=False)
    forgotten: int = 0
    """The highest sequence that is no longer kept."""
    lapses_at: float | None = None
    voice: dict[str, tuple[str, str]] = attrs.field(factory=dict[str, tuple[str, str]], repr=False)
    """The bot's voice channel and voice session in each guild; they end with the session (P72)."""
    compress: bool = False
    """Whether its IDENTIFY asked for payload compression. That a RESUME keeps it is our guess (A19)."""

    def carries(self, guild_id: str) -> bool:
        """Whether the events of this guild come through this session's shard (P88)."""
        return shard_of(guild_id, self.shard[1]) == self.shard[0]

    def concerns(self, event: str, data: object) -> bool:
        """Whether a dispatch goes to this session's shard: its guild's, or shard 0 if it has none (P88, P89)."""
        fields: Mapping[str, object] = cast("Mapping[str, object]", data) if isinstance(data, Mapping) else {}
        guild_id = fields.get("guild_id", fields.get("id") if event in _ABOUT_GUILDS else None)
        if isinstance(guild_id, str) and guild_id.isdecimal():
            return self.carries(guild_id)
        return self.shard[0] == 0

    def next_seq(self) -> int:
        """The sequence of the next dispatch, taken."""
        self.seq += 1
        return self.seq

    def keep(self, event: str, data: object, *, limit: int) -> Dispatched:
        """Give a dispatch its sequence and keep it for replay, with the newest `limit` of them."""
        dispatched = Dispatched(self.next_seq(), event, data)
        self.kept.append(dispatched)
        while len(self.kept) > limit:
            self.forgotten = self.kept.popleft().seq
        return dispatched

    def after(self, seq: int) -> Dispatched | None:
        """The first kept dispatch with a sequence above `seq`."""
        return next((dispatched for dispatched in self.kept if dispatched.seq > seq), None)


class Sessions:
    """The sessions that can still be used, by id. One that was ended is forgotten, and so its RESUME gets op 9."""

    def __init__(self, *, rules: Rules, random_source: random.Random) -> None:
        self._rules = rules
        self._random = random_source
        self._live: dict[str, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._live.values()))

    def __len__(self) -> int:
        return len(self._live)

    def create(self, *, shard: tuple[int, int], intents: int, connection: int) -> Session:
        """A new session, carried by `connection`."""
        session = Session(f"{self._random.getrandbits(128):032x}", shard, intents, connection)
        self._live[session.id] = session
        return session

    def judge_resume(self, session_id: str, seq: int) -> Session | Close | Invalidate:
        """The session that a RESUME asks for, or how it is refused: op 9 if unknown, 4009 if lapsed, 4007 if ahead."""
        session = self._live.get(session_id)
        if session is None:
            return Invalidate(resumable=False)
        if session.lapses_at is not None and session.lapses_at <= trio.current_time():
            self.end(session)
            return Close(CloseCode.SESSION_TIMED_OUT, "Session timed out")
        if not 0 <= seq <= session.seq:
            self.end(session)
            return Close(CloseCode.INVALID_SEQ, "Invalid seq")
        if seq < session.forgotten:
            self.end(session)
            return Invalidate(resumable=False)
        return session

    def claim(self, session: Session, connection: int) -> None:
        """A RESUME was accepted: `connection` carries the session from now on, whoever did before."""
        session.connection = connection
        session.lapses_at = None

    def release(self, session: Session) -> None:
        """No connection carries it any more: it waits for a RESUME until it lapses."""
        session.connection = None
        session.lapses_at = trio.current_time() + self._rules.session_lifetime

    def end(self, session: Session) -> None:
        """The session is over: nothing can resume it."""
        self._live.pop(session.id, None)
        session.connection = None
