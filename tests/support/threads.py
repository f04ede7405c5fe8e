"""A fake gateway in a thread of its own, on real sockets: it goes on while the loop of a test is blocked.

The clock of such tests is real, and the machine may be busy with others. So a test waits for the thing itself, never
for a time in which it surely has happened; where heartbeats follow each other fast, the gateway minds no late one.
"""

from __future__ import annotations

import ssl
import time
from typing import Any, Final, TypeAlias

import trustme

from gatewright.harness.fake import After, Amend, Connection, Delay, GatewayThread, Rules, Withhold
from tests.support.shards import gateway

Elsewhere: TypeAlias = GatewayThread

PATIENCE: Final = 60.0
"""Seconds after which a test on a real clock counts as hanging; whatever passes comes nowhere near."""

PATIENT: Final = Rules(identify_spacing=0.0, heartbeat_tolerance=None)
"""Rules of a gateway that waits for any heartbeat as long as it takes, and for none between two IDENTIFYs."""

LATE_ACKS: Final = (Connection(ack=Delay(30.0)),)
"""No heartbeat has been acknowledged while a test looks, however early the first one is due."""

SILENT_ONCE: Final = (Connection(ack=After(2, Withhold())), Connection(hello=Amend({"heartbeat_interval": 41_250})))
"""The first connection stops to acknowledge heartbeats; on the next nothing is due for long."""


def block_for_heartbeats(there: Elsewhere, count: int = 3) -> int:
    """What a handler that blocks does: holds up the loop, here until the gateway has heard `count` more heartbeats.

    Returns:
        How many it has heard: fewer if they did not come, because they waited for the loop.
    """
    before, latest = there.fake.log.heartbeats, time.monotonic() + PATIENCE / 2
    while (heard := there.fake.log.heartbeats - before) < count and time.monotonic() < latest:
        time.sleep(0.01)
    return heard


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
