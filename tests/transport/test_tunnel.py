"""Tunnels, against proxies that a test plays by hand: what is asked for, and what becomes of every bad answer."""

import base64
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
import trustme

from gatewright.spec.events import ConnectError
from gatewright.transport.seams import ConnectionUnavailable
from gatewright.transport.streams import TcpStreamOpener
from gatewright.transport.urls import GatewayUrl, parse_gateway_url
from tests.support.conforms import conforms
from tests.support.threads import PATIENCE, tls_contexts
from tests.transport.loopback import serve

pytestmark = pytest.mark.sockets

GATEWAY = parse_gateway_url("ws://127.0.0.1:4321/")
NAMED = GatewayUrl("ws", "gateway.example", 443)
"""Without TLS, so that a tunnel's first bytes are to be seen."""

Reader = Callable[[trio.abc.Stream], Awaitable[bytes]]


async def head(stream: trio.abc.Stream) -> bytes:
    """An HTTP request."""
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += bytes(await stream.receive_some())
    return received


async def exactly(stream: trio.abc.Stream, count: int) -> bytes:
    received = b""
    while len(received) < count:
        received += bytes(await stream.receive_some(count - len(received)))
    return received


async def through(
    scheme: str,
    handler: Callable[[trio.SocketStream], Awaitable[None]],
    url: GatewayUrl = GATEWAY,
    credentials: str = "",
    closed: trio.Event | None = None,
) -> bytes:
    """Opens a tunnel through a proxy that does what `handler` does, and gives the first bytes out of it.

    After a failure it waits for `closed`.
    """
    result: bytes | ConnectionUnavailable = b""
    async with serve(handler) as port:
        try:
            with trio.fail_after(PATIENCE):
                stream = await TcpStreamOpener(proxy=f"{scheme}://{credentials}127.0.0.1:{port}")(url)
                result = bytes(await stream.receive_some())
                await stream.aclose()
        except ConnectionUnavailable as unavailable:
            result = unavailable
            if closed is not None:  # nothing of the socket is left
                with trio.fail_after(PATIENCE):
                    await closed.wait()
    if isinstance(result, ConnectionUnavailable):
        raise result  # not through the server's nursery, which would put it into a group
    return result


async def failure(scheme: str, answer: bytes, *, credentials: str = "") -> ConnectionUnavailable:
    """What an opener says of a proxy that answers the first bytes with `answer`, and hangs up."""
    closed = trio.Event()

    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        with suppress(trio.BrokenResourceError):
            await stream.send_all(answer)
            await stream.send_eof()
            while await stream.receive_some():
                pass
        closed.set()

    with pytest.raises(ConnectionUnavailable) as refused:
        await through(scheme, handler, credentials=credentials, closed=closed)
    assert refused.value.error is ConnectError.PROXY
    assert refused.value.reason.startswith("127.0.0.1:4321 through the proxy 127.0.0.1:")
    assert refused.value.__context__ is None
    return refused.value


# -- HTTP --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("credentials", "pair"), [("", None), ("al:p%40ss%3A%2F@", b"al:p@ss:/"), ("j%C3%B6@", "j\u00f6:".encode())]
)
async def test_a_connect_request_is_the_one_of_the_rfc(credentials: str, pair: bytes | None) -> None:
    asked = b""

    async def handler(stream: trio.SocketStream) -> None:
        nonlocal asked
        asked = await head(stream)
        await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(b"hello")

    assert await through("http", handler, NAMED, credentials) == b"hello"
    lines = asked.decode().split("\r\n")
    assert lines[0] == "CONNECT gateway.example:443 HTTP/1.1"
    assert "Host: gateway.example:443" in lines
    sent = [line for line in lines if line.startswith("Proxy-Authorization")]
    assert sent == ([] if pair is None else [f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}"])


async def test_an_answer_that_comes_in_pieces_is_put_together() -> None:
    async def handler(stream: trio.SocketStream) -> None:
        await head(stream)
        for piece in (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 20", b"0 OK\r\nVia: x", b"\r\nX-Y: z\r\n", b"\r\n"):
            await stream.send_all(piece)
            await trio.sleep(0.01)
        await trio.sleep(0.05)
        await stream.send_all(b"hello")

    assert await through("http", handler) == b"hello"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Authentication Required\r\n\r\n", "it wants credentials (HTTP 407); give them as"),
        (b"HTTP/1.1 403 Filtered\r\n\r\n<html>", "it does not allow this connection (HTTP 403)"),
        (b"HTTP/1.1 503 Unavailable\r\n\r\n", "it cannot reach the destination (HTTP 503)"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", "it answered HTTP 302 instead of 200"),
        (b"", "it hung up before it answered"),
        (b"HTTP/1.1 200 OK\r\nVia", "it hung up before it answered"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "its answer cannot be understood"),
        (b"\x05\xff", "its answer cannot be understood"),
        (bytes(range(256)) * 100, "its answer cannot be understood"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "its answer cannot be understood"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "its answer cannot be understood"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "it sent bytes of its own behind its answer"),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_an_http_proxy_that_opens_no_tunnel_is_a_failure_in_words(answer: bytes, words: str) -> None:
    assert words in (await failure("http", answer)).reason


async def test_refused_credentials_are_in_no_traceback() -> None:
    refused = await failure("http", b"HTTP/1.1 407 No\r\n\r\n", credentials="alice:hunter2@")
    assert "it refused the credentials" in refused.reason
    lines = traceback.TracebackException.from_exception(refused, capture_locals=True).format()
    told = "".join(line for part in lines for line in part.splitlines(True) if "credentials = " not in line)
    assert "hunter2" not in told
    assert base64.b64encode(b"alice:hunter2").decode() not in told


# -- SOCKS5 ------------------------------------------------------------------------------------------------------------


async def play_socks(stream: trio.SocketStream) -> bytes:
    """The server's side without credentials; gives the request and opens nothing."""
    greeting = await exactly(stream, 3)
    assert greeting == b"\5\1\0"
    await stream.send_all(b"\5\0")
    request = await exactly(stream, 5)
    length = {1: 4, 3: request[4] + 1, 4: 16}[request[3]] + 2
    return request + await exactly(stream, length - 1)


class Resolver(trio.abc.HostnameResolver):
    """Knows one address for every name, and writes down which names it was asked for."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    async def getaddrinfo(self, host: object, *args: object, **kwargs: object) -> list[object]:  # type: ignore[override]
        self.asked.append(host)
        return [(2, 1, 6, "", ("192.0.2.7", 0))]

    async def getnameinfo(self, *args: object, **kwargs: object) -> tuple[str, str]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("scheme", "address", "asked"),
    [
        ("socks5h", b"\3\x0fgateway.example", []),
        ("socks5", b"\1\xc0\0\2\7", [b"gateway.example"]),
    ],
)
async def test_a_name_is_looked_up_where_the_scheme_says(scheme: str, address: bytes, asked: list[bytes]) -> None:
    resolver = Resolver()
    trio.socket.set_custom_hostname_resolver(resolver)
    requested = b""

    async def handler(stream: trio.SocketStream) -> None:
        nonlocal requested
        requested = await play_socks(stream)
        await stream.send_all(b"\5\0\0\1\0\0\0\0\0\0hello")

    assert await through(scheme, handler, NAMED) == b"hello"
    assert requested == b"\5\1\0" + address + (443).to_bytes(2, "big")
    names = [name.encode() if isinstance(name, str) else name for name in resolver.asked]
    assert [name for name in names if name != b"127.0.0.1"] == asked


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\5\0\5\5\0", "Connection refused by destination host"),
        (b"\5\0\5\2\0", "Connection not allowed by ruleset"),
        (b"\5\xff", "No acceptable authentication methods"),
        (b"\5\2", "authentication method"),
        (b"\5\x77", "authentication method"),
        (b"", "Connection closed unexpectedly"),
        (b"\5\0\5\0\0\1\1", "Connection closed unexpectedly"),
        (b"\5\0\5\0\0\x09", "address type"),
        (b"\5\0\5\0\0\3\2\xff\xff\0\0", "its answer cannot be understood"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Unexpected SOCKS version number"),
    ],
    ids=repr,
)
async def test_a_socks_proxy_that_opens_no_tunnel_is_a_failure_in_words(answer: bytes, words: str) -> None:
    assert words in (await failure("socks5h", answer)).reason


# -- both --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
async def test_a_proxy_that_never_answers_is_waited_for_until_the_caller_has_enough(scheme: str) -> None:
    """The state `connecting` has a deadline, and the opener none of its own."""
    heard, closed = trio.Event(), trio.Event()

    async def handler(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                heard.set()
        closed.set()

    async with serve(handler) as port:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(TcpStreamOpener(proxy=f"{scheme}://127.0.0.1:{port}"), GATEWAY)
            with trio.fail_after(PATIENCE):
                await heard.wait()
            nursery.cancel_scope.cancel()
        with trio.fail_after(PATIENCE):
            await closed.wait()


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_a_tunnel_that_breaks_in_the_tls_handshake_is_a_network_failure(scheme: str) -> None:
    async def handler(stream: trio.SocketStream) -> None:
        if scheme == "http":
            await head(stream)
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            await play_socks(stream)
            await stream.send_all(b"\5\0\0\1\0\0\0\0\0\0")
        await stream.receive_some(1)
        stream.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: close with a reset

    with pytest.raises(ConnectionUnavailable, match="reset") as refused:
        await through(scheme, handler, GatewayUrl("wss", "gateway.example", 443))
    assert refused.value.error is ConnectError.NETWORK


async def test_an_https_proxy_hides_the_credentials_and_is_checked_by_its_name() -> None:
    server, client = tls_contexts()
    asked: list[bytes] = []

    async def handler(tcp: trio.SocketStream) -> None:
        stream = trio.SSLStream(tcp, server, server_side=True, https_compatible=True)
        with suppress(trio.BrokenResourceError):
            asked.append(await head(stream))
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
            await trio.sleep(0.05)
            await stream.send_all(b"hello")

    async with serve(handler) as port:
        opener = TcpStreamOpener(proxy=f"https://al:pass@127.0.0.1:{port}", ssl_context=client)
        stream = await opener(GATEWAY)
        assert await stream.receive_some() == b"hello"
        await stream.aclose()
        stranger = TcpStreamOpener(proxy=f"https://al:pass@127.0.0.1:{port}")
        with pytest.raises(ConnectionUnavailable, match="issuer") as refused:
            await stranger(GATEWAY)
    assert refused.value.error is ConnectError.PROXY
    assert len(asked) == 1


@conforms("P07")
async def test_tls_with_the_gateway_runs_inside_the_tls_of_an_https_proxy() -> None:
    authority = trustme.CA()
    outer, client = tls_contexts()
    inner, _ = tls_contexts("gateway.example")
    authority.issue_cert("gateway.example").configure_cert(inner)  # pyright: ignore[reportUnknownMemberType]
    authority.configure_trust(client)  # pyright: ignore[reportUnknownMemberType]

    async def handler(tcp: trio.SocketStream) -> None:
        proxy = trio.SSLStream(tcp, outer, server_side=True, https_compatible=True)
        await head(proxy)
        await proxy.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        gateway = trio.SSLStream(proxy, inner, server_side=True, https_compatible=True)
        await gateway.send_all(b"hello")
        await gateway.receive_some()

    async with serve(handler) as port:
        opener = TcpStreamOpener(proxy=f"https://127.0.0.1:{port}", ssl_context=client)
        stream = await opener(GatewayUrl("wss", "gateway.example", 443))
        assert await stream.receive_some() == b"hello"
        await stream.aclose()
