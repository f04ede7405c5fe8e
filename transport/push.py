"""Dispatches pushed to a sink in the pass in which they were read, in place of a consumer that is woken for them.

For those who hand dispatches on, to another thread, loop or process: a wake-up of trio's costs more than several
dispatches. Handlers belong into a task that asks (:mod:`gatewright.transport.consumer`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import trio

from gatewright.spec.errors import ConfigurationError
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.mailbox import Mailbox


class Sink(Protocol):
    """Where dispatches go."""

    def take(self, dispatches: list[Dispatch]) -> bool:
        """Takes a burst, which is the sink's from here on: in order, at least one, all that wait.

        Called in trio's thread by the task that reads the socket, behind the transitions that the dispatches were part
        of and never within one. It must not block: nothing else of the loop runs meanwhile. The shard's commands may be
        called. What it raises is not the shard's: :func:`push` raises it, no more is pushed, and the burst is not
        handled.

        Returns:
            Whether the next burst may come at once. If not, it comes after :meth:`room`; until then dispatches wait in
            the shard's queue, under its bounds and its policy, which stop the reading by default.
        """
        ...

    async def room(self) -> None:
        """Waits until the next burst may come. Called after :meth:`take` said no; cancelling it loses nothing."""
        ...


async def push(
    mailbox: Mailbox,
    sink: Sink,
    *,
    failure: Callable[[], Exception | None],
    types: frozenset[str] | None,
    auto: bool,
) -> None:
    """Pushes what is in the mailbox, and whatever comes, until it is closed and empty.

    Args:
        mailbox: what is taken from.
        sink: where it goes.
        failure: what to raise at the end; ``None`` for the ordinary one.
        types: names of the dispatches that are wanted; ``None`` for all.
        auto: whether a burst counts as handled when the sink has taken it; if not, ``ack()`` says it.

    Raises:
        ConfigurationError: `sink` is none; nothing was attached, so others may take dispatches.
        ConsumerBusy: somebody else takes dispatches.
        Exception: whatever the sink has raised.
    """
    _check(sink)
    pushing = _Pushing(mailbox, sink, types, auto)
    mailbox.attach(pushing.hand_over, types)
    try:
        await trio.lowlevel.checkpoint()
        while True:
            pushing.hand_over()
            if pushing.failure is not None:
                raise pushing.failure
            if pushing.stopped:
                await sink.room()
                pushing.stopped = False
            elif mailbox.over:
                break
            else:
                await mailbox.changed()
    finally:
        mailbox.detach()
    error = failure()
    if error is not None:
        raise error


def _check(sink: object) -> None:
    if isinstance(sink, type) or not all(callable(getattr(sink, method, None)) for method in ("take", "room")):
        kind = f"the class {sink.__name__}" if isinstance(sink, type) else type(sink).__name__
        raise ConfigurationError(
            f"a sink is an object with take(dispatches) and async room() (gatewright.transport.push.Sink), not {kind}"
        )


class _Pushing:
    """Hands bursts to a sink, in whichever task finds that there is one."""

    __slots__ = ("_auto", "_mailbox", "_sink", "_types", "failure", "stopped")

    def __init__(self, mailbox: Mailbox, sink: Sink, types: frozenset[str] | None, auto: bool) -> None:
        self._mailbox = mailbox
        self._sink = sink
        self._types = types
        self._auto = auto
        self.stopped = False
        """The sink has said no, or failed."""
        self.failure: BaseException | None = None

    def hand_over(self) -> None:
        """Hands over what waits, if the sink wants it. It raises nothing: it may be the reader's task that calls."""
        mailbox = self._mailbox
        while not self.stopped:
            burst = mailbox.take_burst(self._types)
            if not burst:
                return
            self.stopped = True  # also for a sink that comes back here from within
            try:
                enough = not self._sink.take(burst)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the consumer's
                self.failure = error
                mailbox.wake()
                return
            if self._auto:
                mailbox.handle_burst(burst)
            self.stopped = enough
        mailbox.wake()
