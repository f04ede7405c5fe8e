"""What was asked of the gateway and is not answered yet. Pure: dispatches, verdicts and times come in as arguments.

A request for members is recognised by its nonce, the others by their guild. Chunks may come in any order, twice, and
between those of other requests; what is nobody's is left alone. A request is over when its answer is complete or when
it has failed, and nothing changes it afterwards.
"""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from gatewright.spec.protocol import Opcode
from gatewright.transport import answers
from gatewright.transport.answers import MembersChunk, VoiceServer, VoiceState, head
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.errors import (
    AnswerTooLarge,
    RequestFailed,
    RequestLost,
    RequestRateLimited,
    RequestSuperseded,
    TooManyCommands,
)
from gatewright.transport.limiter import SLACK


class Pending:
    """One request.

    Attributes:
        op: the opcode that it is made with.
        guild_ids: the guilds that it concerns.
        session_id: the session that it was sent on, ``""`` before the writer has taken it.
        moved_at: when it was sent, or when something of the answer came last.
        begun: whether anything of the answer has come.
        error: why there is no answer.
        notify: called when something has changed.
    """

    __slots__ = ("begun", "error", "guild_ids", "moved_at", "notify", "op", "session_id")

    def __init__(self, op: Opcode, guild_ids: Iterable[str]) -> None:
        self.op = op
        self.guild_ids = tuple(guild_ids)
        self.session_id = ""
        self.moved_at = math.inf
        self.begun = False
        self.error: RequestFailed | None = None
        self.notify: Callable[[], None] | None = None

    @property
    def complete(self) -> bool:
        """Whether the whole answer is there."""
        raise NotImplementedError

    @property
    def sent(self) -> bool:
        """Whether it was sent, as far as anybody knows."""
        return self.moved_at < math.inf

    @property
    def over(self) -> bool:
        """Whether nothing can change it any more."""
        return self.error is not None or self.complete

    def fail(self, error: RequestFailed) -> None:
        """There will be no answer."""
        if not self.over:
            self.error = error
            self._tell()

    def move(self, now: float) -> None:
        """The time without progress begins anew."""
        self.moved_at = now
        self._tell()

    def _tell(self) -> None:
        if self.notify is not None:
            self.notify()

    def _came(self, now: float) -> None:
        self.begun = True
        self.move(now)


class PendingMembers(Pending):
    """A request for members; its chunks wait here until they are taken."""

    __slots__ = ("_seen", "count", "nonce", "queue", "waiting", "whole_list")

    def __init__(self, guild_id: str, nonce: str, *, whole_list: bool) -> None:
        super().__init__(Opcode.REQUEST_GUILD_MEMBERS, (guild_id,))
        self.nonce = nonce
        self.whole_list = whole_list
        self.count: int | None = None
        self.queue: deque[MembersChunk] = deque()
        self.waiting = 0
        """Bytes of the chunks that wait."""
        self._seen: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether every chunk has come."""
        return self.count is not None and len(self._seen) == self.count

    @property
    def missing(self) -> int | None:
        """How many chunks have not come; ``None`` before the first, which tells how many there are."""
        return None if self.count is None else self.count - len(self._seen)

    def add(self, chunk: MembersChunk, now: float) -> bool:
        """Takes a chunk of this answer; ``False`` for one that it has, or that contradicts those that it has."""
        if self.over or chunk.index in self._seen or chunk.index >= chunk.count:
            return False
        if self.count is not None and chunk.count != self.count:
            return False
        self.count = chunk.count
        self._seen.add(chunk.index)
        self.queue.append(chunk)
        self.waiting += chunk.size
        self._came(now)
        return True

    def take(self) -> MembersChunk | None:
        """The chunk that has waited longest."""
        if not self.queue:
            return None
        chunk = self.queue.popleft()
        self.waiting -= chunk.size
        return chunk


class PendingSounds(Pending):
    """A request for the soundboards of some guilds."""

    __slots__ = ("found",)

    def __init__(self, guild_ids: Iterable[str]) -> None:
        super().__init__(Opcode.REQUEST_SOUNDBOARD_SOUNDS, dict.fromkeys(guild_ids))
        self.found: dict[str, Dispatch] = {}

    @property
    def complete(self) -> bool:
        """Whether something came of every guild."""
        return len(self.found) == len(self.guild_ids)

    @property
    def missing(self) -> tuple[str, ...]:
        """The guilds of which nothing has come."""
        return tuple(guild_id for guild_id in self.guild_ids if guild_id not in self.found)

    def add(self, guild_id: str, dispatch: Dispatch, now: float) -> None:
        """Takes one guild's sounds."""
        if not self.over and guild_id not in self.found:
            self.found[guild_id] = dispatch
            self._came(now)


class PendingChannelInfo(Pending):
    """A request for the fields of a guild's voice channels."""

    __slots__ = ("answer",)

    def __init__(self, guild_id: str) -> None:
        super().__init__(Opcode.REQUEST_CHANNEL_INFO, (guild_id,))
        self.answer: Dispatch | None = None

    @property
    def complete(self) -> bool:
        """Whether the answer has come."""
        return self.answer is not None

    def add(self, dispatch: Dispatch, now: float) -> None:
        """Takes the answer."""
        if not self.over:
            self.answer = dispatch
            self._came(now)


class PendingVoice(Pending):
    """A change of the bot's voice state; a join waits for the voice server as well, in either order (P70)."""

    __slots__ = ("_channel_id", "_token", "_user_id", "endpoint", "needs_server", "state")

    def __init__(self, guild_id: str, channel_id: str | None, user_id: str, *, needs_server: bool) -> None:
        super().__init__(Opcode.VOICE_STATE_UPDATE, (guild_id,))
        self.needs_server = needs_server
        self.state: VoiceState | None = None
        self.endpoint: str | None = None
        self._channel_id = channel_id
        self._user_id = user_id
        self._token = ""

    @property
    def complete(self) -> bool:
        """Whether the bot is where it was asked to be, and has what it needs there."""
        return self.state is not None and (not self.needs_server or self.endpoint is not None)

    @property
    def server(self) -> VoiceServer | None:
        """What a voice connection needs; ``None`` before both answers have come."""
        if self.state is None or self.endpoint is None:
            return None
        return VoiceServer(state=self.state, endpoint=self.endpoint, token=self._token)

    def add_state(self, found: answers.VoiceStateHead, now: float) -> None:
        """Takes a voice state of the guild: the bot's own counts, while it is in the channel that was asked for."""
        (guild_id,) = self.guild_ids
        if self.over or found.user_id != self._user_id:
            return
        if found.channel_id != self._channel_id:
            self.state = None  # it was somewhere else before, or was moved away meanwhile
            return
        self.state = VoiceState(
            guild_id=guild_id, channel_id=found.channel_id, user_id=found.user_id, session_id=found.session_id
        )
        self._came(now)

    def add_server(self, found: answers.VoiceServerHead, now: float) -> None:
        """Takes the voice server of the guild; the last one counts, and without an endpoint there is none yet (P71)."""
        if self.over or not self.needs_server:
            return
        self.endpoint, self._token = found.endpoint, found.token
        self._came(now)


PendingT = TypeVar("PendingT", bound=Pending)


class Book:
    """All unanswered requests of one shard.

    Args:
        most: how many there may be.
        most_bytes: how many bytes of chunks may wait to be taken, over all requests.
    """

    __slots__ = ("_by_nonce", "_most", "_most_bytes", "_nonce", "_nonces", "_pending", "whole_lists")

    def __init__(self, *, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        # Insertion order: the oldest first.
        self._pending: dict[Pending, None] = {}
        self._by_nonce: dict[str, PendingMembers] = {}
        self._nonce = secrets.token_hex(8)
        self._nonces = 0
        self.whole_lists = WholeLists()

    def __len__(self) -> int:
        return len(self._pending)

    def new_nonce(self) -> str:
        """A nonce that no other request has, of this process or of one before it: its chunks may yet be replayed.

        16 random hexadecimal digits and a number, within the 32 bytes that the server takes (P64).
        """
        self._nonces += 1
        return f"{self._nonce}-{self._nonces:x}"

    def open(self, pending: Pending) -> None:
        """Begins to look for the answer of a request.

        Raises:
            TooManyCommands: there are as many as there may be.
        """
        if len(self._pending) >= self._most:
            raise TooManyCommands(f"{self._most} requests have no answer yet; wait for some of them first")
        if isinstance(pending, PendingVoice):
            # The server keeps one voice state a guild, and the later one wins.
            for other in self._of(PendingVoice, pending.guild_ids[0]):
                other.fail(RequestSuperseded("a later voice command for the same guild took its place"))
        self._pending[pending] = None
        if isinstance(pending, PendingMembers):
            self._by_nonce[pending.nonce] = pending

    def close(self, pending: Pending) -> None:
        """Nobody waits for this answer any more; idempotent."""
        self._pending.pop(pending, None)
        if isinstance(pending, PendingMembers):
            self._by_nonce.pop(pending.nonce, None)

    # -- what comes ------------------------------------------------------------------------------------------------

    def offer(self, dispatch: Dispatch, now: float) -> None:
        """Looks at a dispatch. It is the consumer's too, whether or not it answers anything."""
        taker = _TAKERS.get(dispatch.type)
        if taker is not None:
            taker(self, dispatch, now)

    def session_is(self, session_id: str) -> None:
        """The shard holds this session, ``""`` for none: what was asked on another one is never answered (P60)."""
        for pending in tuple(self._pending):
            if pending.session_id and pending.session_id != session_id:
                pending.fail(RequestLost("the session that this was asked on is gone; ask again when ready"))

    def connected(self, now: float) -> None:
        """READY or RESUMED: what is missing can come from now on, so the time without progress begins anew."""
        for pending in tuple(self._pending):
            if pending.session_id:
                pending.move(now)

    def refused(self, code: int) -> None:
        """The gateway closed because of a payload that it could not take: one of those of which nothing has come.

        Nobody can say which; none is sent again (protocol section 3.1).
        """
        for pending in tuple(self._pending):
            if pending.session_id and not pending.begun:
                pending.fail(
                    RequestLost(f"the gateway closed with {code}, perhaps because of this; it is not repeated")
                )

    def end(self, reason: str) -> None:
        """The shard is over."""
        for pending in tuple(self._pending):
            pending.fail(RequestLost(reason))

    def _members_chunk(self, dispatch: Dispatch, now: float) -> None:
        found = head(answers.ChunkHead, dispatch)
        pending = None if found is None or found.nonce is None else self._by_nonce.get(found.nonce)
        if found is None or pending is None or found.guild_id != pending.guild_ids[0]:
            return
        chunk = MembersChunk(dispatch, guild_id=found.guild_id, index=found.chunk_index, count=found.chunk_count)
        if sum(other.waiting for other in self._by_nonce.values()) + chunk.size > self._most_bytes:
            pending.fail(
                AnswerTooLarge(
                    f"more than {self._most_bytes} bytes of members wait to be taken; take them as they come, with "
                    "shard.member_chunks(), or raise CommandLimits.answer_bytes"
                )
            )
            return
        pending.add(chunk, now)

    def _rate_limited(self, dispatch: Dispatch, now: float) -> None:
        found = head(answers.RateLimitedHead, dispatch)
        if found is None or found.meta is None:
            return
        meta = found.meta
        if meta.nonce is not None:
            # A nonce that is not ours is somebody else's request, whatever the guild is.
            pending: Pending | None = self._by_nonce.get(meta.nonce)
        else:
            # The newest: an earlier one of the guild is the reason why this one was too much.
            fitting = [
                other
                for other in self._pending
                if other.op == found.opcode
                and meta.guild_id in other.guild_ids
                and other.session_id
                and not other.begun
            ]
            pending = fitting[-1] if fitting else None
        if pending is None or pending.op != found.opcode:
            return
        if isinstance(pending, PendingMembers) and pending.whole_list:
            self.whole_lists.told(pending.guild_ids[0], now, found.seconds)
        pending.fail(RequestRateLimited(f"the gateway answered {pending.op.name} with RATE_LIMITED", found.seconds))

    def _soundboard_sounds(self, dispatch: Dispatch, now: float) -> None:
        found = head(answers.GuildHead, dispatch)
        if found is not None:
            for pending in self._of(PendingSounds, found.guild_id):
                pending.add(found.guild_id, dispatch, now)

    def _channel_info(self, dispatch: Dispatch, now: float) -> None:
        found = head(answers.GuildHead, dispatch)
        if found is not None:
            # There is no nonce: the server answers in order, so this is for the oldest.
            for pending in self._of(PendingChannelInfo, found.guild_id)[:1]:
                pending.add(dispatch, now)

    def _voice_state(self, dispatch: Dispatch, now: float) -> None:
        found = head(answers.VoiceStateHead, dispatch)
        if found is not None and found.guild_id is not None:
            for pending in self._of(PendingVoice, found.guild_id):
                pending.add_state(found, now)

    def _voice_server(self, dispatch: Dispatch, now: float) -> None:
        found = head(answers.VoiceServerHead, dispatch)
        if found is not None:
            for pending in self._of(PendingVoice, found.guild_id):
                pending.add_server(found, now)

    def _of(self, kind: type[PendingT], guild_id: str) -> list[PendingT]:
        return [
            pending
            for pending in self._pending
            if isinstance(pending, kind) and guild_id in pending.guild_ids and not pending.over
        ]


_TAKERS: Final[Mapping[str, Callable[[Book, Dispatch, float], None]]] = {
    "GUILD_MEMBERS_CHUNK": Book._members_chunk,
    "RATE_LIMITED": Book._rate_limited,
    "SOUNDBOARD_SOUNDS": Book._soundboard_sounds,
    "CHANNEL_INFO": Book._channel_info,
    "VOICE_STATE_UPDATE": Book._voice_state,
    "VOICE_SERVER_UPDATE": Book._voice_server,
}


class WholeLists:
    """When the whole list of a guild's members may be asked for again: once in 30 s (P63)."""

    __slots__ = ("_free_at",)

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}

    def delay(self, guild_id: str, now: float) -> float:
        """Seconds until it may be asked for; 0.0 when it may be now."""
        return max(self._free_at.get(guild_id, now) - now, 0.0)

    def sent(self, guild_id: str, now: float) -> None:
        """It was asked for. We count when we send and the server when it receives, hence the slack."""
        self.told(guild_id, now, answers.WHOLE_LIST_WINDOW + SLACK)

    def free(self, guild_id: str) -> None:
        """It was not asked for after all."""
        self._free_at.pop(guild_id, None)

    def told(self, guild_id: str, now: float, delay: float) -> None:
        """The server said how long to wait."""
        # At most 120 are sent a minute, so what is left after this stays small.
        for other in [other for other, free_at in self._free_at.items() if free_at <= now]:
            del self._free_at[other]
        self._free_at[guild_id] = now + delay
