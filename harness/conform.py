"""`gatewright conform`: whether a shard's journal is a way through the table, and the first step that is not.

A journal is one JSON object a line, each as :meth:`gatewright.fsm.journal.Record.as_dict` gives it: what
`gatewright run --json` prints, what an observer writes, or what :func:`dump` makes of a shard's journal. Lines that are
no steps (other ``type`` than ``transition``) are passed over; lines of several shards may be mixed, if they say which
(``shard``).

Each step must be one row of the table: its state, event, kind and effects, and the state that it leads to. Steps follow
one another: a step begins where the last one of its shard ended, time does not run backwards, and the generation goes
up by one in rows that open a connection, and in no other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TextIO, cast

import attrs

from gatewright.fsm.journal import Record
from gatewright.spec.rows import Row
from gatewright.spec.table import TABLE
from gatewright.spec.updates import UPDATES

_FIELDS: Final = ("time", "gen", "state", "to", "event", "row", "kind", "effects")


@attrs.frozen
class Deviation:
    """The first step that does not conform: its line, from 1, what it says, and what is wrong."""

    line: int
    step: str
    wrong: str

    def __str__(self) -> str:
        """One line for people."""
        return f"line {self.line}: {self.step}: {self.wrong}"


@attrs.frozen(kw_only=True)
class Conformance:
    """What came of a journal: how many steps of how many shards were looked at, and which rows they took."""

    steps: int
    shards: int
    rows: frozenset[str]
    deviation: Deviation | None

    @property
    def ok(self) -> bool:
        """Every step conforms, and there is at least one."""
        return self.deviation is None and self.steps > 0

    def as_dict(self) -> dict[str, Any]:
        """In the types of JSON."""
        return {
            "ok": self.ok,
            "steps": self.steps,
            "shards": self.shards,
            "rows": len(self.rows),
            "deviation": None if self.deviation is None else attrs.asdict(self.deviation),
        }


def dump(records: Iterable[Record], out: TextIO, *, shard: int = 0) -> None:
    """Writes records as a journal that :func:`conform` reads, such as ``dump(shard.journal, file)``."""
    out.writelines(json.dumps({"shard": shard, **record.as_dict()}) + "\n" for record in records)


def conform(lines: Iterable[str], *, rows: Iterable[Row] = TABLE) -> Conformance:
    """Compares a journal with the table, up to the first step that does not conform.

    Args:
        lines: of the journal.
        rows: the table.
    """
    table = {row.id: row for row in rows}
    last: dict[object, Mapping[str, Any]] = {}
    taken: set[str] = set()
    steps = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        step, wrong = _read(line)
        if step is not None:
            wrong = next(faults(step, last.get(step.get("shard")), table), "")
        if wrong:
            deviation = Deviation(number, _told(step), wrong)
            return Conformance(steps=steps, shards=len(last), rows=frozenset(taken), deviation=deviation)
        if step is not None:
            last[step.get("shard")] = step
            taken.add(step["row"])
            steps += 1
    return Conformance(steps=steps, shards=len(last), rows=frozenset(taken), deviation=None)


def _read(line: str) -> tuple[dict[str, Any] | None, str]:
    """The step of a line, if it is one, or what is wrong with the line."""
    try:
        found = json.loads(line)
    except ValueError:
        return None, "it is not JSON; a journal has one object a line"
    if not isinstance(found, dict):
        return None, "it is no JSON object"
    step = cast("dict[str, Any]", found)
    if step.get("type", "transition") != "transition":
        return None, ""
    missing = [name for name in _FIELDS if name not in step]
    if missing:
        return None, f"it lacks {', '.join(missing)}; write Record.as_dict()"
    return step, ""


def _told(step: Mapping[str, Any] | None) -> str:
    if step is None:
        return "no step"
    return f"{step['state']} -{step['event']}-> {step['to']} by row {step['row']}"


def faults(step: Mapping[str, Any], last: Mapping[str, Any] | None, table: Mapping[str, Row]) -> Iterator[str]:
    """What is wrong with a step of a journal.

    Args:
        step: as `Record.as_dict` gives it.
        last: the step of the same shard before it, as far as it is known.
        table: rows by their ids.
    """
    row = table.get(step["row"])
    if row is None:
        yield f"the table has no row {step['row']!r}; it may be the journal of another version"
        return
    target = row.source if row.target is None else row.target
    said = {
        "state": row.source.value,
        "to": target.value,
        "event": row.event.name,
        "kind": row.kind.value,
        "effects": [effect.name for effect in row.effects],
    }
    for name, wanted in said.items():
        if step[name] != wanted:
            yield f"the row's {name} is {wanted!r}, and not {step[name]!r}"
    if last is None:
        return
    if step["state"] != last["to"]:
        yield f"the last step led to {last['to']!r}"
    if step["time"] < last["time"]:
        yield f"its time {step['time']} is before that of the last step, {last['time']}"
    opened = any(field == "gen" for update in row.updates for field, _ in UPDATES[update].assigns)
    if step["gen"] != last["gen"] + opened:
        why = "opens a connection" if opened else "opens none"
        yield f"the row {why}, and the generation went from {last['gen']} to {step['gen']}"
