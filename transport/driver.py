"""The driver: performs the core's effects with trio, and feeds what comes of them.

All of it runs in one nursery, a shard's, with one more for each connection inside it. Feeding is synchronous: between
an event, its transition and the start of its effects there is no checkpoint. Effects run in order; a socket is opened
only after the one before it is gone (I01). Our tasks are protected from Ctrl-C, which is for the user's block: in the
middle of a transition it would leave half of one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from gatewright.fsm.core import ShardCore
from gatewright.fsm.errors import IllegalTransition
from gatewright.spec import effects as fx
from gatewright.spec.events import (
    DeadlinePassed,
    Event,
    MetadataError,
    MetadataFailed,
    MetadataFetched,
    QueueOverflowed,
    ReadingPaused,
    ReadingResumed,
    Ready,
    Registered,
    RegistrationFailed,
    RegistrationUndone,
    SlotGranted,
    SlotQueued,
    SlotUnavailable,
)
from gatewright.spec.protocol import END_SESSION_CODE, KEEP_SESSION_CODE, Opcode
from gatewright.spec.states import State
from gatewright.transport import codec
from gatewright.transport.connection import Connection
from gatewright.transport.dispatch import Dispatch, Origin
from gatewright.transport.inflate import Compression, inflater
from gatewright.transport.limiter import SendLimiter, reserve
from gatewright.transport.mailbox import Mailbox
from gatewright.transport.registrar import Registrar
from gatewright.transport.seams import (
    Clock,
    GateUnavailable,
    IdentifyGate,
    MetadataSource,
    MetadataUnavailable,
    Slot,
    StreamOpener,
)
from gatewright.transport.token import Token
from gatewright.transport.urls import UnusableUrl, parse_gateway_url
from gatewright.transport.waiting import Latch

_QUIET_PASSES: Final = 5
"""Passes of trio's loop without anything read or fed, after which everything that had arrived was fed: one for the
socket to become readable, one for the task that reads it, two for TLS, which reads a record in pieces, and one to
spare."""

_ROUNDING: Final = 1e-6
"""Seconds by which a timer may be early, because a clock's difference was rounded."""

_MOST_PASSES: Final = 20_000
_LONGEST_READ: Final = 5.0
"""Bounds on what a due timer waits for a reader that never rests, in passes and seconds: enough for all that
piles up while a loop is blocked, and an end to a flood, in which heartbeats need their turn."""


class Driver:
    """Runs one shard's core on trio.

    Args:
        core: the shard's state.
        token: revealed only into IDENTIFY and RESUME.
        mailbox: where dispatches go.
        registrar, metadata, opener, gate, clock, wall_clock: the seams of :mod:`gatewright.transport.seams`.
        identify: makes the payload of IDENTIFY.
        compress: what every connection negotiates, those that resume as well (P36, A19).
        on_step: called once the effects of an event were begun, with the number of steps that the journal got by it.
        on_dispatch: called in its place for ordinary dispatches, if anybody watches those.
    """

    __slots__ = (
        "_acquiring", "_clock", "_compress", "_dispatch", "_ended", "_ending", "_fetching", "_gate", "_identified",
        "_identify", "_metadata", "_nursery", "_on_dispatch", "_on_step", "_opener", "_registering", "_registrar",
        "_slot", "_timer", "_token", "_waiting_to_start", "_waits_before", "_wall_clock", "cleanup_errors",
        "connection", "core", "mailbox", "registration_error", "watch",
    )  # fmt: skip

    def __init__(
        self,
        core: ShardCore,
        *,
        token: Token,
        mailbox: Mailbox,
        registrar: Registrar,
        metadata: MetadataSource,
        opener: StreamOpener,
        gate: IdentifyGate,
        clock: Clock,
        identify: Callable[[], bytes],
        on_step: Callable[[Event, int], None],
        on_dispatch: Callable[[], None] | None = None,
        compress: Compression = Compression.NONE,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.core = core
        self.mailbox = mailbox
        self.connection: Connection | None = None
        self.registration_error: Exception | None = None
        self.cleanup_errors: list[Exception] = []
        self._token = token
        self._registrar = registrar
        self._metadata = metadata
        self._opener = opener
        self._gate = gate
        self._clock = clock
        self._wall_clock = wall_clock
        self._identify = identify
        self._compress = compress
        self._on_step = on_step
        self._on_dispatch = on_dispatch
        self._nursery: trio.Nursery | None = None
        self._ending = False
        self._ended = Latch()
        self._waiting_to_start: list[tuple[Callable[..., Awaitable[object]], tuple[object, ...]]] = []
        self._timer = trio.CancelScope()
        # Of what is under way, or was last.
        self._registering: trio.CancelScope | None = None
        self._fetching: trio.CancelScope | None = None
        self._acquiring: trio.CancelScope | None = None
        self._slot: tuple[int, Slot] | None = None
        self._identified: tuple[int, Slot] | None = None
        self._dispatch: Dispatch | None = None
        self._waits_before = 0
        self.watch: Callable[[Dispatch], None] | None = None
        """Looks at dispatches beside the consumer, while somebody waits for an answer."""

    @property
    def limiter_waits(self) -> int:
        """How many commands have had to wait for the send limit, on all connections so far."""
        return self._waits_before + (0 if self.connection is None else self.connection.outbox.waits)

    # -- feeding ---------------------------------------------------------------------------------------------------

    def feed(self, event: Event) -> None:
        """Takes an event into the machine and performs its effects, in order.

        Raises:
            IllegalTransition: as the core does; nothing changed.
        """
        journal = self.core.journal
        before = journal.written
        try:
            effects = self.core.feed(event, self._clock())
        except IllegalTransition:
            self._on_step(event, journal.written - before)  # a refusal is a step as well, for whoever watches
            raise
        steps = journal.written - before
        self._perform(effects)
        self._on_step(event, steps)
        self._rearm()

    def receive(self, gen: int, messages: list[str | bytes], *, checked: bool = False) -> bool:
        """Takes messages of the peer on generation `gen`, a burst; whether reading may go on, or waits for `room`.

        Those that were taken are gone from the list; when it waits, the others were not looked at. `checked` says that
        all are bytes, and UTF-8.
        """
        core, mailbox = self.core, self.mailbox
        now = self._clock()
        while messages:
            most, most_bytes = mailbox.room if self._on_dispatch is None else (1, 1)
            origin = mailbox.origin(core.session_id, replayed=core.state is State.RESUMING)
            run = codec.decode_run(messages, origin, checked=checked, most=most, most_bytes=most_bytes)
            if run.dispatches:
                del messages[: len(run.dispatches)]
                bounded = self._receive_run(gen, run, now)
            else:
                bounded = self._receive_event(gen, messages.pop(0)) is not None
            if not bounded:
                continue
            mailbox.flush()
            if mailbox.overflowed:
                mailbox.overflowed = False
                self.feed(QueueOverflowed(gen))
            elif mailbox.full:
                self.feed(ReadingPaused(gen))
                return False
        mailbox.flush()
        self._rearm()
        return True

    def _receive_run(self, gen: int, run: codec.Run, now: float) -> bool:
        """Feeds ordinary dispatches; whether the mailbox has to be looked at."""
        bounded, watched = False, self._on_dispatch
        rest: codec.Run | None = run
        while rest is not None:
            these, rest = rest, None
            taken, effects = self.core.feed_run(gen, these.seqs, these.types, now)
            if not taken:  # the first of them is something out of the ordinary
                taken, effects = 1, self.core.feed_dispatch(gen, these.seqs[0], these.types[0], now)
            if taken < len(these.seqs):
                these, rest = these.cut(taken)
            for effect in effects:
                if type(effect) is fx.Deliver:
                    bounded |= self._deliver_run(these)
                else:
                    for _ in these.seqs:
                        self._begin(effect)
            if watched is not None:
                watched()
        return bounded

    def _deliver_run(self, run: codec.Run) -> bool:
        bounded = self.mailbox.put_run(run.dispatches, run.size)
        if self.watch is not None:
            for dispatch in run.dispatches:
                self.watch(dispatch)
        return bounded

    def _receive_event(self, gen: int, message: str | bytes) -> Dispatch | None:
        event, dispatch = codec.decode(message, gen=gen, wall_clock=self._wall_clock)
        # READY answers a RESUME as well, from a server that has begun a new session instead.
        if dispatch is not None and self.core.state is State.RESUMING and type(event) is not Ready:
            dispatch.origin = _REPLAYED
        self._dispatch = dispatch
        self.feed(event)
        self._dispatch = None
        if type(event) is Ready and self._identified is not None and self._identified[0] == gen:
            self._gate.answered(self._identified[1])
            self._identified = None
        return dispatch

    async def room(self, gen: int) -> None:
        """Waits until reading may go on, because the consumer has taken enough out of its mailbox."""
        await self.mailbox.wait_for_room()
        self.feed(ReadingResumed(gen))

    @trio.lowlevel.enable_ki_protection
    async def run_timers(self) -> None:
        """Feeds due timers, each after everything that was received before it (I23)."""
        while True:
            self._timer = trio.CancelScope()
            self._rearm()
            with self._timer:
                await trio.sleep_forever()
            await self.read_what_has_come()
            due, now = self.core.next_deadline(), self._clock()
            if due is not None and due <= now + _ROUNDING:
                before = self.core.journal.written
                effects = self.core.tick(max(due, now))
                steps = self.core.journal.written - before
                self._perform(effects)
                self._on_step(DeadlinePassed(), steps)

    async def run(self) -> None:
        """Runs everything that the shard does in the background, until :meth:`end`.

        Shielded: whoever cancels the user's block cancels the block, and leaving it then stops the shard in order.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.cancel_scope.shield = True
                self._nursery = nursery
                if self._ending:
                    nursery.cancel_scope.cancel()
                for function, args in self._waiting_to_start:
                    nursery.start_soon(function, *args)
                self._waiting_to_start.clear()
                await self.run_timers()
        finally:
            self._ended.set()

    async def end(self) -> None:
        """Cancels everything that runs in the background, and waits for it, shielded."""
        self._ending = True
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await self._ended.wait()

    def _rearm(self) -> None:
        deadline = self.core.next_deadline()
        # The clock is a seam and need not be trio's; only differences carry over.
        if deadline is None:
            at = math.inf
        elif self._clock is trio.current_time:
            at = deadline
        else:
            at = trio.current_time() + (deadline - self._clock())
        if self._timer.deadline != at:
            self._timer.deadline = at

    async def read_what_has_come(self) -> None:
        """Lets the reader catch up with what has arrived, within a bound, so that what is late is judged after it."""
        connection = self.connection
        progress, quiet = -1, 0
        latest = trio.current_time() + _LONGEST_READ
        for passes in range(_MOST_PASSES):
            if passes >= _QUIET_PASSES and not self.core.blames(self._clock() + _ROUNDING):
                return  # in a flood there is always more, and a beat with its predecessor acknowledged accuses nobody
            # Not cancellable by our own timer scope, which has ended; the nursery's cancellation still comes through.
            await trio.lowlevel.checkpoint()
            before, progress = progress, 0 if connection is None else connection.progress
            quiet = quiet + 1 if progress == before else 0
            if quiet >= _QUIET_PASSES or trio.current_time() >= latest:
                return

    # -- performing ------------------------------------------------------------------------------------------------

    def _perform(self, effects: tuple[fx.Effect, ...]) -> None:
        for effect in effects:
            self._begin(effect)

    def _begin(self, effect: fx.Effect) -> None:
        match effect:
            case fx.Deliver():
                self._deliver()
            case fx.SendHeartbeat(gen, seq):
                self._urge(gen, Opcode.HEARTBEAT, codec.encode_heartbeat(seq))
            case fx.ApplyRegistrations():
                self._registering = trio.CancelScope()
                self._spawn(self._apply_registrations, self._registering)
            case fx.UndoRegistrations():
                _cancel(self._registering)
                self._spawn(self._undo_registrations)
            case fx.FetchMetadata(request, delay):
                self._fetching = trio.CancelScope()
                self._spawn(self._fetch_metadata, request, delay, self._fetching)
            case fx.CancelMetadata():
                _cancel(self._fetching)
            case fx.OpenSocket(gen, url):
                self._open(gen, url)
            case fx.CloseKeepingSession(gen):
                self._connection_of(gen).close(KEEP_SESSION_CODE)
            case fx.CloseEndingSession(gen):
                self._connection_of(gen).close(END_SESSION_CODE)
            case fx.AbortSocket(gen):
                self._connection_of(gen).abort()
            case fx.RequestSlot(gen):
                self._acquiring = trio.CancelScope()
                self._spawn(self._acquire_slot, gen, self._acquiring)
            case fx.WithdrawSlot():
                _cancel(self._acquiring)
            case fx.ReturnSlot(gen):
                self._return_slot(gen)
            case fx.SendIdentify(gen):
                self._urge(gen, Opcode.IDENTIFY, self._identify())
                self._settle_slot(gen)
            case fx.SendResume(gen, session_id, seq):
                payload = codec.encode_resume(token=self._token, session_id=session_id, seq=seq)
                self._urge(gen, Opcode.RESUME, payload)
            case _:
                raise NotImplementedError(f"no driver for {type(effect).__name__}")

    def _spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        if self._nursery is None:  # fed in the step in which run() was started
            self._waiting_to_start.append((function, args))
        else:
            self._nursery.start_soon(function, *args)

    def _connection_of(self, gen: int) -> Connection:
        connection = self.connection
        if connection is None or connection.gen != gen:
            raise RuntimeError(f"there is no connection of generation {gen}")
        return connection

    def _urge(self, gen: int, op: Opcode, payload: bytes) -> None:
        connection = self._connection_of(gen)
        if op is not Opcode.HEARTBEAT and self.core.interval is not None:
            connection.limiter.keep(reserve(self.core.interval))
        connection.outbox.urge(op, payload)

    def _deliver(self) -> None:
        dispatch = self._dispatch
        if dispatch is None:
            raise RuntimeError("nothing was received that could be delivered")
        dispatch.origin = self.mailbox.origin(self.core.session_id, replayed=dispatch.origin.replayed)
        self.mailbox.put(dispatch)
        if self.watch is not None:
            self.watch(dispatch)

    # -- registrations ---------------------------------------------------------------------------------------------

    async def _apply_registrations(self, scope: trio.CancelScope) -> None:
        with scope:
            outcome: Event = Registered()
            try:
                await self._registrar.apply(self.core.client, holder=self)
            except Exception as error:  # noqa: BLE001 - whatever it is, it ends the registration and surfaces
                outcome = RegistrationFailed(type(error).__name__)
                if scope.cancel_called:
                    self.cleanup_errors.append(error)
                else:
                    self.registration_error = error
            # One that takes no notice of being cancelled may end late, which is for the table to ignore. When the next
            # was begun meanwhile, nothing in the event would tell the end of this one from that of the next.
            if self._registering is scope:
                self.feed(outcome)

    async def _undo_registrations(self) -> None:
        await self.release()
        self.feed(RegistrationUndone())

    async def release(self) -> None:
        """Takes this shard's registration back, shielded and bounded; idempotent. What it raises is collected."""
        with trio.CancelScope(shield=True):
            try:
                await self._registrar.undo(self.core.client, holder=self, within=self.core.settings.undo_timeout)
            except Exception as error:  # noqa: BLE001 - collected, raised when the shard is left
                self.cleanup_errors.append(error)

    # -- metadata --------------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _fetch_metadata(self, request: int, delay: float, scope: trio.CancelScope) -> None:
        with scope:
            await trio.sleep(delay)
            try:
                found = await self._metadata.fetch()
            except MetadataUnavailable as failure:
                self.feed(MetadataFailed(request, failure.error, failure.reason, failure.retry_after))
                return
            try:
                parse_gateway_url(found.url)
            except UnusableUrl as unusable:
                self.feed(MetadataFailed(request, MetadataError.MALFORMED, str(unusable)))
                return
            self._gate.learn(found)
            self.feed(
                MetadataFetched(
                    request,
                    found.url,
                    found.shards,
                    found.total,
                    found.remaining,
                    found.reset_after,
                    found.max_concurrency,
                )
            )

    # -- the socket ------------------------------------------------------------------------------------------------

    def _open(self, gen: int, url: str) -> None:
        self._waits_before = self.limiter_waits
        before, self.connection = (
            self.connection,
            Connection(
                gen=gen,
                url=parse_gateway_url(url).with_query(compress=self._compress.query),
                opener=self._opener,
                inflater=inflater(self._compress),
                host=self,
                limiter=SendLimiter(self._clock),
                write_timeout=self.core.settings.write_timeout,
            ),
        )
        # Not the connection before itself, which would be kept for as long as this one lasts.
        self._spawn(self.connection.run, None if before is None else before.gone)

    # -- identify slots --------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _acquire_slot(self, gen: int, scope: trio.CancelScope) -> None:
        with scope:
            try:
                slot = await self._gate.acquire(
                    shard_id=self.core.settings.shard_id, on_queued=lambda eta: self.feed(SlotQueued(gen, eta))
                )
            except GateUnavailable as refusal:
                self.feed(SlotUnavailable(gen, refusal.refusal, refusal.retry_after))
                return
            # No checkpoint from here to the queue of the writer: the slot is used in the step in which it was taken, or
            # given back in it, as the table has it for one that nobody waits for any more. So this holds one at most.
            self._slot = (gen, slot)
            self.feed(SlotGranted(gen))

    def _settle_slot(self, gen: int) -> None:
        if self._slot is not None and self._slot[0] == gen:
            self._gate.sent(self._slot[1])
            self._identified, self._slot = self._slot, None

    def _return_slot(self, gen: int) -> None:
        if self._slot is not None and self._slot[0] == gen:
            self._gate.give_back(self._slot[1])
            self._slot = None


_REPLAYED: Final = Origin(replayed=True)
"""Of a dispatch whose session is found out when it is delivered."""


def _cancel(scope: trio.CancelScope | None) -> None:
    """Cancels what is under way, if it is."""
    if scope is not None:
        scope.cancel()
