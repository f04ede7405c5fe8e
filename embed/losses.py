"""Losses of a session in the words of a library: each between the two connects that it lies between."""

from __future__ import annotations

from collections.abc import Callable


class Losses:
    """Tells the library of each loss of a session between the two connects that it lies between.

    Connects come with the events and losses beside them, so either may be early.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._connects = self._lost = self._told = 0

    def connects(self) -> None:
        """READY or RESUMED is about to be handed over: what was there before was lost."""
        self._tell_up_to(self._connects)

    def connected(self) -> None:
        """It was handed over."""
        self._connects += 1
        self._tell_up_to(min(self._connects, self._lost))

    def lost(self) -> None:
        """A live session was lost."""
        self._lost += 1
        self._tell_up_to(min(self._connects, self._lost))

    def _tell_up_to(self, count: int) -> None:
        while self._told < count:
            self._told += 1
            self._tell()
