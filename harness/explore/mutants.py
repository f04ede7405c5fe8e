"""L2: tables that are wrong in one place, and whether the proof notices.

A mutant is killed by the first of: lint; a broken property, an illegal or undecided cell; a deadlock; a livelock; a row
that is taken no more. What is left is equivalent when the labelled graph is the same: the same states, and the same
steps with the same row kinds, effects and writes. All others survive, and each survivor is a property that is missing.
"""

from __future__ import annotations

import ast
import enum
import fnmatch
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeVar

import attrs

from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.joint import Joint
from gatewright.harness.explore.product import Product, machines_of, qualified, single
from gatewright.harness.explore.program import Compiler
from gatewright.harness.explore.properties import Shape
from gatewright.harness.explore.search import Bounds, Graph, Report, compiled, explore
from gatewright.harness.explore.steps import Label
from gatewright.harness.explore.table import AnyRow, Table
from gatewright.spec.errors import TableError


class Kind(enum.StrEnum):
    """What was done to the table."""

    DROP_ROW = "drop_row"
    RETARGET = "retarget"
    INTERNALISE = "internalise"
    DROP_GUARD = "drop_guard"
    NEGATE_GUARD = "negate_guard"
    DROP_EFFECT = "drop_effect"
    DROP_UPDATE = "drop_update"
    SWAP_ORDER = "swap_order"
    SWAP_EVENT = "swap_event"
    DROP_DEADLINE = "drop_deadline"
    OFF_BY_ONE = "off_by_one"


@attrs.frozen
class Mutant:
    """One wrong table. `where` is the id of a row, or the name of a guard or a state; `detail` says what was done.

    In a product one machine is wrong: `product` has the wrong table in its place, and `where` begins with its name.
    """

    kind: Kind
    where: str
    detail: str
    table: Table = attrs.field(repr=False, eq=False)
    product: Product | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def whole(self) -> Table | Product:
        """What is explored."""
        return self.table if self.product is None else self.product

    @property
    def name(self) -> str:
        """What lists of survivors call it."""
        return f"{self.kind} {self.where} {self.detail}".strip()

    @property
    def own_code(self) -> bool:
        """Whether more than rows differ, so that no code of the shipped table can be used again."""
        return self.kind in {Kind.DROP_DEADLINE, Kind.OFF_BY_ONE}


@attrs.frozen
class Outcome:
    """What became of a mutant.

    Attributes:
        mutant: the mutant.
        verdict: what noticed it (``lint``, ``safety``, ``edge``, ``illegal``, ``deadlock``, ``liveness``,
            ``coverage``, ``limit``), or ``equivalent``, or ``survived``.
        detail: the finding, the property, or the rows that are taken no more.
    """

    mutant: Mutant
    verdict: str
    detail: str = ""

    @property
    def killed(self) -> bool:
        """Whether the proof noticed."""
        return self.verdict not in {"equivalent", "survived"}


@attrs.frozen
class Score:
    """The outcomes of many mutants."""

    outcomes: tuple[Outcome, ...]

    @property
    def survivors(self) -> tuple[Outcome, ...]:
        """Those that nothing noticed, though they differ."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict == "survived")

    @property
    def equivalent(self) -> int:
        """Those that are no other table."""
        return sum(outcome.verdict == "equivalent" for outcome in self.outcomes)

    @property
    def killed(self) -> int:
        """Those that were noticed."""
        return sum(outcome.killed for outcome in self.outcomes)

    @property
    def score(self) -> float:
        """The part of those that are not equivalent that was noticed; 1 for none."""
        different = len(self.outcomes) - self.equivalent
        return self.killed / different if different else 1.0

    def as_dict(self) -> dict[str, Any]:
        """The score as JSON has it."""
        return {
            "total": len(self.outcomes),
            "killed": self.killed,
            "equivalent": self.equivalent,
            "survived": len(self.survivors),
            "score": round(self.score, 5),
            "verdicts": dict(Counter(outcome.verdict for outcome in self.outcomes).most_common()),
            "survivors": [outcome.mutant.name for outcome in self.survivors],
        }


_T = TypeVar("_T")
_BOUND: Final = re.compile(r"\+ 1 |(?<![<>=!])[<>]=? ")


def _replaced(table: Table, row: AnyRow, new: AnyRow) -> Table:
    return table.with_rows(new if other is row else other for other in table.rows)


def _swaps(values: tuple[_T, ...]) -> Iterator[tuple[int, tuple[_T, ...]]]:
    """Each pair of neighbours, the other way round."""
    for place in range(len(values) - 1):
        yield place + 1, (*values[:place], values[place + 1], values[place], *values[place + 2 :])


def of_row(table: Table, row: AnyRow, events: Sequence[type[Any]]) -> Iterator[Mutant]:
    """Every mutant of one row."""

    def mutant(kind: Kind, new: AnyRow, detail: str = "") -> Mutant:
        return Mutant(kind, row.id, detail, _replaced(table, row, new))

    yield Mutant(Kind.DROP_ROW, row.id, "", table.with_rows(other for other in table.rows if other is not row))
    for state in table.states:
        if state not in {row.target, None} and (row.target is not None or state is not row.source):
            yield mutant(Kind.RETARGET, attrs.evolve(row, target=state), f"to {state.value}")
    if row.target is not None:
        yield mutant(Kind.INTERNALISE, attrs.evolve(row, target=None))
    if row.guard is not None:
        yield mutant(Kind.DROP_GUARD, attrs.evolve(row, guard=None))
        yield mutant(Kind.NEGATE_GUARD, attrs.evolve(row, guard=f"not ({row.guard})"))
    for place, effect in enumerate(row.effects):
        kept = row.effects[:place] + row.effects[place + 1 :]
        yield mutant(Kind.DROP_EFFECT, attrs.evolve(row, effects=kept), str(effect.name))
    for place, update in enumerate(row.updates):
        kept_updates = row.updates[:place] + row.updates[place + 1 :]
        yield mutant(Kind.DROP_UPDATE, attrs.evolve(row, updates=kept_updates), update)
    for place, swapped_updates in _swaps(row.updates):
        yield mutant(Kind.SWAP_ORDER, attrs.evolve(row, updates=swapped_updates), f"updates {place} and {place + 1}")
    for place, swapped in _swaps(row.effects):
        yield mutant(Kind.SWAP_ORDER, attrs.evolve(row, effects=swapped), f"effects {place} and {place + 1}")
    if row.event in events:
        other = events[(events.index(row.event) + 1) % len(events)]
        if other is not row.event:
            yield mutant(Kind.SWAP_EVENT, attrs.evolve(row, event=other), f"to {other.name}")


def of_guards(table: Table) -> Iterator[Mutant]:
    """Bounds that are off by one, in every guard that has one."""
    for name, expression in table.guards.items():
        for match in _BOUND.finditer(expression):
            said = match.group()
            other = "" if said == "+ 1 " else {"< ": "<= ", "<= ": "< ", "> ": ">= ", ">= ": "> "}[said]
            new = expression[: match.start()] + other + expression[match.end() :]
            ast.parse(new, mode="eval")
            changed = attrs.evolve(table, guards={**table.guards, name: new})
            yield Mutant(Kind.OFF_BY_ONE, name, f"{said.strip()} becomes {other.strip() or 'nothing'}", changed)


def without_timers(table: Table, state: Enum) -> Table:
    """The table with a state in which no timer of the machine comes."""
    return attrs.evolve(
        table, forgets=(*table.forgets, state), timed=tuple(each for each in table.timed if each is not state)
    )


def of_deadlines(table: Table, without: Callable[[Table, Enum], Table] = without_timers) -> Iterator[Mutant]:
    """States that forget their deadline; `without` makes such a table."""
    for state in table.timed:
        yield Mutant(Kind.DROP_DEADLINE, str(state.value), "", without(table, state))


def mutants_of_machines(
    product: Product,
    rows: Mapping[str, Iterable[AnyRow]],
    *,
    without_deadline: Callable[[Table, Enum], Table] = without_timers,
) -> Iterator[Mutant]:
    """Every mutant of each machine in turn, the others being as they are; `rows` are those of each, by its name."""
    for name, some in rows.items():
        for mutant in mutants(product.machines[name], some, without_deadline=without_deadline):
            whole = product.with_machine(name, mutant.table)
            yield attrs.evolve(mutant, where=qualified(name, mutant.where), product=whole)


def mutants(
    table: Table, rows: Iterable[AnyRow], *, without_deadline: Callable[[Table, Enum], Table] = without_timers
) -> Iterator[Mutant]:
    """Every mutant of `rows`, of the guards and of the deadlines, in a fixed order.

    Args:
        table: what they are mutants of.
        rows: those that are changed.
        without_deadline: makes a table of which one state forgets its deadline. A table that arms its deadline in a
            variable of its own has a better way than that no timer comes.
    """
    events = tuple(dict.fromkeys(row.event for row in table.rows))
    for row in rows:
        yield from of_row(table, row, events)
    yield from of_guards(table)
    yield from of_deadlines(table, without_deadline)


def explained(name: str, reasons: Mapping[str, str]) -> str | None:
    """Why a mutant may survive, if there is a reason; `reasons` has names, or patterns of names with ``*``."""
    return next((reason for known, reason in reasons.items() if fnmatch.fnmatchcase(name, known)), None)


def sample(found: Iterable[Mutant], size: int, seed: int) -> list[Mutant]:
    """`size` of the mutants, drawn with `seed`, in their order."""
    all_ = list(found)
    if size >= len(all_):
        return all_
    chosen = sorted(random.Random(seed).sample(range(len(all_)), size))
    return [all_[number] for number in chosen]


class Judge:
    """Says what becomes of mutants.

    Args:
        whole, environment: what the mutants are mutants of: a table, or a product of several.
        stages: bounds, the small ones first; most mutants die in the first.
    """

    def __init__(self, whole: Table | Product, environment: Environment, stages: Sequence[Bounds]) -> None:
        # What must sometimes be true is asked of the whole exploration; small bounds do not reach all of it.
        self.environment = _demanding(environment)
        if isinstance(whole, Product):
            whole = attrs.evolve(whole, around={name: _demanding(each) for name, each in whole.around.items()})
        self.whole = whole
        self.stages = tuple(stages)
        self._compiler = compiled(whole, self.environment, self.environment.properties)
        self.baselines = tuple(self._explore(whole, bounds, self._compiler) for bounds in self.stages)
        for report in self.baselines:
            report.assert_ok()
        self._graphs = [_signature(report.graph) for report in self.baselines]
        self._clean = not list(_findings(whole))

    @property
    def table(self) -> Table:
        """What the mutants are mutants of, if it is one table.

        Raises:
            TableError: it is a product.
        """
        return single(self.whole, "this")

    @property
    def taken(self) -> tuple[AnyRow, ...]:
        """Rows that some stage takes: only these are worth a mutant. Of a product, those of all machines."""
        return tuple(row for rows in self.taken_by.values() for row in rows)

    @property
    def taken_by(self) -> Mapping[str, tuple[AnyRow, ...]]:
        """Rows that some stage takes, by the names of the machines."""
        taken = frozenset[str]().union(*(report.taken for report in self.baselines))
        return {
            name: tuple(row for row in table.rows if qualified(name, row.id) in taken)
            for name, table in machines_of(self.whole).items()
        }

    def _explore(self, table: Table | Product, bounds: Bounds, compiler: Compiler | Joint) -> Report:
        return explore(table, self.environment, bounds, coverage=False, compiler=compiler)

    def judge(self, mutant: Mutant) -> Outcome:
        """What becomes of one mutant."""
        for finding in _findings(mutant.whole) if self._clean else ():
            return Outcome(mutant, "lint", finding)
        try:
            compiler = self._compiler
            if mutant.own_code:
                compiler = compiled(mutant.whole, self.environment, self.environment.properties)
            return self._judged(mutant, compiler)
        except TableError as error:
            return Outcome(mutant, "lint", str(error).splitlines()[0])
        finally:
            self._forget()

    def _forget(self) -> None:
        """Drops the code of the mutant."""
        for name, table in machines_of(self.whole).items():
            self._compiler.forget_others(name, table)

    def _judged(self, mutant: Mutant, compiler: Compiler | Joint) -> Outcome:
        same = True
        for bounds, baseline, signature in zip(self.stages, self.baselines, self._graphs, strict=True):
            limit = attrs.evolve(bounds, most=4 * baseline.states + 1000)
            report = self._explore(mutant.whole, limit, compiler)
            if not report.ok:
                found = report.counterexample
                return Outcome(mutant, report.verdict, "" if found is None else found.property)
            lost = baseline.taken - report.taken - {mutant.where}
            if lost:
                return Outcome(mutant, "coverage", f"taken no more: {', '.join(sorted(lost)[:3])}")
            same = same and _signature(report.graph) == signature
        return Outcome(mutant, "equivalent" if same else "survived")

    def score(self, found: Iterable[Mutant], progress: Callable[[Outcome], None] = lambda _: None) -> Score:
        """What becomes of each; `progress` is told as they fall."""
        outcomes: list[Outcome] = []
        for mutant in found:
            outcomes.append(self.judge(mutant))
            progress(outcomes[-1])
        return Score(tuple(outcomes))


def _demanding(environment: Environment) -> Environment:
    """Without what must only sometimes be true."""
    kept = tuple(item for item in environment.properties if item.shape is not Shape.SOMETIMES)
    return attrs.evolve(environment, properties=kept)


def _findings(table: Table | Product) -> Iterator[str]:
    for each in machines_of(table).values():
        yield from each.findings(each.rows)


def _meaning(machines: Mapping[str, Table], label: Label) -> tuple[object, ...]:
    """What a step does, whatever the row is called: the writes that the abstraction drops are part of it."""
    row = label.row
    if row is None:
        return (label.action.name, tuple((name, str(value)) for name, value in label.payload.items()))
    table = machines[label.machine]
    written: Mapping[str, str] = {
        field: text for update in row.updates for field, text in table.updates[update] if field in table.dropped
    }
    return (
        label.action.name,
        tuple((name, str(value)) for name, value in label.payload.items()),
        row.kind,
        tuple(str(effect.name) for effect in row.effects),
        tuple(sorted(written.items())),
        row.target is None,
    )


def _signature(graph: Graph) -> tuple[object, ...]:
    """Equal for equal labelled graphs: states, steps, and what is done in each."""
    machines = graph.compiler.machines
    by_state = [[hash(_meaning(machines, label)) for label in code.labels] for code in graph.codes]
    mask = graph.compiler.layout.state_mask
    total = 0
    for place, state in enumerate(graph.packed):
        meanings = by_state[state & mask]
        first, last = graph.starts[place], graph.starts[place + 1]
        for target, label in zip(graph.targets[first:last], graph.labels[first:last], strict=True):
            total = (total + hash((state, graph.packed[target], meanings[label]))) & 0xFFFFFFFFFFFFFFFF
    loops = tuple(
        frozenset((_meaning(machines, loop.label), ast.unparse(loop.guard)) for loop in code.loops)
        for code in graph.codes
    )
    return (len(graph.packed), len(graph.targets), total, loops)
