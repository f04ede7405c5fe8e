"""The command: draws mutants, grades them, prints the rates."""

from __future__ import annotations

import argparse
import json
import sys

from gatewright.harness.grades import driven, lives, walks
from gatewright.harness.grades.grading import Grades, Layers, grade
from gatewright.harness.grades.verdicts import Graded


def main(argv: list[str] | None = None) -> int:
    """Grades, and ends with 0 unless something noticed a mutant that is none."""
    parser = argparse.ArgumentParser(
        prog="python -m gatewright.harness.grades",
        description="How many mutants of the shipped table each layer of the proof notices.",
    )
    parser.add_argument("--sample", type=int, default=500, help="how many mutants are drawn (default: 500)")
    parser.add_argument("--seed", type=int, default=1, help="with which they are drawn (default: 1)")
    parser.add_argument("--all", action="store_true", help="every mutant: an hour and more")
    parser.add_argument("--walks", type=int, default=walks.EACH, help="walks for each row (default: %(default)s)")
    parser.add_argument("--lives", type=int, default=lives.SEEDS, help="seeds that are lived (default: %(default)s)")
    parser.add_argument("--driven", type=int, default=driven.SEEDS, help="seeds that are driven (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one object instead of a table")
    args = parser.parse_args(argv)
    _tell("making the layers")
    layers = Layers(each=args.walks, seeds=args.lives, driven=args.driven)
    done = 0

    def progress(_: Graded) -> None:
        nonlocal done
        done += 1
        _tell(f"{done} mutants")

    grades = grade(None if args.all else args.sample, args.seed, layers=layers, progress=progress)
    _tell("")
    sys.stdout.write(json.dumps(grades.as_dict()) + "\n" if args.json else _told(grades))
    return 1 if grades.false_alarms else 0


def _told(grades: Grades) -> str:
    lines = [
        f"{len(grades.graded)} of {grades.drawn_from} mutants, drawn with seed {grades.seed}: "
        f"{len(grades.graded) - len(grades.different)} equivalent, {len(grades.different)} not; "
        f"{grades.walks} walks, {grades.lives} lives, {grades.driven} driven ones",
        "",
        *grades.table(),
    ]
    for layer, names in grades.survivors().items():
        lines += ["", f"{layer}: {len(names)} not noticed", *(f"  {name}" for name in names)]
    for graded in grades.false_alarms:
        lines += ["", f"A false alarm: {graded.outcome.mutant.name} ({graded.walked.by}, {graded.lived.by})"]
    return "\n".join(lines) + "\n"


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")
        sys.stderr.flush()
