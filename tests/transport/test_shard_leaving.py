"""Ending: from every state, by every way out, within a bound, with nothing left behind and the right close code."""

import math
import signal
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.fsm.journal import Record
from gatewright.harness.fake import Connection, Dark, Withhold
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.errors import ShardStopped
from tests.support.conforms import conforms
from tests.support.shards import Streams, close_codes, gateway, handshakes, shard_on
from tests.support.stages import BEGUN, Stage, stage

LIVE = {State.AWAITING_HELLO, State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED, State.RESUMING, State.READY}
KEPT = 4900


def expected_codes(state: State) -> list[int | None]:
    """What the server sees of a shard that is stopped in `state`."""
    if state in LIVE:
        return [1000]
    # The stage came by way of suspend(), of stop(); in the others no close frame could leave, or there was no socket.
    before: dict[State, list[int | None]] = {State.SUSPENDED: [KEPT], State.STOPPED: [1000]}
    return before.get(state, [])


# -- stop() ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", BEGUN)
async def test_stop_ends_the_shard_from_any_state(autojump_clock: MockClock, state: State) -> None:
    async with stage(state) as at:
        began = trio.current_time()
        await at.shard.stop()
        assert at.shard.state is (State.FAILED if state is State.FAILED else State.STOPPED)
        assert at.streams.open == 0
        assert trio.current_time() - began <= Settings().final_close_timeout
        at.shard._failure_seen = True
        await wait_all_tasks_blocked()
        assert close_codes(at.fake) == expected_codes(state)


async def test_nothing_happens_any_more_after_stop(autojump_clock: MockClock) -> None:
    async with stage(State.READY) as at:
        await at.shard.stop()
        await wait_all_tasks_blocked()
        seen = len(at.fake.log)
        await trio.sleep(24 * 3600)
        assert len(at.fake.log) == seen
        assert at.shard.snapshot().deadline_in is None


@conforms("P49")
async def test_stop_waits_for_a_peer_that_takes_its_time_to_answer(autojump_clock: MockClock) -> None:
    """The session is ended for certain only when the close frame was read."""
    async with gateway(script=[Connection(on_close=Dark())]) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        began = trio.current_time()
        await shard.stop()
        assert trio.current_time() - began == Settings().final_close_timeout
        assert close_codes(fake) == [1000]


async def test_several_may_wait_for_the_end(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(on_close=Withhold())]) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(shard.stop)
        assert close_codes(fake) == [1000]


async def test_cancelling_a_stop_leaves_it_under_way(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(on_close=Withhold())]) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        with trio.move_on_after(1):
            await shard.stop()
        assert shard.state is State.DRAINING
        await shard.wait_for("stopped")


# -- suspend() ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [s for s in BEGUN if s not in {State.STOPPED, State.FAILED}])
@conforms("P50")
async def test_suspend_keeps_the_session_from_any_state(autojump_clock: MockClock, state: State) -> None:
    async with stage(state) as at:
        held = at.shard.session
        began = trio.current_time()
        assert await at.shard.suspend() == held
        assert (at.shard.state, at.streams.open) == (State.SUSPENDED, 0)
        assert trio.current_time() - began <= Settings().close_timeout
        await wait_all_tasks_blocked()
        assert set(close_codes(at.fake)) <= {KEPT}


@conforms("A03", "P50")
async def test_reconnect_keeps_the_session(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        shard.reconnect()
        await shard.wait_for("resuming")
        await shard.wait_for("ready")
        assert (close_codes(fake), handshakes(fake)) == ([KEPT], ["identify", "resume"])


@conforms("P53")
async def test_the_end_of_the_socket_that_was_left_is_written_down_and_not_acted_on(autojump_clock: MockClock) -> None:
    """It comes when the next connection was asked for already, which waits for it."""
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        shard.reconnect()
        await shard.wait_for("connecting")
        await shard.wait_for("ready")
        at = [record.row for record in shard.journal if record.gen == 2][:3]
        assert at == ["backing_off.deadline_passed.connect", "connecting.aborted.stale", "connecting.opened"]
        assert shard.counts["connecting.aborted.stale"] == 1
        assert shard.metrics().ignored == sum(shard.counts.values())  # with a dispatch, if one was on its way


@conforms("P53")
async def test_the_code_of_a_socket_that_was_left_meanwhile_is_written_down(autojump_clock: MockClock) -> None:
    """The peer had closed before it was aborted; the stream took its time to be gone, and the next one waits for it."""
    async with gateway() as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await shard.wait_for("ready")
            streams.closing_takes = 5.0
            fake.close(4000)
            await trio.sleep(1.0)
            shard.reconnect()
            await shard.wait_for("ready")
            (late,) = [record for record in shard.journal if record.event == "closed"]
            assert (late.row, late.kind, "4000" in late.detail) == ("connecting.closed.stale", "ignore", True)
            assert (streams.most_open, streams.opened) == (1, 2)


async def test_force_identify_ends_the_session_for_the_server_too(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        shard.force_identify()
        await shard.wait_for("identified")
        await shard.wait_for("ready")
        assert (close_codes(fake), handshakes(fake), len(fake.sessions)) == ([1000], ["identify"] * 2, 1)


# -- leaving the block -------------------------------------------------------------------------------------------------


class Custom(Exception):
    pass


async def settled_tasks() -> int:
    await wait_all_tasks_blocked()
    return trio.lowlevel.current_statistics().tasks_living


@pytest.mark.parametrize("state", [s for s in BEGUN if s is not State.FAILED])
async def test_leaving_the_block_leaves_nothing_behind(autojump_clock: MockClock, state: State) -> None:
    before = await settled_tasks()
    async with stage(state) as at:
        began = trio.current_time()
    assert at.streams.open == 0
    assert trio.current_time() - began <= Settings().final_close_timeout
    assert await settled_tasks() == before
    assert close_codes(at.fake) == expected_codes(state)


@pytest.mark.parametrize("state", BEGUN)
async def test_an_exception_of_the_block_comes_out_as_it_is(autojump_clock: MockClock, state: State) -> None:
    error = Custom("mine")
    before = await settled_tasks()
    seen: list[Stage] = []
    with pytest.raises(Custom) as caught:  # noqa: PT012 - leaving the block is what is looked at
        async with stage(state) as at:
            seen.append(at)
            raise error
    assert caught.value is error
    assert seen[0].streams.open == 0
    assert await settled_tasks() == before


@pytest.mark.parametrize("state", BEGUN)
async def test_a_cancellation_from_outside_stops_the_shard_in_order(autojump_clock: MockClock, state: State) -> None:
    before = await settled_tasks()
    async with stage(state) as at:
        began = trio.current_time()
        at.scope.cancel()
        await trio.sleep(math.inf)
    assert at.scope.cancelled_caught
    assert trio.current_time() - began <= Settings().final_close_timeout
    assert at.streams.open == 0
    assert await settled_tasks() == before
    assert close_codes(at.fake) == expected_codes(state)


async def test_an_exception_is_not_lost_behind_a_cancellation(autojump_clock: MockClock) -> None:
    error = Custom("mine")
    with pytest.raises(Custom) as caught, trio.CancelScope() as scope:  # noqa: PT012 - leaving is what is looked at
        async with gateway(script=[Connection(on_close=Withhold())]) as fake, shard_on(fake) as shard:
            await shard.wait_for("ready")
            scope.cancel()
            raise error
    assert caught.value is error


async def test_the_block_can_be_left_in_the_step_in_which_it_was_entered(autojump_clock: MockClock) -> None:
    before = await settled_tasks()
    async with gateway() as fake:
        async with shard_on(fake):
            pass
        assert fake.connections == 0
    assert await settled_tasks() == before


async def test_leaving_while_the_peer_is_dark_is_bounded(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        async with shard_on(fake) as shard:
            await shard.wait_for("ready")
            fake.go_dark()
            began = trio.current_time()
        assert trio.current_time() - began == Settings().final_close_timeout


async def test_a_session_that_was_suspended_survives_the_block(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        async with shard_on(fake) as shard:
            await shard.wait_for("ready")
            session = await shard.suspend()
        assert shard.state is State.SUSPENDED
        assert shard.session == session is not None
        assert len(fake.sessions) == 1


async def test_after_the_block_commands_are_refused_with_what_to_do(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        async with shard_on(fake) as shard:
            await shard.wait_for("ready")
            await shard.suspend()
        with pytest.raises(ConfigurationError, match="make a new one"):
            shard.connect()
        assert shard.state is State.SUSPENDED


async def test_whoever_waits_is_told_when_the_block_is_left(autojump_clock: MockClock) -> None:
    async with gateway() as fake, trio.open_nursery() as nursery, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await shard.suspend()

        async def wait() -> None:
            with pytest.raises(ShardStopped):
                await shard.wait_for("ready")

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as in a terminal; a process in the background ignores it, and trio with it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_the_block_stops_the_shard_in_order() -> None:
    codes: list[int | None] = []

    async def main() -> None:
        async with gateway() as fake:
            try:
                async with shard_on(fake) as shard:
                    await shard.wait_for("ready")
                    signal.raise_signal(signal.SIGINT)
                    await trio.sleep_forever()
            finally:
                codes.extend(close_codes(fake))

    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert codes == [1000]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_the_shard_works_stops_it_in_order() -> None:
    """The signal arrives in a task of ours, in the middle of a transition; it is for the block all the same."""
    codes: list[int | None] = []

    class Interrupting:
        def observe(self, record: Record) -> None:
            if record.event == "heartbeat_acked":
                signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        async with gateway() as fake:
            try:
                async with shard_on(fake, observers=[Interrupting()]):
                    await trio.sleep_forever()
            finally:
                codes.extend(close_codes(fake))

    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert codes == [1000]
