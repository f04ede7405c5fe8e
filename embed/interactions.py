"""interactions.py on the engine: a client whose shards are ours, and everything else is the library's own.

::

    import gatewright.embed.interactions

    gatewright.embed.interactions.attach(bot)  # before bot.start()

Listeners, cache, REST, slash commands and extensions stay as they are. What changes: a listener that blocks stops no
heartbeat, each phase of a connection is a declared state (``bot.ws.engine.state``), and IDENTIFYs share one gate and
one budget.

One name of the library is replaced: the class `GatewayClient` that its connection states are made with. For a client
that is attached it makes the engine's; for every other it is what it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import math
from collections.abc import Awaitable, Callable
from types import ModuleType, TracebackType
from typing import Any, Final, Self

from gatewright.embed import attaching
from gatewright.embed.errors import EngineStopped
from gatewright.embed.family import metadata_of, proxy_with
from gatewright.embed.losses import Losses
from gatewright.embed.options import EngineOptions, shard_options
from gatewright.embed.payloads import command_of, presence_of
from gatewright.embed.recall import REFILL, Recall
from gatewright.embed.shard import AsyncioShard
from gatewright.embed.sharing import BotEngine
from gatewright.embed.versions import require
from gatewright.fsm.errors import IllegalTransition
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import MetadataError
from gatewright.spec.protocol import Opcode
from gatewright.spec.session import Metadata
from gatewright.spec.states import STATES, State
from gatewright.transport.commands import UpdatePresence
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.errors import SendRefused, ShardFailed
from gatewright.transport.seams import MetadataUnavailable
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token

__all__ = ["Attachment", "EngineGateway", "EngineOptions", "attach"]

_DISTRIBUTION: Final = "discord-py-interactions"
_LOG: Final = logging.getLogger("gatewright.embed.interactions")

_PATIENCE: Final = 15.0
"""Seconds that a command may wait for a live session: as long as a RESUME takes, and then some."""

_STARTUP: Final = 30.0
"""Seconds that the library may take for its start with a resumed session, before what was replayed is handed over."""

_LARGE: Final = 250
"""The `large_threshold` that the library sends."""

_SESSION: Final = frozenset({"READY", "RESUMED"})


class Attachment(attaching.Attachment["EngineGateway"]):
    """What :func:`attach` leaves with a client. It does not keep the client alive."""

    def make(self, state: Any, shard: tuple[int, int]) -> EngineGateway:
        """Called by the library: a gateway client for one of its connection states."""
        shared = self._share(state.client, _metadata)
        gateway = EngineGateway(state, shard, shared, self._options, self._refill)
        self._connections[shard[0]] = gateway
        return gateway


def attach(client: object, *, engine: EngineOptions | None = None, refill: int = REFILL) -> Attachment:
    """Has `client` make its connections with the engine. Call it once, before the client starts.

    Args:
        client: a ``Client`` or an ``AutoShardedClient`` of interactions.py.
        engine: what the engine is told beside what the client says: where sessions are kept, deadlines, bounds.
        refill: for how many guilds a shard that resumes a stored session asks the REST API, so that the library's
            cache is what it would be after a start (:mod:`gatewright.embed.recall`).

    Raises:
        ConfigurationError: for anything else, and for a client that is attached already.
        UnsupportedFramework: for a version of the library that was not tested; the message says what to do.
    """
    require(_DISTRIBUTION)
    if not isinstance(client, importlib.import_module("interactions").Client):
        raise ConfigurationError(
            f"attach() takes a Client or an AutoShardedClient of interactions.py, not {type(client).__name__}"
        )
    attachment = _ATTACHED.add(client, Attachment(engine, refill))
    _replace(importlib.import_module("interactions.api.gateway.state"))
    return attachment


_ATTACHED: Final = attaching.Attachments[Attachment]()


def _replace(module: Any) -> None:
    original: type[Any] = module.GatewayClient
    if getattr(original, "gatewright", False):
        return

    def new(cls: type[Any], state: Any, shard: tuple[int, int]) -> object:
        attachment = _ATTACHED.of(state.client)
        # For others an object of the class that was replaced; as it is none of this one, no `__init__` follows.
        return original(state, shard) if attachment is None else attachment.make(state, shard)

    module.GatewayClient = type(original.__name__, (original,), {"__new__": new, "gatewright": True})


async def _metadata(client: Any) -> Metadata:
    """What ``GET /gateway/bot`` says, by the library's own HTTP client."""
    errors = importlib.import_module("interactions.client.errors")
    try:
        answer = await client.http.get_gateway_bot()
    except errors.GatewayNotFound as error:
        status = getattr(error.__cause__, "status", None)
        kind = MetadataError.FATAL if status in {401, 403} else MetadataError.TRANSIENT
        raise MetadataUnavailable(kind, f"status {status}") from None
    except Exception as error:  # noqa: BLE001 - aiohttp's errors are many, and none of them is the shard's end
        raise MetadataUnavailable(MetadataError.TRANSIENT, type(error).__name__) from None
    return metadata_of(answer)


class EngineGateway:
    """One shard, for a library that takes it for its `GatewayClient`.

    Attributes:
        engine: the shard itself, for its states, metrics and verbs.
        state: the library's connection state.
        shard: its number, and how many there are.
        sequence: of the last dispatch that was handed over.
        session_id: the session's, once READY has come.
    """

    # Any: the library is absent where this is type-checked.
    def __init__(
        self, state: Any, shard: tuple[int, int], shared: BotEngine, options: EngineOptions, refill: int
    ) -> None:
        self.engine: AsyncioShard
        self.state = state
        self.shard = shard
        self.logger = state.logger
        self.sequence: int | None = None
        self.session_id: str | None = None
        self.ws_url: str = state.gateway_url
        self.ws_resume_url: str | None = None
        self._shared = shared
        self._options = options
        self._refill = refill
        self._trace: list[str] = []
        self._ready = asyncio.Event()
        # Its own way of handing over dispatches is a coroutine that waits for nothing.
        self._hand_over: Callable[..., Awaitable[None]] = _gateway_module().GatewayClient.dispatch_event
        self._process_member_chunk: Callable[[Any], Awaitable[Any]] = (
            _gateway_module().GatewayClient._process_member_chunk.__get__(self)
        )
        self._begun = False
        self._closing = asyncio.Event()
        self._moving: dict[int, asyncio.Future[None]] = {}
        self._block = contextlib.AsyncExitStack()
        self._watching: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._losses = Losses(self._lose)

    # -- its life --------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Starts the shard, and returns at once; what comes of it is handed over by :meth:`run`."""
        async with contextlib.AsyncExitStack() as block:
            await block.enter_async_context(self._shared)
            self.engine = self._make()
            await block.enter_async_context(self.engine)
            self._block = block.pop_all()
        self._watching = asyncio.create_task(self._watch(), name=f"gatewright (shard {self.shard[0]})")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the shard, and returns when nothing of it is left. With `sessions` this keeps the session."""
        self.close()
        assert self._ending is not None
        await asyncio.shield(self._ending)

    async def run(self) -> None:
        """Hands the library what comes, until it is closed.

        Raises:
            WebSocketClosed: of the library, with the fatal code.
            LibraryException: of the library; for a failure that has no close code.
        """
        try:
            async for event in self.engine:
                if not self.open:
                    return  # it was not handled: whoever resumes the session gets it again
                if not self._begun:
                    self._begun = True
                    if event.type != "READY":
                        await self._recall()
                if self._moving and event.type == "VOICE_STATE_UPDATE":
                    await self._moved(event)
                await self._consume(event)
        except ShardFailed as failure:
            errors = importlib.import_module("interactions.client.errors")
            code = failure.failure.code
            if code is None:
                raise errors.LibraryException(str(failure)) from failure
            raise errors.WebSocketClosed(code) from failure
        except EngineStopped:
            if self.open:
                raise

    def close(self) -> None:
        """Ends the shard; the block waits for it."""
        self._closing.set()
        if self._ending is None:
            self._ending = asyncio.create_task(self._leave())

    async def _leave(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        with contextlib.suppress(ShardFailed):  # run() raises it, in the words of the library
            await self._block.aclose()

    def _make(self) -> AsyncioShard:
        number, count = self.shard
        given: dict[str, Any] = {
            "metadata": self._shared.metadata,
            "gate": self._shared.gate,
            **shard_options(self._options, shard_id=number, shard_count=count),
        }
        http = self.state.client.http
        if "opener" not in given and http.proxy is not None and http.proxy[0] is not None:
            given["proxy"] = proxy_with(*http.proxy)
        return AsyncioShard(
            Token(http.token),
            intents=int(self.state.intents),
            engine=self._shared.engine,
            presence=presence_of(self.state.presence),
            large_threshold=_LARGE,
            compress="zlib-stream",
            **given,
        )

    # -- what is true ----------------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether it was not closed. One that reconnects is open: nobody else has to do anything."""
        return self._ending is None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs."""
        return asyncio.get_running_loop()

    @property
    def latency(self) -> float:
        """The last heartbeat's round trip in seconds; infinite before the first."""
        latency = self.engine.latency
        return math.inf if latency is None else latency

    average_latency = latency
    """The last one too: what an average is good for, the engine's metrics tell better."""

    # -- what comes ------------------------------------------------------------------------------------------------

    async def _consume(self, event: Dispatch) -> None:
        self.sequence = event.seq
        of_session = event.type in _SESSION
        if of_session:
            self._losses.connects()
        # To one of many shards that start, the READY that was made for it has said it all.
        if event.type != "RESUMED" or self.state.client._startup:
            try:
                await self._hand_over(self, event.data, event.seq, event.type)
            except Exception as error:  # noqa: BLE001 - it is the library's, and one event; the shard goes on
                _LOG.error("interactions.py could not take the event %s", event.type, exc_info=error)
        if of_session:
            self._losses.connected()

    async def _recall(self) -> None:
        """The session is older than this process, so that no READY tells the library who the bot is, and where."""
        number, count = self.shard
        route = importlib.import_module("interactions.api.http.route").Route
        recall = Recall(self.state.client, route, shard_id=number, shard_count=count, most=self._refill)
        try:
            ready, guilds = await recall.ready()
        except Exception as error:  # noqa: BLE001 - whatever REST had: the library cannot go on without a READY
            _LOG.warning("a new session begins, because REST does not tell what was known in the old one: %r", error)
            with contextlib.suppress(IllegalTransition):
                await self.engine.force_identify()
            return
        session = self.engine.session
        known = {
            "session_id": None if session is None else session.id,
            "resume_gateway_url": None if session is None else session.resume_url,
        }
        await self._hand_over(self, {**ready, **known}, None, "READY")
        for guild in guilds:
            await self._hand_over(self, guild, None, "GUILD_CREATE")
        if count == 1:
            await self._startup()

    async def _startup(self) -> None:
        """Lets the library finish its start: until then it ignores interactions, and a RESUMED would cut it short."""
        ready = asyncio.create_task(self.state.client.wait_until_ready())
        closing = asyncio.create_task(self._closing.wait())
        await asyncio.wait({ready, closing}, timeout=_STARTUP, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        closing.cancel()

    async def _watch(self) -> None:
        async for move in self.engine.transitions():
            # Of the end the library tells by itself.
            if move.state is State.READY and not STATES[move.to].absorbing and self.open:
                self._losses.lost()

    def _lose(self) -> None:
        self.state.clear_ready()
        self._ready.clear()

    # -- what goes -------------------------------------------------------------------------------------------------

    async def change_presence(self, activity: Any = None, status: str = "online", since: float | None = None) -> None:
        """Makes the bot appear so from now on: the last of several changes wins, and every later IDENTIFY has it."""
        data = {
            "activities": [activity] if activity else [],
            "status": getattr(status, "value", status),  # an enumeration of texts
            "since": since,
            "afk": False,
        }
        await self.send_json({"op": Opcode.PRESENCE_UPDATE, "d": data})

    async def request_member_chunks(
        self,
        guild_id: Any,
        query: str = "",
        *,
        limit: int,
        user_ids: Any = None,
        presences: bool = False,
        nonce: str | None = None,
    ) -> None:
        """Asks for members; the chunks come as events."""
        data = {"guild_id": guild_id, "query": query, "limit": limit, "presences": presences, "nonce": nonce}
        await self.send_json({"op": Opcode.REQUEST_GUILD_MEMBERS, "d": {**data, "user_ids": user_ids}})

    async def voice_state_update(
        self, guild_id: Any, channel_id: Any, muted: bool = False, deafened: bool = False
    ) -> None:
        """Joins, moves to or leaves a voice channel; the answers come as events."""
        data = {"guild_id": guild_id, "channel_id": channel_id, "self_mute": muted, "self_deaf": deafened}
        waits = self._moving[int(guild_id)] = self.loop.create_future()
        try:
            await self.send_json({"op": Opcode.VOICE_STATE_UPDATE, "d": data})
        finally:
            self.loop.call_soon(self._has_moved, int(guild_id), waits)  # when the caller has begun to wait

    async def _moved(self, event: Dispatch) -> None:
        """Waits until whoever moves the bot waits for the answer: the library looks for its waiters only once.

        An answer can come before the caller hears from the other thread that the request was sent.
        """
        with contextlib.suppress(ValueError, TypeError, KeyError):
            waits = self._moving.get(int(event.data["guild_id"]))
            if waits is not None:
                await waits

    def _has_moved(self, guild_id: int, waits: asyncio.Future[None]) -> None:
        if self._moving.get(guild_id) is waits:
            del self._moving[guild_id]
        if not waits.done():
            waits.set_result(None)

    async def send(self, data: str, bypass: bool = False) -> None:
        """As :meth:`send_json`, from text."""
        await self.send_json(json.loads(data), bypass)

    async def send_json(self, data: Any, bypass: bool = False) -> None:
        """Sends a command, once there is a live session and it is its turn; nothing bypasses the limits.

        Raises:
            LibraryException: of the library; it was not sent.
            ConfigurationError: for what the gateway would answer by closing the connection, or what is the engine's to
                send: HEARTBEAT, IDENTIFY, RESUME.
        """
        command = command_of(data)

        async def go(shard: Shard) -> None:
            if isinstance(command, UpdatePresence):
                await shard.update_presence(command)
            else:
                await shard.send(command, wait=_PATIENCE)

        errors = importlib.import_module("interactions.client.errors")
        if not self.open:
            raise errors.LibraryException(f"the gateway of shard {self.shard[0]} is closed")
        try:
            await self.engine.run(go)
        except (SendRefused, EngineStopped) as refusal:
            raise errors.LibraryException(str(refusal)) from refusal

    async def reconnect(self, *, resume: bool = False, code: int = 1012, url: str | None = None) -> None:
        """Leaves the connection and resumes its session, or begins another. Which code and URL is the engine's."""
        with contextlib.suppress(IllegalTransition):  # it is connecting already
            await (self.engine.reconnect() if resume else self.engine.force_identify())


def _gateway_module() -> ModuleType:
    return importlib.import_module("interactions.api.gateway.gateway")
