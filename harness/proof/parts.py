"""The parts of the proof: what each of them runs, and what it counts."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import attrs

from gatewright.harness.explore import gateway, gateway_bucket, gateway_projection
from gatewright.harness.explore.concrete import wander_by
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table
from gatewright.harness.explore.lint import findings
from gatewright.harness.explore.mutants import Judge, Mutant, explained, mutants
from gatewright.harness.explore.projection import Projection
from gatewright.harness.explore.search import Bounds, search
from gatewright.harness.explore.ways import Ways
from gatewright.harness.export.agreement import compare, revolving, sampled, settling
from gatewright.harness.monitor import InvariantViolated
from gatewright.harness.pool import portions, spread
from gatewright.harness.proof.record import Figures
from gatewright.harness.sim import run as simulation
from gatewright.harness.sim.driven_report import DrivenReport, Driving
from gatewright.harness.sim.performing import DEEDS, OWN, REASONS
from gatewright.harness.sim.tally import Tally
from gatewright.harness.sim.untaken import reasons
from gatewright.harness.subject import Subject, shipped
from gatewright.spec.table import TABLE
from gatewright.transport.inflate import Compression

_T = TypeVar("_T")

ORDER_SEED: Final = 1
"""Mutants are tried in the order of this seed, so that the first so many are a fair sample of all."""

STREAMS: Final = (Compression.NONE, Compression.ZLIB_STREAM)
SPIN_BOUNDS: Final = (
    {"faults": 0, "commands": 2, "strict": 0, "capped": 0, "session": 1},
    {"faults": 1, "commands": 1, "strict": 0, "capped": 1},
    {"faults": 1, "commands": 1},
)
"""Beside those of `gatewright check`; the last has more than a million states."""


SETTLED: Final = Bounds(
    values={"faults": 0, "commands": 0, "strict": 0, "capped": 1, "session": 0, "received": 0, "kept": 0}
)
"""For the mutants of which only what must come to pass is asked: a few hundred states."""


class Fault(Exception):
    """The proof does not hold."""


@attrs.frozen(kw_only=True)
class Task:
    """How much of a part is wanted: `count` things from number `first` on, in so many processes."""

    first: int
    count: int
    jobs: int


@attrs.frozen(kw_only=True)
class Part:
    """One part of the proof.

    Attributes:
        title: what is run, in a few words.
        measure: runs it.
        counted: what `count` counts; empty for what is run as a whole.
        count: how many by default.
    """

    title: str
    measure: Callable[[Task], Figures]
    counted: str = ""
    count: int = 0


def _spread(make: Callable[[], Callable[[range], _T]], task: Task, *, portion: int) -> Iterator[_T]:
    given = portions(task.first, task.count, portion)
    for done, found in enumerate(spread(make, given, task.jobs), 1):
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done} of {len(given)} portions" if done < len(given) else "\r\x1b[K")
            sys.stderr.flush()
        yield found


# -- L0 to L2 ----------------------------------------------------------------------------------------------------------


def lint(_: Task) -> Figures:
    """The table as text."""
    subject = shipped()
    began = time.perf_counter()
    found = list(findings(subject.table, subject.environment))
    if found:
        raise Fault("\n".join(found))
    return {"rows": len(TABLE), "states": len(subject.table.states), "lint_seconds": time.perf_counter() - began}


def states(_: Task) -> Figures:
    """Every state within the default bounds."""
    report = gateway.check()
    _asserted(report.assert_ok)
    shapes = Counter(item.shape.value for item in gateway_environment().properties)
    return {
        **{name: report.as_dict()[name] for name in ("states", "edges", "seconds", "states_per_second")},
        "taken": len(report.taken),
        "justified": len(report.justified),
        "rows": report.rows,
        "properties": dict(shapes),
    }


def _asserted(check: Callable[[], None]) -> None:
    try:
        check()
    except AssertionError as error:
        raise Fault(str(error)) from error


def bucket(_: Task) -> Figures:
    """Two shards in front of one gate."""
    report = gateway_bucket.check()
    _asserted(report.assert_ok)
    shapes = Counter(item.shape.value for item in gateway_bucket.gate().properties)
    return {
        **{name: report.as_dict()[name] for name in ("states", "edges", "seconds", "states_per_second")},
        "taken": len({name.partition(".")[2] for name in report.taken}),
        "properties": dict(shapes),
    }


def _judge() -> tuple[Judge, list[Mutant]]:
    judge = Judge(gateway_table(settings=SMALL), gateway_environment(), gateway.MUTATION_STAGES)
    every = list(mutants(judge.table, judge.taken, without_deadline=gateway.without_deadline))
    random.Random(ORDER_SEED).shuffle(every)
    return judge, every


class _Judging:
    """Judges mutants by their number."""

    def __init__(self) -> None:
        self._judge, self._every = _judge()

    def __call__(self, numbers: range) -> tuple[int, list[tuple[str, str]]]:
        found = [self._judge.judge(self._every[number]) for number in numbers if number < len(self._every)]
        return len(self._every), [(outcome.verdict, outcome.mutant.name) for outcome in found]


def mutated(task: Task) -> Figures:
    """Mutants, in the order of a seed."""
    verdicts: Counter[str] = Counter()
    survivors: list[str] = []
    total = 0
    for number, found in _spread(_Judging, task, portion=50):
        total = number
        verdicts.update(verdict for verdict, _ in found)
        survivors += [name for verdict, name in found if verdict == "survived"]
    unknown = [name for name in survivors if explained(name, gateway.survivors()) is None]
    if unknown:
        raise Fault("survived without a reason:\n  " + "\n  ".join(unknown))
    return {"tried": verdicts.total(), "verdicts": dict(verdicts), "survivors": sorted(survivors), "of": total}


# -- L3 ----------------------------------------------------------------------------------------------------------------


def spin(task: Task) -> Figures:
    """Bounds, the first so many mutants that reach an explorer, and those that need not come to an end."""
    subject = shipped()
    bounds = (*subject.spin, *(Bounds(values=values) for values in SPIN_BOUNDS)) if task.first == 0 else ()
    agreements = [compare(subject.table, subject.environment, each) for each in bounds]
    tried = sampled(
        subject.table,
        subject.environment,
        gateway.MUTATION_STAGES[0],
        seed=ORDER_SEED,
        without_deadline=gateway.without_deadline,
    )
    verdicts: Counter[str] = Counter()
    for mutant, agreement in itertools.islice(tried, task.first, task.first + task.count):
        if not agreement.agreed:
            raise Fault(f"spin disagrees about {mutant.name}: {agreement.as_dict()}")
        verdicts[agreement.explorer] += 1
    for each in agreements:
        if not each.agreed:
            raise Fault(f"spin disagrees: {each.as_dict()}")
    figures: dict[str, Any] = {"mutants": verdicts.total(), "verdicts": dict(verdicts)}
    if agreements:
        figures["of"] = [each.as_dict() for each in agreements]
        figures["settled"] = _settled(subject)
    return figures


def _settled(subject: Subject) -> dict[str, int]:
    """Every mutant of the rows that a settled run takes, and of the deadlines: those that stop or go round."""
    table, environment = subject.table, subject.environment
    rows = settling(table, environment, SETTLED)
    every = list(mutants(table, rows, without_deadline=subject.without_deadline))
    counts = Counter({"mutants": len(every)})
    for mutant, found in revolving(table, environment, SETTLED, every):
        if not found.agreed:
            raise Fault(f"spin disagrees about {mutant.name}: {found}")
        counts["excused" if found.spin == "holds" else found.spin] += 1
    return dict(counts)


# -- L4 and L5 ---------------------------------------------------------------------------------------------------------


class _Walking:
    """Walks the core by every row, with the payloads of a seed."""

    def __init__(self) -> None:
        bounds = gateway.QUICK
        found, _ = search(gateway_table(settings=SMALL), gateway_environment(), bounds, gateway.compiler())
        self._ways = Ways(found)

    def __call__(self, seeds: range) -> tuple[int, int, set[str], list[str]]:
        steps, walks, rows, astray = 0, 0, set[str](), list[str]()
        for seed in seeds:
            for row in self._ways.rows:
                try:
                    walk = wander_by(self._ways, row, seed, streams=STREAMS)
                except (AssertionError, InvariantViolated) as error:
                    astray.append(f"row {row}, seed {seed}: {error}")
                    continue
                walks += 1
                steps += len(walk.told)
                rows.update(walk.rows)
        return walks, steps, rows, astray


def walked(task: Task) -> Figures:
    """The real core, by each explored row and each seed."""
    walks = steps = 0
    rows: set[str] = set()
    for found_walks, found_steps, found_rows, astray in _spread(_Walking, task, portion=2):
        if astray:
            raise Fault("the core went astray:\n  " + "\n  ".join(astray))
        walks += found_walks
        steps += found_steps
        rows |= found_rows
    return {"seeds": task.count, "walks": walks, "steps": steps, "rows": sorted(rows)}


class _Living:
    """Lives the scenarios of seeds."""

    def __call__(self, seeds: range) -> Tally:
        return simulation.play(simulation.Portion(seeds))


def lived(task: Task) -> Figures:
    """The real driver in simulation."""
    lived = Tally()
    for tally in _spread(_Living, task, portion=100):
        if tally.found:
            raise Fault("\n".join(map(str, tally.found)))
        lived.add(tally)
    if refuted := {row: seed for row, seed in lived.rows.items() if row in reasons()}:
        raise Fault(f"rows that are taken although a reason says that they cannot be, and by which seed: {refuted}")
    return {
        "lives": lived.lives,
        "faults": lived.faults,
        "fewest_faults": lived.fewest,
        "started_again": lived.again,
        "passes": lived.passes,
        "virtual_seconds": lived.seconds,
        "cpu_seconds": lived.cpu,
        "ends": dict(lived.ends),
        "rows": sorted(lived.rows),
        "of": {"rows": len(TABLE), "excused": len(reasons())},
    }


def driven(task: Task) -> Figures:
    """The real driver, driven by the actions of the exploration."""
    report = DrivenReport()
    for found in _spread(Driving, task, portion=25):
        report.add(found)
    if not report.ok:
        raise Fault(str(report))
    return {
        "lives": report.lives,
        "whole": report.whole,
        "actions": dict(report.done),
        "rows": sorted(report.rows),
        "cpu_seconds": report.cpu,
        "of": {"deeds": len(DEEDS), "own": len(OWN), "reasons": len(REASONS)},
    }


# -- journals, grades --------------------------------------------------------------------------------------------------


def projected(_: Task) -> Figures:
    """The projection that journals are held against, made anew and compared with the one that is kept."""
    found = gateway_projection.make()
    if found != Projection.read(gateway_projection.kept()):
        raise Fault(f"{gateway_projection.FILE} is out of date; run {gateway_projection.REMAKE}")
    wider = gateway_projection.make(more=1)
    if wider != found:
        raise Fault("what the environment counts hides steps from the projection")
    return {"classes": len(found.shown), "steps": found.steps, "rows": len(found.rows)}


def graded(task: Task) -> Figures:
    """The mutants through L4 and L5."""
    command = [sys.executable, "-m", "gatewright.harness.grades", "--json", "--sample", str(task.count)]
    done = subprocess.run([*command, "--seed", str(ORDER_SEED)], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Fault(f"{' '.join(command[1:])} ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    kept = ("sample", "equivalent", "walks", "lives", "driven", "seed", "rates", "by", "of")
    return {"of": {name: found[name] for name in kept}}


PARTS: Final[Mapping[str, Part]] = {
    "l0": Part(title="the table as text", measure=lint),
    "l1": Part(title="every state", measure=states),
    "bucket": Part(title="two shards and one gate", measure=bucket),
    "l2": Part(title="mutants", measure=mutated, counted="mutants", count=20_000),
    "l3": Part(title="Spin", measure=spin, counted="mutants", count=50),
    "l4": Part(title="the core, walked concretely", measure=walked, counted="seeds", count=20),
    "l5": Part(title="simulated lives", measure=lived, counted="lives", count=100_000),
    "driven": Part(title="driven lives", measure=driven, counted="lives", count=4000),
    "journals": Part(title="what journals are held against", measure=projected),
    "grades": Part(title="mutants through L4 and L5", measure=graded, counted="mutants", count=500),
}
"""In the order in which they run."""


def names() -> Iterator[str]:
    """Of all parts."""
    yield from PARTS
