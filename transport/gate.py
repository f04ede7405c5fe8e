"""The identify gate of one process: who may send IDENTIFY next, and whether the day's budget allows it.

Two bounds, kept apart. *Spacing*: of one bucket, ``shard_id % max_concurrency``, one IDENTIFY in 5 s, counted from when
it was sent (P27, P28).

The server counts by its own clock, and does not say from which moment (A11): when IDENTIFY came, when it was looked
at, or when READY left. So after sending there is slack, which a second IDENTIFY that is faster on its way may use up.
READY ends the guessing: whichever moment it was, it lies before READY was here, and the next IDENTIFY that leaves 5 s
after that comes later still, however fast it is. Where READY comes within the slack, the next one goes 5 s after READY,
sooner than the slack allows and with nothing left to chance. Op 9 proves as much, and is no reason to hurry.

*Budget*: spending the day's IDENTIFYs ends every session of the bot and resets its token (P29),
so :class:`IdentifyBudget` refuses before that, and throttles a shard that identifies again and again long before.

Nothing runs here between calls. Each waiter sleeps in its own :meth:`~InMemoryIdentifyGate.acquire` until it may go or
something has changed, so a cancelled waiter is simply gone.
"""

from __future__ import annotations

import bisect
import itertools
import logging
import math
import random as _random
from collections import deque
from collections.abc import Callable
from typing import Final

import attrs
import trio

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.events import SlotRefusal
from gatewright.spec.protocol import DAY, DEFAULT_IDENTIFY_TOTAL, IDENTIFY_SPACING
from gatewright.spec.session import Metadata
from gatewright.transport.seams import Clock, GateUnavailable, RandomSource, Slot

SLACK: Final = 0.5
"""Seconds: without READY the IDENTIFYs of a bucket follow each other 5.75 s apart, in the mean."""

DRIFT: Final = 0.002
"""Of the spacing: how much slower the server's clock may run than ours. A clock that is being set is slewed by a
quarter of this at most (500 ppm)."""

HOLD: Final = 30.0
"""Seconds after which a slot that was neither sent nor given back counts as sent."""

RETELL: Final = 10.0
"""A waiter hears of its estimate again when it has moved back by more than this many seconds."""

IN_FLIGHT: Final = 10.0
"""Seconds for which an IDENTIFY may be missing in what the server says of the budget."""

UNKNOWN_RESET: Final = 900.0
"""Seconds until it makes sense to ask again when the server's budget stands in the way and it did not say until when
(A22). Who was refused for the budget asks the server for it first."""

RESERVE: Final = 0.10
"""Of the total: what is left alone by default, for other processes and for a person who has to start the bot again."""

_log = logging.getLogger("gatewright.gate")


@attrs.frozen(kw_only=True)
class Budget:
    """How much of the identify budget is left.

    `remaining` is the lower of what the server said and what was counted here; `usable` is without the `reserve`.
    `resets_in` is in seconds, ``None`` when unknown. `pace` is the least number of seconds between two IDENTIFYs of one
    shard that is in force now, 0.0 while less than half is used.
    """

    total: int
    remaining: int
    reserve: int
    resets_in: float | None
    pace: float

    @property
    def usable(self) -> int:
        """IDENTIFYs that will be allowed, the very first of a process aside."""
        return max(0, self.remaining - self.reserve)


class IdentifyBudget:
    """Counts IDENTIFYs against the day's budget. Pure: it is told the time.

    Two counts, of which the lower is believed: what the server said, less what was sent since; and the total, less what
    was sent here in the last 24 h, which holds whatever the server says or does not say.

    Once half is used, two IDENTIFYs *of the same shard* are at least ``time left / usable × shards`` apart, so that no
    loop can spend the rest before it is renewed. Between different shards there is no such gap: after an outage each
    shard of a fleet identifies once, and that must not take hours.

    Source: P29, P30, A22, I12.
    """

    def __init__(self, *, total: int, remaining: int | None, reserve: int | None) -> None:
        self.total = total
        self._reserve = reserve
        self._sent: deque[float] = deque()
        self._last: dict[int, float] = {}
        self._learned: Metadata | None = None
        self._told = remaining
        self._told_until: float | None = None  # a day from the first look, when there is a clock
        self._reset_known = False

    @property
    def reserve(self) -> int:
        """IDENTIFYs that are left alone."""
        return max(1, math.ceil(self.total * RESERVE)) if self._reserve is None else self._reserve

    def charge(self, shard_id: int, now: float) -> None:
        """An IDENTIFY of `shard_id` was sent."""
        self._sent.append(now)
        self._last[shard_id] = now
        if self._told is not None:
            self._told -= 1

    def learn(self, metadata: Metadata, now: float) -> bool:
        """Take over what the server says; ``False`` for an answer that was taken over before, out of a cache."""
        if metadata is self._learned:
            return False
        self._learned = metadata
        self.total = metadata.total
        self._told = metadata.remaining - sum(sent > now - IN_FLIGHT for sent in self._sent)
        # 0 means that the server does not say, and never that the budget is new this instant (A22).
        self._reset_known = metadata.reset_after > 0
        self._told_until = now + (metadata.reset_after if self._reset_known else DAY)
        return True

    def status(self, now: float) -> Budget:
        """What is left at `now`."""
        remaining, renewed = self._left(now)
        usable = remaining - self.reserve
        paced = usable > 0 and remaining * 2 <= self.total
        return Budget(
            total=self.total,
            remaining=max(0, remaining),
            reserve=self.reserve,
            resets_in=self._told_until - now if self._reset_known and self._told_until is not None else None,
            pace=(renewed - now) / usable * max(1, len(self._last)) if paced else 0.0,
        )

    def delay_for(self, shard_id: int, now: float, *, held: int = 0) -> float:
        """Seconds until `shard_id` may IDENTIFY as far as the budget goes, 0.0 for now; `held` slots count as sent."""
        status = self.status(now)
        if status.remaining >= 1 and not self._sent and not held:
            return 0.0  # the very first may come out of the reserve: a bot that was started by hand has to come up
        if status.usable - held < 1:
            return self._renewal(now)
        last = self._last.get(shard_id)
        if last is None or not status.pace:
            return 0.0
        # What comes after the renewal is a matter of the new budget.
        remaining, renewed = self._left(now)
        delay = max(0.0, min(last + status.pace, renewed) - now)
        # The server may have renewed what it does not tell the end of, and says so when it is asked again.
        return min(delay, UNKNOWN_RESET) if remaining == self._told and not self._reset_known else delay

    def _left(self, now: float) -> tuple[int, float]:
        """What is left, and when it will be renewed."""
        while self._sent and self._sent[0] <= now - DAY:
            self._sent.popleft()
        if self._told_until is None:
            self._told_until = now + DAY
        if now >= self._told_until:
            self._told, self._reset_known = None, False
        counted = self.total - len(self._sent)
        if self._told is not None and self._told <= counted:
            return self._told, self._told_until
        return counted, self._sent[0] + DAY if self._sent else now + DAY

    def _renewal(self, now: float) -> float:
        """Seconds until one more will be usable, as far as that is known."""
        waits = [1.0]  # only slots that are held stand in the way
        if self._told is not None and self._told_until is not None and self._told <= self.reserve:
            waits.append(self._told_until - now if self._reset_known else UNKNOWN_RESET)
        surplus = len(self._sent) - (self.total - self.reserve)
        if surplus >= 0 and self._sent:
            waits.append(self._sent[min(surplus, len(self._sent) - 1)] + DAY - now)
        return max(waits)


@attrs.define(eq=False)
class _Waiter:
    shard_id: int
    arrival: int
    told: float | None = None
    """When its turn is expected to come, as it was told."""
    changed: trio.Event = attrs.field(factory=trio.Event)

    @property
    def rank(self) -> tuple[int, int]:
        """Lower shards first, then whoever came first (A20)."""
        return self.shard_id, self.arrival


@attrs.frozen
class _Held:
    slot: Slot
    until: float


@attrs.define
class _Sent:
    shard_id: int
    until: float
    """When the next one of its bucket may go."""


class InMemoryIdentifyGate:
    """The :class:`~gatewright.transport.seams.IdentifyGate` of a bot that lives in one process.

    Args:
        total: IDENTIFYs a day, until the server has said.
        remaining: how many of them are left, if that is known already.
        reserve: how many are left alone; 10 % of the total by default. The very first of the process may use them.
        spacing: seconds between two IDENTIFYs of a bucket.
        slack: seconds added to it, and as much again at random, while READY has not come: the next IDENTIFY may be
            faster on its way (P28).
        hold: seconds after which a slot whose holder is gone counts as sent.
        clock, random: see :mod:`gatewright.transport.seams`.

    Raises:
        ConfigurationError: if a number is negative, or the total is not positive.

    Warns in the log ``gatewright.gate`` when half of the budget is used, and when only the reserve is left.

    Source: P27-P30, A11, A12, A20, A22, I12.
    """

    def __init__(
        self,
        *,
        total: int = DEFAULT_IDENTIFY_TOTAL,
        remaining: int | None = None,
        reserve: int | None = None,
        spacing: float = IDENTIFY_SPACING,
        slack: float = SLACK,
        hold: float = HOLD,
        clock: Clock = trio.current_time,
        random: RandomSource = _random.random,
    ) -> None:
        if total < 1 or min(remaining or 0, reserve or 0) < 0 or min(spacing, slack) < 0 or not hold > 0:
            raise ConfigurationError(
                "total and hold must be positive; remaining, reserve, spacing and slack not negative"
            )
        self._budget = IdentifyBudget(total=total, remaining=remaining, reserve=reserve)
        self._spacing = spacing
        self._slack = slack
        self._hold = hold
        self._clock = clock
        self._random = random
        self._concurrency = 1
        self._numbers = itertools.count()
        self._queues: dict[int, list[_Waiter]] = {}
        self._held: dict[str, _Held] = {}
        # By shard and not by bucket, so that a new max_concurrency finds them where they now belong.
        self._sent: dict[str, _Sent] = {}
        self._warned = 0

    # -- the seam ------------------------------------------------------------------------------------------------------

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        """Wait for a slot; see :class:`~gatewright.transport.seams.IdentifyGate`.

        Raises:
            GateUnavailable: with ``BUDGET``, when the budget is down to its reserve, or when it is more than half used
                and this shard has identified too short a while ago. Also out of the queue, when that happens meanwhile.
            ConfigurationError: if `shard_id` is negative.
        """
        if shard_id < 0:
            raise ConfigurationError(f"a shard id is 0 or above, not {shard_id}")
        await trio.lowlevel.checkpoint()
        waiter = _Waiter(shard_id, next(self._numbers))
        bisect.insort(self._queue(shard_id), waiter, key=_rank)
        self._wake_delayed(shard_id)
        try:
            while True:
                now = self._clock()
                self._expire(now)
                if (delay := self._budget.delay_for(shard_id, now, held=len(self._held))) > 0:
                    raise GateUnavailable(SlotRefusal.BUDGET, delay)
                wait, nap = self._wait(waiter, now)
                if wait <= 0:
                    return self._grant(shard_id, now)
                if waiter.told is None or now + wait > waiter.told + RETELL:
                    waiter.told = now + wait
                    on_queued(wait)
                with trio.move_on_after(nap):
                    await waiter.changed.wait()
                waiter.changed = trio.Event()
        finally:
            self._queue(shard_id).remove(waiter)
            self._wake_first(shard_id)

    def sent(self, slot: Slot) -> None:
        """The IDENTIFY was handed to the socket. It always counts, also for a slot that was held for too long."""
        now = self._clock()
        self._held.pop(slot.ticket, None)
        self._budget.charge(slot.shard_id, now)
        pause = self._spacing + self._slack * (1 + self._random())
        self._sent = {ticket: sent for ticket, sent in self._sent.items() if sent.until > now}
        self._sent[slot.ticket] = _Sent(slot.shard_id, now + pause)
        if self._warn(now):
            self._wake_all()  # the budget is everybody's
        self._wake_first(slot.shard_id)
        self._wake_delayed(slot.shard_id)

    def answered(self, slot: Slot) -> None:
        """READY has come: what the server counts from is over. Without effect when the slack is over as well."""
        sent = self._sent.get(slot.ticket)
        if sent is not None:
            sent.until = min(sent.until, self._clock() + self._spacing * (1 + DRIFT))
            self._wake_first(slot.shard_id)

    def give_back(self, slot: Slot) -> None:
        """The slot was not used. Without effect for one that was settled before."""
        if self._held.pop(slot.ticket, None) is not None:
            self._wake_first(slot.shard_id)

    def learn(self, metadata: Metadata) -> None:
        """Take over what the server says of budget and buckets. The same answer out of a cache changes nothing."""
        now = self._clock()
        if not self._budget.learn(metadata, now):
            return
        if metadata.max_concurrency != self._concurrency:
            waiters = [waiter for queue in self._queues.values() for waiter in queue]
            self._concurrency = metadata.max_concurrency
            self._queues.clear()
            for waiter in waiters:
                bisect.insort(self._queue(waiter.shard_id), waiter, key=_rank)
        self._warn(now)
        self._wake_all()

    def budget(self) -> Budget:
        """How much of the identify budget is left now, for status and logs."""
        return self._budget.status(self._clock())

    # -- the queue -----------------------------------------------------------------------------------------------------

    @property
    def _each(self) -> float:
        """Seconds that each in the queue is expected to add."""
        return self._spacing + self._slack * 1.5

    def _queue(self, shard_id: int) -> list[_Waiter]:
        return self._queues.setdefault(shard_id % self._concurrency, [])

    def _same_bucket(self, one: int, other: int) -> bool:
        return one % self._concurrency == other % self._concurrency

    def _wait(self, waiter: _Waiter, now: float) -> tuple[float, float]:
        """The estimated seconds until `waiter` may go, and how long to sleep before looking again."""
        ahead = bisect.bisect_left(self._queue(waiter.shard_id), waiter.rank, key=_rank)
        free, held = self._free_in(waiter.shard_id, now)
        if ahead:
            return free + ahead * self._each, math.inf  # whoever is in front wakes us when it leaves
        return free, min([free, *(until - now for until in held)])

    def _free_in(self, shard_id: int, now: float) -> tuple[float, list[float]]:
        """Seconds until the bucket of `shard_id` is free, and until when its slot is held, if it is."""
        sent = [sent.until - now for sent in self._sent.values() if self._same_bucket(sent.shard_id, shard_id)]
        held = [held.until for held in self._held.values() if self._same_bucket(held.slot.shard_id, shard_id)]
        if held:
            sent.append(self._each)  # its holder is about to send: the spacing begins any moment now
        return max(0.0, *sent) if sent else 0.0, held

    def _grant(self, shard_id: int, now: float) -> Slot:
        slot = Slot(shard_id, shard_id % self._concurrency, str(next(self._numbers)))
        self._held[slot.ticket] = _Held(slot, now + self._hold)
        return slot

    def _expire(self, now: float) -> None:
        for held in list(self._held.values()):
            if held.until <= now:
                _log.warning(
                    "shard %d held an identify slot for %g s; it counts as sent", held.slot.shard_id, self._hold
                )
                del self._held[held.slot.ticket]
                self._budget.charge(held.slot.shard_id, now)

    # A thousand shards wait at once: what wakes all of them with each IDENTIFY costs a million wake-ups a start.

    def _wake_first(self, shard_id: int) -> None:
        """The next of the bucket has to look when it may go."""
        if queue := self._queue(shard_id):
            queue[0].changed.set()

    def _wake_delayed(self, shard_id: int) -> None:
        """Those of the bucket have to be told whose turn has moved back by much."""
        now = self._clock()
        turn = now + self._free_in(shard_id, now)[0] - RETELL
        for waiter in self._queue(shard_id):
            if waiter.told is not None and turn > waiter.told:
                waiter.changed.set()
            turn += self._each

    def _wake_all(self) -> None:
        for queue in self._queues.values():
            for waiter in queue:
                waiter.changed.set()

    # -- warnings ------------------------------------------------------------------------------------------------------

    def _warn(self, now: float) -> bool:
        """Say it once when the budget passes a mark, and again only after it has been above; whether it passed one."""
        status = self._budget.status(now)
        mark = 2 if status.usable < 1 else 1 if status.remaining * 2 <= status.total else 0
        if mark > self._warned:
            _log.warning(
                "the identify budget is %s: %d of %d remain, %d of them in reserve; %s",
                "down to its reserve" if mark == 2 else "half used",
                status.remaining,
                status.total,
                status.reserve,
                "no shard may IDENTIFY until it is renewed"
                if mark == 2
                else "shards that IDENTIFY again are throttled",
            )
        passed, self._warned = mark != self._warned, mark
        return passed


def _rank(waiter: _Waiter) -> tuple[int, int]:
    return waiter.rank
