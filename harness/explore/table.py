"""A table to be explored: its rows, and the abstraction of its memory to variables with few values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, cast

import attrs

from gatewright.harness.explore.environment import Variable
from gatewright.harness.explore.terms import Rewriting, Term, constant
from gatewright.spec.errors import TableError
from gatewright.spec.rows import TableRow

AnyRow = TableRow[Any, Any, Any]
"""A row of whatever machine."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def _nothing_found(rows: Iterable[AnyRow]) -> Iterable[str]:
    return ()


@attrs.frozen(kw_only=True)
class Table:
    """A machine, as far as exploration needs to know it.

    Attributes:
        rows: in any order; the rows of a (state, event) pair partition by their guards.
        states: the enumeration of its states, in which `initial` is the first.
        variables: the abstraction: one for each field of the memory that guards read.
        guards: name to expression. A row's guard combines the names.
        updates: name to assignments ``field, expression``, made in order.
        settings: values of ``settings.x``.
        rewrites: parts of expressions to what they mean in the abstraction, such as ``"now < cap"``.
        dropped: fields that no guard needs, each with the reason; what is assigned to them is forgotten.
        on_entry: what entering a state assigns beside the row's updates, such as its deadline.
        timed: states with a deadline, which must fire if it stays armed.
        rearms: the field whose assignment re-arms the deadline.
        forgets: states in which no timer of the machine comes: what mutants do to one of `timed`.
        absorbing: states that are ends.
        commands: events that may be refused.
        findings: lint, run on a changed table before it is explored.
        enumerations: classes whose members expressions may name.
        beginning: which combinations of initial values are possible.
    """

    name: str
    rows: tuple[AnyRow, ...]
    initial: Enum
    variables: tuple[Variable, ...] = ()
    guards: Mapping[str, str] = _NOTHING
    updates: Mapping[str, tuple[tuple[str, str], ...]] = _NOTHING
    settings: Mapping[str, object] = _NOTHING
    rewrites: Mapping[str, str] = _NOTHING
    dropped: Mapping[str, str] = _NOTHING
    on_entry: Callable[[Any], Mapping[str, str]] = attrs.field(default=lambda _: _NOTHING, eq=False)
    timed: tuple[Enum, ...] = ()
    rearms: str = ""
    forgets: tuple[Enum, ...] = ()
    absorbing: tuple[Enum, ...] = ()
    commands: tuple[type[Any], ...] = ()
    findings: Callable[[Iterable[AnyRow]], Iterable[str]] = attrs.field(default=_nothing_found, eq=False)
    enumerations: tuple[type[Enum], ...] = ()
    beginning: str = "True"

    def __attrs_post_init__(self) -> None:
        if not isinstance(cast("object", self.initial), Enum):
            raise TableError(
                f"table {self.name}: `initial` is {self.initial!r}; it must be a member of the states' enumeration"
            )

    @property
    def states(self) -> tuple[Enum, ...]:
        """Every state, in order."""
        return tuple(type(self.initial))

    @functools.cached_property
    def cells(self) -> Mapping[tuple[Enum, type[Any]], tuple[AnyRow, ...]]:
        """The rows of each (state, event) pair."""
        found: dict[tuple[Enum, type[Any]], tuple[AnyRow, ...]] = {}
        for row in self.rows:
            found[row.source, row.event] = (*found.get((row.source, row.event), ()), row)
        return found

    def with_rows(self, rows: Iterable[AnyRow]) -> Table:
        """The same machine on other rows."""
        return attrs.evolve(self, rows=tuple(rows))


@functools.lru_cache(maxsize=64)
def _rewriting(patterns: tuple[tuple[str, str], ...]) -> Rewriting:
    return Rewriting(dict(patterns))


def rewriting(table: Table) -> Rewriting:
    """How the table's expressions are read."""
    return _rewriting(tuple(table.rewrites.items()))


def constants(table: Table, enumerations: Iterable[type[Enum]]) -> dict[str, Term]:
    """What is known everywhere: settings, and the members of enumerations."""
    known: dict[str, Term] = {f"settings.{name}": constant(value) for name, value in table.settings.items()}
    for enumeration in (type(table.initial), *table.enumerations, *enumerations):
        known |= {f"{enumeration.__name__}.{member.name}": constant(member) for member in enumeration}
    return known
