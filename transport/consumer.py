"""The consumer's end of a shard: an async iterator of dispatches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Self

from gatewright.spec.errors import ConfigurationError
from gatewright.transport.acks import Ack
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.mailbox import ConsumerBusy, Mailbox


class EventStream:
    """The dispatches of a shard, in order, until it is over and its queue is empty.

    One task at a time asks a stream. Several streams share the queue, and each dispatch goes to one of them: a pool of
    workers has a stream each. All that are open at a time ask for the same types.

    A stream of some types lets go of all others, from the first dispatch that is asked for until it is closed; they are
    not decoded and count as handled. It is closed by :meth:`close`, by its end, and when nothing refers to it any more,
    which is soon after the loop over it.

    Args:
        mailbox: what it takes from.
        failure: what to raise when the mailbox is closed and empty; ``None`` for the ordinary end.
        types: names of the dispatches that are wanted; ``None`` for all.
        ack: when a dispatch counts as handled.
    """

    __slots__ = ("_asking", "_auto", "_closed", "_failure", "_mailbox", "_open", "_taken", "_types", "hand")

    def __init__(
        self, mailbox: Mailbox, *, failure: Callable[[], Exception | None], types: frozenset[str] | None, ack: Ack
    ) -> None:
        self._mailbox = mailbox
        self._failure = failure
        self._types = types
        self._auto = ack is Ack.AUTO
        self._taken: Dispatch | None = None
        self.hand: deque[Dispatch] | None = None
        """What the mailbox has lent; see :class:`~gatewright.transport.mailbox.Mailbox`."""
        self._asking = False
        self._open = False
        self._closed = False

    def __aiter__(self) -> Self:
        """An iterator is its own."""
        return self

    async def __anext__(self) -> Dispatch:
        """The next dispatch; unless ``ack="manual"``, asking for it says that the one before was handled.

        Raises:
            StopAsyncIteration: the shard was stopped and nothing is left, or this stream was closed.
            ShardFailed: the shard failed, and nothing is left.
            ConsumerBusy: another task waits on this stream, or a stream with other types is open.
        """
        hand = self.hand
        if hand:  # nothing of what follows can have changed since this was lent, or it had been called back
            self._taken = lent = hand.popleft()
            return lent
        if self._closed:
            raise StopAsyncIteration
        if self._asking:
            raise ConsumerBusy(_ONE_TASK)
        mailbox = self._mailbox
        if self._types is None:
            if mailbox.streams:
                mailbox.check_unfiltered()
        elif not self._open:
            mailbox.open(self._types)
            self._open = True
        found = mailbox.take_now(self._types, self._taken)
        if found is None:
            self._asking = True
            try:
                found = await mailbox.take(self._types, after=self._taken)
            finally:
                self._asking = False
        if found is None:
            self._release()
            failure = self._failure()
            if failure is not None:
                raise failure
            raise StopAsyncIteration
        if self._auto:
            self._taken = found
            if self._types is None:
                mailbox.lend(self)
        return found

    def close(self) -> None:
        """Asks for nothing any more; idempotent. Dispatches of other types are kept again for who asks for them."""
        self._closed = True
        self._release()
        self.move_on()

    def move_on(self) -> None:
        """What was taken last counts as handled when any stream asks for another."""
        taken, self._taken = self._taken, None
        if taken is not None:
            self._mailbox.abandon(taken)

    def _release(self) -> None:
        if self._open:
            self._open = False
            self._mailbox.release()

    def __del__(self) -> None:
        self.close()


def wanted_types(types: Iterable[str] | None) -> frozenset[str] | None:
    """Event names as they were given; any name will do, for Discord has more than it documents (P78).

    Raises:
        ConfigurationError: for a single string, for none, and for what is no string.
    """
    if types is None:
        return None
    if isinstance(types, str):
        raise ConfigurationError(f"types is a collection of event names; write {{{types!r}}}")
    try:
        found = frozenset(types)
    except TypeError:  # what cannot be gone through, or holds what cannot be the name of anything
        raise ConfigurationError("types must be a collection of event names, such as {'MESSAGE_CREATE'}") from None
    if not found or not all(isinstance(name, str) and name for name in found):
        raise ConfigurationError("types must hold at least one event name, such as {'MESSAGE_CREATE'}")
    return found


_ONE_TASK: Final = (
    "another task is waiting on this stream; give each task a stream of its own with shard.events(): they share the "
    "queue, and each dispatch goes to one of them"
)
