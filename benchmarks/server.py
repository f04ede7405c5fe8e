"""The load server: a process of its own, so that what a client uses of the processor is the client's.

`python -m benchmarks.server '{"mode": "burst", ...}'` prints one line of JSON with its port and serves until its input
ends. What it sends in a burst is made before the first connection. What it measures of a client, it says in the data of
the last event.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import socket
import ssl
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
import trio
import trustme

from benchmarks import payloads
from benchmarks.limits import raise_open_files
from benchmarks.link import Far, Link, Plain, Tls
from benchmarks.payloads import frame

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SETTLE: Final = 0.4
"""Seconds between READY and the first event, so that connecting is not measured."""
_SEND_BUFFER: Final = 256 * 1024
_TEXT, _BINARY, _CLOSE = 0x1, 0x2, 0x8
_HEARTBEAT, _IDENTIFY, _RESUME = 1, 2, 6


@attrs.frozen(kw_only=True)
class Load:
    """What to serve.

    `mode` is ``burst`` (all `events` at once), ``paced`` (`rate` a second, each with the time at which it was sent),
    ``flood`` (as much as the client takes, for `seconds`), ``idle`` (nothing after READY), or ``drop`` (a new session
    is left by `drop`: ``close``, ``op 7`` or ``reset``). `compress` is ``none`` or ``zlib-stream``; `interval` is
    that of heartbeats, and `latency` the way in one direction, both in seconds.
    """

    mode: str = "burst"
    events: int = 100_000
    rate: float = 500.0
    seconds: float = 10.0
    drop: str = ""
    tls: bool = False
    compress: str = "none"
    interval: float = 41.25
    latency: float = 0.0

    @property
    def name(self) -> str:
        return (("TLS + " if self.tls else "") + self.compress).replace("TLS + none", "TLS").replace("none", "plain")


class Framer:
    """Frames for one connection: text, or binary out of one zlib stream."""

    def __init__(self, compress: str) -> None:
        self._stream = zlib.compressobj() if compress == "zlib-stream" else None

    def __call__(self, payload: bytes) -> bytes:
        if self._stream is None:
            return frame(payload, _TEXT)
        return frame(self._stream.compress(payload) + self._stream.flush(zlib.Z_SYNC_FLUSH), _BINARY)


class Server:
    def __init__(self, load: Load) -> None:
        self.load = load
        self.context: ssl.SSLContext | None = None
        self.authority = ""
        if load.tls:
            authority = trustme.CA()
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(self.context)
            with tempfile.NamedTemporaryFile(suffix=".pem", delete=False) as file:
                file.write(authority.cert_pem.bytes())
                self.authority = file.name
        self.hello = payloads.hello(round(load.interval * 1000))
        self.ready = b""
        self.burst: list[bytes] = []
        self.dropped_ns = 0

    async def run(self) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
        port = listener.socket.getsockname()[1]
        self.ready = payloads.ready(port, secure=self.load.tls)
        if self.load.mode == "burst":
            framer = Framer(self.load.compress)
            events = [*payloads.events(self.load.events), payloads.end(self.load.events + 2)]
            self.burst = [framer(payload) for payload in (self.hello, self.ready, *events)][2:]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._serve, [listener])
            print(json.dumps({"port": port, "authority": self.authority}), flush=True)
            await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.SocketStream) -> None:
        link: Link = Plain(stream) if self.context is None else Tls(stream, self.context)
        try:
            async with trio.open_nursery() as nursery:
                if self.load.latency:
                    link = Far(link, self.load.latency, nursery)
                await Connection(self, link, stream, nursery).serve()
                nursery.cancel_scope.cancel()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel):
            pass
        finally:
            await trio.aclose_forcefully(stream)


class Connection:
    def __init__(self, server: Server, link: Link, stream: trio.abc.Stream, nursery: trio.Nursery) -> None:
        self._server = server
        self._load = server.load
        self._link = link
        self._stream = stream
        self._nursery = nursery
        self._frame = Framer(server.load.compress)
        self._data = b""
        self._beats: list[float] = []

    async def serve(self) -> None:
        accept = await self._upgrade()
        await self._link.send([accept, self._frame(self._server.hello)])
        # The reader never rests, so that what it says of when something came is true.
        while (found := await self._next()) is not None:
            opcode, payload = found
            if opcode == _CLOSE:
                await self._link.send([frame(payload, _CLOSE)])
                return
            if opcode in {_TEXT, _BINARY}:  # hikari sends the latter
                await self._take(json.loads(payload)["op"])

    async def _take(self, op: int) -> None:
        if op == _HEARTBEAT:
            self._beats.append(time.perf_counter())
            if self._load.compress == "none":  # else the burst, compressed before, would not fit behind it
                await self._link.send([self._frame(payloads.ack())])
        elif op == _RESUME:
            resumed = payloads.dispatch("RESUMED", 2, {"dropped_ns": self._server.dropped_ns})
            await self._link.send([self._frame(resumed)])
        elif op == _IDENTIFY:
            await self._link.send([self._frame(self._server.ready)])
            modes: dict[str, Callable[[], Any]] = {
                "burst": self._burst,
                "paced": self._pace,
                "flood": self._flood,
                "drop": self._drop,
            }
            if self._load.mode in modes:
                self._nursery.start_soon(self._settled, modes[self._load.mode])

    async def _settled(self, then: Callable[[], Any]) -> None:
        await trio.sleep(_SETTLE)
        await then()

    async def _burst(self) -> None:
        await self._link.send(self._server.burst)

    async def _pace(self) -> None:
        begin = time.perf_counter()
        for number in range(self._load.events):
            delay = begin + number / self._load.rate - time.perf_counter()
            if delay > 0:
                await trio.sleep(delay)
            event = payloads.timed_event(number + 2, time.perf_counter_ns())
            await self._link.send([self._frame(event)])
        await self._link.send([self._frame(payloads.end(self._load.events + 2))])

    async def _flood(self) -> None:
        """Without an end, as fast as it is taken, and then how late each heartbeat was: the gap beyond its interval.

        All three clients wait for an interval from when they sent a beat, so a late one does not make the next early.
        """
        # What lies in this end's buffer delays the ACKs, not the beats; hikari gives up when one takes an interval.
        if isinstance(self._stream, trio.SocketStream):
            self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        events = payloads.Endless()
        self._beats.clear()
        end = time.perf_counter() + self._load.seconds
        while time.perf_counter() < end:
            await self._link.send([events.chunk()])
        beats = self._beats
        gaps = [1e3 * (later - earlier - self._load.interval) for earlier, later in itertools.pairwise(beats)]
        await self._link.send([self._frame(payloads.end(events.seq, late_ms=gaps))])

    async def _drop(self) -> None:
        self._server.dropped_ns = time.perf_counter_ns()
        if self._load.drop == "op 7":
            await self._link.send([self._frame(payloads.reconnect())])
        elif self._load.drop == "close":
            await self._link.send([frame(struct.pack("!H", 4000), _CLOSE)])
        else:
            await trio.sleep(self._load.latency)
            await trio.aclose_forcefully(self._stream)

    async def _upgrade(self) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            data = await self._link.receive()
            if not data:
                raise trio.BrokenResourceError
            head += data
        head, _, self._data = head.partition(b"\r\n\r\n")
        (key,) = [
            line.split(b":", 1)[1].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        ]
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        return (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
        ).encode()

    async def _next(self) -> tuple[int, bytes] | None:
        """The next frame's opcode and payload; ``None`` at the end."""
        while (found := _take(self._data)) is None:
            more = await self._link.receive()
            if not more:
                return None
            self._data += more
        opcode, payload, self._data = found
        return opcode, payload


def _take(data: bytes) -> tuple[int, bytes, bytes] | None:
    """The first (masked) frame of a client, and the rest."""
    if len(data) < 2:
        return None
    size, start = data[1] & 0x7F, 2
    if size == 126:
        size, start = int.from_bytes(data[2:4]), 4
    stop = start + 4 + size
    if len(data) < stop:
        return None
    mask = data[start : start + 4]
    payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[start + 4 : stop]))
    return data[0] & 0x0F, payload, data[stop:]


def main() -> None:
    raise_open_files()
    server = Server(Load(**json.loads(sys.argv[1])))
    try:
        trio.run(server.run)
    finally:
        if server.authority:
            Path(server.authority).unlink()


if __name__ == "__main__":
    main()
