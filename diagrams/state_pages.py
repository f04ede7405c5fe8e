"""The page `docs/states.md`: the overview, the matrix, and every state with every one of its rows.

Each row has its id as its anchor, so that a journal's line, an issue or another page can point at it:
`docs/states.md#ready.closed.fatal`. Rows that say the same of many events share a line.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Final

from gatewright.diagrams.matrix import SECTIONS, SHORT, Cells, anchor, cells_of, matrix
from gatewright.diagrams.mermaid import FOCUSES, detail, overview
from gatewright.diagrams.phrases import guard_words
from gatewright.spec.effects import EFFECTS
from gatewright.spec.events import DeadlinePassed
from gatewright.spec.functions import FUNCTIONS
from gatewright.spec.references import resolve
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.settings import Settings
from gatewright.spec.states import STATES, State, StateSpec
from gatewright.spec.updates import UPDATES

_HEAD: Final = """\
<!-- Generated: python -m gatewright.diagrams -->

# States

Every phase of a shard is one of these states, and every move is a row of one table
([`spec/table.py`](../spec/table.py)). This page is made from that table, which is what runs.

[Overview](#overview) · [The states](#the-states) · [The matrix](#the-matrix) · [Details](#details) ·
[Every row](#every-row) · [Updates](#updates) · [Effects](#effects)
"""


def render_states(table: Iterable[Row]) -> str:
    """The page as Markdown, ending in a newline; the same rows give the same text."""
    rows = tuple(table)
    return "\n".join(_lines(rows)) + "\n"


def fenced(drawing: str) -> str:
    """A drawing as a block of Markdown that GitHub draws."""
    return f"```mermaid\n{drawing}```"


def _lines(rows: tuple[Row, ...]) -> Iterator[str]:
    cells = cells_of(rows)
    yield _HEAD
    yield f"## Overview\n\n{fenced(overview(rows))}\n"
    yield "## The states\n"
    yield from _states(rows)
    yield f"\n## The matrix\n\n{matrix(rows)}"
    yield "## Details\n\nWhat moves the shard, part by part.\n"
    for focus in FOCUSES:
        yield f"### In detail: {focus}\n\n{fenced(detail(rows, focus))}\n"
    yield "## Every row\n"
    for state in State:
        yield from _page(state, rows, cells)
    yield from _glossaries()


# The states -----------------------------------------------------------------------------------------------------------


def _states(rows: tuple[Row, ...]) -> Iterator[str]:
    yield "| in the matrix | state | what is true in it | how long at most | then |"
    yield "|---|---|---|---|---|"
    for state, spec in STATES.items():
        then = dict.fromkeys(row.target for row in rows if row.source is state and row.event is DeadlinePassed)
        targets = ", ".join(_state(target) for target in then if target is not None)
        yield f"| {SHORT[state]} | {_state(state)} | {spec.meaning} | {_how_long(spec)} | {targets} |"


def _how_long(spec: StateSpec) -> str:
    if spec.deadline is None:
        return "for ever" if spec.absorbing else "as long as nothing happens"
    cap = "" if spec.cap is None else f"; re-armed to {_duration_of(spec.cap)} at most"
    return _duration_of(spec.deadline) + cap


def _duration_of(expression: str) -> str:
    """A deadline in words: the defaults of the settings that it names, and the expression where it is not just one."""
    defaults = Settings()
    names = dict.fromkeys(re.findall(r"settings\.(\w+_(?:timeout|max))", expression))
    values = ", ".join(f"{_duration(getattr(defaults, name))} (`{name}`)" for name in names)
    if not names:
        function = expression.partition("(")[0]
        return f"`{function}`" if function in FUNCTIONS else f"`{expression}`"
    return values if len(names) == 1 else f"{values}: `{expression.replace('settings.', '')}`"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 10 * length or (seconds >= length and unit == "h" and seconds % length == 0):
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


# Every row ------------------------------------------------------------------------------------------------------------


def _page(state: State, rows: tuple[Row, ...], cells: Cells) -> Iterator[str]:
    spec = STATES[state]
    mine = [row for events in SECTIONS.values() for event in events for row in cells.get((state, event), ())]
    yield f"### {state.value}\n"
    yield f"{spec.meaning}\n"
    yield from _facts(state, rows)
    taken = [row for row in mine if row.kind is RowKind.TAKE]
    anchored = {row.id for row in rows}
    if taken:
        yield "\n| row, and why | when | to | updates | effects | cites |"
        yield "|---|---|---|---|---|---|"
        for row in taken:
            to = "–" if row.target is None else _state(row.target)
            yield (
                f"| {_id(row, anchored)}<br>{_cell_text(row.why)} | {_guard(row)} | {to} "
                f"| {_names(row.updates)} | {_effects(row)} | {_cites(row.ref)} |"
            )
    for kind, title in (
        (RowKind.REFUSE, "Refused, and why"),
        (RowKind.UNEXPECTED, "Unexpected from the peer: counted, tolerated"),
        (RowKind.IGNORE, "Too late, or moot: ignored, counted"),
    ):
        yield from _shared([row for row in mine if row.kind is kind], title, anchored)
    absent = [f"`{event.name}`" for events in SECTIONS.values() for event in events if (state, event) not in cells]
    if absent:
        yield f"\nThere is no row, because it cannot happen, for: {', '.join(absent)}."
    yield ""


def _facts(state: State, rows: tuple[Row, ...]) -> Iterator[str]:
    spec = STATES[state]
    came = dict.fromkeys(row.source for row in rows if row.target is state)
    goes = dict.fromkeys(row.target for row in rows if row.source is state and row.target is not None)
    yield f"- Lasts: {_how_long(spec)}.{_explained(spec)}"
    if spec.socket:
        yield "- A socket of this generation may exist."
    if spec.heartbeats:
        yield "- The heartbeat timer runs."
    if came:
        yield f"- Comes from: {', '.join(map(_state, came))}."
    if goes:
        yield f"- Leads to: {', '.join(map(_state, goes))}."


def _explained(spec: StateSpec) -> str:
    """What the function says that computes the deadline, if one does."""
    function = FUNCTIONS.get((spec.deadline or "").partition("(")[0])
    return "" if function is None else " " + " ".join((inspect.getdoc(function) or "").split())


def _shared(rows: list[Row], title: str, anchored: set[str]) -> Iterator[str]:
    """A table in which rows that differ in nothing but their event share a line."""
    alike: dict[tuple[str, tuple[str, ...], str, str, str], list[Row]] = {}
    for row in rows:
        alike.setdefault((_guard(row), row.updates, _effects(row), row.why, row.ref), []).append(row)
    if not alike:
        return
    details = any(guard or updates or effects for guard, updates, effects, _, _ in alike)
    yield f"\n{title}:\n"
    yield f"| rows |{' when | updates | effects |' if details else ''} why | cites |"
    yield f"|---|{'---|---|---|' if details else ''}---|---|"
    for (guard, updates, effects, why, ref), found in alike.items():
        middle = f" {guard} | {_names(updates)} | {effects} |" if details else ""
        yield f"| {' '.join(_id(row, anchored) for row in found)} |{middle} {_cell_text(why)} | {_cites(ref)} |"


def _id(row: Row, anchored: set[str]) -> str:
    """The row's id with its anchor, and with that of its cell if it is the first of one that no row is named after."""
    ids = [row.id]
    if (of_cell := anchor(row.source, row.event)) not in anchored:
        anchored.add(of_cell)
        ids.insert(0, of_cell)
    return "".join(f'<a id="{each}"></a>' for each in ids) + f"`{row.id}`"


def _guard(row: Row) -> str:
    return _cell_text(guard_words(row.guard))


def _state(state: State) -> str:
    return f"[{state.value}](#{state.value})"


def _names(updates: Iterable[str]) -> str:
    return "<br>".join(f"[{name}](#update.{name})" for name in updates)


def _effects(row: Row) -> str:
    return "<br>".join(f"[{effect.name}](#effect.{effect.name})" for effect in row.effects)


def _cites(ref: str) -> str:
    return " ".join(f"[{each.id}](references.md#{each.id})" for each in resolve(ref))


def _cell_text(text: str) -> str:
    return text.replace("|", "\\|")


# Glossaries -----------------------------------------------------------------------------------------------------------


def _glossaries() -> Iterator[str]:
    yield "## Updates\n\nWhat a row writes into the shard's memory, in order.\n"
    yield "| update | why | writes |"
    yield "|---|---|---|"
    for update in UPDATES.values():
        writes = "<br>".join(f"`{field} = {text}`" for field, text in update.assigns)
        yield f'| <a id="update.{update.name}"></a>`{update.name}` | {_cell_text(update.why)} | {_cell_text(writes)} |'
    yield "\n## Effects\n\nWhat the driver does after a row, in order.\n"
    yield "| effect | what is done | answered by | while in |"
    yield "|---|---|---|---|"
    for effect in EFFECTS:
        what = " ".join((inspect.getdoc(effect) or "").split())
        yield (
            f'| <a id="effect.{effect.name}"></a>`{effect.name}` | {_cell_text(what)} '
            f"| {', '.join(f'`{each.name}`' for each in effect.answers)} "
            f"| {', '.join(map(_state, effect.covered_by))} |"
        )
