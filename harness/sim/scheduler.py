"""Who runs next, decided by us: trio's scheduler under a list of choices.

trio runs all tasks that are ready in one pass, in an order of its own chance. Here one task runs a pass, and a recorded
choice says which: two tasks with two steps each have six interleavings, of which trio's own order shows four. That is
more freedom than trio takes, so what holds here holds there.

trio's source of chance is private. All that is known of it is in this module, and :func:`scheduling` tries whether it
still is so. What is lost where it is not:

- ``BATCHES``: the run queue is not where it was. trio runs whole batches again, in an order that our choices give, so
  seeds come back as before; interleavings that trio never shows (a task twice before another that was ready) are lost.
- ``TRIO``: the source of chance is gone as well, and nothing public takes its place. The order is trio's. Everything
  else of a life is still its seed's, and cancellation still comes at the step that is asked for, but a failure that
  hangs on the order comes back by chance only, and does not shrink.
"""

from __future__ import annotations

import enum
import functools
import itertools
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, Protocol, cast

import trio
from trio._core import _run

from gatewright.harness.sim.choices import Choices

_RUN: Final = cast("Any", _run)
"""Private, and therefore untyped."""


class Order(Protocol):
    """What decides who runs next."""

    def below(self, bound: int) -> int:
        """The number of the task that runs now, out of `bound` that could; 0 is the one that waits longest."""
        ...


class Scheduling(enum.StrEnum):
    """How much of trio's scheduling is ours."""

    STEPS = "one task a pass, in an order that comes back"
    BATCHES = "trio's batches, in an order that comes back"
    TRIO = "trio's own order, which no seed brings back"


class SchedulingChanged(UserWarning):
    """This trio cannot be scheduled as the simulation wants it; lives go on with what is left."""


class Scheduler(trio.abc.Instrument):
    """Stands in for trio's source of chance. Give it to ``trio.run`` as an instrument, within :func:`scheduled`.

    Args:
        order: decides.
        on_pass: called before each task's step, with its number from 0; it may cancel scopes.
    """

    def __init__(self, order: Order, *, on_pass: Callable[[int], None] | None = None) -> None:
        self._order = order
        self._on_pass = on_pass
        self._waiting: dict[Any, None] = {}
        self.scheduling = Scheduling.STEPS
        self.passes = 0
        """How many steps of tasks have begun."""

    @property
    def instruments(self) -> list[trio.abc.Instrument]:
        """For ``trio.run``: none where a pass is a step, because an instrument costs time in each."""
        return [] if self.scheduling is Scheduling.STEPS else [self]

    def shuffle(self, batch: list[Any]) -> None:
        """Called by trio with the tasks that could run, in the order of their birth; it runs them from the last on."""
        if not batch:
            return
        if self.scheduling is not Scheduling.STEPS:
            order: list[Any] = []
            while batch:
                order.append(batch.pop(self._order.below(len(batch)) if len(batch) > 1 else 0))
            batch[:] = reversed(order)
            return
        self._count()
        if len(batch) == 1:
            self._waiting.clear()
            return
        # Those that have waited keep their place, and newer ones come after them in the order of their birth.
        waiting = self._waiting
        waiting.update(dict.fromkeys(batch))
        chosen = self._order.below(len(waiting))
        task = next(itertools.islice(waiting, chosen, None))
        del waiting[task]
        _RUN.GLOBAL_RUN_CONTEXT.runner.runq.extend(waiting)
        batch[:] = [task]

    def random(self) -> float:
        """What trio asks for where it does not shuffle."""
        return 0.0

    def uniform(self, low: float, high: float) -> float:
        """Trio spreads its deadlines of idle waits with this."""
        return low

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """See :class:`trio.abc.Instrument`; a step is counted here where a pass holds several."""
        self._count()

    def _count(self) -> None:
        number = self.passes
        self.passes = number + 1
        if self._on_pass is not None:
            self._on_pass(number)


@functools.cache
def scheduling() -> Scheduling:
    """What this trio allows, found out by running tasks; warns when it is less than the simulation wants."""
    for how in (Scheduling.STEPS, Scheduling.BATCHES):
        if canary(how) == _ORDERS[how]:
            break
    else:
        how = Scheduling.TRIO
    if how is not Scheduling.STEPS:
        warnings.warn(
            f"trio {trio.__version__} schedules otherwise than the simulation knows. It goes on with {how}: fewer "
            "interleavings are seen. Compare gatewright/harness/sim/scheduler.py with trio/_core/_run.py, or take a "
            "trio that its constraints.txt names.",
            SchedulingChanged,
            stacklevel=2,
        )
    return how


_NEEDED: Final = {
    Scheduling.STEPS: ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "GLOBAL_RUN_CONTEXT"),
    Scheduling.BATCHES: ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING"),
    Scheduling.TRIO: (),
}


@contextmanager
def scheduled(scheduler: Scheduler, how: Scheduling | None = None) -> Generator[None]:
    """In this block `trio.run` schedules by `scheduler`, as far as :func:`scheduling` says that it can."""
    scheduler.scheduling = how = scheduling() if how is None else how
    if how is Scheduling.TRIO:
        yield
        return
    before = _RUN._r, _RUN._ALLOW_DETERMINISTIC_SCHEDULING
    _RUN._r, _RUN._ALLOW_DETERMINISTIC_SCHEDULING = scheduler, True
    try:
        yield
    finally:
        _RUN._r, _RUN._ALLOW_DETERMINISTIC_SCHEDULING = before


_ALL_SIX: Final = frozenset({(0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 1, 0), (1, 1, 0, 0)})
_ORDERS: Final = {
    Scheduling.STEPS: _ALL_SIX,
    Scheduling.BATCHES: _ALL_SIX - {(0, 0, 1, 1), (1, 1, 0, 0)},
}


def canary(how: Scheduling = Scheduling.STEPS) -> frozenset[tuple[int, ...]]:
    """Every order in which two tasks of two steps each are run by some choices; none if there is nothing to try it by.

    Six, or four in whole batches, if trio still is what this module expects; none if choices do not decide.
    """
    if not all(hasattr(_RUN, name) for name in _NEEDED[how]):
        return frozenset()
    seen: set[tuple[int, ...]] = set()
    for choices in itertools.product(range(2), repeat=6):
        found = {_order_by(choices, how) for _ in range(2)}
        if len(found) != 1:
            return frozenset()
        seen |= found
    return frozenset(seen)


def _order_by(choices: tuple[int, ...], how: Scheduling) -> tuple[int, ...]:
    """The order that these choices make of two tasks of two steps each; empty where trio cannot be scheduled so."""
    steps: list[int] = []
    scheduler = Scheduler(Choices(choices, None))
    try:
        with scheduled(scheduler, how):
            trio.run(_two_tasks, steps, instruments=scheduler.instruments)
    except Exception:  # noqa: BLE001 - however this trio fails under us, it is not to be scheduled so
        return ()
    return tuple(steps)


async def _two_tasks(steps: list[int]) -> None:
    async def walk(task: int) -> None:
        steps.append(task)
        await trio.lowlevel.checkpoint()
        steps.append(task)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(walk, 0)
        nursery.start_soon(walk, 1)
