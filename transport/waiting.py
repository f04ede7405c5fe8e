"""What tasks wait for, without the memory that trio takes for it while nobody does.

A :class:`trio.Event` takes 300 bytes and a :class:`trio.lowlevel.ParkingLot` 240, from the moment when they are made.
Of what a shard could have to wait for, hardly anything is ever waited for, and a process may have thousands of shards.
"""

from __future__ import annotations

import trio


class Latch:
    """As a :class:`trio.Event`: not set at first, then set for good."""

    __slots__ = ("_event", "_set")

    def __init__(self) -> None:
        self._set = False
        self._event: trio.Event | None = None  # while anybody waits

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._set

    def set(self) -> None:
        """Sets it, and wakes all who wait; idempotent."""
        self._set = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Waits until it is set. Always a checkpoint."""
        if self._set:
            await trio.lowlevel.checkpoint()
            return
        event = self._event
        if event is None:
            event = self._event = trio.Event()
        try:
            await event.wait()
        finally:
            if not event.statistics().tasks_waiting:
                self._event = None


class Lot:
    """As a :class:`trio.lowlevel.ParkingLot`, of those who are only ever woken all together."""

    __slots__ = ("_lot",)

    def __init__(self) -> None:
        self._lot: trio.lowlevel.ParkingLot | None = None  # while anybody is in there

    async def park(self) -> None:
        """Waits for :meth:`unpark_all`."""
        lot = self._lot
        if lot is None:
            lot = self._lot = trio.lowlevel.ParkingLot()
        try:
            await lot.park()
        finally:
            if not lot and self._lot is lot:
                self._lot = None

    def unpark_all(self) -> None:
        """Wakes all who wait."""
        if self._lot is not None:
            self._lot.unpark_all()
