"""A long run of simulated lives: so many seeds, over all cores, with what was found made small.

    python -m gatewright.harness.sim --lives 100000
    python -m gatewright.harness.sim --seed 4711        # one of them again, step by step

It ends with 0 when nothing was violated. Every seed is a scenario of its own, and brings it back in any process.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import attrs

from gatewright.harness.sim.scenario import FEWEST_FAULTS, Scenario
from gatewright.harness.sim.shrinking import shrink
from gatewright.harness.sim.simulation import Attempt, attempt
from gatewright.harness.sim.untaken import reasons
from gatewright.spec.table import TABLE

PORTION: Final = 250
"""Seeds that a process takes at once."""


@attrs.frozen
class Found:
    """A seed that failed, made small."""

    seed: int
    text: str


@attrs.frozen
class Portion:
    """What came of some seeds."""

    lives: int
    faults: int
    few: int
    """Lives that met fewer than three faults, because they ended before."""
    passes: int
    seconds: float
    ends: Mapping[str, int]
    rows: frozenset[str]
    found: tuple[Found, ...]
    cpu: float


def play(first: int, last: int) -> Portion:
    """Lives the scenarios of the seeds from `first` to `last` - 1."""
    gc.freeze()
    began = time.process_time()
    ends: Counter[str] = Counter()
    rows: set[str] = set()
    found: list[Found] = []
    faults = few = passes = 0
    seconds = 0.0
    for seed in range(first, last):
        tried = attempt(Scenario.of(seed))
        life = tried.life
        if life is None:
            found.append(Found(seed, told(shrink(tried.scenario, tries=150))))
            continue
        ends[life.end.value] += 1
        rows |= life.rows
        faults += life.faults
        few += life.faults < FEWEST_FAULTS
        passes += life.passes
        seconds += life.seconds
    cpu = time.process_time() - began
    return Portion(last - first, faults, few, passes, seconds, ends, frozenset(rows), tuple(found), cpu)


def told(tried: Attempt) -> str:
    """A failure for people: what it is, and the scenario that brings it back."""
    assert tried.error is not None
    lines = traceback.format_exception_only(tried.error)
    return "".join(lines) + f"  brought back by simulate({tried.scenario!r})"


def main(argv: list[str] | None = None) -> int:
    """Runs, reports, and says whether all was well."""
    parser = argparse.ArgumentParser(
        prog="python -m gatewright.harness.sim", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--lives", type=int, default=1000, help="how many seeds are lived (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--seed", type=int, help="one seed alone, with its story")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    args = parser.parse_args(argv)
    if args.seed is not None:
        return _one(args.seed)
    return _many(args.first, args.lives, max(args.jobs, 1))


def _one(seed: int) -> int:
    scenario = Scenario.of(seed)
    print(scenario)
    tried = attempt(scenario, observe=print)
    if tried.life is None:
        print(told(shrink(tried.scenario)))
        return 1
    print(f"{tried.life.end} after {tried.life.seconds:g} s, {tried.life.faults} faults; digest {tried.life.digest}")
    return 0


def _portions(first: int, lives: int, jobs: int) -> Iterator[Portion]:
    starts = range(first, first + lives, PORTION)
    ends = [min(start + PORTION, first + lives) for start in starts]
    if jobs == 1:
        yield from map(play, starts, ends)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(play, starts, ends)


def _many(first: int, lives: int, jobs: int) -> int:
    began = time.perf_counter()
    done = faults = few = violations = 0
    cpu = virtual = 0.0
    ends: Counter[str] = Counter()
    rows: set[str] = set()
    for portion in _portions(first, lives, jobs):
        done += portion.lives
        faults += portion.faults
        few += portion.few
        cpu += portion.cpu
        virtual += portion.seconds
        ends.update(portion.ends)
        rows |= portion.rows
        violations += len(portion.found)
        for found in portion.found:
            print(f"seed {found.seed}: {found.text}", flush=True)
        if sys.stderr.isatty():
            print(f"\r{done} of {lives}, {violations} violations", end="", file=sys.stderr, flush=True)
    took = time.perf_counter() - began
    excused = reasons()
    missing = sorted(row.id for row in TABLE if row.id not in rows and row.id not in excused)
    print(
        f"\n{done:,} lives (seeds {first} to {first + lives - 1}), {violations} violations\n"
        f"  {done / took:.0f} a second in {jobs} processes, {done / cpu:.0f} a second of processor time; "
        f"{virtual / 86400:.1f} virtual days\n"
        f"  {faults / done:.1f} faults a life; {few} lives ended before their third fault\n"
        f"  ended {', '.join(f'{state} {count}' for state, count in ends.most_common())}\n"
        f"  rows: {len(rows)} taken, {sum(row.id not in rows and row.id in excused for row in TABLE)} with a reason, "
        f"{len(TABLE)} in all"
    )
    if missing:
        print(f"  {len(missing)} rows were not taken and have no reason:\n    " + "\n    ".join(missing))
    return 1 if violations else 0
