"""A fake gateway in a thread of its own, on real sockets: it goes on while the loop of a test is blocked."""

from __future__ import annotations

import inspect
import queue
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
import trio
import trustme

from gatewright.harness.fake import FakeGateway
from tests.support.shards import gateway


@attrs.frozen
class Elsewhere:
    """The gateway; its log is for when its thread has ended."""

    fake: FakeGateway
    url: str
    _token: trio.lowlevel.TrioToken
    _cancel: trio.CancelScope

    def do(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls a function (or awaits an async one) in the gateway's thread, and waits for it here."""
        run = trio.from_thread.run if inspect.iscoroutinefunction(function) else trio.from_thread.run_sync
        return run(function, *args, trio_token=self._token)

    def end(self) -> None:
        """Ends the gateway's loop."""
        self._token.run_sync_soon(self._cancel.cancel)


@contextmanager
def gateway_in_a_thread(
    *,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> Generator[Elsewhere]:
    """Starts a gateway in a thread and ends it with the block; with `tls` its port speaks TLS."""
    started: queue.Queue[Elsewhere] = queue.Queue()

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with gateway(**{"listen": True, **options}) as fake, trio.open_nursery() as nursery:
                url = fake.url
                if tls is not None:
                    serve = partial(trio.serve_ssl_over_tcp, host="127.0.0.1", https_compatible=True)
                    listeners = await nursery.start(serve, fake.serve_stream, 0, tls)
                    port = listeners[0].transport_listener.socket.getsockname()[1]
                    url = f"wss://127.0.0.1:{port}/"
                started.put(Elsewhere(fake, url, trio.lowlevel.current_trio_token(), scope))
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(main,), daemon=True)
    thread.start()
    elsewhere = started.get(timeout=10)
    try:
        yield elsewhere
    finally:
        elsewhere.end()
        thread.join(timeout=10)


def tls_contexts(name: str = "127.0.0.1") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for `name`, and a client's that trusts its authority."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context()
    # trustme's types name pyOpenSSL, which is not here.
    authority.issue_cert(name).configure_cert(server)  # pyright: ignore[reportUnknownMemberType]
    authority.configure_trust(client)  # pyright: ignore[reportUnknownMemberType]
    return server, client
