"""A client for tests of the fake gateway: it sends what it is told, and also what no client should."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from gatewright.harness.fake import FakeGateway

TOKEN = "fake.token"
TARGET = "/?v=10&encoding=json"


class Client:
    def __init__(self, ws: WebSocketConnection, stream: trio.abc.Stream) -> None:
        self.ws = ws
        self.stream = stream
        self.session_id = ""
        self.seq: int | None = None

    async def read(self) -> dict[str, Any]:
        """The next payload."""
        payload = msgspec.json.decode(await self.ws.get_message(), type=dict[str, Any])
        if payload["s"] is not None:
            self.seq = payload["s"]
        if payload["t"] == "READY":
            self.session_id = payload["d"]["session_id"]
        return payload

    async def read_events(self, count: int) -> list[str]:
        return [(await self.read())["t"] for _ in range(count)]

    async def send(self, op: int, data: object = None) -> None:
        await self.ws.send_message(msgspec.json.encode({"op": op, "d": data}).decode())

    async def identify(self, **fields: object) -> None:
        await self.send(2, {"token": TOKEN, "properties": {}, "intents": 1, **fields})

    async def resume(self, session_id: str, seq: int, *, token: str = TOKEN) -> None:
        await self.send(6, {"token": token, "session_id": session_id, "seq": seq})

    async def start_session(self, **fields: object) -> dict[str, Any]:
        """HELLO, IDENTIFY, READY; returns READY's data."""
        assert (await self.read())["op"] == 10
        await self.identify(**fields)
        ready = await self.read()
        assert ready["t"] == "READY"
        return cast("dict[str, Any]", ready["d"])

    async def close_code(self) -> int | None:
        """Read until the server closes; the code, or 1006 when it just went."""
        try:
            while True:
                await self.ws.get_message()
        except ConnectionClosed as closed:
            return closed.reason.code if closed.reason is not None else None

    async def nothing_within(self, seconds: float) -> bool:
        """Whether nothing comes, not even the end."""
        with trio.move_on_after(seconds):
            await self.ws.get_message()
            return False
        return True


class Forwarding(trio.abc.Stream):
    """A stream that does what another one does, for tests that add something."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def connected(
    fake: FakeGateway, *, target: str = TARGET, stream: trio.abc.Stream | None = None
) -> AsyncGenerator[Client]:
    """A client of `fake`, in memory unless a stream is given; it goes without a close frame when the block is left."""
    if stream is None:
        stream = await fake.open_stream()
    async with trio.open_nursery() as nursery:
        # The annotation of wrap_client_stream is narrower than what it takes.
        ws = await wrap_client_stream(nursery, cast("trio.SocketStream", stream), "gateway.invalid", target)
        try:
            yield Client(ws, stream)
        finally:
            # Shielded, and before the nursery is cancelled: else a Cancelled takes the place of a failed assertion.
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()


async def open_tcp(fake: FakeGateway) -> trio.SocketStream:
    """A TCP connection to a fake that listens."""
    host, port = fake.url.removeprefix("ws://").removesuffix("/").split(":")
    return await trio.open_tcp_stream(host, int(port))
