"""Every duration and bound of the table, as one value checked before any I/O."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import FALLBACK_URL


def _positive(instance: Settings, attribute: attrs.Attribute[float], value: float) -> None:
    if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
        raise ConfigurationError(f"{attribute.name} must be a positive number of seconds, not {value!r}")


def _at_least(bound: int) -> Callable[[Settings, attrs.Attribute[int], int], None]:
    def check(instance: Settings, attribute: attrs.Attribute[int], value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < bound:
            raise ConfigurationError(f"{attribute.name} must be a whole number of at least {bound}, not {value!r}")

    return check


def _seconds(default: float) -> float:
    return attrs.field(default=default, validator=_positive)


def _count(default: int, *, at_least: int = 1) -> int:
    return attrs.field(default=default, validator=_at_least(at_least))


@attrs.frozen(kw_only=True)
class Settings:
    """Deadlines in seconds, and counts. The defaults are those of the design; each names its reason or its source.

    Raises:
        ConfigurationError: for a value out of range, or when in strict start-up `registering_timeout` and
            `metadata_timeout` together do not stay below `startup_budget` (F06).
    """

    shard_id: int = _count(0, at_least=0)
    shard_count: int = _count(1)
    intents: int = _count(0, at_least=0)
    strict_startup: bool = False
    """Give up waiting for the first READY after `strict_ready_timeout` instead of being patient (S01, F07)."""
    startup_budget: float = _seconds(15.0)
    """What registering and fetching metadata may take together in strict start-up."""

    registering_timeout: float = _seconds(4.0)
    undo_timeout: float = _seconds(4.0)
    metadata_timeout: float = _seconds(6.0)
    connect_timeout: float = _seconds(20.0)  # P09
    hello_timeout: float = _seconds(30.0)  # S03, P12
    slot_timeout: float = _seconds(30.0)
    """How much longer than the gate's own estimate the wait for a slot may last."""
    gate_retry: float = _seconds(5.0)
    """The least wait after the gate gave no slot, whatever it named."""
    slot_wait_max: float = _seconds(6 * 3600.0)
    ready_timeout: float = _seconds(120.0)  # P20: a server in trouble answers eventually
    strict_ready_timeout: float = _seconds(15.0)
    ready_wait_max: float = _seconds(3600.0)
    resume_timeout: float = _seconds(120.0)
    """Without progress of the replay."""
    resume_wait_max: float = _seconds(600.0)
    close_timeout: float = _seconds(1.0)
    final_close_timeout: float = _seconds(5.0)
    write_timeout: float = _seconds(10.0)

    retry_base: float = _seconds(1.0)  # F35
    retry_max: float = _seconds(30.0)
    rate_limit_wait: float = _seconds(60.0)
    """After 4008: the rest of the send window, taken as a whole one because we do not know where it began (P55)."""
    free_identifies: int = _count(2)
    """IDENTIFYs without a proven session that may follow each other at the pace of the back-off (P30)."""
    hello_stalls_to_forget_url: int = _count(2)  # S05, F11
    hello_stalls_to_drop_session: int = _count(3)
    connect_failures_to_forget_url: int = _count(2)  # P40, A04
    max_failed_resumes: int = _count(3)  # F36
    max_paused_beats: int = _count(4)
    """Heartbeats that may fall due while reading is paused, before the socket is left with the session kept (I23)."""
    max_attempts: int | None = attrs.field(default=None)
    """Give up after so many attempts without success; ``None``: never (I18)."""
    fallback_url: str = FALLBACK_URL

    def __attrs_post_init__(self) -> None:
        if self.shard_id >= self.shard_count:
            raise ConfigurationError(
                f"shard_id must be below shard_count: got shard {self.shard_id} of {self.shard_count} (ids begin at 0)"
            )
        cap: object = self.max_attempts
        if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or cap < 1):
            raise ConfigurationError(
                f"max_attempts must be a whole number of at least 1, or None for no cap, not {cap!r}"
            )
        if self.hello_stalls_to_forget_url >= self.hello_stalls_to_drop_session:
            raise ConfigurationError(
                "hello_stalls_to_forget_url must be below hello_stalls_to_drop_session: "
                f"got {self.hello_stalls_to_forget_url} and {self.hello_stalls_to_drop_session}"
            )
        for timeout, cap in (
            ("slot_timeout", "slot_wait_max"),
            ("ready_timeout", "ready_wait_max"),
            ("resume_timeout", "resume_wait_max"),
        ):
            if getattr(self, cap) < getattr(self, timeout):
                raise ConfigurationError(
                    f"{cap} bounds {timeout} and must not be below it: got {getattr(self, cap):g} s and "
                    f"{getattr(self, timeout):g} s"
                )
        nested = self.registering_timeout + self.metadata_timeout
        if self.strict_startup and nested >= self.startup_budget:
            raise ConfigurationError(
                f"registering_timeout + metadata_timeout is {nested:g} s, which must be below the strict start-up "
                f"budget of {self.startup_budget:g} s: shorten them, or raise startup_budget"
            )
