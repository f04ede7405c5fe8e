"""Asking for members: chunks gathered by index and nonce, refusals, limits, and a session that goes away meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import Connection, Delay, Dispatch, FakeGateway, Send
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import Opcode
from gatewright.transport.answers import GuildMembers
from gatewright.transport.commands import MAX_NONCE_BYTES, RequestChannelInfo
from gatewright.transport.dispatch import UndecodableData
from gatewright.transport.errors import (
    AnswerTooLarge,
    NotReady,
    RequestLost,
    RequestRateLimited,
    RequestTimedOut,
    TooManyCommands,
)
from gatewright.transport.exchange import CommandLimits
from gatewright.transport.shard import Shard
from tests.support.asking import GUILD, answer, asked, begin, chunk, numbers
from tests.support.conforms import conforms
from tests.support.shards import gateway, payloads, shard_on

MEMBERS = Opcode.REQUEST_GUILD_MEMBERS
INTENTS = Intents.GUILDS | Intents.GUILD_MEMBERS


@asynccontextmanager
async def ready(fake: FakeGateway, **options: Any) -> AsyncGenerator[Shard]:
    async with shard_on(fake, **{"intents": INTENTS, **options}) as shard:
        await shard.wait_for("ready")
        yield shard


# -- the answer --------------------------------------------------------------------------------------------------------


@conforms("P65")
async def test_chunks_are_gathered_by_index_whatever_order_they_come_in(autojump_clock: MockClock) -> None:
    """P61, P65."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query=""))
        data = await asked(fake, MEMBERS)
        nonce = data["nonce"]
        await answer(fake, chunk(nonce, 2, 3, 5), chunk(nonce, 0, 3, 1, 2), chunk(nonce, 1, 3, 3, 4))
        await wait_all_tasks_blocked()
        assert numbers(asking.result.members) == [1, 2, 3, 4, 5]
        assert data == {"guild_id": GUILD, "query": "", "limit": 0, "presences": False, "nonce": nonce}


@conforms("P66")
async def test_presences_and_ids_that_name_nobody_come_with_the_members(autojump_clock: MockClock) -> None:
    """P62, P66: a malformed id is echoed as a number."""
    async with (
        gateway() as fake,
        ready(fake, intents=INTENTS | Intents.GUILD_PRESENCES) as shard,
        trio.open_nursery() as nursery,
    ):
        asking = begin(nursery, lambda: shard.request_members(GUILD, user_ids=[1, 2, 3], presences=True))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await answer(fake, chunk(nonce, 0, 1, 1, presences=[{"user": {"id": "1"}}], not_found=["2", 3, None]))
        await wait_all_tasks_blocked()
        assert asking.result == GuildMembers(
            guild_id=GUILD,
            members=({"user": {"id": "1"}, "roles": []},),
            presences=({"user": {"id": "1"}},),
            not_found=("2", "3"),
        )


@conforms("P64")
async def test_requests_at_the_same_time_are_told_apart_by_their_nonces(autojump_clock: MockClock) -> None:
    """P64."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        first = begin(nursery, lambda: shard.request_members(GUILD, query="a", limit=5))
        a = (await asked(fake, MEMBERS))["nonce"]
        second = begin(nursery, lambda: shard.request_members(GUILD, query="b", limit=5))
        b = (await asked(fake, MEMBERS, 2))["nonce"]
        assert a != b
        assert max(len(a), len(b)) <= MAX_NONCE_BYTES
        await answer(
            fake,
            chunk(b, 1, 2, 21),
            chunk("foreign", 0, 1, 99),
            chunk(a, 0, 2, 10),
            chunk(None, 0, 1, 98),
            chunk(a, 0, 1, 97, guild="7"),
            chunk(b, 0, 2, 20),
            chunk(a, 1, 2, 11),
        )
        await wait_all_tasks_blocked()
        assert numbers(first.result.members) == [10, 11]
        assert numbers(second.result.members) == [20, 21]


async def test_the_consumer_receives_the_chunks_as_well_and_shares_their_data(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="a"))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await answer(fake, chunk(nonce, 0, 1, 1))
        await wait_all_tasks_blocked()
        dispatches = [await anext(shard) for _ in range(2)]
        assert [dispatch.type for dispatch in dispatches] == ["READY", "GUILD_MEMBERS_CHUNK"]
        assert dispatches[1].data["members"][0] is asking.result.members[0]


async def test_nothing_is_watched_when_nobody_waits(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        driver = shard._running()
        watching = [driver.watch is not None]
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="a"))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        watching.append(driver.watch is not None)
        await answer(fake, chunk(nonce, 0, 1, 1))
        await wait_all_tasks_blocked()
        watching.append(driver.watch is not None)
        assert (asking.over, watching) == (True, [False, True, False])


async def test_the_reader_does_not_decode_members_that_nobody_has_looked_at(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, ready(fake) as shard, shard.member_chunks(GUILD, query="a") as chunks:
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await answer(fake, chunk(nonce, 0, 1, 1))
        found = await anext(chunks)
        assert found.dispatch._data is msgspec.UNSET
        assert numbers(found.members) == [1]
        assert hasattr(found.dispatch, "_data")


@conforms("P65")
async def test_chunks_can_be_taken_as_they_come(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard:
        async with shard.member_chunks(GUILD, query="") as chunks:
            nonce = (await asked(fake, MEMBERS))["nonce"]
            await answer(fake, chunk(nonce, 1, 2, 2))
            first = await anext(chunks)
            assert (first.index, first.count, numbers(first.members)) == (1, 2, [2])
            await answer(fake, chunk(nonce, 0, 2, 1), chunk(nonce, 0, 2, 1))
            assert [found.index async for found in chunks] == [0]
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)


async def test_an_iteration_that_is_left_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard:
        async with shard.member_chunks(GUILD, query="") as chunks:
            nonce = (await asked(fake, MEMBERS))["nonce"]
            await answer(fake, chunk(nonce, 0, 2, 1))
            await anext(chunks)
        assert (len(shard._commands().book), shard._running().watch) == (0, None)


async def test_chunks_are_not_had_without_entering(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard:
        chunks = shard.member_chunks(GUILD, query="")
        with pytest.raises(ConfigurationError, match="async with"):
            await anext(chunks)
        assert payloads(fake, MEMBERS) == []


async def test_a_chunk_that_cannot_be_decoded_ends_the_request_alone(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="a"))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        message = {"op": 0, "s": 77, "t": "GUILD_MEMBERS_CHUNK", "d": {**chunk(nonce, 0, 1), "joined": 7}}
        # No number that this could be; whoever skips over it does not mind.
        fake.perform(Send(json.dumps(message).replace("7}", "1e999}")))
        await wait_all_tasks_blocked()
        assert isinstance(asking.error, UndecodableData)
        assert shard.state == "ready"


# -- refused before anything is sent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intents", "arguments", "words"),
    [
        (Intents.GUILDS, {"query": ""}, "GUILD_MEMBERS"),
        (INTENTS, {"query": "a", "presences": True}, "GUILD_PRESENCES"),
        (INTENTS, {}, "exactly one"),
        (INTENTS, {"query": "a", "timeout": -1}, "timeout"),
        (INTENTS, {"query": "a", "patience": True}, "patience"),
        (INTENTS, {"query": "a", "wait": float("nan")}, "wait"),
    ],
)
@conforms("P61", "P62")
async def test_a_request_that_cannot_work_is_refused(
    autojump_clock: MockClock, intents: Intents, arguments: dict[str, Any], words: str
) -> None:
    """P61, P62, A24."""
    async with gateway() as fake, ready(fake, intents=intents) as shard:
        with pytest.raises(ConfigurationError, match=words):
            await shard.request_members(GUILD, **arguments)
        await trio.sleep(1)
        assert payloads(fake, MEMBERS) == []


@conforms("P63")
async def test_the_whole_list_is_asked_for_once_in_30_seconds(autojump_clock: MockClock) -> None:
    """P63: per guild; prefixes and ids are free."""
    async with gateway() as fake, ready(fake) as shard:

        async def whole(guild: str = GUILD) -> None:
            count = len(payloads(fake, MEMBERS)) + 1
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: shard.request_members(guild, query=""))
                nonce = (await asked(fake, MEMBERS, count))["nonce"]
                await answer(fake, chunk(nonce, 0, 1, 1, guild=guild))

        await whole()
        await trio.sleep(10)
        with pytest.raises(RequestRateLimited) as refused:
            await shard.request_members(GUILD, query="")
        assert refused.value.retry_after == pytest.approx(21)
        await whole("7")
        await trio.sleep(21.001)
        await whole()
        assert len(payloads(fake, MEMBERS)) == 3


@conforms("P63")
async def test_a_whole_list_that_was_never_sent_does_not_count(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard:
        fake.drop()
        await shard.wait_for("backing_off", "connecting")
        with pytest.raises(NotReady):
            await shard.request_members(GUILD, query="")
        await shard.wait_for("ready")
        async with shard.member_chunks(GUILD, query=""):
            pass


@conforms("P63")
async def test_with_retry_the_whole_list_waits_for_its_turn(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        async with shard.member_chunks(GUILD, query=""):
            pass
        began = trio.current_time()
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="", retry=True))
        nonce = (await asked(fake, MEMBERS, 2))["nonce"]
        assert trio.current_time() - began == pytest.approx(31)
        await answer(fake, chunk(nonce, 0, 1, 1))
        await wait_all_tasks_blocked()
        assert numbers(asking.result.members) == [1]


# -- refused by the server ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_nonce", [True, False])
@conforms("P63", "P67")
async def test_rate_limited_ends_the_request_that_it_names(autojump_clock: MockClock, with_nonce: bool) -> None:
    """P63, P67: by nonce, and by guild where there is none; the connection is not touched."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        other = begin(nursery, lambda: shard.request_members("7", query="a"))
        await asked(fake, MEMBERS)
        asking = begin(nursery, lambda: shard.request_members(GUILD, query=""))
        nonce = (await asked(fake, MEMBERS, 2))["nonce"]
        meta = {"guild_id": GUILD, **({"nonce": nonce} if with_nonce else {})}
        await fake.dispatch("RATE_LIMITED", {"opcode": 8, "retry_after": 29.457, "meta": meta})
        await wait_all_tasks_blocked()
        assert isinstance(asking.error, RequestRateLimited)
        assert asking.error.retry_after == 29.457
        assert (other.over, fake.connections, shard.state) == (False, 1, "ready")
        other.scope.cancel()
        with pytest.raises(RequestRateLimited) as refused:
            await shard.request_members(GUILD, query="")
        assert refused.value.retry_after == pytest.approx(29.457)


@pytest.mark.parametrize(
    "data",
    [
        {"opcode": 43, "retry_after": 1, "meta": {"guild_id": GUILD}},
        {"opcode": 8, "retry_after": 1, "meta": {"guild_id": GUILD, "nonce": "foreign"}},
        {"opcode": 8, "retry_after": 1, "meta": {"guild_id": "7"}},
        {"opcode": 8, "retry_after": 1, "meta": {"user_id": "7"}},
        {"opcode": 8, "retry_after": 1, "meta": [1]},
        {"opcode": 8, "retry_after": 1},
        {"opcode": "8"},
        [],
    ],
)
@conforms("P67")
async def test_a_rate_limit_that_names_something_else_changes_nothing(autojump_clock: MockClock, data: Any) -> None:
    """P67."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query=""))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await fake.dispatch("RATE_LIMITED", data)
        await wait_all_tasks_blocked()
        assert not asking.over
        await answer(fake, chunk(nonce, 0, 1, 1))
        await wait_all_tasks_blocked()
        assert numbers(asking.result.members) == [1]


@conforms("P67")
@pytest.mark.parametrize("told", [None, "soon", -1, True, 1e300])
async def test_a_wait_that_is_no_number_is_the_documented_one(autojump_clock: MockClock, told: Any) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query=""))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await fake.dispatch("RATE_LIMITED", {"opcode": 8, "retry_after": told, "meta": {"nonce": nonce}})
        await wait_all_tasks_blocked()
        assert isinstance(asking.error, RequestRateLimited)
        assert asking.error.retry_after == 30.0


@conforms("P67")
async def test_with_retry_a_rate_limit_is_waited_for_once(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="", retry=True))
        first = (await asked(fake, MEMBERS))["nonce"]
        began = trio.current_time()
        await fake.dispatch("RATE_LIMITED", {"opcode": 8, "retry_after": 20, "meta": {"nonce": first}})
        second = (await asked(fake, MEMBERS, 2))["nonce"]
        assert trio.current_time() - began == 20
        assert first != second
        await fake.dispatch("RATE_LIMITED", {"opcode": 8, "retry_after": 5, "meta": {"nonce": second}})
        await wait_all_tasks_blocked()
        assert isinstance(asking.error, RequestRateLimited)
        assert len(payloads(fake, MEMBERS)) == 2


# -- no answer ---------------------------------------------------------------------------------------------------------


@conforms("A23", "P62")
async def test_a_request_that_nothing_answers_ends(autojump_clock: MockClock) -> None:
    """A23."""
    async with gateway() as fake, ready(fake) as shard:
        began = trio.current_time()
        with pytest.raises(RequestTimedOut, match="nothing came"):
            await shard.request_members(GUILD, query="", patience=12)
        assert trio.current_time() - began == 12


@conforms("A23")
async def test_progress_extends_the_patience_and_not_the_time_in_all(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        began = trio.current_time()
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="", timeout=25, patience=10))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        for index in (0, 1, 2):
            await trio.sleep(8)
            await answer(fake, chunk(nonce, index, 4, index))
        await trio.sleep(5)
        assert asking.ended_at is not None
        assert asking.ended_at - began == 25
        assert isinstance(asking.error, RequestTimedOut)
        assert "1 of 4 chunks are missing" in str(asking.error)
        assert isinstance(asking.error.partial, GuildMembers)
        assert numbers(asking.error.partial.members) == [0, 1, 2]


async def test_a_full_queue_that_holds_the_answer_back_is_named(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, ready(fake, queue=1) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query=""))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await answer(fake, *(chunk(nonce, index, 9, index) for index in range(9)))
        await trio.sleep(16)
        assert isinstance(asking.error, RequestTimedOut)
        assert "reading is paused" in str(asking.error)


@conforms("P64", "P65")
async def test_chunks_that_are_no_part_of_the_answer_do_not_complete_it(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query=""))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await answer(
            fake,
            chunk(nonce, 0, 2, 1),
            chunk(nonce, 0, 2, 1),  # again
            chunk(nonce, 1, 3, 2),  # another count
            chunk(nonce, 2, 2, 2),  # past the end
            chunk(nonce, -1, 2, 2),
            {**chunk(nonce, 1, 2, 2), "chunk_index": "1"},
            {**chunk(nonce, 1, 2, 2), "chunk_count": 0},
            {**chunk(nonce, 1, 2, 2), "guild_id": None},
        )
        await wait_all_tasks_blocked()
        assert not asking.over
        await answer(fake, chunk(nonce, 1, 2, 2))
        await wait_all_tasks_blocked()
        assert numbers(asking.result.members) == [1, 2]


# -- the session -------------------------------------------------------------------------------------------------------


@conforms("P38", "P60")
async def test_a_request_goes_on_while_its_session_is_resumed(autojump_clock: MockClock) -> None:
    """P60, P38: what was missed is replayed, and the time without progress does not run meanwhile."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="", patience=5, timeout=300))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await answer(fake, chunk(nonce, 0, 3, 1))
        fake.drop()
        await answer(fake, chunk(nonce, 1, 3, 2))
        await shard.wait_for("resuming")
        await shard.wait_for("ready")
        await trio.sleep(4.9)
        assert not asking.over
        await answer(fake, chunk(nonce, 2, 3, 3))
        await wait_all_tasks_blocked()
        assert numbers(asking.result.members) == [1, 2, 3]
        assert (fake.identifies, fake.resumes) == (1, 1)


async def test_the_time_without_progress_begins_anew_with_resumed(autojump_clock: MockClock) -> None:
    async with (
        gateway(script=[Connection(), Connection(resumed=Delay(20))]) as fake,
        ready(fake) as shard,
        trio.open_nursery() as nursery,
    ):
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="", patience=5, timeout=300))
        await asked(fake, MEMBERS)
        fake.drop()
        await shard.wait_for("resuming")
        await shard.wait_for("ready")
        resumed_at = trio.current_time()
        await trio.sleep(10)
        assert isinstance(asking.error, RequestTimedOut)
        assert asking.ended_at == resumed_at + 5


async def test_what_came_while_the_event_loop_was_blocked_is_not_late(autojump_clock: MockClock) -> None:
    """I23: the chunk lies in the socket when the time is over."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="a", patience=5))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await wait_all_tasks_blocked()
        fake.perform(Dispatch("GUILD_MEMBERS_CHUNK", chunk(nonce, 0, 1, 1)))
        autojump_clock.jump(6)
        await wait_all_tasks_blocked()
        assert numbers(asking.result.members) == [1]


@conforms("P60")
async def test_a_request_of_a_session_that_is_gone_ends_at_once(autojump_clock: MockClock) -> None:
    """P60."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query=""))
        await asked(fake, MEMBERS)
        began = trio.current_time()
        fake.invalidate()
        await wait_all_tasks_blocked()
        assert isinstance(asking.error, RequestLost)
        assert asking.ended_at == began


@conforms("P60")
async def test_a_request_whose_turn_has_not_come_waits_on_for_the_next_session(autojump_clock: MockClock) -> None:
    """It was never asked on the session that is gone, so nothing is lost with it."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        for _ in range(116):
            await shard.send(RequestChannelInfo(GUILD))
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="", wait=200, timeout=300))
        await trio.sleep(1)
        assert payloads(fake, MEMBERS) == []
        fake.invalidate()
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await answer(fake, chunk(nonce, 0, 1, 1))
        await wait_all_tasks_blocked()
        assert numbers(asking.result.members) == [1]
        assert fake.identifies == 2


@conforms("P60")
async def test_with_retry_a_request_is_made_again_on_the_next_session(autojump_clock: MockClock) -> None:
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="a", retry=True))
        first = (await asked(fake, MEMBERS))["nonce"]
        await answer(fake, chunk(first, 0, 2, 1))
        fake.invalidate()
        second = (await asked(fake, MEMBERS, 2))["nonce"]
        await answer(fake, chunk(first, 1, 2, 66), chunk(second, 0, 1, 2))
        await wait_all_tasks_blocked()
        assert numbers(asking.result.members) == [2]


@pytest.mark.parametrize("code", [4001, 4002])
async def test_what_the_gateway_closed_on_is_not_sent_again(autojump_clock: MockClock, code: int) -> None:
    """Protocol section 3.1: only what was begun goes on."""
    async with gateway() as fake, ready(fake) as shard, trio.open_nursery() as nursery:
        begun = begin(nursery, lambda: shard.request_members(GUILD, query="a"))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await answer(fake, chunk(nonce, 0, 2, 1))
        mute = begin(nursery, lambda: shard.request_members(GUILD, query="b"))
        await asked(fake, MEMBERS, 2)
        fake.close(code)
        await shard.wait_for("resuming")
        await shard.wait_for("ready")
        assert isinstance(mute.error, RequestLost)
        assert str(code) in str(mute.error)
        await answer(fake, chunk(nonce, 1, 2, 2))
        await wait_all_tasks_blocked()
        assert numbers(begun.result.members) == [1, 2]
        assert len(payloads(fake, MEMBERS)) == 2


@pytest.mark.parametrize("verb", ["stop", "leave"])
async def test_a_request_ends_with_its_shard(autojump_clock: MockClock, verb: str) -> None:
    async with gateway() as fake, trio.open_nursery() as nursery:
        async with ready(fake) as shard:
            asking = begin(nursery, lambda: shard.request_members(GUILD, query=""))
            await asked(fake, MEMBERS)
            if verb == "stop":
                await shard.stop()
        await wait_all_tasks_blocked()
        assert isinstance(asking.error, RequestLost)


@conforms("P60")
async def test_a_request_can_wait_for_a_session(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake, intents=INTENTS) as shard, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: shard.request_members(GUILD, query="", wait=30))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        await answer(fake, chunk(nonce, 0, 1, 1))
        await wait_all_tasks_blocked()
        assert numbers(asking.result.members) == [1]


# -- bounds ------------------------------------------------------------------------------------------------------------


async def test_requests_without_an_answer_are_bounded(autojump_clock: MockClock) -> None:
    limits = CommandLimits(requests=2)
    async with gateway() as fake, ready(fake, limits=limits) as shard, trio.open_nursery() as nursery:
        running = [begin(nursery, lambda: shard.request_members(GUILD, query="a")) for _ in range(2)]
        await asked(fake, MEMBERS, 2)
        with pytest.raises(TooManyCommands):
            await shard.request_members(GUILD, query="a")
        running[0].scope.cancel()
        await wait_all_tasks_blocked()
        async with shard.member_chunks(GUILD, query="a"):
            pass
        running[1].scope.cancel()


async def test_what_one_request_gathers_is_bounded(autojump_clock: MockClock) -> None:
    async with (
        gateway() as fake,
        ready(fake, limits=CommandLimits(answer_bytes=1000)) as shard,
        trio.open_nursery() as nursery,
    ):
        asking = begin(nursery, lambda: shard.request_members(GUILD, query=""))
        nonce = (await asked(fake, MEMBERS))["nonce"]
        for index in range(20):
            await answer(fake, chunk(nonce, index, 20, index))
            await wait_all_tasks_blocked()
        assert isinstance(asking.error, AnswerTooLarge)
        assert "member_chunks" in str(asking.error)


async def test_what_waits_for_a_slow_iteration_is_bounded(autojump_clock: MockClock) -> None:
    limits = CommandLimits(answer_bytes=1000)
    async with (
        gateway() as fake,
        ready(fake, limits=limits) as shard,
        shard.member_chunks(GUILD, query="") as chunks,
    ):
        nonce = (await asked(fake, MEMBERS))["nonce"]
        for index in range(200):
            await answer(fake, chunk(nonce, index, 200, index))
            await wait_all_tasks_blocked()
            if index < 100:
                assert (await anext(chunks)).index == index
        assert sum(pending.waiting for pending in shard._commands().book._by_nonce.values()) <= 1000
        with pytest.raises(AnswerTooLarge):
            async for _ in chunks:
                pass


@pytest.mark.parametrize("wrong", [{"commands": 0}, {"requests": True}, {"answer_bytes": 1.5}])
def test_bounds_that_make_no_sense_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        CommandLimits(**wrong)
