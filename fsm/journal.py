"""The journal: a ring of the last steps of a shard, cheap to write on the dispatch path and readable afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias, cast

import attrs

from gatewright.spec.effects import Effect
from gatewright.spec.events import (
    Closed,
    ConnectFailed,
    Event,
    MetadataFailed,
    ProtocolViolation,
    RegistrationFailed,
)
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import State

DEFAULT_SIZE: Final = 256


@attrs.frozen(kw_only=True)
class Record:
    """One step of a shard.

    `time` is in seconds on the core's clock; `gen` the generation after the step; `state` the state before and `to`
    the state after it; `event` the event's name and `detail` its payload as text; `reason` what it says of its cause,
    for people (a close code, why a connection could not be opened), else empty; `row` the id of the row that was taken;
    `kind` its kind; `effects` the names of the effects. Nothing in it is secret (I22).
    """

    time: float
    gen: int
    state: State
    to: State
    event: str
    detail: str
    reason: str
    row: str
    kind: RowKind
    effects: tuple[str, ...]

    @property
    def moved(self) -> bool:
        """Whether the step left its state, or entered it anew."""
        return self.state is not self.to

    def as_dict(self) -> dict[str, object]:
        """The record in the types of JSON."""
        return {
            "time": self.time,
            "gen": self.gen,
            "state": self.state.value,
            "to": self.to.value,
            "event": self.event,
            "detail": self.detail,
            "reason": self.reason,
            "row": self.row,
            "kind": self.kind.value,
            "effects": list(self.effects),
        }

    def __str__(self) -> str:
        """One line for people."""
        arrow = f"{self.state} -{self.event}-> {self.to}"
        effects = f"  [{', '.join(self.effects)}]" if self.effects else ""
        note = "" if self.kind is RowKind.TAKE else f"  ({self.kind})"
        return f"{self.time:10.3f}  gen {self.gen}  {arrow}{note}{effects}"


def _detail(event: Event) -> str:
    fields = [
        f"{field.name}={getattr(event, field.name)!r}"
        for field in attrs.fields(type(event))
        if field.repr and field.name != "gen"
    ]
    return ", ".join(fields)


def _reason(event: Event) -> str:
    match event:
        case Closed(code=code, reason=reason):
            # What the peer wrote is shown as a literal, so that it cannot begin a line of its own in a log.
            return " ".join([*([] if code is None else [str(code)]), *([repr(reason)] if reason else [])])
        case ConnectFailed(error=kind, reason=reason) | MetadataFailed(error=kind, reason=reason):
            return f"{kind}: {reason}" if reason else str(kind)
        case ProtocolViolation(violation=kind, detail=detail):
            return f"{kind}: {detail}" if detail else str(kind)
        case RegistrationFailed(reason=reason):
            return reason
        case _:
            return ""


_Entry: TypeAlias = tuple[float, int, State, State, Event | tuple[object, ...], Row, tuple[Effect, ...]]


@attrs.define(eq=False)
class _Run:
    """Dispatches that one row has taken one after the other: a step for each of them, made when somebody reads it."""

    _time: float
    _gen: int
    _state: State
    _seqs: Sequence[int]
    _types: Sequence[str]
    _row: Row
    _effects: tuple[Effect, ...]

    def __len__(self) -> int:
        return len(self._seqs)

    def last(self, count: int) -> list[_Entry]:
        """The last `count` of its steps, oldest first."""
        time, gen, state, row, effects = self._time, self._gen, self._state, self._row, self._effects
        return [
            (time, gen, state, state, (gen, seq, type_), row, effects)
            for seq, type_ in zip(self._seqs[-count:], self._types[-count:], strict=True)
        ]


class Journal:
    """The last steps, oldest first. Records are made when somebody reads them: a dispatch pays for next to nothing."""

    __slots__ = ("_held", "_ring", "_size", "written")

    def __init__(self, size: int = DEFAULT_SIZE) -> None:
        self._size = size
        self._ring: list[_Entry | _Run] = []  # an idle shard has few, and a deque takes four times as much for them
        self._held = 0  # steps in the ring: at least as many of the last ones as are wanted
        self.written = 0
        """How many steps were written in all, those that fell out of the ring included."""

    def write(
        self,
        time: float,
        gen: int,
        state: State,
        to: State,
        event: Event | tuple[object, ...],
        row: Row,
        effects: tuple[Effect, ...],
    ) -> None:
        """Adds a step; the oldest falls out when the ring is full. Fields of the row's event do for the event."""
        self.written += 1
        self._held += 1
        self._ring.append((time, gen, state, to, event, row, effects))
        if self._held > self._size:
            self._trim()

    def write_run(
        self,
        time: float,
        gen: int,
        state: State,
        seqs: Sequence[int],
        types: Sequence[str],
        row: Row,
        effects: tuple[Effect, ...],
    ) -> None:
        """Adds a step for each of some dispatches, which `row` has taken one by one without leaving `state`.

        Their sequences and names are kept as they are, and must not change.
        """
        count = len(seqs)
        self.written += count
        if count > self._size:
            seqs, types = seqs[count - self._size :], types[count - self._size :]
        self._held += len(seqs)
        self._ring.append(_Run(time, gen, state, seqs, types, row, effects))
        if self._held > self._size:
            self._trim()

    def _trim(self) -> None:
        ring, held, old = self._ring, self._held, 0
        for oldest in ring:
            spare = held - (len(oldest) if type(oldest) is _Run else 1)
            if spare < self._size:
                break
            held = spare
            old += 1
        del ring[:old]
        self._held = held

    def __len__(self) -> int:
        return min(self._held, self._size)

    def __iter__(self) -> Iterator[Record]:
        return map(_record, self._tail(self._size))

    def copy(self) -> Journal:
        """The journal as it is now, for another thread or for later."""
        copy = Journal(self._size)
        copy._ring.extend(self._ring)
        copy._held = self._held
        copy.written = self.written
        return copy

    def last(self, count: int = 1) -> tuple[Record, ...]:
        """The last `count` steps, oldest first."""
        return tuple(map(_record, self._tail(min(count, self._size))))

    def _tail(self, count: int) -> list[_Entry]:
        """The last `count` steps, or all that there are."""
        found: list[_Entry] = []
        for entry in reversed(tuple(self._ring)):
            wanted = count - len(found)
            if wanted <= 0:
                break
            if type(entry) is _Run:
                found.extend(reversed(entry.last(wanted)))
            else:
                found.append(cast("_Entry", entry))
        found.reverse()
        return found

    def path(self, moves: int = 3) -> str:
        """The last moves between states, as ``a -event-> b -event-> c``; empty before the first."""
        found = [record for record in self if record.moved][-moves:]
        if not found:
            return ""
        return found[0].state.value + "".join(f" -{record.event}-> {record.to}" for record in found)


def _record(entry: _Entry) -> Record:
    time, gen, state, to, event, row, effects = entry
    if isinstance(event, tuple):
        event = row.event(*event)
    return Record(
        time=time,
        gen=gen,
        state=state,
        to=to,
        event=event.name,
        detail=_detail(event),
        reason=_reason(event),
        row=row.id,
        kind=row.kind,
        effects=tuple(effect.name for effect in effects),
    )
