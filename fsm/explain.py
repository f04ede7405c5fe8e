"""Why not, what instead, and how to get there: questions about the table, asked at one context."""

from __future__ import annotations

from collections import deque
from typing import Final, cast

import attrs

from gatewright.spec.context import Context
from gatewright.spec.events import COMMANDS, EVENTS, Event
from gatewright.spec.expressions import compile_predicate
from gatewright.spec.guards import expression_of
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import State
from gatewright.spec.table import CELLS, TABLE


@attrs.frozen(kw_only=True)
class Explanation:
    """The answer to "may this event happen now?".

    `path` is the shortest way, as ``(event, state)`` pairs, to a state where the event is possible (or to the state
    that was asked for); ``None`` when there is none; empty when nothing needs to happen. Guards along the way are not
    evaluated: it is a way through the table, not a promise.
    """

    event: str
    state: State
    possible: bool
    why: str
    legal: tuple[str, ...]
    path: tuple[tuple[str, State], ...] | None

    def __str__(self) -> str:
        """A few lines for people."""
        verdict = "possible" if self.possible else "not possible"
        lines = [f"{self.event} is {verdict} in '{self.state}'. {self.why}".rstrip()]
        lines.append(f"Possible now: {', '.join(self.legal) or 'nothing'}.")
        if self.path:
            lines.append("Shortest way: " + self.state.value + "".join(f" -{e}-> {s}" for e, s in self.path))
        elif self.path is None:
            lines.append("No way leads there from here.")
        return "\n".join(lines)


def _reads_event(row: Row) -> bool:
    return "event." in expression_of(row.guard)


def _rows_now(context: Context, event: type[Event]) -> tuple[Row, ...]:
    """The rows that may be taken now; those whose guards read the event's payload all may."""
    rows = CELLS.get((context.state, event), ())
    nothing = cast("Event", None)
    return tuple(
        row for row in rows if _reads_event(row) or compile_predicate(expression_of(row.guard))(context, nothing)
    )


def legal_commands(context: Context) -> tuple[str, ...]:
    """Names of the commands that do something now."""
    return tuple(
        command.name for command in COMMANDS if any(row.kind is RowKind.TAKE for row in _rows_now(context, command))
    )


_BY_NAME: Final = {event.name: event for event in EVENTS}


def explain(context: Context, event: type[Event] | str, *, wanted: State | None = None) -> Explanation:
    """See :meth:`gatewright.fsm.core.ShardCore.explain`."""
    if isinstance(event, str):
        if event not in _BY_NAME:
            raise LookupError(f"no event is called {event!r}; there are: {', '.join(sorted(_BY_NAME))}")
        event = _BY_NAME[event]
    rows = _rows_now(context, event)
    possible = any(row.kind is not RowKind.REFUSE for row in rows)
    goals = (
        {wanted}
        if wanted is not None
        else {row.source for row in TABLE if row.event is event and row.kind is RowKind.TAKE}
    )
    here = context.state
    path: tuple[tuple[str, State], ...] | None
    path = () if possible and wanted is None else shortest_path(here, goals, avoid_current=not possible)
    return Explanation(
        event=event.name,
        state=here,
        possible=possible,
        why=" ".join(dict.fromkeys(row.why for row in rows)) if rows else "The table has no row for it here.",
        legal=legal_commands(context),
        path=path,
    )


def shortest_path(
    source: State, goals: set[State], *, avoid_current: bool = False
) -> tuple[tuple[str, State], ...] | None:
    """The fewest moves from `source` to one of `goals`, by rows of the normal kind; ``None`` when there is no way.

    With `avoid_current`, being at a goal already does not count: the event is refused here in spite of it.
    """
    if source in goals and not avoid_current:
        return ()
    seen = {source}
    frontier: deque[tuple[State, tuple[tuple[str, State], ...]]] = deque([(source, ())])
    while frontier:
        state, path = frontier.popleft()
        for row in TABLE:
            if row.source is not state or row.kind is not RowKind.TAKE or row.target is None:
                continue
            step = (*path, (row.event.name, row.target))
            if row.target in goals:
                return step
            if row.target not in seen:
                seen.add(row.target)
                frontier.append((row.target, step))
    return None
