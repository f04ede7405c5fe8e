"""The journal: a ring of the last steps of a shard, cheap to write on the dispatch path and readable afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, TypeAlias

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


class Journal:
    """The last steps, oldest first. Records are made when somebody reads them: a dispatch pays for a tuple only."""

    __slots__ = ("_ring", "written")

    def __init__(self, size: int = DEFAULT_SIZE) -> None:
        self._ring: deque[_Entry] = deque(maxlen=size)
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
        self._ring.append((time, gen, state, to, event, row, effects))

    def __len__(self) -> int:
        return len(self._ring)

    def __iter__(self) -> Iterator[Record]:
        return map(_record, tuple(self._ring))

    def copy(self) -> Journal:
        """The journal as it is now, for another thread or for later."""
        copy = Journal(self._ring.maxlen or DEFAULT_SIZE)
        copy._ring.extend(self._ring)
        copy.written = self.written
        return copy

    def last(self, count: int = 1) -> tuple[Record, ...]:
        """The last `count` steps, oldest first."""
        return tuple(map(_record, tuple(self._ring)[-count:])) if count > 0 else ()

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
