"""Soundboards, channel info and voice: each answer gathered from its dispatches, or a typed error in its place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import FakeGateway
from gatewright.harness.fake.payloads import BOT_ID
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import Opcode
from gatewright.transport.answers import ChannelInfo, VoiceServer, VoiceState
from gatewright.transport.commands import RequestChannelInfo
from gatewright.transport.errors import NotReady, RequestLost, RequestRateLimited, RequestSuperseded, RequestTimedOut
from gatewright.transport.shard import Shard
from tests.support.asking import GUILD, asked, begin
from tests.support.conforms import conforms
from tests.support.shards import gateway, payloads, shard_on

SOUNDS, INFO, VOICE = Opcode.REQUEST_SOUNDBOARD_SOUNDS, Opcode.REQUEST_CHANNEL_INFO, Opcode.VOICE_STATE_UPDATE


@asynccontextmanager
async def ready(fake: FakeGateway, **options: Any) -> AsyncGenerator[Shard]:
    async with shard_on(fake, **{"intents": Intents.GUILDS | Intents.GUILD_VOICE_STATES, **options}) as shard:
        await shard.wait_for("ready")
        yield shard


# -- soundboards -------------------------------------------------------------------------------------------------------


async def sounds(fake: FakeGateway, guild: str, *names: str) -> None:
    board = [{"name": name} for name in names]
    await fake.dispatch("SOUNDBOARD_SOUNDS", {"guild_id": guild, "soundboard_sounds": board})


@conforms("P68")
async def test_soundboards_are_gathered_by_guild(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_soundboard_sounds([1, "2", 3, 2]))
        await asked(fake, SOUNDS)
        await sounds(fake, "3")
        await sounds(fake, "9", "foreign")
        await sounds(fake, "1", "quack")
        await wait_all_tasks_blocked()
        assert not asking.over
        await sounds(fake, "2", "boo", "yay")
        await wait_all_tasks_blocked()
        assert asking.result == {"1": ({"name": "quack"},), "2": ({"name": "boo"}, {"name": "yay"}), "3": ()}
        assert list(asking.result) == ["1", "2", "3"]


async def test_parts_that_nobody_waits_for_any_more_are_not_sent(autojump_clock: MockClock) -> None:
    """The first part was lost with its session, and the whole request with it."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        for _ in range(115):
            await shard.send(RequestChannelInfo(GUILD))
        many = range(10**18, 10**18 + 300)
        asking = begin(nursery, lambda: shard.request_soundboard_sounds(many, wait=200, timeout=300, patience=300))
        await asked(fake, SOUNDS)
        await trio.sleep(1)
        assert len(payloads(fake, SOUNDS)) == 1
        fake.invalidate()
        await shard.wait_for("identified")
        await trio.sleep(60)
        assert isinstance(asking.error, RequestLost)
        assert len(payloads(fake, SOUNDS)) == 1


async def test_patience_that_is_no_time_is_refused(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard:
        with pytest.raises(ConfigurationError, match="patience"):
            await shard.request_soundboard_sounds([1], patience=-1)


@conforms("P54", "P68")
async def test_a_long_list_is_asked_for_in_payloads_that_the_gateway_takes(autojump_clock: MockClock) -> None:
    """The fake closes with 4002 on more than 4096 bytes."""
    ids = [str(10**18 + number) for number in range(400)]
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_soundboard_sounds(ids))
        await asked(fake, SOUNDS, 3)
        assert [id_ for data in payloads(fake, SOUNDS) for id_ in data["guild_ids"]] == ids
        for id_ in ids:
            await sounds(fake, id_)
        await wait_all_tasks_blocked()
        assert (len(asking.result), fake.connections) == (400, 1)


async def test_a_guild_that_says_nothing_is_named_and_the_others_are_kept(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_soundboard_sounds([1, 2], patience=5))
        await asked(fake, SOUNDS)
        await sounds(fake, "1", "quack")
        await trio.sleep(6)
        assert isinstance(asking.error, RequestTimedOut)
        assert "guilds 2" in str(asking.error)
        assert asking.error.partial == {"1": ({"name": "quack"},)}


# -- channel info ------------------------------------------------------------------------------------------------------


async def info(fake: FakeGateway, guild: str, status: str) -> None:
    await fake.dispatch("CHANNEL_INFO", {"guild_id": guild, "channels": [{"id": "5", "status": status}]})


def channels(status: str) -> tuple[dict[str, str], ...]:
    return ({"id": "5", "status": status},)


@conforms("P69")
async def test_channel_info_is_told_apart_by_guild_and_by_order(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        first = begin(nursery, lambda: shard.request_channel_info(1, ["status"]))
        await asked(fake, INFO)
        second = begin(nursery, lambda: shard.request_channel_info(1))
        await asked(fake, INFO, 2)
        other = begin(nursery, lambda: shard.request_channel_info(2))
        await asked(fake, INFO, 3)
        await info(fake, "9", "foreign")
        await info(fake, "2", "c")
        await info(fake, "1", "a")
        await info(fake, "1", "b")
        await wait_all_tasks_blocked()
        assert [first.result, second.result, other.result] == [
            ChannelInfo(guild_id="1", channels=channels("a")),
            ChannelInfo(guild_id="1", channels=channels("b")),
            ChannelInfo(guild_id="2", channels=channels("c")),
        ]
        assert [data["fields"] for data in payloads(fake, INFO)][:2] == [["status"], ["status", "voice_start_time"]]


async def test_channel_info_that_never_comes_ends_in_a_time_out(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard:
        began = trio.current_time()
        with pytest.raises(RequestTimedOut, match="guild 1"):
            await shard.request_channel_info(1, timeout=7)
        assert trio.current_time() - began == 7


@conforms("P67")
async def test_a_rate_limit_of_another_opcode_is_understood_by_its_guild(autojump_clock: MockClock) -> None:
    """Only opcode 8 is documented; a server that limits others in the same words is believed."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_channel_info(1))
        await asked(fake, INFO)
        await fake.dispatch("RATE_LIMITED", {"opcode": 43, "retry_after": 2.5, "meta": {"guild_id": "1"}})
        await wait_all_tasks_blocked()
        assert isinstance(asking.error, RequestRateLimited)
        assert asking.error.retry_after == 2.5


@conforms("P55")
async def test_a_request_that_does_not_get_its_turn_in_time_is_not_made(autojump_clock: MockClock) -> None:
    """117 payloads a minute but for heartbeats, one of which was the IDENTIFY."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        for _ in range(116):
            begin(nursery, lambda: shard.request_channel_info(1, timeout=300))
        await asked(fake, INFO, 116)
        with pytest.raises(RequestTimedOut, match="turn"):
            await shard.request_channel_info(2, timeout=10)
        assert len(payloads(fake, INFO)) == 116
        nursery.cancel_scope.cancel()


# -- voice -------------------------------------------------------------------------------------------------------------


async def state(
    fake: FakeGateway, channel: str | None, *, user: str = BOT_ID, session: str = "v1", guild: str | None = GUILD
) -> None:
    await fake.dispatch(
        "VOICE_STATE_UPDATE", {"guild_id": guild, "channel_id": channel, "user_id": user, "session_id": session}
    )


async def server(fake: FakeGateway, endpoint: str | None, *, token: str = "t1", guild: str = GUILD) -> None:
    await fake.dispatch("VOICE_SERVER_UPDATE", {"guild_id": guild, "token": token, "endpoint": endpoint})


def joined(**changes: str) -> VoiceServer:
    wanted = {"session": "v1", "token": "t1", "endpoint": "voice.invalid:443", **changes}
    state = VoiceState(guild_id=GUILD, channel_id="5", user_id=BOT_ID, session_id=wanted["session"])
    return VoiceServer(state=state, endpoint=wanted["endpoint"], token=wanted["token"])


@pytest.mark.parametrize("state_first", [True, False])
@conforms("P70")
async def test_a_join_waits_for_both_answers_in_either_order(autojump_clock: MockClock, state_first: bool) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.join_voice(GUILD, 5, self_deaf=True))
        data = await asked(fake, VOICE)
        for is_state in (state_first, not state_first):
            await wait_all_tasks_blocked()
            assert not asking.over
            await (state(fake, "5") if is_state else server(fake, "voice.invalid:443"))
        await wait_all_tasks_blocked()
        assert asking.result == joined()
        assert "t1" not in repr(asking.result)
        assert data == {"guild_id": GUILD, "channel_id": "5", "self_mute": False, "self_deaf": True}


async def test_what_is_not_the_bots_own_answer_does_not_end_a_join(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.join_voice(GUILD, 5))
        await asked(fake, VOICE)
        await server(fake, "other.invalid", guild="7")
        await state(fake, "5", user="7")
        await state(fake, "4")
        await state(fake, "5", guild="7")
        await state(fake, None, guild=None)
        await server(fake, "voice.invalid:443")
        await wait_all_tasks_blocked()
        assert not asking.over
        await state(fake, "5")
        await wait_all_tasks_blocked()
        assert asking.result == joined()


@conforms("P71")
async def test_a_server_without_an_endpoint_is_not_there_yet(autojump_clock: MockClock) -> None:
    """And the last one counts."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.join_voice(GUILD, 5))
        await asked(fake, VOICE)
        await server(fake, "gone.invalid", token="old")
        await server(fake, None)
        await state(fake, "5")
        await wait_all_tasks_blocked()
        assert not asking.over
        await server(fake, "voice.invalid:443", token="t2")
        await wait_all_tasks_blocked()
        assert asking.result == joined(token="t2")


async def test_a_bot_that_is_moved_away_meanwhile_has_not_joined(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.join_voice(GUILD, 5))
        await asked(fake, VOICE)
        await state(fake, "5")
        await state(fake, "6")
        await server(fake, "voice.invalid:443")
        await trio.sleep(11)
        assert isinstance(asking.error, RequestTimedOut)


@conforms("P70")
async def test_a_full_channel_ends_in_a_time_out(autojump_clock: MockClock) -> None:
    """Neither answer comes."""
    async with gateway() as fake, ready(fake) as shard:
        began = trio.current_time()
        with pytest.raises(RequestTimedOut, match="voice state"):
            await shard.join_voice(GUILD, 5)
        assert trio.current_time() - began == 10


async def test_without_the_intent_the_time_out_says_so(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake, intents=Intents.GUILDS) as shard:
        with pytest.raises(RequestTimedOut, match="GUILD_VOICE_STATES"):
            await shard.join_voice(GUILD, 5)


async def test_leaving_needs_the_bots_own_state_alone(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.update_voice_state(GUILD, None))
        data = await asked(fake, VOICE)
        await state(fake, None, user="7")
        await wait_all_tasks_blocked()
        assert not asking.over
        await state(fake, None)
        await wait_all_tasks_blocked()
        assert asking.result == VoiceState(guild_id=GUILD, channel_id=None, user_id=BOT_ID, session_id="v1")
        assert data["channel_id"] is None


async def test_a_later_voice_command_takes_the_place_of_an_earlier_one(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        first = begin(nursery, lambda: shard.join_voice(GUILD, 5))
        await asked(fake, VOICE)
        elsewhere = begin(nursery, lambda: shard.update_voice_state("7", None))
        await asked(fake, VOICE, 2)
        second = begin(nursery, lambda: shard.join_voice(GUILD, 6))
        await asked(fake, VOICE, 3)
        assert isinstance(first.error, RequestSuperseded)
        assert not elsewhere.over
        await server(fake, "voice.invalid:443")
        await state(fake, "5")
        await state(fake, "6")
        await wait_all_tasks_blocked()
        assert second.result.state.channel_id == "6"
        elsewhere.scope.cancel()


async def test_a_join_needs_a_channel(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard:
        with pytest.raises(ConfigurationError, match="update_voice_state"):
            await shard.join_voice(GUILD, None)  # type: ignore[arg-type]  # that is the point
        assert payloads(fake, VOICE) == []


# -- all of them -------------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[Shard], Awaitable[object]]] = {
    "members": lambda shard: shard.request_members(GUILD, query="a"),
    "sounds": lambda shard: shard.request_soundboard_sounds([GUILD]),
    "info": lambda shard: shard.request_channel_info(GUILD),
    "join": lambda shard: shard.join_voice(GUILD, 5),
    "voice": lambda shard: shard.update_voice_state(GUILD, None),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_without_a_session_a_request_is_refused(
    autojump_clock: MockClock, call: Callable[[Shard], Awaitable[object]]
) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        with pytest.raises(NotReady):
            await call(shard)
        assert len(shard._commands().book) == 0


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@conforms("P60")
async def test_a_request_does_not_outlive_its_session(
    autojump_clock: MockClock, call: Callable[[Shard], Awaitable[object]]
) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: call(shard))
        await wait_all_tasks_blocked()
        fake.invalidate()
        await wait_all_tasks_blocked()
        assert isinstance(asking.error, RequestLost)
        assert (len(shard._commands().book), shard._running().watch) == (0, None)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_cancelling_a_request_leaves_nothing_behind(
    autojump_clock: MockClock, call: Callable[[Shard], Awaitable[object]]
) -> None:
    """I16."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: call(shard))
        await wait_all_tasks_blocked()
        assert len(shard._commands().book) == 1
        asking.scope.cancel()
        await wait_all_tasks_blocked()
        assert (asking.error, len(shard._commands().book), shard._running().watch) == (None, 0, None)


ANSWERS = [
    "GUILD_MEMBERS_CHUNK",
    "RATE_LIMITED",
    "SOUNDBOARD_SOUNDS",
    "CHANNEL_INFO",
    "VOICE_STATE_UPDATE",
    "VOICE_SERVER_UPDATE",
]
GARBAGE: list[object] = [None, [], 7, "x", {}, {"guild_id": 7}, {"guild_id": None}, {"nonce": 7, "meta": 7}]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_dispatches_that_are_garbage_answer_nothing_and_break_nothing(
    autojump_clock: MockClock, call: Callable[[Shard], Awaitable[object]]
) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: call(shard))
        await wait_all_tasks_blocked()
        for event in ANSWERS:
            for data in GARBAGE:
                await fake.dispatch(event, data)
        await wait_all_tasks_blocked()
        assert (asking.over, shard.state, fake.connections) == (False, "ready", 1)
        asking.scope.cancel()
