"""Every fatal close says what to do about it, with the values that this very shard was made with."""

import pytest

from gatewright.spec.events import Closed
from gatewright.spec.functions import close_failure
from gatewright.spec.intents import Intents
from gatewright.spec.session import Metadata
from gatewright.spec.settings import Settings


def reason(
    code: int, metadata: Metadata | None = None, *, intents: int = 0, shard_id: int = 0, shard_count: int = 1
) -> str:
    settings = Settings(intents=intents, shard_id=shard_id, shard_count=shard_count)
    failure = close_failure(Closed(1, code), settings, metadata)
    assert (failure.kind, failure.code) == ("close_code", code)
    assert str(code) in failure.reason
    return failure.reason


def test_4014_names_the_privileged_intents_that_were_asked_for_and_the_place() -> None:
    asked = Intents.GUILDS | Intents.MESSAGE_CONTENT | Intents.GUILD_MEMBERS
    text = reason(4014, intents=asked)
    assert "switch on GUILD_MEMBERS and MESSAGE_CONTENT at https://discord.com/developers/applications" in text
    assert "GUILD_PRESENCES" not in text
    assert "Privileged Gateway Intents" in text


def test_4014_names_all_of_them_when_none_was_asked_for() -> None:
    assert "GUILD_MEMBERS, GUILD_PRESENCES or MESSAGE_CONTENT" in reason(4014, intents=Intents.GUILDS)


def test_4013_names_the_bits_that_are_not_documented() -> None:
    assert "not documented: 1 << 17, 1 << 40" in reason(4013, intents=1 | 1 << 17 | 1 << 40)
    assert "not documented" not in reason(4013, intents=Intents.all())


def test_4010_names_the_pair() -> None:
    assert "[2, 4]" in reason(4010, shard_id=2, shard_count=4)


@pytest.mark.parametrize(("recommended", "said"), [(5, True), (2, False), (1, False)])
def test_4011_names_the_recommended_count_when_it_helps(recommended: int, said: bool) -> None:
    text = reason(4011, Metadata(url="wss://main.example/", shards=recommended), shard_count=2)
    assert "too many guilds for 2 shards" in text
    assert (f"recommends {recommended}" in text) is said
    assert "recommends" not in reason(4011, None)


@pytest.mark.parametrize(("code", "remedy"), [(4004, "check DISCORD_TOKEN"), (4012, "update Gatewright")])
def test_the_others_say_what_to_do(code: int, remedy: str) -> None:
    assert remedy in reason(code)
