"""Dispatches on their way from the reader to the consumer: bounded, in order, nothing dropped.

When it is full the reader stops reading, TCP holds the server back, and the machine knows (I23). What the consumer has
handled is remembered as the committed sequence, which is what a session is exported with (I17).
"""

from __future__ import annotations

from collections import deque

import trio

from gatewright.transport.dispatch import Dispatch


class Mailbox:
    """A queue of dispatches for one consumer at a time.

    Args:
        events: how many dispatches may wait before reading pauses; at least 1.
    """

    __slots__ = ("_capacity", "_closed", "_committed", "_lot", "_queue", "_room", "_taken")

    def __init__(self, events: int) -> None:
        self._capacity = events
        self._queue: deque[Dispatch] = deque()
        self._lot = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._closed = False
        self._taken: Dispatch | None = None
        self._committed: tuple[str, int] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether the reader has to wait before it reads on."""
        return len(self._queue) >= self._capacity

    def put(self, dispatch: Dispatch) -> None:
        """Adds a dispatch; never blocks. The reader looks at :attr:`full` before it reads on."""
        self._queue.append(dispatch)
        self._lot.unpark()

    async def wait_for_room(self) -> None:
        """Waits until half of the places are free, so that reading does not stutter from one event to the next."""
        while len(self._queue) > self._capacity // 2:
            await self._room.park()

    def close(self) -> None:
        """Nothing more will come; what waits can still be taken."""
        self._closed = True
        self._lot.unpark_all()

    async def take(self) -> Dispatch | None:
        """The next dispatch; ``None`` when the mailbox is closed and empty.

        Asking for the next one says that the one before was handled. Cancelling it loses nothing.
        """
        await trio.lowlevel.checkpoint()
        self.commit()
        while not self._queue:
            if self._closed:
                return None
            await self._lot.park()
        dispatch = self._queue.popleft()
        self._taken = dispatch
        if len(self._queue) <= self._capacity // 2:
            self._room.unpark_all()
        return dispatch

    def commit(self) -> None:
        """The dispatch that was taken last has been handled."""
        taken, self._taken = self._taken, None
        if taken is None:
            return
        if self._committed is None or self._committed[0] != taken.session_id or self._committed[1] < taken.seq:
            self._committed = (taken.session_id, taken.seq)

    def committed(self, session_id: str) -> int | None:
        """The highest handled sequence of a session; ``None`` when nothing of it was handled."""
        if self._committed is None or self._committed[0] != session_id:
            return None
        return self._committed[1]
