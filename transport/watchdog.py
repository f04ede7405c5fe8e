"""Tells who blocked the event loop: a thread that watches the loop of one `trio.run`, for all shards in it.

Code that does not give the loop back (a long computation, ``time.sleep``, a synchronous HTTP client) holds up the
heartbeats of every shard. The server then closes, and its close says nothing about the reason. So a thread asks the
loop between once and four times a second for a sign of life, and when none has come for longer than a heartbeat
tolerates, it writes a warning with the stack that blocks: files, lines and names of functions, never values.

That costs the loop one short call a second. An instrument of trio's would need no call, but was measured to cost
0.8 µs in each pass of the loop, on the path of every dispatch. The thread ends with the last shard.
"""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
from types import FrameType
from typing import Final, Protocol

import trio

LONGEST_TOLERANCE: Final = 10.0
"""Seconds. discord.py warns after as many."""

SHARE: Final = 0.25
"""How much of a heartbeat interval may pass. A beat that is late by this much still comes long before anybody's
verdict: ours falls an interval later, and the server's tolerance is not documented (P16)."""

SHORTEST_PERIOD: Final = 0.25
LONGEST_PERIOD: Final = 1.0
"""Seconds between two looks: a quarter of what is tolerated, within these bounds."""

QUIET: Final = 60.0
"""Seconds after a warning in which there is no other one; it counts what it left out."""

MOST_FRAMES: Final = 40

MOST_NAMED: Final = 8
"""Shards that a warning names; all of them are in its fields."""

_log: Final = logging.getLogger("gatewright.loop")


def tolerance(interval: float | None) -> float:
    """How long the loop may be blocked without harm to a heartbeat.

    Args:
        interval: seconds between heartbeats, ``None`` before the first HELLO.

    Returns:
        A quarter of the interval, and at most 10 s.
    """
    return LONGEST_TOLERANCE if interval is None else min(interval * SHARE, LONGEST_TOLERANCE)


class Beating(Protocol):
    """Whoever has heartbeats to send."""

    @property
    def interval(self) -> float | None:
        """Seconds between heartbeats, ``None`` before the first HELLO; read from the watching thread."""
        ...


class Watching:
    """Has the loop of this `trio.run` watched, for as long as the block lasts.

    Args:
        shard_id: named in the warning.
        shard: whose heartbeats the loop must not hold up.
    """

    __slots__ = ("_shard", "_shard_id", "_watch")

    def __init__(self, shard_id: int, shard: Beating) -> None:
        self._shard_id = shard_id
        self._shard = shard
        self._watch: tuple[LoopWatch, int] | None = None

    def __enter__(self) -> None:
        """Begins to watch."""
        watch = _of_this_run.get(None)
        if watch is None:
            watch = LoopWatch()
            watch.start()
            _of_this_run.set(watch)
        self._watch = watch, watch.join(self._shard_id, self._shard)

    def __exit__(self, *_: object) -> None:
        """Ends; with the last shard of the loop, the watching."""
        assert self._watch is not None
        watch, key = self._watch
        if not watch.leave(key):
            watch.end()
            _of_this_run.set(None)


class LoopWatch:
    """Watches the loop of the thread in which it is made."""

    def __init__(self) -> None:
        self.thread = threading.Thread(target=self._watch, name="gatewright loop watch", daemon=True)
        self._keys = itertools.count()
        self._shards: dict[int, tuple[int, Beating]] = {}
        self._loop = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()
        self._ended = threading.Event()
        self._asked_at: float | None = None
        """When the loop was asked for the sign that has not come yet; set by the thread, and unset by the loop."""
        self._told: float | None = None
        self._warned_at: float | None = None
        self._left_out = 0

    # -- in the loop -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins."""
        self.thread.start()

    def end(self) -> None:
        """Ends, without waiting for the thread, which ends by itself at once."""
        self._ended.set()

    def join(self, shard_id: int, shard: Beating) -> int:
        """One more shard wants to know; the key is for :meth:`leave`."""
        key = next(self._keys)
        self._shards[key] = shard_id, shard
        return key

    def leave(self, key: int) -> bool:
        """A shard is over; whether any is left."""
        del self._shards[key]
        return bool(self._shards)

    def answer(self) -> None:
        """The sign of life: the loop has come round."""
        self._asked_at = None

    # -- in the thread ---------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._ended.wait(min(max(self._tolerance() / 4, SHORTEST_PERIOD), LONGEST_PERIOD)):
            try:
                self.look(time.monotonic())
            except trio.RunFinishedError:
                return

    def _tolerance(self) -> float:
        return min((tolerance(shard.interval) for _, shard in self._joined()), default=LONGEST_TOLERANCE)

    def _joined(self) -> tuple[tuple[int, Beating], ...]:
        """Those who have joined, in one step: the loop may add one while the thread walks through them."""
        return tuple(self._shards.values())

    def look(self, now: float) -> None:
        """Asks for a sign, or warns when one is overdue: once for each, and seldom.

        Raises:
            RunFinishedError: there is no loop any more.
        """
        since, tolerated = self._asked_at, self._tolerance()
        if since is None:
            self._asked_at = now
            self._token.run_sync_soon(self.answer)
            return
        if now - since < tolerated or since == self._told:
            return
        stack = _stack(sys._current_frames().get(self._loop))
        if self._asked_at is None:
            return  # it has just come round, and the stack shows something else
        self._told = since
        if self._warned_at is not None and now - self._warned_at < QUIET:
            self._left_out += 1
            return
        self._warned_at = now
        left_out, self._left_out = self._left_out, 0
        shards = sorted({shard_id for shard_id, _ in self._joined()})
        _log.warning(
            "the event loop has been blocked for %.1f s; no heartbeat can leave (shard %s)%s. It is blocked in:\n%s",
            now - since,
            _named(shards),
            f", and was {left_out} times more since the last warning" if left_out else "",
            "\n".join(f"  {place}" for place in stack),
            extra={
                "gatewright": {
                    "blocked_for": now - since,
                    "tolerated": tolerated,
                    "left_out": left_out,
                    "shards": shards,
                    "stack": stack,
                }
            },
        )


def _named(shards: list[int]) -> str:
    """The first of them; a line that names a thousand says nothing."""
    names = ", ".join(map(str, shards[:MOST_NAMED]))
    return names if len(shards) <= MOST_NAMED else f"{names} and {len(shards) - MOST_NAMED} more"


def _stack(frame: FrameType | None) -> list[str]:
    """``file:line function``, the innermost last; no source and no values, which may be secret (I22)."""
    places: list[str] = []
    while frame is not None and len(places) < MOST_FRAMES:
        places.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}")
        frame = frame.f_back
    return places[::-1]


_of_this_run: Final[trio.lowlevel.RunVar[LoopWatch | None]] = trio.lowlevel.RunVar("gatewright loop watch", None)
