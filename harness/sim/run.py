"""A long run of simulated lives: so many seeds, over all cores, with what was found made small.

    python -m gatewright.harness.sim --lives 100000
    python -m gatewright.harness.sim --seed 4711        # one of them again, step by step
    python -m gatewright.harness.sim --driven 1000      # lives that the explored environment drives

Every seed is a scenario of its own, and brings it back in any process. The run ends with status 1 when something was
violated, when a row was taken that has a reason why it cannot be, or when, after very many lives, a row was neither
taken nor has a reason. Ctrl-C ends it after the lives that are under way, with a report of those before, and status 130
if nothing was wrong in them.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Generator
from typing import Final

import attrs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gatewright.harness.pool import INTERRUPTED, ended_by_request, portions, spread
from gatewright.harness.sim.driven_report import DrivenReport, drive_many
from gatewright.harness.sim.extras import notices
from gatewright.harness.sim.scenario import Scenario
from gatewright.harness.sim.scheduler import scheduling
from gatewright.harness.sim.shrinking import shrink
from gatewright.harness.sim.simulation import attempt, cancellations
from gatewright.harness.sim.tally import Report, Tally, failure

PORTION: Final = 250
"""Seeds that a process takes at once."""
_MADE_SMALL: Final = 3
"""So many failures of a portion are shrunk; a defect that many lives meet would take hours else."""
_TRIES: Final = 150
_COLLECTED: Final = 50
"""Lives between two collections of garbage."""


@attrs.frozen
class Portion:
    """Some seeds for one process: to live once each, or once for each pass at which they are cancelled."""

    seeds: range
    cancelled: bool = False


def play(portion: Portion) -> Tally:
    """Lives the scenarios of some seeds."""
    began = time.process_time()
    tally = Tally()
    with _rare_collections() as collect:
        for seed in portion.seeds:
            scenario = Scenario.of(seed)
            for tried in cancellations(scenario) if portion.cancelled else [attempt(scenario)]:
                if tried.life is not None:
                    tally.count(seed, tried.life)
                else:
                    small = shrink(tried.scenario, tries=_TRIES if len(tally.found) < _MADE_SMALL else 0)
                    tally.fail(failure(seed, tried, small))
                collect(tally.lives)
    tally.cpu = time.process_time() - began
    return tally


@contextlib.contextmanager
def _rare_collections() -> Generator[Callable[[int], None]]:
    """Collects garbage every so many lives only: a life leaves cycles behind, and dies before they are many."""
    was = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield lambda lives: None if lives % _COLLECTED else _collect()
    finally:
        gc.unfreeze()
        if was:
            gc.enable()


def _collect() -> None:
    gc.collect()


def main(argv: list[str] | None = None) -> int:
    """Runs, reports, and says whether all was well."""
    parser = argparse.ArgumentParser(
        prog="python -m gatewright.harness.sim", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--lives", type=_count, default=1000, help="how many seeds are lived (default: 1000)")
    parser.add_argument("--first", type=_count, default=0, help="the first seed (default: 0)")
    parser.add_argument(
        "--cancel",
        type=_count,
        default=0,
        metavar="SEEDS",
        help="how many of these seeds are lived again and again, cancelled at each step of a task in turn: some five "
        "hundred lives each (default: 0)",
    )
    parser.add_argument("--jobs", type=_count, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end instead of text")
    parser.add_argument("--seed", type=_count, help="one seed alone, with its story")
    parser.add_argument("--cancel-at", type=_count, metavar="PASS", help="with --seed: where its block is cancelled")
    parser.add_argument(
        "--driven",
        type=_count,
        default=0,
        metavar="SEEDS",
        help="instead of drawn lives, so many in which the actions of the explored environment are done to the driver, "
        "which must stand where the exploration says after each (default: 0)",
    )
    args = parser.parse_args(argv)
    if args.driven:
        driven = drive_many(args.driven, first=args.first, jobs=max(args.jobs, 1))
        print(json.dumps(driven.as_dict()) if args.json else driven)
        return _status(driven)
    if args.seed is not None:
        return _one(attrs.evolve(Scenario.of(args.seed), cancel_at=args.cancel_at), args.seed)
    if args.cancel_at is not None:
        parser.error("--cancel-at is about one life: say which with --seed")
    if not args.lives:
        parser.error("--lives 0 would show nothing")
    for notice in notices():
        print(f"notice: {notice}", file=sys.stderr)
    report = run(first=args.first, lives=args.lives, cancel=min(args.cancel, args.lives), jobs=max(args.jobs, 1))
    print(json.dumps(report.as_dict()) if args.json else report)
    return _status(report)


def _status(report: Report | DrivenReport) -> int:
    if not report.ok:
        return 1
    return INTERRUPTED if report.interrupted else 0


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _one(scenario: Scenario, seed: int) -> int:
    print(scenario)
    tried = attempt(scenario, observe=print)
    if tried.life is None:
        print(failure(seed, tried, shrink(tried.scenario)))
        return 1
    print(f"{tried.life.end} after {tried.life.seconds:g} s, {tried.life.faults} faults; digest {tried.life.digest}")
    return 0


def run(*, first: int, lives: int, cancel: int = 0, jobs: int = 1) -> Report:
    """Lives the seeds from `first` on, and cancels some of them.

    Args:
        first: the first seed.
        lives: how many seeds.
        cancel: how many of them are lived again, once for each step of a task at which they are cancelled.
        jobs: processes. Which seeds come together in one does not depend on it, and nothing of a life does.
    """
    began = time.perf_counter()
    plain, cancelled = Tally(), Tally()
    given = [Portion(seeds) for seeds in portions(first, lives, PORTION)]
    given += [Portion(seeds, cancelled=True) for seeds in portions(first, cancel, 1)]
    left = len(given)
    with (
        _progress() as progress,
        ended_by_request() as ended,
        contextlib.closing(spread(_player, given, jobs)) as played,
    ):
        done = progress.add_task("lives", total=lives)
        cut = progress.add_task("cancelled", total=cancel, visible=cancel > 0)
        for portion, tally in zip(given, played, strict=False):
            (cancelled if portion.cancelled else plain).add(tally)
            progress.advance(cut if portion.cancelled else done, len(portion.seeds))
            for found in tally.found:
                print(found, file=sys.stderr, flush=True)
            left -= 1
            if ended():
                break
    return Report(
        first=first,
        lives=plain,
        cancelled=cancelled,
        cancelled_scenarios=cancel,
        jobs=jobs,
        took=time.perf_counter() - began,
        interrupted=left > 0,
        scheduling=scheduling().value,
    )


def _player() -> Callable[[Portion], Tally]:
    return play


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
