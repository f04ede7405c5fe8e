"""Dispatches on their way from the reader to the consumer: bounded, in order, nothing lost without being counted.

With the policy ``pause`` a full mailbox stops the reader, TCP holds the server back, and the machine knows (I23). What
the consumer has handled is remembered as the committed sequence, with which a session is exported (I17).
"""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import trio

from gatewright.spec.errors import GatewrightError
from gatewright.transport.acks import Acks
from gatewright.transport.dispatch import Dispatch, Origin
from gatewright.transport.queue import Queue, QueuePolicy
from gatewright.transport.waiting import Lot

_TURNS: Final = 256
"""Dispatches that consumers take before everybody else has a turn. A turn costs more than a dispatch, and a consumer
that never waits must not hold heartbeats, sends or its own cancellation back. It is more than a read brings of messages
of usual size: if consumers took less, the queue of a fast one would fill up and reading stop in each flood."""


class ConsumerBusy(GatewrightError):
    """Two consumers ask for dispatches in ways that do not go together; the message says how they would."""


_FEW: Final = 4
"""Dispatches that are taken one by one sooner than they are lent."""


class Holder(Protocol):
    """A consumer that can be lent dispatches."""

    hand: deque[Dispatch] | None
    """What it may take from on the left without asking, as long as there is something in it."""


class Mailbox:
    """A queue of dispatches, and what became of them.

    Asking for one, with all that may have happened since the last, costs several times what taking it costs. So a
    consumer that takes one after the other, and is the only one that does, is lent the rest of its turn (:meth:`lend`).
    Whatever may change what it is to get calls that back first, and then everything is as if it had not been lent.

    Args:
        queue: its bounds, and what happens at them.
        window: how many dispatches may have been taken that the committed sequence does not cover. Past it
            :meth:`take` waits until the oldest of them is handled. ``None`` for no bound.
        on_stuck: told how many are out, and the sequence of the oldest, when a consumer waits for an acknowledgement.
    """

    __slots__ = (
        "__weakref__", "_abandoned", "_asleep", "_bytes", "_closed", "_held_back", "_lent", "_loose", "_lot",
        "_most_bytes", "_most_events", "_on_stuck", "_origin", "_pauses", "_push", "_queue", "_room", "_self", "_told",
        "_turns", "_unfiltered", "_wanted", "acks", "bounds", "dropped", "filtered", "overflowed", "streams", "window",
    )  # fmt: skip

    def __init__(
        self, queue: Queue, *, window: int | None = None, on_stuck: Callable[[int, int], None] | None = None
    ) -> None:
        self.bounds = queue
        self.acks = Acks(spanning=window is not None)
        self.window = window
        self.dropped = 0
        """Dispatches that ``drop_oldest`` let go."""
        self.filtered = 0
        """Dispatches that no stream wanted."""
        self.overflowed = False
        """Whether a dispatch came that there was no room for, and the policy is to fail."""
        self._queue: deque[Dispatch] = deque()
        self._lent: deque[Dispatch] | None = None
        self._bytes = 0
        self._loose = False  # fewer bytes than that may wait; they are counted when it matters
        self._lot = trio.lowlevel.ParkingLot()
        self._asleep = False  # whether anybody may be in there: cheaper to ask than the lot
        self._room = Lot()
        self._held_back = False  # whether anybody may be in there
        self._closed = False
        self._wanted: frozenset[str] | None = None
        self.streams = 0
        """How many streams of some types are open."""
        self._self = weakref.ref(self)
        self._origin: Origin | None = None
        self._turns = 0
        self._most_events, self._most_bytes = queue.events, queue.bytes
        self._pauses = queue.policy is QueuePolicy.PAUSE
        self._unfiltered = 0
        self._abandoned: list[Dispatch] = []
        self._on_stuck = on_stuck
        self._told = False  # that the window is full, since it became that
        self._push: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._queue) if self._lent is None else len(self._queue) + len(self._lent)

    @property
    def bytes(self) -> int:
        """How many bytes wait."""
        if self._loose:
            self._bytes = sum(len(dispatch._raw) for dispatch in itertools.chain(self._lent or (), self._queue))
            self._loose = self._lent is not None
        return self._bytes

    # -- the reader's end ------------------------------------------------------------------------------------------

    def origin(self, session_id: str, *, replayed: bool) -> Origin:
        """Where dispatches come from that are put in here: the same object as long as the answer is the same."""
        origin = self._origin
        if origin is None or origin.session_id != session_id or origin.replayed is not replayed:
            origin = self._origin = Origin(session_id, replayed, self._self)
        return origin

    @property
    def full(self) -> bool:
        """Whether the reader has to wait before it reads on."""
        return self._pauses and (len(self) >= self._most_events or self._heavy)

    def put(self, dispatch: Dispatch) -> bool:
        """Adds a dispatch; never blocks. Whether the reader has to look at :attr:`full` and :attr:`overflowed`."""
        self._call_back()
        self.acks.note(dispatch.origin.session_id, dispatch.seq)
        if self._wanted is not None and dispatch.type not in self._wanted:
            self._pass_over(dispatch)
            return False
        queue = self._queue
        queue.append(dispatch)
        self._bytes += len(dispatch._raw)
        if self._asleep:
            self._lot.unpark()
            self._asleep = bool(self._lot)
        if len(queue) < self._most_events and self._bytes < self._most_bytes:
            return False
        if not self._pauses:
            self._bound()
        return True

    def put_run(self, run: list[Dispatch], size: int) -> bool:
        """As :meth:`put` for each of `run`: one session's, in ascending order, with at most `size` bytes in all.

        There must have been :attr:`room` for all of them, or for all but the last.
        """
        if self._wanted is not None:
            bounded = False
            for dispatch in run:
                bounded |= self.put(dispatch)
            return bounded
        first, last = run[0], run[-1]
        if not self.acks.note_run(first.origin.session_id, first.seq, last.seq, len(run)):
            self._call_back()
            for dispatch in run:
                self.acks.note(dispatch.origin.session_id, dispatch.seq)
        queue = self._queue
        queue.extend(run)
        self._bytes += size
        self._loose = True
        if self._asleep:
            self._lot.unpark(count=len(run))
            self._asleep = bool(self._lot)
        if len(self) < self._most_events and self._bytes < self._most_bytes:
            return False
        if not self._pauses:
            self._bound()
        return True

    @property
    def room(self) -> tuple[int, int]:
        """How many dispatches may come before the reader has to look at the bounds again, and of how many bytes."""
        if self.bounds.policy is QueuePolicy.DROP_OLDEST and self._push is None:
            return self._most_events, self._most_bytes  # whatever comes takes the place of what is there
        waiting = self._bytes if 2 * self._bytes < self._most_bytes else self.bytes
        return max(self._most_events - len(self), 1), max(self._most_bytes - waiting, 1)

    def flush(self) -> None:
        """Hands what waits to a sink, if there is one that wants it. Runs its code; it raises nothing."""
        if self._push is not None and self._queue:
            self._push()

    async def wait_for_room(self) -> None:
        """Waits until half of it is free, so that reading does not stutter from one event to the next."""
        self._call_back()
        while not self._half_empty:
            self._held_back = True
            await self._room.park()

    def close(self) -> None:
        """Nothing more will come; what waits can still be taken."""
        self._closed = True
        self._lot.unpark_all()

    # -- the consumers' end ----------------------------------------------------------------------------------------

    async def take(self, types: frozenset[str] | None = None, *, after: Dispatch | None = None) -> Dispatch | None:
        """The next dispatch of one of `types` (``None``: of any); ``None`` when the mailbox is closed and empty.

        Those of other types are let go. Cancelling it loses nothing.

        Args:
            types: names of dispatches.
            after: a dispatch that counts as handled, because the next one is asked for.
        """
        found = self.take_now(types, after=after)
        if found is not None:
            return found
        if self._queue or self._closed:
            await trio.lowlevel.checkpoint()
        else:  # parking is a checkpoint, and a turn before it would cost a pass of the loop for each event
            await trio.lowlevel.checkpoint_if_cancelled()
        if self._push is not None:
            raise ConsumerBusy(_PUSHED)
        if after is not None:
            self.handle(after)
        self._handle_abandoned()
        self._told = False
        while True:
            if self.window is None or self._closed or not self._window_full:
                found = self._next(types)
                if found is not None or self._closed:
                    self._turns = _TURNS
                    return found
            else:
                self._tell_that_it_is_stuck()
            self._unfiltered += types is None
            self._asleep = True
            try:
                await self._lot.park()
            finally:
                self._unfiltered -= types is None

    def take_now(self, types: frozenset[str] | None = None, after: Dispatch | None = None) -> Dispatch | None:
        """What `take` would give at once, or ``None`` if it would wait or give others their turn first."""
        if self._lent is not None:
            self._call_back()
        if not self._turns or not self._queue or self._abandoned or self.window is not None:
            return None
        self._turns -= 1
        if after is not None:
            self.acks.handle(after.origin.session_id, after.seq)
        return self._next(types)

    def lend(self, holder: Holder) -> None:
        """Lends what waits to a consumer that has just taken one of any type, as many as are left of the turn.

        It is as if it took them by :meth:`take_now`, each `after` the one before. Where that is not so simple, where
        the reader waits for room, and for a few, nothing is lent.
        """
        queue = self._queue
        count = min(len(queue), self._turns)
        if (
            count < _FEW
            or self._lent is not None
            or self._held_back
            or self.streams
            or self.window is not None
            or self._push is not None
            or self._abandoned
            or not self.acks.may_lend(len(queue))
        ):
            return
        hand = deque[Dispatch]() if holder.hand is None else holder.hand
        if count < len(queue):
            hand.extend([queue.popleft() for _ in range(count)])
        else:
            queue, hand = hand, queue
        self.acks.lend(hand)
        self._turns -= count
        self._loose = True
        self._lent = holder.hand = hand
        self._queue = queue

    def handle(self, dispatch: Dispatch) -> None:
        """A dispatch that was taken has been handled. Again, or of a session that is over, it says nothing."""
        held_up = self.window is not None and self._window_full
        self.acks.handle(dispatch.origin.session_id, dispatch.seq)
        if held_up and not self._window_full:
            self._lot.unpark_all()

    def abandon(self, dispatch: Dispatch) -> None:
        """Its stream is gone, and cannot say that it was handled: it counts as that when anybody asks for another."""
        self._call_back()
        self._abandoned.append(dispatch)

    def attach(self, push: Callable[[], None], types: frozenset[str] | None) -> None:
        """Has `push` called when there is something for :meth:`take_burst`, in place of all other consumers.

        Raises:
            ConsumerBusy: while there is another.
        """
        if self._push is not None or self._unfiltered or self.streams:
            raise ConsumerBusy(_PUSHED if self._push is not None else _ASKED)
        self._call_back()
        if types is not None:
            self.open(types)
        self._push = push
        self._turns = 0  # so that whoever asks now comes to `take`, which refuses

    def detach(self) -> None:
        """Ends what :meth:`attach` began; what waits is for the next consumer."""
        self._push = None
        if self.streams:
            self.release()

    def take_burst(self, types: frozenset[str] | None) -> list[Dispatch]:
        """All that waits, of these types, as far as the window allows; the others are let go."""
        queue, acks, window = self._queue, self.acks, None if self._closed else self.window
        self._handle_abandoned()
        if not queue:
            return []
        most = len(queue) if window is None else min(len(queue), max(window - acks.unhandled, 0))
        burst: list[Dispatch] = []
        if types is not None or not acks.take_run(most, len(queue)):
            while (window is None or not self._window_full) and (found := self._next(types)) is not None:
                burst.append(found)
        elif most == len(queue):
            burst.extend(queue)
            queue.clear()
            self._bytes, self._loose = 0, False
        else:
            burst.extend(queue.popleft() for _ in range(most))
            self._bytes -= sum(dispatch.size for dispatch in burst)
        if burst:
            self._told = False
            if self._held_back and self._half_empty:
                self._let_in()
        elif queue:
            self._tell_that_it_is_stuck()
        return burst

    def handle_burst(self, burst: list[Dispatch]) -> None:
        """:meth:`handle` for each of `burst`."""
        first, last = burst[0], burst[-1]
        if not self.acks.handle_run(last.origin.session_id, first.seq, last.seq, len(burst)):
            for dispatch in burst:
                self.handle(dispatch)

    async def changed(self) -> None:
        """Waits until :meth:`wake` was called, something was handled that the window waits for, or it is closed."""
        await self._lot.park()

    def wake(self) -> None:
        """Wakes whoever is in :meth:`changed`."""
        self._lot.unpark_all()

    @property
    def over(self) -> bool:
        """Whether it is closed and empty."""
        return self._closed and not self._queue

    def open(self, types: frozenset[str]) -> None:
        """From now on dispatches of other types are let go as they come; once more for each stream that asks.

        Raises:
            ConsumerBusy: while another consumer asks for others.
        """
        if self._push is not None:
            raise ConsumerBusy(_PUSHED)
        if self._unfiltered or (self.streams and self._wanted != types):
            raise ConsumerBusy(_OTHER_TYPES)
        self._call_back()
        self._wanted = types
        self.streams += 1

    def release(self) -> None:
        """A stream that was opened is closed; after the last one everything is kept again."""
        self.streams -= 1
        if not self.streams:
            self._wanted = None

    def check_unfiltered(self) -> None:
        """Everything may be asked for now.

        Raises:
            ConsumerBusy: while a stream of some types is open.
        """
        if self.streams:
            raise ConsumerBusy(_OTHER_TYPES)

    # -- inside ----------------------------------------------------------------------------------------------------

    @property
    def _window_full(self) -> bool:
        return self.window is not None and self.acks.unhandled >= self.window and self.acks.oldest is not None

    @property
    def _half_empty(self) -> bool:
        return len(self._queue) <= self._most_events // 2 and self.bytes <= self._most_bytes // 2

    @property
    def _heavy(self) -> bool:
        return self._bytes >= self._most_bytes and self.bytes >= self._most_bytes

    @property
    def _too_heavy(self) -> bool:
        return self._bytes > self._most_bytes and self.bytes > self._most_bytes

    def _call_back(self) -> None:
        """Ends what :meth:`lend` began, so that the hand is empty and all that waits is in the queue."""
        hand, self._lent = self._lent, None
        if hand is not None:
            self.acks.take_back()
            if hand:
                self._queue.extendleft(reversed(hand))
                hand.clear()
            elif not self._queue:
                self._bytes, self._loose = 0, False

    def _next(self, types: frozenset[str] | None) -> Dispatch | None:
        if self._lent is not None:
            self._call_back()
        found: Dispatch | None = None
        while found is None and self._queue:
            dispatch = self._queue.popleft()
            self._bytes -= len(dispatch._raw)
            if types is None or dispatch.type in types:
                self.acks.take(dispatch.origin.session_id, dispatch.seq)
                found = dispatch
            else:
                self._pass_over(dispatch)
        if self._held_back and self._half_empty:
            self._let_in()
        return found

    def _handle_abandoned(self) -> None:
        if self._abandoned:
            for dispatch in self._abandoned:
                self.handle(dispatch)
            self._abandoned.clear()

    def _tell_that_it_is_stuck(self) -> None:
        if not self._told and self._on_stuck is not None and self.acks.oldest is not None:
            self._told = True
            self._on_stuck(self.acks.unhandled, self.acks.oldest)

    def _let_in(self) -> None:
        self._held_back = False
        self._room.unpark_all()

    def _pass_over(self, dispatch: Dispatch) -> None:
        self.filtered += 1
        self.acks.let_go(dispatch.origin.session_id, dispatch.seq)

    def _bound(self) -> None:
        """What the policies that do not pause do about a dispatch too many. One always stays."""
        self._call_back()
        while len(self._queue) > 1 and (len(self._queue) > self._most_events or self._too_heavy):
            if self.bounds.policy is QueuePolicy.FAIL:
                self.overflowed = True
                return
            dispatch = self._queue.popleft()
            self._bytes -= len(dispatch._raw)
            self.dropped += 1
            self.acks.let_go(dispatch.origin.session_id, dispatch.seq)


_OTHER_TYPES = (
    "another stream with other types is open, and each dispatch goes to one consumer only: close() that stream first, "
    "or ask for all types in one stream and tell them apart by event.type"
)
_ASKED = "another task waits for dispatches, and each goes to one consumer only: end it before you push them to a sink"
_PUSHED = "dispatches are pushed to a sink, and each goes to one consumer only: cancel push() before you ask for any"
