"""How much may still be sent on one connection: 120 payloads in 60 s, everything counted (P55).

Pure: it is told when something was sent and answers how long to wait. Make one for each connection, because the server
counts by connection too.
"""

from __future__ import annotations

import bisect
import math
from typing import Final

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import SEND_LIMIT, SEND_WINDOW, Opcode
from gatewright.transport.seams import Clock

PRESENCE_LIMIT: Final = 5
PRESENCE_WINDOW: Final = 20.0
"""At most 5 presence updates in 20 s on one connection (P58)."""

DEFAULT_RESERVE: Final = 3
"""What :func:`reserve` gives for the interval seen in practice, 41.25 s; in force until HELLO names the real one."""

SLACK: Final = 1.0
"""Seconds added to every window. We log when we send and the server counts when it receives: two bursts that leave a
window apart may arrive closer, by as much as the second one was faster on its way."""

_UNLIMITED: Final = frozenset({Opcode.HEARTBEAT, Opcode.IDENTIFY, Opcode.RESUME})


def reserve(interval: float) -> int:
    """How many of a connection's 120 sends a minute are kept for heartbeats.

    Args:
        interval: seconds between heartbeats, as HELLO gave it (41.25 in practice); must be positive.

    Returns:
        ``ceil(60 / interval) + 1``: the beats of one window and one that the server may ask for.

    Raises:
        ValueError: if `interval` is not positive.

    Source: P56; the figure agrees with what hikari and twilight keep (3 at 41.25 s).
    """
    if not interval > 0:
        raise ValueError(f"a heartbeat interval must be positive, not {interval!r}")
    return math.ceil(SEND_WINDOW / interval) + 1


class SendLimiter:
    """A sliding log of what was sent on one connection.

    Args:
        clock: seconds that never go back.
        limit: payloads that the server takes in one window.
        window: seconds.
        reserve: how many of them user commands leave alone; see :func:`reserve` and :meth:`keep`.
        slack: seconds added to each window.

    Raises:
        ConfigurationError: if `limit`, `window`, `reserve` or `slack` is out of range.

    Source: P21, P55, P56, P58, A10.
    """

    __slots__ = ("_all", "_clock", "_commands", "_limit", "_presences", "_usable")

    def __init__(
        self,
        clock: Clock,
        *,
        limit: int = SEND_LIMIT,
        window: float = SEND_WINDOW,
        reserve: int = DEFAULT_RESERVE,
        slack: float = SLACK,
    ) -> None:
        if limit < 1 or window <= 0 or slack < 0:
            raise ConfigurationError(f"a limit of {limit} in {window} + {slack} s makes no sense; all must be positive")
        self._clock = clock
        self._limit = limit
        self._usable = limit
        self.keep(reserve)
        # Two bounds: everything within the limit, and all but heartbeats within what the reserve leaves. Commands that
        # were also held back by the beats of the past, on top of the reserve for those to come, would starve at short
        # intervals.
        span = window + slack
        self._all = _Log(span)
        self._commands = _Log(span)
        self._presences = _Log(PRESENCE_WINDOW + slack)

    def keep(self, reserve: int) -> None:
        """Leave `reserve` sends a window to heartbeats from now on, and at least one to commands."""
        if reserve < 0:
            raise ConfigurationError(f"a reserve is 0 or more sends, not {reserve}")
        self._usable = max(1, self._limit - reserve)

    def delay_for(self, op: Opcode) -> float:
        """Seconds until a payload of `op` may be sent; 0.0 when it may be sent now.

        HEARTBEAT, IDENTIFY and RESUME never wait: the reserve is theirs, and without them there is no connection. For
        the others the answer holds as long as nothing else is sent meanwhile, so ask again after the wait.
        """
        if op in _UNLIMITED:
            return 0.0
        now = self._clock()
        delay = max(self._all.delay(now, self._limit), self._commands.delay(now, self._usable))
        if op is Opcode.PRESENCE_UPDATE:
            delay = max(delay, self._presences.delay(now, PRESENCE_LIMIT))
        return delay

    def sent(self, op: Opcode) -> None:
        """A payload of `op` was handed to the socket."""
        now = self._clock()
        self._all.add(now)
        if op is not Opcode.HEARTBEAT:
            self._commands.add(now)
        if op is Opcode.PRESENCE_UPDATE:
            self._presences.add(now)

    @property
    def in_window(self) -> int:
        """How many payloads count at this moment, for status and logs."""
        return self._all.count(self._clock())


class _Log:
    """When each of the last sends stops to count, oldest first.

    Ends rather than beginnings: what a command waits for is then the very number that it is compared with. A list,
    because an empty deque takes ten times as much, and every connection has three that stay short.
    """

    __slots__ = ("_ends", "_span")

    def __init__(self, span: float) -> None:
        self._span = span
        self._ends: list[float] = []

    def add(self, now: float) -> None:
        self.count(now)
        self._ends.append(now + self._span)

    def count(self, now: float) -> int:
        if self._ends and self._ends[0] <= now:
            del self._ends[: bisect.bisect_right(self._ends, now)]
        return len(self._ends)

    def delay(self, now: float, usable: int) -> float:
        surplus = self.count(now) - usable
        return 0.0 if surplus < 0 else self._ends[surplus] - now
