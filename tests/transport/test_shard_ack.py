"""Acknowledging by hand: what a crash brings back is exactly what was not handled (I17, P43)."""

import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import FakeGateway, Received
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import Opcode
from gatewright.spec.session import Session
from gatewright.transport.dispatch import Dispatch
from gatewright.transport.shard import Shard
from gatewright.transport.urls import GatewayUrl
from tests.support.conforms import conforms
from tests.support.shards import collect, gateway, payloads, shard_on, types


class Once:
    """Opens one stream to a fake and no other: the process is gone with its connection."""

    def __init__(self, fake: FakeGateway) -> None:
        self._fake = fake
        self._used = False

    async def __call__(self, url: GatewayUrl) -> trio.abc.Stream:
        if self._used:
            await trio.sleep_forever()
        self._used = True
        return await self._fake.open_stream(url)


async def ten(fake: FakeGateway, shard: Shard) -> dict[int, Dispatch]:
    """READY and nine messages, by sequence."""
    await shard.wait_for("ready")
    for number in range(9):
        await fake.dispatch("MESSAGE_CREATE", {"id": str(number)})
    return {event.seq: event for event in await collect(shard, 10)}


@conforms("P38", "P43")
async def test_a_crash_brings_back_what_was_not_handled(autojump_clock: MockClock) -> None:
    """The exported text is what a process that was killed would have left behind."""
    async with gateway(guilds=0) as fake, shard_on(fake, ack="manual", opener=Once(fake)) as shard:
        events = await ten(fake, shard)
        for seq in (1, 2, 4):
            events[seq].ack()
        assert shard.session is not None
        text = shard.session.to_json()
        fake.drop()
        async with shard_on(fake, session=Session.from_json(text), ack="manual") as other:
            again = await collect(other, 8)
            assert [sent["seq"] for sent in payloads(fake, Opcode.RESUME)] == [2]
            assert [event.seq for event in again] == [3, 4, 5, 6, 7, 8, 9, 10]
            assert all(event.replayed for event in again)
            # The pair names a dispatch for good: that the fourth was handled can be told.
            assert (again[1].session_id, again[1].seq) == (events[4].session_id, 4)
            assert again[1].data == events[4].data


async def test_asking_for_the_next_one_says_nothing(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, ack="manual") as shard:
        events = await ten(fake, shard)
        assert (shard.session.seq if shard.session else None, shard.unacked) == (1, 10)
        for seq in reversed(range(1, 11)):
            events[seq].ack()
        assert (shard.session.seq if shard.session else None, shard.unacked) == (10, 0)


async def test_an_ack_says_it_early_where_asking_would_say_it(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        events = await ten(fake, shard)
        assert shard.session is not None
        assert shard.session.seq == 9
        events[10].ack()
        assert shard.session is not None
        assert shard.session.seq == 10


async def test_acks_that_come_twice_or_too_late_do_no_harm(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, ack="manual") as shard:
        events = await ten(fake, shard)
        events[1].ack()
        events[1].ack()
        fake.end_sessions()
        fake.drop()
        (ready,) = await collect(shard, 1)
        assert (ready.type, shard.unacked) == ("READY", 1)
        for event in events.values():
            event.ack()
        assert shard.unacked == 1
        ready.ack()
        assert shard.unacked == 0
        assert shard.session is not None
        assert (shard.session.id, shard.session.seq) == (ready.session_id, 1)
    Dispatch("BY_HAND", 1, b"{}").ack()


@conforms("P15", "P37")
async def test_within_the_process_the_received_sequence_is_resumed_and_beaten(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, ack="manual") as shard:
        await ten(fake, shard)
        await trio.sleep(60)
        assert [seen.data for seen in fake.log.of(Received) if seen.op == Opcode.HEARTBEAT][-1] == 10
        fake.drop()
        (resumed,) = await collect(shard, 1)
        assert payloads(fake, Opcode.RESUME)[-1]["seq"] == 10
        assert (resumed.type, shard.unacked) == ("RESUMED", 11)


async def test_a_full_window_hands_out_no_more_and_says_so(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, ack="manual", ack_window=3) as shard:
        await shard.wait_for("ready")
        for number in range(5):
            await fake.dispatch("MESSAGE_CREATE", {"id": str(number)})
        events = await collect(shard, 3)
        with trio.move_on_after(30) as waiting:
            await anext(shard)
        assert waiting.cancelled_caught
        assert [r.levelno for r in caplog.records if "not acknowledged" in r.message] == [logging.WARNING]
        events[2].ack()  # not the oldest: the window does not move
        with trio.move_on_after(30) as waiting:
            await anext(shard)
        assert waiting.cancelled_caught
        events[0].ack()
        (fourth,) = await collect(shard, 1)
        assert fourth.seq == 4


async def test_an_ack_wakes_the_one_who_waits_for_it(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, ack="manual", ack_window=1) as shard:
        await shard.wait_for("ready")
        await fake.dispatch("MESSAGE_CREATE", {})
        (first,) = await collect(shard, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect, shard, 1)
            await wait_all_tasks_blocked()
            first.ack()


async def test_a_window_that_stays_full_is_back_pressure(autojump_clock: MockClock) -> None:
    """Reading pauses, and the machine does what it does about a consumer that stands still."""
    async with gateway(guilds=0) as fake, shard_on(fake, ack="manual", ack_window=2, queue=4) as shard:
        await shard.wait_for("ready")
        await collect(shard, 1)
        for number in range(20):
            await fake.dispatch("MESSAGE_CREATE", {"id": str(number)})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect, shard, 5)
            await wait_all_tasks_blocked()
            assert (shard.unacked, shard.snapshot().reading_paused) == (2, True)
            nursery.cancel_scope.cancel()


async def test_a_shard_that_is_over_hands_out_the_rest_whatever_the_window(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, ack="manual", ack_window=1) as shard:
        await shard.wait_for("ready")
        for number in range(3):
            await fake.dispatch("MESSAGE_CREATE", {"id": str(number)})
        await wait_all_tasks_blocked()
        await shard.stop()
        assert types([event async for event in shard]) == ["READY", *["MESSAGE_CREATE"] * 3]


async def test_a_suspended_shard_exports_what_was_handled_afterwards_too(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, ack="manual") as shard:
        events = await ten(fake, shard)
        events[1].ack()
        session = await shard.suspend()
        assert session is not None
        assert session.seq == 1
        for event in events.values():
            event.ack()
        assert shard.session is not None
        assert shard.session.seq == 10


@pytest.mark.parametrize(
    ("options", "match"),
    [({"ack": "later"}, "'manual'"), ({"ack": "manual", "ack_window": 0}, "ack_window"),
     ({"ack": "manual", "ack_window": True}, "ack_window")],
)  # fmt: skip
async def test_a_way_to_acknowledge_that_there_is_not_is_refused(
    autojump_clock: MockClock, options: dict[str, Any], match: str
) -> None:
    async with gateway() as fake:
        with pytest.raises(ConfigurationError, match=match):
            shard_on(fake, **options)
