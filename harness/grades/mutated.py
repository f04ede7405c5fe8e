"""A mutant of the shipped table, brought into the shipped runtime: its rows, its guards, its deadlines."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import attrs

from gatewright.fsm.machine import TableMachine
from gatewright.harness.explore.mutants import Kind, Mutant
from gatewright.spec.events import Event
from gatewright.spec.guards import GUARDS, Guard, guard_names
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import STATES, State, StateSpec
from gatewright.spec.table import TABLE


@attrs.frozen
class Mutated:
    """A mutant that runs. Its table is not linted: what the lint would refuse is tried all the same.

    Attributes:
        mutant: the mutant.
        rows: its rows; never the very tuple of the shipped ones.
    """

    mutant: Mutant
    rows: tuple[Row, ...] = attrs.field(repr=False)

    @classmethod
    def of(cls, mutant: Mutant) -> Mutated:
        """The mutant of an exploration of the shipped table."""
        return cls(mutant, (*cast("tuple[Row, ...]", mutant.table.rows),))

    def machine(self) -> TableMachine:
        """The shipped runtime on it.

        Raises:
            TableError: it cannot be built.
        """
        return TableMachine(self.rows, guards=self._guards(), states=self._states())

    def _guards(self) -> Mapping[str, Guard]:
        texts = self.mutant.table.guards
        changed = {name: attrs.evolve(guard, expression=texts[name]) for name, guard in GUARDS.items()}
        return GUARDS if changed == GUARDS else changed

    def _states(self) -> Mapping[State, StateSpec]:
        if self.mutant.kind is not Kind.DROP_DEADLINE:
            return STATES
        state = State(self.mutant.where)
        return {**STATES, state: attrs.evolve(STATES[state], deadline=None)}

    @functools.cached_property
    def own(self) -> frozenset[str]:
        """Ids of the shipped rows that are changed or gone."""
        mine = {row.id: row for row in self.rows}
        return frozenset(row.id for row in TABLE if mine.get(row.id) is not row)

    @functools.cached_property
    def shown_by(self) -> frozenset[str]:
        """Ids of the shipped rows of which one is taken before the mutant can show.

        Walks and lives of a seed look at nothing but what the shard does. A shard on the mutant does what one on the
        shipped table does until a cell is asked that answers otherwise. Where a row keeps its event and its guard, this
        is when the shipped table takes that row; else, when it takes any row of a cell in which a row is chosen
        otherwise; and for a state's deadline, any row that enters the state. So a walk or a life on the shipped table
        that takes none of them is the same on the mutant, step by step, and need not be tried.
        """
        return frozenset(self._shown_by())

    def _shown_by(self) -> Iterator[str]:
        if self.mutant.kind is Kind.DROP_DEADLINE:
            yield from (row.id for row in TABLE if row.target is not None and row.target.value == self.mutant.where)
            return
        guards = {name for name, guard in self._guards().items() if guard != GUARDS[name]}
        cells = {_cell(row) for row in TABLE if row.guard is not None and guards & {*guard_names(row.guard)}}
        mine = {row.id: row for row in self.rows}
        for row in TABLE:
            now = mine.get(row.id)
            if now is row or _does_alike(row, now):
                continue
            if now is None or _is_chosen_alike(row, now):
                yield row.id
            else:
                cells |= {_cell(row), _cell(now)}
        yield from (row.id for row in TABLE if _cell(row) in cells)

    @property
    def runs_alike(self) -> bool:
        """Whether it cannot show at all, once the lint is passed over: a row that refuses does nothing else it says."""
        return not self.shown_by


def _cell(row: Row) -> tuple[State, type[Event]]:
    return row.source, row.event


def _is_chosen_alike(row: Row, now: Row) -> bool:
    return (now.event, now.guard) == (row.event, row.guard)


def _does_alike(row: Row, now: Row | None) -> bool:
    return now is not None and _is_chosen_alike(row, now) and row.kind is now.kind is RowKind.REFUSE


def first(by: Mapping[str, Sequence[int]], mutated: Mutated, most: int) -> list[int]:
    """Which walks or lives are tried on a mutant: those that come by it.

    Args:
        by: the numbers of those on the shipped table that take a row, by the row's id, in their order.
        mutated: the mutant.
        most: so many at most that take a row which is changed, and so many that take another of those by which it
            shows; of each of these in turn, since the commonest may be the one that goes on as before.
    """
    own = sorted({number for row in mutated.own & mutated.shown_by for number in by.get(row, ())})[:most]
    others = [by.get(row, ()) for row in sorted(mutated.shown_by - mutated.own)]
    in_turn = (number for turn in itertools.zip_longest(*others) for number in turn if number is not None)
    return [*own, *itertools.islice(dict.fromkeys(each for each in in_turn if each not in own), most)]
