"""Whether a journal is a path of the table: each step takes a row, from where the one before has led."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gatewright.fsm.journal import Record
from gatewright.harness.conform import faults
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
        self._last: Mapping[str, Any] = {"to": State.IDLE.value, "gen": 0, "time": 0.0}
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
        step = record.as_dict()
        what = "; ".join(faults(step, self._last, self._rows))
        if what and self.fault is None:
            self.fault = NotAPath(f"{what}\n  " + "\n  ".join(self.told[-20:]))
        self._last = step
        if self._also is not None:
            self._also(record)
