"""Gates for tests that are not about gates."""

from __future__ import annotations

from collections.abc import Callable

from gatewright.spec.session import Metadata
from gatewright.transport.seams import Slot


class FreeGate:
    """A gate with a slot for whoever asks, so that no test waits for the spacing of IDENTIFYs."""

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        return Slot(shard_id, 0, "")

    def sent(self, slot: Slot) -> None: ...

    def answered(self, slot: Slot) -> None: ...

    def give_back(self, slot: Slot) -> None: ...

    def learn(self, metadata: Metadata) -> None: ...
