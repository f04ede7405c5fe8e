"""A shard: what a bot writes its code against."""

from __future__ import annotations

import random as random_module
import ssl
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from types import TracebackType
from typing import Final, Self

import attrs
import trio

from gatewright.fsm.core import ShardCore, Snapshot
from gatewright.fsm.explain import Explanation
from gatewright.fsm.journal import Journal, Record
from gatewright.fsm.metrics import Beat, Metrics
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import Connect, Event, ForceIdentify, Reconnect, Register, Stop, Suspend
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import API_VERSION
from gatewright.spec.session import MAX_SESSION_AGE, Session, SessionInvalid, SessionRefused
from gatewright.spec.settings import Settings
from gatewright.spec.states import STATES, State
from gatewright.transport import codec
from gatewright.transport.acks import DEFAULT_WINDOW, Ack, AckName, checked_ack, checked_window
from gatewright.transport.arguments import check_all_do, check_kinds, check_seams
from gatewright.transport.commands import UpdatePresence
from gatewright.transport.consumer import EventStream, wanted_types
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.driver import Driver
from gatewright.transport.errors import RegistrationError, ShardFailed, ShardStopped, WaitFailed, shard_failed
from gatewright.transport.exchange import CommandLimits, Exchange
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.inflate import Compression, CompressionName, compression
from gatewright.transport.keeping import DEFAULT_INTERVAL, SessionKeeper
from gatewright.transport.logs import ShardLog
from gatewright.transport.mailbox import Mailbox
from gatewright.transport.metadata import HttpMetadataSource
from gatewright.transport.presence import Presence
from gatewright.transport.proxy import Proxy
from gatewright.transport.push import Sink, push
from gatewright.transport.queue import DEFAULT_EVENTS, Queue, queue_of
from gatewright.transport.registrar import Registrar
from gatewright.transport.seams import (
    Clock,
    IdentifyGate,
    MetadataSource,
    Observer,
    RandomSource,
    Registration,
    SessionStore,
    StreamOpener,
)
from gatewright.transport.streams import TcpStreamOpener
from gatewright.transport.token import Token
from gatewright.transport.turnstile import turn
from gatewright.transport.urls import parse_gateway_url, usable_resume_url
from gatewright.transport.verbs import CommandVerbs
from gatewright.transport.watchdog import Watching

_TRANSITIONS_KEPT: Final = 1000


class Shard(CommandVerbs):
    """One gateway connection, kept alive for as long as the block lasts.

    Use it as an async context manager: entering registers and returns at once, ``wait_for("ready")`` waits, and
    ``async for`` gives the dispatches. Leaving the block stops the shard, with a bound; an exception or a cancellation
    in the block does the same.

    Args:
        token: the bot token; surrounding spaces and a ``Bot `` prefix are removed.
        intents: which dispatches the session receives.
        client: handed to the registrations; anything.
        registrations: side effects of registering, applied once before the first connection and undone in reverse
            when the block is left. Shards of one client share one
            :class:`~gatewright.transport.registrar.Registrar`.
        session: a session to resume instead of beginning one. One that cannot be resumed here (another shard pair,
            other intents, another bot, too old) is let go with a warning, :attr:`session_refused` says why, and the
            shard begins a new one.
        store: where the session survives the process: read at the start, saved every `store_interval` seconds and at
            the end. Leaving the block then suspends the shard instead of stopping it, so that the next process
            resumes; :meth:`stop` ends the session all the same.
        session_max_age: seconds since READY after which a session counts as too old; ``None`` for no bound.
        presence: the presence to begin with.
        settings: deadlines and bounds; shard id and count are taken from it. `intents` in it is overwritten.
        shard_id, shard_count: the shard pair, when `settings` is not given.
        limits: how many commands and requests may be under way.
        queue: how much may wait for the consumer, and what happens then: a :class:`~gatewright.transport.queue.Queue`,
            or a number of dispatches, at which reading pauses.
        ack: when a dispatch counts as handled: ``auto``, when the next one is asked for; ``manual``, when its ``ack()``
            is called.
        ack_window: with ``manual``, how many dispatches may be handed out from the oldest that is not acknowledged on.
        metadata, opener, gate, clock, wall_clock, random, observers: the seams (:mod:`gatewright.transport.seams`).
        proxy: the way for metadata and websocket: a URL such as ``http://user:password@host:port`` or
            ``socks5h://host:port``, a :class:`~gatewright.transport.proxy.Proxy`, or ``"env"`` for what
            ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` say; by default they are not looked at.
        tls: whom to trust instead of the system's authorities, for metadata and websocket.
        large_threshold, capabilities, properties: see :func:`gatewright.transport.codec.encode_identify`.
        compress: how the gateway compresses what it sends: ``none``; ``zlib-stream`` or ``zstd-stream``, which keep one
            context a connection, and of which the latter needs the extra ``gatewright[zstd]`` before Python 3.14;
            ``payload``, single messages. A `session` wants the value that it was begun with (A19).
        watch_loop: whether a thread warns, with the stack, when something blocks the event loop for longer than a
            heartbeat tolerates (:mod:`gatewright.transport.watchdog`).

    Raises:
        ConfigurationError: for a value that cannot work, before any I/O.
    """

    __slots__ = (
        "__weakref__", "_ack", "_capabilities", "_client", "_clock", "_compress", "_core", "_driver", "_events",
        "_exchange", "_failure_seen", "_gate", "_keeper", "_large_threshold", "_left", "_limits", "_log", "_mailbox",
        "_metadata", "_nursery", "_nursery_manager", "_observers", "_opener", "_presence", "_properties", "_random",
        "_registrar", "_session", "_session_max_age", "_session_refused", "_settings", "_token", "_wall_clock",
        "_watch_loop", "_watchers",
    )  # fmt: skip

    def __init__(
        self,
        token: str | Token,
        *,
        intents: Intents | int,
        client: object = None,
        registrations: Iterable[Registration] | Registrar = (),
        session: Session | None = None,
        session_max_age: float | None = MAX_SESSION_AGE,
        store: SessionStore | None = None,
        store_interval: float = DEFAULT_INTERVAL,
        presence: UpdatePresence | None = None,
        settings: Settings | None = None,
        shard_id: int = 0,
        shard_count: int = 1,
        limits: CommandLimits | None = None,
        queue: Queue | int = DEFAULT_EVENTS,
        ack: Ack | AckName = "auto",
        ack_window: int = DEFAULT_WINDOW,
        large_threshold: int | None = None,
        capabilities: int = 0,
        properties: Mapping[str, str] = codec.DEFAULT_PROPERTIES,
        compress: Compression | CompressionName = "none",
        metadata: MetadataSource | None = None,
        opener: StreamOpener | None = None,
        gate: IdentifyGate | None = None,
        proxy: Proxy | str | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Clock = trio.current_time,
        wall_clock: Callable[[], float] = time.time,
        random: RandomSource = random_module.random,
        observers: Iterable[Observer] = (),
        watch_loop: bool = True,
    ) -> None:
        check_kinds(
            presence=(presence, UpdatePresence),
            settings=(settings, Settings),
            limits=(limits, CommandLimits),
            properties=(properties, Mapping),
            tls=(tls, ssl.SSLContext),
        )
        check_seams(
            store=(store, "save"),
            metadata=(metadata, "fetch"),
            opener=(opener, "()"),
            gate=(gate, "acquire"),
            clock=(clock, "()"),
            wall_clock=(wall_clock, "()"),
            random=(random, "()"),
        )
        if not isinstance(registrations, Registrar):
            registrations = Registrar(check_all_do("registrations", registrations, "apply"))
        self._token = token if isinstance(token, Token) else Token(token)
        self._client = client
        if not isinstance(intents, int) or isinstance(intents, bool):
            raise ConfigurationError(f"intents must be members of gatewright.Intents, or their number, not {intents!r}")
        chosen = _choose_settings(settings, shard_id, shard_count)
        self._settings = attrs.evolve(chosen, intents=int(intents))
        parse_gateway_url(self._settings.fallback_url)
        self._log = ShardLog(self._settings.shard_id)
        self._wall_clock = wall_clock
        self._session_max_age = _checked_age(session_max_age)
        self._session_refused: SessionRefused | None = None
        self._keeper: SessionKeeper | None = None
        if store is not None:
            if session is not None:
                raise ConfigurationError("a session comes from the store or by itself: give one of the two")
            self._keeper = SessionKeeper(store, lambda: self.session, interval=store_interval, log=self._log)
        if session is not None:
            session = self._admitted(_checked_session(session))
        self._presence = Presence(presence)
        self._limits = CommandLimits() if limits is None else limits
        self._exchange: Exchange | None = None
        self._large_threshold = large_threshold
        self._capabilities = capabilities
        self._properties = codec.DEFAULT_PROPERTIES if properties is codec.DEFAULT_PROPERTIES else dict(properties)
        self._compress = compression(compress)
        self._identify_payload(presence)  # refuses what cannot be sent, now rather than at the first HELLO
        self._session = session
        self._registrar = registrations
        if opener is not None and (proxy is not None or tls is not None):
            raise ConfigurationError("an opener decides about proxy and tls itself; give them to it, or leave it out")
        self._opener: StreamOpener = TcpStreamOpener(proxy=proxy, ssl_context=tls) if opener is None else opener
        self._metadata = HttpMetadataSource(self._token, opener=self._opener) if metadata is None else metadata
        self._gate: IdentifyGate | None = gate
        self._clock = clock
        self._random = random
        self._observers = check_all_do("observers", observers, "observe")
        self._ack = checked_ack(ack)
        window = checked_window(ack_window) if self._ack is Ack.MANUAL else None
        self._mailbox = Mailbox(queue_of(queue), window=window, on_stuck=self._log.window_full)
        self._events = self._stream(None)
        self._driver: Driver | None = None
        self._core = self._make_core()
        self._watch_loop = watch_loop
        self._nursery: trio.Nursery | None = None
        self._nursery_manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._watchers: list[weakref.ref[Transitions]] = []
        self._failure_seen = False
        self._left = False

    # -- the block -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Registers, and returns at once; of many that are entered at once, a few in each pass of trio's loop."""
        await turn()
        if self._driver is not None:
            raise ConfigurationError(_ONCE)
        if self._keeper is not None:
            stored = await self._keeper.load()
            if isinstance(stored, SessionRefused):
                self._refuse_session(stored)
            elif stored is not None:
                self._session = self._admitted(_checked_session(stored))
        self._core = self._make_core(now=self._clock())
        self._driver = Driver(
            self._core,
            token=self._token,
            mailbox=self._mailbox,
            registrar=self._registrar,
            metadata=self._metadata,
            opener=self._opener,
            gate=InMemoryIdentifyGate(clock=self._clock) if self._gate is None else self._gate,
            clock=self._clock,
            identify=self._identify_now,
            compress=self._compress,
            on_step=self._after_step,
            on_dispatch=self._after_dispatch if self._observers else None,
            wall_clock=self._wall_clock,
        )
        self._exchange = Exchange(
            self._core,
            self._driver,
            self._presence,
            check_presence=self._identify_payload,
            limits=self._limits,
        )
        self._nursery_manager = trio.open_nursery()
        self._nursery = await self._nursery_manager.__aenter__()
        self._nursery.start_soon(self._run, self._driver)
        if self._keeper is not None:
            self._nursery.start_soon(self._keeper.run)
        self._driver.feed(Register(self._client))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Stops the shard, shielded and bounded, and raises a failure that nobody has seen yet."""
        assert self._nursery is not None
        assert self._nursery_manager is not None
        defect: Exception | None = None
        if not self._nursery.cancel_scope.cancel_called:
            # The table bounds this; the scope bounds what the table cannot see, a crash of our own tasks.
            with trio.move_on_after(self._longest_wind_down(), shield=True):
                try:
                    await self._wind_down()
                except Exception as raised:  # noqa: BLE001 - it surfaces when nothing of the shard is left
                    defect = raised
        driver = self._running()
        self._mailbox.close()
        await driver.end()
        await driver.release()  # last: after a crash there may be a registration that was about to begin
        if self._keeper is not None:
            await self._keeper.end()
        self._commands().end()
        self._left = True
        for watcher in self._watching():
            watcher.end()
        if self._nursery.cancel_scope.cancel_called:
            # A task of ours crashed, and the nursery has cancelled the block: it knows what to make of that.
            return await self._nursery_manager.__aexit__(kind, error, trace)
        # The user's own exception passes unchanged, not wrapped in the group that a nursery would make of it.
        await self._nursery_manager.__aexit__(None, None, None)
        if defect is not None:
            raise defect
        if error is None:
            self._raise_what_nobody_saw()
        return None

    @trio.lowlevel.enable_ki_protection
    async def _run(self, driver: Driver) -> None:
        watch = Watching(self.shard_id, driver.core) if self._watch_loop else nullcontext()
        with watch:
            await driver.run()

    async def _wind_down(self) -> None:
        driver = self._running()
        if self.state is not State.SUSPENDED:
            stay = self._keeper is not None and self.explain("suspend").possible
            driver.feed(Suspend() if stay else Stop())
            await self._settled(State.SUSPENDED, State.STOPPED, State.FAILED)
        if driver.connection is not None:
            await driver.connection.gone.wait()

    def _longest_wind_down(self) -> float:
        settings = self._settings
        return settings.final_close_timeout + settings.undo_timeout + settings.close_timeout

    def _raise_what_nobody_saw(self) -> None:
        assert self._driver is not None
        errors: list[Exception] = list(self._driver.cleanup_errors)
        if self._core.failure is not None and self.state is State.FAILED and not self._failure_seen:
            errors.insert(0, self._seen_failure())
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("the shard ended with errors", errors)

    # -- what is true ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state of the shard, one of :class:`gatewright.State`."""
        return self._core.state

    @property
    def shard_id(self) -> int:
        """The shard's number, from 0."""
        return self._settings.shard_id

    @property
    def session(self) -> Session | None:
        """The session as it should be stored: at the sequence up to which events were handled (I17).

        ``None`` when there is none. An event counts as handled when the next one is asked for, or with
        ``ack="manual"`` when its ``ack()`` was called and that of every event before it.
        """
        held = self._core.held_session
        if held is None:
            return None
        committed = self._mailbox.acks.committed(held.id)
        return held if committed is None else attrs.evolve(held, seq=max(committed, held.seq))

    @property
    def session_refused(self) -> SessionRefused | None:
        """Why the session that was brought along is not resumed; ``None`` when it is, and when there was none."""
        return self._session_refused

    @property
    def journal(self) -> Journal:
        """The last steps of the shard."""
        return self._core.journal

    @property
    def counts(self) -> dict[str, int]:
        """How often each row was taken that is not the normal case: ignored, unexpected, refused; by row id."""
        return dict(self._core.counts)

    @property
    def latency(self) -> float | None:
        """The last heartbeat's round trip in seconds; ``None`` before the first."""
        return self._core.snapshot().latency

    @property
    def beats(self) -> tuple[Beat, ...]:
        """The last 20 scheduled heartbeats, oldest first, each with its round trip."""
        return self._core.beats

    @property
    def not_ready_since(self) -> float | None:
        """Since when the shard has had no proven session, in seconds on its clock; ``None`` while it has one.

        A session is proven by the first ACK of a heartbeat that was due in `ready` (I11). One that is lost before
        resets nothing, so that a shard which flaps is as old a problem as it is. For how long: ``not_ready_for`` of
        :meth:`snapshot` and :meth:`metrics`.
        """
        return self._core.not_ready_since

    def metrics(self) -> Metrics:
        """The shard in numbers: counters since it was made, and the round trips of its heartbeats."""
        driver = self._driver
        return self._core.metrics(
            None if driver is None or self._left else self._clock(),
            dropped=self._mailbox.dropped,
            limiter_waits=0 if driver is None else driver.limiter_waits,
        )

    def snapshot(self) -> Snapshot:
        """What can be said of the shard now."""
        return self._core.snapshot(self._clock())

    def explain(self, event: type[Event] | str, *, wanted: State | str | None = None) -> Explanation:
        """Whether a command (or any event) is possible now, why not, what is, and the shortest way to where it is."""
        return self._core.explain(event, wanted=None if wanted is None else State(wanted))

    def __repr__(self) -> str:
        """State and generation; never the token."""
        return f"<Shard {self.shard_id}/{self._settings.shard_count} {self.state} generation {self._core.gen}>"

    # -- waiting and watching --------------------------------------------------------------------------------------

    async def wait_for(self, *states: State | str, fail_on: State | str | Iterable[State | str] = ()) -> State:
        """Waits until the shard is in one of `states`, and returns it. A state that lasts no time at all counts.

        Args:
            states: what to wait for.
            fail_on: states that end the wait with an error when they come first, or hold already.

        Raises:
            WaitFailed: a state of `fail_on` was entered first.
            ShardFailed: the shard failed, and `failed` was not waited for.
            ShardStopped: it stopped, and `stopped` was not waited for.
            ValueError: for a name that no state has, and for a state that is both wanted and not.
        """
        wanted = frozenset(map(State, states))
        unwanted = frozenset(map(State, (fail_on,) if isinstance(fail_on, str) else fail_on))
        if not wanted:
            raise ValueError("name at least one state to wait for")
        if both := wanted & unwanted:
            raise ValueError(f"waited for, and in fail_on as well: {', '.join(sorted(both))}")
        # That it failed or stopped has errors of its own, which say more.
        found = await self._settled(*wanted, *unwanted - _OVER)
        if found is not None:
            if found in unwanted:
                raise WaitFailed(found, wanted)
            return found
        if self.state is State.FAILED:
            raise self._seen_failure()
        raise ShardStopped(f"the shard stopped before it was {' or '.join(sorted(wanted))}")

    def transitions(self) -> Transitions:
        """The moves between states from now on, until the shard is over or its block was left.

        A watcher that lags loses the oldest.
        """
        return Transitions(self)

    def events(self, types: Iterable[str] | None = None) -> EventStream:
        """The dispatches of these types, or all; see :class:`~gatewright.transport.consumer.EventStream`.

        Dispatches of other types are let go, undecoded, and count as handled. So does the last one of a loop over the
        shard itself: a new stream goes on from there.

        Raises:
            ConfigurationError: if `types` is a string or holds no names.
        """
        stream = self._stream(wanted_types(types))
        self._events.move_on()
        return stream

    async def push(self, sink: Sink, types: Iterable[str] | None = None) -> None:
        """Pushes the dispatches, in bursts and in the step in which they were read, until the shard is over.

        For those who hand them on to another thread, loop or process. Nothing is asked for and no task is woken, which
        costs less than ``async for``; but the sink must not block, and says itself when it has enough. While this
        runs, nobody else can ask for dispatches. Cancelling it ends the pushing; what was not pushed waits.

        Args:
            sink: where they go (:class:`~gatewright.transport.push.Sink`). A burst counts as handled when it was taken;
                with ``ack="manual"`` each dispatch does when its ``ack()`` is called, and `ack_window` holds.
            types: names of the dispatches that are wanted; the others are let go, and count as handled.

        Raises:
            ShardFailed: the shard failed, and nothing is left.
            ConsumerBusy: somebody else takes dispatches.
            ConfigurationError: if `sink` is none, or `types` is a string or holds no names.
            Exception: whatever the sink raises.
        """
        wanted = wanted_types(types)
        self._events.move_on()
        await push(self._mailbox, sink, failure=self._end_of_events, types=wanted, auto=self._ack is Ack.AUTO)

    def __aiter__(self) -> EventStream:
        """The dispatches, in order, until the shard is stopped and its queue is empty: one stream for every loop."""
        return self._events

    async def __anext__(self) -> Dispatch:
        """The next dispatch; unless ``ack="manual"``, asking for it says that the one before was handled.

        Raises:
            StopAsyncIteration: the shard was stopped, and nothing is left.
            ShardFailed: the shard failed, and nothing is left.
            ConsumerBusy: another task waits here, or a stream of :meth:`events` with types is open.
        """
        return await anext(self._events)

    def _stream(self, types: frozenset[str] | None) -> EventStream:
        return EventStream(self._mailbox, failure=self._end_of_events, types=types, ack=self._ack)

    def _end_of_events(self) -> Exception | None:
        return self._seen_failure() if self.state is State.FAILED else None

    @property
    def dropped(self) -> int:
        """How many dispatches the queue's policy ``drop_oldest`` has let go."""
        return self._mailbox.dropped

    @property
    def unacked(self) -> int:
        """How many dispatches were handed out and are not handled.

        With ``ack="manual"``, of which `ack_window` is the bound, those count as well that were handled after the
        oldest that is not.
        """
        return self._mailbox.acks.unhandled

    # -- commands --------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Wakes a back-off, or comes back from `suspended`.

        Raises:
            IllegalTransition: anywhere else; the message says why, and what is possible.
        """
        self._running().feed(Connect())

    def reconnect(self) -> None:
        """Replaces the connection, keeping the session; wakes a back-off.

        Raises:
            IllegalTransition: where there is nothing to replace.
        """
        self._running().feed(Reconnect())

    def force_identify(self) -> None:
        """Drops the session; the next handshake is IDENTIFY.

        Raises:
            IllegalTransition: where there will be no handshake.
        """
        self._running().feed(ForceIdentify())

    async def suspend(self) -> Session | None:
        """Leaves with a code that keeps the session, stays away until :meth:`connect`, and returns the session.

        Returns when the socket is gone.

        Raises:
            IllegalTransition: after `stop`, and before anything was begun.
            ShardFailed: the shard failed meanwhile.
        """
        self._running().feed(Suspend())
        end = await self._settled(State.SUSPENDED, State.STOPPED, State.FAILED)
        await self._socket_gone()
        if end is State.FAILED:
            raise self._seen_failure()
        return self.session

    async def stop(self) -> None:
        """Ends the shard and its session with a close code of 1000. Returns when the socket is gone, within 5 s."""
        self._running().feed(Stop())
        await self._settled(State.STOPPED, State.FAILED)
        await self._socket_gone()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _make_core(self, *, now: float = 0.0) -> ShardCore:
        """The core; simulations put one in its place whose every step is judged."""
        return ShardCore(self._settings, session=self._session, random=self._random, now=now)

    def _admitted(self, session: Session) -> Session | None:
        """The session if it can be resumed here. If not, this once an IDENTIFY takes its place, and it is said why."""
        settings = self._settings
        refused = session.refused(
            shard=settings.shard_id,
            shard_count=settings.shard_count,
            intents=settings.intents,
            bot_id=self._token.bot_id,
            api_version=API_VERSION,
            now=self._wall_clock(),
            max_age=self._session_max_age,
        )
        if refused is None:
            return session
        self._refuse_session(refused)
        return None

    def _refuse_session(self, refused: SessionRefused) -> None:
        self._session_refused = refused
        self._log.session_refused(refused)

    def _identify_now(self) -> bytes:
        return self._identify_payload(self._presence.identify())

    def _identify_payload(self, presence: UpdatePresence | None) -> bytes:
        return codec.encode_identify(
            token=self._token,
            intents=self._settings.intents,
            shard=(self._settings.shard_id, self._settings.shard_count),
            presence=presence,
            large_threshold=self._large_threshold,
            capabilities=self._capabilities,
            properties=self._properties,
            compress=self._compress is Compression.PAYLOAD,
        )

    def _running(self) -> Driver:
        if self._driver is None:
            raise ConfigurationError("the shard is not running; use it as: async with Shard(...) as shard")
        if self._left:
            raise ConfigurationError(f"the block of this shard was left; {_ONCE}")
        return self._driver

    def _commands(self) -> Exchange:
        self._running()
        assert self._exchange is not None
        return self._exchange

    def _member_intents(self) -> Intents:
        return Intents(self._settings.intents)

    def _bot_id(self) -> str:
        session = self._core.session
        return self._token.bot_id if session is None or not session.bot_id else session.bot_id

    def _seen_failure(self) -> ShardFailed:
        assert self._core.failure is not None
        assert self._driver is not None
        self._failure_seen = True
        error = shard_failed(self._core.failure)
        if isinstance(error, RegistrationError):
            error.__cause__ = self._driver.registration_error
        return error

    async def _settled(self, *states: State) -> State | None:
        """The first of `states` that is entered; ``None`` when the shard is over, or its block left, without."""
        moves = self.transitions()
        if self.state in states:
            found = self.state
            await trio.lowlevel.checkpoint()
            return found
        async for record in moves:
            if record.to in states:
                return record.to
        return None

    async def _socket_gone(self) -> None:
        driver = self._driver
        if driver is not None and driver.connection is not None:
            await driver.connection.gone.wait()

    def _watch(self, watcher: Transitions) -> None:
        # Weak: a watcher that is forgotten is gone, without having to say so. No WeakSet, which takes 2 KiB a shard.
        self._watchers.append(weakref.ref(watcher, self._watchers.remove))

    def _watching(self) -> list[Transitions]:
        return [watcher for reference in tuple(self._watchers) if (watcher := reference()) is not None]

    def _after_step(self, event: Event, steps: int) -> None:
        records = self._core.journal.last(steps)
        if self._exchange is not None:
            self._exchange.after_step(event)
        for record in records:
            self._publish(record)

    def _after_dispatch(self) -> None:
        for record in self._core.journal.last():
            self._publish(record)

    def _publish(self, record: Record) -> None:
        for observer in self._observers:
            try:
                observer.observe(record)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not the shard's
                self._log.observer_failed(error)
        self._log.step(record, self._core)
        if record.moved:
            for watcher in self._watching():
                watcher.put(record)
            if STATES[record.to].absorbing:
                self._mailbox.close()


_OVER: Final = frozenset({State.STOPPED, State.FAILED})
_ONCE: Final = "a Shard is used once; make a new one, with session=old.session to resume"


class Transitions:
    """The moves of one shard, for one watcher: an async iterator that ends when the shard is over.

    At most 1 000 moves wait for the watcher; past that the oldest are lost, and :attr:`lost` counts them.
    """

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._queue: deque[Record] = deque()
        self._lot = trio.lowlevel.ParkingLot()
        self._ended = shard._left
        self.lost = 0
        shard._watch(self)

    def put(self, record: Record) -> None:
        """Called by the shard with each move."""
        if len(self._queue) >= _TRANSITIONS_KEPT:
            self._queue.popleft()
            self.lost += 1
        self._queue.append(record)
        self._lot.unpark_all()

    def end(self) -> None:
        """Called by the shard when its block was left: there will be no more."""
        self._ended = True
        self._lot.unpark_all()

    def __aiter__(self) -> Self:
        """An iterator is its own."""
        return self

    async def __anext__(self) -> Record:
        """The next move."""
        await trio.lowlevel.checkpoint()
        while not self._queue:
            if self._ended or STATES[self._shard.state].absorbing:
                raise StopAsyncIteration
            await self._lot.park()
        return self._queue.popleft()


def _checked_age(age: float | None) -> float | None:
    if age is not None and (isinstance(age, bool) or not isinstance(age, (int, float)) or not age > 0):
        raise ConfigurationError(f"session_max_age must be a positive number of seconds, or None, not {age!r}")
    return age


def _choose_settings(settings: Settings | None, shard_id: int, shard_count: int) -> Settings:
    if settings is None:
        return Settings(shard_id=shard_id, shard_count=shard_count)
    if (shard_id, shard_count) not in {(0, 1), (settings.shard_id, settings.shard_count)}:
        raise ConfigurationError(
            f"shard {shard_id} of {shard_count} is asked for, and the settings say {settings.shard_id} of "
            f"{settings.shard_count}; say it once, in the settings"
        )
    return settings


def _checked_session(session: object) -> Session:
    """A resume URL that cannot be used is left out: the main one resumes as well (R20)."""
    if not isinstance(session, Session):
        kind = type(session).__name__
        raise ConfigurationError(f"session must be a gatewright.Session, not {kind}; text becomes one by from_json()")
    try:
        session.to_json()
    except SessionInvalid as error:
        raise ConfigurationError(f"{error}; begin a new session instead") from None
    return attrs.evolve(session, resume_url=usable_resume_url(session.resume_url))
