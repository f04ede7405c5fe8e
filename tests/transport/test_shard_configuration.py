"""Values that cannot work are refused when the shard is made, before any I/O, by name and with what to do."""

from typing import Any

import pytest
from trio.testing import MockClock

from gatewright.harness.fake import Received
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import Opcode
from gatewright.spec.settings import Settings
from gatewright.transport.commands import Activity, UpdatePresence
from gatewright.transport.shard import Shard
from tests.support.conforms import conforms
from tests.support.shards import TOKEN, gateway, payloads, shard_on


@pytest.mark.parametrize("written", [TOKEN, f"  {TOKEN}\n", f"Bot {TOKEN}", f"bot  {TOKEN} "])
@conforms("P33")
async def test_spaces_and_a_prefix_are_removed_from_the_token(autojump_clock: MockClock, written: str) -> None:
    async with gateway() as fake, shard_on(fake, token=written) as shard:
        await shard.wait_for("ready")
        (identify,) = [seen for seen in fake.log.of(Received) if seen.op == Opcode.IDENTIFY]
        assert identify.token_matched


@pytest.mark.parametrize("token", ["", "  ", "Bot ", "a b", '"quoted"', "Bearer abc"])
def test_a_token_that_cannot_be_one_is_refused(token: str) -> None:
    with pytest.raises(ConfigurationError, match="token"):
        Shard(token, intents=Intents.GUILDS)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"intents": -1}, "intents"),
        ({"intents": 1.5}, "intents"),
        ({"intents": "513"}, "intents"),
        ({"intents": True}, "intents"),
        ({"intents": None}, "intents"),
        ({"queue": 0}, "queue"),
        ({"queue": -5}, "queue"),
        ({"queue": 1.5}, "queue"),
        ({"queue": "10"}, "queue"),
        ({"queue": True}, "queue"),
        ({"shard_id": 2, "shard_count": 2}, "shard_id"),
        ({"shard_id": -1}, "shard_id"),
        ({"shard_count": 0}, "shard_count"),
        ({"large_threshold": 10}, "large_threshold"),
        ({"large_threshold": 251}, "large_threshold"),
        ({"capabilities": -1}, "capabilities"),
        ({"capabilities": True}, "capabilities"),
        ({"presence": "online"}, "presence must be a UpdatePresence, not str"),
        ({"settings": 5}, "settings must be a Settings"),
        ({"limits": 5}, "limits"),
        ({"properties": 5}, "properties"),
        ({"tls": True}, "tls"),
        ({"registrations": 5}, "registrations must be a list"),
        ({"registrations": [5]}, r"registrations must have a method apply\(\)"),
        ({"observers": 5}, "observers must be a list"),
        ({"observers": [print]}, r"observers must have a method observe\(\)"),
        ({"store": "session.json"}, r"store must have a method save\(\)"),
        ({"gate": 5}, "gate"),
        ({"metadata": {}}, "metadata"),
        ({"opener": 5}, "opener must be callable"),
        ({"clock": 5}, "clock must be callable"),
        ({"presence": UpdatePresence(activities=[Activity("x" * 5000)])}, "4096"),
        ({"settings": Settings(fallback_url="https://gateway.discord.gg/")}, "wss://"),
        ({"settings": Settings(fallback_url="ws://gateway.discord.gg/")}, "without TLS"),
    ],
    ids=str,
)
def test_nonsense_is_refused(options: dict[str, Any], match: str) -> None:
    given: dict[str, Any] = {"intents": Intents.GUILDS, **options}
    with pytest.raises(ValueError, match=match):
        Shard(TOKEN, **given)


@pytest.mark.parametrize(
    "options", [{"hello_timeout": 0}, {"write_timeout": -1.0}, {"close_timeout": float("inf")}, {"max_attempts": 0}]
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Settings(**options)


def test_strict_start_up_refuses_deadlines_that_do_not_nest_with_both_numbers() -> None:
    with pytest.raises(ConfigurationError, match=r"16 s.*15 s"):
        Settings(strict_startup=True, registering_timeout=10, metadata_timeout=6)


def test_deadlines_that_nest_are_taken() -> None:
    assert Settings(strict_startup=True, registering_timeout=4, metadata_timeout=10).strict_startup


def test_patient_start_up_takes_any() -> None:
    assert Settings(registering_timeout=100, metadata_timeout=60).metadata_timeout == 60


async def test_a_shard_is_used_once(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        shard = shard_on(fake)
        async with shard:
            pass
        with pytest.raises(ConfigurationError, match="used once"):
            await shard.__aenter__()


@pytest.mark.parametrize("verb", ["connect", "reconnect", "force_identify"])
def test_a_shard_that_was_not_entered_says_how_it_is_used(verb: str) -> None:
    with pytest.raises(ConfigurationError, match="async with Shard"):
        getattr(Shard(TOKEN, intents=Intents.GUILDS), verb)()


@conforms("P24")
async def test_intents_of_zero_are_a_value(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake, intents=Intents.none()) as shard:
        await shard.wait_for("ready")
        (identify,) = payloads(fake, Opcode.IDENTIFY)
        assert identify["intents"] == 0


@conforms("P24", "P83", "P88")
async def test_identify_carries_what_was_configured(autojump_clock: MockClock) -> None:
    options = {
        "large_threshold": 100,
        "presence": UpdatePresence(status="dnd"),
        "shard_id": 1,
        "shard_count": 2,
        "capabilities": 1 << 15,
        "properties": {"os": "linux", "browser": "mine", "device": "mine"},
    }
    async with gateway() as fake, shard_on(fake, **options) as shard:
        await shard.wait_for("ready")
        (identify,) = payloads(fake, Opcode.IDENTIFY)
        assert (identify["large_threshold"], identify["shard"]) == (100, [1, 2])
        assert identify["presence"]["status"] == "dnd"
        assert identify["capabilities"] == 1 << 15
        assert identify["properties"] == {"os": "linux", "browser": "mine", "device": "mine"}
