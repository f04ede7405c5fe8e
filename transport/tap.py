"""The stream below trio-websocket: it lifts messages out of what is received, many at once, and passes on the rest.

trio-websocket makes the handshake, sends, answers pings and closes. As a reader it costs ten times what receiving and
finding frames costs by itself, because each message goes through frames in pure Python and a memory channel. So the
messages never reach it. Its reader task is still the one that reads, by calling :meth:`FrameTap.receive_some`, and
messages are delivered from there, in the step in which they came.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import trio

from gatewright.transport.arrivals import PORTION, arrivals_of
from gatewright.transport.frames import FrameSplitter, Received
from gatewright.transport.waiting import Latch, Lot

_CLOSE_FRAME: Final = 0x88
"""First byte of an unfragmented close frame, which is the only form that a close frame has (RFC 6455, 5.5)."""

_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_SWITCHING: Final = re.compile(rb"HTTP/[0-9]\.[0-9] 101(?![0-9])")
"""The end of a header, and the beginning of the one after which frames follow; both as h11 reads them."""


class FrameTap(trio.abc.Stream):
    """A client's stream to a server, without the messages in it.

    Args:
        inner: the stream.
        deliver: takes messages: in order, one or more at a time. It must not block; when it has enough it calls
            :meth:`hold`, and keeps what it was given.
        limit: bytes that a message may have on the wire.
        encoded: leave texts in their bytes (:class:`~gatewright.transport.frames.FrameSplitter`).
        portion: bytes that one read takes at most, about.
        finished: asked whenever trio-websocket reads on: whether the connection is over for it. Then it is told the
            end; by itself it would wait for that of the stream.

    After the 101 nothing is read before :meth:`release` was called. From a close frame on, in either direction, nothing
    is delivered.
    """

    __slots__ = (
        "_arrivals", "_deliver", "_finished", "_glued", "_head", "_held", "_inner", "_lot", "_pass", "_splitter",
        "close_sent", "closing", "reads",
    )  # fmt: skip

    def __init__(
        self,
        inner: trio.abc.Stream,
        *,
        deliver: Callable[[list[Received]], None],
        limit: int,
        encoded: bool = False,
        portion: int = PORTION,
        finished: Callable[[], bool] = lambda: False,
    ) -> None:
        self._finished = finished
        self._inner = inner
        self._arrivals = arrivals_of(inner, portion)
        self._deliver = deliver
        self._splitter = FrameSplitter(limit, encoded=encoded)
        self._pass: Callable[[bytes], bytes] = self._upgrade
        self._head = bytearray()  # of the answer to the upgrade
        self._glued = b""  # what came in one piece with the 101
        self._held = False
        self._lot = Lot()
        self.closing = False
        """A close frame was begun: nothing will be delivered any more."""
        self.reads = 0
        """How often bytes, or their end, have come."""
        self.close_sent = Latch()
        """A close frame has left completely."""

    @property
    def binary(self) -> bool:
        """Whether a message came that is no text."""
        return self._splitter.binary

    # -- sending ---------------------------------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends; with a close frame delivering ends, and the moment when the last byte of it has left is noted."""
        closing = bool(data) and data[0] == _CLOSE_FRAME
        if closing:
            self.closing = True
            self._splitter.void()
            self.release()  # the peer's answer is still to be read
        try:
            await self._inner.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await self.aclose()  # whoever reads is to learn it, too
            raise
        if closing:
            self.close_sent.set()

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream below."""
        await self._inner.wait_send_all_might_not_block()

    # -- receiving -------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Stops reading, until :meth:`release`. Pings that were read are still answered."""
        self._held = not self.closing

    def release(self) -> None:
        """Reads on."""
        self._held = False
        self._lot.unpark_all()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receives, delivers the messages, and returns what is for trio-websocket; nothing at the end only.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: as the stream below.
        """
        if self._finished():
            await trio.lowlevel.checkpoint()
            return b""
        while True:
            while self._held:
                await self._lot.park()
            data, self._glued = self._glued, b""
            if not data:
                try:
                    data = await self._arrivals.receive()
                finally:
                    self.reads += 1
                if not data:
                    return b""
            passed = self._pass(data)
            if passed:
                return passed

    def _upgrade(self, data: bytes) -> bytes:
        """The answer to the upgrade passes as it comes, so that trio-websocket's own bounds on it hold."""
        before = len(self._head)
        self._head += data
        blank = _BLANK_LINE.search(self._head, max(before - 2, 0))
        if blank is None:
            return data
        if _SWITCHING.match(self._head) is None:
            self._pass = _as_it_is
            return data
        cut = blank.end() - before
        self._glued = data[cut:]
        self._head.clear()
        self._pass = self._split
        self.hold()
        return data[:cut]

    def _split(self, data: bytes) -> bytes:
        found: list[Received] = []
        passed = self._splitter.feed(data, found)
        if found:
            self._deliver(found)
        return passed

    async def aclose(self) -> None:
        """Closes at once. TLS says no goodbye: a dark peer would never take it, and the websocket has said its own."""
        try:
            await trio.aclose_forcefully(self._inner)
        finally:
            self.release()  # only now: whoever waits to read on is to learn that there is no more, and not to read more


def _as_it_is(data: bytes) -> bytes:
    return data
