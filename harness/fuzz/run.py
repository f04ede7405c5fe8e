"""A run of the fuzzers: a million frames, most of them through the core and some over a whole shard.

The run is cut into portions, each with a die of its own, so that it spreads over processes and a portion that fails
can be repeated alone. It ends with 0 when nothing but declared outcomes happened and every message row was taken.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import Final

import attrs

from gatewright.harness.fuzz.core import MESSAGE_ROWS, Tally, fuzz_core
from gatewright.harness.fuzz.live import LiveTally, fuzz_live
from gatewright.harness.memory import resident

PORTION: Final = {"core": 10_000, "live": 1_000}
"""Frames of a portion."""


@attrs.frozen
class Portion:
    """One part of a run."""

    target: str
    number: int
    frames: int
    seed: int

    def __str__(self) -> str:
        """As ``--only`` takes it."""
        return f"{self.target}:{self.number}"


@attrs.frozen
class Outcome:
    """What became of a portion; `resident` is the memory of its process at the end, in MiB."""

    portion: Portion
    process: int
    resident: float | None
    core: Tally | None = None
    live: LiveTally | None = None
    failure: str = ""


def portions(core: int, live: int, seed: int) -> Iterator[Portion]:
    """A run of so many frames, in portions."""
    for target, frames in (("live", live), ("core", core)):
        size = PORTION[target]
        for number, start in enumerate(range(0, frames, size)):
            yield Portion(target, number, min(size, frames - start), seed)


def play(portion: Portion) -> Outcome:
    """Runs a portion."""
    for name in ("gatewright", "trio-websocket"):  # they say what went wrong, and here everything does
        logging.getLogger(name).setLevel(logging.CRITICAL)
    random = Random(f"{portion.seed}:{portion}")
    try:
        if portion.target == "core":
            return Outcome(portion, os.getpid(), resident(), core=fuzz_core(random, portion.frames))
        return Outcome(portion, os.getpid(), resident(), live=fuzz_live(random, portion.frames))
    except Exception:  # noqa: BLE001 - whatever it is, it was found
        return Outcome(portion, os.getpid(), resident(), failure=traceback.format_exc())


def main(argv: list[str] | None = None) -> int:
    """Runs, reports, and says whether all was well."""
    parser = argparse.ArgumentParser(prog="python -m gatewright.harness.fuzz", description="A long run of the fuzzers.")
    parser.add_argument("--core", type=int, default=900_000, help="frames through inflater, decoder and core")
    parser.add_argument("--live", type=int, default=100_000, help="frames over a whole shard")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", help="one portion, such as core:17, with the seed of the run that it failed in")
    given = parser.parse_args(argv)
    chosen = [p for p in portions(given.core, given.live, given.seed) if given.only in {None, str(p)}]
    if not chosen:
        parser.error(f"there is no portion {given.only!r} in this run")
    began = time.monotonic()
    outcomes: list[Outcome] = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.processes, mp_context=spawn) as pool:
        for outcome in pool.map(play, chosen):
            outcomes.append(outcome)
            if outcome.failure:
                pool.shutdown(wait=False, cancel_futures=True)
                print(outcome.failure)
                print(f"repeat it with: python -m gatewright.harness.fuzz --seed {given.seed} --only {outcome.portion}")
                return 1
            if sys.stderr.isatty():
                print(f"\r{len(outcomes)} of {len(chosen)} portions", end="", file=sys.stderr)
    return report(outcomes, time.monotonic() - began, all_rows=given.only is None)


def report(outcomes: list[Outcome], seconds: float, *, all_rows: bool) -> int:
    """Prints the figures; 1 when a message row was not taken by any frame."""
    core, live = Tally(), LiveTally()
    for outcome in outcomes:
        if outcome.core is not None:
            core.add(outcome.core)
        if outcome.live is not None:
            live.add(outcome.live)
    print(f"{core.frames + live.frames:,} frames in {seconds:.0f} s; nothing but declared outcomes")
    if core.frames:
        print(f"  core: {core.frames:,} frames, {core.steps:,} steps, each of them judged by the invariants")
        rarest = min(core.rows.values())
        print(f"        {len(core.rows)} of {len(MESSAGE_ROWS)} message rows taken, the rarest {rarest} times")
    if live.frames:
        print(f"  live: {live.frames:,} frames on {live.connections:,} connections, {live.dispatches:,} dispatches")
    print(f"  memory: {growth(outcomes)}")
    if core.missing and all_rows:
        print("  not taken: " + ", ".join(sorted(core.missing)))
        return 1
    return 0


def growth(outcomes: list[Outcome]) -> str:
    """What the processes held, and by how much the least of it grew, for people.

    One drawn message of a megabyte moves what is resident by several; what leaks would raise the floor.
    """
    held: dict[tuple[int, str], list[float]] = {}
    for outcome in outcomes:
        if outcome.resident is not None:
            held.setdefault((outcome.process, outcome.portion.target), []).append(outcome.resident)
    if not held:
        return "nobody says here"
    halves = [(v[: len(v) // 2], v[len(v) // 2 :]) for v in held.values() if len(v) > 1]
    grown = max((min(late) - min(early) for early, late in halves), default=0.0)
    most = max(map(max, held.values()))
    return f"at most {most:.0f} MiB resident in a process; its least grew by {grown:.1f} MiB from one half to the next"
