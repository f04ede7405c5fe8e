"""Which dispatches were handled, and so up to where a session may be exported (I17).

The *committed* sequence is the highest one below which every dispatch of the session has been handled, in whatever
order that happened. A process that resumes from it elsewhere gets everything else again, and
``(session_id, seq)`` tells it what it has had before (P43).
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Sized
from typing import Final, Literal, TypeAlias

from gatewright.spec.errors import ConfigurationError

DEFAULT_WINDOW: Final = 1000
"""As many as wait in a queue by default; what is replayed after a crash is at most this and the queue."""

_SPARE: Final = 1024
"""Handled sequences that may lie behind one that is not before they are cleared up."""


class Ack(enum.StrEnum):
    """When a dispatch counts as handled."""

    AUTO = "auto"  # when the next one is asked for
    MANUAL = "manual"  # when its ack() is called


AckName: TypeAlias = Literal["auto", "manual"]


def checked_ack(value: Ack | AckName) -> Ack:
    """A way to acknowledge.

    Raises:
        ConfigurationError: for one that there is not.
    """
    try:
        return Ack(value)
    except ValueError:
        raise ConfigurationError(f"ack must be 'auto' or 'manual', not {value!r}") from None


def checked_window(value: int) -> int:
    """A bound on what is not acknowledged.

    Raises:
        ConfigurationError: for less than 1.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"ack_window must be a whole number of at least 1 dispatch, not {value!r}")
    return value


class _Mark(enum.IntEnum):
    WAITING = 0  # delivered by the server, not yet asked for
    TAKEN = 1  # in the hands of a consumer
    HANDLED = 2  # after it was taken
    LET_GO = 3  # counted no more: filtered out, dropped, or handled where no span is counted


_WAITING, _TAKEN, _HANDLED, _LET_GO = _Mark.WAITING, _Mark.TAKEN, _Mark.HANDLED, _Mark.LET_GO


class Acks:
    """What is handled of one session at a time: the newest that a dispatch was noted of.

    Dispatches of a session before it change nothing: that session is over. One sequence is one dispatch, however often
    it is delivered. Nothing here waits, and nothing goes back.

    As long as dispatches come without a gap and are taken and handled in order, which is nearly always, three numbers
    say it all. What is out of order is kept dispatch by dispatch, until all that has come is handled. While all is in
    order, a consumer need not even say what it takes: how many are left in its hand does (:meth:`lend`).

    Args:
        spanning: whether :attr:`unhandled` counts what was handled out of order as well, until the committed sequence
            covers it. Whoever bounds it bounds what is remembered, and what a crash may bring back.
    """

    __slots__ = (
        "_committed", "_first", "_hand", "_heap", "_left", "_marks", "_noted", "_session_id", "_spanning", "_spare",
        "_taken", "_unhandled",
    )  # fmt: skip

    def __init__(self, *, spanning: bool = False) -> None:
        self._spanning = spanning
        self._session_id: str | None = None
        self._committed: int | None = None
        # In order: all from _first to _noted have come and are not handled, and up to _taken they were taken.
        self._first: int = 0
        self._taken: int = -1
        self._noted: int = -1
        # Out of order, if there is anything in them; the three numbers say nothing then.
        self._heap: list[int] = []
        self._marks: dict[int, _Mark] = {}
        self._spare = 0
        self._unhandled = 0
        # What was lent, and how many of them are not yet counted as taken.
        self._hand: Sized | None = None
        self._left = 0

    @property
    def unhandled(self) -> int:
        """How many dispatches were taken and are not handled; if `spanning`, with those that were since the oldest."""
        self._catch_up()
        return self._unhandled

    def committed(self, session_id: str) -> int | None:
        """The committed sequence of a session; ``None`` when nothing of it was handled."""
        self._catch_up()
        return self._committed if self._session_id == session_id else None

    @property
    def oldest(self) -> int | None:
        """The oldest sequence that was taken and is not handled, when nothing older still waits; else ``None``."""
        self._catch_up()
        if not self._heap:
            return self._first if self._first <= self._taken else None
        return self._heap[0] if self._marks[self._heap[0]] is _TAKEN else None

    def note(self, session_id: str, seq: int) -> None:
        """A dispatch came, and waits."""
        if session_id != self._session_id:
            self._begin(session_id)
        if not self._heap:
            if seq == self._noted + 1:  # nearly always
                self._noted = seq
                return
            if self._first <= seq <= self._noted or (self._committed is not None and seq <= self._committed):
                return
            if self._first > self._noted:  # all is handled: the next may follow a gap
                self._first, self._taken, self._noted = seq, seq - 1, seq
                return
            self._spread()
        if seq not in self._marks and (self._committed is None or seq > self._committed):
            self._marks[seq] = _WAITING
            heapq.heappush(self._heap, seq)

    def note_run(self, session_id: str, first: int, last: int, count: int) -> bool:
        """:meth:`note` for `count` dispatches in ascending order; whether that was possible in one go."""
        if session_id == self._session_id and not self._heap and first == self._noted + 1 and last - first == count - 1:
            self._noted = last
            return True
        return False

    def may_lend(self, waiting: int) -> bool:
        """Whether the `waiting` dispatches are in order, and only what was taken last is not handled."""
        return not self._heap and self._first == self._taken and waiting == self._noted - self._taken

    def lend(self, hand: Sized) -> None:
        """Leaves the next dispatches, which are in `hand`, to the consumer that took the last one; see `may_lend`.

        Whenever it takes one out of its hand, the one before is handled; nothing more has to be said. From here to
        :meth:`take_back` only :meth:`note_run` and :meth:`handle` may be called, and whatever asks.
        """
        self._hand, self._left = hand, len(hand)

    def take_back(self) -> None:
        """Ends what :meth:`lend` began; what is left in the hand waits."""
        self._catch_up()
        self._hand = None

    def _catch_up(self) -> None:
        if self._hand is None:
            return
        taken = self._left - len(self._hand)
        if taken:
            self._left -= taken
            self._taken += taken
            if self._first < self._taken:  # else the one before was handled before that
                self._committed = self._taken - 1
            self._first = self._taken
            self._unhandled = 1

    def take(self, session_id: str, seq: int) -> None:
        """A dispatch that waited is in a consumer's hands."""
        if session_id != self._session_id:
            return
        if not self._heap:
            if not self._taken < seq <= self._noted:
                return
            if seq == self._taken + 1:
                self._taken = seq
                self._unhandled += 1
                return
            self._spread()
        if self._marks.get(seq) is _WAITING:
            self._marks[seq] = _TAKEN
            self._unhandled += 1

    def take_run(self, count: int, waiting: int) -> bool:
        """:meth:`take` for the next `count` of the `waiting` dispatches; whether that was possible in one go."""
        # While all is in order, each of these sequences waits; if nothing else does, they are the ones, in their order.
        if self._heap or waiting != self._noted - self._taken:
            return False
        self._taken += count
        self._unhandled += count
        return True

    def handle_run(self, session_id: str, first: int, last: int, count: int) -> bool:
        """:meth:`handle` for `count` dispatches; whether these were all that are out, and it was done in one go."""
        if (
            self._heap
            or session_id != self._session_id
            or (first, last) != (self._first, self._taken)
            or count != last - first + 1
        ):
            return False
        self._committed = last
        self._first = last + 1
        self._unhandled = 0
        return True

    def handle(self, session_id: str, seq: int) -> None:
        """A dispatch that was taken has been handled; once is enough, and again does no harm."""
        if self._hand is not None:
            self._catch_up()
        if session_id != self._session_id:
            return
        if not self._heap:
            if not self._first <= seq <= self._taken:
                return
            if seq == self._first:
                self._committed = seq
                self._first = seq + 1
                self._unhandled -= 1
                return
            self._spread()
        if self._marks.get(seq) is _TAKEN:
            if self._spanning:
                self._marks[seq] = _HANDLED
            else:
                self._marks[seq] = _LET_GO
                self._spare += 1
                self._unhandled -= 1
            self._settle()

    def let_go(self, session_id: str, seq: int) -> None:
        """A dispatch that waited will reach no consumer, and counts as handled."""
        if session_id != self._session_id:
            return
        if not self._heap:
            if not self._taken < seq <= self._noted:
                return
            if seq == self._first:
                self._committed = self._taken = seq
                self._first = seq + 1
                return
            self._spread()
        if self._marks.get(seq) is _WAITING:
            self._marks[seq] = _LET_GO
            self._spare += 1
            self._settle()

    def _begin(self, session_id: str) -> None:
        self._session_id, self._committed = session_id, None
        self._first, self._taken, self._noted = 0, -1, -1
        self._heap.clear()
        self._marks.clear()
        self._spare = self._unhandled = 0

    def _spread(self) -> None:
        """From here on each dispatch is kept by itself, because something is out of order."""
        self._heap = list(range(self._first, self._noted + 1))  # in order, which is a heap
        self._marks = {seq: _TAKEN if seq <= self._taken else _WAITING for seq in self._heap}
        self._first, self._taken, self._noted = 0, -1, -1

    def _settle(self) -> None:
        """Moves the committed sequence as far as everything below it is handled."""
        heap, marks = self._heap, self._marks
        while heap:
            mark = marks[heap[0]]
            if mark < _HANDLED:
                break
            seq = heapq.heappop(heap)
            del marks[seq]
            if mark is _HANDLED:
                self._unhandled -= 1
            else:
                self._spare -= 1
            if self._committed is None or seq > self._committed:
                self._committed = seq
        if not heap and self._committed is not None:
            self._first, self._taken, self._noted = self._committed + 1, self._committed, self._committed
        if self._spare > _SPARE and self._spare > 4 * (len(heap) - self._spare):
            self._clear_up()

    def _clear_up(self) -> None:
        """Of a run of sequences that were let go only the last matters; the rest would pile up without end."""
        order = sorted(self._heap)
        kept = [
            seq
            for seq, following in zip(order, [*order[1:], None], strict=True)
            if self._marks[seq] is not _LET_GO or following is None or self._marks[following] is not _LET_GO
        ]
        self._marks = {seq: self._marks[seq] for seq in kept}
        self._heap = kept  # in order, which is a heap
        self._spare = sum(mark is _LET_GO for mark in self._marks.values())
