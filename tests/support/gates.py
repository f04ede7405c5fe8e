"""Gates for tests that are not about gates."""

from __future__ import annotations

from collections.abc import Callable

from gatewright.spec.session import Metadata
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.seams import Slot


class FreeGate:
    """A gate with a slot for whoever asks, so that no test waits for the spacing of IDENTIFYs."""

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        return Slot(shard_id, 0, "")

    def sent(self, slot: Slot) -> None: ...

    def answered(self, slot: Slot) -> None: ...

    def give_back(self, slot: Slot) -> None: ...

    def learn(self, metadata: Metadata) -> None: ...


class AroundAGate:
    """A gate that asks another one; a test says what comes before that."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._inner = InMemoryIdentifyGate(random=random)

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        return await self._inner.acquire(shard_id=shard_id, on_queued=on_queued)

    def sent(self, slot: Slot) -> None:
        self._inner.sent(slot)

    def answered(self, slot: Slot) -> None:
        self._inner.answered(slot)

    def give_back(self, slot: Slot) -> None:
        self._inner.give_back(slot)

    def learn(self, metadata: Metadata) -> None:
        self._inner.learn(metadata)
