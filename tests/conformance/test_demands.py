"""Demands that no other test is about: what the engine hands on untouched, and what it waits for no longer."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gatewright.spec.protocol import Opcode
from gatewright.transport.answers import VoiceServer
from gatewright.transport.commands import Activity, UpdatePresence
from gatewright.transport.errors import RequestTimedOut
from gatewright.transport.shard import Shard
from gatewright.transport.urls import GatewayUrl
from tests.support.conforms import conforms
from tests.support.shards import collect, gateway, handshakes, payloads, shard_on, types

# What a cache has to understand, as the documentation says that it may look; the engine hands it on as it came.
ODD: dict[str, dict[str, Any]] = {
    "PRESENCE_UPDATE": {"user": {"id": "1", "username": 7}, "activities": "none", "status": None},
    "GUILD_CREATE": {"id": "2", "unavailable": True},
    "GUILD_DELETE": {"id": "2"},
    "THREAD_LIST_SYNC": {"guild_id": "2", "threads": [], "members": []},
    "CHANNEL_UPDATE": {"id": "3", "name": "___hidden___", "flags": 1 << 17},
    "GUILD_MEMBER_ADD": {"guild_id": "2", "user": {"id": "1"}},
    "MESSAGE_CREATE": {"id": "4", "content": "", "embeds": [], "attachments": [], "components": []},
    "INTERACTION_CREATE": {"id": "5", "type": 2, "token": "to answer by HTTP"},
}


@conforms("P32")
async def test_ready_waits_for_no_guild(autojump_clock: MockClock) -> None:
    """The guilds in READY are unavailable, and no event says that all are there: a bot in none is ready as well."""
    async with gateway(guilds=["11", "12"]) as fake, shard_on(fake, intents=0) as shard:
        await shard.wait_for("ready")
        (ready,) = await collect(shard, 1)
        assert ready.data["guilds"] == [{"id": "11", "unavailable": True}, {"id": "12", "unavailable": True}]
        assert not any(kind == "GUILD_CREATE" for kind in types([ready]))
        assert shard.state == "ready"


@conforms("P32")
async def test_guilds_follow_as_ordinary_dispatches(autojump_clock: MockClock) -> None:
    async with gateway(guilds=["11", "12"]) as fake, shard_on(fake) as shard:
        dispatches = await collect(shard, 3)
        assert types(dispatches) == ["READY", "GUILD_CREATE", "GUILD_CREATE"]
        assert [dispatch.data["id"] for dispatch in dispatches[1:]] == ["11", "12"]


@pytest.mark.parametrize("name", ODD)
@conforms("P78", "P82")
async def test_a_payload_is_handed_on_as_it_came(autojump_clock: MockClock, name: str) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await collect(shard, 1)
        await fake.dispatch(name, ODD[name])
        (dispatch,) = await collect(shard, 1)
        assert (dispatch.type, dispatch.data) == (name, ODD[name])
        assert shard.state == "ready"


@conforms("P95")
async def test_what_is_said_twice_is_handed_on_twice(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await collect(shard, 1)
        for _ in range(2):
            await fake.dispatch("GUILD_MEMBER_ADD", {"guild_id": "2", "user": {"id": "1"}})
        first, second = await collect(shard, 2)
        assert first.data == second.data
        assert (first.seq, second.seq) == (2, 3)


@conforms("P91")
async def test_sessions_of_one_pair_and_of_another_count_live_side_by_side(autojump_clock: MockClock) -> None:
    """A rolling change of the shard count: each session has a sequence of its own, and each costs an IDENTIFY."""
    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(3600))
        fake = await stack.enter_async_context(gateway(guilds=0))
        shards: list[Shard] = []
        for shard_id, shard_count in ((0, 1), (0, 1), (1, 2)):
            shard = await stack.enter_async_context(shard_on(fake, shard_id=shard_id, shard_count=shard_count))
            await shard.wait_for("ready")
            shards.append(shard)
            await trio.sleep(10)  # each has a gate of its own here, and the server has one for all
        await fake.dispatch("MESSAGE_CREATE", {"id": "1"}, session=fake.sessions[0].id)
        assert [dispatch.seq for dispatch in await collect(shards[0], 2)] == [1, 2]
        for session in fake.sessions:
            await fake.dispatch("TYPING_START", {}, session=session.id)
        assert [dispatch.seq for dispatch in await collect(shards[0], 1)] == [3]
        assert [dispatch.seq for dispatch in await collect(shards[1], 2)] == [1, 2]
        assert [dispatch.seq for dispatch in await collect(shards[2], 2)] == [1, 2]
        assert len({session.id for session in fake.sessions}) == 3
        assert [payload["shard"] for payload in payloads(fake, Opcode.IDENTIFY)] == [[0, 1], [0, 1], [1, 2]]


@conforms("A17")
async def test_what_ready_gave_outlives_a_resume(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await collect(shard, 1)
        before = shard.session
        assert before is not None
        for resumes in (1, 2):
            fake.drop()
            await shard.wait_for("resuming")
            await shard.wait_for("ready")
            assert handshakes(fake) == ["identify"] + ["resume"] * resumes
            after = shard.session
            assert after is not None
            assert (after.id, after.resume_url) == (before.id, before.resume_url)


class Wiretap(trio.abc.Stream):
    """A client's end of a stream that keeps every write."""

    def __init__(self, inner: trio.abc.Stream, writes: list[bytes]) -> None:
        self._inner, self._writes = inner, writes

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._writes.append(bytes(data))
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize("compress", ["none", "zlib-stream", "payload"])
@conforms("P57")
async def test_whatever_the_gateway_compresses_we_send_whole_text_frames(
    autojump_clock: MockClock, compress: str
) -> None:
    writes: list[bytes] = []
    async with gateway(guilds=0, heartbeat_interval=10) as fake:

        async def opener(url: GatewayUrl) -> trio.abc.Stream:
            return Wiretap(await fake.open_stream(url), writes)

        async with shard_on(fake, opener=opener, compress=compress) as shard:
            await shard.wait_for("ready")
            await shard.send(UpdatePresence(status="idle"))
            await trio.sleep(30)
            frames = list(writes[1:])
    assert writes[0].startswith(b"GET /")
    assert b"permessage-deflate" not in writes[0]
    # The first byte of a frame: FIN, no reserved bit (one would say that it is compressed), and the opcode of text.
    assert {frame[0] for frame in frames} == {0x81}
    assert len(frames) >= 4  # IDENTIFY, the presence, and heartbeats


def voice(channel: str | None, *, user: str) -> dict[str, Any]:
    return {"guild_id": "7", "channel_id": channel, "user_id": user, "session_id": "voice"}


@pytest.mark.parametrize("server_first", [False, True])
@conforms("P70")
async def test_joining_waits_for_both_answers_in_either_order(autojump_clock: MockClock, server_first: bool) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:
        await shard.wait_for("ready")
        (session,) = fake.sessions
        session_held = shard.session
        assert session_held is not None
        joined: list[VoiceServer] = []

        async def join() -> None:
            joined.append(await shard.join_voice("7", "70"))

        nursery.start_soon(join)
        await trio.sleep(1)
        answers: list[tuple[str, dict[str, Any]]] = [
            ("VOICE_STATE_UPDATE", voice("70", user=session_held.bot_id)),
            ("VOICE_SERVER_UPDATE", {"guild_id": "7", "token": "t", "endpoint": "voice.invalid:443"}),
        ]
        for event, data in reversed(answers) if server_first else answers:
            assert joined == []
            await fake.dispatch(event, data, session=session.id)
            await trio.sleep(1)
        assert [(server.endpoint, server.state.session_id) for server in joined] == [("voice.invalid:443", "voice")]


@conforms("P70", "A23")
async def test_joining_a_full_channel_ends(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        with trio.fail_after(60), pytest.raises(RequestTimedOut):
            await shard.join_voice("7", "70")


@conforms("P71")
async def test_a_voice_server_without_an_endpoint_is_waited_on(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:
        await shard.wait_for("ready")
        (session,) = fake.sessions
        held = shard.session
        assert held is not None
        joined: list[VoiceServer] = []

        async def join() -> None:
            joined.append(await shard.join_voice("7", "70"))

        nursery.start_soon(join)
        await trio.sleep(1)
        await fake.dispatch("VOICE_STATE_UPDATE", voice("70", user=held.bot_id), session=session.id)
        for token, endpoint in (("first", None), ("second", "voice.invalid")):
            assert joined == []
            server = {"guild_id": "7", "token": token, "endpoint": endpoint}
            await fake.dispatch("VOICE_SERVER_UPDATE", server, session=session.id)
            await trio.sleep(1)
        assert [(server.endpoint, server.token) for server in joined] == [("voice.invalid", "second")]


@conforms("P59")
async def test_of_many_presences_the_last_one_wins(autojump_clock: MockClock) -> None:
    """Five may leave in 20 s; of those that wait behind them only the newest is sent."""
    async with gateway(guilds=0) as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:
        await shard.wait_for("ready")
        for number in range(20):
            presence = UpdatePresence(activities=(Activity(str(number)),))
            nursery.start_soon(shard.update_presence, presence)
            await trio.sleep(0.01)
        await trio.sleep(60)
        sent = [payload["activities"][0]["name"] for payload in payloads(fake, Opcode.PRESENCE_UPDATE)]
        assert sent == ["0", "1", "2", "3", "4", "19"]


@pytest.mark.parametrize("changed", [False, True])
@conforms("P60", "A18")
async def test_after_a_resume_a_presence_is_sent_only_if_it_changed_meanwhile(
    autojump_clock: MockClock, changed: bool
) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:
        await shard.wait_for("ready")
        await shard.update_presence(UpdatePresence(status="idle"))
        await trio.sleep(120)
        fake.drop()
        await shard.wait_for("backing_off", "connecting")
        if changed:
            nursery.start_soon(shard.update_presence, UpdatePresence(status="dnd"))
        await shard.wait_for("ready")
        await trio.sleep(60)
        assert handshakes(fake) == ["identify", "resume"]
        sent = [payload["status"] for payload in payloads(fake, Opcode.PRESENCE_UPDATE)]
        assert sent == (["idle", "dnd"] if changed else ["idle"])


@conforms("P25")
async def test_the_client_is_named_by_keys_without_a_dollar(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        (identify,) = payloads(fake, Opcode.IDENTIFY)
        assert sorted(identify["properties"]) == ["browser", "device", "os"]
