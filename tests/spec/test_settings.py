"""Settings that cannot work are refused before any I/O, with a message that says what to do."""

import math
from typing import Any

import attrs
import pytest

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.settings import Settings

SECONDS = [field.name for field in attrs.fields(Settings) if isinstance(field.default, float)]
COUNTS = [
    field.name
    for field in attrs.fields(Settings)
    if isinstance(field.default, int) and not isinstance(field.default, bool)
]


def settings(**values: Any) -> Settings:
    return Settings(**values)


def test_the_defaults_work() -> None:
    assert Settings() == Settings()


def test_the_defaults_work_in_strict_start_up() -> None:
    assert settings(strict_startup=True).strict_startup


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan, "soon", None])
@pytest.mark.parametrize("name", SECONDS)
def test_a_duration_must_be_a_positive_number_of_seconds(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name} must be a positive number of seconds, not "):
        settings(**{name: value})


@pytest.mark.parametrize("value", [-1, 1.5, "3", None, True])
@pytest.mark.parametrize("name", COUNTS)
def test_a_count_must_be_a_whole_number(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name} must be a whole number of at least [01], not "):
        settings(**{name: value})


def test_there_are_durations_and_counts_to_check() -> None:
    assert len(SECONDS) > 15
    assert len(COUNTS) > 5


@pytest.mark.parametrize(("shard_id", "shard_count"), [(1, 1), (7, 4)])
def test_a_shard_must_be_one_of_the_shards(shard_id: int, shard_count: int) -> None:
    with pytest.raises(ConfigurationError, match=f"got shard {shard_id} of {shard_count} \\(ids begin at 0\\)"):
        settings(shard_id=shard_id, shard_count=shard_count)


def test_nested_deadlines_that_exceed_the_strict_budget_are_refused_with_both_numbers() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        settings(strict_startup=True, registering_timeout=7.0, metadata_timeout=8.5, startup_budget=15.0)
    assert "15.5 s" in str(refusal.value)
    assert "15 s" in str(refusal.value).replace("15.5 s", "")


def test_nested_deadlines_that_fill_the_strict_budget_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="registering_timeout \\+ metadata_timeout is 15 s"):
        settings(strict_startup=True, registering_timeout=7.0, metadata_timeout=8.0, startup_budget=15.0)


def test_nested_deadlines_below_the_strict_budget_are_taken() -> None:
    assert settings(strict_startup=True, registering_timeout=7.0, metadata_timeout=7.9).metadata_timeout == 7.9


def test_without_strict_start_up_the_deadlines_need_not_nest() -> None:
    assert settings(registering_timeout=60.0, metadata_timeout=60.0).registering_timeout == 60.0


@pytest.mark.parametrize(("url", "session"), [(3, 3), (4, 3)])
def test_the_url_is_forgotten_before_the_session_is_dropped(url: int, session: int) -> None:
    with pytest.raises(ConfigurationError, match=f"got {url} and {session}"):
        settings(hello_stalls_to_forget_url=url, hello_stalls_to_drop_session=session)


@pytest.mark.parametrize("attempts", [0, -3])
def test_an_attempt_cap_must_allow_an_attempt(attempts: int) -> None:
    with pytest.raises(ConfigurationError, match=f"at least 1, or None for no cap, not {attempts}"):
        settings(max_attempts=attempts)


def test_there_is_no_attempt_cap_unless_one_is_asked_for() -> None:
    assert Settings().max_attempts is None


def test_a_refusal_is_a_value_error_as_well() -> None:
    with pytest.raises(ValueError, match="shard_count"):
        settings(shard_count=0)


@pytest.mark.parametrize(
    "values",
    [
        {"ready_timeout": 200.0, "ready_wait_max": 100.0},
        {"resume_timeout": 200.0, "resume_wait_max": 100.0},
        {"slot_timeout": 200.0, "slot_wait_max": 100.0},
    ],
)
def test_a_cap_is_not_below_the_time_out_that_it_bounds(values: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        settings(**values)
