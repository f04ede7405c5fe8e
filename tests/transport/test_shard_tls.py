"""TLS under a shard: certificates are verified unless a context of one's own says otherwise."""

import pytest
import trio

from gatewright.harness.fake import Amend, Connection
from gatewright.spec.session import Metadata
from gatewright.spec.settings import Settings
from gatewright.spec.states import Cause
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.shard import Shard
from gatewright.transport.streams import TcpStreamOpener
from tests.support.conforms import conforms
from tests.support.shards import INTENTS, TOKEN, handshakes
from tests.support.threads import PATIENCE, gateway_in_a_thread, tls_contexts

pytestmark = pytest.mark.sockets

QUICK = Settings(close_timeout=0.2, final_close_timeout=0.5, retry_base=0.05)


def shard_at(url: str, opener: TcpStreamOpener | None) -> Shard:
    metadata = StaticMetadataSource(Metadata(url=url))
    return Shard(TOKEN, intents=INTENTS, metadata=metadata, opener=opener, settings=QUICK)


async def refused(shard: Shard) -> str:
    with trio.fail_after(PATIENCE):
        await shard.wait_for("backing_off")
    assert shard.snapshot().cause is Cause.CONNECT_FAILED
    (record,) = [record for record in shard.journal if record.event == "connect_failed"]
    return record.detail


@conforms("P07")
async def test_an_authority_that_nobody_trusts_is_refused_by_default() -> None:
    server, _ = tls_contexts()
    with gateway_in_a_thread(tls=server) as elsewhere:
        async with shard_at(elsewhere.url, None) as shard:
            assert "tls" in await refused(shard)
    assert elsewhere.fake.connections == 0


async def test_a_certificate_for_another_host_is_refused() -> None:
    server, client = tls_contexts("gateway.example")
    with gateway_in_a_thread(tls=server) as elsewhere:
        async with shard_at(elsewhere.url, TcpStreamOpener(ssl_context=client)) as shard:
            assert "tls" in await refused(shard)
    assert elsewhere.fake.connections == 0


async def test_a_context_of_ones_own_is_taken_and_resumes_as_well() -> None:
    server, client = tls_contexts()
    # Without a resume URL: the fake would name its port without TLS.
    script = [Connection(ready=Amend(without=("resume_gateway_url",)))]
    with gateway_in_a_thread(tls=server, script=script) as elsewhere:
        async with shard_at(elsewhere.url, TcpStreamOpener(ssl_context=client)) as shard:
            with trio.fail_after(PATIENCE):
                await shard.wait_for("ready")
                shard.reconnect()
                await shard.wait_for("resuming")
                await shard.wait_for("ready")
    assert handshakes(elsewhere.fake) == ["identify", "resume"]


@conforms("P07")
async def test_a_server_without_tls_is_refused() -> None:
    with gateway_in_a_thread() as elsewhere:
        async with shard_at(elsewhere.url.replace("ws://", "wss://"), None) as shard:
            await refused(shard)
    assert elsewhere.fake.identifies == 0
