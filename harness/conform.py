"""`gatewright conform`: whether a shard's journal is a way through the explored graph, and the first step that is not.

A journal is one JSON object a line, each as :meth:`gatewright.fsm.journal.Record.as_dict` gives it: what
`gatewright run --json` prints, what an observer writes, or what :func:`dump` makes of a shard's journal. Lines that are
no steps (other ``type`` than ``transition``, or no field of a record at all) are passed over; lines of several shards
may be mixed, if they say which (``shard``).

Each step must be one row of the table: its state, event, kind and effects, and the state that it leads to. Steps follow
one another: a step begins where the last one of its shard ended, time does not run backwards, and the generation goes
up by one in rows that open a connection, and in no other. And the row must be possible there. A journal does not hold
the memory that guards read, so all that the shard may remember is followed through the exploration, and each step
leaves of it what the step allows. When nothing is left, no run of the table goes this way.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol, TextIO, cast

import attrs
import msgspec

from gatewright.fsm.journal import Record
from gatewright.harness.explore.gateway_projection import beliefs
from gatewright.spec.guards import GUARDS
from gatewright.spec.rows import Row
from gatewright.spec.table import TABLE
from gatewright.spec.updates import UPDATES

_FIELDS: Final = ("time", "gen", "state", "to", "event", "row", "kind", "effects")
_BEGINS: Final = ("idle", "register")
"""State and event with which every shard begins, and no shard goes on: no row leads there."""
_MOST_NAMED: Final = 8
_NAME: Final = re.compile(r"\w+")
_CURRENT: Final = re.compile(r"^not stale and \((.*)\)$")
"""What every row on a connection's event asks, and what it asks beside that."""


class Step(Protocol):
    """What of a :class:`~gatewright.fsm.journal.Record` is held against the graph."""

    @property
    def time(self) -> float:
        """Seconds on the core's clock."""
        ...

    @property
    def gen(self) -> int:
        """The generation after the step."""
        ...

    @property
    def state(self) -> str:
        """The state before the step."""
        ...

    @property
    def to(self) -> str:
        """The state after it."""
        ...

    @property
    def event(self) -> str:
        """The event's name."""
        ...

    @property
    def row(self) -> str:
        """The id of the row that was taken."""
        ...

    @property
    def kind(self) -> str:
        """The row's kind."""
        ...

    @property
    def effects(self) -> Sequence[str]:
        """The names of the effects."""
        ...


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was read from a journal."""

    time: float
    gen: int
    state: str
    to: str
    event: str
    row: str
    kind: str
    effects: tuple[str, ...]
    shard: int | str | None = None


@attrs.frozen
class Fault:
    """What is wrong with a step, and the rows of its event that were possible there, or all rows if there were none."""

    wrong: str
    possible: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for people."""
        if not self.possible:
            return self.wrong
        more = len(self.possible) - _MOST_NAMED
        named = ", ".join(self.possible[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        return f"{self.wrong}; possible here: {named}"


@attrs.frozen
class _Said:
    """What a record of a row must say."""

    row: Row
    state: str
    to: str
    event: str
    kind: str
    effects: tuple[str, ...]
    opens: bool

    @classmethod
    def by(cls, row: Row) -> _Said:
        """What the table says."""
        return cls(
            row=row,
            state=row.source.value,
            to=(row.source if row.target is None else row.target).value,
            event=row.event.name,
            kind=row.kind.value,
            effects=tuple(effect.name for effect in row.effects),
            opens=any(field == "gen" for update in row.updates for field, _ in UPDATES[update].assigns),
        )


_SHIPPED: Final = {row.id: _Said.by(row) for row in TABLE}


class PathCheck:
    """Follows one shard, step by step, and says which step is none.

    Args:
        rows: the table. Another than the shipped one has no explored graph here: its rows are asked for, and their
            order, but not whether their guards can have held.
        begun: whether the first step is the shard's first. If not, the shard may remember anything that fits.
        gaps: whether steps that do not leave their state may be missing.
    """

    def __init__(self, rows: Iterable[Row] = TABLE, *, begun: bool = True, gaps: bool = False) -> None:
        self._said = _SHIPPED if rows is TABLE else {row.id: _Said.by(row) for row in rows}
        self._beliefs = beliefs() if rows is TABLE else None
        self._gaps = gaps
        self._last: tuple[str, int, float] | None = ("idle", 0, float("-inf")) if begun else None
        self._belief = self._beliefs.begin if self._beliefs is not None and begun else None

    def feed(self, step: Step) -> Fault | None:
        """What is wrong with the next step; ``None`` if it conforms. After a fault, nothing more is to be fed."""
        said = self._said.get(step.row)
        if said is None:
            return Fault(f"the table has no row {step.row!r}; it may be the journal of another version")
        wrong = "; ".join(self._faults(step, said))
        if wrong:
            return Fault(wrong)
        self._last = (step.to, step.gen, step.time)
        return self._follow(step, said)

    def _faults(self, step: Step, said: _Said) -> Iterator[str]:
        told: tuple[tuple[str, object, object], ...] = (
            ("state", step.state, said.state),
            ("to", step.to, said.to),
            ("event", step.event, said.event),
            ("kind", step.kind, said.kind),
            ("effects", tuple(step.effects), said.effects),
        )
        for name, found, wanted in told:
            if found != wanted:
                yield f"the row's {name} is {_plain(wanted)!r}, and not {_plain(found)!r}"
        if self._last is None:
            return
        state, gen, time = self._last
        if step.state != state:
            yield f"the last step led to '{state}'"
        if step.time < time:
            yield f"its time {step.time} is before that of the last step, {time}"
        if step.gen != gen + said.opens:
            why = "opens a connection" if said.opens else "opens none"
            yield f"the row {why}, and the generation went from {gen} to {step.gen}"

    def _follow(self, step: Step, said: _Said) -> Fault | None:
        known = self._beliefs
        if known is None:
            return None
        before = known.at(step.state, step.gen - said.opens) if self._belief is None else self._belief
        if self._gaps:
            before = known.rested(before)
        self._belief = known.after(before, step.row)
        if self._belief:
            return None
        possible = known.possible(before)
        same = tuple(name for name in possible if self._said[name].event == step.event)
        if not same:
            return Fault(f"nothing can say {step.event} there, after the steps before it", possible)
        guard = _CURRENT.sub(r"\1", said.row.guard or "")
        asks = f": it is taken when {_NAME.sub(_quoted, guard)}" if guard else ""
        return Fault(f"the steps before it rule this row out{asks}", same)


def _quoted(name: re.Match[str]) -> str:
    guard = GUARDS.get(name[0])
    return name[0] if guard is None else f'"{guard.label}"'


def _plain(value: object) -> object:
    """As JSON has it."""
    return list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else str(value)


# -- journals ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Deviation:
    """The first step that does not conform: its line, from 1, what it says, and what is wrong."""

    line: int
    step: str
    wrong: str
    possible: tuple[str, ...] = ()
    """The rows that could have been taken instead, if it is the exploration that rules this one out."""

    def __str__(self) -> str:
        """One line for people."""
        return f"line {self.line}: {self.step}: {Fault(self.wrong, self.possible)}"


@attrs.frozen(kw_only=True)
class Conformance:
    """What came of a journal: how many steps of how many shards were looked at, and which rows they took.

    `gaps` tells that steps may have been left out which do not leave their state.
    """

    steps: int
    shards: int
    rows: frozenset[str]
    gaps: bool
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
            "gaps": self.gaps,
            "deviation": None if self.deviation is None else attrs.asdict(self.deviation),
        }


def dump(records: Iterable[Record], out: TextIO, *, shard: int = 0) -> None:
    """Writes records as a journal that :func:`conform` reads, such as ``dump(shard.journal, file)``."""
    out.writelines(json.dumps({"shard": shard, **record.as_dict()}) + "\n" for record in records)


def told(found: Conformance) -> str:
    """What came of it, for people."""
    if found.deviation is not None:
        wrong = textwrap.wrap(found.deviation.wrong, 76)
        step, by, row = found.deviation.step.partition(" by row ")
        said = [f"line {found.deviation.line}: {step}", *([f"  row {row}"] if by else [])]
        said += [f"  {line}" for line in wrong]
        if found.deviation.possible:
            said.append("  possible here:")
            said += [f"    {row}" for row in found.deviation.possible[:_MOST_NAMED]]
            more = len(found.deviation.possible) - _MOST_NAMED
            said += [f"    and {more} more"] if more > 0 else []
            if not found.gaps:
                said.append("  (If steps that stay in their state were left out of this journal, say --gaps.)")
        said.append(f"{_counted(found.steps, 'step')} before it {'conforms' if found.steps == 1 else 'conform'}.")
        return "\n".join(said)
    if not found.steps:
        return (
            "There is no step in it: nothing was shown. A journal is what `gatewright run --json` prints, or what\n"
            "gatewright.harness.conform.dump writes."
        )
    shards, rows = _counted(found.shards, "shard"), _counted(len(found.rows), "row")
    ways = f"{_counted(found.steps, 'step')} of {shards} conform, by {rows}."
    return f"{ways} It holds moves only; what lies between them may be anything." if found.gaps else ways


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def conform(lines: Iterable[str], *, rows: Iterable[Row] = TABLE, gaps: bool | None = None) -> Conformance:
    """Compares a journal with the explored graph, up to the first step that does not conform.

    The journal may begin anywhere: a ring forgets its oldest records. And a shard may begin anew, since a bot that was
    started again writes on where the last one ended, in whatever state that was.

    Args:
        lines: of the journal.
        rows: the table; see :class:`PathCheck`.
        gaps: whether steps that do not leave their state may be missing; by default, if the journal holds none.
    """
    # Whether the journal was filtered is known at its end, so unless it is said, it is read both ways at once.
    rows = rows if rows is TABLE else tuple(rows)
    whole, filtered = _Reading(rows, gaps=False), _Reading(rows, gaps=True)
    readings = [whole, filtered] if gaps is None else [filtered if gaps else whole]
    moved = stayed = False
    for number, line in enumerate(lines, 1):
        step, wrong = _read(line)
        if step is not None:
            moved, stayed = moved or step.state != step.to, stayed or step.state == step.to
        for reading in readings:
            reading.take(number, step, wrong)
        if readings[-1].deviation is not None or (stayed and readings[0].deviation is not None):
            break
    return (filtered if gaps or (gaps is None and moved and not stayed) else whole).found


class _Reading:
    """One way to read a journal."""

    def __init__(self, rows: Iterable[Row], *, gaps: bool) -> None:
        self._rows = rows
        self._gaps = gaps
        self._shards: dict[object, PathCheck] = {}
        self._taken: set[str] = set()
        self._steps = 0
        self.deviation: Deviation | None = None

    @property
    def found(self) -> Conformance:
        """What came of it."""
        return Conformance(
            steps=self._steps,
            shards=len(self._shards),
            rows=frozenset(self._taken),
            gaps=self._gaps,
            deviation=self.deviation,
        )

    def take(self, number: int, step: _Line | None, wrong: str) -> None:
        """What the next line holds: a step, or what is wrong with it, or neither. After a deviation, nothing counts."""
        if self.deviation is not None:
            return
        if step is None:
            self.deviation = Deviation(number, "no step", wrong) if wrong else None
            return
        check, begins = self._shards.get(step.shard), (step.state, step.event) == _BEGINS
        if check is None or begins:
            check = self._shards[step.shard] = PathCheck(self._rows, begun=begins, gaps=self._gaps)
        fault = check.feed(step)
        if fault is not None:
            told = f"{step.state} -{step.event}-> {step.to} by row {step.row}"
            self.deviation = Deviation(number, told, fault.wrong, fault.possible)
            return
        self._taken.add(step.row)
        self._steps += 1


def _read(line: str) -> tuple[_Line | None, str]:
    """The step of a line, if it is one, or what is wrong with the line."""
    if not line.strip():
        return None, ""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None, "it is not JSON; a journal has one object a line"
    if not isinstance(found, dict):
        return None, "it is no JSON object"
    step = cast("dict[str, object]", found)
    missing = [name for name in _FIELDS if name not in step]
    if step.get("type", "transition") != "transition" or len(missing) == len(_FIELDS):
        return None, ""
    if missing:
        return None, f"it lacks {', '.join(missing)}; write Record.as_dict()"
    try:
        return msgspec.convert(step, _Line), ""
    except msgspec.ValidationError as error:
        return None, f"{error}; write Record.as_dict()"
