"""How a byte stream to the gateway is opened: TCP to the fastest of its addresses or a proxy, then checked TLS."""

from __future__ import annotations

import ssl

import trio

from gatewright.spec.events import ConnectError
from gatewright.transport.proxy import Proxy, choose_proxy
from gatewright.transport.seams import ConnectionUnavailable
from gatewright.transport.tls import TlsFailure, default_ssl_context, describe, shake_hands
from gatewright.transport.tunnel import open_tunnel
from gatewright.transport.urls import GatewayUrl


class TcpStreamOpener:
    """A :class:`~gatewright.transport.seams.StreamOpener` over TCP, directly or through a proxy.

    Args:
        proxy: the way: a :class:`~gatewright.transport.proxy.Proxy` or its URL; ``"env"`` for what ``HTTPS_PROXY``,
            ``ALL_PROXY`` and ``NO_PROXY`` say when the opener is made; ``None`` for none, whatever they say.
        ssl_context: for another set of trusted authorities, or a certificate of one's own. By default the system's are
            trusted, the certificate and its host name are checked, and one context serves every connection of the
            process; it is made on first use. An ``https`` proxy is held to the same.
        happy_eyeballs_delay: seconds until the next address of a name is tried while the last one has not answered
            (RFC 8305).

    Raises:
        UnusableProxy: if the proxy cannot be used.
    """

    def __init__(
        self,
        *,
        proxy: Proxy | str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        happy_eyeballs_delay: float = 0.25,
    ) -> None:
        self._choose_proxy = choose_proxy(proxy)
        self._ssl_context = ssl_context
        self._happy_eyeballs_delay = happy_eyeballs_delay

    async def __call__(self, url: GatewayUrl) -> trio.abc.Stream:
        """Connect; see :class:`~gatewright.transport.seams.StreamOpener`. The stream has ``TCP_NODELAY`` set.

        Raises:
            ConnectionUnavailable: ``NETWORK`` when no address could be reached, ``PROXY`` when the proxy gives no way,
                ``TLS`` when the certificate is refused or the peer does not speak TLS.
        """
        failure: ConnectionUnavailable
        stream = await self._connect(url)
        if not url.secure:
            return stream
        try:
            return await shake_hands(stream, url.host, self._context())
        except TlsFailure as error:
            failure = ConnectionUnavailable(ConnectError.TLS, f"{url.authority}: {error}")
        except trio.BrokenResourceError as error:
            reason = (
                "the connection ended in the TLS handshake" if error.__cause__ is None else describe(error.__cause__)
            )
            failure = ConnectionUnavailable(ConnectError.NETWORK, f"{url.authority}: {reason}")
        # Outside of the handlers: the cause is told in one line, and a chain would only repeat it with more frames.
        raise failure

    async def _connect(self, url: GatewayUrl) -> trio.abc.Stream:
        delay = self._happy_eyeballs_delay
        proxy = self._choose_proxy(url)
        if proxy is not None:
            return await open_tunnel(proxy, url, ssl_context=self._context, happy_eyeballs_delay=delay)
        try:
            # trio sets TCP_NODELAY by itself.
            return await trio.open_tcp_stream(url.host, url.port, happy_eyeballs_delay=delay)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA refuses
            reason = describe(error)
        raise ConnectionUnavailable(ConnectError.NETWORK, f"{url.authority}: {reason}")

    def _context(self) -> ssl.SSLContext:
        return self._ssl_context or default_ssl_context()
