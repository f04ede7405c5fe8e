"""Every fault at every step of a connection: the shard comes back by itself, with one socket at a time."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake import (
    Amend,
    Close,
    Connection,
    Dark,
    Delay,
    Drop,
    Invalidate,
    Raw,
    Reconnect,
    RequestHeartbeat,
    Send,
    Withhold,
)
from gatewright.harness.fake import Dispatch as Dispatched
from gatewright.spec.protocol import Opcode
from gatewright.spec.states import State
from tests.support.conforms import conforms
from tests.support.shards import Streams, collect, entered, gateway, handshakes, shard_on, times, types

STEPS = ("accept", "hello", "after_hello", "on_identify", "ready", "guilds", "after_ready", "ack")
RESUMING = ("accept", "hello", "after_hello", "on_resume", "replay", "resumed", "after_resumed", "ack")
ON_THE_WIRE = (Drop(), Dark(), Withhold(), (Raw(b"\xff" * 64), Drop()), (Delay(200), Drop()))
MESSAGES = (Close(4000), Close(4009), Reconnect(), Invalidate(), Invalidate(resumable=True), Send("{"), Send(b"\x00"))


def faults(step: str) -> tuple[Any, ...]:
    return ON_THE_WIRE if step == "accept" else (*ON_THE_WIRE, *MESSAGES)


@pytest.mark.parametrize(("step", "fault"), [(step, fault) for step in STEPS for fault in faults(step)])
async def test_a_fault_on_the_way_to_a_session_is_survived(autojump_clock: MockClock, step: str, fault: Any) -> None:
    plan: dict[str, Any] = {step: fault}
    async with gateway(script=[Connection(**plan), Connection()]) as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await entered(shard, "ready")
            await trio.sleep(400)  # what a fault of a live session takes: two heartbeats, and the way back
            assert shard.state is State.READY
            assert streams.most_open == 1
            assert fake.connections <= 2
            assert handshakes(fake).count("identify") <= 2


@pytest.mark.parametrize(("step", "fault"), [(step, fault) for step in RESUMING for fault in faults(step)])
async def test_a_fault_on_the_way_back_is_survived(autojump_clock: MockClock, step: str, fault: Any) -> None:
    plan: dict[str, Any] = {step: fault}
    async with gateway(guilds=0, script=[Connection(), Connection(**plan), Connection()]) as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await entered(shard, "ready")
            fake.drop()
            for _ in range(3):
                await fake.dispatch("MESSAGE_CREATE", {})
            await trio.sleep(400)
            assert shard.state is State.READY
            assert streams.most_open == 1
            assert fake.connections <= 3
            seen: list[tuple[str, int]] = []
            while len(shard._mailbox):
                (dispatch,) = await collect(shard, 1)
                seen.append((dispatch.session_id, dispatch.seq))
            assert len(seen) == len(set(seen)) >= 2
            withheld = step == "replay" and fault == Withhold()
            if handshakes(fake).count("identify") == 1 and not withheld:
                assert [seq for _, seq in seen][:4] == [1, 2, 3, 4]


# -- what a server should not say --------------------------------------------------------------------------------------


@pytest.mark.parametrize("milliseconds", [1, 1e12])
async def test_a_wild_heartbeat_interval_is_bounded(autojump_clock: MockClock, milliseconds: float) -> None:
    script = [Connection(hello=Amend({"heartbeat_interval": milliseconds}))]
    async with gateway(script=script, heartbeat_interval=1e9) as fake, shard_on(fake) as shard:
        await entered(shard, "ready")
        await trio.sleep(1300)
        beats = times(fake, Opcode.HEARTBEAT)
        assert 1 <= len(beats) <= 14_000
        assert shard.state is State.READY


@conforms("P17")
async def test_a_second_hello_does_not_arm_the_heartbeat_anew(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await entered(shard, "ready")
        for _ in range(20):
            await trio.sleep(30)
            fake.perform(Send('{"op":10,"d":{"heartbeat_interval":1000000}}'))
        assert len(times(fake, Opcode.HEARTBEAT)) >= 14
        assert fake.connections == 1


@conforms("P31")
async def test_a_second_ready_replaces_the_session(autojump_clock: MockClock) -> None:
    ready = '{"op":0,"s":7,"t":"READY","d":{"session_id":"second","resume_gateway_url":"wss://second.invalid"}}'
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await entered(shard, "ready")
        fake.perform(Send(ready))
        await collect(shard, 2)
        assert shard.session is not None
        assert shard.session.id == "second"


@conforms("A16", "P42", "P43")
async def test_a_lower_sequence_is_delivered_and_moves_nothing(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await entered(shard, "ready")
        for seq in (40, 12, 41):
            fake.perform(Send(f'{{"op":0,"s":{seq},"t":"MESSAGE_CREATE","d":{{}}}}'))
        assert [dispatch.seq for dispatch in await collect(shard, 4)] == [1, 40, 12, 41]
        fake.perform(RequestHeartbeat())
        await trio.testing.wait_all_tasks_blocked()
        beat = fake.log[-2:]
        assert any(getattr(record, "data", None) == 41 for record in beat)
        assert sum(count for row, count in shard.counts.items() if "behind" in row) == 1


async def test_a_dispatch_before_ready_is_delivered(autojump_clock: MockClock) -> None:
    script = [Connection(ready=Send('{"op":0,"s":3,"t":"EARLY","d":{}}'))]
    async with gateway(guilds=0, script=script) as fake, shard_on(fake) as shard:
        assert types(await collect(shard, 2)) == ["EARLY", "READY"]
        assert shard.counts == {"identified.dispatched": 1}


@conforms("P42")
async def test_a_dispatch_without_a_sequence_is_none(autojump_clock: MockClock) -> None:
    script = [Connection(ready=Dispatched("EARLY")), Connection()]
    async with gateway(guilds=0, script=script) as fake, shard_on(fake) as shard:
        assert types(await collect(shard, 1)) == ["READY"]
        assert fake.connections == 2


async def test_resumed_in_a_live_session_changes_nothing(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await entered(shard, "ready")
        fake.perform(Send('{"op":0,"s":9,"t":"RESUMED","d":{}}'))
        assert [dispatch.replayed for dispatch in await collect(shard, 2)] == [False, False]
        assert fake.connections == 1
