"""Whether a journal is a path of the explored graph: each step takes a row that is possible after those before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gatewright.fsm.journal import Record
from gatewright.harness.conform import PathCheck
from gatewright.spec.rows import Row


class NotAPath(AssertionError):
    """A record that no row of the table explains, that does not follow the one before, or that nothing leads to."""


class PathOfTheTable:
    """An observer that holds each record against the table, and against its exploration if it is the shipped one.

    Args:
        rows: the table.
        also: sees each record as well.
    """

    def __init__(self, rows: Iterable[Row], also: Callable[[Record], None] | None = None) -> None:
        self._check = PathCheck(rows)
        self._also = also
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
        if self.fault is None:
            fault = self._check.feed(record)
            if fault is not None:
                self.fault = NotAPath(f"{fault}\n  " + "\n  ".join(self.told[-20:]))
        if self._also is not None:
            self._also(record)
