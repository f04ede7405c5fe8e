"""`gatewright check`: the layers L0 to L3 of the proof on one table, with a progress display, as text or as JSON."""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from typing import Any

import attrs
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from gatewright.harness.explore.counterexample import Counterexample
from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.lint import findings
from gatewright.harness.explore.mutants import Judge, Outcome, Score, explained, mutants, sample
from gatewright.harness.explore.properties import Shape
from gatewright.harness.explore.search import Bounds, Graph, Report, explore
from gatewright.harness.export.agreement import Agreement, compare, sampled
from gatewright.harness.export.spin import SpinError, spin_is_here
from gatewright.harness.subject import Subject
from gatewright.spec.errors import ConfigurationError, TableError


@attrs.frozen(kw_only=True)
class Options:
    """What is asked for.

    `spin_mutants` is how many mutants are judged by the explorer and by Spin, drawn with `seed` too.

    `mutants` is how many are drawn with `seed`: ``None`` for all of them, 0 for none. `least_score` is the part of them
    that must be noticed, those not counted that are no other table or may survive for a reason.
    """

    values: Mapping[str, int] = attrs.field(factory=dict[str, int])
    mutants: int | None = 100
    seed: int = 1
    spin: bool = True
    spin_mutants: int = 0
    least_score: float = 1.0
    json: bool = False
    told: Callable[[Counterexample], str] = str
    """Writes what does not hold; :mod:`gatewright.harness.forms` has the forms."""


@attrs.define(kw_only=True)
class Result:
    """What the layers found; ``None`` for those that were left out."""

    subject: Subject
    findings: tuple[str, ...] = ()
    report: Report | None = None
    score: Score | None = None
    spin: tuple[Agreement, ...] | None = None
    spin_mutants: Mapping[str, Agreement] = attrs.field(factory=dict[str, Agreement])
    """By the name of the mutant."""
    spin_available: bool = False
    spin_failed: str = ""
    """Why Spin could not be asked to the end; empty when it was, or was left out."""
    least_score: float = 1.0
    told: Callable[[Counterexample], str] = str

    @property
    def unexplained(self) -> list[str]:
        """The mutants that nobody noticed and that have no reason."""
        found = () if self.score is None else self.score.survivors
        return [each.mutant.name for each in found if explained(each.mutant.name, self.subject.survivors) is None]

    @property
    def reasons(self) -> list[str]:
        """Why it does not pass, one each; empty when it does."""
        return [*self.findings, *self._of_report(), *self._of_mutants(), *self._of_spin()]

    def _of_report(self) -> Iterator[str]:
        report = self.report
        if report is None:
            return
        if report.counterexample is not None:
            yield self.told(report.counterexample)
        elif report.verdict == "limit":
            yield f"more than {report.states} states; lower the bounds with --bound"
        for name in report.untaken:
            unreached = "no state takes this row; let the environment lead to it, remove it, or justify it in a Subject"
            yield name if ": " in name else f"{name}: {unreached}"

    def _of_mutants(self) -> Iterator[str]:
        score, names = self.score, self.unexplained
        if score is None or not names:
            return
        wanted = score.killed + len(names)
        if score.killed / wanted >= self.least_score:
            return
        if self.least_score < 1:
            yield f"{score.killed / wanted:.1%} of the mutants were noticed; {self.least_score:.1%} are asked for"
        for name in names:
            yield f"survived: {name}; state a property that it breaks, or its reason in a Subject"

    def _of_spin(self) -> Iterator[str]:
        if self.spin_failed:
            yield f"spin: {self.spin_failed}\n  (--no-spin leaves it out.)"
        for each in self.spin or ():
            if each.explorer != "holds" and each.agreed:
                yield f"it does not hold at {dict(each.values)}, where Spin was asked: {each.explorer}"
            if not each.agreed:
                yield f"spin disagrees at {dict(each.values)}: {each}"
        for name, each in self.spin_mutants.items():
            if not each.agreed:
                yield f"spin disagrees on a mutant: {name}: {each}"

    @property
    def _agreed(self) -> bool | None:
        if self.spin_failed:
            return False
        return None if self.spin is None else all(x.agreed for x in (*self.spin, *self.spin_mutants.values()))

    def as_dict(self) -> dict[str, Any]:
        """In the types of JSON; a layer that was left out has counts of 0, and ``None`` for its verdict."""
        report, score = self.report, self.score
        names = (item.name for item in self.subject.environment.properties)
        return {
            "states": 0 if report is None else report.states,
            "edges": 0 if report is None else report.edges,
            "seconds": 0.0 if report is None else round(report.seconds, 3),
            "states_per_second": 0 if report is None else round(report.states_per_second),
            "properties": dict.fromkeys(names, "unknown") if report is None else dict(report.properties),
            "rows": {
                "taken": 0 if report is None else len(report.taken),
                "justified": 0 if report is None else len(report.justified),
                "total": len(self.subject.table.rows),
            },
            "mutants": {
                "total": 0 if score is None else len(score.outcomes),
                "killed": 0 if score is None else score.killed,
                "equivalent": 0 if score is None else score.equivalent,
                "survived": 0 if score is None else len(score.survivors),
                "score": None if score is None else round(score.score, 5),
            },
            "spin": {
                "available": self.spin_available,
                "agreed": self._agreed,
                "bounds": [each.as_dict() for each in self.spin or ()],
            },
        }


class _Amount(ProgressColumn):
    """How much is done: parts out of so many, or the states of a graph so far."""

    max_refresh = 0.2

    def render(self, task: Task) -> Text:
        """See rich."""
        graph: Graph | None = task.fields.get("graph")
        if graph is not None:
            return Text(f"{len(graph.packed):,} states")
        return Text("" if task.total is None else f"{task.completed:.0f}/{task.total:.0f}")


class Watch:
    """Shows how far the layers have come, on a terminal; elsewhere it says nothing."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            _Amount(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    @contextlib.contextmanager
    def layer(self, what: str, total: int | None = None) -> Generator[Callable[[], None]]:
        """One layer; what it gives is called for each part that is done."""
        task = self._progress.add_task(what, total=total)
        yield lambda: self._progress.advance(task)
        self._progress.update(task, total=total or 1, completed=total or 1)

    @contextlib.contextmanager
    def growing(self, what: str) -> Generator[Callable[[Graph], None]]:
        """One layer that is a graph, whose end nobody knows; what it gives is told of the graph."""
        task = self._progress.add_task(what, total=None)
        yield lambda graph: self._progress.update(task, graph=graph)
        self._progress.update(task, total=1, completed=1)

    def __enter__(self) -> Watch:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def prove(subject: Subject, options: Options, watch: Watch) -> Result:
    """Runs the layers, each only when the ones before it found nothing."""
    table, environment = subject.table, subject.environment
    bounds = attrs.evolve(subject.bounds, values={**subject.bounds.values, **options.values})
    result = Result(subject=subject, spin_available=spin_is_here(), least_score=options.least_score, told=options.told)
    with watch.layer("L0  lint"):
        result.findings = _lint(subject)
    if result.findings:
        return result
    whole = not options.values
    if not whole:  # small bounds do not reach every row, nor everything that must sometimes be seen
        kept = tuple(item for item in environment.properties if item.shape is not Shape.SOMETIMES)
        environment = attrs.evolve(environment, properties=kept)
    try:
        with watch.growing("L1  every state") as watched:
            result.report = explore(
                table, environment, bounds, justified=subject.justified, coverage=whole, watched=watched
            )
        if result.report.ok and options.mutants != 0:
            result.score = _mutants(subject, options, bounds, watch)
    except TableError as error:
        result.findings = tuple(str(error).splitlines())
    except AssertionError as error:  # the table itself, within the bounds of its mutants
        result.findings = (f"it does not hold within the bounds of its mutants (`stages` of the Subject):\n{error}",)
    if result.report is None or not result.report.ok or result.findings:
        return result
    if options.spin and result.spin_available:
        try:
            _spin(subject, environment, options, bounds, result, watch)
        except (SpinError, TableError) as error:  # what cannot be said in Promela is a fault of the table's
            result.spin_failed = str(error)
    return result


def _lint(subject: Subject) -> tuple[str, ...]:
    """L0, and reasons for rows that there are not."""
    ids = {row.id for row in subject.table.rows}
    unknown = (f"justified: there is no row {name!r}" for name in subject.justified if name not in ids)
    try:
        return (*findings(subject.table, subject.environment), *unknown)
    except TableError as error:
        return tuple(str(error).splitlines())


def _spin(
    subject: Subject, environment: Environment, options: Options, bounds: Bounds, result: Result, watch: Watch
) -> None:
    table = subject.table
    tried = subject.spin or (bounds,)
    with watch.layer("L3  Spin", len(tried)) as done:
        for each in tried:
            result.spin = (*(result.spin or ()), compare(table, environment, each))
            done()
    if not options.spin_mutants:
        return
    with watch.layer("L3  Spin, mutants", options.spin_mutants) as done:
        drawn = sampled(
            table,
            environment,
            (subject.stages or (bounds,))[0],
            seed=options.seed,
            without_deadline=subject.without_deadline,
        )
        for mutant, agreement in itertools.islice(drawn, options.spin_mutants):
            result.spin_mutants = {**result.spin_mutants, mutant.name: agreement}
            done()


def _mutants(subject: Subject, options: Options, bounds: Bounds, watch: Watch) -> Score:
    with watch.layer("L2  the table itself, for comparison"):
        judge = Judge(subject.table, subject.environment, subject.stages or (bounds,))
        every = list(mutants(subject.table, judge.taken, without_deadline=subject.without_deadline))
    if not options.values:  # which leave rows out, and their mutants with them
        names = [mutant.name for mutant in every]
        unused = [known for known in subject.survivors if not fnmatch.filter(names, known)]
        if unused:
            raise TableError("\n".join(f"survivors: there is no mutant {known!r}" for known in unused))
    if options.mutants is not None:
        every = sample(every, options.mutants, options.seed)
    with watch.layer("L2  mutants", len(every)) as done:

        def judged(_: Outcome) -> None:
            done()

        return judge.score(every, judged)


def run(subject: Subject, options: Options) -> int:
    """Proves, prints, and gives the exit status: 0 when everything holds, 1 when something does not.

    With ``json``, one object goes to standard output, and why it does not hold to standard error.
    """
    with Watch(Console(stderr=True)) as watch:
        result = prove(subject, options, watch)
    if options.json:
        sys.stdout.write(json.dumps(result.as_dict()) + "\n")
        sys.stderr.writelines(f"{reason}\n" for reason in result.reasons)
    else:
        sys.stdout.write("\n".join(_lines(subject, result)) + "\n")
    return 1 if result.reasons else 0


def _lines(subject: Subject, result: Result) -> Iterator[str]:
    rows = len(subject.table.rows)
    yield f"L0  lint      {rows} rows, {len(result.findings) or 'no'} finding{'s' * (len(result.findings) != 1)}"
    report = result.report
    if report is not None:
        held = sum(verdict == "holds" for verdict in report.properties.values())
        rate = f"{report.states_per_second:,.0f} states/s"
        yield f"L1  states    {report.states:,} states, {report.edges:,} steps, {rate}"
        judged = sum(verdict != "unknown" for verdict in report.properties.values())
        yield f"              {held} of {len(report.properties)} properties hold, {judged - held} broken"
        if report.ok:
            yield f"              {len(report.taken)} of {rows} rows taken, {len(report.justified)} cannot be"
    if result.score is not None:
        score = result.score
        tried, survived = len(score.outcomes), len(score.survivors)
        yield f"L2  mutants   {tried} tried, {score.killed} noticed: {score.score:.1%}"
        known = survived - len(result.unexplained)
        said = f", {known} of them for a reason that is known" if known else ""
        yield f"              {score.equivalent} are no other table, {survived} survived{said}"
    if result.spin is not None:
        agreed = sum(each.agreed for each in result.spin)
        yield f"L3  spin      {agreed} of {len(result.spin)} bounds agree:"
        for each in result.spin:
            at = ", ".join(f"{name}={value}" for name, value in each.values.items())
            yield f"              {each.spin_states:,} states{f' at {at}' if at else ''}"
            for goal in each.eventually:
                yield f"              {goal.spin_states:,} to see that it comes to pass: {goal.goal.partition(':')[0]}"
        if result.spin_mutants:
            yield _mutants_of_spin(result.spin_mutants.values())
    elif not result.spin_available:
        yield "L3  spin      left out: spin is not here (apt install spin build-essential)"
    if result.reasons:
        yield ""
    yield from result.reasons
    yield f"\n{'It does not hold.' if result.reasons else 'It holds.'}"


def _mutants_of_spin(found: Collection[Agreement]) -> str:
    agreed = sum(each.agreed for each in found)
    counts = Counter(each.explorer for each in found)
    classes = ", ".join(f"{counts[name]} {name}" for name in sorted(counts))
    return f"              {agreed} of {len(found)} mutants agree: {classes}"


def parse_values(texts: Sequence[str]) -> dict[str, int]:
    """Bounds as ``name=number``.

    Raises:
        ConfigurationError: for anything else.
    """
    values: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if not (name and number.isdecimal()):
            raise ConfigurationError(f"{text!r} is no bound; write a variable and its first value, such as faults=1")
        values[name] = int(number)
    return values


def parse_mutants(text: str) -> int | None:
    """How many mutants; ``None`` for all.

    Raises:
        ConfigurationError: for anything else.
    """
    if text == "all":
        return None
    if not text.isdecimal():
        raise ConfigurationError(f"{text!r} is no number of mutants; write a number, or all")
    return int(text)
