"""The command: runs parts, keeps the record, writes the page."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gatewright.harness.explore import gateway_projection
from gatewright.harness.proof import page, record
from gatewright.harness.proof.parts import PARTS, Fault, Part, Task
from gatewright.harness.proof.record import Measured
from gatewright.spec.errors import GatewrightError

PAGE: Final = Path("docs/proof.md")
RECORD: Final = Path("docs/proof.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Ends with 0 when all that was run holds, and the page was written."""
    arguments = _parser().parse_args(argv)
    if arguments.measure:
        return _measure(arguments)
    try:
        return _pages(arguments) if arguments.source else _run(arguments)
    except GatewrightError as error:
        print(f"proof: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gatewright.harness.proof",
        description="Runs the long forms of all layers of the proof, in the checkout, and writes docs/proof.md.",
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--count", type=int, metavar="N", help="how many mutants, seeds or lives, of the parts named")
    parser.add_argument("--more", action="store_true", help="beside those that were tried before, from the next on")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="RECORD", help="write the page from it; run nothing"
    )
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def _pages(arguments: argparse.Namespace) -> int:
    PAGE.write_text(page.filled(PAGE.read_text(encoding="utf-8"), record.read(arguments.source)), encoding="utf-8")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    if not PAGE.exists():
        print(f"proof: there is no {PAGE} here; run it at the top of the checkout", file=sys.stderr)
        return 1
    failed: list[str] = []
    for name in arguments.only or PARTS:
        part = PARTS[name]
        before = record.read(RECORD).get(name) if arguments.more and part.counted else None
        first = 0 if before is None else int(before.figures[_COUNTED[name]])
        count = part.count if arguments.count is None else arguments.count
        print(f"{name:<9} {part.title:<32}", end="", flush=True)
        found = _measured(name, part, Task(first=first, count=count, jobs=max(arguments.jobs, 1)))
        if found is None:
            failed.append(name)
            continue
        print(f"{found.seconds:9.1f} s {found.peak:8.0f} MiB", flush=True)
        known = record.read(RECORD)  # now, since another part may have been measured beside this one
        known[name] = found if before is None else before.plus(found)
        record.write(RECORD, known)
        PAGE.write_text(page.filled(PAGE.read_text(encoding="utf-8"), known), encoding="utf-8", newline="\n")
    print(f"{', '.join(failed)} failed" if failed else f"{PAGE} is written")
    return 1 if failed else 0


_COUNTED: Final = {"l2": "tried", "l3": "mutants", "l4": "seeds", "l5": "lives", "driven": "lives"}
"""The figure that tells where the next ones begin."""


def _measured(name: str, part: Part, task: Task) -> Measured | None:
    options = ["--measure", name, "--first", str(task.first), "--count", str(task.count), "--jobs", str(task.jobs)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "gatewright.harness.proof", *options], stdout=subprocess.PIPE, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        print("  failed", flush=True)
        return None
    told = json.loads(done.stdout)
    amount = f" --count {task.first + task.count}" if part.counted and task.first + task.count != part.count else ""
    return Measured(
        figures=told["figures"],
        seconds=round(seconds, 1),
        peak=told["peak"],
        command=f"make proof ARGS='--only {name}{amount}'",
        on=dt.datetime.now(dt.UTC).date().isoformat(),
        python=platform.python_version(),
        table=gateway_projection.digest(),
    )


def _measure(arguments: argparse.Namespace) -> int:
    """In the part's own process."""
    task = Task(first=arguments.first, count=arguments.count, jobs=arguments.jobs)
    try:
        figures = PARTS[arguments.measure].measure(task)
    except Fault as fault:
        print(f"\n{fault}", file=sys.stderr)
        return 1
    used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"figures": figures, "peak": round(used / (1024 if sys.platform == "linux" else 1024**2))}))
    return 0
