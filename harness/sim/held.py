"""Seams of a simulated shard that hold every question until somebody says the answer.

Gate and metadata take no notice of being cancelled, as a call in a thread does: what was given up can be answered too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import attrs
import trio

from gatewright.spec.session import Metadata
from gatewright.transport.seams import Slot

T = TypeVar("T")


def _ignore(_seconds: float) -> None:
    """Where an estimate goes that nobody waits for."""


@attrs.define(eq=False)
class Question(Generic[T]):
    """Something that waits for an answer."""

    stubborn: bool
    """Whether it waits on when it is cancelled."""
    note: Callable[[float], None] = _ignore
    """Where an estimate goes, in seconds."""
    gen: int = 0
    """The generation in which it was asked, if that matters."""
    given_up: bool = False
    """Whether who asked has cancelled it."""
    _answer: T | Exception | None = None
    _said: trio.Event = attrs.field(factory=trio.Event)

    def answer(self, answer: T | Exception) -> None:
        """Returns it to who asked, or raises it there."""
        if not self._said.is_set():
            self._answer = answer
            self._said.set()

    @property
    def answered(self) -> bool:
        """Whether it was."""
        return self._said.is_set()

    async def wait(self) -> T:
        """The answer."""
        try:
            await self._said.wait()
        except trio.Cancelled:
            if not self.stubborn:
                raise
            self.given_up = True
            with trio.CancelScope(shield=True):
                await self._said.wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        assert self._answer is not None
        return self._answer


class Desk(Generic[T]):
    """Questions, the oldest first.

    Args:
        usual: makes the answer to everything once the desk is healed.
        stubborn: whether questions take no notice of being cancelled.
    """

    def __init__(self, usual: Callable[[], T], *, stubborn: bool) -> None:
        self._usual = usual
        self._stubborn = stubborn
        self._healed = False
        self._questions: list[Question[T]] = []

    async def ask(self, note: Callable[[float], None] = _ignore, gen: int = 0) -> T:
        """Waits for the answer."""
        question = Question[T](self._stubborn, note, gen)
        self._questions.append(question)
        if self._healed:
            question.answer(self._usual())
        try:
            return await question.wait()
        finally:
            self._questions.remove(question)

    def open(self, *, given_up: bool = False, asked: Callable[[int], bool] = lambda _gen: True) -> Question[T] | None:
        """The oldest question without an answer that somebody still waits for, or that everybody has given up.

        Args:
            given_up: which of the two.
            asked: whether it may have been asked in a generation.
        """
        found = (q for q in self._questions if not q.answered and q.given_up is given_up and asked(q.gen))
        return next(found, None)

    def heal(self) -> None:
        """From now on everything is answered as usual."""
        self._healed = True
        for question in tuple(self._questions):
            question.answer(self._usual())


class HeldGate:
    """An identify gate that grants and refuses when it is told to.

    Args:
        gen: the generation in which it is asked.
    """

    def __init__(self, gen: Callable[[], int]) -> None:
        self._gen = gen
        self.asked_in = 0
        """The generation of the last request."""
        self.desk = Desk[Slot](lambda: Slot(0, 0, "held"), stubborn=True)
        self.unsettled = 0
        """Slots that were granted, and neither used nor given back."""
        self.note: Callable[[float], None] = _ignore
        """Where the estimates of the last request go, be it answered or not."""

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        """See :class:`~gatewright.transport.seams.IdentifyGate`."""
        self.note, self.asked_in = on_queued, self._gen()
        slot = await self.desk.ask(on_queued, self.asked_in)
        self.unsettled += 1
        return slot

    def sent(self, slot: Slot) -> None:
        """See :class:`~gatewright.transport.seams.IdentifyGate`."""
        self.unsettled -= 1

    def answered(self, slot: Slot) -> None:
        """See :class:`~gatewright.transport.seams.IdentifyGate`."""

    def give_back(self, slot: Slot) -> None:
        """See :class:`~gatewright.transport.seams.IdentifyGate`."""
        self.unsettled -= 1

    def learn(self, metadata: Metadata) -> None:
        """See :class:`~gatewright.transport.seams.IdentifyGate`."""


class HeldMetadata:
    """A metadata source that answers when it is told to."""

    def __init__(self, url: str) -> None:
        self.desk = Desk[Metadata](lambda: Metadata(url=url), stubborn=True)

    async def fetch(self) -> Metadata:
        """See :class:`~gatewright.transport.seams.MetadataSource`."""
        return await self.desk.ask()


class HeldRegistration:
    """A registration that is applied and undone when it is told to.

    Args:
        stubborn: whether undoing takes no notice of being cancelled, and holds back the next one until it has ended.
    """

    def __init__(self, *, stubborn: bool) -> None:
        self.applying = Desk[bool](lambda: True, stubborn=False)
        self.undoing = Desk[bool](lambda: True, stubborn=stubborn)
        self.applied = False

    async def apply(self, client: object) -> None:
        """See :class:`~gatewright.transport.seams.Registration`."""
        self.applied = True
        await self.applying.ask()

    async def undo(self, client: object) -> None:
        """See :class:`~gatewright.transport.seams.Registration`."""
        self.applied = False
        await self.undoing.ask()

    def heal(self) -> None:
        """From now on it does what it is asked for at once."""
        self.applying.heal()
        self.undoing.heal()
