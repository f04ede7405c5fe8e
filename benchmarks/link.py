"""Ways from the load server to a client: TCP, TLS that encrypts many frames before it sends once, and a distance."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from typing import Protocol, TypeVar

import trio

_CHUNK = 256 * 1024
_RECEIVE = 64 * 1024

T = TypeVar("T")


class Link(Protocol):
    """One connection of the server."""

    async def receive(self) -> bytes:
        """What came; nothing at the end."""
        ...

    async def send(self, frames: list[bytes]) -> None:
        """Sends frames at once; over TLS each is a record of its own."""
        ...


class Plain:
    """A connection as it is."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._lock = trio.Lock()

    async def receive(self) -> bytes:
        return bytes(await self._stream.receive_some(_RECEIVE))

    async def send(self, frames: list[bytes]) -> None:
        async with self._lock:
            await self._stream.send_all(b"".join(frames))


class Tls:
    """A connection over TLS. Its handshake is done with the first operation."""

    def __init__(self, stream: trio.abc.Stream, context: ssl.SSLContext) -> None:
        self._stream = stream
        self._lock = trio.Lock()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    async def receive(self) -> bytes:
        return await self._until(lambda: self._tls.read(_RECEIVE))

    async def send(self, frames: list[bytes]) -> None:
        for data in frames:
            self._tls.write(data)
            if self._out.pending > _CHUNK:
                await self._flush()
        await self._flush()

    async def _until(self, operation: Callable[[], T]) -> T:
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._stream.receive_some(_RECEIVE)
                if not data:
                    raise trio.BrokenResourceError from None
                self._in.write(data)
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        async with self._lock:
            if self._out.pending:
                await self._stream.send_all(self._out.read())


class Far:
    """A connection whose other end is `latency` seconds away, in both directions. What is sent is not waited for."""

    def __init__(self, link: Link, latency: float, nursery: trio.Nursery) -> None:
        self._link = link
        self._latency = latency
        self._out, outgoing = trio.open_memory_channel[tuple[float, list[bytes]]](math.inf)
        incoming, self._in = trio.open_memory_channel[tuple[float, bytes]](math.inf)
        nursery.start_soon(self._pump_in, incoming)
        nursery.start_soon(self._pump_out, outgoing)

    async def receive(self) -> bytes:
        due, data = await self._in.receive()
        await trio.sleep_until(due)
        return data

    async def send(self, frames: list[bytes]) -> None:
        self._out.send_nowait((trio.current_time() + self._latency, frames))

    async def _pump_in(self, incoming: trio.MemorySendChannel[tuple[float, bytes]]) -> None:
        while True:
            try:
                data = await self._link.receive()
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            incoming.send_nowait((trio.current_time() + self._latency, data))
            if not data:
                return

    async def _pump_out(self, outgoing: trio.MemoryReceiveChannel[tuple[float, list[bytes]]]) -> None:
        async for due, frames in outgoing:
            await trio.sleep_until(due)
            try:
                await self._link.send(frames)
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                return
