"""A table and its environment as one Python function a state: what can be reached from here in one step.

The code of a state is what is left of guards, updates and properties once everything is folded that the state, the
event and the bounds decide. It is kept by the rows that it was made from, so that a mutant costs the code of one state.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple, cast

import attrs

from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.facts import Facts, Knowledge
from gatewright.harness.explore.layout import Layout, ones
from gatewright.harness.explore.lint import gaps
from gatewright.harness.explore.properties import Property
from gatewright.harness.explore.scope import MARK
from gatewright.harness.explore.steps import UNDECIDED, Branch, Label, Part, Steps
from gatewright.harness.explore.table import AnyRow, Table, constants
from gatewright.harness.explore.terms import Term, conjunction, conjuncts, constant, disjunction, is_true, source
from gatewright.spec.errors import TableError

_FIRST: Final = f"s{MARK}n"
"""In the code of one of several machines: where its labels begin. No variable is called so."""

Successors = Callable[[int, Callable[[int], None]], None]


class Broken(Exception):
    """A property does not hold here: its number, the label of the step (-1: in the state itself), and what it is."""

    def __init__(self, number: int, label: int, detail: str = "") -> None:
        self.number = number
        self.label = label
        self.detail = detail


class Loop(NamedTuple):
    """A step that changes nothing, when `guard` holds: it needs no code, only to be known."""

    label: Label
    guard: Term


@attrs.frozen(eq=False)
class StateCode:
    """What one state of the machine can do."""

    successors: Successors
    labels: tuple[Label, ...]
    loops: tuple[Loop, ...]
    text: str
    idle: bool = False
    """There is nothing to be called."""


def _nested(steps: list[tuple[tuple[str, ...], list[str]]], indent: str) -> Iterator[str]:
    """The code of steps under their conditions; conditions that neighbours share are asked once."""
    place = 0
    while place < len(steps):
        conditions, code = steps[place]
        if not conditions:
            yield from (indent + line for line in code)
            place += 1
            continue
        first = conditions[0]
        group: list[tuple[tuple[str, ...], list[str]]] = []
        while place < len(steps) and steps[place][0][:1] == (first,):
            group.append((steps[place][0][1:], steps[place][1]))
            place += 1
        yield f"{indent}if {first}:"
        yield from _nested(group, indent + " ")


def predicate(layout: Layout, holds: Term) -> Callable[[int], object]:
    """A folded expression as a function of a packed state."""
    text = source(holds)
    used = {node.id for node in ast.walk(holds) if isinstance(node, ast.Name)}
    unpack = [f" {name} = {layout.field(name)}" for name in layout.variables if name in used]
    namespace: dict[str, object] = {}
    exec("\n".join(["def holds(s):", *unpack, f" return {text}"]), namespace)  # noqa: S102 - made here
    return cast("Callable[[int], object]", namespace["holds"])


class Compiler:
    """Makes the code of states, for tables that differ in their rows only.

    Raises:
        TableError: the table, its environment and the properties do not belong together; see
            :func:`~gatewright.harness.explore.lint.gaps`.
    """

    def __init__(
        self, table: Table, environment: Environment, properties: Iterable[Property], part: Part | None = None
    ) -> None:
        self.table = table
        self.environment = environment
        self.properties = tuple(properties)
        self.layout = Layout(table, environment) if part is None else part.layout
        # A product has its properties looked at as a whole.
        faults = list(gaps(table, environment, self.properties if part is None else ()))
        if part is None:
            faults += [
                f"action {each.name!r} is fed to {each.to!r}, and there is one machine only; explore a Product"
                for each in environment.actions
                if each.to
            ]
        if faults:
            raise TableError(f"{table.name} cannot be explored:\n  " + "\n  ".join(faults))
        self._known = constants(table, environment.enumerations)
        judged = None if part is None else part.judged
        self._knowledge = Knowledge(self.layout, self.properties, self._known, judged)
        self._steps = Steps(table, environment, self.properties, self.layout, self._knowledge, part)
        self._part = part
        self._codes: dict[tuple[Enum, tuple[AnyRow, ...]], StateCode] = {}
        self._cells: dict[tuple[Enum, int, tuple[AnyRow, ...]], list[tuple[Label, Term, list[Branch]]]] = {}

    @property
    def machines(self) -> Mapping[str, Table]:
        """The machine, by the name that it does not have."""
        return {"": self.table}

    @property
    def constants(self) -> dict[str, Term]:
        """What expressions may name that is no variable, at the beginning."""
        return {**self._known, "state": constant(self.table.initial)}

    def variables(self, machine: str) -> tuple[str, ...]:
        """The names of the variables, in the order in which the code of a machine counts them."""
        return tuple(self.layout.variables)

    @property
    def controls(self) -> range:
        """The numbers of the machine's states."""
        return range(len(self.table.states))

    @property
    def beginning(self) -> tuple[str, ...]:
        """Which first values are possible together."""
        return self.table.beginning, self.environment.beginning

    def codes(self, table: Table) -> list[StateCode]:
        """The code of every state of a table with these states."""
        rows: dict[Enum, list[AnyRow]] = {state: [] for state in table.states}
        for row in table.rows:
            rows[row.source].append(row)
        return [self.state(state, tuple(found)) for state, found in rows.items()]

    def first(self, values: Mapping[str, int]) -> int:
        """The number of a state to begin in."""
        return self.layout.pack(self.table.initial, values)

    def bound(self, values: Mapping[str, int]) -> Mapping[str, int]:
        """Bounds by the names of variables."""
        return values

    def known(self, control: int) -> dict[str, Term]:
        """What is known in one of the machine's states: constants, and variables that may differ as themselves."""
        return {**self._known, **self.before(self.table.states[control])}

    def state(self, state: Enum, rows: tuple[AnyRow, ...]) -> StateCode:
        """The code of `state`, whose rows are `rows`."""
        found = self._codes.get((state, rows))
        if found is None:
            found = self._codes[state, rows] = self._make(state, rows)
        return found

    def forget_others(self, machine: str, table: Table) -> None:
        """Drops the code of every table but this one; `machine` is the name that it does not have."""
        self.forget_all_but(table.rows)

    def forget_all_but(self, rows: Iterable[AnyRow]) -> None:
        """Drops the code of every other table; mutants come by the thousand, and each is looked at once."""
        kept: dict[tuple[Enum, type[Any]], list[AnyRow]] = {}
        states: dict[Enum, list[AnyRow]] = {}
        for row in rows:
            kept.setdefault((row.source, row.event), []).append(row)
            states.setdefault(row.source, []).append(row)
        for state, found in list(self._codes):
            if found != tuple(states.get(state, ())):
                del self._codes[state, found]
        for state, action, cell in list(self._cells):
            if cell and cell != tuple(kept.get((state, cell[0].event), ())):
                del self._cells[state, action, cell]

    def predicate(self, holds: Term) -> Callable[[int], object]:
        """A folded expression as a function of a packed state."""
        return predicate(self.layout, holds)

    def before(self, state: Enum) -> dict[str, Term]:
        """What each variable is in `state`, before a step: itself, or its value where only one is possible."""
        return self._knowledge.of(state).before

    def _make(self, state: Enum, rows: tuple[AnyRow, ...]) -> StateCode:
        cells: dict[type[Any], list[AnyRow]] = {}
        for row in rows:
            cells.setdefault(row.event, []).append(row)
        labels: list[Label] = []
        loops: list[Loop] = []
        facts = self._knowledge.of(state)
        safe = [
            (number, source(holds))
            for number, holds in facts.always
            if not is_true(holds) and facts.tautology(holds) is not True
        ]
        lines: list[str] = []
        if safe:
            # One test where all is well, as nearly always; which one failed is asked afterwards.
            lines.append(f" if not ({' and '.join(f'({text})' for _, text in safe)}):")
            lines += [f"  if not ({text}): raise Broken({number}, -1)" for number, text in safe]
        steps: list[tuple[tuple[str, ...], list[str]]] = []
        written: dict[str, object] = {}
        for index, action in enumerate(self.environment.actions):
            cell = () if action.event is None else tuple(cells.get(action.event, ()))
            branches = self._cells.get((state, index, cell))
            if branches is None:
                branches = self._cells[state, index, cell] = list(self._steps.variants(state, action, cell))
            said = [(source(guard), found) for _, guard, found in branches]
            if action.unlike and written.get(action.unlike) == said:
                continue
            written[action.name] = said
            for label, guard, found in branches:
                code = list(self._action_lines(state, facts, label, guard, found, labels, loops))
                if code:
                    steps.append((tuple(map(source, conjuncts(guard))), code))
        lines += _nested(steps, " ")
        return self._function(state, lines, labels, loops)

    def _function(self, state: Enum, lines: list[str], labels: list[Label], loops: list[Loop]) -> StateCode:
        body = "\n".join(lines) or " pass"
        used = {node.id for node in ast.walk(ast.parse(f"def f():\n{body}")) if isinstance(node, ast.Name)}
        unpack = [f" {name} = {self.layout.field(name)}" for name in self.layout.variables if name in used]
        text = "\n".join([f"def successors(s, emit{'' if self._part is None else f', {_FIRST}'}):", *unpack, body])
        namespace: dict[str, object] = {"Broken": Broken}
        exec(compile(text, f"<explored {state.value}>", "exec"), namespace)  # noqa: S102 - made here, from the table
        return StateCode(cast("Successors", namespace["successors"]), tuple(labels), tuple(loops), text, not lines)

    def _action_lines(
        self,
        state: Enum,
        facts: Facts,
        label: Label,
        guard: Term,
        branches: list[Branch],
        labels: list[Label],
        loops: list[Loop],
    ) -> Iterator[str]:
        possible = [branch for branch in branches if facts.decide(branch.guard, guard) is not False]
        busy: list[Branch] = []
        for branch in possible:
            both = conjunction(guard, branch.guard)
            checks = tuple(check for check in branch.checks if facts.decide(check[1], both) is not True)
            branch = attrs.evolve(branch, checks=checks)
            if branch.idle:
                loops.append(Loop(attrs.evolve(label, row=branch.row), both))
            else:
                busy.append(branch)
        taken = disjunction([branch.guard for branch in branches])
        decided = label.action.event is None or facts.decide(taken, guard) is True
        for one, other in itertools.combinations(possible, 2):
            overlap = conjunction(one.guard, other.guard)
            if one.row is not None and other.row is not None and facts.decide(overlap, guard) is not False:
                labels.append(attrs.evolve(label, row=one.row))
                why = f"{one.row.id} and {other.row.id} are both taken; make the guards of a cell exclude each other"
                yield f"if {source(overlap)}: raise Broken({UNDECIDED}, {self._label(len(labels) - 1)}, {why!r})"
        for branch in busy:
            number = len(labels)
            labels.append(attrs.evolve(label, row=branch.row))
            indent = ""
            if facts.decide(branch.guard, guard) is not True:
                yield f"if {source(branch.guard)}:"
                indent = " "
            for check, holds in branch.checks:
                yield f"{indent}if not ({source(holds)}): raise Broken({check}, {self._label(number)})"
            if branch.broken is not None:
                yield f"{indent}raise Broken({branch.broken[0]}, {self._label(number)}, {branch.broken[1]!r})"
            elif self._part is None:
                yield f"{indent}emit({self._successor(branch, number)})"
            else:
                yield f"{indent}emit(({self._successor(branch, number)}) + {_FIRST})"
        if not decided and label.action.event is not None:
            labels.append(attrs.evolve(label, row=None))
            why = f"no row of {state.value}.{label.action.event.name} is taken; let the guards of the cell cover this"
            yield f"if not ({source(taken)}): raise Broken({UNDECIDED}, {self._label(len(labels) - 1)}, {why!r})"

    def _label(self, number: int) -> str:
        return str(number) if self._part is None else f"{number} + ({_FIRST} >> {self.layout.width})"

    def _successor(self, branch: Branch, number: int) -> str:
        keep, fixed, moving = self.layout.mask, number << self.layout.width, list[str]()
        for name, text in branch.changes:
            if name == "state":
                keep &= ~(self.layout.state_mask << self.layout.state_shift)
                fixed |= int(text) << self.layout.state_shift
                continue
            shift, variable = self.layout.shifts[name], self.layout.variables[name]
            keep &= ~(ones(variable) << shift)
            if text.isdigit():
                fixed |= int(text) << shift
            else:
                moving.append(f"(({text}) << {shift})")
        kept = "s" if keep == self.layout.mask else f"s & {keep}"
        return " | ".join([kept, str(fixed), *moving]) if fixed or not moving else " | ".join([kept, *moving])
