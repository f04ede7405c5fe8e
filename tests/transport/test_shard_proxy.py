"""A shard behind a proxy, which is a program of its own: metadata and websocket go through it, or nothing does."""

import logging
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from gatewright.harness.fake import Amend, Connection
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.session import Metadata
from gatewright.spec.settings import Settings
from gatewright.spec.states import Cause
from gatewright.transport.metadata import HttpMetadataSource, StaticMetadataSource
from gatewright.transport.proxy import Proxy
from gatewright.transport.seams import MetadataUnavailable
from gatewright.transport.shard import Shard
from gatewright.transport.streams import TcpStreamOpener
from gatewright.transport.token import Token
from gatewright.transport.urls import parse_gateway_url
from tests.support.conforms import conforms
from tests.support.ports import free_port
from tests.support.proxies import PASSWORD, PROGRAMS, USER, Kind, RunningProxy, running_proxy
from tests.support.requires import requires
from tests.support.shards import INTENTS, TOKEN, handshakes
from tests.support.threads import PATIENCE, Elsewhere, gateway_in_a_thread, tls_contexts

pytestmark = pytest.mark.sockets

KINDS = [pytest.param(kind, marks=requires(PROGRAMS[kind])) for kind in PROGRAMS]
# What is counted here is each request once, so none may be given up because a proxy is slow.
QUICK = Settings(metadata_timeout=PATIENCE, connect_timeout=PATIENCE, close_timeout=0.2, retry_base=0.05)


@pytest.fixture(scope="module", params=KINDS)
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    kind: Kind = request.param
    folder: Path = tmp_path_factory.mktemp(kind)
    with running_proxy(kind, folder) as running:
        yield running


def port_of(url: str) -> int:
    return parse_gateway_url(url).port


def shard_at(elsewhere: Elsewhere, opener: TcpStreamOpener, **options: Any) -> Shard:
    """As `Shard(proxy=, tls=)` makes it, but for the address of the metadata."""
    metadata = source(elsewhere, opener)
    return Shard(TOKEN, intents=INTENTS, settings=QUICK, metadata=metadata, opener=opener, **options)


def source(elsewhere: Elsewhere, opener: TcpStreamOpener) -> HttpMetadataSource:
    return HttpMetadataSource(Token(TOKEN), base_url=metadata_url(elsewhere), opener=opener, timeout=PATIENCE)


def metadata_url(elsewhere: Elsewhere) -> str:
    return elsewhere.url.replace("ws", "http", 1).rstrip("/") + "/api/v10"


async def reaches_ready_and_resumes(shard: Shard) -> None:
    with trio.fail_after(PATIENCE):
        await shard.wait_for("ready")
        shard.reconnect()
        await shard.wait_for("resuming")
        await shard.wait_for("ready")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_metadata_and_every_connection_go_through_the_proxy(proxy: RunningProxy, tls: bool) -> None:
    server, client = tls_contexts()
    # Without a resume URL: the fake would name its port without TLS.
    script = [Connection(ready=Amend(without=("resume_gateway_url",)))]
    with gateway_in_a_thread(tls=server if tls else None, script=script) as elsewhere:
        elsewhere.fake.metadata_script = [Amend({"url": elsewhere.url})]
        opener = TcpStreamOpener(proxy=proxy.url, ssl_context=client)
        async with shard_at(elsewhere, opener) as shard:
            await reaches_ready_and_resumes(shard)
    assert handshakes(elsewhere.fake) == ["identify", "resume"]
    assert proxy.tunnels(port_of(elsewhere.url)) == 1 + 2  # one for metadata


async def test_the_parameters_of_a_shard_are_for_metadata_and_websocket(
    proxy: RunningProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = tls_contexts()
    script = [Connection(ready=Amend(without=("resume_gateway_url",)))]
    with gateway_in_a_thread(tls=server, script=script) as elsewhere:
        elsewhere.fake.metadata_script = [Amend({"url": elsewhere.url})]
        here = partial(HttpMetadataSource, base_url=metadata_url(elsewhere), timeout=PATIENCE)  # and not at Discord's
        monkeypatch.setattr("gatewright.transport.shard.HttpMetadataSource", here)
        async with Shard(TOKEN, intents=INTENTS, settings=QUICK, proxy=Proxy(proxy.url), tls=client) as shard:
            await reaches_ready_and_resumes(shard)
    assert proxy.tunnels(port_of(elsewhere.url)) == 1 + 2


@conforms("P07")
async def test_the_certificate_is_checked_for_the_gateway_and_not_for_the_proxy(proxy: RunningProxy) -> None:
    server, client = tls_contexts("gateway.example")
    with gateway_in_a_thread(tls=server) as elsewhere:
        opener = TcpStreamOpener(proxy=proxy.url, ssl_context=client)
        with pytest.raises(MetadataUnavailable, match=r"not valid for '127\.0\.0\.1'"):
            await source(elsewhere, opener).fetch()
        assert "not valid for '127.0.0.1'" in await refused(elsewhere, opener)
    assert (elsewhere.fake.connections, elsewhere.fake.metadata_requests) == (0, 0)


async def refused(elsewhere: Elsewhere, opener: TcpStreamOpener) -> str:
    """What the journal says of the first connection, which fails."""
    metadata = StaticMetadataSource(Metadata(url=elsewhere.url))
    async with Shard(TOKEN, intents=INTENTS, settings=QUICK, metadata=metadata, opener=opener) as shard:
        with trio.fail_after(PATIENCE):
            await shard.wait_for("backing_off")
        assert shard.snapshot().cause is Cause.CONNECT_FAILED
        return next(record.detail for record in shard.journal if record.event == "connect_failed")


WORDS: dict[Kind, dict[str, str]] = {
    "http": {"wrong": "it refused the credentials (HTTP 401)", "none": "it wants credentials (HTTP 407)"},
    "socks5h": {
        "wrong": "Username and password authentication failure",
        "none": "No acceptable authentication methods were offered",
    },
}


@pytest.mark.parametrize("given", ["wrong", "none"])
async def test_refused_credentials_are_said_and_not_shown(
    proxy: RunningProxy, given: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = proxy.bare_url.replace("//", f"//{USER}:hunter2@") if given == "wrong" else proxy.bare_url
    with caplog.at_level(logging.DEBUG), gateway_in_a_thread() as elsewhere:
        opener = TcpStreamOpener(proxy=url)
        with pytest.raises(MetadataUnavailable) as unavailable:
            await source(elsewhere, opener).fetch()
        detail = await refused(elsewhere, opener)
    for text in (unavailable.value.reason, detail):
        assert WORDS[proxy.kind][given] in text
        assert f"through the proxy 127.0.0.1:{proxy.port}" in text
    assert "proxy" in detail
    assert "hunter2" not in f"{unavailable.value!r} {detail} {caplog.text}"
    assert (elsewhere.fake.connections, elsewhere.fake.metadata_requests) == (0, 0)


async def test_the_right_credentials_are_nowhere_to_be_read(
    proxy: RunningProxy, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), gateway_in_a_thread() as elsewhere:
        async with shard_at(elsewhere, TcpStreamOpener(proxy=proxy.url)) as shard:
            with trio.fail_after(PATIENCE):
                await shard.wait_for("ready")
            told = " ".join([repr(shard), caplog.text, *(str(record.as_dict()) for record in shard.journal)])
    assert "gateway/bot" in caplog.text or "httpx" in caplog.text  # it was watched
    assert PASSWORD not in told


async def test_a_gateway_that_the_proxy_cannot_reach_is_the_proxys_failure(proxy: RunningProxy) -> None:
    url = f"ws://127.0.0.1:{free_port()}/"
    with gateway_in_a_thread() as elsewhere:
        elsewhere.url = url
        detail = await refused(elsewhere, TcpStreamOpener(proxy=proxy.url))
    words = {"http": "cannot reach the destination", "socks5h": "refused"}
    assert "proxy" in detail
    assert words[proxy.kind] in detail.lower()


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
async def test_a_proxy_that_is_down_is_tried_again(scheme: str) -> None:
    opener = TcpStreamOpener(proxy=f"{scheme}://127.0.0.1:{free_port()}")
    with gateway_in_a_thread() as elsewhere:
        assert "Connection refused" in await refused(elsewhere, opener)
    assert elsewhere.fake.connections == 0


async def test_the_environment_counts_when_it_is_asked_for(
    proxy: RunningProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    for given, tunnels in ((None, 0), ("env", 2)):  # by default it does not count, for metadata either
        with gateway_in_a_thread() as elsewhere:
            async with shard_at(elsewhere, TcpStreamOpener(proxy=given)) as shard:
                with trio.fail_after(PATIENCE):
                    await shard.wait_for("ready")
        assert proxy.tunnels(port_of(elsewhere.url)) == tunnels


def test_an_opener_of_ones_own_decides_about_proxy_and_tls() -> None:
    with pytest.raises(ConfigurationError, match="give them to it"):
        Shard(TOKEN, intents=INTENTS, opener=TcpStreamOpener(), proxy="http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="give them to it"):
        Shard(TOKEN, intents=INTENTS, opener=TcpStreamOpener(), tls=ssl.create_default_context())
