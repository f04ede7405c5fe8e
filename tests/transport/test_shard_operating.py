"""What somebody who runs a shard can ask it: waits that end, numbers, and how long it has not been there."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake import Close, Connection, Delay, Drop
from gatewright.spec.states import Cause, State
from gatewright.transport.commands import RequestChannelInfo
from gatewright.transport.errors import AuthenticationFailed, ShardStopped, WaitFailed
from gatewright.transport.queue import Queue
from tests.support.shards import Streams, gateway, shard_on

INTERVAL = 41.25


# -- wait_for ----------------------------------------------------------------------------------------------------------


async def test_a_wait_ends_with_an_error_when_an_unwanted_state_comes_first(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(hello=Drop()), Connection()]) as fake, shard_on(fake) as shard:
        with pytest.raises(WaitFailed, match="'backing_off' before it was ready") as caught:
            await shard.wait_for("ready", fail_on={"backing_off", State.STALLED})
        assert (caught.value.state, caught.value.wanted) == (State.BACKING_OFF, frozenset({State.READY}))
        assert await shard.wait_for("ready", fail_on="stalled") is State.READY  # the control: it does come up


async def test_an_unwanted_state_that_holds_already_counts(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        with pytest.raises(WaitFailed):
            await shard.wait_for("backing_off", fail_on="ready")


async def test_the_first_of_several_states_ends_the_wait(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        assert await shard.wait_for("ready", "awaiting_hello", fail_on="stalled") is State.AWAITING_HELLO


async def test_failing_and_stopping_keep_their_own_errors(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(after_ready=(Delay(1), Close(4004)))]) as fake, shard_on(fake) as shard:
        with pytest.raises(AuthenticationFailed):
            await shard.wait_for("suspended", fail_on={"failed"})
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.stop()
        with pytest.raises(ShardStopped):
            await shard.wait_for("ready", fail_on={"stopped"})


async def test_a_wait_that_contradicts_itself_is_refused(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        with pytest.raises(ValueError, match="in fail_on as well: ready"):
            await shard.wait_for("ready", fail_on=["ready", "stalled"])
        with pytest.raises(ValueError, match="no-such-state"):
            await shard.wait_for("ready", fail_on="no-such-state")


# -- numbers -----------------------------------------------------------------------------------------------------------


async def test_a_life_in_numbers(autojump_clock: MockClock) -> None:
    async with gateway(guilds=2) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await trio.sleep(3 * INTERVAL)
        fake.drop()
        await shard.wait_for("backing_off")
        await fake.dispatch("MESSAGE_CREATE", {"content": "missed"})
        await shard.wait_for("ready")
        fake.go_dark()
        await shard.wait_for("stalled")
        await shard.wait_for("backing_off")
        found = shard.metrics()
        assert (found.connections, found.identifies, found.sessions) == (2, 1, 1)
        assert (found.resumes, found.resumes_good, found.resumes_failed, found.replayed) == (1, 1, 0, 1)
        assert dict(found.reconnects) == {Cause.DROPPED: 1, Cause.ZOMBIE: 1}
        assert (found.zombies, found.state) == (1, State.BACKING_OFF)
        dispatches = {"dispatched", "ready", "resumed"}
        assert found.dispatches == len([record for record in shard.journal if record.event in dispatches]) == 5
        assert found.latency is not None
        assert [beat.gen for beat in shard.beats][:3] == [1, 1, 1]
        assert found.as_dict()["state"] == "backing_off"


async def test_commands_that_wait_for_the_limit_are_counted_over_all_connections(autojump_clock: MockClock) -> None:
    async def send(count: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(shard.send, RequestChannelInfo(1))

    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await send(50)
        assert shard.metrics().limiter_waits == 0
        await send(100)
        first = shard.metrics().limiter_waits
        assert 0 < first <= 100
        fake.drop()
        await shard.wait_for("backing_off")
        await shard.wait_for("ready")
        await send(150)
        assert shard.metrics().limiter_waits > first


async def test_what_the_queue_let_go_is_counted(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=Queue(events=3, policy="drop_oldest")) as shard:
        await shard.wait_for("ready")
        assert shard.metrics().dropped == 0
        for _ in range(7):
            await fake.dispatch("MESSAGE_CREATE", {})
        await trio.testing.wait_all_tasks_blocked()
        assert (shard.metrics().dropped, shard.metrics().dispatches) == (5, 8)  # READY waits in the queue as well


async def test_numbers_can_be_read_before_and_after_the_block(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        shard = shard_on(fake)
        assert shard.metrics().connections == 0
        async with shard:
            await shard.wait_for("ready")
        assert (shard.metrics().connections, shard.metrics().state) == (1, State.STOPPED)


async def test_not_ready_is_counted_from_the_first_loss(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        assert shard.snapshot().not_ready_for == trio.current_time() - began
        await trio.sleep(2 * INTERVAL)
        assert [shard.not_ready_since, shard.snapshot().not_ready_for] == [None, None]
        for _ in range(3):
            fake.drop()
            await shard.wait_for("backing_off")
            await shard.wait_for("ready")
        lost = shard.not_ready_since
        assert lost is not None
        await trio.sleep(1)
        assert shard.metrics().not_ready_for == pytest.approx(trio.current_time() - lost)
        await trio.sleep(2 * INTERVAL)
        assert shard.not_ready_since is None


# -- verbs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["connect", "reconnect", "force_identify"])
async def test_a_verb_wakes_a_back_off(autojump_clock: MockClock, verb: str) -> None:
    async with gateway() as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await shard.wait_for("ready")
            fake.script = [Connection(hello=Drop())]
            fake.drop()
            for _ in range(5):
                await shard.wait_for("connecting")
                await shard.wait_for("backing_off")
            remaining = shard.snapshot().deadline_in
            assert remaining is not None
            assert remaining > 5
            at = trio.current_time()
            getattr(shard, verb)()
            await shard.wait_for("connecting")
            assert trio.current_time() - at < 1
