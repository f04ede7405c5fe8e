"""How a byte stream to the gateway is opened: TCP to the fastest of its addresses, then checked TLS."""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Iterator

import trio

from gatewright.spec.events import ConnectError
from gatewright.transport.seams import ConnectionUnavailable
from gatewright.transport.urls import GatewayUrl


class TcpStreamOpener:
    """A :class:`~gatewright.transport.seams.StreamOpener` that connects directly.

    Args:
        ssl_context: for another set of trusted authorities. By default the system's are trusted, the certificate and
            its host name are checked, and one context serves every connection of the process; it is made on first use.
        happy_eyeballs_delay: seconds until the next address of a name is tried while the last one has not answered
            (RFC 8305).
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None, happy_eyeballs_delay: float = 0.25) -> None:
        self._ssl_context = ssl_context
        self._happy_eyeballs_delay = happy_eyeballs_delay

    async def __call__(self, url: GatewayUrl) -> trio.abc.Stream:
        """Connect; see :class:`~gatewright.transport.seams.StreamOpener`. The stream has ``TCP_NODELAY`` set.

        Raises:
            ConnectionUnavailable: ``NETWORK`` when no address could be reached, ``TLS`` when the certificate is refused
                or the peer does not speak TLS.
        """
        try:
            # trio sets TCP_NODELAY by itself.
            tcp = await trio.open_tcp_stream(url.host, url.port, happy_eyeballs_delay=self._happy_eyeballs_delay)
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA refuses
            failure = ConnectionUnavailable(ConnectError.NETWORK, f"{url.authority}: {_describe(error)}")
        else:
            if not url.secure:
                return tcp
            try:
                return await self._handshake(tcp, url)
            except trio.BrokenResourceError as error:
                failure = _tls_failure(url, error)
        # Outside of the handlers: the cause is told in one line, and a chain would only repeat it with more frames.
        raise failure

    async def _handshake(self, tcp: trio.SocketStream, url: GatewayUrl) -> trio.abc.Stream:
        # https_compatible: an end of the stream without close_notify counts as its end, and closing does not write.
        # Discord's edge ends that way; truncation cannot deceive us, because websocket frames have lengths and a close
        # of their own; and an abort must not depend on a peer that reads.
        tls = trio.SSLStream(
            tcp,
            self._ssl_context or default_ssl_context(),
            server_hostname=url.host,
            https_compatible=True,
        )
        try:
            await tls.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(tcp)
            raise
        return tls


@functools.cache
def default_ssl_context() -> ssl.SSLContext:
    """The context that every connection shares: the system's authorities, host names checked, TLS 1.2 or later.

    Made once, on first use: loading the authorities takes tens of milliseconds.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _tls_failure(url: GatewayUrl, error: trio.BrokenResourceError) -> ConnectionUnavailable:
    cause = error.__cause__
    match cause:
        case ssl.SSLCertVerificationError():
            return ConnectionUnavailable(ConnectError.TLS, f"{url.authority}: {cause.verify_message}")
        case ssl.SSLError():
            reason = cause.reason or "the handshake failed"
            return ConnectionUnavailable(ConnectError.TLS, f"{url.authority}: {reason}")
        case _:
            reason = _describe(cause) if cause is not None else "the connection ended in the TLS handshake"
            return ConnectionUnavailable(ConnectError.NETWORK, f"{url.authority}: {reason}")


def _describe(error: BaseException) -> str:
    """One line for each different reason in `error`, which may be a group of them: one for each address tried."""
    return ", ".join(dict.fromkeys(_reasons(error)))


def _reasons(error: BaseException) -> Iterator[str]:
    match error:
        case BaseExceptionGroup():
            for inner in error.exceptions:
                yield from _reasons(inner)
        case OSError(errno=int(number)) if number > 0:
            yield os.strerror(number)
        case OSError() if error.__cause__ is not None:
            yield from _reasons(error.__cause__)
        case OSError():
            yield error.strerror or str(error)
        case _:
            yield "the name cannot be looked up"
