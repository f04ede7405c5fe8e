"""One connection by itself: a host that writes down what it is told, and a peer that a test plays by hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio
import trio.testing
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, Request

from gatewright.spec.events import ConnectionOutcome, ProtocolViolation
from gatewright.transport.connection import Connection
from gatewright.transport.inflate import Compression, inflater
from gatewright.transport.limiter import SendLimiter
from gatewright.transport.seams import ConnectionUnavailable
from gatewright.transport.urls import GatewayUrl, parse_gateway_url

URL = parse_gateway_url("wss://gateway.invalid/?v=10")
WRITE_TIMEOUT = 10.0


@attrs.define(eq=False)
class Host:
    """Stands in for a shard."""

    outcomes: list[ConnectionOutcome] = attrs.field(factory=list[ConnectionOutcome])
    messages: list[str | bytes] = attrs.field(factory=list[str | bytes])
    violations: list[ProtocolViolation] = attrs.field(factory=list[ProtocolViolation])
    reading: trio.Event = attrs.field(factory=trio.Event)

    def feed(self, event: ConnectionOutcome | ProtocolViolation) -> None:
        if isinstance(event, ProtocolViolation):
            self.violations.append(event)
        else:
            self.outcomes.append(event)

    def receive(self, gen: int, messages: list[str | bytes], *, checked: bool) -> bool:
        assert gen == 1
        while messages:
            message = messages.pop(0)
            if checked:
                assert isinstance(message, bytes)
                message = message.decode()
            if not self.take(message):
                return False
        return True

    def take(self, message: str | bytes) -> bool:
        """Writes a message down; whether the next may come."""
        self.messages.append(message)
        return self.reading.is_set()

    async def room(self, gen: int) -> None:
        assert gen == 1
        await self.reading.wait()

    @property
    def names(self) -> list[str]:
        """The outcomes' names, in order."""
        return [type(event).__name__ for event in self.outcomes]


@attrs.define(eq=False)
class Peer:
    """The server's end."""

    stream: trio.abc.Stream
    protocol: WSConnection = attrs.field(factory=lambda: WSConnection(ConnectionType.SERVER))

    async def events(self) -> list[Event]:
        """What the client has sent meanwhile."""
        data = await self.stream.receive_some()
        self.protocol.receive_data(bytes(data) or None)
        return list(self.protocol.events())

    async def accept(self) -> None:
        """Reads the upgrade, and answers it."""
        (request,) = await self.events()
        assert isinstance(request, Request)
        await self.send(AcceptConnection())

    async def send(self, *events: Event) -> None:
        """One or more frames in one piece."""
        await self.stream.send_all(b"".join(self.protocol.send(event) for event in events))

    async def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        await self.stream.send_all(data)


@attrs.frozen(eq=False)
class Pair:
    connection: Connection
    host: Host
    peer: Peer


@asynccontextmanager
async def pair(
    *,
    refusal: ConnectionUnavailable | None = None,
    client: trio.abc.Stream | None = None,
    reading: bool = True,
    host: Host | None = None,
) -> AsyncGenerator[Pair]:
    """A connection that runs in the background, and its peer. Cancelled when the block is left."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def opener(url: GatewayUrl) -> trio.abc.Stream:
        assert url == URL
        await trio.lowlevel.checkpoint()
        if refusal is not None:
            raise refusal
        return ours if client is None else client

    if host is None:
        host = Host()
        if reading:
            host.reading.set()
    connection = Connection(
        gen=1,
        url=URL,
        opener=opener,
        inflater=inflater(Compression.NONE),
        host=host,
        limiter=SendLimiter(trio.current_time),
        write_timeout=WRITE_TIMEOUT,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        yield Pair(connection, host, Peer(theirs))
        nursery.cancel_scope.cancel()
