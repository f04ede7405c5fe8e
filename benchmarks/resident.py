"""How much memory of a process many idle connections take."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable

import trio

from gatewright.harness.memory import resident

_SETTLE = 0.5


def _kib() -> float:
    gc.collect()
    found = resident()
    if found is None:
        raise SystemExit("nobody says here how much memory a process has; this scenario needs Linux")
    return found * 1024


async def grown(count: int, hold: Callable[[trio.Event], Awaitable[None]]) -> dict[str, float]:
    """What `count` connections take each, once `hold` has set the event that says that all of them are there."""
    before, done = _kib(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold, done)
        await done.wait()
        await trio.sleep(_SETTLE)
        taken = _kib() - before
        nursery.cancel_scope.cancel()
    return {"kib_each": taken / count}
