"""Shards begin a few at a time, in the order in which they are entered, however many a program enters at once.

From its first step to HELLO a shard takes the processor for a millisecond or two. When a thousand shards do it side
by side, the first of them has its HELLO when all have nearly theirs, its bucket's window of 5 s stays unused meanwhile,
and what a handshake needs is held a thousand times. So only some begin in one pass of trio's loop, and those before
them get on in it as well. That is a matter of the processor alone: nobody waits for anybody's server here, and no
deadline runs yet. Whoever comes alone goes through.
"""

from __future__ import annotations

from typing import Final

import trio

AT_A_TIME: Final = 2
"""Shards that begin in one pass of the loop."""

_of_this_run: Final[trio.lowlevel.RunVar[trio.Semaphore]] = trio.lowlevel.RunVar("gatewright turnstile")


async def turn() -> None:
    """Waits for this one's turn. Always a checkpoint."""
    try:
        places = _of_this_run.get()
    except LookupError:
        places = trio.Semaphore(AT_A_TIME)
        _of_this_run.set(places)
    # A place is taken for one pass: to enter is a checkpoint, and whoever has waited leaves again when it is woken.
    async with places:
        pass
