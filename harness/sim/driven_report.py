"""Many driven lives, and what came of them: ``python -m gatewright.harness.sim --driven 1000``."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from typing import Final

import attrs

from gatewright.harness.explore.ways import Ways
from gatewright.harness.pool import ended_by_request, portions, spread
from gatewright.harness.sim.driven import drive, explored
from gatewright.harness.sim.performing import DEEDS, LATE, OWN, REASONS
from gatewright.harness.sim.untaken import reasons

_PORTION: Final = 10
"""Seeds that a process takes at once."""


@attrs.define
class DrivenReport:
    """What came of driven lives."""

    lives: int = 0
    whole: int = 0
    """Ways that were taken to their end."""
    left: Counter[str] = attrs.field(factory=Counter[str])
    """Where and why others were left."""
    passed_over: Counter[str] = attrs.field(factory=Counter[str])
    """How many ways were drawn and not begun, by the action to which no driver can be brought."""
    done: Counter[str] = attrs.field(factory=Counter[str])
    """How often each action was done, and judged."""
    rows: set[str] = attrs.field(factory=set[str])
    found: dict[int, str] = attrs.field(factory=dict[int, str])
    """What went wrong, by seed."""
    cpu: float = 0.0
    """Seconds of processor time, without the exploration's."""
    interrupted: bool = False
    """Whether it was ended before all lives were lived."""

    def add(self, other: DrivenReport) -> None:
        """Takes in what other lives came to."""
        self.lives += other.lives
        self.whole += other.whole
        self.left += other.left
        self.passed_over += other.passed_over
        self.done += other.done
        self.rows |= other.rows
        self.found |= other.found
        self.cpu += other.cpu

    @property
    def ok(self) -> bool:
        """There was something to judge, nothing was wrong, and no row was taken that has a reason why it cannot be."""
        return self.lives > 0 and not self.found and not self.refuted

    @property
    def refuted(self) -> tuple[str, ...]:
        """Rows that were taken, although a reason says that no simulated life takes them."""
        return tuple(sorted(self.rows & reasons().keys()))

    @property
    def never(self) -> tuple[str, ...]:
        """Actions that could have been done, and were not."""
        return tuple(sorted(set(DEEDS) - set(self.done)))

    def as_dict(self) -> dict[str, object]:
        """In the types of JSON."""
        return {
            "ok": self.ok,
            "interrupted": self.interrupted,
            "lives": self.lives,
            "whole": self.whole,
            "left": dict(self.left.most_common()),
            "passed_over": dict(self.passed_over.most_common()),
            "done": dict(self.done.most_common()),
            "never": list(self.never),
            "rows": len(self.rows),
            "taken_against_a_reason": list(self.refuted),
            "cpu": round(self.cpu, 1),
            "found": {str(seed): error for seed, error in self.found.items()},
        }

    def __str__(self) -> str:
        """For people."""
        judged = self.done.total()
        lines = [
            f"{self.lives:,} driven lives, {judged:,} actions, {len(self.rows)} rows, {self.cpu:.1f} s; "
            f"{self.whole:,} ways were taken to their end" + (": interrupted" if self.interrupted else ""),
            f"{len(self.done)} of {len(DEEDS)} actions with a deed were done; {len({*OWN, *LATE})} are the driver's "
            f"own answers, and {len(REASONS)} have a reason why no driver can be brought to them",
        ]
        lines += [f"never done: {', '.join(self.never)}"] if self.never else []
        lines += [f"left {count:6,}  {why}" for why, count in self.left.most_common(12)]
        reasons = Counter[str]()
        for name, count in self.passed_over.items():
            reasons[REASONS[name]] += count
        lines += [f"passed over {count:6,}  {why}" for why, count in reasons.most_common()]
        lines += [f"taken, although a reason says that it cannot be: {row}" for row in self.refuted]
        lines += [f"seed {seed}: {error}" for seed, error in self.found.items()]
        return "\n".join(lines)


def drive_many(lives: int, *, first: int = 0, ways: Ways | None = None, jobs: int = 1) -> DrivenReport:
    """Lives the driven lives of the seeds from `first` on.

    Args:
        lives: how many.
        first: the first seed.
        ways: what they are drawn from; explored here, or in each process, if it is not given.
        jobs: processes.
    """
    report, given = DrivenReport(), portions(first, lives, _PORTION)
    make = Driving if ways is None else lambda: Driving(ways)
    with ended_by_request() as ended, contextlib.closing(spread(make, given, jobs)) as driven:
        for found in driven:
            report.add(found)
            if ended():
                break
    report.interrupted = report.lives < lives
    return report


class Driving:
    """Lives the driven lives of some seeds.

    Args:
        ways: what they are drawn from; explored here if it is not given.
    """

    def __init__(self, ways: Ways | None = None) -> None:
        self._ways = explored() if ways is None else ways

    def __call__(self, seeds: range) -> DrivenReport:
        """What came of them."""
        report, began = DrivenReport(), time.process_time()
        for seed in seeds:
            report.lives += 1
            try:
                taken = drive(self._ways, seed)
            except Exception as error:  # noqa: BLE001 - whatever it is, it was found
                report.found[seed] = f"{type(error).__name__}: {error}"
                continue
            report.whole += not taken.left
            report.left.update([taken.left] if taken.left else [])
            report.passed_over.update(taken.passed_over)
            report.done.update(taken.done)
            report.rows |= taken.rows
        report.cpu = time.process_time() - began
        return report
