"""What a program can ask of Discord through a shard, each with a known end.

Every call ends in its result, in a typed error, or in its caller's own cancellation (I16). The dispatches that answer a
request come out of the shard as well, like all others: whoever keeps a cache sees them there.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Final, Self

import trio

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.intents import Intents
from gatewright.transport import answers
from gatewright.transport.answers import (
    ChannelInfo,
    Fields,
    GuildMembers,
    MembersChunk,
    PresenceOutcome,
    VoiceServer,
    VoiceState,
)
from gatewright.transport.commands import (
    CHANNEL_INFO_FIELDS,
    RequestChannelInfo,
    RequestGuildMembers,
    RequestSoundboardSounds,
    Snowflake,
    UpdatePresence,
    UpdateVoiceState,
    UserCommand,
)
from gatewright.transport.errors import AnswerTooLarge, RequestLost, RequestRateLimited, RequestTimedOut
from gatewright.transport.exchange import Exchange
from gatewright.transport.requests import PendingChannelInfo, PendingMembers, PendingSounds, PendingVoice

DEFAULT_TIMEOUT: Final = 60.0
"""Seconds that a request may take in all, from the call to its result."""

DEFAULT_PATIENCE: Final = 15.0
"""Seconds of a live session in which something of an answer has to come."""

VOICE_TIMEOUT: Final = 10.0
"""Seconds that a change of the voice state may take; for a full channel there is never an answer (P70)."""


class CommandVerbs(abc.ABC):
    """The commands of a shard."""

    __slots__ = ()

    @abc.abstractmethod
    def _commands(self) -> Exchange: ...

    @abc.abstractmethod
    def _member_intents(self) -> Intents: ...

    @abc.abstractmethod
    def _bot_id(self) -> str: ...

    # -- one command -----------------------------------------------------------------------------------------------

    async def send(self, command: UserCommand, *, wait: float = 0.0) -> None:
        """Sends a command, and returns when it was written to the socket.

        Waits for its turn within 120 payloads a minute (presence: 5 in 20 s). Cancelling takes it back while it waits.

        Args:
            command: what to send. For its answer, use the method that is named after it.
            wait: seconds that it may wait for a live session, also when the connection is lost before its turn; 0
                refuses at once. Commands that wait go out in the order in which they were asked for.

        Raises:
            NotReady: there is no live session, and none came in time; nothing was sent.
            ConnectionLost: the connection was left before the command's turn, or while it was written.
            TooManyCommands: ``CommandLimits.commands`` wait already; nothing was sent.
            PayloadTooLarge: more than 4096 bytes; nothing was sent.
        """
        await self._commands().send(command, wait=_seconds("wait", wait))

    async def update_presence(self, presence: UpdatePresence, *, wait: float = math.inf) -> PresenceOutcome:
        """Makes the bot appear as `presence`: the last call wins, whatever the limits and the connection do.

        At most one update waits; a newer one takes its place, and the older call returns ``superseded``. Without a
        session it goes with the next IDENTIFY, or after RESUMED. Every later IDENTIFY carries it too. After a RESUME it
        is sent again only if it was written so shortly before the loss that the server may not have read it (A18).

        Args:
            presence: what to appear as.
            wait: seconds that it may wait for a live session; 0 refuses at once.

        Returns:
            ``sent`` (written to the socket), ``carried`` (by the IDENTIFY of a session that has begun) or
            ``superseded``.

        Raises:
            NotReady: no session came in time, or the shard is over; a later IDENTIFY does not carry it.
            PayloadTooLarge: it fits into no payload, or not into IDENTIFY.

        Source: P58-P60, A18.
        """
        return await self._commands().update_presence(presence, wait=_seconds("wait", wait))

    # -- members ---------------------------------------------------------------------------------------------------

    async def request_members(
        self,
        guild_id: Snowflake,
        *,
        query: str | None = None,
        limit: int = 0,
        user_ids: Iterable[Snowflake] | None = None,
        presences: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        patience: float = DEFAULT_PATIENCE,
        wait: float = 0.0,
        retry: bool = False,
    ) -> GuildMembers:
        """Asks for members of a guild, and gathers all chunks of the answer.

        Call it in another task than the one that takes the shard's dispatches, or at least while its queue has room:
        the chunks come out there too, and a full queue pauses reading.

        Args:
            guild_id: the guild; this shard's, or nothing answers.
            query: a prefix of names; ``""`` with `limit` 0 for the whole list.
            limit: how many members at most, 0 to 100 (0: all that match, for the empty prefix).
            user_ids: 1 to 100 ids, instead of `query`.
            presences: their presences too.
            timeout: seconds in all.
            patience: seconds of a live session in which something of the answer has to come.
            wait: seconds of `timeout` that it may wait for a live session; 0 refuses at once.
            retry: ask once more, within `timeout`, when the answer is RATE_LIMITED or the session is lost.

        Returns:
            The members, decoded; they share their objects with the dispatches that the consumer receives.

        Raises:
            RequestRateLimited: by the server, or by ourselves when the whole list was asked for less than 30 s ago.
            RequestTimedOut: with what has come as its ``partial``, a :class:`GuildMembers`.
            RequestLost: the session is gone. While it is resumed the request goes on: what was missed is replayed.
            AnswerTooLarge: more than ``CommandLimits.answer_bytes``.
            UndecodableData: a chunk holds what is no usable JSON.
            ConfigurationError: the request cannot work; for the whole list without GUILD_MEMBERS as well, and for
                presences without GUILD_PRESENCES.
            SendRefused: as :meth:`send`.

        Source: P61-P67, A23, A24.
        """
        chunks = self.member_chunks(
            guild_id,
            query=query,
            limit=limit,
            user_ids=user_ids,
            presences=presences,
            timeout=timeout,
            patience=patience,
            wait=wait,
        )
        try:
            return await chunks.gather()
        except (RequestRateLimited, RequestLost) as error:
            if not retry:
                raise
            delay = error.retry_after if isinstance(error, RequestRateLimited) else 0.0
            if trio.current_time() + delay >= chunks.until:
                raise
            await trio.sleep(delay)
        return await chunks.again().gather()

    def member_chunks(
        self,
        guild_id: Snowflake,
        *,
        query: str | None = None,
        limit: int = 0,
        user_ids: Iterable[Snowflake] | None = None,
        presences: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
        patience: float = DEFAULT_PATIENCE,
        wait: float = 0.0,
    ) -> MemberChunks:
        """As :meth:`request_members`, one chunk after the other, so that a million members need not be held.

        Use it as an async context manager, which sends the request, and iterate over it. Chunks come in the order in
        which they arrive, each once; ``chunk.index`` says where it belongs. The iteration ends after the last one.
        """
        command = RequestGuildMembers(guild_id, query=query, limit=limit, user_ids=user_ids, presences=presences)
        intents = self._member_intents()
        if command.whole_list and Intents.GUILD_MEMBERS not in intents:
            raise ConfigurationError(
                "the whole list of members needs Intents.GUILD_MEMBERS; the server would not answer"
            )
        if command.presences and Intents.GUILD_PRESENCES not in intents:
            raise ConfigurationError("presences=True needs Intents.GUILD_PRESENCES; the server would leave them out")
        return MemberChunks(
            self._commands(),
            command,
            until=trio.current_time() + _seconds("timeout", timeout),
            patience=_seconds("patience", patience),
            wait=_seconds("wait", wait),
        )

    # -- the other requests ----------------------------------------------------------------------------------------

    async def request_soundboard_sounds(
        self,
        guild_ids: Iterable[Snowflake],
        *,
        timeout: float = DEFAULT_TIMEOUT,
        patience: float = DEFAULT_PATIENCE,
        wait: float = 0.0,
    ) -> Mapping[str, tuple[Fields, ...]]:
        """Asks for the soundboards of some guilds, in as many payloads as it takes.

        Returns:
            The sounds of each guild, by its id as text.

        Raises:
            RequestTimedOut: nothing came of some guild; what has come of the others is its ``partial``.
            RequestLost, SendRefused, ConfigurationError, UndecodableData: as for :meth:`request_members`.

        Source: P68.
        """
        command = RequestSoundboardSounds(guild_ids)
        patience = _seconds("patience", patience)
        until = trio.current_time() + _seconds("timeout", timeout)
        pending = PendingSounds(command.guild_ids)
        exchange = self._commands()

        def found() -> Mapping[str, tuple[Fields, ...]]:
            return MappingProxyType(
                {id_: answers.sounds(pending.found[id_]) for id_ in pending.guild_ids if id_ in pending.found}
            )

        def late() -> RequestTimedOut:
            missing = ", ".join(pending.missing[:5]) + (", ..." if len(pending.missing) > 5 else "")
            return RequestTimedOut(f"no sounds came of guilds {missing}{exchange.why_late()}", found())

        exchange.open(pending)
        try:
            await exchange.ask(pending, command.split(), until=until, wait=_seconds("wait", wait))
            await exchange.progress(pending, lambda: pending.complete, until=until, patience=patience, late=late)
        finally:
            exchange.close(pending)
        return found()

    async def request_channel_info(
        self,
        guild_id: Snowflake,
        fields: Iterable[str] = CHANNEL_INFO_FIELDS,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        wait: float = 0.0,
    ) -> ChannelInfo:
        """Asks for fields of a guild's voice channels that no channel object holds.

        Answers carry no nonce and are told apart by their guild: two requests for one guild get theirs in the order in
        which they were made.

        Raises:
            RequestTimedOut, RequestLost, SendRefused, ConfigurationError, UndecodableData: as for
                :meth:`request_members`.

        Source: P69.
        """
        command = RequestChannelInfo(guild_id, fields)
        until = trio.current_time() + _seconds("timeout", timeout)
        pending = PendingChannelInfo(command.guild_id)
        exchange = self._commands()

        def late() -> RequestTimedOut:
            return RequestTimedOut(f"no channel info came of guild {command.guild_id}{exchange.why_late()}")

        exchange.open(pending)
        try:
            await exchange.ask(pending, [command], until=until, wait=_seconds("wait", wait))
            await exchange.progress(pending, lambda: pending.complete, until=until, patience=math.inf, late=late)
        finally:
            exchange.close(pending)
        assert pending.answer is not None
        return answers.channel_info(pending.answer, command.guild_id)

    # -- voice -----------------------------------------------------------------------------------------------------

    async def join_voice(
        self,
        guild_id: Snowflake,
        channel_id: Snowflake,
        *,
        self_mute: bool = False,
        self_deaf: bool = False,
        timeout: float = VOICE_TIMEOUT,
        wait: float = 0.0,
    ) -> VoiceServer:
        """Joins a voice channel, or moves there, and returns what a voice connection needs.

        Waits for the bot's own VOICE_STATE_UPDATE in that channel and for a VOICE_SERVER_UPDATE with an endpoint, in
        either order. Ask for the GUILD_VOICE_STATES intent, without which the first does not come.

        Raises:
            RequestTimedOut: the channel is full, or the bot may not enter it: the server says nothing then; or the bot
                is in the channel already, with the same flags.
            RequestSuperseded: a later voice command for the guild took its place.
            RequestLost, SendRefused, ConfigurationError: as for :meth:`request_members`.

        Source: P70, P71.
        """
        command = UpdateVoiceState(guild_id, channel_id, self_mute=self_mute, self_deaf=self_deaf)
        if command.channel_id is None:
            raise ConfigurationError("a channel to join is needed; leave with update_voice_state(guild_id, None)")
        pending = PendingVoice(command.guild_id, command.channel_id, self._bot_id(), needs_server=True)
        await self._change_voice(command, pending, timeout=timeout, wait=wait)
        assert pending.server is not None
        return pending.server

    async def update_voice_state(
        self,
        guild_id: Snowflake,
        channel_id: Snowflake | None,
        *,
        self_mute: bool = False,
        self_deaf: bool = False,
        timeout: float = VOICE_TIMEOUT,
        wait: float = 0.0,
    ) -> VoiceState:
        """Leaves (`channel_id` ``None``), or mutes and deafens itself; waits for the bot's own VOICE_STATE_UPDATE only.

        Raises:
            RequestTimedOut: no such update came; the bot was not in a channel, for example.
            RequestSuperseded, RequestLost, SendRefused, ConfigurationError: as for :meth:`join_voice`.

        Source: P70.
        """
        command = UpdateVoiceState(guild_id, channel_id, self_mute=self_mute, self_deaf=self_deaf)
        pending = PendingVoice(command.guild_id, command.channel_id, self._bot_id(), needs_server=False)
        await self._change_voice(command, pending, timeout=timeout, wait=wait)
        assert pending.state is not None
        return pending.state

    async def _change_voice(
        self, command: UpdateVoiceState, pending: PendingVoice, *, timeout: float, wait: float
    ) -> None:
        exchange = self._commands()
        until = trio.current_time() + _seconds("timeout", timeout)

        def late() -> RequestTimedOut:
            missing = "voice state" if pending.state is None else "voice server"
            hint = (
                "" if Intents.GUILD_VOICE_STATES in self._member_intents() else "; GUILD_VOICE_STATES is not asked for"
            )
            return RequestTimedOut(f"no {missing} came for guild {command.guild_id}{hint}{exchange.why_late()}")

        exchange.open(pending)
        try:
            await exchange.ask(pending, [command], until=until, wait=_seconds("wait", wait))
            await exchange.progress(pending, lambda: pending.complete, until=until, patience=math.inf, late=late)
        finally:
            exchange.close(pending)


class MemberChunks:
    """The chunks of one answer, as they come; see :meth:`CommandVerbs.member_chunks`.

    Attributes:
        until: when the request ends at the latest.
    """

    def __init__(
        self, exchange: Exchange, command: RequestGuildMembers, *, until: float, patience: float, wait: float
    ) -> None:
        self.until: Final = until
        self._exchange = exchange
        self._command = command
        self._patience = patience
        self._wait = wait
        self._pending: PendingMembers | None = None

    async def __aenter__(self) -> Self:
        """Sends the request."""
        if self._pending is not None:
            raise ConfigurationError("a request is made once; call member_chunks() again")
        exchange, guild_id = self._exchange, self._command.guild_id
        whole_list = self._command.whole_list
        delay = exchange.book.whole_lists.delay(guild_id, trio.current_time()) if whole_list else 0.0
        if delay > 0:
            raise RequestRateLimited(f"the members of guild {guild_id} were asked for less than 30 s ago", delay)
        nonce = exchange.book.new_nonce()
        self._pending = PendingMembers(guild_id, nonce, whole_list=whole_list)
        exchange.open(self._pending)
        command = _with_nonce(self._command, nonce)
        if whole_list:
            exchange.book.whole_lists.sent(guild_id, trio.current_time())
        try:
            await exchange.ask(self._pending, [command], until=self.until, wait=self._wait)
        except BaseException:
            exchange.close(self._pending)
            if whole_list and not self._pending.sent:
                exchange.book.whole_lists.free(guild_id)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whatever is still to come is nobody's."""
        assert self._pending is not None
        self._exchange.close(self._pending)

    def __aiter__(self) -> Self:
        """An iterator is its own."""
        return self

    async def __anext__(self) -> MembersChunk:
        """The next chunk.

        Raises:
            RequestFailed: as :meth:`CommandVerbs.request_members`; the ``partial`` of a time-out is ``None``.
        """
        pending = self._pending
        if pending is None:
            raise ConfigurationError("enter it first: async with shard.member_chunks(...) as chunks")

        def late() -> RequestTimedOut:
            missing = (
                "nothing came"
                if pending.missing is None
                else f"{pending.missing} of {pending.count} chunks are missing"
            )
            return RequestTimedOut(
                f"{missing} of the members of guild {pending.guild_ids[0]}{self._exchange.why_late()}"
            )

        await self._exchange.progress(
            pending,
            lambda: bool(pending.queue) or pending.complete,
            until=self.until,
            patience=self._patience,
            late=late,
        )
        chunk = pending.take()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def gather(self) -> GuildMembers:
        """All of them, decoded one by one as they come, in the order of their indices."""
        gathered: dict[int, MembersChunk] = {}
        size = 0
        try:
            async with self:
                async for chunk in self:
                    size += chunk.size
                    if size > self._exchange.limits.answer_bytes:
                        raise AnswerTooLarge(
                            f"more than {self._exchange.limits.answer_bytes} bytes of members came; take them as they "
                            "come, with shard.member_chunks(), or raise CommandLimits.answer_bytes"
                        )
                    # Decoded here and now: one chunk at a time between the other tasks' turns.
                    _ = chunk.members
                    gathered[chunk.index] = chunk
        except RequestTimedOut as error:
            error.partial = _whole(self._command.guild_id, gathered)
            raise
        return _whole(self._command.guild_id, gathered)

    def again(self) -> MemberChunks:
        """The same request, to be made once more within the same time."""
        return MemberChunks(
            self._exchange,
            self._command,
            until=self.until,
            patience=self._patience,
            wait=self.until - trio.current_time(),
        )


def _whole(guild_id: str, gathered: Mapping[int, MembersChunk]) -> GuildMembers:
    chunks = [gathered[index] for index in sorted(gathered)]
    return GuildMembers(
        guild_id=guild_id,
        members=tuple(member for chunk in chunks for member in chunk.members),
        presences=tuple(presence for chunk in chunks for presence in chunk.presences),
        not_found=tuple(id_ for chunk in chunks for id_ in chunk.not_found),
    )


def _with_nonce(command: RequestGuildMembers, nonce: str) -> RequestGuildMembers:
    return RequestGuildMembers(
        command.guild_id,
        query=command.query,
        limit=command.limit,
        user_ids=command.user_ids,
        presences=command.presences,
        nonce=nonce,
    )


def _seconds(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ConfigurationError(f"{name} must be 0 or more seconds, not {value!r}")
    return value
