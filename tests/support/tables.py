"""Tables that are weaker than the shipped one, to show that a test would notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from gatewright.spec.effects import Effect, OpenSocket
from gatewright.spec.events import Event
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import State
from gatewright.spec.table import TABLE


@attrs.frozen
class Weakened:
    """The shipped table with something taken out of it; every method returns one that is weaker still.

    Rows are named by their id, or by a prefix of it that ends in a dot.

    Raises:
        LookupError: for a name that no row has: a weakening that weakens nothing proves nothing.
    """

    rows: tuple[Row, ...] = TABLE

    def without(self, *names: str) -> Weakened:
        """Rows removed."""
        return self._each(names, lambda _: ())

    def changed(self, *names: str, change: Callable[[Row], Row]) -> Weakened:
        """Rows changed by a function."""
        return self._each(names, lambda row: (change(row),))

    def retargeted(self, target: State | None, *names: str) -> Weakened:
        """Rows that lead elsewhere, or (``None``) nowhere."""
        return self.changed(*names, change=lambda row: attrs.evolve(row, target=target, kind=RowKind.TAKE))

    def unguarded(self, *names: str) -> Weakened:
        """Rows that are taken whatever holds; the others of their cells are removed."""
        chosen = {row.id for row in self._named(names)}
        cells = {(row.source, row.event) for row in self.rows if row.id in chosen}
        kept = tuple(row for row in self.rows if row.id in chosen or (row.source, row.event) not in cells)
        return Weakened(tuple(attrs.evolve(row, guard=None) if row.id in chosen else row for row in kept))

    def guarded(self, guard: str, *names: str) -> Weakened:
        """Rows with another guard."""
        return self.changed(*names, change=lambda row: attrs.evolve(row, guard=guard))

    def without_effect(self, effect: type[Effect], *names: str) -> Weakened:
        """Rows that forget an effect."""
        return self.changed(
            *names, change=lambda row: attrs.evolve(row, effects=tuple(e for e in row.effects if e is not effect))
        )

    def with_effects(self, effects: tuple[type[Effect], ...], *names: str) -> Weakened:
        """Rows that do something else."""
        return self.changed(*names, change=lambda row: attrs.evolve(row, effects=effects))

    def without_update(self, update: str, *names: str) -> Weakened:
        """Rows that forget an update."""
        return self.changed(
            *names, change=lambda row: attrs.evolve(row, updates=tuple(u for u in row.updates if u != update))
        )

    def with_updates(self, updates: tuple[str, ...], *names: str) -> Weakened:
        """Rows that write something else."""
        return self.changed(*names, change=lambda row: attrs.evolve(row, updates=updates))

    def with_row(
        self,
        source: State,
        event: type[Event],
        *,
        target: State | None = None,
        updates: tuple[str, ...] = (),
        effects: tuple[type[Effect], ...] = (),
    ) -> Weakened:
        """One row instead of whatever the cell held."""
        row = Row(
            id=f"{source}.{event.name}.weakened", source=source, event=event, target=target, updates=updates,
            effects=effects, why="It is wrong on purpose.", ref="I06",
        )  # fmt: skip
        kept = tuple(other for other in self.rows if (other.source, other.event) != (source, event))
        return Weakened((*kept, row))

    def _named(self, names: tuple[str, ...]) -> tuple[Row, ...]:
        found: list[Row] = []
        for name in names:
            named = [row for row in self.rows if row.id == name or (name.endswith(".") and row.id.startswith(name))]
            if not named:
                raise LookupError(f"no row is called {name!r}")
            found += named
        return tuple(found)

    def _each(self, names: tuple[str, ...], change: Callable[[Row], tuple[Row, ...]]) -> Weakened:
        chosen = {row.id for row in self._named(names)}
        return Weakened(tuple(new for row in self.rows for new in (change(row) if row.id in chosen else (row,))))


SHIPPED: Final = Weakened()
"""The shipped table, with nothing taken out yet."""


def opening(source: State, event: type[Event]) -> Weakened:
    """A table in which `event` opens a socket from `source`."""
    return SHIPPED.with_row(source, event, target=State.CONNECTING, updates=("next_generation",), effects=(OpenSocket,))
