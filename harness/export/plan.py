"""What every exported model says, whatever its language: the rows as guards and assignments, and where to begin."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, TypeVar

import attrs

from gatewright.harness.explore.environment import Environment, Variable
from gatewright.harness.explore.lint import gaps
from gatewright.harness.explore.product import Product, single
from gatewright.harness.explore.properties import Property
from gatewright.harness.explore.search import Bounds
from gatewright.harness.explore.table import AnyRow, Table, rewriting
from gatewright.harness.explore.terms import Term, code_of, term
from gatewright.harness.export.writing import Dialect, Said, Writer, known
from gatewright.spec.errors import TableError
from gatewright.spec.rows import RowKind

_T = TypeVar("_T")


@attrs.frozen(eq=False)
class RowPlan:
    """What a row asks and does; assignments are made in order, each with what the earlier ones left."""

    number: int
    """From 1, in the order of the table."""
    row: AnyRow
    guard: Term
    assigns: tuple[tuple[str, Term], ...]
    assigned: frozenset[str]
    """Fields that its updates write, those that are not explored included."""
    unwritten: tuple[str, ...]
    """Variables that begin to mean something with this row and that it does not write."""

    @property
    def refuses(self) -> bool:
        """It changes nothing at all, not even the environment."""
        return self.row.kind is RowKind.REFUSE


class Plan:
    """A table, an environment and bounds, ready to be written.

    Raises:
        TableError: when the environment leaves a part of the table unsaid, a bound is none of a variable, or an
            expression names what is not there.
    """

    def __init__(self, table: Table, environment: Environment, bounds: Bounds) -> None:
        for wanted, found in ((Table, table), (Environment, environment)):
            if isinstance(found, Product):
                single(found, "an exported model")
            if not isinstance(found, wanted):
                what = f"a{'n' * (wanted is Environment)} {wanted.__name__} is wanted, and this is a"
                raise TableError(f"{what} {type(found).__name__}{'; call it' * callable(found)}")
        self.table = table
        self.environment = _heeded(table, environment)
        self.variables = {variable.name: variable for variable in (*table.variables, *environment.variables)}
        if faults := [*gaps(table, environment, environment.properties), *self._outside(bounds)]:
            raise TableError(f"{table.name} cannot be exported:\n  " + "\n  ".join(faults))
        self.machine = {variable.name for variable in table.variables}
        self.values: dict[str, tuple[int, ...]] = {
            name: (bounds.values[name],) if name in bounds.values else variable.initial
            for name, variable in self.variables.items()
        }
        self.constants: dict[str, Said] = {
            f"settings.{name}": known(value) for name, value in table.settings.items() if isinstance(value, int)
        }
        for enumeration in (type(table.initial), *table.enumerations, *environment.enumerations):
            self.constants |= {f"{enumeration.__name__}.{item.name}": known(code_of(item)) for item in enumeration}
        self._rewrite = rewriting(table)
        self.rows = tuple(self._row(number, row) for number, row in enumerate(table.rows, 1))
        self.properties = environment.properties

    def _outside(self, bounds: Bounds) -> Iterator[str]:
        """Bounds that no variable has."""
        for name, value in bounds.values.items():
            if name not in self.variables:
                yield f"bound {name}: there is no such variable; there are {', '.join(sorted(self.variables))}"
            elif not 0 <= value <= self.variables[name].most:
                yield f"bound {name}={value}: its values are 0 to {self.variables[name].most}"

    def of(self, event: type[Any]) -> tuple[RowPlan, ...]:
        """The rows of an event."""
        return tuple(plan for plan in self.rows if plan.row.event is event)

    @property
    def events(self) -> tuple[type[Any], ...]:
        """The events that the environment feeds, in its order."""
        return tuple(dict.fromkeys(action.event for action in self.environment.actions if action.event is not None))

    def shaped(self, shape: str) -> tuple[Property, ...]:
        """The properties of one shape."""
        return tuple(item for item in self.properties if item.shape == shape)

    def payloads(self, event: type[Any]) -> tuple[str, ...]:
        """What the payloads of an event hold, in any of its actions."""
        names = (name for action in self.environment.actions if action.event is event for name in action.payload)
        return tuple(dict.fromkeys(names))

    def beginnings(self) -> Iterator[Mapping[str, int]]:
        """Every combination of first values that the table and the environment allow."""
        for each in itertools.product(*self.values.values()):
            values = dict(zip(self.values, each, strict=True))

            def name(text: str, values: Mapping[str, int] = values) -> Said | None:
                return known(values[text]) if text in values else None

            writer = Writer(_NOBODYS, name)
            if all(writer.visit(term(text)).value for text in (self.table.beginning, self.environment.beginning)):
                yield values

    def forgotten(self) -> Mapping[tuple[Enum, ...], tuple[Variable, ...]]:
        """Variables that mean something in some states only, by those states."""
        found: dict[tuple[Enum, ...], tuple[Variable, ...]] = {}
        for variable in self.variables.values():
            if variable.within is not None:
                found[variable.within] = (*found.get(variable.within, ()), variable)
        return found

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _row(self, number: int, row: AnyRow) -> RowPlan:
        assigns: list[tuple[str, Term]] = []
        assigned: set[str] = set()
        for update in row.updates:
            for field, text in self._known(self.table.updates, update, row, "update"):
                assigned.add(field)
                assigns += self._field(row, field, text)
        if row.target is not None:
            for field, text in self.table.on_entry(row.target).items():
                assigns += self._field(row, field, text)
            assigns.append(("state", ast.Constant(code_of(row.target))))
        for effect in row.effects:
            reaction = self._known(self.environment.reactions, str(effect.name), row, "effect")
            assigns += [(name, term(text)) for name, text in reaction.items()]
        written = {name for name, _ in assigns}
        target = row.source if row.target is None else row.target
        unwritten = tuple(
            name
            for name, variable in self.variables.items()
            if variable.within is not None
            and target in variable.within
            and row.source not in variable.within
            and name not in written
        )
        return RowPlan(number, row, self._guard(row), tuple(assigns), frozenset(assigned), unwritten)

    def _field(self, row: AnyRow, field: str, text: str) -> list[tuple[str, Term]]:
        variable = self.variables.get(field)
        if variable is None:
            if field not in self.table.dropped:
                raise TableError(f"{row.id}: the field {field!r} has no variable")
            return []
        value = self._rewrite(text)
        return [(field, _presence(value, field) if variable.presence else value)]

    def _guard(self, row: AnyRow) -> Term:
        if row.guard is None:
            return ast.Constant(1)

        def named(name: str) -> Term:
            return self._rewrite(self._known(self.table.guards, name, row, "guard"))

        class Names(ast.NodeTransformer):
            def visit_Name(self, node: ast.Name) -> ast.AST:
                return named(node.id)

        found = Names().visit(ast.parse(row.guard, mode="eval")).body
        assert isinstance(found, ast.expr)
        return found

    @staticmethod
    def _known(found: Mapping[str, _T], name: str, row: AnyRow, what: str) -> _T:
        if name not in found:
            raise TableError(f"{row.id}: unknown {what} {name!r}")
        return found[name]


_NOBODYS: Final = Dialect(conjunction="", disjunction="", negation="", choice="", operators={})
"""For expressions of which everything is known, so that nothing is written."""


def _presence(node: Term, field: str) -> Term:
    """Whether there is a value: what is kept of a variable that says no more."""
    match node:
        case ast.Constant(None):
            return ast.Constant(0)
        case ast.IfExp(test, body, orelse):
            return ast.IfExp(test, _presence(body, field), _presence(orelse, field))
        case ast.Name(name) if name == field:
            return node
        case _:
            return ast.Constant(1)


def _heeded(table: Table, environment: Environment) -> Environment:
    """The environment without timers of the machine where it forgets them."""
    if not table.forgets:
        return environment
    kept = " and ".join(f"state != {type(state).__name__}.{state.name}" for state in table.forgets)
    return attrs.evolve(
        environment,
        actions=tuple(
            attrs.evolve(action, guard=f"({action.guard}) and {kept}") if action.timer and action.event else action
            for action in environment.actions
        ),
    )
