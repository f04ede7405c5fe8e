"""hikari on the engine: a `GatewayBot` whose shards are ours, and everything else is hikari's own.

::

    from gatewright.embed.hikari import GatewayBot  # instead of: from hikari import GatewayBot

Handlers, cache, REST, voice and commands stay as they are. What changes: a handler that blocks stops no heartbeat, each
phase of a connection is a declared state (``bot.shards[0].engine.state``), and IDENTIFYs share one gate and one budget.

It leans on one private method of hikari, `GatewayBot._start_one_shard`, and otherwise on its public interfaces. An
exception of hikari's own event code ends no shard here; it is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict, Unpack

import hikari
from hikari import errors, presences, snowflakes, undefined
from hikari.api import shard as api
from hikari.impl import config

from gatewright.embed.options import EngineOptions, shard_options
from gatewright.embed.shard import AsyncioShard
from gatewright.embed.sharing import BotEngine
from gatewright.embed.versions import require
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import MetadataError
from gatewright.spec.session import Metadata
from gatewright.spec.states import State
from gatewright.transport.commands import (
    Activity,
    ActivityType,
    RequestChannelInfo,
    RequestGuildMembers,
    UpdatePresence,
    UpdateVoiceState,
    UserCommand,
)
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.errors import FatalClose, SendRefused, ShardFailed
from gatewright.transport.proxy import Proxy
from gatewright.transport.seams import (
    MetadataUnavailable,
)
from gatewright.transport.token import Token

__all__ = ["EngineOptions", "GatewayBot", "GatewayShard", "install"]

require("hikari")

_LOG: Final = logging.getLogger("gatewright.embed.hikari")


# -- the bot -----------------------------------------------------------------------------------------------------------


class GatewayBot(hikari.GatewayBot):
    """hikari's bot, with the engine's shards.

    Args:
        token, options: as for :class:`hikari.GatewayBot`.
        engine: what the engine's shards are told beside that. With `sessions`, a restart resumes; what hikari's cache
            knew is not kept: it fills again with what comes, and :attr:`hikari.GatewayBot.rest` has the rest.
    """

    def __init__(self, token: str, *, engine: EngineOptions | None = None, **options: Any) -> None:
        super().__init__(token, **options)
        self._engine_options = EngineOptions() if engine is None else engine

    async def _start_one_shard(self, **options: Unpack[_ShardStart]) -> None:
        await _start(self, self._engine_options, options)


@contextlib.contextmanager
def install(engine: EngineOptions | None = None) -> Generator[None]:
    """Within the block, every bot of class :class:`hikari.GatewayBot` starts the engine's shards.

    For programs that cannot change which class they make.
    """
    chosen = EngineOptions() if engine is None else engine

    async def start_one_shard(self: hikari.GatewayBot, **options: Unpack[_ShardStart]) -> None:
        await _start(self, chosen, options)

    before = hikari.GatewayBot._start_one_shard
    setattr(hikari.GatewayBot, "_start_one_shard", start_one_shard)  # noqa: B010 - a method of somebody else's class
    try:
        yield
    finally:
        setattr(hikari.GatewayBot, "_start_one_shard", before)  # noqa: B010


class _ShardStart(TypedDict):
    """What hikari 2.7 hands to `_start_one_shard`."""

    activity: presences.Activity | None
    afk: bool
    idle_since: datetime | None
    status: presences.Status
    large_threshold: int
    shard_id: int
    shard_count: int
    url: str


_ENGINES: Final[dict[int, BotEngine]] = {}
"""By the identity of the bot, which lives as long as one of its shards does."""


async def _start(bot: hikari.GatewayBot, engine: EngineOptions, options: _ShardStart) -> None:
    shared = _ENGINES.get(id(bot))
    if shared is None:
        ask = _asking(bot)
        shared = BotEngine(Token(bot._token), ask, on_unused=lambda: _ENGINES.pop(id(bot), None))
        _ENGINES[id(bot)] = shared
    shard = GatewayShard(bot, shared, engine, options)
    await shard.start()
    bot._shards[shard.id] = shard


def _asking(bot: hikari.GatewayBot) -> Callable[[], Any]:
    async def ask() -> Metadata:
        try:
            info = await bot.rest.fetch_gateway_bot_info()
        except errors.UnauthorizedError:
            raise MetadataUnavailable(MetadataError.FATAL, "Discord refused the token") from None
        except errors.RateLimitTooLongError as error:
            raise MetadataUnavailable(MetadataError.TRANSIENT, "rate limited", error.retry_after) from None
        except (errors.HikariError, OSError, TimeoutError) as error:
            raise MetadataUnavailable(MetadataError.TRANSIENT, type(error).__name__) from None
        limit = info.session_start_limit
        return Metadata(
            url=info.url,
            shards=info.shard_count,
            total=limit.total,
            remaining=limit.remaining,
            reset_after=limit.reset_after.total_seconds(),
            max_concurrency=limit.max_concurrency,
        )

    return ask


# -- the shard ---------------------------------------------------------------------------------------------------------


class GatewayShard(api.GatewayShard):
    """One of hikari's shards, run by the engine.

    Attributes:
        engine: the shard itself, for its states, metrics and verbs; ``None`` before :meth:`start`.
    """

    def __init__(self, bot: hikari.GatewayBot, shared: BotEngine, options: EngineOptions, start: _ShardStart) -> None:
        self.engine: AsyncioShard | None = None
        self._bot = bot
        self._shared = shared
        self._options = options
        self._start = start
        self._activity = start["activity"]
        self._status = start["status"]
        self._idle_since = start["idle_since"]
        self._afk = start["afk"]
        self._user_id: snowflakes.Snowflake | None = None
        self._life: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._told_connected = False
        self._stopping = False

    @property
    def capabilities(self) -> hikari.GatewayCapabilities:
        """As the bot declares them."""
        return self._bot._capabilities

    @property
    def heartbeat_latency(self) -> float:
        """Seconds; NaN before the first heartbeat was answered."""
        latency = None if self.engine is None else self.engine.latency
        return math.nan if latency is None else latency

    @property
    def id(self) -> int:
        """The shard's number."""
        return self._start["shard_id"]

    @property
    def intents(self) -> hikari.Intents:
        """As the bot declares them."""
        return self._bot._intents

    @property
    def is_alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._life is not None and not self._life.done()

    @property
    def is_connected(self) -> bool:
        """Whether there is a live session."""
        return self.is_alive and self.engine is not None and self.engine.state is State.READY

    @property
    def shard_count(self) -> int:
        """How many shards the bot has."""
        return self._start["shard_count"]

    def get_user_id(self) -> snowflakes.Snowflake:
        """The bot's own id, as READY said."""
        self._live()
        assert self._user_id is not None
        return self._user_id

    # -- its life --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Returns when the first READY was consumed; raises what hikari's own shard raises when there is none."""
        if self._life is not None:
            raise errors.ComponentStateConflictError("Cannot run more than one instance of one shard concurrently")
        life = self._life = asyncio.create_task(self._run(), name=f"gatewright (shard {self.id})")
        connected = asyncio.create_task(self._connected.wait())
        try:
            await asyncio.wait({life, connected}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            life.cancel()
            await asyncio.wait({life})
            raise
        finally:
            connected.cancel()
        if not self._connected.is_set():
            life.result()
            raise RuntimeError(f"shard {self.id} was closed before it could start successfully")

    async def close(self) -> None:
        """Ends the session, and returns when nothing of the shard is left."""
        if self._life is None:
            raise errors.ComponentStateConflictError("Cannot close an inactive shard")
        self._stopping = True
        if self._reading is None:
            self._life.cancel()
        else:
            self._reading.cancel()  # and so the shard's block is left, which stops it or, with a store, suspends it
        await asyncio.wait({self._life})

    async def join(self) -> None:
        """Waits until the shard has ended and nothing of it is left; raises what ended it."""
        if self._life is None:
            raise errors.ComponentStateConflictError("Cannot join an inactive shard")
        await asyncio.wait({self._life})
        if not self._life.cancelled():
            self._life.result()

    async def _run(self) -> None:
        async with self._shared as shared:
            shard = self.engine = self._make(shared)
            try:
                async with shard:
                    watching = asyncio.create_task(self._watch(shard))
                    self._reading = asyncio.create_task(self._read(shard))
                    try:
                        await self._reading
                    except asyncio.CancelledError:
                        if not self._stopping:
                            raise
                    finally:
                        watching.cancel()
            except ShardFailed as failure:
                raise _translated(failure) from failure
            finally:
                await self._say_disconnected()

    def _make(self, shared: BotEngine) -> AsyncioShard:
        given: dict[str, Any] = {
            "metadata": shared.metadata,
            "gate": shared.gate,
            **shard_options(self._options, shard_id=self.id, shard_count=self.shard_count),
        }
        if "opener" not in given:
            given["proxy"] = _proxy(self._bot._proxy_settings)
            given["tls"] = self._bot._http_settings.ssl
        return AsyncioShard(
            Token(self._bot._token),
            intents=int(self._bot._intents),
            engine=shared.engine,
            presence=self._presence(),
            large_threshold=self._start["large_threshold"],
            capabilities=int(self._bot._capabilities),
            compress="zlib-stream",
            **given,
        )

    # -- what comes ------------------------------------------------------------------------------------------------

    async def _read(self, shard: AsyncioShard) -> None:
        async for event in shard:
            if event.type == "RESUMED" and self._user_id is None:
                await self._recall_who_we_are(shard)
            self._consume(event.type, event)

    async def _recall_who_we_are(self, shard: AsyncioShard) -> None:
        """The session is older than this process, so no READY says who the bot is."""
        session = shard.session
        if session is not None and session.bot_id:
            self._user_id = snowflakes.Snowflake(session.bot_id)
        try:
            me = await self._bot.rest.fetch_my_user()
        except hikari.HikariError as error:  # events matter more; the cache goes without
            _LOG.warning("the bot's own user could not be fetched: %s", type(error).__name__)
        else:
            self._user_id = me.id
            self._bot._cache.set_me(me)

    def _consume(self, name: str, event: Dispatch) -> None:
        try:
            data = event.data
            if name == "READY":
                self._user_id = snowflakes.Snowflake(data["user"]["id"])
            self._bot._event_manager.consume_raw_event(name, self, data)
        except LookupError:
            _LOG.debug("hikari does not know the event %s", name)
        except Exception:  # noqa: BLE001 - it is hikari's or a user's, and one event; the shard goes on
            _LOG.exception("hikari could not consume the event %s", name)
        if name in {"READY", "RESUMED"}:
            self._connected.set()
            self._told_connected = True
            self._bot._event_manager.dispatch(self._bot._event_factory.deserialize_connected_event(self))

    async def _watch(self, shard: AsyncioShard) -> None:
        async for move in shard.transitions():
            if move.state is State.READY:
                await self._say_disconnected()

    async def _say_disconnected(self) -> None:
        if self._told_connected:
            self._told_connected = False
            event = self._bot._event_factory.deserialize_disconnected_event(self)
            await self._bot._event_manager.dispatch(event, return_tasks=True)

    # -- what goes -------------------------------------------------------------------------------------------------

    async def update_presence(
        self,
        *,
        idle_since: undefined.UndefinedNoneOr[datetime] = undefined.UNDEFINED,
        afk: undefined.UndefinedOr[bool] = undefined.UNDEFINED,
        activity: undefined.UndefinedNoneOr[presences.Activity] = undefined.UNDEFINED,
        status: undefined.UndefinedOr[presences.Status] = undefined.UNDEFINED,
    ) -> None:
        """Changes what is not undefined; the last of several changes in a short while wins."""
        engine = self._live()
        if idle_since is not undefined.UNDEFINED:
            self._idle_since = idle_since
        if afk is not undefined.UNDEFINED:
            self._afk = afk
        if activity is not undefined.UNDEFINED:
            self._activity = activity
        if status is not undefined.UNDEFINED:
            self._status = status
        presence = self._presence()
        with _refusals():
            await engine.run(lambda shard: shard.update_presence(presence))

    async def update_voice_state(
        self,
        guild: snowflakes.SnowflakeishOr[hikari.PartialGuild],
        channel: snowflakes.SnowflakeishOr[hikari.GuildVoiceChannel] | None,
        *,
        self_mute: undefined.UndefinedOr[bool] = undefined.UNDEFINED,
        self_deaf: undefined.UndefinedOr[bool] = undefined.UNDEFINED,
    ) -> None:
        """Joins, moves to or leaves a voice channel; the answers come as events."""
        await self._send(
            UpdateVoiceState(
                int(guild),
                None if channel is None else int(channel),
                self_mute=bool(self_mute),  # undefined is false
                self_deaf=bool(self_deaf),
            )
        )

    async def request_guild_members(
        self,
        guild: snowflakes.SnowflakeishOr[hikari.PartialGuild],
        *,
        include_presences: undefined.UndefinedOr[bool] = undefined.UNDEFINED,
        query: str = "",
        limit: int = 0,
        users: undefined.UndefinedOr[snowflakes.SnowflakeishSequence[hikari.User]] = undefined.UNDEFINED,
        nonce: undefined.UndefinedOr[str] = undefined.UNDEFINED,
    ) -> None:
        """Asks for members; the chunks come as events, as with hikari's own shard."""
        self._live()
        if not query and not limit and not self.intents & hikari.Intents.GUILD_MEMBERS:
            raise errors.MissingIntentError(hikari.Intents.GUILD_MEMBERS)
        if include_presences and not self.intents & hikari.Intents.GUILD_PRESENCES:
            raise errors.MissingIntentError(hikari.Intents.GUILD_PRESENCES)
        if users is not undefined.UNDEFINED and (query or limit):
            raise ValueError("Cannot specify limit/query with users")
        await self._send(
            RequestGuildMembers(
                int(guild),
                query=query if users is undefined.UNDEFINED else None,
                limit=limit,
                user_ids=None if users is undefined.UNDEFINED else [int(user) for user in users],
                presences=bool(include_presences),
                nonce=None if nonce is undefined.UNDEFINED else nonce,
            )
        )

    async def request_channel_info(
        self, guild: snowflakes.SnowflakeishOr[hikari.PartialGuild], *, fields: Sequence[api.ChannelInfoField]
    ) -> None:
        """Asks for what voice channels show for a while; the answer comes as an event."""
        await self._send(RequestChannelInfo(int(guild), [str(field) for field in fields]))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _live(self) -> AsyncioShard:
        if self.engine is None or not self.is_connected:
            raise errors.ComponentStateConflictError(
                f"shard {self.id} is not connected so it cannot be interacted with"
            )
        return self.engine

    async def _send(self, command: UserCommand) -> None:
        engine = self._live()
        with _refusals():
            await engine.send(command)

    def _presence(self) -> UpdatePresence:
        return UpdatePresence(
            status=str(self._status),
            activities=() if self._activity is None else (_activity(self._activity),),
            since=None if self._idle_since is None else self._idle_since.timestamp(),
            afk=self._afk,
        )


# -- words of one in words of the other --------------------------------------------------------------------------------


def _activity(activity: presences.Activity) -> Activity:
    kind, name, state = ActivityType(int(activity.type)), activity.name, activity.state
    if kind is ActivityType.CUSTOM and name and not state:
        name, state = "Custom Status", name  # as hikari lets its users write it
    return Activity(name, type=kind, state=state, url=activity.url)


@contextlib.contextmanager
def _refusals() -> Generator[None]:
    try:
        yield
    except SendRefused as refusal:
        raise errors.ComponentStateConflictError(str(refusal)) from refusal


def _translated(failure: ShardFailed) -> Exception:
    code = failure.failure.code
    if isinstance(failure, FatalClose) and code is not None:
        return errors.GatewayServerClosedConnectionError(str(failure), code, can_reconnect=False)
    return errors.GatewayError(str(failure))


def _proxy(settings: config.ProxySettings) -> Proxy | str | None:
    if settings.url is None:
        return "env" if settings.trust_env else None
    if settings.headers:
        raise ConfigurationError("the engine's proxies take credentials, and no other headers; leave headers out")
    if settings.auth is None:
        return Proxy(settings.url)
    if isinstance(settings.auth, config.BasicAuthHeader):
        return Proxy(settings.url, username=settings.auth.username, password=settings.auth.password)
    raise ConfigurationError("the engine's proxies take hikari.impl.BasicAuthHeader as auth, and nothing else")
