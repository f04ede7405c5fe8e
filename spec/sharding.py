"""Which shard receives what, and how many shards there may be. Pure arithmetic. Source: GW › Sharding (P87-P90).

Sessions need not agree on a count: while a bot changes it, those of the old and of the new one live side by side (P91).
"""

from __future__ import annotations

from typing import Final

from gatewright.spec.errors import ConfigurationError

MAX_GUILDS: Final = 2500
"""Guilds that one shard carries at most; a shard with more is closed with 4011 (P87)."""

_TIMESTAMP_SHIFT: Final = 22
"""A snowflake's upper bits are its time; the lower 22 tell who made it, so they say nothing about the shard."""


def shard_of(guild_id: int | str | None, shard_count: int) -> int:
    """The shard that receives a guild's events.

    Args:
        guild_id: the guild's snowflake; ``None`` for what belongs to no guild, such as direct messages, entitlements
            and subscriptions, which reach shard 0 only (P89).
        shard_count: how many shards there are.

    Returns:
        ``(guild_id >> 22) % shard_count``, counted from 0.

    Raises:
        ConfigurationError: if `shard_count` is not positive, or `guild_id` is no snowflake.

    Source: P88, P89.
    """
    _positive("shard_count", shard_count)
    if guild_id is None:
        return 0
    text = str(guild_id)
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise ConfigurationError(f"guild_id must be a snowflake (digits), not {text[:32]!r}")
    return (int(text) >> _TIMESTAMP_SHIFT) % shard_count


def least_shard_count(guilds: int, *, multiple_of: int = 1) -> int:
    """The smallest number of shards that a bot in so many guilds may have.

    Args:
        guilds: how many guilds the bot is in.
        multiple_of: the number that Discord has assigned to a bot in more than 150 000 guilds: its shard count must be
            a multiple of it, else the gateway closes with 4010 (P90).

    Returns:
        A count that gives each shard at most 2500 guilds if they are spread evenly, which they are not quite:
        ``GET /gateway/bot`` recommends more, and the engine's default is what it says.

    Raises:
        ConfigurationError: if `guilds` is negative or `multiple_of` is not positive.

    Source: P87, P90.
    """
    _positive("multiple_of", multiple_of)
    if guilds < 0:
        raise ConfigurationError(f"guilds must not be negative, but it is {guilds}")
    # With exactly 2500 the one shard would not be too full, but a bot without shards is refused from there on.
    needed = max(-(-guilds // MAX_GUILDS), 1 if guilds < MAX_GUILDS else 2)
    return -(-needed // multiple_of) * multiple_of


def _positive(name: str, value: int) -> None:
    if value < 1:
        raise ConfigurationError(f"{name} must be at least 1, but it is {value}")
