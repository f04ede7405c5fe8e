"""A fake gateway in a thread of its own, on a real port: for tests that are not trio's.

A test that is synchronous, or runs on asyncio, has it beside itself; it goes on while the test's loop is blocked.
"""

from __future__ import annotations

import inspect
import queue
import ssl
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

import trio

from gatewright.harness.fake.server import FakeGateway


class GatewayThread:
    """Serves a fake gateway for as long as the block lasts.

    ::

        with GatewayThread(FakeGateway(token="fake.token")) as gateway:
            start_a_bot(api=gateway.metadata_url)
            gateway.do(gateway.fake.wait_for_identify)
            gateway.do(gateway.fake.dispatch, "MESSAGE_CREATE", {"content": "hello"})

    Args:
        fake: the gateway, with a port (``listen``, which is the default) and not entered.
        tls: with a context, :attr:`url` is a second port that speaks TLS.

    Attributes:
        fake: the gateway. Its log and counters can be read at any time; what it does is asked by :meth:`do`.
        url: where clients connect.
    """

    def __init__(self, fake: FakeGateway, *, tls: ssl.SSLContext | None = None) -> None:
        self.fake = fake
        self.url = ""
        self._tls = tls
        self._token: trio.lowlevel.TrioToken | None = None
        self._cancel = trio.CancelScope()
        self._started: queue.Queue[BaseException | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="fake gateway", daemon=True)

    @property
    def metadata_url(self) -> str:
        """What a library takes for the base of Discord's API."""
        return self.fake.metadata_url

    def __enter__(self) -> Self:
        """Starts the thread, and returns when the gateway listens."""
        self._thread.start()
        failure = self._started.get()
        if failure is not None:
            raise failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends every connection, and joins the thread."""
        assert self._token is not None
        self._token.run_sync_soon(self._cancel.cancel)
        self._thread.join(timeout=10)

    # Any: whatever the gateway is asked for.
    def do(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls a function in the gateway's thread, or awaits an async one, and waits here for what it returns.

        On asyncio, what waits for the bot is waited for beside the loop: ``await asyncio.to_thread(gateway.do, ...)``.
        """
        run = trio.from_thread.run if inspect.iscoroutinefunction(function) else trio.from_thread.run_sync
        return run(function, *args, trio_token=self._token)

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as failure:  # noqa: BLE001 - a thread has nobody above it; the block raises it
            self._started.put(failure)

    async def _serve(self) -> None:
        with self._cancel:
            async with self.fake as fake, trio.open_nursery() as nursery:
                self.url = fake.url
                if self._tls is not None:
                    serve = partial(trio.serve_ssl_over_tcp, host="127.0.0.1", https_compatible=True)
                    (listener,) = await nursery.start(serve, fake.serve_stream, 0, self._tls)
                    port = listener.transport_listener.socket.getsockname()[1]
                    self.url = f"wss://127.0.0.1:{port}/"
                self._token = trio.lowlevel.current_trio_token()
                self._started.put(None)
                await trio.sleep_forever()
