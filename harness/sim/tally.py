"""What came of many simulated lives: counted by each process, added up, told to people and to programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from gatewright.harness.sim.simulation import Attempt, Life
from gatewright.harness.sim.spelling import spelled
from gatewright.harness.sim.untaken import reasons
from gatewright.spec.table import TABLE

ENOUGH: Final = 50_000
"""So many lives of seeds, and a row must have been taken or have a reason: the rarest rows come once in thousands."""
_DAY: Final = 86_400.0


@attrs.frozen(kw_only=True)
class Found:
    """A life that failed: its seed, at which pass it was cancelled if it was, and the failure, made small."""

    seed: int
    cancel_at: int | None = None
    error: str
    scenario: str
    """The smallest scenario that was found with the same failure, as Python."""

    @property
    def replay(self) -> str:
        """The command that brings it back, in the same version of the project."""
        cancelled = "" if self.cancel_at is None else f" --cancel-at {self.cancel_at}"
        return f"python -m gatewright.harness.sim --seed {self.seed}{cancelled}"

    def __str__(self) -> str:
        """For people."""
        return f"seed {self.seed}: {self.error}\n  again: {self.replay}\n  small: simulate({self.scenario})"


@attrs.define
class Tally:
    """Counts of lives; :meth:`add` takes in those of another process."""

    lives: int = 0
    faults: int = 0
    fewest: int | None = None
    """Faults of the life that met the fewest."""
    again: int = 0
    """Lives in which the bot was started again, because its shard had ended for good before its third fault."""
    steps: int = 0
    passes: int = 0
    seconds: float = 0.0
    """Virtual ones."""
    cpu: float = 0.0
    """Seconds of processor time, all processes together."""
    ends: Counter[str] = attrs.field(factory=Counter[str])
    rows: dict[str, int] = attrs.field(factory=dict[str, int])
    """Rows that were taken, each with the first seed whose life took it."""
    found: list[Found] = attrs.field(factory=list[Found])

    def count(self, seed: int, life: Life) -> None:
        """Takes in the life of a seed, in which nothing was wrong."""
        self.lives += 1
        self.faults += life.faults
        self.fewest = _least(self.fewest, life.faults)
        self.again += life.runs > 1
        self.steps += life.steps
        self.passes += life.passes
        self.seconds += life.seconds
        self.ends[life.end.value] += 1
        for row in life.rows:
            self.rows.setdefault(row, seed)

    def fail(self, found: Found) -> None:
        """Takes in a life in which something was."""
        self.lives += 1
        self.found.append(found)

    def add(self, other: Tally) -> None:
        """Takes in what another process has counted."""
        self.lives += other.lives
        self.faults += other.faults
        self.fewest = _least(self.fewest, other.fewest)
        self.again += other.again
        self.steps += other.steps
        self.passes += other.passes
        self.seconds += other.seconds
        self.cpu += other.cpu
        self.ends += other.ends
        self.rows = {**other.rows, **self.rows}
        self.found += other.found


def _least(one: int | None, other: int | None) -> int | None:
    return min((number for number in (one, other) if number is not None), default=None)


def failure(seed: int, tried: Attempt, small: Attempt) -> Found:
    """What is told of a failed attempt, and of what it was shrunk to."""
    error = small.error
    assert error is not None
    said = f"{type(error).__name__}: {error}"
    return Found(seed=seed, cancel_at=tried.scenario.cancel_at, error=said, scenario=spelled(small.scenario))


@attrs.frozen(kw_only=True)
class Report:
    """Everything that is said at the end of a run."""

    first: int
    """The first seed."""
    lives: Tally
    cancelled: Tally
    """Lives that were cancelled: some of the scenarios once at each pass."""
    cancelled_scenarios: int
    jobs: int
    took: float
    """Seconds on the wall."""
    interrupted: bool = False
    """Whether it was ended before all lives were lived."""
    scheduling: str
    enough: int = ENOUGH
    rows: tuple[str, ...] = tuple(row.id for row in TABLE)
    reasons: Mapping[str, str] = attrs.field(factory=reasons)

    @property
    def taken(self) -> Mapping[str, int]:
        """Ids of the rows that some life took, each with a seed whose life took it."""
        return {**self.cancelled.rows, **self.lives.rows}

    @property
    def justified(self) -> list[str]:
        """Rows that were not taken, and need not be."""
        return self._untaken(with_reason=True)

    @property
    def missing(self) -> list[str]:
        """Rows that were not taken, although nothing says that they cannot be."""
        return self._untaken(with_reason=False)

    def _untaken(self, *, with_reason: bool) -> list[str]:
        taken = self.taken
        return sorted(row for row in self.rows if row not in taken and (row in self.reasons) is with_reason)

    @property
    def refuted(self) -> list[str]:
        """Rows that were taken, although a reason says that they cannot be."""
        return sorted(self.taken.keys() & self.reasons.keys())

    @property
    def violations(self) -> list[Found]:
        """All of them."""
        return [*self.lives.found, *self.cancelled.found]

    @property
    def rows_count(self) -> bool:
        """Whether there were so many lives that a missing row is a failure."""
        return self.lives.lives >= self.enough

    @property
    def ok(self) -> bool:
        """Nothing was violated, no reason is wrong, and after :data:`ENOUGH` lives no row is missing."""
        return not (self.violations or self.refuted or (self.rows_count and self.missing))

    def as_dict(self) -> dict[str, Any]:
        """In the types of JSON."""
        lives, cancelled = self.lives, self.cancelled
        return {
            "ok": self.ok,
            "interrupted": self.interrupted,
            "first": self.first,
            "lives": lives.lives,
            "jobs": self.jobs,
            "seconds": round(self.took, 3),
            "processor_seconds": round(lives.cpu, 3),
            "lives_per_processor_second": round(_per(lives.lives, lives.cpu), 1),
            "virtual_seconds": round(lives.seconds, 3),
            "steps": lives.steps,
            "passes": lives.passes,
            "scheduling": self.scheduling,
            "faults": {
                "total": lives.faults,
                "per_life": round(_per(lives.faults, lives.lives), 2),
                "fewest": lives.fewest,
            },
            "started_again": lives.again,
            "ends": dict(lives.ends.most_common()),
            "rows": {
                "taken": len(self.taken),
                "justified": len(self.justified),
                "missing": self.missing,
                "taken_against_a_reason": {row: self.taken[row] for row in self.refuted},
                "total": len(self.rows),
                "missing_rows_fail": self.rows_count,
            },
            "cancelled": {"scenarios": self.cancelled_scenarios, "lives": cancelled.lives},
            "violations": [{**attrs.asdict(found), "replay": found.replay} for found in self.violations],
        }

    def __str__(self) -> str:
        """For people; the violations are told as they are found."""
        lives, cancelled = self.lives, self.cancelled
        last = self.first + lives.lives - 1
        said = [
            f"{lives.lives:,} lives (seeds {self.first} to {last}), {_violations(lives)}"
            + (": interrupted" if self.interrupted else ""),
            f"  {_per(lives.lives + cancelled.lives, self.took):.0f} a second in {self.jobs} processes, "
            f"{_per(lives.lives, lives.cpu):.1f} a second of processor time; {lives.seconds / _DAY:.1f} virtual days",
            f"  {_per(lives.faults, lives.lives):.1f} faults a life, and {lives.fewest or 0} at least; "
            f"{lives.again:,} bots were started again, since they had ended before their third",
            f"  {lives.steps:,} steps of shards, {lives.passes:,} of tasks: {self.scheduling}",
            f"  ended {', '.join(f'{state} {count:,}' for state, count in lives.ends.most_common())}",
        ]
        if self.cancelled_scenarios:
            said.append(
                f"{cancelled.lives:,} lives of {self.cancelled_scenarios} of these seeds, cancelled at each step in "
                f"turn, {_violations(cancelled)}"
            )
        said.append(
            f"rows: {len(self.taken)} taken, {len(self.justified)} with a reason why not, {len(self.missing)} missing, "
            f"{len(self.rows)} in all"
        )
        if self.refuted:
            said.append("  taken, although a reason says that they cannot be:")
            said += _listed(f"{row} (seed {self.taken[row]})" for row in self.refuted)
        if self.missing:
            if self.rows_count:
                said += ["  neither taken nor with a reason:", *_listed(self.missing)]
            else:
                said.append(
                    f"  a missing row is a failure from {self.enough:,} lives on; --json names those of this run"
                )
        return "\n".join(said)


def _violations(tally: Tally) -> str:
    return f"{len(tally.found)} violation{'s' * (len(tally.found) != 1)}"


def _listed(rows: Iterable[str]) -> list[str]:
    return [f"    {row}" for row in rows]


def _per(number: float, of: float) -> float:
    return number / of if of else 0.0
