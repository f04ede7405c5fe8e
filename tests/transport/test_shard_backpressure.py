"""A consumer that stops: reading pauses and says so, nothing is taken for dead, and nothing is lost or repeated."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import FakeGateway, Received, Rules
from gatewright.spec.protocol import Opcode
from gatewright.spec.settings import Settings
from gatewright.spec.states import Cause, State
from gatewright.transport.shard import Shard
from tests.support.conforms import conforms
from tests.support.shards import Moves, close_codes, gateway, handshakes, path, shard_on

INTERVAL = 41.25
QUEUE = 50
# As long as a bot may be away and still resume.
RULES = Rules(session_lifetime=3600)


async def flood(fake: FakeGateway, count: int = 3 * QUEUE) -> None:
    """More dispatches than the consumer's queue holds."""
    for number in range(count):
        await fake.dispatch("MESSAGE_CREATE", {"id": str(number)})
    await wait_all_tasks_blocked()


async def drain(shard: Shard, last: int) -> list[int]:
    """Everything up to the sequence `last`."""
    seqs: list[int] = []
    while last not in seqs:
        seqs.append((await anext(shard)).seq)
    return seqs


async def test_a_full_queue_stops_reading_and_the_machine_knows(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=QUEUE) as shard:
        await shard.wait_for("ready")
        await flood(fake)
        assert shard.snapshot().reading_paused
        assert len(shard._mailbox) == QUEUE


async def test_reading_goes_on_when_the_consumer_does(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=QUEUE) as shard:
        await shard.wait_for("ready")
        await flood(fake)
        assert await drain(shard, 3 * QUEUE + 1) == list(range(1, 3 * QUEUE + 2))
        assert not shard.snapshot().reading_paused


async def test_a_short_pause_changes_nothing(autojump_clock: MockClock) -> None:
    """Longer than two heartbeats, so that a verdict would fall if it could."""
    async with gateway(guilds=0) as fake, shard_on(fake, queue=QUEUE) as shard:
        await shard.wait_for("ready")
        await flood(fake)
        await trio.sleep(3 * INTERVAL)
        assert await drain(shard, 3 * QUEUE + 1) == list(range(1, 3 * QUEUE + 2))
        await trio.sleep(5 * INTERVAL)
        assert (path(shard)[-1], fake.connections, handshakes(fake)) == ("ready", 1, ["identify"])


@conforms("P13")
async def test_heartbeats_go_on_while_reading_is_paused(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=QUEUE) as shard:
        await shard.wait_for("ready")
        await flood(fake)
        began = trio.current_time()
        await trio.sleep(3 * INTERVAL)
        beats = [seen.time for seen in fake.log.of(Received) if seen.op == Opcode.HEARTBEAT and seen.time > began]
        assert len(beats) == 3


@conforms("P50", "A07")
async def test_after_a_long_pause_the_socket_is_left_and_the_session_kept(autojump_clock: MockClock) -> None:
    moves = Moves()
    async with gateway(guilds=0, rules=RULES) as fake, shard_on(fake, queue=QUEUE, observers=[moves]) as shard:
        await shard.wait_for("ready")
        await flood(fake)
        began = trio.current_time()
        await shard.wait_for("draining")
        assert shard.snapshot().cause is Cause.READING_PAUSED
        assert 4 * INTERVAL <= trio.current_time() - began <= 6 * INTERVAL
        assert State.STALLED not in moves.states
        await shard.wait_for("backing_off")
        assert (close_codes(fake), len(fake.sessions)) == ([4900], 1)


@conforms("P38")
@pytest.mark.parametrize("minutes", [5, 30])
async def test_a_consumer_that_returns_gets_every_event_once_and_in_order(
    autojump_clock: MockClock, minutes: int
) -> None:
    moves = Moves()
    async with gateway(guilds=0, rules=RULES) as fake, shard_on(fake, queue=QUEUE, observers=[moves]) as shard:
        await shard.wait_for("ready")
        await flood(fake)
        await trio.sleep(minutes * 60)
        # RESUMED has a sequence of its own, and is never replayed: those of connections that were left are missing.
        await flood(fake, 10)
        (session,) = fake.sessions
        seqs = await drain(shard, session.seq)
        replayed = [dispatch.seq for dispatch in session.kept]
        assert [seq for seq in seqs if seq in replayed] == replayed
        assert seqs == sorted(set(seqs))
        assert State.STALLED not in moves.states
        assert handshakes(fake).count("identify") == 1


@conforms("P38", "A15")
async def test_a_pause_in_a_replay_is_no_failed_resume(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0, rules=RULES) as fake, shard_on(fake, queue=QUEUE) as shard:
        await shard.wait_for("ready")
        fake.drop()
        await shard.wait_for("backing_off")
        await flood(fake)
        await trio.sleep(4 * 3600)
        assert handshakes(fake).count("identify") == 1
        (session,) = fake.sessions
        fake.script = []
        replayed = [dispatch.seq for dispatch in session.kept]
        seqs = await drain(shard, replayed[-1])
        assert [seq for seq in seqs if seq in replayed] == replayed


async def test_a_queue_of_one_works(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=1) as shard:
        await flood_when_ready(fake, shard)
        assert await drain(shard, 21) == list(range(1, 22))


async def flood_when_ready(fake: FakeGateway, shard: Shard) -> None:
    await fake.wait_until(lambda log: log.sent("READY") == 1)
    await flood(fake, 20)


async def test_stopping_while_reading_is_paused_is_in_order(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=QUEUE) as shard:
        await shard.wait_for("ready")
        await flood(fake, 10 * QUEUE)
        began = trio.current_time()
        await shard.stop()
        assert (trio.current_time() - began, close_codes(fake)) == (0, [1000])
        assert len([dispatch async for dispatch in shard]) == QUEUE


async def test_a_consumer_between_two_events_is_not_hurried(autojump_clock: MockClock) -> None:
    """One event a minute: the queue is full most of the time, and the connection stays."""
    async with gateway(guilds=0) as fake, shard_on(fake, queue=4) as shard:
        await shard.wait_for("ready")
        await flood(fake, 40)
        seqs: list[int] = []
        while 41 not in seqs:
            seqs.append((await anext(shard)).seq)
            await trio.sleep(60)
        assert seqs == list(range(1, 42))
        assert (fake.connections, Settings().max_paused_beats) == (1, 4)
