"""One stop of the fault tour: a shard of ours, a fake gateway in memory, one fault in one phase, and its outcome."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import ClassVar

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from gatewright.fsm.journal import Record
from gatewright.harness.fake import Acted, FakeGateway, Withhold
from gatewright.harness.fake.faults import Fault, Phase
from gatewright.spec.states import State
from gatewright.transport.errors import MetadataRefused, ShardFailed
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.metadata import HttpMetadataSource
from gatewright.transport.seams import Slot
from gatewright.transport.token import Token
from tests.support.shards import TOKEN, Streams, gateway, shard_on

SETTLED = 120.0
"""Seconds without another move after which `ready` counts as kept: almost three heartbeats."""


class SlowGate(InMemoryIdentifyGate):
    """A gate that keeps everybody waiting for 2 s, so that a fault can come in `awaiting_identify_slot`.

    The first one waits for `first` seconds.
    """

    def __init__(self, first: float = 2.0) -> None:
        super().__init__(random=random.Random(1).random)
        self._first = first

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        wait, self._first = self._first, 2.0
        on_queued(wait)
        await trio.sleep(wait)
        return await super().acquire(shard_id=shard_id, on_queued=on_queued)


class Moves:
    """Every move with its time."""

    def __init__(self) -> None:
        self.moves: list[tuple[float, State]] = []

    def observe(self, record: Record) -> None:
        if record.moved:
            self.moves.append((trio.current_time(), record.to))

    def states_at(self, time: float) -> set[State]:
        """The states that the shard was in at this moment; several, if it moved just then."""
        at = {state for when, state in self.moves if when == time}
        before = [state for when, state in self.moves if when < time]
        return at | set(before[-1:])


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of it. `recovered_in` is in virtual seconds from the fault; ``inf`` if the shard did not settle."""

    states_at_fault: set[State]
    states_after: list[State]
    final: State
    status: int | None
    """The close code or HTTP status for which it failed."""
    recovered_in: float
    connections: int
    most_sockets: int
    left: dict[str, int]

    NOTHING: ClassVar = {"sockets": 0, "tasks": 0, "timers": 0, "connections of the server": 0}


async def visit(fault: Fault, phase: Phase) -> Outcome:
    """Play `fault` in `phase` and wait for what the shard makes of it."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    moves = Moves()
    fake = gateway(script=fault.script(phase), metadata_script=fault.metadata(phase))
    async with fake:
        streams, inside = Streams(fake), trio.lowlevel.current_statistics().tasks_living
        shard = shard_on(
            fake,
            opener=streams,
            metadata=HttpMetadataSource(Token(TOKEN), base_url=fake.metadata_url, opener=fake.open_stream),
            gate=SlowGate(300.0 if fault.unacknowledged and phase is Phase.AWAITING_IDENTIFY_SLOT else 2.0),
            compress=fault.compress or "none",
            observers=[moves],
            watch_loop=False,
        )
        status: int | None = None
        async with shard:
            await fake.wait_until(lambda _: _played(fake, fault, phase) is not None)
            played = _played(fake, fault, phase)
            assert played is not None
            await trio.sleep(played + fault.within - trio.current_time())
            final = shard.state
            await trio.sleep(SETTLED)
            if shard.state is State.FAILED:
                try:
                    await shard.wait_for("ready")
                except ShardFailed as failed:
                    status = 401 if isinstance(failed, MetadataRefused) else failed.failure.code
            lasting = shard.state
        after = [(when, state) for when, state in moves.moves if when >= played]
        entered = [when for when, state in after if state is lasting and when <= played + fault.within + SETTLED]
        settled = final is lasting and lasting in {State.READY, State.FAILED}
        await trio.sleep(10.0)  # the fake's own close timeout
        await wait_all_tasks_blocked()
        in_the_dark = fault.name == "half_open"  # who does not read does not see the end
        left = 0 if in_the_dark else fake.open_connections
        tasks_left = 0 if in_the_dark else trio.lowlevel.current_statistics().tasks_living - inside
    await wait_all_tasks_blocked()
    statistics = trio.lowlevel.current_statistics()
    return Outcome(
        states_at_fault=moves.states_at(played),
        states_after=[state for _, state in after],
        final=lasting,
        status=status,
        recovered_in=(max(entered, default=played) - played) if settled else math.inf,
        connections=fake.connections,
        most_sockets=streams.most_open,
        left={
            "sockets": streams.open,
            "tasks": max(tasks_left, statistics.tasks_living - tasks),
            "timers": int(statistics.seconds_to_next_deadline != math.inf)
            + int(shard._core.next_deadline() is not None),
            "connections of the server": left,
        },
    )


def _played(fake: FakeGateway, fault: Fault, phase: Phase) -> float | None:
    """When the first action of the fault was played."""
    connection = {Phase.FETCHING_METADATA: 0, Phase.RESUMING: 2}.get(phase, 1)
    for record in fake.log.of(Acted, connection=connection):
        if fault.unacknowledged:
            if record.action == Withhold() and record.step == "ack":
                return record.time
        elif not fault.actions or record.action == fault.actions[0]:
            return record.time
    return None
