"""A shard for programs on asyncio: the engine in its own thread, the same words on the loop."""

from __future__ import annotations

import asyncio
import functools
import ssl
import sys
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypedDict, TypeVar, Unpack

import attrs
import trio

from gatewright.embed.errors import EngineStopped
from gatewright.embed.pace import Pace
from gatewright.embed.stream import Ended, HandOver
from gatewright.embed.thread import EngineThread, Running
from gatewright.fsm.journal import Journal, Record
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.intents import Intents
from gatewright.spec.session import Session, SessionRefused
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.acks import DEFAULT_WINDOW, Ack, AckName, checked_ack, checked_window
from gatewright.transport.commands import UpdatePresence
from gatewright.transport.consumer import wanted_types
from gatewright.transport.dispatch import Dispatch, Keeper
from gatewright.transport.errors import ShardFailed
from gatewright.transport.exchange import CommandLimits
from gatewright.transport.inflate import Compression, CompressionName
from gatewright.transport.proxy import Proxy
from gatewright.transport.queue import Queue
from gatewright.transport.registrar import Registrar
from gatewright.transport.seams import (
    IdentifyGate,
    MetadataSource,
    Observer,
    Registration,
    SessionStore,
    StreamOpener,
)
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token

T = TypeVar("T")
P = ParamSpec("P")

HAND_OVER: Final = 1000
"""Dispatches that may wait for the loop, beside the burst that goes beyond. Then the engine takes no more from the
shard's own queue, whose bounds and policy hold."""
_MOVES: Final = 1000
_BATCH: Final = 250
"""Handled dispatches that are told to the engine at once."""
_LAG: Final = 0.05
"""Seconds after which fewer are told. Whoever asks for the session has them told before."""


class ShardOptions(TypedDict, total=False):
    """The options of :class:`gatewright.Shard` that make sense beside asyncio: all but the clocks and the dice."""

    client: object
    registrations: Iterable[Registration] | Registrar
    session: Session | None
    session_max_age: float | None
    store: SessionStore | None
    store_interval: float
    presence: UpdatePresence | None
    settings: Settings | None
    shard_id: int
    shard_count: int
    limits: CommandLimits | None
    queue: Queue | int
    large_threshold: int | None
    capabilities: int
    properties: Mapping[str, str]
    compress: Compression | CompressionName
    metadata: MetadataSource | None
    opener: StreamOpener | None
    gate: IdentifyGate | None
    proxy: Proxy | str | None
    tls: ssl.SSLContext | None
    observers: Iterable[Observer]
    watch_loop: bool


def _called(
    method: Callable[Concatenate[Shard, P], Awaitable[T]],
) -> Callable[Concatenate[AsyncioShard, P], Coroutine[Any, Any, T]]:
    """The async method of a shard that runs in the engine; cancelling it cancels it there, and waits."""

    @functools.wraps(method)
    async def call(self: AsyncioShard, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._call(functools.partial(method, self._shard, *args, **kwargs))

    return call


def _asked(
    method: Callable[Concatenate[Shard, P], T],
) -> Callable[Concatenate[AsyncioShard, P], Coroutine[Any, Any, T]]:
    """The synchronous method of a shard, called in the engine."""

    @functools.wraps(method)
    async def ask(self: AsyncioShard, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async def now() -> T:
            return method(self._shard, *args, **kwargs)

        return await self._call(now)

    return ask


class AsyncioShard:
    """As :class:`gatewright.Shard`, for asyncio.

    ::

        async with AsyncioShard(token, intents=Intents.GUILDS) as shard:
            async for event in shard:
                ...

    The shard runs in an :class:`~gatewright.embed.thread.EngineThread`: a handler that blocks the loop holds up its
    own program only, and heartbeats go on. Dispatches arrive in order. One counts as handled when the next is asked
    for, so that a session that is exported never skips what this program has not seen.

    Registrations, observers and the other seams run in the engine's thread, under trio; nothing else of yours does.

    Args:
        token, intents, options: as for :class:`gatewright.Shard`.
        engine: an engine to share with other shards, entered; without one the shard has its own.
        types: names of the dispatches that are wanted; the others never leave the engine, and count as handled.
        ack, ack_window: as for :class:`gatewright.Shard`. With ``manual``, ``event.ack()`` is called on the loop.

    Raises:
        ConfigurationError: for a value that cannot work, before any I/O.
    """

    def __init__(
        self,
        token: str | Token,
        *,
        intents: Intents | int,
        engine: EngineThread | None = None,
        types: Iterable[str] | None = None,
        ack: Ack | AckName = "auto",
        ack_window: int = DEFAULT_WINDOW,
        **options: Unpack[ShardOptions],
    ) -> None:
        self._by_hand = checked_ack(ack) is Ack.MANUAL
        # What is told of by itself, in order, needs no bound but that of the hand-over.
        window = checked_window(ack_window) if self._by_hand else sys.maxsize
        # To the shard every consumer here acknowledges: the engine takes ahead of what this loop has handled.
        self._shard = Shard(token, intents=intents, ack="manual", ack_window=window, **options)
        self._types = wanted_types(types)
        self._engine = EngineThread() if engine is None else engine
        self._owns_engine = engine is None
        self._events = HandOver[Dispatch](self._engine, min(HAND_OVER, window))
        self._life: Running[None] | None = None
        self._current: Dispatch | None = None
        self._handled: list[Dispatch] = []
        self._telling: asyncio.TimerHandle | None = None
        self._inlet = _Inlet(self._events, self._engine.pace, weakref.ref(self))
        self._failure: ShardFailed | None = None
        self._failure_seen = False
        self._left = False
        self._whole = False
        """Whether the shard's own stream ended, or was given up because the block is left."""
        # Of the engine's thread.
        self._reading = trio.CancelScope()
        self._leaving = trio.Event()

    # -- the block -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Registers, and returns at once."""
        if self._life is not None:
            raise ConfigurationError(_ONCE)
        if self._owns_engine:
            await self._engine.__aenter__()
        entered = asyncio.Event()
        self._life = self._engine.start(self._live, entered)
        try:
            await entered.wait()
        except BaseException:
            self._life.cancel()
            await self._over()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the shard, with a bound, and raises a failure that nobody has seen yet, as the shard itself does."""
        assert self._life is not None
        self._tell_what_was_handled()
        self._engine.soon(self._leave)
        await self._over()
        if error is None and self._failure is not None and not self._failure_seen:
            raise self._failure

    async def _over(self) -> None:
        assert self._life is not None
        try:
            await self._life.wait()
        finally:
            self._left = True
            if self._owns_engine:
                await self._engine.__aexit__(None, None, None)

    # -- in the engine ---------------------------------------------------------------------------------------------

    async def _live(self, entered: asyncio.Event) -> None:
        try:
            async with self._shard:
                self._engine.post(entered.set)
                with self._reading:
                    await self._read()
                await self._leaving.wait()
        finally:
            self._events.end()
            self._engine.post(entered.set)

    async def _read(self) -> None:
        try:
            await self._shard.push(self._inlet, self._types)
        except ShardFailed as failure:
            self._failure = failure  # the consumer raises it
        self._whole = True
        self._events.end()

    def _leave(self) -> None:
        self._whole = True
        self._reading.cancel()
        self._leaving.set()

    # -- what is true ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state of the shard, one of :class:`gatewright.State`, at this moment in its thread."""
        return self._shard.state

    @property
    def shard_id(self) -> int:
        """The shard's number, from 0."""
        return self._shard.shard_id

    @property
    def session(self) -> Session | None:
        """The session as it should be stored; ``None`` when there is none.

        While the block lasts it may lie some handled dispatches behind; :meth:`suspend` returns it exactly, and so
        does this once the block was left.
        """
        if not self._left:
            self._tell_what_was_handled()
        return self._shard.session

    @property
    def session_refused(self) -> SessionRefused | None:
        """Why the session that was brought along was not resumed, if so."""
        return self._shard.session_refused

    @property
    def latency(self) -> float | None:
        """The last heartbeat's round trip in seconds; ``None`` before the first."""
        return self._shard.latency

    async def journal(self) -> Journal:
        """A copy of the last steps of the shard."""

        async def now() -> Journal:
            return self._shard.journal.copy()

        return await self._call(now)

    def __repr__(self) -> str:
        """The shard's own; never the token."""
        return repr(self._shard).replace("<Shard", "<AsyncioShard", 1)

    # -- waiting and watching --------------------------------------------------------------------------------------

    async def transitions(self) -> AsyncGenerator[Record]:
        """The moves between states from the first ``anext`` on, until the shard is over.

        At most 1 000 wait for whoever watches; past that the oldest are lost.
        """
        moves = HandOver[Record](self._engine, _MOVES)

        async def watch() -> None:
            try:
                async for record in self._shard.transitions():
                    await moves.put(record)
            finally:
                moves.end()

        watching = self._start(watch)
        try:
            while True:
                yield await moves.take()
        except Ended:
            return
        finally:
            watching.cancel()

    def __aiter__(self) -> Self:
        """The dispatches, in order, until the shard is stopped and its queue is empty."""
        return self

    async def __anext__(self) -> Dispatch:
        """The next dispatch; unless ``ack="manual"``, asking for it says that the one before was handled.

        Raises:
            StopAsyncIteration: the shard was stopped, and nothing is left.
            ShardFailed: the shard failed, and nothing is left.
            EngineStopped: the engine ended before the shard did.
        """
        if self._current is not None:
            self._note_as_handled(self._current, within=_LAG)
            self._current = None
        try:
            dispatch = await self._events.take()
        except Ended:
            if self._failure is not None:
                self._failure_seen = True
                raise self._failure from None
            if not self._whole:
                raise EngineStopped("the engine has ended, and the shard with it") from None
            raise StopAsyncIteration from None
        if not self._by_hand:
            self._current = dispatch
        return dispatch

    def handle(self, dispatch: Dispatch) -> None:
        """Called by ``event.ack()``: it was handled. The engine is told soon."""
        # Soon, for a consumer with a full window waits for it.
        self._note_as_handled(dispatch, within=0.0)

    def _note_as_handled(self, dispatch: Dispatch, *, within: float) -> None:
        """Waking the engine costs more than the event itself, so it is told of several at a time."""
        self._handled.append(dispatch)
        if len(self._handled) >= _BATCH:
            self._tell_what_was_handled()
        elif self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(within, self._tell_what_was_handled)

    def _tell_what_was_handled(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if self._handled:
            handled, self._handled = self._handled, []
            self._engine.soon(self._acknowledge, handled)

    def _acknowledge(self, dispatches: list[Dispatch]) -> None:
        assert self._inlet.keeper is not None
        keeper = self._inlet.keeper()
        assert keeper is not None
        for dispatch in dispatches:
            keeper.handle(dispatch)

    # -- commands: the shard's own, run in the engine ----------------------------------------------------------------

    connect = _asked(Shard.connect)
    reconnect = _asked(Shard.reconnect)
    force_identify = _asked(Shard.force_identify)
    explain = _asked(Shard.explain)
    snapshot = _asked(Shard.snapshot)
    metrics = _asked(Shard.metrics)
    wait_for = _called(Shard.wait_for)
    stop = _called(Shard.stop)
    send = _called(Shard.send)
    update_presence = _called(Shard.update_presence)
    request_members = _called(Shard.request_members)
    request_soundboard_sounds = _called(Shard.request_soundboard_sounds)
    request_channel_info = _called(Shard.request_channel_info)
    join_voice = _called(Shard.join_voice)
    update_voice_state = _called(Shard.update_voice_state)

    async def suspend(self) -> Session | None:
        """Leaves with a code that keeps the session, and returns the session at what was handled."""
        self._tell_what_was_handled()
        return await self._call(self._shard.suspend)

    async def run(self, function: Callable[[Shard], Awaitable[T]]) -> T:
        """Runs ``await function(shard)`` in the engine, with the shard itself, and returns what it returns.

        For what has no method here. Cancelling it cancels the function.
        """
        return await self._call(function, self._shard)

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _call(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        try:
            return await self._start(function, *args).wait()
        except ShardFailed:
            self._failure_seen = True
            raise

    def _start(self, function: Callable[..., Awaitable[T]], *args: object) -> Running[T]:
        if self._life is None:
            raise ConfigurationError("the shard is not running; use it as: async with AsyncioShard(...) as shard")
        if self._left:
            raise ConfigurationError(f"the block of this shard was left; {_ONCE}")
        return self._engine.start(function, *args)


class _Inlet:
    """Where the shard pushes its dispatches on their way to the loop, a burst at a time.

    Attributes:
        keeper: the shard's own, that is told in the engine what was handled.
    """

    def __init__(self, events: HandOver[Dispatch], pace: Pace, own: Callable[[], Keeper | None]) -> None:
        self.keeper: Callable[[], Keeper | None] | None = None
        self._events = events
        self._pace = pace
        self._own = own

    def take(self, dispatches: list[Dispatch]) -> bool:
        """Takes a burst; whether the next may come at once."""
        self._pace.brought(len(dispatches), awaited=self._events.awaited)
        origin = dispatches[0].origin
        self.keeper, ours = origin.keeper, attrs.evolve(origin, keeper=self._own)
        for dispatch in dispatches:
            if dispatch.origin is not origin:
                origin = dispatch.origin
                ours = attrs.evolve(origin, keeper=self._own)
            dispatch.origin = ours  # on the loop nobody may touch the shard's
        return self._events.take_in(dispatches)

    async def room(self) -> None:
        """Waits until the loop has taken half of what waited."""
        await self._events.room()


_ONCE: Final = "a shard is used once; make a new one, with session=old.session to resume"
