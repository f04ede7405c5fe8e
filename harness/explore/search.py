"""Breadth-first exploration with full de-duplication, and the report of what was found."""

from __future__ import annotations

import itertools
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs

from gatewright.harness.explore.counterexample import Counterexample, Moment
from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.joint import Joint
from gatewright.harness.explore.liveness import judge
from gatewright.harness.explore.product import Product, qualified, row_ids
from gatewright.harness.explore.program import Broken, Compiler, StateCode
from gatewright.harness.explore.properties import Property, Shape
from gatewright.harness.explore.scope import inner, public
from gatewright.harness.explore.steps import NEGATIVE, Label
from gatewright.harness.explore.table import Table
from gatewright.harness.explore.terms import Term, constant, fold, is_false, is_true, term
from gatewright.spec.errors import ConfigurationError, TableError

_NO_VALUES: Final[Mapping[str, int]] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class Bounds:
    """How far to explore.

    `values` sets the initial value of variables, such as a budget of faults; `most` is the number of states at which
    exploration gives up, which is a failure: a check that saw a part proves nothing.
    """

    values: Mapping[str, int] = _NO_VALUES
    most: int = 20_000_000


@attrs.define(eq=False)
class Graph:
    """Every state that was reached and every step between them.

    States have numbers in the order in which they were found, so the nearest come first. Steps of a state are
    ``targets[starts[i]:starts[i + 1]]`` with the labels beside them; steps that change nothing are not kept.
    """

    compiler: Compiler | Joint
    codes: Sequence[StateCode]
    index: dict[int, int] = attrs.field(factory=dict[int, int])
    parents: array[int] = attrs.field(factory=lambda: array("I"))
    arrived: array[int] = attrs.field(factory=lambda: array("H"))
    starts: array[int] = attrs.field(factory=lambda: array("I"))
    targets: array[int] = attrs.field(factory=lambda: array("I"))
    labels: array[int] = attrs.field(factory=lambda: array("H"))
    roots: int = 0
    packed: list[int] = attrs.field(factory=list[int])

    def label(self, state: int, number: int) -> Label:
        """A label of a state that is given by its packed number."""
        return self.codes[state & self.compiler.layout.state_mask].labels[number]

    def steps(self, number: int) -> Iterator[tuple[Label, int]]:
        """The steps out of a state, with the numbers of where they lead."""
        state = self.packed[number]
        for place in range(self.starts[number], self.starts[number + 1]):
            yield self.label(state, self.labels[place]), self.targets[place]

    def path(self, number: int) -> list[tuple[Label | None, int]]:
        """The shortest way to a state: labels and packed states, from the beginning."""
        way: list[tuple[Label | None, int]] = []
        while number >= self.roots:
            parent = self.parents[number]
            way.append((self.label(self.packed[parent], self.arrived[number]), self.packed[number]))
            number = parent
        way.append((None, self.packed[number]))
        return way[::-1]


@attrs.define(kw_only=True)
class Report:
    """What an exploration found."""

    table: str
    environment: str
    states: int
    edges: int
    seconds: float
    properties: dict[str, str]
    """Name of each property, to ``holds``, ``violated`` or ``unknown`` (it was not judged, because another broke)."""
    counterexample: Counterexample | None
    taken: frozenset[str]
    """Ids of the rows that were taken."""
    justified: Mapping[str, str]
    """Ids of the rows that were not, to why they cannot be."""
    untaken: tuple[str, ...]
    """Ids of the rows that were not, without a reason."""
    rows: int
    verdict: str
    """``ok``, or the class of what is wrong: safety, edge, illegal, deadlock, liveness, coverage, limit."""
    graph: Graph = attrs.field(repr=False)

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return self.verdict == "ok"

    @property
    def states_per_second(self) -> float:
        """States found in a second, liveness and coverage not counted."""
        return self.states / self.seconds if self.seconds else 0.0

    def assert_ok(self) -> None:
        """Raises when a property does not hold or a row was not taken and has no reason.

        Raises:
            AssertionError: with the shortest counterexample, or the rows.
        """
        if self.counterexample is not None:
            raise AssertionError(str(self.counterexample))
        if self.verdict == "limit":
            raise AssertionError(
                f"{self.states} states were found and there are more; lower the bounds, or raise `most`"
            )
        if self.untaken:
            raise AssertionError(
                "no state takes these rows; remove them, or say why they cannot be taken:\n  "
                + "\n  ".join(self.untaken)
            )

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {
            "table": self.table,
            "environment": self.environment,
            "verdict": self.verdict,
            "states": self.states,
            "edges": self.edges,
            "seconds": round(self.seconds, 3),
            "states_per_second": round(self.states_per_second),
            "properties": self.properties,
            "rows": {
                "taken": len(self.taken),
                "justified": len(self.justified),
                "total": self.rows,
                "untaken": list(self.untaken),
            },
            "counterexample": None if self.counterexample is None else self.counterexample.as_dict(),
        }


def beginnings(bounds: Bounds, compiler: Compiler | Joint) -> list[int]:
    """Every state to begin in, packed."""
    variables = compiler.layout.variables
    bound = compiler.bound(bounds.values)
    for name, value in bound.items():
        if name not in variables or not 0 <= value <= variables[name].most:
            every = ", ".join(map(public, variables))
            most = f"0 to {variables[name].most}" if name in variables else f"one of {every}"
            raise ConfigurationError(f"the bound {public(name)}={value} is not possible: it must be {most}")
    values = [(bound[name],) if name in bound else variable.initial for name, variable in variables.items()]
    conditions = compiler.beginning
    combinations = (dict(zip(variables, each, strict=True)) for each in itertools.product(*values))
    known = compiler.constants
    possible = [
        each
        for each in combinations
        if all(
            is_true(fold(term(text), known | {name: constant(value) for name, value in each.items()}))
            for text in conditions
        )
    ]
    if not possible:
        raise TableError(
            f"{compiler.table.name} has no state to begin in: within these bounds, no first values are possible by "
            + " and ".join(repr(public(text)) for text in dict.fromkeys(conditions))
        )
    return [compiler.first(each) for each in possible]


def compiled(table: Table | Product, environment: Environment, properties: Iterable[Property]) -> Compiler | Joint:
    """What makes the code of one machine, or of several."""
    if isinstance(table, Product):
        return Joint(table, environment, properties)
    return Compiler(table, environment, properties)


def generate(table: Table | Product, compiler: Compiler | Joint) -> list[StateCode]:
    """The code of every state of the machine, or of every combination of the machines' states."""
    if isinstance(compiler, Joint):
        assert isinstance(table, Product), "the compiler of a product makes its code"
        return compiler.codes(table)
    assert isinstance(table, Table), "the compiler of a table makes its code"
    return compiler.codes(table)


def _unwatched(_: Graph) -> None:
    """Nobody wants to see it grow."""


def search(
    table: Table | Product,
    environment: Environment,
    bounds: Bounds,
    compiler: Compiler | Joint,
    watched: Callable[[Graph], None] = _unwatched,
) -> tuple[Graph, Broken | None]:
    """The graph, as far as the first violation; the state that was being left is the last of `starts`.

    `watched` is given the graph before it grows.
    """
    graph = Graph(compiler, generate(table, compiler))
    watched(graph)
    codes = graph.codes
    index, packed, most = graph.index, graph.packed, bounds.most
    parents, arrived, targets, labels, starts = graph.parents, graph.arrived, graph.targets, graph.labels, graph.starts
    successors = [code.successors for code in codes]
    width, mask, state_mask = compiler.layout.width, compiler.layout.mask, compiler.layout.state_mask
    for state in beginnings(bounds, compiler):
        index[state] = len(packed)
        packed.append(state)
        parents.append(0)
        arrived.append(0)
    graph.roots = len(packed)
    found: list[int] = []
    emit = found.append
    get = index.get
    try:
        for place, state in enumerate(packed):  # it grows while it is walked: that is the frontier
            starts.append(len(targets))
            successors[state & state_mask](state, emit)
            for step in found:
                successor = step & mask
                target = get(successor)
                if target is None:
                    target = index[successor] = len(packed)
                    packed.append(successor)
                    parents.append(place)
                    arrived.append(step >> width)
                targets.append(target)
                labels.append(step >> width)
            found.clear()
            if len(packed) > most:
                break
    except Broken as broken:
        return graph, broken
    starts.append(len(targets))
    return graph, None


def explore(
    table: Table | Product,
    environment: Environment,
    bounds: Bounds = Bounds(),
    properties: Iterable[Property] = (),
    *,
    justified: Mapping[str, str] = MappingProxyType({}),
    coverage: bool = True,
    compiler: Compiler | Joint | None = None,
    watched: Callable[[Graph], None] = _unwatched,
) -> Report:
    """Every state that `table` can reach in `environment`, judged.

    Args:
        table: the machine, or several of them.
        environment: everything that can happen to it, with the properties that it brings. Of a product, what the
            machines share.
        bounds: how far.
        properties: more that must hold.
        justified: ids of rows that cannot be taken, to the reason. A row that is taken all the same is reported. In a
            product, ``machine.id`` is one machine's row, and an id by itself that of each machine that has it.
        coverage: whether a row that is not taken and has no reason is a fault.
        compiler: one that was made for the same machine and environment, to be used again.
        watched: is given the graph before it grows, to tell how far it is.

    Raises:
        TableError: when the environment does not feed an event, an expression reads what has no variable, or there is
            no state to begin in.
        ConfigurationError: for a bound that is no variable, or none of its values.
    """
    compiler = compiled(table, environment, (*environment.properties, *properties)) if compiler is None else compiler
    items = compiler.properties
    generate(table, compiler)
    started = time.perf_counter()
    graph, broken = search(table, environment, bounds, compiler, watched)
    seconds = time.perf_counter() - started
    verdicts = {item.name: "unknown" for item in items}
    counterexample: Counterexample | None = None
    verdict = "ok"
    if broken is not None:
        verdict, counterexample = _violation(graph, broken, items)
        if broken.number >= 0:
            verdicts[items[broken.number].name] = "violated"
    elif len(graph.packed) > bounds.most:
        verdict = "limit"
    else:
        for item in items:
            verdicts[item.name] = "holds"
            if item.shape is Shape.SOMETIMES and not _found(graph, item):
                verdicts[item.name] = "violated"
                if verdict == "ok":
                    verdict = "coverage"
                    counterexample = Counterexample(item.name, "never", ())
        for item in items:
            if item.shape is Shape.EVENTUALLY and verdict == "ok":
                fault = judge(graph, item)
                if fault is not None:
                    verdict = fault.verdict
                    verdicts[item.name] = "violated"
                    counterexample = Counterexample(
                        item.name,
                        fault.detail,
                        tuple(moments(graph, graph.path(fault.state))),
                        moments_of(graph, fault.cycle),
                        machines_in(graph),
                    )
    taken = _taken(graph) if verdict == "ok" else frozenset[str]()
    rows = row_ids(table)
    justified = _each_machine(justified, compiler)
    missing = [name for name in rows if name not in taken] if verdict == "ok" else []
    reasons = {name: justified[name] for name in missing if name in justified}
    untaken = [name for name in missing if name not in justified and coverage]
    untaken += [f"{name}: is taken, although it is said that it cannot be" for name in justified if name in taken]
    if verdict == "ok" and untaken:
        verdict = "coverage"
    return Report(
        table=table.name,
        environment=environment.name,
        states=len(graph.packed),
        edges=len(graph.targets),
        seconds=seconds,
        properties=verdicts,
        counterexample=counterexample,
        taken=taken,
        justified=reasons,
        untaken=tuple(untaken),
        rows=len(rows),
        verdict=verdict,
        graph=graph,
    )


def _violation(graph: Graph, broken: Broken, items: Sequence[Property]) -> tuple[str, Counterexample]:
    place = len(graph.starts) - 1
    way = graph.path(place)
    if broken.label >= 0:
        label = graph.label(graph.packed[place], broken.label)
        way.append((label, graph.packed[place]))
    detail = broken.detail
    if broken.number <= NEGATIVE:
        label = graph.label(graph.packed[place], broken.label)
        variable = public(graph.compiler.variables(label.machine)[NEGATIVE - broken.number])
        verdict, name = "illegal", "a variable has no value less than 0"
        detail = f"{variable} is to be less here; let a guard ask for enough of it, or write max(..., 0)"
    elif broken.number < 0:
        verdict, name = "illegal", "the table is not complete"
    else:
        item = items[broken.number]
        verdict, name = ("safety" if item.shape is Shape.ALWAYS else "edge"), item.name
    steps = list(moments(graph, way))
    if broken.label >= 0:
        machine = steps[-1].machine
        detail = f"{machine}: {public(detail)}" if machine and detail else detail
        steps[-1] = attrs.evolve(steps[-1], state=steps[-1].row_target or steps[-1].state, changes=(), broken=True)
    return verdict, Counterexample(name, detail or verdict, tuple(steps), machines=machines_in(graph))


def machines_in(graph: Graph) -> tuple[str, ...]:
    """The names of the machines of a product; none for a table by itself."""
    return tuple(name for name in graph.compiler.machines if name)


def _each_machine(justified: Mapping[str, str], compiler: Compiler | Joint) -> dict[str, str]:
    """Reasons by what reports call the rows."""
    found = dict(justified)
    for machine, table in compiler.machines.items():
        if machine:
            for row in table.rows:
                if row.id in justified:
                    found.pop(row.id, None)
                    found.setdefault(qualified(machine, row.id), justified[row.id])
    return found


def moments(graph: Graph, way: Sequence[tuple[Label | None, int]]) -> Iterator[Moment]:
    """The steps of a way as people read them."""
    layout = graph.compiler.layout
    before: int | None = None
    for label, state in way:
        values = layout.unpack(state)
        known = {} if before is None else layout.unpack(before)
        machine = "" if label is None else label.machine
        own = inner(machine, "state")  # which is told as the step's, and not among what changed
        changes = tuple(
            (public(name), layout.variables[name].word(value))
            for name, value in values.items()
            if known.get(name) != value and name != own
        )
        source, target = (
            "" if found is None else str(found.value)
            for found in (
                layout.state_of(state if before is None else before, machine),
                layout.state_of(state, machine),
            )
        )
        told = () if before is None else changes
        numbers = tuple((public(name), value) for name, value in values.items())
        yield Moment.of(label, source, target, told, numbers)
        before = state


def moments_of(graph: Graph, cycle: Sequence[tuple[Label | None, int]]) -> tuple[Moment, ...]:
    """The steps of a cycle; its first state only says where it begins."""
    return tuple(moments(graph, cycle))[1:]


def _found(graph: Graph, item: Property) -> bool:
    """Whether some state has the property; each state of the machine is asked with what it makes of the question."""
    compiler = graph.compiler
    layout = compiler.layout
    asked: dict[int, object] = {}
    for control in compiler.controls:
        holds = fold(term(item.expression), compiler.known(control))
        if is_true(holds):
            asked[control] = True
        elif not is_false(holds):
            asked[control] = compiler.predicate(holds)
    for packed in graph.packed:
        ask = asked.get(packed & layout.state_mask)
        if ask is not None and (ask is True or ask(packed)):  # type: ignore[operator]
            return True
    return False


def _taken(graph: Graph) -> frozenset[str]:
    """Ids of the rows that some step takes."""
    layout, codes = graph.compiler.layout, graph.codes
    used: set[int] = set()
    labels, starts, mask = graph.labels, graph.starts, layout.state_mask
    for place, state in enumerate(graph.packed):
        control = (state & mask) << 16
        for number in labels[starts[place] : starts[place + 1]]:
            used.add(control | number)
    taken: set[str] = set()
    for both in used:
        label = codes[both >> 16].labels[both & 0xFFFF]
        if label.row is not None:
            taken.add(label.taken)
    wanted = [
        (control, loop.label.taken, loop.guard)
        for control in graph.compiler.controls
        for loop in codes[control].loops
        if loop.label.row is not None and loop.label.taken not in taken
    ]
    open_: dict[int, list[tuple[str, Any]]] = {}
    asks: dict[Term, Any] = {}  # a machine's loop is the same whatever the states of the others are
    for control, row_id, guard in wanted:
        if guard not in asks:
            asks[guard] = None if is_true(guard) else graph.compiler.predicate(guard)
        open_.setdefault(control, []).append((row_id, asks[guard]))
    for state in graph.packed:
        asked = open_.get(state & mask)
        if asked:
            left = [(row_id, ask) for row_id, ask in asked if not (row_id in taken or ask is None or ask(state))]
            if len(left) != len(asked):
                taken.update(row_id for row_id, ask in asked if (row_id, ask) not in left)
                open_[state & mask] = left
    return frozenset(taken)
