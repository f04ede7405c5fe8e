"""A fake gateway in a thread of its own, on real sockets: it goes on while the loop of a test is blocked."""

from __future__ import annotations

import ssl
from typing import Any, TypeAlias

import trustme

from gatewright.harness.fake import GatewayThread
from tests.support.shards import gateway

Elsewhere: TypeAlias = GatewayThread


def gateway_in_a_thread(*, tls: ssl.SSLContext | None = None, **options: Any) -> GatewayThread:
    """A gateway in a thread, for a block; with `tls` its port speaks TLS."""
    return GatewayThread(gateway(**{"listen": True, **options}), tls=tls)


def tls_contexts(name: str = "127.0.0.1") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for `name`, and a client's that trusts its authority."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context()
    # trustme's types name pyOpenSSL, which is not here.
    authority.issue_cert(name).configure_cert(server)  # pyright: ignore[reportUnknownMemberType]
    authority.configure_trust(client)  # pyright: ignore[reportUnknownMemberType]
    return server, client
