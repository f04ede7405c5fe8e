"""Payloads: what a client sends is what the gateway documents, and never more than it takes."""

import json
from typing import Any

import pytest

from gatewright.spec.errors import ConfigurationError
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import Opcode
from gatewright.transport.codec import (
    PayloadTooLarge,
    check_size,
    encode_heartbeat,
    encode_identify,
    encode_payload,
    encode_resume,
)
from gatewright.transport.commands import Activity, UpdatePresence
from gatewright.transport.token import Token
from tests.support.conforms import conforms

SECRET = "MTIz.abc.hunter2"


# -- payloads ----------------------------------------------------------------------------------------------------------


@conforms("P15")
def test_a_heartbeat_carries_the_last_sequence_or_null() -> None:
    assert encode_heartbeat(None) == b'{"op":1,"d":null}'
    assert json.loads(encode_heartbeat(251)) == {"op": 1, "d": 251}
    assert json.loads(encode_heartbeat(0)) == {"op": 1, "d": 0}


@conforms("P33", "P37")
def test_a_resume_names_the_session_and_the_sequence() -> None:
    payload = encode_resume(token=Token(f"Bot {SECRET}"), session_id='a"b', seq=1337)
    assert json.loads(payload) == {"op": 6, "d": {"token": SECRET, "session_id": 'a"b', "seq": 1337}}


@conforms("P24", "P83")
def test_an_identify_holds_what_was_asked_for_and_no_more() -> None:
    payload = json.loads(encode_identify(token=Token(SECRET), intents=0, properties={"os": "o"}))
    assert payload == {"op": 2, "d": {"token": SECRET, "intents": 0, "properties": {"os": "o"}}}


@conforms("P24", "P88")
def test_an_identify_holds_everything_that_was_asked_for() -> None:
    payload = json.loads(
        encode_identify(
            token=Token(SECRET),
            intents=Intents.GUILDS | Intents.GUILD_MESSAGES,
            shard=(1, 2),
            presence=UpdatePresence(status="idle", activities=[Activity("x")]),
            large_threshold=250,
            compress=True,
            capabilities=1 << 15,
        )
    )
    properties = payload["d"].pop("properties")
    assert payload == {
        "op": 2,
        "d": {
            "token": SECRET,
            "intents": 513,
            "shard": [1, 2],
            "presence": {"since": None, "activities": [{"name": "x", "type": 0}], "status": "idle", "afk": False},
            "large_threshold": 250,
            "compress": True,
            "capabilities": 1 << 15,
        },
    }
    assert set(properties) == {"os", "browser", "device"}
    assert all(isinstance(value, str) and value for value in properties.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"intents": -1},
        {"shard": (1, 1)},
        {"shard": (-1, 1)},
        {"shard": (0, 0)},
        {"large_threshold": 49},
        {"large_threshold": 251},
    ],
)
@conforms("P26")
def test_an_identify_out_of_range_is_refused_before_it_is_made(wrong: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"intents": 1, **wrong}
    with pytest.raises(ConfigurationError):
        encode_identify(token=Token(SECRET), **arguments)


@conforms("P54")
def test_a_payload_of_4096_bytes_is_accepted_and_one_more_is_not() -> None:
    assert check_size(b"x" * 4096) == b"x" * 4096
    with pytest.raises(PayloadTooLarge, match="4097") as refused:
        check_size(b"x" * 4097)
    assert (refused.value.size, refused.value.limit) == (4097, 4096)


@conforms("P54")
def test_the_size_is_counted_in_bytes_and_not_in_characters() -> None:
    presence = UpdatePresence(activities=[Activity("\u00e9" * 2100)])
    with pytest.raises(PayloadTooLarge):
        encode_identify(token=Token(SECRET), intents=1, presence=presence)


@pytest.mark.parametrize("data", ["\ud800", object(), {1: object()}])
def test_what_json_cannot_hold_is_refused_without_quoting_the_payload(data: object) -> None:
    with pytest.raises(ConfigurationError, match="PRESENCE_UPDATE") as refused:
        encode_payload(Opcode.PRESENCE_UPDATE, {"token": SECRET, "x": data})
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__
