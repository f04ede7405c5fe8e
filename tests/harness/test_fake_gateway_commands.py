"""What the fake gateway answers in a session: members in chunks, voice, sounds, channel info; and what it refuses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake import (
    After,
    Amend,
    Connection,
    FakeGateway,
    Guild,
    Invalidate,
    Member,
    Rules,
    Sound,
    VoiceChannel,
    Withhold,
    members,
)
from gatewright.spec.intents import Intents
from tests.harness.client import Client, connected

GUILD = str((7 << 22) | 1)
EVERYTHING = int(Intents.all())
CROWD = Guild(
    id=GUILD,
    members=(*members(2_500), Member(id="42", name="zoe", nick="Ada the Second", online=True)),
    channels=(
        VoiceChannel(id="100", status="talking", voice_start_time=1_700_000_000),
        VoiceChannel(id="101", user_limit=2, others=2),
        VoiceChannel(id="102", user_limit=2, others=1),
    ),
    sounds=(Sound(id="7"), Sound(id="8")),
)


def crowd(**options: Any) -> FakeGateway:
    defaults: dict[str, Any] = {"listen": False, "guilds": [CROWD]}
    return FakeGateway(**{**defaults, **options})


async def start(client: Client, *, intents: int = EVERYTHING, **fields: object) -> None:
    await client.start_session(intents=intents, **fields)
    if intents & Intents.GUILDS:
        assert (await client.read())["t"] == "GUILD_CREATE"


async def ask(client: Client, op: int, **data: object) -> dict[str, Any]:
    """The first dispatch that answers a command."""
    await client.send(op, data)
    answer = await client.read()
    return {"t": answer["t"], **answer["d"]}


async def chunks(client: Client, **data: object) -> list[dict[str, Any]]:
    found = [await ask(client, 8, guild_id=GUILD, **data)]
    while len(found) < found[0]["chunk_count"]:
        found.append((await client.read())["d"])
    return found


def ids(chunk: dict[str, Any]) -> list[str]:
    return [member["user"]["id"] for member in chunk["members"]]


async def test_a_whole_list_comes_in_chunks_of_at_most_a_thousand(autojump_clock: MockClock) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client)
        found = await chunks(client, query="", limit=0, nonce="n" * 32)
        assert [(chunk["chunk_index"], chunk["chunk_count"], len(ids(chunk))) for chunk in found] == [
            (0, 3, 1000),
            (1, 3, 1000),
            (2, 3, 501),
        ]
        assert {member for chunk in found for member in ids(chunk)} == {member.id for member in CROWD.members}
        assert {chunk["nonce"] for chunk in found} == {"n" * 32}
        assert not any("presences" in chunk or "not_found" in chunk for chunk in found)


async def test_a_second_whole_list_within_thirty_seconds_is_rate_limited(autojump_clock: MockClock) -> None:
    async with crowd(guilds=[Guild(id=GUILD)]) as fake, connected(fake) as client:
        await start(client)
        whole = {"query": "", "limit": 0, "nonce": "x"}
        assert (await ask(client, 8, guild_id=GUILD, **whole))["members"] == []  # one chunk, if only an empty one
        await trio.sleep(10)
        refused = await ask(client, 8, guild_id=GUILD, **whole)
        assert refused == {
            "t": "RATE_LIMITED",
            "opcode": 8,
            "retry_after": 20.0,
            "meta": {"guild_id": GUILD, "nonce": "x"},
        }
        assert (await ask(client, 8, guild_id=GUILD, query="a", limit=0))["t"] == "GUILD_MEMBERS_CHUNK"
        await trio.sleep(20)
        assert (await ask(client, 8, guild_id=GUILD, **whole))["t"] == "GUILD_MEMBERS_CHUNK"


async def test_a_prefix_finds_names_and_nicks_up_to_its_limit(autojump_clock: MockClock) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client)
        for limit, count in ((3, 3), (100, 100), (0, 100), (5000, 100)):
            (chunk,) = await chunks(client, query="ADA", limit=limit)
            assert len(ids(chunk)) == count
        (chunk,) = await chunks(client, query="ada the", limit=5)
        assert ids(chunk) == ["42"]
        (chunk,) = await chunks(client, query="nobody", limit=5)
        assert ids(chunk) == []


async def test_ids_are_found_or_echoed_as_they_came(autojump_clock: MockClock) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client)
        (chunk,) = await chunks(client, user_ids=["42", "43", 44, "42"], query="", limit=0)
        assert (ids(chunk), chunk["not_found"]) == (["42"], ["43", 44])
        (chunk,) = await chunks(client, user_ids="42")
        assert ids(chunk) == ["42"]


@pytest.mark.parametrize(("intents", "given"), [(EVERYTHING, True), (EVERYTHING & ~Intents.GUILD_PRESENCES, False)])
async def test_presences_need_their_intent(autojump_clock: MockClock, intents: int, given: bool) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client, intents=intents)
        (chunk,) = await chunks(client, user_ids=["42"], presences=True)
        assert ("presences" in chunk) is given
        if given:
            assert [presence["user"]["id"] for presence in chunk["presences"]] == ["42"]


@pytest.mark.parametrize("nonce", ["n" * 33, "é" * 17, 17, None])
async def test_a_nonce_that_is_none_is_dropped(autojump_clock: MockClock, nonce: object) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client)
        (chunk,) = await chunks(client, user_ids=["42"], nonce=nonce)
        assert "nonce" not in chunk


@pytest.mark.parametrize(
    ("op", "data"),
    [
        (8, {"guild_id": "1", "query": "", "limit": 0}),
        (8, {"guild_id": "1", "user_ids": ["42"]}),
        (4, {"guild_id": "1", "channel_id": "100"}),
        (4, {"guild_id": GUILD, "channel_id": "999"}),
        (4, {"guild_id": GUILD, "channel_id": "101"}),  # full
        (4, {"guild_id": GUILD, "channel_id": None}),  # not in voice
        (31, {"guild_ids": ["1"]}),
        (43, {"guild_id": "1", "fields": ["status"]}),
        (3, {"since": None, "activities": [{"name": "x", "type": 0}], "status": "idle", "afk": False}),
    ],
)
async def test_what_the_bot_cannot_see_is_answered_with_silence(
    autojump_clock: MockClock, op: int, data: dict[str, object]
) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client)
        await client.send(op, data)
        assert await client.nothing_within(30)
        assert fake.open_connections == 1


async def test_a_whole_list_without_the_intent_goes_unanswered(autojump_clock: MockClock) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client, intents=1)
        await client.send(8, {"guild_id": GUILD, "query": "", "limit": 0})
        assert await client.nothing_within(30)


MALFORMED: list[tuple[int, object]] = [
    (3, {}),
    (3, None),
    (3, {"status": "sleeping", "since": None, "activities": [], "afk": False}),
    (3, {"status": "online", "since": None, "activities": [{"type": 0}], "afk": False}),
    (3, {"status": "online", "since": None, "activities": [{"name": "x", "type": 6}], "afk": False}),
    (4, {"channel_id": None}),
    (4, {"guild_id": GUILD}),
    (8, {"guild_id": GUILD}),
    (8, {"guild_id": GUILD, "query": ""}),
    (8, {"guild_id": [GUILD], "query": "", "limit": 0}),
    (8, {"guild_id": GUILD, "query": "a", "limit": 1, "user_ids": ["42"]}),
    (8, {"guild_id": GUILD, "query": "a", "limit": -1}),
    (31, {"guild_ids": GUILD}),
    (31, []),
    (43, {"guild_id": GUILD, "fields": []}),
    (43, {"guild_id": GUILD, "fields": ["topic"]}),
]


@pytest.mark.parametrize(("op", "data"), MALFORMED)
async def test_a_malformed_command_is_closed_with_4001(autojump_clock: MockClock, op: int, data: object) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client)
        await client.send(op, data)
        assert await client.close_code() == 4001
        assert len(fake.sessions) == 1


async def test_a_malformed_command_can_be_answered_with_op_9_instead(autojump_clock: MockClock) -> None:
    async with crowd(rules=Rules(malformed_command=Invalidate())) as fake, connected(fake) as client:
        await start(client)
        await client.send(8, {})
        refusal = await client.read()
        assert (refusal["op"], refusal["d"], len(fake.sessions)) == (9, False, 0)


async def test_joining_a_channel_has_two_answers_and_leaving_has_one(autojump_clock: MockClock) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client)
        state = await ask(client, 4, guild_id=GUILD, channel_id="102", self_mute=True, self_deaf=False)
        assert (state["t"], state["channel_id"], state["self_mute"]) == ("VOICE_STATE_UPDATE", "102", True)
        server = (await client.read())["d"]
        assert server["guild_id"] == GUILD
        assert ":" in server["endpoint"]
        muted = await ask(client, 4, guild_id=GUILD, channel_id="102", self_mute=False, self_deaf=False)
        assert (muted["session_id"], muted["self_mute"]) == (state["session_id"], False)
        moved = await ask(client, 4, guild_id=GUILD, channel_id="100", self_mute=False, self_deaf=False)
        assert moved["channel_id"] == "100"
        assert (await client.read())["t"] == "VOICE_SERVER_UPDATE"
        left = await ask(client, 4, guild_id=GUILD, channel_id=None, self_mute=False, self_deaf=False)
        assert (left["t"], left["channel_id"]) == ("VOICE_STATE_UPDATE", None)
        assert await client.nothing_within(5)


async def test_without_the_voice_intent_only_the_server_is_told(autojump_clock: MockClock) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client, intents=1)
        assert (await ask(client, 4, guild_id=GUILD, channel_id="100"))["t"] == "VOICE_SERVER_UPDATE"


async def test_sounds_come_in_one_dispatch_a_guild(autojump_clock: MockClock) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client)
        sounds = await ask(client, 31, guild_ids=["1", GUILD])
        assert (sounds["t"], sounds["guild_id"]) == ("SOUNDBOARD_SOUNDS", GUILD)
        assert [sound["sound_id"] for sound in sounds["soundboard_sounds"]] == ["7", "8"]


async def test_channel_info_has_the_fields_that_were_asked_for(autojump_clock: MockClock) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client)
        info = await ask(client, 43, guild_id=GUILD, fields=["voice_start_time"])
        assert info["channels"][:2] == [
            {"id": "100", "voice_start_time": 1_700_000_000},
            {"id": "101", "voice_start_time": None},
        ]


async def test_answers_can_be_withheld_and_amended_one_by_one(autojump_clock: MockClock) -> None:
    script = [Connection(answer=(Amend({"nonce": "another"}), After(1, Withhold())))]
    async with crowd(script=script) as fake, connected(fake) as client:
        await start(client)
        chunk = await ask(client, 8, guild_id=GUILD, query="", limit=0, nonce="mine")
        assert (chunk["chunk_count"], chunk["nonce"]) == (3, "another")
        assert await client.nothing_within(30)


@pytest.mark.parametrize(("gap", "code"), [(0.0, 4008), (4.1, None)])
async def test_more_than_five_presences_in_twenty_seconds_are_closed_with_4008(
    autojump_clock: MockClock, gap: float, code: int | None
) -> None:
    async with crowd() as fake, connected(fake) as client:
        await start(client)
        for _ in range(6):
            await client.send(3, {"since": None, "activities": [], "status": "dnd", "afk": False})
            await trio.sleep(gap)
        if code is None:
            assert await client.nothing_within(5)
        else:
            assert await client.close_code() == code


async def test_the_shards_of_a_bot_have_their_own_sessions_guilds_and_dispatches(autojump_clock: MockClock) -> None:
    rules = Rules(max_concurrency=2)
    async with (
        FakeGateway(listen=False, guilds=4, rules=rules) as fake,
        connected(fake) as zero,
        connected(fake) as one,
    ):
        for number, client in enumerate((zero, one)):
            await client.read()
            await client.identify(shard=[number, 2])
            ready = (await client.read())["d"]
            assert ready["shard"] == [number, 2]
            mine = [guild["id"] for guild in ready["guilds"]]
            assert mine == [guild.id for guild in fake.guilds if (int(guild.id) >> 22) % 2 == number]
            assert [(await client.read())["d"]["id"] for _ in mine] == mine
        theirs = next(guild.id for guild in fake.guilds if (int(guild.id) >> 22) % 2 == 1)
        await fake.dispatch("MESSAGE_CREATE", {"guild_id": theirs, "content": "hello"})
        await fake.dispatch("MESSAGE_CREATE", {"content": "a direct message"})
        await fake.dispatch("GUILD_DELETE", {"id": theirs})
        assert (await zero.read())["d"]["content"] == "a direct message"
        assert (await one.read())["d"]["content"] == "hello"
        assert (await one.read())["t"] == "GUILD_DELETE"
        assert await zero.nothing_within(5)
        first, second = fake.sessions
        assert (first.id != second.id, first.seq, second.seq) == (True, 4, 5)
        await zero.send(8, {"guild_id": theirs, "user_ids": ["1"]})  # another shard's guild
        assert await zero.nothing_within(5)


async def test_a_command_that_waits_for_ready_is_not_answered(autojump_clock: MockClock) -> None:
    async with crowd(script=[Connection(ready=Withhold())]) as fake, connected(fake) as client:
        await client.read()
        await client.identify()
        await client.send(8, msgspec.json.decode(b'{"guild_id":"1","query":"","limit":0}'))
        assert await client.nothing_within(5)
