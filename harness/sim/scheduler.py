"""Who runs next, decided by us: trio's scheduler under a list of choices.

trio runs all tasks that are ready in one pass, in an order of its own chance. Here one task runs a pass, and a recorded
choice says which: two tasks with two steps each have six interleavings, of which trio's own order shows four. That is
more freedom than trio takes, so what holds here holds there.

trio's source of chance is private. All that is known of it is in this module, :func:`canary` says whether it still is
so, and without it :func:`scheduled` leaves the order to trio, which then no seed brings back.
"""

from __future__ import annotations

import itertools
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


class Scheduler:
    """Stands in for trio's source of chance, and runs one task a pass.

    Args:
        order: decides.
        on_pass: called before each pass, with its number from 0; it may cancel scopes.
    """

    def __init__(self, order: Order, *, on_pass: Callable[[int], None] | None = None) -> None:
        self._order = order
        self._on_pass = on_pass
        self._waiting: dict[Any, None] = {}
        self.passes = 0
        """How many tasks have run one step each."""

    def shuffle(self, batch: list[Any]) -> None:
        """Called by trio with the tasks that could run, in the order of their birth; leaves one of them."""
        if not batch:
            return
        number = self.passes
        self.passes = number + 1
        if self._on_pass is not None:
            self._on_pass(number)
        waiting = self._waiting
        if len(batch) == 1:
            waiting.clear()
            return
        # Those that have waited keep their place, and newer ones come after them in the order of their birth.
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


def available() -> bool:
    """Whether this trio has what is needed."""
    return all(hasattr(_RUN, name) for name in ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "GLOBAL_RUN_CONTEXT"))


@contextmanager
def scheduled(scheduler: Scheduler) -> Generator[None]:
    """In this block `trio.run` schedules by `scheduler`; where trio has changed, by its own chance."""
    if not available():
        yield
        return
    before = _RUN._r, _RUN._ALLOW_DETERMINISTIC_SCHEDULING
    _RUN._r, _RUN._ALLOW_DETERMINISTIC_SCHEDULING = scheduler, True
    try:
        yield
    finally:
        _RUN._r, _RUN._ALLOW_DETERMINISTIC_SCHEDULING = before


def canary() -> set[tuple[int, ...]]:
    """Every order in which two tasks of two steps each can be run: six, if trio still is what this module expects."""
    seen: set[tuple[int, ...]] = set()
    for number in range(3**6):
        steps: list[int] = []
        choices = [number // 3**place % 3 for place in range(6)]
        with scheduled(Scheduler(Choices(choices, None))):
            trio.run(_two_tasks, steps)
        seen.add(tuple(steps))
        if len(seen) == 6:
            break
    return seen


async def _two_tasks(steps: list[int]) -> None:
    async def walk(task: int) -> None:
        steps.append(task)
        await trio.lowlevel.checkpoint()
        steps.append(task)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(walk, 0)
        nursery.start_soon(walk, 1)
