"""Sending through a shard: sent, refused or cancelled, never silent, and never so much that the server hangs up."""

import itertools

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import Connection, FakeGateway, Received, Rules
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.protocol import Opcode
from gatewright.spec.settings import Settings
from gatewright.spec.states import Cause, State
from gatewright.transport.codec import PayloadTooLarge
from gatewright.transport.commands import Activity, RequestChannelInfo, RequestGuildMembers, UpdatePresence
from gatewright.transport.errors import ConnectionLost, NotReady
from tests.support.conforms import conforms
from tests.support.shards import Streams, close_codes, gateway, handshakes, shard_on
from tests.support.stages import BEGUN, stage

INFO = RequestChannelInfo(1)
INTERVAL = 41.25


def received(fake: FakeGateway, op: Opcode) -> list[float]:
    return [seen.time for seen in fake.log.of(Received) if seen.op == op]


@conforms("P57")
async def test_a_command_arrives(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await shard.send(INFO)
        await wait_all_tasks_blocked()
        (seen,) = [seen for seen in fake.log.of(Received) if seen.op == Opcode.REQUEST_CHANNEL_INFO]
        assert seen.data == {"guild_id": "1", "fields": ["status", "voice_start_time"]}


@pytest.mark.parametrize("state", [state for state in BEGUN if state is not State.READY])
@conforms("P23")
async def test_without_a_live_session_a_command_is_refused(autojump_clock: MockClock, state: State) -> None:
    async with stage(state) as at:
        with pytest.raises(NotReady, match=f"'{state}'"):
            await at.shard.send(INFO)
        at.shard._failure_seen = True


@conforms("P54")
async def test_a_command_that_is_too_large_is_refused(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        with pytest.raises(PayloadTooLarge, match="4096"):
            await shard.send(UpdatePresence(activities=[Activity("x" * 5000)]))
        await trio.sleep(60)
        assert (shard.state, received(fake, Opcode.PRESENCE_UPDATE)) == (State.READY, [])


async def test_before_the_block_nothing_can_be_sent(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        with pytest.raises(ConfigurationError, match="async with"):
            await shard_on(fake).send(INFO)


@conforms("P55")
async def test_many_callers_at_once_stay_within_the_servers_limit(autojump_clock: MockClock) -> None:
    """The server closes with 4008 at the 121st payload of a minute, heartbeats included."""
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        async with trio.open_nursery() as nursery:
            for _ in range(400):
                nursery.start_soon(shard.send, INFO)
        await wait_all_tasks_blocked()
        assert len(received(fake, Opcode.REQUEST_CHANNEL_INFO)) == 400
        assert (fake.connections, shard.state) == (1, State.READY)


@conforms("P58")
async def test_presence_has_a_limit_of_its_own(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(shard.send, UpdatePresence())
        await wait_all_tasks_blocked()
        times = received(fake, Opcode.PRESENCE_UPDATE)
        assert len(times) == 12
        assert all(times[index + 5] - times[index] > 20 for index in range(7))


@conforms("P21")
async def test_heartbeats_go_on_while_commands_wait(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        async with trio.open_nursery() as nursery:
            for _ in range(500):
                nursery.start_soon(shard.send, INFO)
        times = received(fake, Opcode.HEARTBEAT)
        assert len(times) >= 4
        assert all(later - earlier == pytest.approx(INTERVAL) for earlier, later in itertools.pairwise(times))


@conforms("P60")
async def test_a_caller_that_waits_is_told_when_the_connection_is_lost(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        lost: list[float] = []

        async def send() -> None:
            try:
                await shard.send(INFO)
            except ConnectionLost:
                lost.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            for _ in range(150):
                nursery.start_soon(send)
            await trio.sleep(5)
            fake.drop()
        await wait_all_tasks_blocked()
        assert set(lost) == {5.0}
        assert len(lost) + len(received(fake, Opcode.REQUEST_CHANNEL_INFO)) == 150


async def test_cancelling_a_send_that_waits_sends_nothing(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        for _ in range(5):
            await shard.send(UpdatePresence())
        with trio.move_on_after(5) as scope:
            await shard.send(UpdatePresence())
        await trio.sleep(120)
        assert (scope.cancelled_caught, len(received(fake, Opcode.PRESENCE_UPDATE))) == (True, 5)


async def test_cancelling_one_waiter_does_not_touch_another(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        for _ in range(5):
            await shard.send(UpdatePresence())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shard.send, UpdatePresence(status="idle"))
            await wait_all_tasks_blocked()
            with trio.move_on_after(5):
                await shard.send(UpdatePresence(status="dnd"))
        await wait_all_tasks_blocked()
        seen = [seen.data for seen in fake.log.of(Received) if seen.op == Opcode.PRESENCE_UPDATE]
        assert isinstance(seen[-1], dict)
        assert (len(seen), seen[-1]["status"]) == (6, "idle")


# -- a peer that does not read -----------------------------------------------------------------------------------------


async def test_a_peer_that_does_not_read_is_left_after_ten_seconds(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await shard.wait_for("ready")
            streams.block()
            began = trio.current_time()
            with pytest.raises(ConnectionLost):
                await shard.send(INFO)
            assert trio.current_time() - began == Settings().write_timeout
            assert shard.state is State.STALLED
            assert shard.snapshot().cause is Cause.WRITE_BLOCKED
            streams.unblock()
            await shard.wait_for("ready")
            assert (handshakes(fake), close_codes(fake), streams.most_open) == (["identify", "resume"], [], 1)


async def test_a_heartbeat_that_cannot_leave_is_noticed_as_well(autojump_clock: MockClock) -> None:
    async with gateway(rules=Rules(heartbeat_tolerance=None)) as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await shard.wait_for("ready")
            streams.block()
            await shard.wait_for("stalled")
            assert shard.snapshot().cause is Cause.WRITE_BLOCKED
            streams.unblock()
            await shard.wait_for("ready")


async def test_an_identify_that_cannot_leave_is_noticed_as_well(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(), Connection()]) as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await shard.wait_for("awaiting_hello")
            streams.block()
            await shard.wait_for("stalled")
            assert shard.snapshot().stalled_in is State.IDENTIFIED
            streams.unblock()
            await shard.wait_for("ready")


@conforms("P21")
async def test_heartbeats_go_ahead_of_what_is_queued_behind_a_slow_write(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await shard.wait_for("ready")
            streams.block()
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(shard.send, INFO)
                await wait_all_tasks_blocked()
                fake.request_heartbeat()
                await trio.sleep(5)
                streams.unblock()
            await wait_all_tasks_blocked()
            order = [seen.op for seen in fake.log.of(Received)]
            assert order[-4:] == [
                Opcode.REQUEST_CHANNEL_INFO,
                Opcode.HEARTBEAT,
                Opcode.REQUEST_CHANNEL_INFO,
                Opcode.REQUEST_CHANNEL_INFO,
            ]


async def test_members_can_be_requested(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await shard.send(RequestGuildMembers(1, query="", limit=0))
        await wait_all_tasks_blocked()
        assert len(received(fake, Opcode.REQUEST_GUILD_MEMBERS)) == 1
