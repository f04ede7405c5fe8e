"""L5 on mutants, driven: explored actions, done to the driver, which must stand where the right table says."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Final

from gatewright.fsm.core import shipped_machine
from gatewright.harness.explore.ways import Ways
from gatewright.harness.grades.lives import SLACK, Counted, what_noticed
from gatewright.harness.grades.mutated import Mutated, first
from gatewright.harness.grades.verdicts import Verdict
from gatewright.harness.sim.driven import drive
from gatewright.spec.errors import TableError

SEEDS: Final = 4000
"""Seeds that are driven on the shipped table first."""
MOST: Final = 15
"""Lives that a mutant is tried with, at most, of those that take its row, and of those that come by its cell."""


class Driven:
    """Driven lives on the shipped table, and which rows each of them takes.

    Args:
        ways: an exploration of the shipped table.
        seeds: how many.
        most: so many lives are tried with a mutant, at most; see :func:`~gatewright.harness.grades.mutated.first`.
        progress: called after each life.

    Raises:
        Violation, InvariantViolated, NotAPath: a life on the shipped table finds something, so that it says nothing of
            a mutant.
    """

    def __init__(
        self, ways: Ways, seeds: int = SEEDS, *, most: int = MOST, progress: Callable[[], None] = lambda: None
    ) -> None:
        self._ways = ways
        self._most = most
        self.count = seeds
        """How many seeds there are."""
        self._by: dict[str, array[int]] = {}
        steps = passes = 0
        for seed in range(seeds):
            counted = Counted(shipped_machine())
            taken = drive(ways, seed, runtime=counted)
            for row in counted.rows:
                self._by.setdefault(row, array("I")).append(seed)
            steps, passes = max(steps, counted.steps), max(passes, taken.passes)
            progress()
        self._most_steps, self._most_passes = SLACK * steps, SLACK * passes

    @property
    def rows(self) -> frozenset[str]:
        """Ids of the rows that are taken."""
        return frozenset(self._by)

    def judge(self, mutated: Mutated) -> Verdict:
        """Lives on a mutant until something is noticed. All that judges here knows the right table."""
        seeds = first(self._by, mutated, self._most)
        if not seeds:
            return Verdict(0)
        try:
            machine = mutated.machine()
        except TableError as error:
            return Verdict(1, f"it cannot be built: {error}")
        for number, seed in enumerate(seeds, 1):
            runtime = Counted(machine, self._most_steps)
            try:
                drive(self._ways, seed, rows=mutated.rows, runtime=runtime, most_passes=self._most_passes)
            except Exception as error:  # noqa: BLE001 - whatever it is, it was noticed
                return Verdict(number, f"driven: {what_noticed(error)}")
        return Verdict(len(seeds))
