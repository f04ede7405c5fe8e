"""L5 on mutants: the simulated lives of fixed seeds, on a shard whose table is wrong, with all that judges a life."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Final

import attrs

from gatewright.fsm.core import shipped_machine
from gatewright.fsm.errors import Refusal
from gatewright.fsm.journal import Record
from gatewright.fsm.runtime import Runtime, Step
from gatewright.harness.conform import PathCheck
from gatewright.harness.grades.mutated import Mutated, first
from gatewright.harness.grades.verdicts import Verdict
from gatewright.harness.sim.scenario import Scenario
from gatewright.harness.sim.simulation import Attempt, attempt
from gatewright.spec.context import Context
from gatewright.spec.errors import TableError
from gatewright.spec.events import Event, Register
from gatewright.spec.states import State

SEEDS: Final = 10_000
"""Seeds that are lived on the shipped table first."""
MOST: Final = 20
"""Lives that a mutant is tried with, at most, of those that take its row, and of those that come by its cell."""
SLACK: Final = 8
"""A life that takes so many times the steps, or passes, of the longest one on the shipped table never rests."""

HANG: Final = "it never rests"


class NeverRests(AssertionError):
    """The core takes steps without end."""


@attrs.define(eq=False)
class Counted:
    """A runtime that knows which rows it took, and how often it may take one."""

    inner: Runtime
    most: int | None = None
    steps: int = 0
    rows: set[str] = attrs.field(factory=set[str])

    def step(self, context: Context, event: Event) -> Step:
        """See :class:`~gatewright.fsm.runtime.Runtime`."""
        self.steps += 1
        if self.most is not None and self.steps > self.most:
            raise NeverRests(f"{self.most} steps were not enough")
        try:
            taken = self.inner.step(context, event)
        except Refusal as refusal:
            if refusal.row is not None:
                self.rows.add(refusal.row.id)
            raise
        self.rows.add(taken[0].id)
        return taken


class Lives:
    """Lives on the shipped table, and which rows each of them takes.

    Args:
        seeds: how many.
        most: so many lives are tried with a mutant, at most; see :func:`~gatewright.harness.grades.mutated.first`.
        progress: called after each life.

    Raises:
        AssertionError: a life on the shipped table is violated, so that it says nothing of a mutant.
    """

    def __init__(self, seeds: int = SEEDS, *, most: int = MOST, progress: Callable[[], None] = lambda: None) -> None:
        self._most = most
        self.count = seeds
        """How many seeds there are."""
        self._by: dict[str, array[int]] = {}
        steps = passes = 0
        for seed in range(seeds):
            counted = Counted(shipped_machine())
            tried = attempt(Scenario.of(seed), runtime=counted)
            if tried.life is None:
                raise AssertionError(f"seed {seed} is violated on the shipped table") from tried.error
            for row in counted.rows:
                self._by.setdefault(row, array("I")).append(seed)
            steps, passes = max(steps, counted.steps), max(passes, tried.life.passes)
            progress()
        self.most_steps, self.most_passes = SLACK * steps, SLACK * passes

    @property
    def rows(self) -> frozenset[str]:
        """Ids of the rows that are taken."""
        return frozenset(self._by)

    def judge(self, mutated: Mutated) -> Verdict:
        """Lives on a mutant until it is noticed by something that does not know the right table, or lives run out."""
        seeds = first(self._by, mutated, self._most)
        if not seeds:
            return Verdict(0)
        try:
            machine = mutated.machine()
        except TableError as error:
            return Verdict(1, f"it cannot be built: {error}")
        strange = ""
        for number, seed in enumerate(seeds, 1):
            journal = _Journal()
            tried = attempt(
                Scenario.of(seed),
                rows=mutated.rows,
                runtime=Counted(machine, self.most_steps),
                observe=journal.observe,
                most_passes=self.most_passes,
            )
            strange = strange or journal.strange
            if tried.error is not None:
                by = noticed_by(tried)
                return Verdict(number, strange or by, by)
        return Verdict(len(seeds), strange)


@attrs.define
class _Journal:
    """Holds the journal of a mutant's life against the exploration of the shipped table."""

    strange: str = ""
    check: PathCheck = attrs.field(factory=PathCheck)

    def observe(self, record: Record) -> None:
        if record.event == Register.name and record.state is State.IDLE:  # the bot is started, perhaps again
            self.check = PathCheck()
        if not self.strange and self.check.feed(record) is not None:
            self.strange = "journal"


def noticed_by(tried: Attempt) -> str:
    """What noticed a mutant, in a word or a few."""
    assert tried.error is not None
    return what_noticed(tried.error)


def what_noticed(error: BaseException) -> str:
    """The same of what was raised."""
    if isinstance(error, NeverRests) or "passes were not enough" in str(error):
        return HANG
    return getattr(error, "id", "") or str(getattr(error, "what", "")).partition(":")[0][:40] or type(error).__name__
