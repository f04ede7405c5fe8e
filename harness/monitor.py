"""Watches a shard's core, step by step, and raises at the first invariant that breaks.

The invariants are those of :mod:`gatewright.spec.invariants`; what needs a history is judged by the ghosts of
:mod:`gatewright.harness.ghosts` and by :class:`Pace` here, which computes every delay again from what it saw.

    monitor = Monitor(settings)
    core = monitored(monitor)
    core.feed(Register(client), now)      # raises InvariantViolated where the table is wrong
"""

from __future__ import annotations

import functools
import operator
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs

from gatewright.fsm.core import ShardCore, shipped_compiled, shipped_machine
from gatewright.fsm.errors import Refusal
from gatewright.fsm.machine import TableMachine
from gatewright.fsm.runtime import DispatchRuntime, Runtime
from gatewright.fsm.runtime import Step as Taken
from gatewright.harness.ghosts import Beats, Broken, Ghost, Registrations, Sessions, Slots, Sockets
from gatewright.spec import effects, events
from gatewright.spec.context import Context
from gatewright.spec.effects import Effect
from gatewright.spec.events import Dispatched, Event
from gatewright.spec.expressions import Predicate, compile_predicate
from gatewright.spec.invariants import INVARIANTS
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.spec.step_rules import FATAL_CODES, LIVE, SESSION_ENDING_CODES, Rule, Step
from gatewright.spec.table import TABLE

_EPSILON: Final = 1e-6
_JITTER_LOW: Final = 0.85
_INVALID_SESSION_WAIT: Final = 1.0
_RATE_LIMITED: Final = 4008
_DAY: Final = 86_400.0
_BUDGET: Final = 1000
_REFUSABLE: Final = frozenset({events.EventKind.COMMAND, events.EventKind.OUTCOME})
_BURST: Final = 3
"""Sockets that may be opened in one instant: at the start or by a proof, after one drop, and after another."""


class InvariantViolated(AssertionError):
    """An invariant does not hold. `id` and `text` say which, `detail` how, `journal` what led there."""

    def __init__(self, id: str, text: str, detail: str, journal: tuple[str, ...]) -> None:  # noqa: A002
        self.id = id
        self.text = text
        self.detail = detail
        self.journal = journal
        super().__init__(f"{id}: {text}\n  {detail}\n  " + "\n  ".join(journal))


@attrs.define
class Pace:
    """Attempts, their causes and how long each was waited for (I11, I18)."""

    settings: Settings
    beats: Beats
    attempts: int = 0
    identifies: int = 0
    identified_at: float | None = None
    immediate: bool = False
    proven: bool = False
    floor: float = float("-inf")
    since: float = 0.0
    instant: float = float("-inf")
    burst: int = 0

    def see(self, step: Step) -> Broken:
        """See :class:`Ghost`."""
        now, before, after = step.after.now, step.before.state, step.after.state
        if self.beats.proved:
            self.attempts = self.identifies = self.burst = 0
            self.proven = True
        if step.event.kind is events.EventKind.COMMAND:
            self.burst = 0
        if step.current and step.row.kind is not RowKind.IGNORE:
            self._cause(step)
        if after is State.BACKING_OFF and before is not State.BACKING_OFF:
            self.since = now
        timed = before is State.BACKING_OFF and isinstance(step.event, events.DeadlinePassed)
        if timed and after is not State.FAILED:
            due = self._earliest(step)
            if now + _EPSILON < due:
                yield "I18", f"attempt {self.attempts + 1} comes at {now:.3f} and not before {due:.3f}"
        for effect in step.effects:
            if isinstance(effect, effects.OpenSocket):
                self.attempts += 1
                self.floor = float("-inf")
                self.burst = self.burst + 1 if now == self.instant else 1
                self.instant = now
                if self.burst > _BURST:
                    yield "I18", f"{self.burst} sockets are opened in one instant"
            elif isinstance(effect, effects.SendIdentify):
                self.identifies += 1
                self.identified_at = now
        if (step.after.attempts, step.after.identifies) != (self.attempts, self.identifies):
            yield "I11", f"{self.attempts} attempts and {self.identifies} IDENTIFYs were seen since the last proof"

    def _cause(self, step: Step) -> None:
        event, now, before = step.event, step.after.now, step.before.state
        left = before in {State.CONNECTING, *LIVE} and step.after.state not in {before, *LIVE}
        if left:
            self.immediate = isinstance(event, (events.ReconnectRequested, events.Reconnect, events.ForceIdentify))
        match event:
            case events.Closed():
                if event.code == _RATE_LIMITED:
                    self.floor, self.immediate = max(self.floor, now + self.settings.rate_limit_wait), False
                elif left:
                    self.immediate = event.code not in SESSION_ENDING_CODES | FATAL_CODES
            case events.SessionInvalidated():
                if left:
                    self.floor = max(self.floor, now + _INVALID_SESSION_WAIT)
            case events.SlotUnavailable():
                if left:
                    self.attempts = max(self.attempts - 1, 0)
                    self.floor = max(self.floor, now + max(event.retry_after, self.settings.gate_retry))
            case _:
                pass

    def _earliest(self, step: Step) -> float:
        s = self.settings
        # The very first connection is no retry, so the first drop is followed at once, as it is after a proof.
        k = self.attempts - (self.immediate and not self.proven)
        wait = 0.0 if k <= 0 else _JITTER_LOW * min(s.retry_base * 2.0 ** min(k - 1, 64), s.retry_max)
        due = max(self.since + wait, self.floor)
        if step.before.session is None and self.identified_at is not None and self.identifies >= s.free_identifies:
            metadata = step.before.metadata
            total = min(metadata.total, _BUDGET) if metadata is not None and metadata.total > 0 else _BUDGET
            due = max(due, self.identified_at + _DAY / total * s.shard_count)
        return due


@functools.cache
def _step_rules() -> tuple[tuple[str, Rule], ...]:
    return tuple((invariant.id, rule) for invariant in INVARIANTS.values() for rule in invariant.steps)


@functools.cache
def _context_rules() -> tuple[tuple[str, str, Predicate], ...]:
    return tuple(
        (invariant.id, text, compile_predicate(text))
        for invariant in INVARIANTS.values()
        for text in invariant.contexts
    )


@functools.cache
def _whole_context() -> Predicate:
    """All rules of the context in one, because one call costs less than twenty."""
    return compile_predicate(" and ".join(f"({text})" for _, text, _ in _context_rules()))


_NAMES: Final = tuple(field.name for field in attrs.fields(Context))
_VALUES: Final = operator.attrgetter(*_NAMES)


def _copied(context: Context) -> Context:
    """A copy, at half the price of `copy.copy`."""
    return Context(**dict(zip(_NAMES, _VALUES(context), strict=True)))


@attrs.frozen
class _Noted:
    """A step for the journal; lines are made of it when somebody reads them."""

    now: float
    gen: int
    state: State
    event: Event
    to: State | None = None
    effects: tuple[Effect, ...] = ()
    row: str = ""

    def __str__(self) -> str:
        """One line."""
        if self.to is None:
            return f"{self.now:10.3f}  gen {self.gen}  {self.state} refuses {self.event!r}"
        names = ", ".join(effect.name for effect in self.effects)
        return f"{self.now:10.3f}  gen {self.gen}  {self.state} -{self.event!r}-> {self.to}  [{names}]  {self.row}"


class Monitor:
    """Judges every step of one shard.

    Args:
        settings: those of the core.
        session: the session that the core begins with.
        size: how many steps the journal of a violation holds.
    """

    def __init__(self, settings: Settings | None = None, *, session: Session | None = None, size: int = 60) -> None:
        self.settings = Settings() if settings is None else settings
        self.steps = 0
        """How many steps were judged, refusals included."""
        self._session = session
        beats = Beats(self.settings)
        self._ghosts: tuple[Ghost, ...] = (
            Sockets(self.settings),
            Registrations(),
            Slots(),
            Sessions.of(self.settings, session),
            beats,
            Pace(self.settings, beats),
        )
        self._journal: deque[_Noted] = deque(maxlen=size)

    @property
    def session(self) -> Session | None:
        """The session that the shard began with."""
        return self._session

    @property
    def journal(self) -> tuple[str, ...]:
        """The last steps, oldest first, as lines."""
        return tuple(map(str, self._journal))

    def observe(self, before: Context, event: Event, row: Row, effects: Iterable[Effect], after: Context) -> None:
        """Judges a step that was taken. `before` is a copy from before it; `after` is only read.

        Raises:
            InvariantViolated: for the first invariant that does not hold.
        """
        step = Step(before, event, row, tuple(effects), after)
        self._write(step)
        for number, rule in _step_rules():
            if not rule(step):
                self._raise(number, (rule.__doc__ or rule.__name__).splitlines()[0])
        if not _whole_context()(after, event):
            for number, text, holds in _context_rules():
                if not holds(after, event):
                    self._raise(number, f"not true of the context: {text}")
        for ghost in self._ghosts:
            for number, detail in ghost.see(step):
                self._raise(number, detail)

    def observe_refusal(self, before: Context, event: Event, row: Row | None, after: Context) -> None:
        """Judges a step that was refused, by `row` or because there is none.

        Raises:
            InvariantViolated: when something changed, or when it was a message or a timer and has a row.
        """
        self.steps += 1
        self._journal.append(_Noted(after.now, after.gen, after.state, event))
        if before != after:
            self._raise("I15", "a refusal changed the context")
        if row is not None and (row.kind is not RowKind.REFUSE or event.kind not in _REFUSABLE):
            self._raise("I15", f"{event.name} is no request, and is refused")

    def _write(self, step: Step) -> None:
        self.steps += 1
        after = step.after
        self._journal.append(
            _Noted(after.now, after.gen, step.before.state, step.event, after.state, step.effects, step.row.id)
        )

    def _raise(self, number: str, detail: str) -> None:
        raise InvariantViolated(number, INVARIANTS[number].text, detail, self.journal)


@attrs.frozen
class Monitored:
    """A runtime that shows every step to a monitor."""

    inner: Runtime
    monitor: Monitor

    def step(self, context: Context, event: Event) -> Taken:
        """Takes the one row for `event`; see :class:`gatewright.fsm.runtime.Runtime`."""
        before = _copied(context)
        try:
            row, made = self.inner.step(context, event)
        except Refusal as refusal:
            self.monitor.observe_refusal(before, event, refusal.row, context)
            raise
        self.monitor.observe(before, event, row, made, context)
        return row, made


@attrs.frozen
class MonitoredDispatches:
    """A runtime for dispatches that shows every step to a monitor."""

    inner: DispatchRuntime
    monitor: Monitor

    def step_dispatch(self, context: Context, gen: int, seq: int, type_: str) -> Taken:
        """Takes the one row for a dispatch; see :class:`gatewright.fsm.runtime.DispatchRuntime`."""
        before, event = _copied(context), Dispatched(gen, seq, type_)
        try:
            row, made = self.inner.step_dispatch(context, gen, seq, type_)
        except Refusal as refusal:
            self.monitor.observe_refusal(before, event, refusal.row, context)
            raise
        self.monitor.observe(before, event, row, made, context)
        return row, made

    def step_run(
        self, context: Context, gen: int, seqs: Sequence[int], types: Sequence[str]
    ) -> tuple[int, Taken | None]:
        """Takes dispatches in one loop, and shows each step, taken again one by one on a copy of the context.

        Raises:
            AssertionError: the loop has done something else than the steps.
        """
        again = _copied(context)
        taken, step = self.inner.step_run(context, gen, seqs, types)
        for seq, type_ in zip(seqs[:taken], types[:taken], strict=True):
            if self.step_dispatch(again, gen, seq, type_) != step:
                raise AssertionError(f"in a run, {type_} took another row than by itself")
        if again != context:
            raise AssertionError(f"a run of {taken} dispatches has left another context than its steps")
        return taken, step


@attrs.frozen
class MadeDispatches:
    """A runtime for dispatches that makes an event of each: for tables that have no compiled twin."""

    inner: Runtime

    def step_dispatch(self, context: Context, gen: int, seq: int, type_: str) -> Taken:
        """Takes the one row for a dispatch; see :class:`gatewright.fsm.runtime.DispatchRuntime`."""
        return self.inner.step(context, Dispatched(gen, seq, type_))

    def step_run(
        self, context: Context, gen: int, seqs: Sequence[int], types: Sequence[str]
    ) -> tuple[int, Taken | None]:
        """None: each is taken by itself."""
        return 0, None


@functools.lru_cache(maxsize=8)
def _runtimes(table: tuple[Row, ...]) -> tuple[Runtime, DispatchRuntime]:
    """The two runtimes of a table that is not the shipped one.

    It runs on the machine alone: its compiled twin takes ten times as long to build, and a mutant lives for a few
    steps.
    """
    machine = TableMachine(table)
    return machine, MadeDispatches(machine)


def monitored(
    monitor: Monitor,
    *,
    table: tuple[Row, ...] = TABLE,
    runtime: Runtime | None = None,
    random: Callable[[], float] = lambda: 0.5,
    now: float = 0.0,
    journal_size: int = 4096,
) -> ShardCore:
    """A core on `table` whose every step `monitor` judges, on whichever of the two runtimes it is taken.

    With `runtime` it runs on that one instead of one that is made of the table.
    """
    machine: Runtime
    compiled: DispatchRuntime
    if runtime is not None:
        machine, compiled = runtime, MadeDispatches(runtime)
    elif table is TABLE:  # not by the cache: it would hash every row of the table
        machine, compiled = shipped_machine(), shipped_compiled()
    else:
        machine, compiled = _runtimes(table)
    return ShardCore(
        monitor.settings,
        session=monitor.session,
        random=random,
        now=now,
        journal_size=journal_size,
        machine=Monitored(machine, monitor),
        compiled=MonitoredDispatches(compiled, monitor),
    )
