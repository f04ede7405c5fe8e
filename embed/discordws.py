"""What the discord.py family takes for its websocket: one shard of the engine, in the words of the library.

The library's own loop over `poll_event` stays in charge of the client's life; the engine is in charge of the
connection's. A loss, a RESUME, a new session end no websocket here: the library sees their events and is told of the
loss. What ends it is a close by the client, or a failure that no reconnect can mend.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from gatewright.embed.errors import EngineStopped
from gatewright.embed.family import Library, proxy_of
from gatewright.embed.losses import Losses
from gatewright.embed.options import EngineOptions, shard_options
from gatewright.embed.payloads import command_of, presence_of
from gatewright.embed.recall import Recall
from gatewright.embed.shard import AsyncioShard
from gatewright.embed.sharing import BotEngine
from gatewright.embed.thread import EngineThread
from gatewright.fsm.errors import IllegalTransition
from gatewright.spec.protocol import Opcode
from gatewright.spec.session import Metadata
from gatewright.spec.states import STATES, State
from gatewright.transport.commands import UpdatePresence, encode_command
from gatewright.transport.dispatch import Dispatch, UndecodableData
from gatewright.transport.errors import SendRefused, ShardFailed
from gatewright.transport.seams import IdentifyGate, Slot
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token

T = TypeVar("T")

_LOG: Final = logging.getLogger("gatewright.embed.discordpy")

_PATIENCE: Final = 15.0
"""Seconds that a command may wait for a live session: as long as a RESUME takes, and then some."""

_SLOW: Final = 0.25
"""Seconds after which a command that was not sent yet counts as held back by the limits."""

_HOOK_PATIENCE: Final = 3600.0
"""Seconds that a user's `before_identify_hook` may take; it may wait for other processes."""

_CLEAN: Final = frozenset({1000, 1001})
_LARGE: Final = 250
"""The `large_threshold` that these libraries send."""


class EngineWebSocket:
    """One shard, for a library that takes it for its `DiscordWebSocket`.

    Attributes:
        engine: the shard itself, for its states, metrics and verbs.
        shard_id: as the library gave it; ``None`` for a client without shards.
    """

    def __init__(
        self,
        client: Any,
        library: Library,
        options: EngineOptions,
        *,
        shard_id: int | None,
        initial: bool,
        refill: int,
    ) -> None:
        self.engine: AsyncioShard
        self.shard_id = shard_id
        self.shard_count: int | None = client._connection.shard_count
        self.token: str = client.http.token
        self.loop = asyncio.get_running_loop()
        self._client = client
        self._library = library
        self._options = options
        self._initial = initial
        self._refill = refill
        self._begun = False
        self._state = client._connection
        self._parsers: dict[str, Callable[[Any], object]] = self._state.parsers
        self._dispatch: Callable[..., object] = client.dispatch
        self._debug = bool(getattr(client, "_enable_debug_events", False))
        self._under_way: dict[object, float] = {}
        self._asking: dict[str | None, asyncio.Future[None]] = {}
        self._block = contextlib.AsyncExitStack()
        self._watching: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._hook_error: Exception | None = None
        self._losses = Losses(self._say_disconnected)

    # -- its life --------------------------------------------------------------------------------------------------

    async def start(self, shared: BotEngine) -> None:
        """Starts the shard, and returns at once; what comes of it comes out of :meth:`poll_event`."""
        async with contextlib.AsyncExitStack() as block:
            await block.enter_async_context(shared)
            self.engine = self._make(shared)
            await block.enter_async_context(self.engine)
            self._block = block.pop_all()
        self._state._update_references(self)
        self._watching = asyncio.create_task(self._watch(), name=f"gatewright (shard {self.engine.shard_id})")

    async def poll_event(self) -> None:
        """Hands the library what comes, until there is no more.

        Raises:
            ConnectionClosed: of the library; with 1000 when it was closed, else with the fatal code.
            ClientException: of the library; for a failure that has no close code.
        """
        try:
            async for event in self.engine:
                if self._ending is not None:
                    break  # it was not handled: whoever resumes the session gets it again
                if not self._begun:
                    self._begun = True
                    if event.type != "READY":
                        await self._recall()
                if self._asking and event.type == "GUILD_MEMBERS_CHUNK":
                    await self._asked(event)
                self._consume(event)
        except ShardFailed as failure:
            await self._end()
            raise self._library.failed(failure, self.shard_id) from failure
        except EngineStopped:
            if self._ending is None:
                await self._end()
                raise
        await self._end()
        raise self._library.closed(self.shard_id, 1000)

    async def close(self, code: int = 4000) -> None:
        """With 1000 or 1001 ends the shard, and returns when nothing of it is left; with another, reconnects it.

        That is what these codes do to the library's own websocket. With `sessions` the end keeps the session.
        """
        if code in _CLEAN:
            await self._end()
        elif self.open:
            with contextlib.suppress(IllegalTransition):  # it is connecting already
                await self.engine.reconnect()

    async def _end(self) -> None:
        if self._ending is None:
            self._ending = asyncio.create_task(self._leave())
        await asyncio.shield(self._ending)

    async def _leave(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        try:
            await self._block.aclose()
        except ShardFailed:
            pass  # poll_event raises it, in the words of the library
        except Exception:
            if self._hook_error is None:
                raise
        if self._hook_error is not None:
            raise self._hook_error

    def _make(self, shared: BotEngine) -> AsyncioShard:
        given: dict[str, Any] = {
            "metadata": shared.metadata,
            "gate": shared.gate,
            **shard_options(self._options, shard_id=self.shard_id or 0, shard_count=self.shard_count or 1),
        }
        if self._library.has_identify_hook(self._client):
            given["gate"] = _HookedGate(given["gate"], shared.engine, self._before_identify)
        if "opener" not in given:
            given["proxy"] = proxy_of(self._client)
        return AsyncioShard(
            Token(self.token),
            intents=self._state._intents.value,
            engine=shared.engine,
            presence=self._first_presence(),
            large_threshold=_LARGE,
            compress="zlib-stream",
            **given,
        )

    async def _before_identify(self) -> None:
        initial, self._initial = self._initial, False
        try:
            await self._state.call_hooks("before_identify", self.shard_id, initial=initial)
        except Exception as error:
            self._hook_error = error
            raise

    # -- what is true ----------------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether it was not closed. One that reconnects is open: nobody else has to do anything."""
        return self._ending is None

    @property
    def latency(self) -> float:
        """The last heartbeat's round trip in seconds; infinite before the first."""
        latency = self.engine.latency
        return math.inf if latency is None else latency

    def is_ratelimited(self) -> bool:
        """Whether a command waits for its turn within 120 a minute, or for a live session."""
        now = time.monotonic()
        return any(now - begun > _SLOW for begun in self._under_way.values())

    @property
    def sequence(self) -> int | None:
        """The sequence number up to which the library was handed what came."""
        session = self.engine.session
        return None if session is None else session.seq

    @property
    def session_id(self) -> str | None:
        """The session; ``None`` when there is none."""
        session = self.engine.session
        return None if session is None else session.id

    @property
    def gateway(self) -> str | None:
        """Where the session resumes; ``None`` when it has no place of its own."""
        session = self.engine.session
        return None if session is None else session.resume_url

    resume_gateway = gateway  # as disnake calls it
    resume_url = gateway  # nextcord
    resume_gateway_url = gateway  # py-cord

    # -- what comes ------------------------------------------------------------------------------------------------

    def _consume(self, event: Dispatch) -> None:
        name = event.type
        if self._debug:
            envelope = '{"t":"%s","s":%d,"op":0,"d":%s}' % (name, event.seq, event.raw.decode())  # noqa: UP031 - JSON is all braces
            self._dispatch("socket_raw_receive", envelope)
        self._dispatch("socket_event_type", name)
        if name in _SESSION:
            self._losses.connects()
        parse = self._parsers.get(name)
        if parse is None:
            _LOG.debug("%s does not know the event %s", self._library.name, name)
        else:
            try:
                data = event.data
                if name in _SESSION:
                    data["__shard_id__"] = self.shard_id
                parse(data)
            except Exception as error:  # noqa: BLE001 - it is the library's, and one event; the shard goes on
                self._could_not_parse(event, error)
        if name in _SESSION:
            self._losses.connected()

    async def _recall(self) -> None:
        """The session is older than this process, so that no READY tells the library who the bot is, and where."""
        recall = Recall(
            self._client,
            self._library.http.Route,
            shard_id=self.engine.shard_id,
            shard_count=self.shard_count or 1,
            most=self._refill,
        )
        try:
            ready, guilds = await recall.ready()
        except Exception as error:  # noqa: BLE001 - whatever REST had: the library cannot go on without a READY
            _LOG.warning("a new session begins, because REST does not tell what was known in the old one: %r", error)
            with contextlib.suppress(IllegalTransition):
                await self.engine.force_identify()
            return
        self._parsers["READY"]({**ready, "__shard_id__": self.shard_id})
        for guild in guilds:
            self._parsers["GUILD_CREATE"](guild)

    def _could_not_parse(self, event: Dispatch, error: Exception) -> None:
        if getattr(self._client, "_enable_gateway_error_handler", False):  # disnake
            handle = self._client._dispatch_gateway_error(event.type, event.data, self.shard_id, error)
            self.loop.create_task(handle)
        else:
            _LOG.error("%s could not parse the event %s", self._library.name, event.type, exc_info=error)

    async def _watch(self) -> None:
        async for move in self.engine.transitions():
            # Of the end the library tells by itself.
            if move.state is State.READY and not STATES[move.to].absorbing and self._ending is None:
                self._losses.lost()

    def _say_disconnected(self) -> None:
        self._dispatch("disconnect")
        if isinstance(self._client, self._library.shard.AutoShardedClient):
            self._dispatch("shard_disconnect", self.shard_id)

    # -- what goes -------------------------------------------------------------------------------------------------

    async def change_presence(self, *, activity: Any = None, status: str | None = None, since: float = 0.0) -> None:
        """Makes the bot appear so from now on: the last of several changes wins, and every later IDENTIFY has it."""
        if activity is not None and not hasattr(activity, "to_dict"):
            raise TypeError("activity must derive from BaseActivity.")
        if status == "idle":
            since = time.time() * 1000
        await self.send_as_json(
            {
                "op": Opcode.PRESENCE_UPDATE,
                "d": {
                    "activities": [] if activity is None else [activity.to_dict()],
                    "status": status,
                    "since": since,
                    "afk": False,
                },
            }
        )

    async def request_chunks(
        self,
        guild_id: int,
        query: str | None = None,
        *,
        limit: int = 0,
        user_ids: list[int] | None = None,
        presences: bool = False,
        nonce: str | None = None,
    ) -> None:
        """Asks for members; the chunks come as events."""
        data = {"guild_id": guild_id, "presences": presences, "limit": limit, "nonce": nonce}
        by = {"user_ids": user_ids} if user_ids else {"query": query}
        asked = self._asking[nonce] = self.loop.create_future()
        try:
            await self.send_as_json({"op": Opcode.REQUEST_GUILD_MEMBERS, "d": {**data, **by}})
        finally:
            self.loop.call_soon(self._is_asked, nonce, asked)  # when the caller has begun to wait

    async def _asked(self, chunk: Dispatch) -> None:
        """Waits until whoever asked for this chunk waits for it: the libraries look for their waiters only once.

        An answer can come before the caller hears from the other thread that the request was sent.
        """
        with contextlib.suppress(UndecodableData):
            asked = self._asking.get(chunk.data.get("nonce"))
            if asked is not None:
                await asked

    def _is_asked(self, nonce: str | None, asked: asyncio.Future[None]) -> None:
        if self._asking.get(nonce) is asked:
            del self._asking[nonce]
        if not asked.done():
            asked.set_result(None)

    async def voice_state(
        self, guild_id: int, channel_id: int | None, self_mute: bool = False, self_deaf: bool = False
    ) -> None:
        """Joins, moves to or leaves a voice channel; the answers come as events."""
        data = {"guild_id": guild_id, "channel_id": channel_id, "self_mute": self_mute, "self_deaf": self_deaf}
        await self.send_as_json({"op": Opcode.VOICE_STATE_UPDATE, "d": data})

    async def request_soundboard_sounds(self, guild_ids: list[int]) -> None:
        """Asks for the sounds of guilds; they come as events. py-cord has it."""
        await self.send_as_json({"op": Opcode.REQUEST_SOUNDBOARD_SOUNDS, "d": {"guild_ids": guild_ids}})

    async def send(self, text: str, /) -> None:
        """As :meth:`send_as_json`, from text."""
        await self.send_as_json(json.loads(text))

    async def send_as_json(self, data: Any) -> None:
        """Sends a command, once there is a live session and it is its turn.

        Raises:
            ClientException: of the library; it was not sent.
            ConfigurationError: for what the gateway would answer by closing the connection, or what is the engine's to
                send: HEARTBEAT, IDENTIFY, RESUME.
        """
        command = command_of(data)
        if self._debug:
            self._dispatch("socket_raw_send", encode_command(command).decode())
        # A client that closes leaves its voice channels first, and must not wait for a session to do so.
        wait = 0.0 if self._client.is_closed() else _PATIENCE

        async def go(shard: Shard) -> None:
            if isinstance(command, UpdatePresence):
                await shard.update_presence(command)
            else:
                await shard.send(command, wait=wait)

        await self._ask(go)

    async def _ask(self, function: Callable[[Shard], Awaitable[None]]) -> None:
        if not self.open:
            raise self._library.refused(f"the websocket of shard {self.shard_id or 0} is closed")
        mark = object()
        self._under_way[mark] = time.monotonic()
        try:
            await self.engine.run(function)
        except (SendRefused, EngineStopped) as refusal:
            raise self._library.refused(str(refusal)) from refusal
        finally:
            del self._under_way[mark]

    def _first_presence(self) -> UpdatePresence | None:
        activity, status = self._state._activity, self._state._status
        if activity is None and status is None:
            return None
        return presence_of({"activities": [] if activity is None else [activity], "status": status})


_SESSION: Final = frozenset({"READY", "RESUMED"})


class _HookedGate:
    """A gate that lets a user's hook run on the loop before each wait for a slot."""

    def __init__(self, gate: IdentifyGate, engine: EngineThread, hook: Callable[[], Any]) -> None:
        self._gate = gate
        self._engine = engine
        self._hook = hook
        self.sent = gate.sent
        self.answered = gate.answered
        self.give_back = gate.give_back

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        """As the gate's, after the hook; heartbeats go on meanwhile."""
        on_queued(_HOOK_PATIENCE)
        await self._engine.on_loop(self._hook)
        return await self._gate.acquire(shard_id=shard_id, on_queued=on_queued)

    def learn(self, metadata: Metadata) -> None:
        """As the gate's."""
        self._gate.learn(metadata)
