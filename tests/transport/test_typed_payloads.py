"""Typed payloads: tolerant of what is unknown or missing, exact about the rest, ids as text."""

import json
from typing import Any

import msgspec
import pytest

from gatewright.transport import payloads
from gatewright.transport.dispatch import Dispatch, UndecodableData
from tests.support.conforms import conforms

SMALLEST: dict[str, dict[str, Any]] = {
    "READY": {"session_id": "s"},
    "RESUMED": {},
    "RATE_LIMITED": {"opcode": 8, "retry_after": 29.457},
    "GUILD_MEMBERS_CHUNK": {"guild_id": "41771983423143937"},
    "VOICE_SERVER_UPDATE": {"token": "voice-secret", "guild_id": "1"},
    "VOICE_STATE_UPDATE": {"user_id": "2", "session_id": "v"},
    "CHANNEL_INFO": {"guild_id": "1"},
    "SOUNDBOARD_SOUNDS": {"guild_id": "1"},
}


def typed(type_: str, data: object) -> Any:
    return Dispatch(type_, 1, json.dumps(data).encode()).typed()


@pytest.mark.parametrize("type_", payloads.PAYLOADS)
@conforms("P78")
def test_what_nobody_documented_is_left_out_and_what_may_be_missing_has_a_default(type_: str) -> None:
    smallest = typed(type_, SMALLEST[type_])
    assert type(smallest) is payloads.PAYLOADS[type_]
    assert typed(type_, {**SMALLEST[type_], "_trace": ["x"], "new_in_2027": {"a": [1]}}) == smallest


@pytest.mark.parametrize(("type_", "field"), [(type_, field) for type_, data in SMALLEST.items() for field in data])
def test_without_a_field_that_is_always_there_it_is_undecodable(type_: str, field: str) -> None:
    data = {name: value for name, value in SMALLEST[type_].items() if name != field}
    with pytest.raises(UndecodableData, match=type_):
        typed(type_, data)


def test_ready_as_the_gateway_sends_it() -> None:
    ready = typed(
        "READY",
        {
            "v": 10,
            "user": {"id": "1000000000000000001", "username": "bot"},
            "guilds": [{"id": "41771983423143937", "unavailable": True}, {"id": "2"}],
            "session_id": "s",
            "resume_gateway_url": "wss://gateway-us-east1-b.discord.gg",
            "shard": [0, 1],
            "application": {"id": "3", "flags": 565248},
            "private_channels": [],
        },
    )
    assert (ready.v, ready.session_id, ready.shard, ready.user["id"]) == (10, "s", (0, 1), "1000000000000000001")
    assert [guild.id for guild in ready.guilds] == ["41771983423143937", "2"]


@conforms("P66")
def test_a_chunk_has_its_ids_as_text() -> None:
    chunk = typed(
        "GUILD_MEMBERS_CHUNK",
        {
            "guild_id": "1",
            "members": [{"user": {"id": "5"}}],
            "chunk_index": 1,
            "chunk_count": 2,
            "not_found": [41771983423143937, "6"],
            "nonce": "n",
        },
    )
    assert (chunk.not_found, chunk.chunk_index, chunk.nonce) == (("41771983423143937", "6"), 1, "n")
    assert chunk.members[0]["user"]["id"] == "5"


def test_a_channel_tells_what_was_not_asked_for_from_what_is_empty() -> None:
    info = typed(
        "CHANNEL_INFO", {"guild_id": "1", "channels": [{"id": "2", "status": None}, {"id": "3", "status": "x"}]}
    )
    assert [channel.status for channel in info.channels] == [None, "x"]
    assert info.channels[0].voice_start_time is msgspec.UNSET


def test_a_voice_server_shows_its_token_to_those_who_ask_only() -> None:
    update = typed("VOICE_SERVER_UPDATE", {**SMALLEST["VOICE_SERVER_UPDATE"], "endpoint": "a.discord.media:443"})
    assert update.token == "voice-secret"
    assert "voice-secret" not in repr(update)
    assert "voice-secret" not in f"{update}"
    assert typed("VOICE_SERVER_UPDATE", {**SMALLEST["VOICE_SERVER_UPDATE"], "endpoint": None}).endpoint is None


def test_other_types_have_none() -> None:
    assert typed("MESSAGE_CREATE", {"id": "1"}) is None


@pytest.mark.parametrize("raw", [b"nonsense", b"[]", b'{"session_id":5}', b'{"session_id":"hunter2","guilds":5}'])
def test_data_that_do_not_fit_are_a_typed_error_without_a_word_of_them(raw: bytes) -> None:
    with pytest.raises(UndecodableData) as caught:
        Dispatch("READY", 7, raw).typed()
    assert "hunter2" not in str(caught.value)
    assert "sequence 7" in str(caught.value)
