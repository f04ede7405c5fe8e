"""Commands while there is no session: refused, or waiting in bounds and in order, as their caller chose."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import Connection, Delay, Reconnect
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import Opcode
from gatewright.spec.states import State
from gatewright.transport.commands import RequestChannelInfo
from gatewright.transport.errors import ConnectionLost, NotReady, TooManyCommands
from gatewright.transport.exchange import CommandLimits
from tests.support.asking import Asking, begin
from tests.support.conforms import conforms
from tests.support.shards import Streams, gateway, payloads, shard_on, times
from tests.support.stages import BEGUN, stage

INFO = Opcode.REQUEST_CHANNEL_INFO


@pytest.mark.parametrize("state", [state for state in BEGUN if state not in {State.READY, State.STOPPED, State.FAILED}])
async def test_a_command_waits_as_long_as_its_caller_lets_it(autojump_clock: MockClock, state: State) -> None:
    async with stage(state) as at:
        began = trio.current_time()
        with pytest.raises(NotReady):
            await at.shard.send(RequestChannelInfo(1), wait=0.25)
        assert trio.current_time() - began == pytest.approx(0.25)
        at.shard._failure_seen = True


@pytest.mark.parametrize("state", [State.STOPPED, State.FAILED])
async def test_when_the_shard_is_over_nothing_waits(autojump_clock: MockClock, state: State) -> None:
    async with stage(state) as at:
        began = trio.current_time()
        with pytest.raises(NotReady, match="any more"):
            await at.shard.send(RequestChannelInfo(1), wait=3600)
        assert trio.current_time() == began
        at.shard._failure_seen = True


@conforms("P23", "P60")
async def test_commands_that_wait_go_out_in_the_order_in_which_they_were_asked_for(autojump_clock: MockClock) -> None:
    """Nothing before READY, and then all of them."""
    async with gateway(script=[Connection(ready=Delay(5))]) as fake, shard_on(fake) as shard:
        async with trio.open_nursery() as nursery:
            for number in range(50):
                begin(nursery, partial(shard.send, RequestChannelInfo(number), wait=60))
                await wait_all_tasks_blocked(0.0)
        await wait_all_tasks_blocked()
        assert [data["guild_id"] for data in payloads(fake, INFO)] == [str(number) for number in range(50)]
        assert set(times(fake, INFO)) == {5.0}
        assert fake.connections == 1


async def test_a_command_that_waits_is_told_when_the_shard_is_over(autojump_clock: MockClock) -> None:
    async with stage(State.BACKING_OFF) as at, trio.open_nursery() as nursery:
        asking = begin(nursery, lambda: at.shard.send(RequestChannelInfo(1), wait=3600))
        await wait_all_tasks_blocked()
        await at.shard.stop()
        await wait_all_tasks_blocked()
        assert isinstance(asking.error, NotReady)


async def test_a_command_that_waits_is_told_when_the_block_is_left(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with stage(State.SUSPENDED) as at:
            asking = begin(nursery, lambda: at.shard.send(RequestChannelInfo(1), wait=3600))
            await wait_all_tasks_blocked()
            assert not asking.over
        await wait_all_tasks_blocked()
        assert isinstance(asking.error, NotReady)


async def test_cancelling_a_command_that_waits_sends_nothing(autojump_clock: MockClock) -> None:
    """I16: and touches no other."""
    async with gateway(script=[Connection(ready=Delay(5))]) as fake, shard_on(fake) as shard:
        async with trio.open_nursery() as nursery:
            first = begin(nursery, lambda: shard.send(RequestChannelInfo(1), wait=60))
            second = begin(nursery, lambda: shard.send(RequestChannelInfo(2), wait=60))
            await trio.sleep(1)
            first.scope.cancel()
        await wait_all_tasks_blocked()
        assert (first.error, second.error) == (None, None)
        assert [data["guild_id"] for data in payloads(fake, INFO)] == ["2"]


async def test_a_command_whose_connection_is_lost_before_its_turn_waits_for_the_next(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        callers: list[Asking] = []
        async with trio.open_nursery() as nursery:
            for number in range(150):
                callers.append(begin(nursery, partial(shard.send, RequestChannelInfo(number), wait=60)))
                await wait_all_tasks_blocked(0.0)
            await trio.sleep(5)
            fake.reconnect()
        await wait_all_tasks_blocked()
        assert [caller.error for caller in callers] == [None] * 150
        assert [data["guild_id"] for data in payloads(fake, INFO)] == [str(number) for number in range(150)]
        assert fake.connections == 2


async def test_a_command_that_was_begun_is_never_sent_again(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await shard.wait_for("ready")
            streams.block()
            with pytest.raises(ConnectionLost, match="may have arrived"):
                await shard.send(RequestChannelInfo(1), wait=3600)
            streams.unblock()
            await shard.wait_for("ready")
            await trio.sleep(60)
            assert payloads(fake, INFO) == []


async def test_the_time_to_wait_does_not_count_once_the_command_is_in_line(autojump_clock: MockClock) -> None:
    """The limiter's wait is not the session's."""
    async with gateway(script=[Connection(ready=Delay(5))]) as fake, shard_on(fake) as shard:
        async with trio.open_nursery() as nursery:
            callers = [begin(nursery, lambda: shard.send(RequestChannelInfo(1), wait=6)) for _ in range(130)]
        assert [caller.error for caller in callers] == [None] * 130
        assert max(times(fake, INFO)) > 60


async def test_commands_under_way_are_bounded(autojump_clock: MockClock) -> None:
    async with (
        gateway(script=[Connection(ready=Delay(5))]) as fake,
        shard_on(fake, limits=CommandLimits(commands=3)) as shard,
        trio.open_nursery() as nursery,
    ):
        callers = [begin(nursery, lambda: shard.send(RequestChannelInfo(1), wait=60)) for _ in range(5)]
        await wait_all_tasks_blocked()
        refused = [caller for caller in callers if caller.over]
        assert [type(caller.error) for caller in refused] == [TooManyCommands] * 2
        await shard.wait_for("ready")
        await wait_all_tasks_blocked()
        assert len(payloads(fake, INFO)) == 3
        await shard.send(RequestChannelInfo(1))


@pytest.mark.parametrize("wrong", [-1, float("nan"), True, "10", None])
async def test_a_wait_that_is_no_time_is_refused(autojump_clock: MockClock, wrong: object) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        with pytest.raises(ConfigurationError, match="wait"):
            await shard.send(RequestChannelInfo(1), wait=wrong)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("step", ["hello", "after_hello", "on_identify", "ready"])
async def test_a_command_waits_through_connections_that_come_to_nothing(autojump_clock: MockClock, step: str) -> None:
    script = [Connection(**{step: Reconnect()}), Connection()]  # type: ignore[arg-type]
    async with gateway(script=script) as fake, shard_on(fake) as shard:
        await shard.send(RequestChannelInfo(1), wait=600)
        await wait_all_tasks_blocked()
        assert len(payloads(fake, INFO)) == 1
