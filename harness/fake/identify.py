"""Is this IDENTIFY good? Intents, shard, the day's budget and the spacing, in the order in which they are checked."""

from __future__ import annotations

import attrs
import msgspec
import trio

from gatewright.harness.fake.rules import Rules
from gatewright.harness.fake.script import Close, Invalidate
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import DAY, CloseCode

_DOCUMENTED = int(Intents.all())


@attrs.frozen(kw_only=True)
class Identify:
    """The fields of an IDENTIFY that matter here."""

    token: str = attrs.field(repr=False)
    properties: dict[str, object]
    intents: int | msgspec.UnsetType = msgspec.UNSET
    shard: tuple[int, int] | None = None
    large_threshold: int = 50
    compress: bool = False


@attrs.frozen(kw_only=True)
class Resume:
    """The fields of a RESUME."""

    token: str = attrs.field(repr=False)
    session_id: str
    seq: int


@attrs.frozen(kw_only=True)
class Accepted:
    """An IDENTIFY that passed: the session's shard and intents."""

    shard: tuple[int, int]
    intents: int
    sent_shard: bool


@attrs.frozen
class BudgetSpent:
    """The IDENTIFY was one too many for the day: every session ends and the token is void (P29)."""


class IdentifyDesk:
    """Judges IDENTIFYs and keeps the two counts that they share: per bucket and per day."""

    def __init__(self, *, rules: Rules) -> None:
        self._rules = rules
        self._last: dict[int, float] = {}
        self._used = 0
        self._day_began: float | None = None

    def judge(self, identify: Identify) -> Accepted | Close | Invalidate | BudgetSpent:
        """What becomes of an IDENTIFY whose token is right."""
        if identify.intents is msgspec.UNSET or not isinstance(identify.intents, int):
            return Close(CloseCode.INVALID_INTENTS, "Invalid intent(s)")  # leaving it out is not the same as 0 (P24)
        if identify.intents & ~_DOCUMENTED or self._rules.required_intents & ~identify.intents:
            return Close(CloseCode.INVALID_INTENTS, "Invalid intent(s)")
        if identify.intents & ~self._rules.allowed_intents:
            return Close(CloseCode.DISALLOWED_INTENTS, "Disallowed intent(s)")
        if not 50 <= identify.large_threshold <= 250:
            return Close(CloseCode.DECODE_ERROR, "Error while decoding payload")
        shard_id, shard_count = identify.shard or (0, 1)
        if not 0 <= shard_id < shard_count:
            return Close(CloseCode.INVALID_SHARD, "Invalid shard")
        if shard_count < self._rules.required_shards:
            return Close(CloseCode.SHARDING_REQUIRED, "Sharding required")
        return self._spend(identify.intents, (shard_id, shard_count), sent_shard=identify.shard is not None)

    def _spend(self, intents: int, shard: tuple[int, int], *, sent_shard: bool) -> Accepted | Invalidate | BudgetSpent:
        now = trio.current_time()
        if self.remaining == 0:
            return BudgetSpent()
        if self._day_began is None:
            self._day_began = now
        self._used += 1  # one that comes too early counts as well: the careful reading, the documentation is silent
        bucket = shard[0] % self._rules.max_concurrency
        last = self._last.get(bucket)
        if last is not None and now - last < self._rules.identify_spacing:
            return Invalidate(resumable=False)
        self._last[bucket] = now
        return Accepted(shard=shard, intents=intents, sent_shard=sent_shard)

    @property
    def remaining(self) -> int:
        """IDENTIFYs left today; the day begins with its first IDENTIFY."""
        if self._day_began is not None and trio.current_time() >= self._day_began + DAY:
            self._day_began, self._used = None, 0
        return max(0, self._rules.identify_total - self._used)

    @property
    def reset_after(self) -> float:
        """Seconds until the budget is whole again; 0 when it is."""
        return 0.0 if self._day_began is None else max(0.0, self._day_began + DAY - trio.current_time())
