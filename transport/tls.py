"""TLS on a stream: whom to trust, the handshake, and in one line why it failed."""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Iterator

import trio


@functools.cache
def default_ssl_context() -> ssl.SSLContext:
    """The context that every connection shares: the system's authorities, host names checked, TLS 1.2 or later.

    Made once, on first use: loading the authorities takes tens of milliseconds.
    """
    context = ssl.create_default_context()
    # Some systems build Python so that their own policy for OpenSSL decides, which may allow less.
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsFailure(Exception):
    """The peer's certificate was refused, or it does not speak TLS; the text says which, in one line."""


async def shake_hands(stream: trio.abc.Stream, host: str, context: ssl.SSLContext) -> trio.abc.Stream:
    """TLS with `host` over `stream`, with its certificate checked as `context` says.

    Raises:
        TlsFailure: the certificate or the protocol.
        trio.BrokenResourceError: the stream broke or ended.

    Whatever it raises, the stream is closed.
    """
    # https_compatible: an end of the stream without close_notify counts as its end, and closing does not write.
    # Discord's edge ends that way; truncation cannot deceive us, because websocket frames have lengths and a close
    # of their own, and HTTP answers a length; and an abort must not depend on a peer that reads.
    tls = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
    try:
        await tls.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        match error.__cause__:
            case ssl.SSLCertVerificationError() as cause:
                raise TlsFailure(cause.verify_message) from None
            case ssl.SSLError() as cause:
                raise TlsFailure(cause.reason or "the handshake failed") from None
            case _:
                raise
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return tls


def describe(error: BaseException) -> str:
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
