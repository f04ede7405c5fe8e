"""A bounded queue from the engine's thread to the event loop, for one consumer.

An item costs two operations on a deque, or less in a burst; the loop is woken only when its consumer waits, and the
engine only when it waits for room. Both sides rely on the order of their own reads and writes: each raises its flag
before it looks once more, so that at least one of the two sees the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

import trio

from gatewright.embed.thread import EngineThread

T = TypeVar("T")

_TURN: Final = 64
"""Items that a consumer takes before the loop's other work has its turn, however many wait."""


class Ended(Exception):
    """The queue was closed and is empty."""


class HandOver(Generic[T]):
    """Items in order, from the engine to one consumer on the loop.

    Args:
        engine: the engine, entered.
        limit: how many items may wait before no more are taken in; what comes in one go may exceed it.
    """

    def __init__(self, engine: EngineThread, limit: int) -> None:
        self._engine = engine
        self._limit = limit
        self._items: deque[T] = deque()
        self._ended = False
        self._hungry = False
        self._waiter: asyncio.Future[None] | None = None
        self._crowded = False
        self._room = trio.Event()
        self._taken = 0

    def __len__(self) -> int:
        return len(self._items)

    # -- in the engine ---------------------------------------------------------------------------------------------

    def take_in(self, items: Iterable[T]) -> bool:
        """Adds items, in one go; whether more may come at once. If not, they may after :meth:`room`."""
        self._items.extend(items)
        self._wake()
        if len(self._items) < self._limit:
            return True
        self._room = trio.Event()
        self._crowded = True
        return len(self._items) <= self._limit // 2

    async def room(self) -> None:
        """After :meth:`take_in` said no: waits until half of what may wait was taken."""
        await self._room.wait()

    async def put(self, item: T) -> None:
        """Adds an item; then waits while too many wait already."""
        if not self.take_in((item,)):
            await self.room()

    @property
    def awaited(self) -> bool:
        """Whether the consumer waits."""
        return self._hungry

    def end(self) -> None:
        """There will be no more."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._hungry:
            self._hungry = False
            self._engine.post(self._feed)

    # -- on the loop -----------------------------------------------------------------------------------------------

    @property
    def empty(self) -> bool:
        """Whether :meth:`take` would wait, or end."""
        return not self._items

    async def take(self) -> T:
        """The next item. Cancelling it loses nothing.

        Raises:
            Ended: there will be no more.
        """
        self._taken += 1
        if self._taken >= _TURN:
            self._taken = 0
            await asyncio.sleep(0)
        while not self._items:
            if self._ended and not self._items:
                raise Ended
            await self._wait()
        item = self._items.popleft()
        if self._crowded and len(self._items) <= self._limit // 2:
            self._crowded = False
            self._engine.soon(self._room.set)
        return item

    async def _wait(self) -> None:
        self._taken = 0
        self._waiter = asyncio.get_running_loop().create_future()
        self._hungry = True
        if self._items or self._ended:  # it came between the look and the flag, and nobody was told
            self._hungry = False
            return
        try:
            await self._waiter
        finally:
            self._hungry = False
            self._waiter = None

    def _feed(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
