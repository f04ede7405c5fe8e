"""The seams of a simulated shard that are no network: identify gate, registrations, session store, metadata."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Final, TypeVar

import trio

from gatewright.harness.sim.scenario import Gate, Late, Limit, Registering
from gatewright.spec.events import MetadataError, SlotRefusal
from gatewright.spec.session import Metadata, Session
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.seams import GateUnavailable, IdentifyGate, MetadataUnavailable, Slot

T = TypeVar("T")

_LATE: Final = 3.0
"""Seconds after which a gate answers that takes no notice of being cancelled."""


async def _in_any_case(seconds: float) -> None:
    """Lasts so long, whoever cancels it: as a call in a thread does."""
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)


class SimulatedGate:
    """An identify gate that answers its first requests as a scenario says, and those after them like the real one."""

    def __init__(self, plan: Sequence[Gate], inner: IdentifyGate) -> None:
        self._plan = list(plan)
        self._inner = inner
        self.troubles = 0
        """How often it was not free."""
        self.unsettled = 0
        """Slots that were granted, and neither used nor given back."""

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        """See :class:`~gatewright.transport.seams.IdentifyGate`."""
        how = self._plan.pop(0) if self._plan else Gate.FREE
        self.troubles += how is not Gate.FREE
        match how:
            case Gate.FREE:
                await trio.lowlevel.checkpoint()
            case Gate.SLOW:
                on_queued(12.0)
                await trio.sleep(12.0)
            case Gate.OUTAGE:
                await trio.lowlevel.checkpoint()
                raise GateUnavailable(SlotRefusal.OUTAGE, 2.0)
            case Gate.BUDGET:
                await trio.sleep(1.0)
                raise GateUnavailable(SlotRefusal.BUDGET, 300.0)
            case Gate.SILENT:
                on_queued(60.0)
                await trio.sleep_forever()
            case Gate.STUBBORN:
                on_queued(3.0)
                return await self._grant_in_any_case(shard_id)
            case Gate.LATE_GRANT:
                return await self._grant_in_any_case(shard_id)
            case Gate.LATE_REFUSAL:
                await _in_any_case(_LATE)
                raise GateUnavailable(SlotRefusal.OUTAGE, 2.0)
            case Gate.LATE_ESTIMATE:
                await _in_any_case(_LATE)
                on_queued(20.0)
        slot = await self._inner.acquire(shard_id=shard_id, on_queued=on_queued)
        self.unsettled += 1
        return slot

    async def _grant_in_any_case(self, shard_id: int) -> Slot:
        slot: Slot | None = None
        with trio.CancelScope(shield=True):
            await trio.sleep(_LATE)
            slot = await self._inner.acquire(shard_id=shard_id, on_queued=lambda _eta: None)
        assert slot is not None
        self.unsettled += 1
        return slot

    def sent(self, slot: Slot) -> None:
        """See :class:`~gatewright.transport.seams.IdentifyGate`."""
        self.unsettled -= 1
        self._inner.sent(slot)

    def answered(self, slot: Slot) -> None:
        """See :class:`~gatewright.transport.seams.IdentifyGate`."""
        self._inner.answered(slot)

    def give_back(self, slot: Slot) -> None:
        """See :class:`~gatewright.transport.seams.IdentifyGate`."""
        self.unsettled -= 1
        self._inner.give_back(slot)

    def learn(self, metadata: Metadata) -> None:
        """See :class:`~gatewright.transport.seams.IdentifyGate`."""
        self._inner.learn(metadata)

    def heal(self) -> None:
        """From now on it answers like the real one, and the budget is renewed."""
        self._plan.clear()
        self._inner.learn(Metadata(url="wss://gateway.invalid"))


def real_gate(random: Callable[[], float]) -> IdentifyGate:
    """The gate of one process."""
    return InMemoryIdentifyGate(clock=trio.current_time, random=random)


class RegistrationBroke(Exception):
    """What a registration of a bot raises."""


class SimulatedRegistration:
    """A registration that behaves as a scenario says."""

    def __init__(self, how: Registering) -> None:
        self._how = how
        self.applied = False

    async def apply(self, client: object) -> None:
        """See :class:`~gatewright.transport.seams.Registration`."""
        self.applied = True
        match self._how:
            case Registering.SLOW:
                await trio.sleep(3.0)
            case Registering.FAILS:
                await trio.sleep(1.0)
                raise RegistrationBroke("as the scenario has it")
            case Registering.HANGS | Registering.HANGS_TWICE:
                await trio.sleep_forever()
            case Registering.STUBBORN:
                await _in_any_case(6.0)
            case Registering.STUBBORN_FAILS:
                await _in_any_case(6.0)
                raise RegistrationBroke("as the scenario has it")
            case _:
                await trio.lowlevel.checkpoint()

    async def undo(self, client: object) -> None:
        """See :class:`~gatewright.transport.seams.Registration`."""
        self.applied = False
        match self._how:
            case Registering.UNDO_HANGS:
                await trio.sleep_forever()
            case Registering.UNDO_STUBBORN | Registering.HANGS_TWICE:
                await _in_any_case(6.0)
            case Registering.UNDO_FAILS:
                raise RegistrationBroke("as the scenario has it")
            case _:
                await trio.lowlevel.checkpoint()


class MemoryStore:
    """A session store that fails at every third save."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.saves = 0

    async def load(self) -> Session | None:
        """See :class:`~gatewright.transport.seams.SessionStore`."""
        await trio.lowlevel.checkpoint()
        return self.session

    async def save(self, session: Session | None) -> None:
        """See :class:`~gatewright.transport.seams.SessionStore`."""
        self.saves += 1
        await trio.sleep(0.01)
        if self.saves % 3 == 2:
            raise OSError("the disk is full, for once")
        self.session = session


@contextlib.contextmanager
def threads_in_line() -> Generator[None]:
    """The task that asks a thread for something does it itself, a moment later: no life depends on a disk."""
    before = trio.to_thread.run_sync
    trio.to_thread.run_sync = _in_line  # type: ignore[assignment]  # fewer parameters
    try:
        yield
    finally:
        trio.to_thread.run_sync = before


async def _in_line(function: Callable[..., T], *args: object, **_options: object) -> T:
    await trio.sleep(0.01)
    return function(*args)


class Counter:
    """A sink that counts, and has had enough after each third burst."""

    def __init__(self, absence: Callable[[], Awaitable[None]]) -> None:
        self._absence = absence
        self._bursts = 0

    def take(self, dispatches: list[Dispatch]) -> bool:
        """See :class:`~gatewright.transport.push.Sink`."""
        self._bursts += 1
        for dispatch in dispatches:
            dispatch.ack()
        return bool(self._bursts % 3)

    async def room(self) -> None:
        """See :class:`~gatewright.transport.push.Sink`."""
        await self._absence()
        await trio.lowlevel.checkpoint()


_TRANSIENT = MetadataError.TRANSIENT
_FAILURES = {
    "metadata_401": (0.0, MetadataError.FATAL, 0.0),
    "metadata_429": (0.0, _TRANSIENT, 3.0),
    "metadata_503": (0.0, _TRANSIENT, 0.0),
    "metadata_garbage": (0.0, MetadataError.MALFORMED, 0.0),
    "metadata_fields": (0.1, MetadataError.MALFORMED, 0.0),
    "metadata_fin": (0.1, _TRANSIENT, 0.0),
    "metadata_silence": (4.0, _TRANSIENT, 0.0),
}


class MemoryMetadata:
    """A metadata source that fails as often as a scenario says; HTTP costs more than all the rest of a simulation."""

    def __init__(self, plan: Sequence[str | Late | Limit], url: str) -> None:
        self._plan = list(plan)
        self._url = url
        self.troubles = 0
        """How many requests were answered as planned."""

    async def fetch(self) -> Metadata:
        """See :class:`~gatewright.transport.seams.MetadataSource`."""
        self.troubles += bool(self._plan)
        name = self._plan.pop(0) if self._plan else ""
        if isinstance(name, Late):
            await _in_any_case(name.seconds)
            if name.fails:
                raise MetadataUnavailable(_TRANSIENT, "late")
            return Metadata(url=self._url)
        if isinstance(name, Limit):
            await trio.sleep(0.1)
            return Metadata(
                url=self._url, remaining=name.remaining, reset_after=name.reset_after, max_concurrency=name.buckets
            )
        failure = _FAILURES.get(name)
        if failure is None:
            await trio.sleep(5.0 if name == "metadata_slow" else 0.1)
            return Metadata(url=self._url)
        seconds, error, retry_after = failure
        await trio.sleep(seconds)
        raise MetadataUnavailable(error, name, retry_after)

    def heal(self) -> None:
        """From now on it answers."""
        self._plan.clear()
