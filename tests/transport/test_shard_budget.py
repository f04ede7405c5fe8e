"""A simulated day against each server that makes a client identify again and again: the budget is never spent (P29).

Spending it ends every session of the bot and resets its token. The driver, the gate and the fake are the real ones, the
time is not. The fake voids the token itself when it counts one IDENTIFY too many.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs
import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake import Close, Connection, Drop, FakeGateway, Invalidate, Log, Rules, Sent, Withhold
from gatewright.spec.protocol import DAY, Opcode
from gatewright.spec.session import Metadata
from gatewright.spec.states import STATES
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.shard import Shard
from tests.support.conforms import conforms
from tests.support.shards import gateway, shard_on

BUDGET = 1000
FORGETFUL = Rules(session_lifetime=0)
"""The server forgets a session as soon as its socket is gone, so that every RESUME ends in an IDENTIFY."""


@attrs.frozen
class Adversity:
    """A server, what it does, and how many IDENTIFYs a day it may cost at most."""

    name: str
    script: list[Connection]
    bound: int
    rules: Rules = attrs.field(factory=Rules)
    closes_after_acks: bool = False


ADVERSITIES = [
    Adversity("closes after every IDENTIFY", [Connection(ready=Close(4000))], 960),
    Adversity("drops after every READY", [Connection(after_ready=Drop(), after_resumed=Drop())], 5),
    Adversity("drops after every READY and forgets", [Connection(after_ready=Drop())], 960, FORGETFUL),
    Adversity("never sends READY and ACKs", [Connection(ready=Withhold())], 100),
    Adversity("never sends READY nor an ACK", [Connection(ready=Withhold(), ack=Withhold())], 960),
    Adversity("answers every IDENTIFY with opcode 9", [Connection(ready=Invalidate())], 960),
    Adversity("closes with 4009 after every first ACK", [Connection()], 960, closes_after_acks=True),
    Adversity("closes with 4007 after every READY", [Connection(after_ready=Close(4007))], 960),
]


async def close_after_acks(fake: FakeGateway) -> None:
    """4009 behind the first ACK of each connection: the session is proved, and gone."""
    read = 0

    def grown(log: Log) -> bool:
        return len(log) > read

    while True:
        await fake.wait_until(grown)
        fresh, read = fake.log[read:], len(fake.log)
        if any(isinstance(record, Sent) and record.op == Opcode.HEARTBEAT_ACK for record in fresh):
            fake.close(4009)


async def spend_a_day(adversity: Adversity, shard_of: Callable[[FakeGateway], Shard]) -> FakeGateway:
    async with (
        gateway(guilds=0, script=adversity.script, rules=adversity.rules) as fake,
        trio.open_nursery() as nursery,
    ):
        if adversity.closes_after_acks:
            nursery.start_soon(close_after_acks, fake)
        async with shard_of(fake) as shard:
            with trio.move_on_after(DAY):
                async for _ in shard:
                    pass
            assert not STATES[shard.state].absorbing
        nursery.cancel_scope.cancel()
    return fake


@pytest.mark.parametrize("adversity", ADVERSITIES, ids=lambda adversity: adversity.name)
@conforms("A12", "P29", "P52")
async def test_a_day_of_it_stays_within_the_budget(
    autojump_clock: MockClock, adversity: Adversity, record_property: Callable[[str, object], None]
) -> None:
    began = time.perf_counter()
    fake = await spend_a_day(adversity, shard_on)
    took = time.perf_counter() - began
    record_property(
        "figure",
        f"{fake.identifies:5d} IDENTIFYs of {BUDGET} and {fake.connections} connections in a day, "
        f"simulated in {took:.1f} s: a server that {adversity.name}",
    )
    assert 0 < fake.identifies <= adversity.bound


@conforms("P29")
async def test_a_bot_that_restarts_all_day_stays_within_what_it_is_told(
    autojump_clock: MockClock, record_property: Callable[[str, object], None]
) -> None:
    """Each process counts anew; what the server says of the budget is what they share (P30)."""
    async with gateway(guilds=0, script=[Connection(ready=Close(4000))]) as fake:
        while trio.current_time() < DAY:
            gate = InMemoryIdentifyGate(random=lambda: 0.5)
            async with shard_on(fake, gate=gate, metadata=Asking(fake)) as shard:
                await trio.sleep(900)
                assert not STATES[shard.state].absorbing
        record_property(
            "figure", f"{fake.identifies:5d} IDENTIFYs of {BUDGET} by a bot that is restarted every 15 minutes of a day"
        )
        assert fake.identifies < BUDGET


class Asking:
    """Metadata that are asked for anew each time, as the real source does."""

    def __init__(self, fake: FakeGateway) -> None:
        self._fake = fake

    async def fetch(self) -> Metadata:
        desk = self._fake._world.desk
        await trio.lowlevel.checkpoint()
        return Metadata(url=self._fake.url, remaining=desk.remaining, reset_after=desk.reset_after)
