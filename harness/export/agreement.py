"""Whether Spin and the explorer say the same of a table: the same verdicts, and as many states."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

import attrs

from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.liveness import cycles, diverging, eager, goals, rearming
from gatewright.harness.explore.mutants import Mutant, mutants, without_timers
from gatewright.harness.explore.program import Compiler
from gatewright.harness.explore.properties import Property, Shape
from gatewright.harness.explore.search import Bounds, Graph, explore
from gatewright.harness.explore.table import AnyRow, Table
from gatewright.harness.explore.terms import code_of
from gatewright.harness.export.promela import promela
from gatewright.harness.export.promela_convergence import promela_convergence
from gatewright.harness.export.spin import SpinConvergence, run_convergence, run_spin
from gatewright.spec.errors import TableError

_NEAR: Final = 8
"""How many steps before a cycle are told; Spin goes deep, so its ways are long."""
_UNSAFE: Final = {"safety", "edge", "illegal"}


@attrs.frozen(kw_only=True)
class Convergence:
    """What both found of one `eventually`, once faults and commands have ceased.

    `explorer` and `spin` are ``holds``, ``liveness`` (it can go on for ever short of the goal) or ``deadlock``
    (nothing can happen short of it). The states are those of the model: free ones, settled ones, and one that is over.
    `told` is Spin's run, if it found one.
    """

    goal: str
    states: int
    spin_states: int
    explorer: str
    spin: str
    told: str
    seconds: float

    def __str__(self) -> str:
        told = f"; spin goes {self.told}" if self.told else ""
        return f"{self.goal}: {self.explorer} and {self.spin}, {self.states} and {self.spin_states} states{told}"

    @property
    def agreed(self) -> bool:
        """Both hold and have as many states, or neither holds."""
        if self.explorer == "holds":
            return self.spin == "holds" and self.states == self.spin_states
        # Each tells the first that it finds of what are two ways not to get there.
        return self.spin in {"liveness", "deadlock"}

    def as_dict(self) -> dict[str, Any]:
        """In the types of JSON."""
        return {**attrs.asdict(self), "agreed": self.agreed, "seconds": round(self.seconds, 3)}


@attrs.frozen(kw_only=True)
class Agreement:
    """What both found at one bound.

    `explorer` is ``holds`` or the class of the nearest fault (``safety``, ``edge``, ``illegal``), `spin` is ``holds``
    or the classes of all that it found.
    """

    values: Mapping[str, int]
    states: int
    spin_states: int
    explorer: str
    spin: str
    seconds: float
    """What Spin took, with the compiler."""
    eventually: tuple[Convergence, ...] = ()
    """What must come to pass; it is asked when everything else holds."""

    def __str__(self) -> str:
        said = f"{self.explorer} and {self.spin}, {self.states} and {self.spin_states} states"
        return "; ".join([said, *(str(each) for each in self.eventually if not each.agreed)])

    @property
    def agreed(self) -> bool:
        """Both hold and have as many states, or Spin found what the explorer did."""
        if self.explorer == "holds":
            settled = all(each.agreed for each in self.eventually)
            return self.spin == "holds" and self.states == self.spin_states and settled
        return self.explorer in self.spin.split(", ")

    def as_dict(self) -> dict[str, Any]:
        """In the types of JSON."""
        return {
            "values": dict(self.values),
            "states": self.states,
            "spin_states": self.spin_states,
            "explorer": self.explorer,
            "spin": self.spin,
            "agreed": self.agreed,
            "seconds": round(self.seconds, 3),
            "eventually": [each.as_dict() for each in self.eventually],
        }


def compare(table: Table, environment: Environment, bounds: Bounds, compiler: Compiler | None = None) -> Agreement:
    """Asks both; `compiler` as for :func:`~gatewright.harness.explore.explore`.

    Both judge states and steps (`always`, `edge`, cells without a row, cells that are undecided), and, where all of
    that holds, that every `eventually` comes to pass once faults and commands have ceased. That it *can* come to pass
    from everywhere is judged by the explorer alone.

    Raises:
        SpinError: Spin is absent or did not finish.
        TableError: the table cannot be explored, or has more states than the bounds allow.
    """
    wanted = tuple(item for item in environment.properties if item.shape is Shape.EVENTUALLY)
    environment = judged(environment)
    report = explore(table, environment, bounds, coverage=False, compiler=compiler)
    if report.verdict == "limit":
        raise TableError(f"{table.name} has more than {bounds.most} states within these bounds")
    found = run_spin(promela(table, environment, bounds))
    verdict = report.verdict if report.verdict in _UNSAFE else "holds"
    if verdict != "holds" or not found.ok:
        wanted = ()
    return Agreement(
        values=bounds.values,
        states=report.states,
        spin_states=found.states,
        explorer=verdict,
        spin=", ".join(sorted(found.verdicts)) or "holds",
        seconds=found.seconds,
        eventually=tuple(converging(table, environment, goal, bounds, report.graph) for goal in wanted),
    )


def converging(table: Table, environment: Environment, goal: Property, bounds: Bounds, graph: Graph) -> Convergence:
    """Asks both of one `eventually`; `graph` is the explorer's, of a table in which everything else holds.

    Raises:
        SpinError: Spin is absent or did not finish.
    """
    fault = diverging(graph, goal)
    found = run_convergence(promela_convergence(table, environment, goal, bounds))
    return Convergence(
        goal=goal.name,
        states=settled(table, graph, goal),
        spin_states=found.states,
        explorer="holds" if fault is None else fault.verdict,
        spin=found.verdict,
        told=_told(table, found),
        seconds=found.seconds,
    )


def settled(table: Table, graph: Graph, goal: Property) -> int:
    """How many states the model of an `eventually` has, by the explorer's steps.

    Each state as long as everything can happen; each short of the goal once the run has settled; what is reached from
    these, apart where a deadline was armed on the way; and one for all runs in which a deadline passed.
    """
    good = goals(graph, goal)
    layout = graph.compiler.layout
    timed = {code_of(state) for state in table.timed}
    arming = [bytearray(rearming(table, label) for label in code.labels) for code in graph.codes]
    entered: set[tuple[int, bool]] = set()
    over = False
    for number, places in eager(graph, good):
        state = graph.packed[number] & layout.state_mask
        over = over or state in timed
        for place in places:
            target = graph.targets[place]
            armed = bool(arming[state][graph.labels[place]]) and graph.packed[target] & layout.state_mask in timed
            if armed or good[target]:
                entered.add((target, armed))
    return len(good) + good.count(0) + len(entered) + over


def _told(table: Table, found: SpinConvergence) -> str:
    """Spin's run in one line."""

    def steps(way: Iterable[tuple[str, int]]) -> str:
        return ", ".join(f"{name} ({table.states[state].value})" for name, state in way)

    if found.ok:
        return ""
    near = found.way[-_NEAR:]
    before = f"{'... ' if len(near) < len(found.way) else ''}{steps(near)}"
    return f"{before}; then for ever: {steps(found.cycle)}" if found.cycle else f"{before}; then nothing"


def compared(
    table: Table, environment: Environment, bounds: Bounds, every: Iterable[Mutant]
) -> Iterator[tuple[Mutant, Agreement]]:
    """Asks both of each mutant of `table` that reaches an explorer: those that lint refuses are left out."""
    around = judged(environment)
    compiler = Compiler(table, around, around.properties)
    for mutant in every:
        if any(True for _ in mutant.table.findings(mutant.table.rows)):
            continue
        try:
            yield mutant, compare(mutant.table, environment, bounds, None if mutant.own_code else compiler)
        except TableError:
            continue  # so the compiler refuses it, or it has no end
        finally:
            compiler.forget_all_but(table.rows)


def sampled(
    table: Table,
    environment: Environment,
    bounds: Bounds,
    *,
    seed: int,
    without_deadline: Callable[[Table, Enum], Table] = without_timers,
) -> Iterator[tuple[Mutant, Agreement]]:
    """Asks both of the mutants of rows that are taken within these bounds, in an order that `seed` draws.

    Mutants of other rows are the table itself there. One with more than ten times as many states is passed over.
    """
    report = explore(table, judged(environment), bounds, coverage=False)
    rows = [row for row in table.rows if row.id in report.taken]
    every = list(mutants(table, rows, without_deadline=without_deadline))
    random.Random(seed).shuffle(every)
    limit = attrs.evolve(bounds, most=10 * report.states + 1000)
    yield from compared(table, environment, limit, every)


def settling(table: Table, environment: Environment, bounds: Bounds) -> tuple[AnyRow, ...]:
    """The rows that are taken once faults and commands have ceased, short of some `eventually`."""
    report = explore(table, attrs.evolve(environment, properties=()), bounds, coverage=False)
    graph, taken = report.graph, set[str]()
    for goal in environment.properties:
        if goal.shape is Shape.EVENTUALLY:
            for number, places in eager(graph, goals(graph, goal)):
                rows = (graph.label(graph.packed[number], graph.labels[place]).row for place in places)
                taken.update(row.id for row in rows if row is not None)
    return tuple(row for row in table.rows if row.id in taken)


def revolving(
    table: Table, environment: Environment, bounds: Bounds, every: Iterable[Mutant]
) -> Iterator[tuple[Mutant, Convergence]]:
    """Asks both of each mutant that can stop or go round short of an `eventually`, be it excused or not.

    Of each of those only that is asked. Lint and the other properties, which notice nearly all of them first, are not;
    mutants in which an event has no row, or two, are passed over.
    """
    wanted = tuple(item for item in environment.properties if item.shape is Shape.EVENTUALLY)
    around = attrs.evolve(environment, properties=())
    compiler = Compiler(table, around, ())
    for mutant in every:
        try:
            used = Compiler(mutant.table, around, ()) if mutant.own_code else compiler
            report = explore(mutant.table, around, bounds, coverage=False, compiler=used)
        except TableError:
            continue  # the compiler refuses it
        finally:
            compiler.forget_all_but(table.rows)
        if report.ok:
            for goal in wanted:
                if diverging(report.graph, goal) is not None or cycles(report.graph, goal):
                    yield mutant, converging(mutant.table, around, goal, bounds, report.graph)


def judged(environment: Environment) -> Environment:
    """With the properties that both judge."""
    kept = tuple(item for item in environment.properties if item.shape in {Shape.ALWAYS, Shape.EDGE})
    return attrs.evolve(environment, properties=kept)
