"""User commands: checked before they are sent, and sent in the shape that the gateway documents."""

import json
import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.spec.errors import ConfigurationError
from gatewright.transport.codec import PayloadTooLarge
from gatewright.transport.commands import (
    Activity,
    ActivityType,
    RequestChannelInfo,
    RequestGuildMembers,
    RequestSoundboardSounds,
    UpdatePresence,
    UpdateVoiceState,
    UserCommand,
    encode_command,
)
from tests.support.conforms import conforms

GUILD = 41771983423143937


def sent(command: UserCommand) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(encode_command(command))
    assert set(payload) == {"op", "d"}
    assert payload["op"] == command.op
    data: dict[str, Any] = payload["d"]
    return data


@pytest.mark.parametrize(
    ("command", "op", "data"),
    [
        (UpdatePresence(), 3, {"since": None, "activities": [], "status": "online", "afk": False}),
        (
            UpdatePresence(
                status="idle",
                activities=[
                    Activity("Chess"),
                    Activity("x", type=ActivityType.CUSTOM, state="thinking"),
                    Activity("live", type=1, url="https://www.twitch.tv/x"),
                ],
                since=91_879.201,
                afk=True,
            ),
            3,
            {
                "since": 91_879_201,
                "activities": [
                    {"name": "Chess", "type": 0},
                    {"name": "x", "type": 4, "state": "thinking"},
                    {"name": "live", "type": 1, "url": "https://www.twitch.tv/x"},
                ],
                "status": "idle",
                "afk": True,
            },
        ),
        (
            UpdateVoiceState(GUILD, "42", self_mute=True),
            4,
            {"guild_id": str(GUILD), "channel_id": "42", "self_mute": True, "self_deaf": False},
        ),
        (
            UpdateVoiceState(GUILD, None),
            4,
            {"guild_id": str(GUILD), "channel_id": None, "self_mute": False, "self_deaf": False},
        ),
        (
            RequestGuildMembers(GUILD, query="", nonce="n"),
            8,
            {"guild_id": str(GUILD), "query": "", "limit": 0, "presences": False, "nonce": "n"},
        ),
        (
            RequestGuildMembers(GUILD, user_ids=[1, "2"], presences=True),
            8,
            {"guild_id": str(GUILD), "user_ids": ["1", "2"], "presences": True},
        ),
        (RequestSoundboardSounds([GUILD, "42"]), 31, {"guild_ids": [str(GUILD), "42"]}),
        (RequestChannelInfo(GUILD), 43, {"guild_id": str(GUILD), "fields": ["status", "voice_start_time"]}),
        (RequestChannelInfo(GUILD, ["status"]), 43, {"guild_id": str(GUILD), "fields": ["status"]}),
    ],
)
@conforms("A27", "P58", "P61", "P68", "P69")
def test_a_command_is_sent_as_the_documentation_has_it(command: UserCommand, op: int, data: dict[str, Any]) -> None:
    assert command.op == op
    assert sent(command) == data


@conforms("A26", "P58")
def test_offline_is_sent_as_invisible_for_it_would_have_no_effect() -> None:
    assert sent(UpdatePresence(status="offline"))["status"] == "invisible"
    assert UpdatePresence(status="offline") == UpdatePresence(status="invisible")


WRONG: list[Callable[[], object]] = [
    lambda: UpdatePresence(status="away"),
    lambda: UpdatePresence(status=None),  # type: ignore[arg-type]
    lambda: UpdatePresence(activities=["Chess"]),  # type: ignore[list-item]
    lambda: UpdatePresence(since=-1),
    lambda: UpdatePresence(since=math.nan),
    lambda: UpdatePresence(since=math.inf),
    lambda: UpdatePresence(afk=1),  # type: ignore[arg-type]
    lambda: Activity(7),  # type: ignore[arg-type]
    lambda: Activity("x", type=6),
    lambda: Activity("x", type="0"),  # type: ignore[arg-type]
    lambda: Activity("x", state=7),  # type: ignore[arg-type]
    lambda: Activity("x", url=7),  # type: ignore[arg-type]
    lambda: UpdateVoiceState("x", None),
    lambda: UpdateVoiceState(GUILD, "general"),
    lambda: UpdateVoiceState(GUILD, None, self_mute="yes"),  # type: ignore[arg-type]
    lambda: RequestGuildMembers(GUILD),
    lambda: RequestGuildMembers(GUILD, query="", user_ids=[1]),
    lambda: RequestGuildMembers(GUILD, user_ids=[]),
    lambda: RequestGuildMembers(GUILD, user_ids=range(101)),
    lambda: RequestGuildMembers(GUILD, user_ids="12"),
    lambda: RequestGuildMembers(GUILD, user_ids=[1], limit=1),
    lambda: RequestGuildMembers(GUILD, query="a", limit=-1),
    lambda: RequestGuildMembers(GUILD, query="a", limit=101),
    lambda: RequestGuildMembers(GUILD, query="a", limit=True),
    lambda: RequestGuildMembers(GUILD, query=7),  # type: ignore[arg-type]
    lambda: RequestGuildMembers(GUILD, query="", nonce="x" * 33),
    lambda: RequestGuildMembers(GUILD, query="", nonce="\u00e9" * 17),
    lambda: RequestGuildMembers(GUILD, query="", presences=None),  # type: ignore[arg-type]
    lambda: RequestSoundboardSounds([]),
    lambda: RequestSoundboardSounds("12"),
    lambda: RequestSoundboardSounds([None]),  # type: ignore[list-item]
    lambda: RequestChannelInfo(GUILD, []),
    lambda: RequestChannelInfo(GUILD, ["topic"]),
    lambda: encode_command(UpdatePresence(activities=[Activity("\ud800")])),
]


@pytest.mark.parametrize("make", WRONG)
@conforms("A24", "P58", "P61", "P64", "P69")
def test_a_command_that_the_gateway_would_close_on_is_refused_here(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError):
        make()


@pytest.mark.parametrize("wrong", [-1, 2**64, True, 1.0, None, "", "x", " 1", "-1", str(2**64), "9" * 5000, "\u0661"])
@conforms("P79")
def test_what_is_not_64_bits_is_no_id(wrong: Any) -> None:
    with pytest.raises(ConfigurationError) as refused:
        RequestChannelInfo(wrong)
    assert len(str(refused.value)) < 200


@given(st.integers(0, 2**64 - 1))
@conforms("P79")
def test_an_id_is_sent_as_text_whether_it_was_given_as_text_or_as_a_number(identity: int) -> None:
    assert RequestChannelInfo(identity) == RequestChannelInfo(str(identity))
    assert sent(RequestChannelInfo(identity))["guild_id"] == str(identity)


@conforms("P64")
def test_a_nonce_of_32_bytes_is_accepted() -> None:
    assert sent(RequestGuildMembers(GUILD, query="", nonce="\u00e9" * 16))["nonce"] == "\u00e9" * 16


@pytest.mark.parametrize(
    ("command", "whole"),
    [
        (RequestGuildMembers(GUILD, query=""), True),
        (RequestGuildMembers(GUILD, query="", limit=5), False),
        (RequestGuildMembers(GUILD, query="a"), False),
        (RequestGuildMembers(GUILD, user_ids=[1]), False),
    ],
)
@conforms("P62", "P63")
def test_a_request_knows_whether_it_falls_under_the_limit_of_whole_lists(
    command: RequestGuildMembers, whole: bool
) -> None:
    assert command.whole_list is whole


@pytest.mark.parametrize("count", [1, 175, 176, 177, 400, 1000])
@conforms("P68")
def test_a_long_soundboard_request_is_split_into_parts_that_fit(count: int) -> None:
    ids = [2**64 - 1 - number for number in range(count)]
    parts = RequestSoundboardSounds(ids).split()
    assert [id_ for part in parts for id_ in sent(part)["guild_ids"]] == [str(id_) for id_ in ids]
    assert len(parts) == math.ceil(count / 176)


@conforms("P54")
def test_a_command_that_is_too_large_is_refused_with_its_size() -> None:
    with pytest.raises(PayloadTooLarge) as refused:
        encode_command(RequestSoundboardSounds(range(10**18, 10**18 + 200)))
    assert refused.value.size > 4096


@given(st.text(max_size=1500), st.text(max_size=1500))
def test_text_arrives_as_it_was_given_or_is_refused(name: str, state: str) -> None:
    try:
        data = sent(UpdatePresence(activities=[Activity(name, state=state)]))
    except (PayloadTooLarge, ConfigurationError):
        return
    assert data["activities"] == [{"name": name, "type": 0, "state": state}]


def test_commands_are_values() -> None:
    command = UpdatePresence(status="dnd")
    assert command == UpdatePresence(status="dnd")
    assert hash(command) == hash(UpdatePresence(status="dnd"))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        command.status = "online"  # type: ignore[misc]


@pytest.mark.parametrize("no_list", [7, None, len])
def test_what_cannot_be_gone_through_is_refused_in_words(no_list: Any) -> None:
    with pytest.raises(ConfigurationError, match="put one into a list"):
        UpdatePresence(activities=no_list)
    with pytest.raises(ConfigurationError, match="put one id into a list"):
        RequestSoundboardSounds(no_list)
    with pytest.raises(ConfigurationError, match="voice_start_time"):
        RequestChannelInfo(GUILD, no_list)


@pytest.mark.parametrize("since", ["1700000000", True, [], -1.0, math.nan])
def test_what_is_no_time_is_refused_in_words(since: Any) -> None:
    with pytest.raises(ConfigurationError, match="Unix time"):
        UpdatePresence(since=since)


def test_what_is_no_command_is_refused_in_words() -> None:
    with pytest.raises(ConfigurationError, match="must be a command such as gatewright"):
        encode_command({"op": 3})  # type: ignore[arg-type]
