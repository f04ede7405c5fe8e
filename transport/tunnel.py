"""A byte stream through a proxy: HTTP CONNECT with h11, SOCKS5 with python-socks.

What fails on the way to or at the proxy has the kind ``PROXY``, so that nobody looks for it at Discord. No reason
repeats what the proxy sent, and the frames that hold credentials are left before an error is raised.
"""

from __future__ import annotations

import base64
import math
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

import h11
import trio

from gatewright.spec.events import ConnectError
from gatewright.transport.proxy import Proxy
from gatewright.transport.seams import ConnectionUnavailable
from gatewright.transport.tls import TlsFailure, describe, shake_hands
from gatewright.transport.urls import GatewayUrl, authority_of

if TYPE_CHECKING:
    from python_socks.async_.trio.v2 import Proxy as SocksProxy

_RECEIVE_BYTES: Final = 4096
_MAX_HEAD: Final = 16 * 1024
"""Bytes of an answer's head."""

_NOT_UNDERSTOOD: Final = "its answer cannot be understood; does it speak what the scheme of its URL says?"


class _Refused(Exception):
    """The proxy gives no tunnel; the text is for people."""


async def open_tunnel(
    proxy: Proxy, url: GatewayUrl, *, ssl_context: Callable[[], ssl.SSLContext], happy_eyeballs_delay: float
) -> trio.abc.Stream:
    """A stream to `url`'s host and port through `proxy`, before any TLS with that host.

    Args:
        proxy: the way.
        url: the destination.
        ssl_context: makes the context for an ``https`` proxy.
        happy_eyeballs_delay: as for a direct connection, towards the proxy.

    Raises:
        ConnectionUnavailable: ``PROXY``, with what the proxy said in our words.

    When cancelled, it closes what it had opened.
    """
    reason = ""
    try:
        if proxy.is_socks:
            return await _open_socks(proxy, url)
        return await _open_http(proxy, url, ssl_context, happy_eyeballs_delay)
    except (_Refused, TlsFailure) as error:
        reason = str(error)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA refuses
        reason = describe(error)
    except trio.BrokenResourceError as error:
        reason = "it broke the connection" if error.__cause__ is None else describe(error.__cause__)
    # Outside of the handlers: the frames below hold the credentials.
    raise ConnectionUnavailable(ConnectError.PROXY, f"{url.authority} through the proxy {proxy.authority}: {reason}")


# -- HTTP --------------------------------------------------------------------------------------------------------------


async def _open_http(
    proxy: Proxy, url: GatewayUrl, ssl_context: Callable[[], ssl.SSLContext], happy_eyeballs_delay: float
) -> trio.abc.Stream:
    tcp = await trio.open_tcp_stream(proxy.host, proxy.port, happy_eyeballs_delay=happy_eyeballs_delay)
    stream: trio.abc.Stream = tcp
    try:
        if proxy.scheme == "https":
            stream = await shake_hands(tcp, proxy.host, ssl_context())
        response = await _ask(stream, _connect_request(proxy, url))
        if not 200 <= response.status_code < 300:
            raise _Refused(_status(response.status_code, proxy))
    except BaseException:
        await trio.aclose_forcefully(tcp)
        raise
    return stream


def _connect_request(proxy: Proxy, url: GatewayUrl) -> h11.Request:
    target = authority_of(url.host, url.port)
    headers = [("Host", target)]
    credentials = proxy.reveal_credentials()
    if credentials is not None:
        pair = base64.b64encode(":".join(credentials).encode()).decode()  # UTF-8: RFC 7617, 2.1
        headers.append(("Proxy-Authorization", f"Basic {pair}"))
    return h11.Request(method="CONNECT", target=target, headers=headers)


async def _ask(stream: trio.abc.Stream, request: h11.Request) -> h11.Response:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    head = connection.send(request)
    assert head is not None
    await stream.send_all(head + (connection.send(h11.EndOfMessage()) or b""))
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            raise _Refused(_NOT_UNDERSTOOD) from None
        match event:
            case h11.NEED_DATA:
                data = await stream.receive_some(_RECEIVE_BYTES)
                if not data:
                    raise _Refused("it hung up before it answered")
                connection.receive_data(bytes(data))
            case h11.Response():
                if 200 <= event.status_code < 300 and connection.trailing_data[0]:
                    # The peer speaks second, under TLS and in HTTP; what comes before is not from it.
                    raise _Refused("it sent bytes of its own behind its answer")
                return event
            case _:
                pass  # a 1xx


def _status(status: int, proxy: Proxy) -> str:
    if status in {401, 407} and proxy.has_credentials:  # tinyproxy says 401 to wrong ones
        return f"it refused the credentials (HTTP {status})"
    if status in {401, 407}:
        return f"it wants credentials (HTTP {status}); give them as 'http://user:password@host:port'"
    if status in {403, 405}:
        return f"it does not allow this connection (HTTP {status})"
    if status >= 500:
        return f"it cannot reach the destination (HTTP {status})"
    return f"it answered HTTP {status} instead of 200"


# -- SOCKS -------------------------------------------------------------------------------------------------------------


async def _open_socks(proxy: Proxy, url: GatewayUrl) -> trio.abc.Stream:
    from python_socks import ProxyConnectionError, ProxyError

    try:
        # The state that waits for the connection has a limit, and the library a shorter or longer one otherwise.
        opened = await _socks_proxy(proxy).connect(url.host, url.port, timeout=math.inf)
        return cast("trio.abc.Stream", opened.trio_stream)  # pyright: ignore[reportUnknownMemberType] # half typed there
    except ProxyConnectionError as error:
        raise _Refused(describe(error.__cause__ or error)) from None
    except ProxyError as error:
        # Its texts are the library's own words, with numbers at most.
        raise _Refused(str(error)) from None
    except (OSError, trio.BrokenResourceError):
        raise
    except Exception:  # noqa: BLE001 - whatever it stumbled over, it came from the proxy
        raise _Refused(_NOT_UNDERSTOOD) from None


def _socks_proxy(proxy: Proxy) -> SocksProxy:
    from python_socks import ProxyType
    from python_socks.async_.trio.v2 import Proxy as SocksProxy

    username, password = proxy.reveal_credentials() or (None, None)
    return SocksProxy(ProxyType.SOCKS5, proxy.host, proxy.port, username, password, rdns=proxy.scheme == "socks5h")
