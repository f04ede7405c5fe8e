"""What a row of the table is, and the shapes in which rows are written once and expanded over several states."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Generic, TypeVar

import attrs

from gatewright.spec.effects import Effect, ReturnSlot
from gatewright.spec.events import ConnectionEvent, Event, SlotGranted
from gatewright.spec.states import SOCKET_STATES, State


class RowKind(enum.StrEnum):
    """What taking a row means."""

    TAKE = "take"  # the normal case
    IGNORE = "ignore"  # an answer or a frame that came too late: counted, harmless
    UNEXPECTED = "unexpected"  # the peer says what it should not: counted, tolerated
    REFUSE = "refuse"  # a command that is not possible here: raises to its caller, changes nothing


LATE_EFFECTS: Final[Mapping[type[Event], tuple[type[Effect], ...]]] = MappingProxyType({SlotGranted: (ReturnSlot,)})
"""What must still be done when an event comes too late: a slot that was granted goes back to the gate (I06)."""


AnyState = TypeVar("AnyState", bound=enum.StrEnum)
AnyEvent = TypeVar("AnyEvent")
AnyEffect = TypeVar("AnyEffect")


@attrs.frozen(kw_only=True)
class TableRow(Generic[AnyState, AnyEvent, AnyEffect]):
    """One row: in `source`, on `event`, when `guard` holds, do `updates`, go to `target`, and have `effects` done.

    `target` is ``None`` for an internal row: the state is not left and its deadline runs on. `why` is one sentence;
    `ref` are ids of :mod:`gatewright.spec.references`, separated by spaces. Event and effect classes have a `name`.
    """

    id: str
    source: AnyState
    event: type[AnyEvent]
    guard: str | None = None
    target: AnyState | None = None
    updates: tuple[str, ...] = ()
    effects: tuple[type[AnyEffect], ...] = ()
    why: str
    ref: str = ""
    kind: RowKind = RowKind.TAKE


@attrs.frozen(kw_only=True)
class Row(TableRow[State, Event, Effect]):
    """One row of a shard's table."""


def over(
    sources: Iterable[State],
    event: type[Event],
    variant: str = "",
    *,
    why: str,
    ref: str,
    guard: str | None = None,
    target: State | None = None,
    updates: tuple[str, ...] = (),
    effects: tuple[type[Effect], ...] = (),
    kind: RowKind = RowKind.TAKE,
) -> tuple[Row, ...]:
    """One row for each of `sources`. Ids are ``state.event`` or ``state.event.variant``."""
    return tuple(
        Row(
            id=".".join(part for part in (source.value, event.name, variant) if part),
            source=source,
            event=event,
            guard=guard,
            target=target,
            updates=updates,
            effects=effects,
            why=why,
            ref=ref,
            kind=kind,
        )
        for source in sources
    )


def with_generations(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Adds to each state with a socket, for each event of a connection, the row for events of an older generation.

    The rows that were there then hold for the current generation only, so that no row can be written that acts on a
    late event (I06). Rows of kind IGNORE without a guard hold for every generation and stay as they are.
    """
    out: list[Row] = []
    guarded: set[tuple[State, type[Event]]] = set()
    for row in rows:
        connection = issubclass(row.event, ConnectionEvent) and row.source in SOCKET_STATES
        if not connection or (row.kind is RowKind.IGNORE and row.guard is None):
            out.append(row)
            continue
        cell = (row.source, row.event)
        if cell not in guarded:
            guarded.add(cell)
            out.append(
                Row(
                    id=f"{row.source.value}.{row.event.name}.stale",
                    source=row.source,
                    event=row.event,
                    guard="stale",
                    kind=RowKind.IGNORE,
                    effects=LATE_EFFECTS.get(row.event, ()),
                    why="An event of an older generation never acts on the connection that came after it.",
                    ref="P53 I06 R11 F27",
                )
            )
        guard = "not stale" if row.guard is None else f"not stale and ({row.guard})"
        out.append(attrs.evolve(row, guard=guard))
    return tuple(out)
