"""Failing: a fatal close code raises its own class, once, after what was received before it."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.fake import Close, Connection, Delay, Drop, FakeGateway
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport import errors
from gatewright.transport.errors import AuthenticationFailed, DisallowedIntents, ShardFailed
from tests.support.conforms import conforms
from tests.support.shards import Streams, close_codes, collect, gateway, shard_on, types

FATAL = {
    4004: errors.AuthenticationFailed,
    4010: errors.InvalidShard,
    4011: errors.ShardingRequired,
    4012: errors.InvalidApiVersion,
    4013: errors.InvalidIntents,
    4014: errors.DisallowedIntents,
}


def closing(code: int) -> FakeGateway:
    return gateway(guilds=2, script=[Connection(after_ready=(Delay(1), Close(code)))])


@pytest.mark.parametrize("code", FATAL)
@conforms("P51")
async def test_a_fatal_code_raises_its_class_after_the_queued_dispatches(autojump_clock: MockClock, code: int) -> None:
    async with closing(code) as fake:
        async with shard_on(fake) as shard:
            await shard.wait_for("failed")
            assert types(await collect(shard, 3)) == ["READY", "GUILD_CREATE", "GUILD_CREATE"]
            with pytest.raises(FATAL[code], match=str(code)) as caught:
                await anext(shard)
            assert caught.value.failure.code == code
        assert fake.connections == 1


@pytest.mark.parametrize("step", ["hello", "on_identify", "ready"])
@conforms("P51")
async def test_a_fatal_code_ends_the_shard_at_any_step(autojump_clock: MockClock, step: str) -> None:
    plan: dict[str, Any] = {step: Close(4013)}
    async with gateway(script=[Connection(**plan)]) as fake:
        with pytest.raises(errors.InvalidIntents):
            async with shard_on(fake) as shard:
                await shard.wait_for("ready")
        await trio.sleep(3600)
        assert fake.connections == 1


async def test_a_failure_that_the_iteration_raised_is_not_raised_again(autojump_clock: MockClock) -> None:
    async with closing(4004) as fake, shard_on(fake) as shard:
        with pytest.raises(AuthenticationFailed):
            async for _ in shard:
                pass


@conforms("P84")
async def test_a_failure_that_nobody_saw_is_raised_when_the_block_is_left(autojump_clock: MockClock) -> None:
    async with closing(4014) as fake:
        with pytest.raises(DisallowedIntents, match="MESSAGE_CONTENT"):
            async with shard_on(fake):
                await trio.sleep(60)


async def test_waiting_raises_the_failure(autojump_clock: MockClock) -> None:
    async with closing(4004) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        with pytest.raises(AuthenticationFailed):
            await shard.wait_for("backing_off")


async def test_an_exception_of_the_block_hides_the_failure(autojump_clock: MockClock) -> None:
    async with closing(4004) as fake:
        with pytest.raises(KeyError):  # noqa: PT012 - leaving the block is what is looked at
            async with shard_on(fake) as shard:
                await shard.wait_for("failed")
                raise KeyError


async def test_the_iteration_ends_when_the_shard_is_stopped_and_its_queue_is_empty(autojump_clock: MockClock) -> None:
    async with gateway(guilds=2) as fake, shard_on(fake) as shard:
        await fake.wait_until(lambda log: log.sent("GUILD_CREATE") == 2)
        await trio.testing.wait_all_tasks_blocked()
        await shard.stop()
        assert [dispatch.type async for dispatch in shard] == ["READY", "GUILD_CREATE", "GUILD_CREATE"]
        assert [dispatch.type async for dispatch in shard] == []


@conforms("P51")
async def test_a_fatal_code_counts_although_we_are_leaving(autojump_clock: MockClock) -> None:
    """It was read before our own close frame could leave."""
    async with gateway() as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await shard.wait_for("ready")
            streams.block()
            fake.request_heartbeat()
            await trio.testing.wait_all_tasks_blocked()
            fake.reconnect()
            fake.close(4004)
            await trio.testing.wait_all_tasks_blocked()
            assert shard.state is State.DRAINING
            streams.unblock()
            with pytest.raises(AuthenticationFailed):
                await shard.wait_for("resuming")
        assert fake.connections == 1


async def test_failing_says_nothing_to_the_server(autojump_clock: MockClock) -> None:
    async with closing(4004) as fake, shard_on(fake) as shard:
        with pytest.raises(ShardFailed):
            await shard.wait_for("stopped")
        await trio.testing.wait_all_tasks_blocked()
        assert (close_codes(fake), fake.open_connections) == ([4004], 0)  # the answer to the server's own


async def test_suspending_a_shard_that_fails_meanwhile_raises(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.close(4004)
        await fake.wait_until(lambda log: log.connections == 1)
        await trio.testing.wait_all_tasks_blocked()
        assert shard.state is State.FAILED
        with pytest.raises(IllegalTransition):
            await shard.suspend()
        shard._failure_seen = True


async def test_an_attempt_cap_that_was_asked_for_ends_the_shard(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(hello=Drop())]) as fake:
        with pytest.raises(errors.AttemptsExhausted, match="3 attempts"):
            async with shard_on(fake, settings=Settings(max_attempts=3)) as shard:
                await shard.wait_for("ready")
        assert fake.connections == 3


async def test_without_a_cap_it_never_gives_up(autojump_clock: MockClock) -> None:
    async with gateway(script=[*[Connection(hello=Drop())] * 60, Connection()]) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        assert fake.connections == 61


async def test_what_was_received_before_the_end_is_kept_when_the_consumer_is_slow(autojump_clock: MockClock) -> None:
    async with closing(4004) as fake, shard_on(fake) as shard:
        (first,) = await collect(shard, 1)
        await trio.sleep(60)
        assert types([first, *await collect(shard, 2)]) == ["READY", "GUILD_CREATE", "GUILD_CREATE"]
        with pytest.raises(AuthenticationFailed):
            await anext(shard)
