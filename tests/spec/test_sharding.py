"""Which shard receives what, and how few shards there may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.sharding import MAX_GUILDS, least_shard_count, shard_of
from tests.support.conforms import conforms


@pytest.mark.parametrize(
    ("guild", "count", "shard"),
    [
        pytest.param(197038439483310086, 1, 0, id="one shard has everything"),
        # 197038439483310086 // 4194304 = 46977624770 = 7 * 6711089252 + 6
        pytest.param(197038439483310086, 7, 6, id="a number"),
        pytest.param("197038439483310086", 7, 6, id="a string, as JSON has it"),
        pytest.param((1 << 22) - 1, 7, 0, id="the lower 22 bits do not count"),
        pytest.param(1 << 22, 7, 1, id="bit 22 does"),
        pytest.param(2**64 - 1, 16, 15, id="the largest snowflake"),
    ],
)
@conforms("P88")
def test_a_guild_s_events_reach_the_shard_that_its_time_falls_to(guild: int | str, count: int, shard: int) -> None:
    assert shard_of(guild, count) == shard


@conforms("P89")
@pytest.mark.parametrize("count", [1, 2, 16])
def test_what_belongs_to_no_guild_reaches_shard_0(count: int) -> None:
    assert shard_of(None, count) == 0


@conforms("P88")
@given(st.integers(0, 2**64 - 1), st.integers(1, 1000))
def test_every_guild_has_a_shard(guild: int, count: int) -> None:
    assert shard_of(guild, count) in range(count)


@pytest.mark.parametrize("wrong", [-1, "", "12a", "²", "1" * 21])
def test_what_is_no_snowflake_is_refused(wrong: int | str) -> None:
    with pytest.raises(ConfigurationError, match="snowflake"):
        shard_of(wrong, 2)


def test_no_shards_at_all_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="shard_count"):
        shard_of(1, 0)


@pytest.mark.parametrize(
    ("guilds", "least"),
    [(0, 1), (1, 1), (2499, 1), (2500, 2), (2501, 2), (5000, 2), (5001, 3), (150_000, 60)],
)
@conforms("P87")
def test_no_shard_carries_more_than_2500_guilds(guilds: int, least: int) -> None:
    assert least_shard_count(guilds) == least
    assert guilds <= least * MAX_GUILDS


@pytest.mark.parametrize(("guilds", "assigned", "least"), [(150_001, 16, 64), (160_000, 16, 64), (160_001, 16, 80)])
@conforms("P90")
def test_a_large_bot_s_count_is_a_multiple_of_the_assigned_number(guilds: int, assigned: int, least: int) -> None:
    assert least_shard_count(guilds, multiple_of=assigned) == least


@pytest.mark.parametrize(("guilds", "assigned"), [(-1, 1), (1, 0)])
def test_nonsense_is_refused(guilds: int, assigned: int) -> None:
    with pytest.raises(ConfigurationError):
        least_shard_count(guilds, multiple_of=assigned)
