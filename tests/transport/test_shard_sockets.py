"""The driver on real sockets: what only a kernel does, and metadata over real HTTP."""

import socket

import pytest
import trio

from gatewright.harness.fake import (
    Amend,
    Answer,
    Connection,
    Dark,
    Delay,
    Drop,
    FakeGateway,
    MetadataRequested,
    Raw,
    Send,
    Withhold,
)
from gatewright.harness.fake.script import MetadataPlan
from gatewright.spec.protocol import Opcode
from gatewright.spec.session import Metadata
from gatewright.spec.settings import Settings
from gatewright.spec.states import Cause, State
from gatewright.transport.errors import ConnectionLost, MetadataRefused, ShardFailed
from gatewright.transport.metadata import HttpMetadataSource, StaticMetadataSource
from gatewright.transport.shard import Shard
from gatewright.transport.token import Token
from gatewright.transport.urls import GatewayUrl
from tests.support.conforms import conforms
from tests.support.ports import free_port
from tests.support.shards import INTENTS, TOKEN, close_codes, gateway, handshakes
from tests.support.threads import PATIENCE

pytestmark = pytest.mark.sockets

QUICK = Settings(retry_base=0.05)
"""No deadline that a busy machine could reach before what it is for."""


def shard_at(fake: FakeGateway, **options: object) -> Shard:
    given = {"metadata": StaticMetadataSource(Metadata(url=fake.url)), "settings": QUICK, **options}
    return Shard(TOKEN, intents=INTENTS, **given)  # type: ignore[arg-type] # of each option its own


async def ready(shard: Shard) -> None:
    with trio.fail_after(PATIENCE):
        await shard.wait_for("ready")


# -- sockets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [True, False], ids=["RST", "FIN"])
async def test_a_connection_that_ends_is_resumed(reset: bool) -> None:
    async with gateway(listen=True) as fake, shard_at(fake) as shard:
        await ready(shard)
        fake.drop(reset=reset)
        await shard.wait_for("resuming")
        await ready(shard)
        assert handshakes(fake) == ["identify", "resume"]


@conforms("P49")
async def test_the_close_frame_of_a_stop_arrives() -> None:
    async with gateway(listen=True) as fake:
        async with shard_at(fake) as shard:
            await ready(shard)
        assert (close_codes(fake), fake.open_connections) == ([1000], 0)


@conforms("P50")
async def test_the_close_frame_of_a_suspend_arrives_although_nobody_waits_for_its_answer() -> None:
    async with gateway(listen=True, script=[Connection(on_close=Withhold())]) as fake, shard_at(fake) as shard:
        await ready(shard)
        await shard.suspend()
        with trio.fail_after(PATIENCE):
            await fake.wait_until(lambda log: log.open_connections == 0)
        assert close_codes(fake) == [4900]


@pytest.mark.parametrize(
    "accept",
    [
        Answer(403),
        Answer(503, b"<html>"),
        (Raw(b"SSH-2.0-OpenSSH_9.6\r\n"), Drop()),
        Raw(bytes(range(256))),
        Drop(),
        Drop(reset=True),
    ],
    ids=["403", "503", "ssh", "bytes", "FIN", "RST"],
)
async def test_a_handshake_that_fails_is_made_again(accept: Answer) -> None:
    script = [Connection(accept=accept), Connection()]
    async with gateway(listen=True, script=script) as fake, shard_at(fake) as shard:
        await ready(shard)
        assert (handshakes(fake), fake.connections) == (["identify"], 2)


async def test_a_handshake_that_is_never_answered_is_made_again() -> None:
    settings = Settings(connect_timeout=3.0, retry_base=0.05)  # the second one needs none of it
    script = [Connection(accept=Dark()), Connection()]
    async with gateway(listen=True, script=script) as fake, shard_at(fake, settings=settings) as shard:
        await ready(shard)
        assert (handshakes(fake), fake.connections) == (["identify"], 2)


async def test_a_port_that_nobody_listens_on_is_tried_again() -> None:
    url = f"ws://127.0.0.1:{free_port()}/"
    async with gateway(listen=True) as fake:
        metadata = StaticMetadataSource(Metadata(url=url))
        async with shard_at(fake, metadata=metadata) as shard:
            with trio.fail_after(PATIENCE):
                await shard.wait_for("backing_off")
                await shard.wait_for("connecting")
                await shard.wait_for("backing_off")
            assert shard.snapshot().cause is Cause.CONNECT_FAILED


@conforms("P81")
async def test_a_large_message_comes_through() -> None:
    """READY of a large bot has megabytes; it comes in many reads."""
    text = '{"op":0,"s":2,"t":"GUILD_CREATE","d":{"name":"%s"}}' % ("x" * 5_000_000)
    async with (
        gateway(listen=True, guilds=0, script=[Connection(after_ready=Send(text))]) as fake,
        shard_at(fake) as shard,
    ):
        with trio.fail_after(PATIENCE):
            await anext(shard)
            assert len((await anext(shard)).data["name"]) == 5_000_000


async def test_a_server_that_does_not_read_is_left() -> None:
    """The kernel's buffers fill up, and a write blocks."""

    async def narrow(url: GatewayUrl) -> trio.abc.Stream:
        stream = await trio.open_tcp_stream(url.host, url.port)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return stream

    settings = Settings(write_timeout=1.0, final_close_timeout=0.4, retry_base=0.05)
    async with gateway(listen=True) as fake, shard_at(fake, settings=settings, opener=narrow) as shard:
        await ready(shard)
        connection = shard._running().connection
        assert connection is not None
        fake.go_dark(reading=False)
        payload = b'{"op":8,"d":"%s"}' % (b"x" * 1_500_000)
        with trio.fail_after(PATIENCE):
            with pytest.raises(ConnectionLost):
                await connection.outbox.send(Opcode.REQUEST_GUILD_MEMBERS, payload)  # larger than any command may be
            assert shard.snapshot().cause is Cause.WRITE_BLOCKED
            await shard.wait_for("resuming")


# -- metadata over HTTP ------------------------------------------------------------------------------------------------


def source(fake: FakeGateway, token: str = TOKEN) -> HttpMetadataSource:
    return HttpMetadataSource(Token(token), base_url=fake.metadata_url, timeout=0.25)


def falling_back_to(fake: FakeGateway) -> Settings:
    return Settings(metadata_timeout=0.6, fallback_url=fake.url, close_timeout=0.2, final_close_timeout=0.4)


@pytest.mark.parametrize(
    "plan",
    [
        (),
        Answer(503),
        Answer.rate_limited(0.2),
        Answer(200, b"not json"),
        Answer(200, {"url": 5}),
        Amend({"url": "http://elsewhere.example"}),
        Amend({"url": "ws://elsewhere.example"}),
        Amend(without=("session_start_limit",)),
        Answer(404),
        Drop(),
        Drop(reset=True),
        (Raw(b"SSH-2.0-OpenSSH_9.6\r\n"), Drop()),
        Delay(0.1),
        Delay(0.4),
        Withhold(),
    ],
    ids=str,
)
async def test_whatever_the_end_point_does_once_there_is_one_identify(plan: MetadataPlan) -> None:
    async with gateway(listen=True, metadata_script=[plan, ()]) as fake:
        async with shard_at(fake, metadata=source(fake), settings=falling_back_to(fake)) as shard:
            await ready(shard)
            assert (handshakes(fake), fake.connections) == (["identify"], 1)
        assert all(asked.token_matched for asked in fake.log.of(MetadataRequested))


@pytest.mark.parametrize("plan", [Withhold(), Answer(503), Answer(200, b"{"), Answer.rate_limited(600)], ids=str)
async def test_an_end_point_that_stays_broken_leaves_the_fallback(plan: MetadataPlan) -> None:
    async with (
        gateway(listen=True, metadata_script=[plan]) as fake,
        shard_at(fake, metadata=source(fake), settings=falling_back_to(fake)) as shard,
    ):
        await ready(shard)
        assert (handshakes(fake), fake.connections) == (["identify"], 1)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_is_a_clear_failure(status: int) -> None:
    async with gateway(listen=True, metadata_script=[Answer(status)]) as fake:
        with pytest.raises(MetadataRefused, match=str(status)):
            async with shard_at(fake, metadata=source(fake)) as shard:
                await ready(shard)
        assert fake.connections == 0


async def test_a_wrong_token_never_reaches_the_gateway() -> None:
    async with gateway(listen=True) as fake, shard_at(fake, metadata=source(fake, "another.token")) as shard:
        with pytest.raises(ShardFailed):
            await ready(shard)
        assert (shard.state, fake.connections) == (State.FAILED, 0)
