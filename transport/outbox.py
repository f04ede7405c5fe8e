"""What one connection still has to send: heartbeats and handshakes first, then what users asked for, in order.

A caller can take back only what is still queued. What the writer has begun is finished, or the connection is aborted:
a frame that was cut off would swallow the next one (I16).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

import trio

from gatewright.spec.protocol import Opcode
from gatewright.transport.errors import ConnectionLost
from gatewright.transport.limiter import SendLimiter
from gatewright.transport.waiting import Lot


class Fate(enum.Enum):
    """What became of a payload."""

    QUEUED = enum.auto()
    BEGUN = enum.auto()
    SENT = enum.auto()
    UNSENT = enum.auto()
    """Nothing of it was written; sending it again is safe."""
    LOST = enum.auto()
    """It was begun, and nobody can say how much of it arrived."""


class Outgoing:
    """One payload on its way; `queue` is the one that it waits in.

    `notice` is called with each new fate, in the step in which it comes about, whether or not anybody waits any more.
    """

    __slots__ = ("_notice", "_settled", "fate", "op", "payload", "queue", "waited")

    def __init__(self, op: Opcode, payload: bytes, notice: Callable[[Fate], None] | None = None) -> None:
        self.op = op
        self.payload = payload
        self.fate = Fate.QUEUED
        self._notice = notice
        self.waited = False
        """The limit has held it back, if only once."""
        self.queue: list[Outgoing] | None = None
        self._settled = trio.Event()

    def settle(self, fate: Fate) -> None:
        """It was sent, or never will be."""
        self._meet(fate)
        self._settled.set()

    def begin(self) -> None:
        """The writer has taken it; it cannot be taken back any more."""
        self.queue = None
        self._meet(Fate.BEGUN)

    def again(self) -> Outgoing:
        """The same payload, to be sent on another connection."""
        other = Outgoing(self.op, self.payload, self._notice)
        other.waited = self.waited  # a wait is counted once a command
        return other

    def _meet(self, fate: Fate) -> None:
        self.fate = fate
        if self._notice is not None:
            self._notice(fate)

    async def sent(self) -> None:
        """Waits until it was sent.

        Cancelling takes it back while it is queued; once begun it is waited for, which the write time-out bounds.

        Raises:
            ConnectionLost: the connection was left before; :attr:`fate` says whether anything was written.
        """
        try:
            await self._settled.wait()
        except trio.Cancelled:
            if self.fate is Fate.QUEUED:
                self.fate = Fate.UNSENT
                if self.queue is not None:
                    self.queue.remove(self)
            elif self.fate is Fate.BEGUN:
                with trio.CancelScope(shield=True):
                    await self._settled.wait()
            raise
        if self.fate is Fate.UNSENT:
            raise ConnectionLost("the connection was left before the command's turn came; send again when ready")
        if self.fate is Fate.LOST:
            raise ConnectionLost("the connection was left while the command was written; it may have arrived or not")


class Outbox:
    """The queue of one connection's writer.

    Args:
        limiter: says when what users asked for may go.
        wake: called whenever there is something for the writer.
    """

    __slots__ = ("_closed", "_limiter", "_lot", "_urgent", "_usual", "_wake", "close_code", "waits")

    def __init__(self, limiter: SendLimiter, wake: Callable[[], None]) -> None:
        self._limiter = limiter
        self._wake = wake
        # Lists, because an empty deque takes ten times as much, and nearly always they are empty.
        self._urgent: list[Outgoing] = []
        self._usual: list[Outgoing] = []
        self._lot = Lot()  # of the writer, while the limit holds it back
        self._closed = False
        self.waits = 0
        """How many of what users asked for have had to wait for the limit."""
        self.close_code: int | None = None
        """The code of the close frame that is to be sent next, once one is asked for."""

    def urge(self, op: Opcode, payload: bytes) -> None:
        """Queues what the machine sends; it goes before everything that users asked for."""
        if not self._closed:
            self._urgent.append(Outgoing(op, payload))
            self._lot.unpark_all()
            self._wake()

    def close(self, code: int) -> None:
        """Asks for a close frame; nothing else is sent after it, and what was queued is lost."""
        if self.close_code is None:
            self.close_code = code
            self.discard()
            self._wake()

    def discard(self) -> None:
        """Everything that is queued is lost; nothing can be queued any more."""
        self._closed = True
        for queue in (self._urgent, self._usual):
            lost, queue[:] = queue[:], []
            for outgoing in lost:
                outgoing.settle(Fate.UNSENT)
        self._lot.unpark_all()

    @property
    def closed(self) -> bool:
        """Whether nothing can be queued any more."""
        return self._closed

    def post(self, outgoing: Outgoing) -> None:
        """Queues what a user asked for; on a connection that is being left it is unsent at once."""
        if self._closed:
            outgoing.settle(Fate.UNSENT)
            return
        outgoing.queue = self._usual
        self._usual.append(outgoing)
        self._lot.unpark_all()
        self._wake()

    async def send(self, op: Opcode, payload: bytes) -> None:
        """Queues what a user asked for, and waits until it was sent, as :meth:`Outgoing.sent` does."""
        outgoing = Outgoing(op, payload)
        self.post(outgoing)
        await outgoing.sent()

    async def next(self) -> Outgoing | None:
        """What the writer sends next; ``None`` when only the close frame is left, or nothing for now.

        What users asked for waits here for its turn within the limits, so that any number of callers share them; a
        command that has to wait longer lets the others pass.
        """
        while True:
            if self._urgent:
                return _begun(self._urgent.pop(0))
            if self._closed:
                return None
            delay = math.inf
            for outgoing in self._usual:
                mine = self._limiter.delay_for(outgoing.op)
                if mine <= 0:
                    self._usual.remove(outgoing)
                    return _begun(outgoing)
                delay = min(delay, mine)
                if not outgoing.waited:
                    outgoing.waited = True
                    self.waits += 1
            if delay == math.inf:
                return None
            with trio.move_on_after(delay):
                await self._lot.park()


def _begun(outgoing: Outgoing) -> Outgoing:
    outgoing.begin()
    return outgoing
