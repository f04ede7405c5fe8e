"""What all connections of a fake gateway share: rules, sessions, the identify desk, the token and the log."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import trio

from gatewright.harness.fake.commands import CommandDesk
from gatewright.harness.fake.identify import IdentifyDesk
from gatewright.harness.fake.log import Log, Received, Record, Sent, without_token
from gatewright.harness.fake.population import Guild
from gatewright.harness.fake.rules import Rules
from gatewright.harness.fake.script import Close, Connection, MetadataAction, Playlist
from gatewright.harness.fake.sessions import Session, Sessions
from gatewright.spec.protocol import CloseCode

if TYPE_CHECKING:
    from gatewright.harness.fake.conversation import Conversation


@attrs.define(eq=False, kw_only=True)
class World:
    """The gateway behind the sockets."""

    token: str = attrs.field(repr=False)
    guilds: Sequence[Guild]
    heartbeat_interval: float
    rules: Rules
    random_source: random.Random = attrs.field(repr=False)
    url: str
    resume_url: str
    script: Playlist[Connection] = attrs.field(factory=lambda: Playlist[Connection](()))
    metadata_script: Playlist[tuple[MetadataAction, ...]] = attrs.field(
        factory=lambda: Playlist[tuple[MetadataAction, ...]](())
    )
    log: Log = attrs.field(factory=Log)
    conversations: dict[int, Conversation] = attrs.field(factory=dict[int, "Conversation"], repr=False)
    sessions: Sessions = attrs.field(init=False)
    desk: IdentifyDesk = attrs.field(init=False)
    commands: CommandDesk = attrs.field(init=False)
    _voided: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.sessions = Sessions(rules=self.rules, random_source=self.random_source)
        self.desk = IdentifyDesk(rules=self.rules)
        self.commands = CommandDesk(rules=self.rules, guilds=self.guilds, random_source=self.random_source)

    def matches(self, token: str) -> bool:
        """Whether `token` is the right one; ``Bot `` before it is forgiven (P33)."""
        return not self._voided and token.removeprefix("Bot ") == self.token

    def void_token(self) -> None:
        """The day's identify budget was overrun: no session survives, and the token opens nothing any more (P29)."""
        self._voided = True
        for session in self.sessions:
            self.sessions.end(session)
        for conversation in tuple(self.conversations.values()):
            conversation.perform(Close(CloseCode.AUTHENTICATION_FAILED, "Authentication failed."))

    def chosen(self, number: int | None) -> list[Conversation]:
        """The open connection with this number, or all of them.

        Raises:
            LookupError: if none with this number is open.
        """
        if number is None:
            return list(self.conversations.values())
        if number not in self.conversations:
            raise LookupError(f"connection {number} is not open; open now: {sorted(self.conversations) or 'none'}")
        return [self.conversations[number]]

    def guilds_of(self, session: Session) -> list[Guild]:
        """The guilds whose events come through `session`."""
        return [guild for guild in self.guilds if session.carries(guild.id)]

    def dispatch(self, session: Session, event: str, data: object) -> None:
        """Give `session` a dispatch: kept for replay, and sent if a connection carries it and has caught up."""
        dispatched = session.keep(event, data, limit=self.rules.replay_limit)
        if session.connection is not None and (conversation := self.conversations.get(session.connection)):
            conversation.deliver(session, dispatched)

    def note(self, record: Record) -> None:
        """Log `record` as of now, and without the token."""
        now = trio.current_time()
        if isinstance(record, (Received, Sent)):
            record = attrs.evolve(record, time=now, data=without_token(record.data, self.token))
        else:
            record = attrs.evolve(record, time=now)
        self.log.add(record)
