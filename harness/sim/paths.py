"""Whether a journal is a path of the table: each step takes a row, from where the one before has led."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gatewright.fsm.journal import Record
from gatewright.spec.rows import Row
from gatewright.spec.states import State


class NotAPath(AssertionError):
    """A record that no row of the table explains, or that does not follow the one before."""


class PathOfTheTable:
    """An observer that holds each record against the table.

    Args:
        rows: the table.
        also: sees each record as well.
    """

    def __init__(self, rows: Iterable[Row], also: Callable[[Record], None] | None = None) -> None:
        self._rows = {row.id: row for row in rows}
        self._also = also
        self._state = State.IDLE
        self._gen = 0
        self._time = 0.0
        self.told: list[str] = []
        """Every record as a line."""
        self.taken: set[str] = set()
        """Ids of the rows."""
        self.fault: NotAPath | None = None
        """The first fault; an observer that raises is ignored by the shard."""

    def observe(self, record: Record) -> None:
        """See :class:`~gatewright.transport.seams.Observer`."""
        self.told.append(f"{record} {record.detail} {record.row}")
        self.taken.add(record.row)
        what = self._wrong(record)
        if what and self.fault is None:
            self.fault = NotAPath(f"{what}\n  " + "\n  ".join(self.told[-20:]))
        self._state, self._gen, self._time = record.to, record.gen, record.time
        if self._also is not None:
            self._also(record)

    def _wrong(self, record: Record) -> str:
        row = self._rows.get(record.row)
        if row is None:
            return f"the table has no row {record.row}"
        if record.state is not self._state:
            return f"the step begins in {record.state}, and the one before it ended in {self._state}"
        if row.source is not record.state or row.event.name != record.event or row.kind is not record.kind:
            return f"row {row.id} is not about {record.event} in {record.state}"
        if record.to is not (row.source if row.target is None else row.target):
            return f"row {row.id} does not lead to {record.to}"
        if record.effects != tuple(effect.name for effect in row.effects):
            return f"row {row.id} has other effects than {', '.join(record.effects)}"
        if not self._gen <= record.gen <= self._gen + 1:
            return f"generation {record.gen} follows {self._gen}"
        if record.time < self._time:
            return "time goes back"
        return ""
