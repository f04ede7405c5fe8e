"""The table compiled to one Python function a cell: the dispatch path, and the successor function of exploration.

It shares no code with the `transitions` runtime but the table itself; a refinement test drives both over every
reachable context and event and demands equal results.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Final, cast

import attrs

from gatewright.fsm.errors import Refusal
from gatewright.fsm.runtime import Step
from gatewright.spec.context import Context
from gatewright.spec.effects import Effect
from gatewright.spec.errors import TableError
from gatewright.spec.events import Dispatched, Event
from gatewright.spec.expressions import NAMESPACE, source_of
from gatewright.spec.guards import expression_of
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import STATES, State
from gatewright.spec.updates import UPDATES

Cell = Callable[[Context, Event], Step]
UnpackedCell = Callable[..., Step]
"""A cell that takes the fields of its event, in order, in place of the event."""
RunCell = Callable[..., tuple[int, Step | None]]
"""A row that is taken again and again, with a sequence for each field of its event but the generation."""

_INDENT: Final = "    "


class CompiledTable:
    """A table as a dictionary of functions. One instance serves any number of contexts.

    Attributes:
        cells: the function of each (state, event class).
        source: the generated source, for the curious and for tests.
    """

    __slots__ = ("_dispatch_cells", "_run_cells", "cells", "source")

    def __init__(self, rows: Iterable[Row]) -> None:
        namespace: dict[str, object] = {**NAMESPACE, "Refusal": Refusal, "TableError": TableError}
        grouped: dict[tuple[State, type[Event]], list[Row]] = {}
        for row in rows:
            grouped.setdefault((row.source, row.event), []).append(row)
        lines: list[str] = []
        names: dict[tuple[State, type[Event]], str] = {}
        unpacked: dict[State, str] = {}
        runs: dict[State, str] = {}
        for number, (cell, cell_rows) in enumerate(grouped.items()):
            names[cell] = f"cell_{number}"
            lines += _cell_source(f"cell_{number}", cell_rows, number, namespace)
            state, event = cell
            if event is Dispatched:
                unpacked[state] = f"unpacked_{number}"
                lines += _cell_source(f"unpacked_{number}", cell_rows, number, namespace, unpacked=True)
                ordinary = [index for index, row in enumerate(cell_rows) if _repeats(row)]
                if len(ordinary) == 1:
                    runs[state] = f"run_{number}"
                    lines += _run_source(f"run_{number}", cell_rows[ordinary[0]], f"{number}_{ordinary[0]}")
        self.source = "\n".join(lines)
        exec(compile(self.source, "<compiled table>", "exec"), namespace)  # noqa: S102 - our own source, from the table
        self.cells = {cell: cast("Cell", namespace[name]) for cell, name in names.items()}
        self._dispatch_cells = {state: cast("UnpackedCell", namespace[name]) for state, name in unpacked.items()}
        self._run_cells = {state: cast("RunCell", namespace[name]) for state, name in runs.items()}

    def step(self, context: Context, event: Event) -> Step:
        """Takes the one row for `event`; see :class:`gatewright.fsm.runtime.Runtime`."""
        cell = self.cells.get((context.state, type(event)))
        if cell is None:
            raise Refusal(None)
        return cell(context, event)

    def step_dispatch(self, context: Context, gen: int, seq: int, type_: str) -> Step:
        """Takes the one row for a dispatch; see :class:`gatewright.fsm.runtime.DispatchRuntime`."""
        cell = self._dispatch_cells.get(context.state)
        if cell is None:
            raise Refusal(None)
        return cell(context, gen, seq, type_)

    def step_run(
        self, context: Context, gen: int, seqs: Sequence[int], types: Sequence[str]
    ) -> tuple[int, Step | None]:
        """Takes dispatches as long as they take the same row; see :class:`gatewright.fsm.runtime.DispatchRuntime`."""
        cell = self._run_cells.get(context.state)
        return (0, None) if cell is None else cell(context, gen, seqs, types)


def _cell_source(
    name: str, rows: list[Row], number: int, namespace: dict[str, object], *, unpacked: bool = False
) -> list[str]:
    fields = ", ".join(f"e_{field.name}" for field in attrs.fields(rows[0].event)) if unpacked else "e"
    lines = [f"def {name}(c, {fields}):"]
    for index, row in enumerate(rows):
        tag = f"{number}_{index}"
        namespace[f"row_{tag}"] = row
        indent = _INDENT
        if row.guard is not None:
            lines.append(f"{_INDENT}if {source_of(expression_of(row.guard), unpacked=unpacked)}:")
            indent *= 2
        lines += [indent + line for line in _row_source(row, tag, namespace, unpacked=unpacked)]
    if all(row.guard is not None for row in rows):
        cell = f"{rows[0].source}.{rows[0].event.name}"
        lines.append(f"{_INDENT}raise TableError('{cell}: every guard was false')")
    return lines


def _repeats(row: Row) -> bool:
    """Whether taking the row several times is one loop: what it does depends on nothing but the event's fields."""
    constant = all(not attrs.fields(effect) for effect in row.effects)
    return row.kind is RowKind.TAKE and row.target is None and constant and len(row.effects) <= 1


def _run_source(name: str, row: Row, tag: str) -> list[str]:
    """The loop of a row that repeats: the same guard and updates as in its cell, with one call for all of a run.

    The context is read once and written once, and what of the guard cannot change is asked before the loop.
    """
    fields = _Variables()
    updates = [fields.of(line) for line in _row_source(row, tag, {}, unpacked=True)[:-1]]
    guard = [] if row.guard is None else fields.conditions(source_of(expression_of(row.guard), unpacked=True))
    columns = {f"e_{field.name}": f"e_{field.name}s" for field in attrs.fields(row.event) if field.name != "gen"}
    read = {word for part in (*updates, *guard) for word in _names(part)}
    varying = {*columns, *(f"c_{field}" for field in fields.written)}
    first = [condition for condition in guard if not _names(condition) & varying]
    each = [condition for condition in guard if _names(condition) & varying]
    used = [column for column in columns if column in read] or [next(iter(columns))]
    source = ", ".join(columns[column] for column in used)
    return [
        f"def {name}(c, e_gen, {', '.join(columns.values())}):",
        *(f"{_INDENT}c_{field} = c.{field}" for field in sorted(fields.found)),
        *(f"{_INDENT}if not ({condition}): return 0, None" for condition in first),
        f"{_INDENT}taken = 0",
        f"{_INDENT}for {', '.join(used)} in {source if len(used) == 1 else f'zip({source})'}:",
        *(f"{_INDENT * 2}if not ({condition}): break" for condition in each),
        *(_INDENT * 2 + line for line in updates),
        f"{_INDENT * 2}taken += 1",
        *(f"{_INDENT}c.{field} = c_{field}" for field in sorted(fields.written)),
        f"{_INDENT}return taken, step_{tag} if taken else None",
    ]


class _Variables(ast.NodeTransformer):
    """Puts a variable in place of each field of the context: ``c_x`` for ``c.x``.

    Attributes:
        found: the fields.
        written: those of them that are assigned to.
    """

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.written: set[str] = set()

    def of(self, line: str) -> str:
        """A statement, or an expression."""
        return ast.unparse(self.visit(ast.parse(line)))

    def conditions(self, guard: str) -> list[str]:
        """What a guard demands, one by one."""
        expression = ast.parse(guard, mode="eval").body
        parts = expression.values if isinstance(expression, ast.BoolOp) and isinstance(expression.op, ast.And) else None
        return [self.of(ast.unparse(part)) for part in ([expression] if parts is None else parts)]

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Called for each access to an attribute."""
        if not isinstance(node.value, ast.Name) or node.value.id != "c":
            return self.generic_visit(node)
        self.found.add(node.attr)
        if isinstance(node.ctx, ast.Store):
            self.written.add(node.attr)
        return ast.Name(f"c_{node.attr}", node.ctx)


def _names(source: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def _row_source(row: Row, tag: str, namespace: dict[str, object], *, unpacked: bool) -> list[str]:
    source = functools.partial(source_of, unpacked=unpacked)
    if row.kind is RowKind.REFUSE:
        return [f"raise Refusal(row_{tag})"]
    lines = [
        f"c.{field} = {source(text)}" for name in row.updates for field, text in UPDATES[name].assigns
    ]  # in order: a later assignment sees an earlier one
    if row.target is not None:
        spec = STATES[row.target]
        lines += [
            f"c.state = State.{row.target.name}",
            "c.entered_at = c.now",
            f"c.deadline = {'None' if spec.deadline is None else 'c.now + ' + source(spec.deadline)}",
            f"c.cap = {'None' if spec.cap is None else 'c.now + ' + source(spec.cap)}",
        ]
        if not spec.heartbeats:
            lines.append("c.beat_at = None")
    constant = all(not attrs.fields(effect) for effect in row.effects)
    if constant:  # nothing depends on the context: the whole step is one value
        namespace[f"step_{tag}"] = (row, tuple(cast("Callable[[], Effect]", effect)() for effect in row.effects))
        return [*lines, f"return step_{tag}"]
    made: list[str] = []
    for index, effect in enumerate(row.effects):
        namespace[f"effect_{tag}_{index}"] = effect
        values = ", ".join(source(field.metadata["expression"]) for field in attrs.fields(effect))
        made.append(f"effect_{tag}_{index}({values}),")
    return [*lines, f"return row_{tag}, ({' '.join(made)})"]
