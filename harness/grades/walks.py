"""L4 on mutants: the walks of fixed seeds, on the core of a mutant, held against the exploration of the right table."""

from __future__ import annotations

from array import array
from typing import Final

from gatewright.harness.explore.concrete import WentAstray, wander_by
from gatewright.harness.explore.ways import Ways
from gatewright.harness.grades.mutated import Mutated, first
from gatewright.harness.grades.verdicts import Verdict
from gatewright.harness.monitor import InvariantViolated
from gatewright.spec.errors import TableError
from gatewright.transport.inflate import Compression

EACH: Final = 6
"""Walks that begin with each row."""
MOST: Final = 25
"""Walks that a mutant is tried with, at most, of those that take its row, and of those that come by its cell."""

_STREAMS: Final = (Compression.NONE, Compression.NONE, Compression.NONE, Compression.ZLIB_STREAM)


class Walks:
    """Walks over the shipped core, and which rows each of them takes.

    Args:
        ways: an exploration of the shipped table.
        each: so many walks begin with each row that is explored.
        most: so many walks are tried with a mutant, at most; see :func:`~gatewright.harness.grades.mutated.first`.

    Raises:
        WentAstray, InvariantViolated: a walk on the shipped table finds something, so that it says nothing of a mutant.
    """

    def __init__(self, ways: Ways, *, each: int = EACH, most: int = MOST) -> None:
        self._ways = ways
        self._most = most
        self.count = each * len(ways.rows)
        """How many walks there are."""
        self._by: dict[str, array[int]] = {}
        for number in range(self.count):
            walk = wander_by(ways, self._begins(number), number, streams=_STREAMS)
            for row in dict.fromkeys(walk.rows):
                self._by.setdefault(row, array("I")).append(number)

    @property
    def rows(self) -> frozenset[str]:
        """Ids of the rows that are taken."""
        return frozenset(self._by)

    def judge(self, mutated: Mutated) -> Verdict:
        """Walks on a mutant until something is noticed."""
        numbers = first(self._by, mutated, self._most)
        if not numbers:
            return Verdict(0)
        try:
            machine = mutated.machine()
        except TableError as error:
            return Verdict(1, f"it cannot be built: {error}")
        for tried, number in enumerate(numbers, 1):
            try:
                wander_by(self._ways, self._begins(number), number, runtime=machine, streams=_STREAMS)
            except WentAstray:
                return Verdict(tried, "exploration")
            except InvariantViolated as violated:
                return Verdict(tried, violated.id)
            except Exception as error:  # noqa: BLE001 - whatever it is, it was noticed
                return Verdict(tried, type(error).__name__)
        return Verdict(len(numbers))

    def _begins(self, number: int) -> str:
        return self._ways.rows[number % len(self._ways.rows)]
