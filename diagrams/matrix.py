"""The completeness matrix, state × event, as Markdown: what each of the cells is, at a glance.

A cell is one or more rows of the table, or it is impossible. The matrix shows where they lead; the pages of the states
(:mod:`gatewright.diagrams.state_pages`) show the rows themselves, and every cell links to its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from gatewright.diagrams.phrases import literals
from gatewright.spec.events import COMMANDS, MESSAGES, OUTCOMES, TIMERS, Event
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import State

SHORT: Final[Mapping[State, str]] = MappingProxyType(
    {
        State.IDLE: "idle",
        State.REGISTERING: "reg",
        State.FETCHING_METADATA: "meta",
        State.CONNECTING: "conn",
        State.AWAITING_HELLO: "hello",
        State.AWAITING_IDENTIFY_SLOT: "slot",
        State.IDENTIFIED: "ident",
        State.RESUMING: "resum",
        State.READY: "ready",
        State.STALLED: "stall",
        State.DRAINING: "drain",
        State.BACKING_OFF: "back",
        State.SUSPENDED: "susp",
        State.STOPPED: "stop",
        State.FAILED: "fail",
    }
)
"""Names of at most five characters."""

STAYS: Final = "•"
UNEXPECTED: Final = "?"
IGNORED: Final = "–"
REFUSED: Final = "✗"

LEGEND: Final = f"""\
| in a cell | means |
|---|---|
| a short name | the shard moves there; with several, the guards decide |
| {STAYS} | something happens and the state stays |
| {UNEXPECTED} | the peer should not say this here: counted, tolerated |
| {IGNORED} | too late or moot: ignored, counted |
| {REFUSED} | refused: it raises `IllegalTransition` and changes nothing; of an outcome, since nothing was asked for |
| nothing | there is no row, because it cannot happen; it would raise as well |

Wherever an event of a connection may act, there is one more row, for an event of an older generation: it is ignored and
counted. The matrix does not show these rows; they are with the other rows of each state.
"""

SECTIONS: Final[Mapping[str, tuple[type[Event], ...]]] = MappingProxyType(
    {
        "Commands of the user": COMMANDS,
        "Messages of the peer": MESSAGES,
        "Outcomes of effects": OUTCOMES,
        "Timers": TIMERS,
    }
)
"""The alphabet in its four kinds, in the order in which they are listed."""

Cells: TypeAlias = Mapping[tuple[State, type[Event]], tuple[Row, ...]]


@attrs.frozen
class Cell:
    """What the rows of one state and event amount to.

    `targets` are the states that it may lead to; the flags say which other kinds of row are in it. A cell without any
    is impossible.
    """

    targets: tuple[State, ...] = ()
    stays: bool = False
    unexpected: bool = False
    ignored: bool = False
    refused: bool = False

    def __str__(self) -> str:
        """What the matrix shows."""
        flags = ((self.stays, STAYS), (self.unexpected, UNEXPECTED), (self.ignored, IGNORED), (self.refused, REFUSED))
        return "<br>".join([*map(small, self.targets), *(mark for flag, mark in flags if flag)])


def small(state: State) -> str:
    """The state's short name, small: sixteen columns have to fit into the width of a page."""
    return f"<sub>{SHORT[state]}</sub>"


def cells_of(table: Iterable[Row]) -> Cells:
    """The rows of each state and event, in the order of the table."""
    cells: defaultdict[tuple[State, type[Event]], list[Row]] = defaultdict(list)
    for row in table:
        cells[row.source, row.event].append(row)
    return {cell: tuple(rows) for cell, rows in cells.items()}


def cell(rows: Iterable[Row]) -> Cell:
    """What the matrix shows of these rows of one cell: all of them but the one for an older generation."""
    shown = [row for row in rows if "stale" not in literals(row.guard)]
    kinds = {row.kind for row in shown}
    targets = {row.target for row in shown}
    return Cell(
        targets=tuple(state for state in State if state in targets),
        stays=any(row.kind is RowKind.TAKE and row.target is None for row in shown),
        unexpected=RowKind.UNEXPECTED in kinds,
        ignored=RowKind.IGNORE in kinds,
        refused=RowKind.REFUSE in kinds,
    )


def anchor(state: State, event: type[Event]) -> str:
    """The anchor of a cell on the page of states, to which the matrix links."""
    return f"{state.value}.{event.name}"


def _here(text: str, anchor: str) -> str:
    return f"[{text}](#{anchor})"


def matrix(table: Iterable[Row], *, link: Callable[[str, str], str] = _here) -> str:
    """The whole matrix, one table for each kind of event, and what its signs mean.

    Args:
        table: the rows.
        link: makes a link of a text and an anchor of the page of states; by default for use on that page.
    """
    return "\n".join([LEGEND, *_tables(cells_of(table), link)])


def _tables(cells: Cells, link: Callable[[str, str], str]) -> Iterator[str]:
    for title, events in SECTIONS.items():
        yield f"### {title}\n"
        yield f"| | {' | '.join(link(small(state), state.value) for state in State)} |"
        yield f"|---|{':-:|' * len(State)}"
        for event in events:
            shown = [
                link(str(cell(rows)), anchor(state, event)) if (rows := cells.get((state, event))) else ""
                for state in State
            ]
            yield f"| <sub>{event.name}</sub> | {' | '.join(shown)} |"
        yield ""
