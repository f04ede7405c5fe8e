"""From the engine's thread to the event loop: in order, one wake-up a burst, in slices.

The other way is trio's own :meth:`trio.lowlevel.TrioToken.run_sync_soon`. Nothing else crosses.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from typing import Final

SLICE: Final = 128
"""Callbacks that run before the loop's other work has its turn."""


class Crossing:
    """Callbacks for an event loop, posted by the one thread in which the engine runs.

    Args:
        loop: where the callbacks run.
        on_gone: called in the posting thread, once, when the loop turns out to be closed.

    Callbacks run in the context of whoever made the crossing: the engine's own context variables (which library runs
    the task, for one) would mislead what they call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_gone: Callable[[], None]) -> None:
        self._loop = loop
        self._on_gone = on_gone
        self._context = contextvars.copy_context()
        self._waiting: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._woken = False
        self._gone = False

    def post(self, callback: Callable[..., object], *args: object) -> None:
        """Has `callback` called in the loop's thread. When the loop is closed nobody is left to be told."""
        self._waiting.append((callback, args))
        # The loop clears the flag before it looks, so a callback is either seen by the round that runs or wakes
        # another; it is never left behind.
        if not self._woken and not self._gone:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._drain, context=self._context)
            except RuntimeError:
                self._gone = True
                self._on_gone()

    def _drain(self) -> None:
        self._woken = False
        for _ in range(SLICE):
            if not self._waiting:
                return
            callback, args = self._waiting.popleft()
            try:
                callback(*args)
            except Exception as error:  # noqa: BLE001 - one callback must not hold up the others
                self._loop.call_exception_handler(
                    {"message": "a callback of the gateway engine failed", "exception": error}
                )
        if self._waiting and not self._woken:
            self._woken = True
            self._loop.call_soon(self._drain, context=self._context)
