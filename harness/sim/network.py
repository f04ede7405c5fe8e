"""A network in memory: latency, reads that are cut anywhere and merged, full buffers, FIN, RST, and cables pulled out.

Nothing runs here: bytes lie in a queue with the time at which they arrive, and whoever reads waits for it. What is left
to chance is asked of a source, so that one list of numbers brings a whole network back.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from gatewright.harness.sim.choices import Source
from gatewright.spec.events import ConnectError
from gatewright.transport.seams import ConnectionUnavailable
from gatewright.transport.urls import GatewayUrl

BUFFER: Final = 65_536
"""Bytes on their way or unread, in one direction, past which a write waits."""

_LATENCIES: Final = (0.0, 0.0, 0.0, 0.001, 0.02, 0.1, 0.5)
_CUTS: Final = (0, 0, 0, 0, 0, 1, 2, 3, 7, 20)
"""At how many bytes a read is cut; 0: it is not."""


class Pipe:
    """One direction of a stream."""

    def __init__(self, chance: Source, *, whole: bool = False) -> None:
        self._chance = chance
        self._whole = whole
        self._segments: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._ended = False
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()
        self.limit = BUFFER
        self.latency = 0.0
        self.broken = False
        """Reset: both ends get an error from here on."""
        self.dark = False
        """The cable is out: nothing arrives, and nobody says so."""
        self.lingering = 0
        """Passes of the loop for which a read keeps what it has received; nobody can cancel it then, or lose that."""
        self.closed_by_reader = False
        self.closed_by_writer = False

    async def send(self, data: bytes) -> None:
        """Puts bytes on their way; waits while the buffer is full."""
        view = memoryview(data)
        while True:
            self._check_writer()
            room = self.limit - self._size
            if room > 0:
                piece = bytes(view if self._whole else view[:room])
                view = view[len(piece) :]
                self._put(piece)
                if not view:
                    return
            await self._writers.park()

    async def room(self) -> None:
        """Waits until a write would not wait."""
        while not (self.broken or self.closed_by_writer) and self._size >= self.limit:
            await self._writers.park()

    def _check_writer(self) -> None:
        if self.closed_by_writer:
            raise trio.ClosedResourceError("this end was closed")
        if self.broken or self.closed_by_reader or self._ended:
            raise trio.BrokenResourceError("the connection was reset")

    def _put(self, data: bytes) -> None:
        latency = self.latency + _LATENCIES[self._chance.below(len(_LATENCIES))]
        arrival = trio.current_time() + latency
        if self._segments:
            arrival = max(arrival, self._segments[-1][0])
        self._segments.append((arrival, data))
        self._size += len(data)
        self._readers.unpark_all()

    async def receive(self, most: int | None) -> bytes:
        """The next bytes that have arrived, empty at the end; cut and merged as chance has it.

        One checkpoint, as a socket has it: before what lies there already, or while there is nothing.
        """
        if self._ready():
            await trio.lowlevel.checkpoint()
        while not self._ready():
            if self.dark or not self._segments:
                await self._readers.park()
            else:
                with trio.move_on_at(self._segments[0][0]):
                    await self._readers.park()
        if self.closed_by_reader:
            raise trio.ClosedResourceError("this end was closed")
        if self.broken:
            raise trio.BrokenResourceError("the connection was reset")
        return self._take(most) if self._segments else b""

    def _ready(self) -> bool:
        """Whether a read need not wait: something has arrived, or the end is known."""
        if self.closed_by_reader or self.broken:
            return True
        if self.dark:
            return False
        return self._segments[0][0] <= trio.current_time() if self._segments else self._ended

    def _take(self, most: int | None) -> bytes:
        now = trio.current_time()
        found = bytearray(self._segments.popleft()[1])
        while self._segments and self._segments[0][0] <= now and self._chance.below(2) == 0:
            found += self._segments.popleft()[1]
        cut = 0 if self._whole else _CUTS[self._chance.below(len(_CUTS))]
        cut = cut or len(found)
        cut = min(cut, len(found), len(found) if most is None else most)
        if cut < len(found):
            self._segments.appendleft((now, bytes(found[cut:])))
        self._size -= cut
        self._writers.unpark_all()
        return bytes(found[:cut])

    def end(self) -> None:
        """FIN: the reader gets what was sent before, and then the end."""
        self._ended = True
        self._wake()

    def reset(self) -> None:
        """RST: what was on its way is lost."""
        self.broken = True
        self._segments.clear()
        self._wake()

    def light_up(self) -> None:
        """The cable is in again."""
        self.dark = False
        self._wake()

    def _wake(self) -> None:
        self._readers.unpark_all()
        self._writers.unpark_all()

    def close_reading(self) -> None:
        """The reader's end is closed: what is written from here on is answered with RST."""
        self.closed_by_reader = True
        self._wake()

    def close_writing(self) -> None:
        """The writer's end is closed."""
        self.closed_by_writer = True
        self.end()


class Stream(trio.abc.Stream):
    """One end of a connection."""

    def __init__(
        self, incoming: Pipe, outgoing: Pipe, on_close: Callable[[], None], clinging: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._on_close = on_close
        self._clinging = clinging
        self._closed = False
        self._receiving = False
        self._sending = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See :class:`trio.abc.SendStream`; two at once are a defect of who calls."""
        if self._sending:
            raise trio.BusyResourceError("two tasks write at once")
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            await self._outgoing.send(bytes(data))
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        """See :class:`trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint()
        await self._outgoing.room()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See :class:`trio.abc.ReceiveStream`."""
        if self._receiving:
            raise trio.BusyResourceError("two tasks read at once")
        self._receiving = True
        try:
            data = await self._incoming.receive(max_bytes)
            for _ in range(self._incoming.lingering):
                await trio.lowlevel.cancel_shielded_checkpoint()
            return data
        finally:
            self._receiving = False

    def reset(self) -> None:
        """RST, as :class:`gatewright.harness.fake.wire.Resettable` has it."""
        self._incoming.reset()
        self._outgoing.reset()

    async def aclose(self) -> None:
        """Closes both directions; idempotent. One that clings takes no notice of being cancelled, as in a thread."""
        if not self._closed and (seconds := self._clinging()):
            with trio.CancelScope(shield=True):
                await trio.sleep(seconds)
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """The same, at once."""
        if not self._closed:
            self._closed = True
            self._outgoing.close_writing()
            self._incoming.close_reading()
            self._on_close()


@attrs.define(eq=False)
class Link:
    """A connection, for whoever wants to harm it."""

    up: Pipe
    down: Pipe
    client_open: bool = True
    clinging: float = 0.0
    """Seconds that the client's end takes to be closed, whoever is in a hurry."""

    def reset(self) -> None:
        """RST in both directions."""
        self.up.reset()
        self.down.reset()

    def cut(self) -> None:
        """Nothing passes any more, and nobody says so."""
        self.up.dark = self.down.dark = True

    def mend(self) -> None:
        """What was held back arrives; buffers are large again and the latency is gone."""
        for pipe in (self.up, self.down):
            pipe.limit, pipe.latency, pipe.lingering = BUFFER, 0.0, 0
            pipe.light_up()
            pipe._wake()
        self.clinging = 0.0

    def choke(self, limit: int) -> None:
        """The way up takes no more than `limit` bytes that nobody has read."""
        self.up.limit = limit

    def slow(self, latency: float) -> None:
        """From now on everything takes so many seconds more."""
        self.up.latency = self.down.latency = latency


class Network:
    """Opens streams to a server in the same event loop: a :class:`~gatewright.transport.seams.StreamOpener`.

    Args:
        serve: serves one stream until it is gone.
        nursery: where the server's tasks run.
        chance: for latencies and cuts.
        unreachable: URLs that begin so lead nowhere.
    """

    def __init__(
        self,
        serve: Callable[[trio.abc.Stream], Awaitable[object]],
        nursery: trio.Nursery,
        chance: Source,
        *,
        unreachable: str,
    ) -> None:
        self._serve = serve
        self._nursery = nursery
        self.chance = chance
        self._unreachable = unreachable
        self.links: list[Link] = []
        self.refuse = 0
        """How many of the next connections are refused."""
        self.hang = 0
        """How many of the next connections are neither accepted nor refused."""
        self.troubles = 0
        """How many were refused or left hanging for one of these, or had a bad proxy or server at the other end."""
        self.balk = 0.0
        """Seconds after which the next connection is refused, even if nobody waits for it any more."""
        self.healed = False
        """Whether it was, once."""
        self.open = 0
        """Streams whose client's end is open."""
        self.most_open = 0
        self._latest = -1

    async def __call__(self, url: GatewayUrl) -> trio.abc.Stream:
        """See :class:`~gatewright.transport.seams.StreamOpener`."""
        try:
            return await self.connect(self._serve, known=not str(url).startswith(self._unreachable))
        except ConnectionRefusedError:
            raise ConnectionUnavailable(ConnectError.NETWORK, "connection refused") from None

    async def connect(
        self, serve: Callable[[trio.abc.Stream], Awaitable[object]], *, known: bool = True, whole: bool = False
    ) -> Stream:
        """The client's end of a new connection, whose other end `serve` has.

        Args:
            serve: the server.
            known: whether there is one.
            whole: whether reads and writes are spared cuts, because what passes differs in length from life to life.

        Raises:
            ConnectionRefusedError: as the scenario has it.
        """
        await trio.sleep(_LATENCIES[self.chance.below(len(_LATENCIES))])
        if self.balk:
            seconds, self.balk = self.balk, 0.0
            self.troubles += 1
            with trio.CancelScope(shield=True):
                await trio.sleep(seconds)
            raise ConnectionRefusedError(errno.ECONNREFUSED, "connection refused")
        if self.hang:
            self.hang -= 1
            self.troubles += 1
            await trio.sleep_forever()
        if self.refuse or not known:
            self.troubles += self.refuse > 0
            self.refuse = max(self.refuse - 1, 0)
            raise ConnectionRefusedError(errno.ECONNREFUSED, "connection refused")
        up, down = Pipe(self.chance, whole=whole), Pipe(self.chance, whole=whole)
        link = Link(up, down)
        self.links.append(link)
        self.open += 1
        self.most_open = max(self.most_open, self.open)

        def closed() -> None:
            link.client_open = False
            self.open -= 1

        self._nursery.start_soon(serve, Stream(up, down, lambda: None))
        return Stream(down, up, closed, lambda: link.clinging)

    @property
    def live(self) -> tuple[Link, ...]:
        """The connections whose client's end is open, the newest first."""
        return tuple(link for link in reversed(self.links) if link.client_open)

    def heal(self) -> None:
        """Everything passes from now on; connections that were reset stay so."""
        self.refuse = self.hang = 0
        self.balk = 0.0
        self.healed = True
        for link in self.links:
            link.mend()
