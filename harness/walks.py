"""Walks over the sans-I/O core: a shard, its outside and its monitor on one clock, and the moves that can be taken.

A move means something in every state, or does nothing, so that a failing walk shrinks by leaving moves out.
:mod:`gatewright.harness.strategies` draws them for Hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol, cast

import attrs

from gatewright.fsm.core import ShardCore
from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.monitor import Monitor, monitored
from gatewright.harness.outside import Link, Outside
from gatewright.spec import events
from gatewright.spec.effects import Effect
from gatewright.spec.events import Event, EventKind
from gatewright.spec.invariants import LIVENESS, LIVENESS_GOALS
from gatewright.spec.rows import Row
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.spec.table import TABLE

LIVENESS_EVENTS: Final = 120
LIVENESS_SECONDS: Final = 900.0
"""More than any one wait that an honest outside leads to: the spacing of IDENTIFYs is 86.4 s a shard."""


class Move(Protocol):
    """One move of a walk."""

    def take(self, walk: Walk) -> None:
        """Does it, or nothing where it means nothing."""
        ...


class Walk:
    """One shard, its outside and its monitor, on a clock of its own.

    Args:
        settings, session: those of the core.
        table: the rows to run.
        random: the core's die.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        session: Session | None = None,
        table: tuple[Row, ...] = TABLE,
        random: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self.now = 0.0
        self.made: tuple[Effect, ...] = ()
        """The effects of the last event that was fed, or of the last timers."""
        self.outside = Outside()
        self.monitor = Monitor(settings, session=session, size=4096)
        self.core: ShardCore = monitored(self.monitor, table=table, random=random)
        self.cells = frozenset((row.source, row.event) for row in table)

    @property
    def state(self) -> State:
        """The state of the shard."""
        return self.core.state

    @property
    def gen(self) -> int:
        """The generation of the shard."""
        return self.core.gen

    def feed(self, event: Event) -> bool:
        """Feeds `event` now; False when it was refused, which is right for requests and for cells without a row."""
        state, written = self.state, self.core.journal.written
        known = (state, type(event)) in self.cells
        try:
            self.made = self.core.feed(event, self.now)
        except IllegalTransition:
            # That nothing changed, and that a row may refuse this, is the monitor's to see.
            refusable = event.kind in {EventKind.COMMAND, EventKind.OUTCOME}
            assert not known or refusable, f"{event!r} has a row in {state} and was refused"
            return False
        assert known, f"{event!r} has no row in {state} and was taken"
        assert self.core.journal.written == written + 1
        self.outside.note(event, self.made)
        return True

    def must(self, event: Event) -> None:
        """Feeds an event that a correct driver may feed here: it must have a row."""
        assert self.feed(event), f"{event!r} can happen in {self.state}, and has no row there"

    def wait(self, seconds: float) -> None:
        """Lets time pass, and feeds what is due at the end of it, as late as a driver that was blocked."""
        self.now += seconds
        self.made = self.core.tick(self.now)
        self.outside.note(events.DeadlinePassed(), self.made)

    def elapse(self) -> bool:
        """Lets time pass until the next timer is due, and feeds it; False when there is none."""
        deadline = self.core.next_deadline()
        if deadline is None:
            return False
        self.wait(max(deadline - self.now, 0.0))
        return True

    def behave(self) -> bool:
        """One step of an honest outside: its next answer, or, when nothing was asked of it, the next timer."""
        answer = self.outside.answer()
        if answer is None:
            return self.elapse()
        self.must(answer)
        return True

    def take(self, moves: Iterable[Move]) -> None:
        """Takes every move, in order."""
        for move in moves:
            move.take(self)

    def reach(self, *wanted: State) -> None:
        """Goes to one of these states by the way on which everything behaves; registers first, if nobody did.

        Raises:
            AssertionError: when that way does not lead there within the bounds of liveness.
        """
        end = self.now + LIVENESS_SECONDS
        for _ in range(LIVENESS_EVENTS):
            if self.state in wanted:
                return
            if self.state is State.IDLE:
                self.must(events.Register("client"))
            else:
                assert self.behave(), f"nothing will ever happen in {self.state}"
            assert self.now <= end, f"{LIVENESS} In {self.state} after {LIVENESS_SECONDS:g} s."
        raise AssertionError(f"{LIVENESS} In {self.state} after {LIVENESS_EVENTS} events.")

    def heal(self) -> State:
        """Lets everything behave until a goal of liveness is reached."""
        self.reach(*LIVENESS_GOALS)
        return self.state

    def story(self) -> str:
        """The walk, a line for each step."""
        return "\n".join(self.monitor.journal)


def on(event: events.ConnectionEvent, gen: int) -> events.ConnectionEvent:
    """The same event, of generation `gen`."""
    return cast("Callable[..., events.ConnectionEvent]", attrs.evolve)(event, gen=gen)


@attrs.frozen
class Behave:
    """The outside answers what was asked of it, or time passes; the user starts the shard and comes back to it."""

    def take(self, walk: Walk) -> None:
        """See :class:`Move`."""
        match walk.state:
            case State.IDLE:
                walk.must(events.Register("client"))
            case State.SUSPENDED:
                walk.must(events.Connect())
            case _:
                walk.behave()


@attrs.frozen
class Withhold:
    """Nobody says anything until the next timer is due."""

    def take(self, walk: Walk) -> None:
        """See :class:`Move`."""
        walk.elapse()


@attrs.frozen
class Wait:
    """Time passes, and timers that came due meanwhile are fed at the end of it."""

    seconds: float

    def take(self, walk: Walk) -> None:
        """See :class:`Move`."""
        walk.wait(self.seconds)


@attrs.frozen
class Fail:
    """What was asked of the outside fails, in one of the ways in which it can."""

    which: int

    def take(self, walk: Walk) -> None:
        """See :class:`Move`."""
        failure = walk.outside.failure(self.which)
        if failure is not None:
            walk.must(failure)


@attrs.frozen
class ComeLate:
    """An answer that was overtaken comes after all."""

    which: int

    def take(self, walk: Walk) -> None:
        """See :class:`Move`."""
        late = walk.outside.late
        # What has not been overtaken yet is not late: the socket that is there has its own answers.
        gen = 0 if walk.outside.socket is None else walk.outside.socket.gen
        old = [event for event in late if not isinstance(event, events.ConnectionEvent) or event.gen != gen]
        if old:
            walk.must(old[self.which % len(old)])


@attrs.frozen
class Say:
    """The peer, or the transport of an open socket, says something; `event` is drawn for generation 0."""

    event: events.ConnectionEvent

    def take(self, walk: Walk) -> None:
        """See :class:`Move`."""
        socket = walk.outside.socket
        if socket is not None and socket.link in {Link.OPEN, Link.CLOSING}:
            walk.must(on(self.event, socket.gen))


@attrs.frozen
class Order:
    """The user gives a command, possible or not."""

    command: Event

    def take(self, walk: Walk) -> None:
        """See :class:`Move`."""
        walk.feed(self.command)


@attrs.frozen
class Feed:
    """An event exactly as it is, such as those of a counterexample."""

    event: Event

    def take(self, walk: Walk) -> None:
        """See :class:`Move`."""
        walk.feed(self.event)


@attrs.frozen
class Throw:
    """Any event at all, of the current generation or request or one that lies `back`."""

    event: Event
    back: int

    def take(self, walk: Walk) -> None:
        """See :class:`Move`."""
        event = self.event
        if isinstance(event, events.ConnectionEvent):
            # There is no generation 0: before the first socket, whatever comes is of a connection yet to be.
            event = on(event, max(walk.gen - self.back, 1))
        elif isinstance(event, (events.MetadataFetched, events.MetadataFailed)):
            event = attrs.evolve(event, request=walk.outside.requests - self.back)
        walk.feed(event)
