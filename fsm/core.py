"""The sans-I/O shard: events in, effects out, time as an argument.

Whoever drives it feeds what happened, performs the effects in order, and calls :meth:`ShardCore.tick` when
:meth:`ShardCore.next_deadline` has come. It does no I/O, reads no clock and calls no user code.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from gatewright.fsm.compiled import CompiledTable
from gatewright.fsm.errors import IllegalTransition, Refusal
from gatewright.fsm.explain import Explanation, explain, legal_commands
from gatewright.fsm.journal import DEFAULT_SIZE, Journal
from gatewright.fsm.machine import TableMachine
from gatewright.fsm.metrics import Beat, Metrics, Tally
from gatewright.fsm.runtime import DispatchRuntime, Runtime
from gatewright.spec.context import Context, Failure
from gatewright.spec.effects import Effect
from gatewright.spec.events import DeadlinePassed, Dispatched, Event, HeartbeatDue
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.session import Metadata, Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import Cause, State, Then
from gatewright.spec.table import TABLE

# Names of the module are looked up faster than members of an enumeration, and a dispatch asks for both.
_TAKE: Final = RowKind.TAKE
_READY: Final = State.READY

_NO_ROW: Final = "The table has no row for it here; whoever fed it is out of step."


@functools.cache
def shipped_machine() -> TableMachine:
    """The shipped table in the `transitions` runtime; it is shared, because it keeps no state."""
    return TableMachine(TABLE)


@functools.cache
def shipped_compiled() -> CompiledTable:
    """The shipped table, compiled; shared likewise."""
    return CompiledTable(TABLE)


@attrs.frozen(kw_only=True)
class Snapshot:
    """What can be said of a shard at one moment: a pure function of its state and context (I07).

    Times are seconds; `age` is how long the state has lasted, `deadline_in` how long it may still last (``None``: no
    bound), `latency` the last heartbeat's round trip, `not_ready_for` how long the shard has been without a proven
    session (``None``: it has one).
    """

    shard: int
    state: State
    age: float
    gen: int
    connected: bool
    deadline_in: float | None
    attempts: int
    cause: Cause | None
    then: Then | None
    stalled_in: State | None
    failure: Failure | None
    session_id: str | None
    received: int | None
    latency: float | None
    not_ready_for: float | None
    reading_paused: bool


class ShardCore:
    """One shard's state and memory, behind the only door through which they change.

    Args:
        settings: deadlines and bounds.
        session: a session to resume, from an earlier shard.
        random: draws uniformly from [0, 1), for jitter.
        now: the time at which the core is made.
        journal_size: how many steps the journal keeps.
        machine, compiled: the runtimes; the shipped table's by default.
    """

    __slots__ = ("_context", "_machine", "_random", "_step_dispatch", "_step_run", "_tally", "journal")

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        session: Session | None = None,
        random: Callable[[], float] = lambda: 0.5,
        now: float = 0.0,
        journal_size: int = DEFAULT_SIZE,
        machine: Runtime | None = None,
        compiled: DispatchRuntime | None = None,
    ) -> None:
        self._machine: Runtime = shipped_machine() if machine is None else machine
        dispatches: DispatchRuntime = shipped_compiled() if compiled is None else compiled
        self._step_dispatch = dispatches.step_dispatch
        self._step_run = dispatches.step_run
        self._random = random
        self._context = Context(
            settings=Settings() if settings is None else settings,
            session=session,
            received=None if session is None else session.seq,
            now=now,
            entered_at=now,
            not_ready_since=now,
            roll=random(),
        )
        self.journal = Journal(journal_size)
        self._tally = Tally()

    # -- what is true now ------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state of the shard."""
        return self._context.state

    @property
    def gen(self) -> int:
        """The generation of the connection; it ends when its socket is gone."""
        return self._context.gen

    @property
    def client(self) -> object:
        """The client that was bound by `register`."""
        return self._context.client

    @property
    def metadata(self) -> Metadata | None:
        """The last answer of the metadata end point."""
        return self._context.metadata

    @property
    def failure(self) -> Failure | None:
        """Why the shard failed, if it did."""
        return self._context.failure

    @property
    def session(self) -> Session | None:
        """The session at its received sequence, or ``None``."""
        session, received = self._context.session, self._context.received
        return None if session is None or received is None else attrs.evolve(session, seq=received)

    @property
    def held_session(self) -> Session | None:
        """The session at the sequence that it began with or was brought along with, or ``None``."""
        return self._context.session

    @property
    def session_id(self) -> str:
        """The id of the session, ``""`` when none is held."""
        session = self._context.session
        return "" if session is None else session.id

    @property
    def reading_paused(self) -> bool:
        """Whether the consumer holds the reader back."""
        return self._context.paused

    @property
    def settings(self) -> Settings:
        """The deadlines and bounds that the shard was made with."""
        return self._context.settings

    @property
    def interval(self) -> float | None:
        """The heartbeat interval of this connection, in seconds, or ``None`` before HELLO."""
        return self._context.interval

    @property
    def counts(self) -> Counter[str]:
        """How often each row was taken that is not the normal case: ignored, unexpected, refused."""
        return self._tally.irregular

    @property
    def not_ready_since(self) -> float | None:
        """Since when no session has been proven, on the clock that feeds the core; ``None`` while one is."""
        return self._context.not_ready_since

    @property
    def beats(self) -> tuple[Beat, ...]:
        """The last heartbeats, oldest first; at most 20."""
        return self._tally.beats

    def taken(self, row_id: str) -> int:
        """How often a row was taken; the one that takes a dispatch in `ready` is not counted."""
        return self._tally.taken(row_id)

    def metrics(self, now: float | None = None, *, dropped: int = 0, limiter_waits: int = 0) -> Metrics:
        """What the shard has been through, in numbers; `dropped` and `limiter_waits` are the driver's to know."""
        c = self._context
        at = c.now if now is None else max(now, c.now)
        return self._tally.measure(
            c, now=at, written=self.journal.written, dropped=dropped, limiter_waits=limiter_waits
        )

    def snapshot(self, now: float | None = None) -> Snapshot:
        """What can be said of the shard now."""
        c = self._context
        at = c.now if now is None else max(now, c.now)
        return Snapshot(
            shard=c.settings.shard_id,
            state=c.state,
            age=at - c.entered_at,
            gen=c.gen,
            connected=c.state is State.READY,
            deadline_in=None if c.deadline is None else max(c.deadline - at, 0.0),
            attempts=c.attempts,
            cause=c.cause if c.state in {State.DRAINING, State.BACKING_OFF, State.STALLED} else None,
            then=c.then if c.state is State.DRAINING else None,
            stalled_in=c.stalled_in if c.state in {State.STALLED, State.BACKING_OFF} else None,
            failure=c.failure if c.state is State.FAILED else None,
            session_id=None if c.session is None else c.session.id,
            received=c.received,
            latency=c.latency,
            not_ready_for=None if c.not_ready_since is None else at - c.not_ready_since,
            reading_paused=c.paused,
        )

    def next_deadline(self) -> float | None:
        """When :meth:`tick` has something to do, on the clock that feeds the core; ``None``: never, as things stand."""
        c = self._context
        if c.beat_at is None:
            return c.deadline
        return c.beat_at if c.deadline is None or c.beat_at < c.deadline else c.deadline

    def blames(self, now: float) -> bool:
        """Whether a timer that is due at `now` is about something that the server failed to do."""
        c = self._context
        return not c.acked or (c.deadline is not None and c.deadline <= now)

    def explain(self, event: type[Event] | str, *, wanted: State | None = None) -> Explanation:
        """Whether `event` is possible now, why not, what is, and the shortest legal way to where it is.

        Args:
            event: an event class or its name, such as ``"connect"``.
            wanted: a state to find the way to, instead of one in which `event` is possible.

        Raises:
            LookupError: for a name that is not in the alphabet.
        """
        return explain(self._context, event, wanted=wanted)

    # -- what happens ----------------------------------------------------------------------------------------------

    def feed(self, event: Event, now: float) -> tuple[Effect, ...]:
        """Takes the one row for `event` at time `now`, and returns what must be done, in order.

        Raises:
            IllegalTransition: for a command that is refused here, or an event that cannot happen here. Nothing changed.
        """
        if type(event) is Dispatched:
            return self.feed_dispatch(event.gen, event.seq, event.type, now)
        c = self._context
        if now > c.now:
            c.now = now
        before = c.state
        try:
            row, effects = self._machine.step(c, event)
        except Refusal as refusal:
            raise self._illegal(event, refusal.row) from None
        c.roll = self._random()
        self._tally.take(row, c)
        self.journal.write(c.now, c.gen, before, c.state, event, row, effects)
        return effects

    def feed_dispatch(self, gen: int, seq: int, type_: str, now: float) -> tuple[Effect, ...]:
        """Feeds a `Dispatched` that is not made: the journal makes it, when somebody reads that.

        What nearly all of a shard's life consists of goes through the compiled table, and costs half a microsecond.
        """
        c = self._context
        if now > c.now:
            c.now = now
        before = c.state
        try:
            row, effects = self._step_dispatch(c, gen, seq, type_)
        except Refusal as refusal:
            raise self._illegal(Dispatched(gen, seq, type_), refusal.row) from None
        if before is not _READY or row.kind is not _TAKE:
            self._tally.take(row, c)
        self.journal.write(c.now, c.gen, before, c.state, (gen, seq, type_), row, effects)
        return effects

    def feed_run(
        self, gen: int, seqs: Sequence[int], types: Sequence[str], now: float
    ) -> tuple[int, tuple[Effect, ...]]:
        """Feeds the first of some dispatches, while nothing is out of the ordinary, as :meth:`feed_dispatch` would.

        Nearly always that is all of them, and one loop. The next one is for :meth:`feed_dispatch`. Their sequences and
        names are the journal's from here on.

        Returns:
            How many were taken, and the effects of each of them: one at most, and the same one.
        """
        c = self._context
        if now > c.now:
            c.now = now
        taken, step = self._step_run(c, gen, seqs, types)
        if step is None:
            return 0, ()
        row, effects = step
        if c.state is not _READY:
            self._tally.take(row, c, taken)
        if taken < len(seqs):
            seqs, types = seqs[:taken], types[:taken]
        self.journal.write_run(c.now, c.gen, c.state, seqs, types, row, effects)
        return taken, effects

    def tick(self, now: float) -> tuple[Effect, ...]:
        """Feeds the timers that are due, heartbeat first: its verdict is about what was missed before."""
        effects: tuple[Effect, ...] = ()
        c = self._context
        # Each feed re-arms or leaves; two rounds see every timer once and a new state's zero deadline too.
        for _ in range(2):
            if c.beat_at is not None and c.beat_at <= now:
                effects += self.feed(HeartbeatDue(), now)
            if c.deadline is not None and c.deadline <= now:
                effects += self.feed(DeadlinePassed(), now)
        return effects

    def _illegal(self, event: Event, row: Row | None) -> IllegalTransition:
        c = self._context
        if row is None:
            self._tally.impossible()
        else:
            self._tally.take(row, c)
            self.journal.write(c.now, c.gen, c.state, c.state, event, row, ())
        return IllegalTransition(
            state=c.state,
            event=event,
            legal=legal_commands(c),
            why=_NO_ROW if row is None else row.why,
            shard=c.settings.shard_id,
            gen=c.gen,
            age=c.now - c.entered_at,
            path=self.journal.path(),
        )
