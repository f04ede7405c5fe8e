"""Compression with the real driver: negotiated on every connection, new on every connection, and never fatal."""

from __future__ import annotations

from typing import cast
from urllib.parse import parse_qs, urlsplit

import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake import Bomb, Close, Connection, Corrupt, Dispatch, FakeGateway, Opened, Received, Split
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import KEEP_SESSION_CODE, Opcode
from gatewright.transport.inflate import MAX_MESSAGE_BYTES, Compression
from gatewright.transport.shard import Shard
from tests.support.compression import ALL, COMPRESSED, PAYLOAD, STREAMS, ZLIB, needs_zstd
from tests.support.conforms import conforms
from tests.support.shards import TOKEN, close_codes, collect, gateway, handshakes, path, shard_on, types

LONG = "long enough to be compressed whatever is negotiated " * 4


def queries(fake: FakeGateway) -> list[list[str]]:
    """The values of ``compress`` in the query of each connection."""
    return [parse_qs(urlsplit(opened.target).query).get("compress", []) for opened in fake.log.of(Opened)]


def identify_asks_for_compression(fake: FakeGateway) -> list[bool]:
    identifies = [seen.data for seen in fake.log.of(Received) if seen.op == Opcode.IDENTIFY]
    return [cast("dict[str, object]", data).get("compress", False) is True for data in identifies]


def violations(shard: Shard) -> list[str]:
    """What the machine was told of the compression, and where."""
    return [f"{record.state}: {record.detail}" for record in shard.journal if record.event == "protocol_violation"]


# -- all goes well -----------------------------------------------------------------------------------------------------


@ALL
@conforms("P74", "P75", "P76")
async def test_a_shard_becomes_ready_and_dispatches_arrive_unharmed(
    autojump_clock: MockClock, kind: Compression
) -> None:
    async with gateway(guilds=2) as fake, shard_on(fake, compress=kind.value) as shard:
        assert types(await collect(shard, 3)) == ["READY", "GUILD_CREATE", "GUILD_CREATE"]
        for number in range(20):
            await fake.dispatch("MESSAGE_CREATE", {"id": str(number), "content": LONG})
        dispatches = await collect(shard, 20)
        assert [dispatch.data for dispatch in dispatches] == [{"id": str(n), "content": LONG} for n in range(20)]
        await trio.sleep(120)
        assert (shard.state, fake.connections) == ("ready", 1)
        assert fake.heartbeats > 1


@ALL
@conforms("P73")
async def test_compression_is_asked_for_in_one_place_only(autojump_clock: MockClock, kind: Compression) -> None:
    """P73: in the query for a stream, in IDENTIFY for single payloads."""
    async with gateway() as fake, shard_on(fake, compress=kind) as shard:
        await shard.wait_for("ready")
        assert queries(fake) == [[] if kind.query is None else [kind.value]]
        assert identify_asks_for_compression(fake) == [kind is PAYLOAD]


@conforms("P04")
async def test_nothing_is_compressed_unless_it_is_asked_for(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        assert (queries(fake), identify_asks_for_compression(fake)) == ([[]], [False])


# -- a new connection has a new context --------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("how", ["drop", "reconnect", "suspend"])
@conforms("A19", "P36", "P77")
async def test_a_resume_negotiates_the_same_and_begins_with_a_new_context(
    autojump_clock: MockClock, kind: Compression, how: str
) -> None:
    """P36, P77: the server's stream begins anew, and ours has to as well."""
    async with gateway(guilds=0) as fake, shard_on(fake, compress=kind) as shard:
        await collect(shard, 1)
        await fake.dispatch("MESSAGE_CREATE", {"content": LONG})
        await collect(shard, 1)
        match how:
            case "drop":
                fake.drop()
            case "reconnect":
                fake.reconnect()
            case _:
                await shard.suspend()
                shard.connect()
        await fake.dispatch("MESSAGE_CREATE", {"content": LONG})
        assert types(await collect(shard, 2)) == ["MESSAGE_CREATE", "RESUMED"]
        await fake.dispatch("MESSAGE_CREATE", {"content": LONG})
        (after,) = await collect(shard, 1)
        assert after.data == {"content": LONG}
        assert violations(shard) == []
        assert handshakes(fake) == ["identify", "resume"]
        assert queries(fake) == 2 * [[] if kind.query is None else [kind.value]]


@COMPRESSED
async def test_a_session_from_elsewhere_resumes_compressed(autojump_clock: MockClock, kind: Compression) -> None:
    async with gateway(guilds=0) as fake:
        async with shard_on(fake, compress=kind) as first:
            await collect(first, 1)
            session = await first.suspend()
        assert session is not None
        await fake.dispatch("MESSAGE_CREATE", {"content": LONG})
        async with shard_on(fake, compress=kind, session=session) as second:
            assert types(await collect(second, 2)) == ["MESSAGE_CREATE", "RESUMED"]
            assert handshakes(fake) == ["identify", "resume"]


# -- frames ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [-1, -2, -3, -4, 0, 1, (1, 2, 3), (5, 5, -2)])
@conforms("P75")
async def test_a_zlib_stream_may_be_cut_into_any_frames(autojump_clock: MockClock, at: int | tuple[int, ...]) -> None:
    cut = Split(at)
    first = Connection(
        hello=cut, ready=cut, after_ready=(cut, Dispatch("ONE", {"n": 1}), cut, Dispatch("TWO", {"n": 2}))
    )
    async with gateway(guilds=0, script=[first]) as fake, shard_on(fake, compress="zlib-stream") as shard:
        _ready, one, two = await collect(shard, 3)
        assert [(one.type, one.data), (two.type, two.data)] == [("ONE", {"n": 1}), ("TWO", {"n": 2})]
        assert violations(shard) == []


# -- what cannot be inflated -------------------------------------------------------------------------------------------


@COMPRESSED
@conforms("P77")
async def test_a_corrupt_message_closes_keeping_the_session_and_comes_again_in_the_replay(
    autojump_clock: MockClock, kind: Compression
) -> None:
    damage = (Dispatch("BEFORE", {"text": LONG}), Corrupt(), Dispatch("LOST", {"text": LONG}), Dispatch("AFTER", {}))
    script = [Connection(after_ready=damage), Connection()]
    async with gateway(guilds=0, script=script) as fake, shard_on(fake, compress=kind) as shard:
        dispatches = await collect(shard, 5)
        assert types(dispatches) == ["READY", "BEFORE", "LOST", "AFTER", "RESUMED"]
        assert dispatches[2].data == {"text": LONG}
        assert handshakes(fake) == ["identify", "resume"]
        assert close_codes(fake) == [KEEP_SESSION_CODE]
        first = violations(shard)[0]
        assert first.startswith("ready: ")
        assert "corrupt_compression" in first
        assert path(shard)[7:] == [
            "draining",
            "backing_off",
            "connecting",
            "awaiting_hello",
            "resuming",
            "ready",
        ]


@STREAMS
@conforms("P77")
async def test_a_poisoned_stream_is_not_believed_again(autojump_clock: MockClock, kind: Compression) -> None:
    """What follows the damage on the same connection is void, even where it could be read."""
    damage = (Corrupt(), Dispatch("LOST", {}), Dispatch("FIRST", {}), Dispatch("SECOND", {}))
    script = [Connection(after_ready=damage), Connection()]
    async with gateway(guilds=0, script=script) as fake, shard_on(fake, compress=kind) as shard:
        dispatches = await collect(shard, 5)
        assert types(dispatches) == ["READY", "LOST", "FIRST", "SECOND", "RESUMED"]
        assert all(dispatch.replayed for dispatch in dispatches[1:])


@STREAMS
@pytest.mark.parametrize("step", ["hello", "ready"])
async def test_damage_before_there_is_a_session_leads_to_a_new_one(
    autojump_clock: MockClock, kind: Compression, step: str
) -> None:
    broken = Connection(hello=Corrupt()) if step == "hello" else Connection(ready=Corrupt())
    async with gateway(guilds=0, script=[broken, Connection()]) as fake, shard_on(fake, compress=kind) as shard:
        assert types(await collect(shard, 1)) == ["READY"]
        assert handshakes(fake) == (["identify"] if step == "hello" else ["identify", "identify"])
        assert fake.connections == 2
        assert close_codes(fake) == [KEEP_SESSION_CODE]


@COMPRESSED
async def test_a_bomb_closes_keeping_the_session(autojump_clock: MockClock, kind: Compression) -> None:
    script = [Connection(after_ready=Bomb(MAX_MESSAGE_BYTES + 1)), Connection()]
    async with gateway(guilds=0, script=script) as fake, shard_on(fake, compress=kind) as shard:
        assert types(await collect(shard, 2)) == ["READY", "RESUMED"]
        assert "too_large" in violations(shard)[0]
        assert close_codes(fake) == [KEEP_SESSION_CODE]


async def test_a_server_that_damages_every_connection_is_tried_ever_more_slowly(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(hello=Corrupt())]) as fake, shard_on(fake, compress="zlib-stream"):
        await trio.sleep(600)
        assert 5 < fake.connections < 60
        assert fake.max_open_connections == 1


async def test_a_close_after_damage_still_counts(autojump_clock: MockClock) -> None:
    """The reader goes on after what it cannot inflate: it must not miss the end of the connection."""
    script = [Connection(after_ready=(Corrupt(), Dispatch("LOST", {}), Close(4000))), Connection()]
    async with gateway(guilds=0, script=script) as fake, shard_on(fake, compress="zlib-stream") as shard:
        assert types(await collect(shard, 3)) == ["READY", "LOST", "RESUMED"]
        assert fake.max_open_connections == 1


# -- what a user asks for ----------------------------------------------------------------------------------------------


def test_a_compression_that_does_not_exist_is_refused_before_anything_happens() -> None:
    with pytest.raises(ConfigurationError, match="compress must be one of"):
        Shard(TOKEN, intents=0, compress="gzip")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@needs_zstd
def test_zstd_is_accepted_where_its_library_is() -> None:
    Shard(TOKEN, intents=0, compress="zstd-stream")


def test_zlib_is_accepted_anywhere() -> None:
    Shard(TOKEN, intents=0, compress=ZLIB)
