"""A soak: millions of dispatches through one shard, over a real socket, with drops and resumes on the way.

    python -m gatewright.harness.soak --dispatches 10000000

A gateway in a process of its own sends as fast as the shard reads. Every sequence number must come exactly once and in
order, across the resumes too, and the memory of the shard's process must stay flat once it is warm.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import multiprocessing
import socket
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage
from wsproto.utilities import RemoteProtocolError

from gatewright.harness.fuzz.grammar import frame
from gatewright.harness.memory import resident
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import Opcode
from gatewright.spec.session import Metadata
from gatewright.spec.settings import Settings
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.shard import Shard

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

FLAT: Final = 5.0
"""MiB by which memory may differ from what it was when the shard was warm."""
WARM: Final = 0.1
"""The part of a run after which a shard counts as warm."""
_BLOCK: Final = 500
_SAMPLES: Final = 200
_TOKEN: Final = "fake.token"  # noqa: S105 - it opens nothing
_HEARTBEAT: Final = 10.0
_DATA: Final = json.dumps(
    {
        "id": "1200000000000000000",
        "channel_id": "1100000000000000000",
        "guild_id": "1000000000000000000",
        "author": {"id": "900000000000000000", "username": "somebody", "bot": False},
        "content": "x" * 60,
        "mentions": [],
        "attachments": [],
    },
    separators=(",", ":"),
).encode()


@attrs.frozen
class Soaked:
    """What a soak has shown. Memory is in MiB, and ``None`` where nobody says."""

    dispatches: int
    seconds: float
    resumes: int
    warm: float | None
    lowest: float | None
    highest: float | None

    @property
    def drift(self) -> float | None:
        """The furthest that memory went from where it was when the shard was warm."""
        if self.warm is None or self.lowest is None or self.highest is None:
            return None
        return max(self.highest - self.warm, self.warm - self.lowest)

    def __str__(self) -> str:
        """One line for people."""
        drift = "" if self.drift is None else f"; {self.warm:.1f} MiB when warm, never more than {self.drift:.1f} off"
        rate = self.dispatches / self.seconds
        return (
            f"{self.dispatches:,} dispatches in order in {self.seconds:.0f} s ({rate:,.0f} a second), "
            f"{self.resumes} resumes{drift}"
        )


def soak(dispatches: int, *, drops: int = 10) -> Soaked:
    """Takes so many dispatches out of one shard; runs an event loop of its own.

    Args:
        dispatches: how many.
        drops: how often the gateway resets the connection meanwhile.

    Raises:
        AssertionError: a sequence number was missing, came twice or out of order.
    """
    with _gateway(dispatches, drops) as port:
        return trio.run(_soak, port, dispatches)


async def _soak(port: int, dispatches: int) -> Soaked:
    url = f"ws://127.0.0.1:{port}/"
    expected, resumes = 1, 0
    held: list[float] = []
    every = max(dispatches // _SAMPLES, 1)
    began = time.perf_counter()
    async with Shard(
        _TOKEN,
        intents=Intents.GUILDS,
        metadata=StaticMetadataSource(Metadata(url=url)),
        gate=InMemoryIdentifyGate(),
        settings=Settings(final_close_timeout=0.5, close_timeout=0.5, retry_base=0.01),
    ) as shard:
        async for dispatch in shard:
            assert dispatch.seq == expected, f"{dispatch.seq} came where {expected} was due"
            expected += 1
            resumes += dispatch.type == "RESUMED"
            if dispatch.seq % every == 0:
                assert dispatch.type in {"READY", "RESUMED"} or dispatch.data["channel_id"]
                now = resident()
                if now is not None:
                    held.append(now)
            if dispatch.seq >= dispatches:
                break
        seconds = time.perf_counter() - began
    later = held[int(len(held) * WARM) :]
    return Soaked(
        dispatches,
        seconds,
        resumes,
        *((later[0], min(later), max(later)) if later else (None, None, None)),
    )


# -- the gateway -------------------------------------------------------------------------------------------------------


@contextmanager
def _gateway(dispatches: int, drops: int) -> Generator[int]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, dispatches, drops), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def _serve(pipe: Connection, dispatches: int, drops: int) -> None:
    every = dispatches // (drops + 1)
    trio.run(_Gateway(iter([every * n for n in range(1, drops + 1)]), dispatches).serve, pipe)


class _Gateway:
    """Sends sequence numbers in order, as fast as they are read; resets the connection behind some of them."""

    def __init__(self, drops: Iterator[int], last: int) -> None:
        self._drops = itertools.chain(drops, itertools.repeat(sys.maxsize))
        self._next_drop = next(self._drops)
        self._last = last
        self._head = 0
        """The last sequence that was sent to anybody."""

    async def serve(self, pipe: Connection) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        pipe.send(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(self._converse, listeners)

    async def _converse(self, stream: trio.SocketStream) -> None:
        websocket, lock = WSConnection(ConnectionType.SERVER), trio.Lock()
        try:
            async with trio.open_nursery() as nursery:
                while data := await stream.receive_some():
                    websocket.receive_data(bytes(data))
                    for event in websocket.events():
                        await self._answer(event, websocket, stream, lock, nursery)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, RemoteProtocolError):
            pass  # it was left, or we have reset it

    async def _answer(
        self, event: Event, websocket: WSConnection, stream: trio.SocketStream, lock: trio.Lock, nursery: trio.Nursery
    ) -> None:
        match event:
            case Request():
                hello = _message(Opcode.HELLO, {"heartbeat_interval": _HEARTBEAT * 1000})
                await _send(stream, lock, websocket.send(AcceptConnection()) + hello)
            case TextMessage():
                await self._command(json.loads(event.data), stream, lock, nursery)
            case CloseConnection():
                await _send(stream, lock, websocket.send(event.response()))
                nursery.cancel_scope.cancel()
            case _:
                pass

    async def _command(
        self, command: dict[str, Any], stream: trio.SocketStream, lock: trio.Lock, nursery: trio.Nursery
    ) -> None:
        match command["op"]:
            case Opcode.HEARTBEAT:
                await _send(stream, lock, _message(Opcode.HEARTBEAT_ACK))
            case Opcode.IDENTIFY:
                ready = {"v": 10, "user": {"id": "1"}, "session_id": "soak", "resume_gateway_url": None}
                self._head = 1
                await _send(stream, lock, _message(Opcode.DISPATCH, ready, 1, "READY"))
                nursery.start_soon(self._feed, stream, lock, 2)
            case Opcode.RESUME:
                missed = range(command["d"]["seq"] + 1, self._head + 1)
                await _send(stream, lock, b"".join(map(_dispatch, missed)))
                self._head += 1
                await _send(stream, lock, _message(Opcode.DISPATCH, {}, self._head, "RESUMED"))
                nursery.start_soon(self._feed, stream, lock, self._head + 1)
            case _:
                pass

    async def _feed(self, stream: trio.SocketStream, lock: trio.Lock, start: int) -> None:
        for seq in range(start, self._last + 1, _BLOCK):
            self._head = min(seq + _BLOCK - 1, self._last)
            if self._head >= self._next_drop:
                # This block never leaves: it is lost with the connection, and must come again.
                self._next_drop = next(self._drops)
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                await stream.aclose()
                return
            await _send(stream, lock, b"".join(map(_dispatch, range(seq, self._head + 1))))


async def _send(stream: trio.SocketStream, lock: trio.Lock, data: bytes) -> None:
    async with lock:
        await stream.send_all(data)


def _message(op: int, data: object = None, seq: int | None = None, type_: str | None = None) -> bytes:
    return frame(1, json.dumps({"op": op, "d": data, "s": seq, "t": type_}).encode())


def _dispatch(seq: int) -> bytes:
    return frame(1, b'{"t":"MESSAGE_CREATE","s":%d,"op":0,"d":%b}' % (seq, _DATA))


# -- the command -------------------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Soaks, prints one line, and says whether memory was flat."""
    parser = argparse.ArgumentParser(prog="python -m gatewright.harness.soak", description="A soak of one shard.")
    parser.add_argument("--dispatches", type=int, default=10_000_000)
    parser.add_argument("--drops", type=int, default=10, help="how often the connection is reset meanwhile")
    given = parser.parse_args(argv)
    logging.getLogger("gatewright").setLevel(logging.ERROR)
    result = soak(given.dispatches, drops=given.drops)
    print(result)
    return 0 if result.drift is None or result.drift <= FLAT else 1


if __name__ == "__main__":
    sys.exit(main())
