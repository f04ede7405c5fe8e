"""The server's end of one websocket: bytes in, frames out in order, and all the ways in which a wire can fail.

Everything that is sent goes through one queue and one writer, so that `send` never waits and never overtakes; a fault
takes its place in that queue too: what was sent before a `Drop` or a `Dark` arrives.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import attrs
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, Event

_PATIENCE = 1.0
"""Seconds that the end of a socket waits for what was sent before it, if the client does not read."""


@runtime_checkable
class Resettable(Protocol):
    """A stream that can end as a connection reset does; a simulated network may offer it."""

    def reset(self) -> None:
        """End at once: the peer's next read or write fails."""
        ...


async def cut(stream: trio.abc.Stream, *, reset: bool) -> None:
    """End `stream` without another byte: FIN, or RST where the stream can do that."""
    if reset and isinstance(stream, trio.SocketStream):
        # Lingering for zero seconds is how the socket interface spells RST.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif reset and isinstance(stream, Resettable):
        stream.reset()
    await trio.aclose_forcefully(stream)


@attrs.frozen
class _Write:
    data: bytes
    sent: Callable[[], None] | None


@attrs.frozen
class _Pause:
    until: trio.Event


@attrs.frozen
class _Cut:
    reset: bool


class Wire:
    """One websocket, server side. Nothing but `receive` and the writer's task ever waits."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._queue, self._queued = trio.open_memory_channel[_Write | _Pause | _Cut](float("inf"))
        self._nursery: trio.Nursery | None = None
        self._light = trio.Event()
        self._light.set()
        self._reading = trio.Event()
        self._reading.set()
        self._early = bytearray()  # came before the 101
        self._held = bytearray()  # came in the dark
        self._ending = False
        self.cut_here = False
        """Whether this side ended the socket."""

    def propose(self, headers: list[tuple[bytes, bytes]], target: bytes, rest: bytes) -> None:
        """Take an upgrade request that was read already, with the bytes that were read after it.

        Raises:
            wsproto.utilities.RemoteProtocolError: if it is none; its ``event_hint`` says how to refuse it.
        """
        self._protocol.initiate_upgrade_connection(headers, target)
        self._early += rest

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to write; `nursery` must end with the socket."""
        self._nursery = nursery
        nursery.start_soon(self._write)

    @property
    def opened(self) -> bool:
        """Whether the 101 was sent, no close frame has passed since, and the socket's end is not decided yet."""
        return self._protocol.state is ConnectionState.OPEN and not self._ending

    @property
    def accepted(self) -> bool:
        """Whether the 101 was sent."""
        return self._protocol.connection is not None

    def accept(self) -> None:
        """Send the 101."""
        self.send(AcceptConnection())

    def send(self, event: Event, sent: Callable[[], None] | None = None) -> None:
        """Queue a frame; `sent` is called when its turn has come, before the client can have it."""
        self.send_raw(self._protocol.send(event), sent)

    def send_raw(self, data: bytes, sent: Callable[[], None] | None = None) -> None:
        """Queue bytes as they are."""
        self._queue.send_nowait(_Write(data, sent))

    def finish(self) -> None:
        """End the socket after what was queued before; in the dark not before the light is back."""
        assert self._nursery is not None
        self._ending = True
        self._queue.send_nowait(_Cut(reset=False))
        self._nursery.start_soon(self._end_soon, False, False)

    def drop(self, *, reset: bool) -> None:
        """End the socket after what was queued before, or at once in the dark: who says so wants it seen."""
        assert self._nursery is not None
        self._ending = True
        self._queue.send_nowait(_Cut(reset=reset))
        self._nursery.start_soon(self._end_soon, reset, True)

    def go_dark(self, *, reading: bool) -> None:
        """From now on receive nothing, and send nothing that is not queued yet."""
        if self._light.is_set():
            self._light = trio.Event()
            self._queue.send_nowait(_Pause(self._light))
        if not reading:
            self._reading = trio.Event()

    def light_up(self) -> bytes:
        """Send again; the bytes that came in the dark are returned."""
        self._light.set()
        self._reading.set()
        held, self._held = bytes(self._held), bytearray()
        return held

    def feed(self, data: bytes) -> list[Event]:
        """What `data` means; before the 101 it is held back.

        Raises:
            wsproto.utilities.RemoteProtocolError: if the client broke the websocket protocol.
        """
        if not self.accepted:
            self._early += data
            return []
        early, self._early = bytes(self._early), bytearray()
        if self._protocol.state is not ConnectionState.CLOSED:
            self._protocol.receive_data(early + data)
        return list(self._protocol.events())

    async def receive(self) -> bytes:
        """The next bytes, empty when the socket is gone. In the dark they are held back, and the end is still seen."""
        while True:
            if not self._reading.is_set():
                await self._reading.wait()
            try:
                data = bytes(await self._stream.receive_some(65_536))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return b""
            if not data or self._light.is_set():
                return data
            self._held += data

    async def _write(self) -> None:
        async for item in self._queued:
            match item:
                case _Pause(until):
                    await until.wait()
                case _Cut(reset):
                    await self._end(reset=reset)
                case _Write(data, sent):
                    if sent is not None:
                        sent()
                    try:
                        await self._stream.send_all(data)
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        return  # the reader learns it as well, after what the client still sent

    async def _end_soon(self, reset: bool, seen: bool) -> None:
        if self._light.is_set():
            await trio.sleep(_PATIENCE)
        if not seen:
            await self._light.wait()
        await self._end(reset=reset)

    async def _end(self, *, reset: bool) -> None:
        self.cut_here = True
        self._reading.set()  # the reader has to see it, even if it was told not to read
        await cut(self._stream, reset=reset)
