"""How streams are opened: TLS that refuses what it should, errors with a kind, and nothing left behind."""

import socket
import ssl
from typing import cast

import pytest
import trio
import trustme

from gatewright.spec.events import ConnectError
from gatewright.transport.seams import ConnectionUnavailable
from gatewright.transport.streams import TcpStreamOpener
from gatewright.transport.tls import default_ssl_context
from gatewright.transport.urls import GatewayUrl, parse_gateway_url
from tests.support.conforms import conforms
from tests.support.ports import free_port
from tests.support.threads import PATIENCE
from tests.transport.loopback import Handler, serve


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())


def speaking_tls(authority: trustme.CA, name: str, then: Handler | None = None) -> Handler:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    with authority.issue_cert(name).private_key_and_cert_chain_pem.tempfile() as path:
        context.load_cert_chain(path)

    async def handler(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            await tls.do_handshake()
            if then is None:
                await tls.send_all(b"hello")
                await tls.receive_some()
            else:
                await then(stream)
        except trio.BrokenResourceError:
            pass  # the client refused the certificate, as it should
        await trio.aclose_forcefully(tls)

    return handler


def at(port: int, scheme: str = "wss") -> GatewayUrl:
    return parse_gateway_url(f"{scheme}://127.0.0.1:{port}/")


@pytest.mark.sockets
@conforms("P07")
async def test_a_stream_over_tls_is_ready_to_use(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    async with serve(speaking_tls(authority, "127.0.0.1")) as port:
        stream = await TcpStreamOpener(ssl_context=trusting)(at(port))
        assert isinstance(stream, trio.SSLStream)
        assert await stream.receive_some() == b"hello"
        assert stream.version() in {"TLSv1.2", "TLSv1.3"}
        tcp = cast("trio.SSLStream[trio.SocketStream]", stream).transport_stream
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await stream.aclose()


@pytest.mark.sockets
async def test_a_stream_to_this_machine_may_be_without_tls() -> None:
    async def handler(stream: trio.SocketStream) -> None:
        await stream.send_all(b"hello")

    async with serve(handler) as port:
        stream = await TcpStreamOpener()(at(port, "ws"))
        assert isinstance(stream, trio.SocketStream)
        assert await stream.receive_some() == b"hello"
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await stream.aclose()


@pytest.mark.sockets
@conforms("P07")
async def test_a_certificate_of_an_unknown_authority_is_refused(authority: trustme.CA) -> None:
    async with serve(speaking_tls(authority, "127.0.0.1")) as port:
        with pytest.raises(ConnectionUnavailable, match="unable to get local issuer") as refused:
            await TcpStreamOpener()(at(port))
    assert refused.value.error is ConnectError.TLS
    assert f"127.0.0.1:{port}" in refused.value.reason


@pytest.mark.sockets
@conforms("P07")
async def test_a_certificate_of_another_host_is_refused(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    async with serve(speaking_tls(authority, "gateway.example.org")) as port:
        with pytest.raises(ConnectionUnavailable, match=r"not valid for '127\.0\.0\.1'") as refused:
            await TcpStreamOpener(ssl_context=trusting)(at(port))
    assert refused.value.error is ConnectError.TLS


@pytest.mark.sockets
async def test_a_peer_that_does_not_speak_tls_is_a_tls_failure() -> None:
    async def handler(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await stream.receive_some()

    async with serve(handler) as port:
        with pytest.raises(ConnectionUnavailable) as refused:
            await TcpStreamOpener()(at(port))
    assert refused.value.error is ConnectError.TLS


@pytest.mark.sockets
async def test_a_peer_that_hangs_up_in_the_handshake_is_a_failure_and_no_hang() -> None:
    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    async with serve(handler) as port:
        with pytest.raises(ConnectionUnavailable) as refused:
            await TcpStreamOpener()(at(port))
    assert refused.value.error in {ConnectError.TLS, ConnectError.NETWORK}


@pytest.mark.sockets
async def test_a_peer_that_resets_in_the_handshake_is_a_network_failure() -> None:
    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a reset

    async with serve(handler) as port:
        with pytest.raises(ConnectionUnavailable, match="reset") as refused:
            await TcpStreamOpener()(at(port))
    assert refused.value.error is ConnectError.NETWORK


@pytest.mark.sockets
async def test_a_port_that_nobody_listens_on_is_a_network_failure() -> None:
    port = free_port()
    with pytest.raises(ConnectionUnavailable, match="Connection refused") as refused:
        await TcpStreamOpener()(at(port))
    assert refused.value.error is ConnectError.NETWORK
    assert refused.value.reason.count("refused") == 1


class Resolver(trio.abc.HostnameResolver):
    """Answers every look-up with an error, without a network."""

    async def getaddrinfo(self, *args: object, **kwargs: object) -> list[object]:  # type: ignore[override]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *args: object, **kwargs: object) -> tuple[str, str]:
        raise NotImplementedError


async def test_a_name_that_does_not_exist_is_a_network_failure() -> None:
    trio.socket.set_custom_hostname_resolver(Resolver())
    with pytest.raises(ConnectionUnavailable, match="Name or service not known") as refused:
        await TcpStreamOpener()(parse_gateway_url("wss://gateway.invalid/"))
    assert refused.value.error is ConnectError.NETWORK
    assert refused.value.reason.startswith("gateway.invalid: ")


@pytest.mark.parametrize("host", ["a_b-", "xn--", "x" * 64, "\u00e9" * 64, "-"])
async def test_a_name_that_cannot_be_looked_up_is_a_failure_and_no_bug(host: str) -> None:
    trio.socket.set_custom_hostname_resolver(Resolver())
    with pytest.raises(ConnectionUnavailable) as refused:
        await TcpStreamOpener()(GatewayUrl("wss", host, 443))
    assert refused.value.error is ConnectError.NETWORK


@pytest.mark.sockets
async def test_a_connection_that_is_cancelled_in_the_handshake_is_closed() -> None:
    closed = trio.Event()

    async def handler(stream: trio.SocketStream) -> None:
        try:
            while await stream.receive_some():
                opening.cancel()
        except trio.BrokenResourceError:
            pass
        closed.set()

    async with serve(handler) as port:
        with trio.CancelScope() as opening:
            await TcpStreamOpener()(at(port))
        assert opening.cancelled_caught
        with trio.fail_after(PATIENCE):
            await closed.wait()


@pytest.mark.sockets
async def test_an_end_without_goodbye_reads_as_an_end(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.send_eof()
        await trio.sleep_forever()

    async with serve(speaking_tls(authority, "127.0.0.1", hang_up)) as port:
        stream = await TcpStreamOpener(ssl_context=trusting)(at(port))
        assert await stream.receive_some() == b""
        await stream.aclose()


@pytest.mark.sockets
async def test_closing_needs_no_answer_of_a_peer_that_is_dark(authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    async def sleep(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with serve(speaking_tls(authority, "127.0.0.1", sleep)) as port:
        stream = await TcpStreamOpener(ssl_context=trusting)(at(port))
        with trio.fail_after(PATIENCE):
            await stream.aclose()


@conforms("P07")
def test_the_default_context_checks_certificate_and_name_and_is_made_once() -> None:
    context = default_ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert default_ssl_context() is context
