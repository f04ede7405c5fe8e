"""A loop that user code blocks for longer than a heartbeat: what waits in the kernel is read before any verdict (I23).

Real sockets and a real clock, with the server in a thread of its own: it answers while nobody here reads. On a busy
machine that may take it longer than two heartbeats, so the loop stays blocked until its answers have come.
"""

import time

import pytest
import trio

from gatewright.fsm.journal import Record
from gatewright.harness.fake import Connection, Dispatch
from gatewright.spec.protocol import Opcode
from gatewright.spec.session import Metadata
from gatewright.spec.states import State
from gatewright.transport import driver
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.shard import Shard
from gatewright.transport.streams import TcpStreamOpener
from tests.support.conforms import conforms
from tests.support.shards import INTENTS, TOKEN
from tests.support.threads import PATIENCE, PATIENT, Elsewhere, gateway_in_a_thread, tls_contexts

pytestmark = pytest.mark.sockets

INTERVAL = 0.12
BLOCKED = 2.5 * INTERVAL
RUNS = 20
# Each ACK stands behind a pile of dispatches.
BURIED = [Connection(ack=[Dispatch("MESSAGE_CREATE", {"content": "x" * 200})] * 300)]


class Beats:
    """Tells when a heartbeat was issued, how many were, and how often the connection was given up."""

    def __init__(self) -> None:
        self.next = trio.Event()
        self.issued = 0
        self.stalls = 0

    def observe(self, record: Record) -> None:
        stalled = record.moved and record.to is State.STALLED
        issued = "send_heartbeat" in record.effects
        self.stalls += stalled
        self.issued += issued
        if stalled or issued:
            self.next.set()
            self.next = trio.Event()


async def block_the_loop(elsewhere: Elsewhere, shard: Shard, beats: Beats, runs: int) -> None:
    """Blocks the loop right after a heartbeat left, until after the next one would have been due; at most `runs` times,
    and no more once the connection was given up.
    """
    async with trio.open_nursery() as nursery:

        async def consume() -> None:
            async for _ in shard:
                pass

        nursery.start_soon(consume)
        await shard.wait_for("ready")
        with trio.fail_after(PATIENCE + runs * PATIENCE):
            await beats.next.wait()
            for _ in range(runs):
                for _ in range(5):  # the heartbeat leaves, and its ACK has not been read
                    await trio.lowlevel.checkpoint()
                time.sleep(BLOCKED)  # noqa: ASYNC251 - blocking the loop is the point
                until_answered(elsewhere, beats)
                await beats.next.wait()  # the verdict over the one before
                if beats.stalls:
                    break
        nursery.cancel_scope.cancel()


def until_answered(elsewhere: Elsewhere, beats: Beats) -> None:
    """Blocks until the server has answered each heartbeat; the last answer is in the kernel a moment after."""
    latest = time.monotonic() + PATIENCE
    log = elsewhere.fake.log
    while not (log.heartbeats == beats.issued == log.sent(op=Opcode.HEARTBEAT_ACK)):
        assert time.monotonic() < latest, (beats.issued, log.heartbeats, log.sent(op=Opcode.HEARTBEAT_ACK))
        time.sleep(0.01)
    time.sleep(0.1)


def shard_at(elsewhere: Elsewhere, beats: Beats, opener: TcpStreamOpener | None = None) -> Shard:
    def late() -> float:
        """Draws that have the first heartbeat due some intervals after HELLO, so that READY is there before."""
        return 2.0 / INTERVAL

    metadata = StaticMetadataSource(Metadata(url=elsewhere.url))
    return Shard(
        TOKEN, intents=INTENTS, metadata=metadata, opener=opener, observers=[beats], queue=100_000, random=late
    )


async def test_no_false_zombie_after_a_blocked_loop() -> None:
    with gateway_in_a_thread(heartbeat_interval=INTERVAL, rules=PATIENT) as elsewhere:
        beats = Beats()
        async with shard_at(elsewhere, beats) as shard:
            await block_the_loop(elsewhere, shard, beats, RUNS)
            assert beats.stalls == 0
    assert elsewhere.fake.connections == 1


@conforms("A07")
async def test_no_false_zombie_when_the_ack_stands_behind_a_pile_of_dispatches() -> None:
    with gateway_in_a_thread(heartbeat_interval=INTERVAL, rules=PATIENT, script=BURIED) as elsewhere:
        beats = Beats()
        async with shard_at(elsewhere, beats) as shard:
            await block_the_loop(elsewhere, shard, beats, 3)
            assert beats.stalls == 0
    assert elsewhere.fake.connections == 1


async def test_the_zombie_is_there_when_timers_act_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the very same runs, without reading before a timer acts."""
    monkeypatch.setattr(driver, "_MOST_PASSES", 0)
    with gateway_in_a_thread(heartbeat_interval=INTERVAL, rules=PATIENT, script=BURIED) as elsewhere:
        beats = Beats()
        async with shard_at(elsewhere, beats) as shard:
            await block_the_loop(elsewhere, shard, beats, RUNS)
            assert beats.stalls > 0


async def test_no_false_zombie_over_tls() -> None:
    server, client = tls_contexts()
    with gateway_in_a_thread(tls=server, heartbeat_interval=INTERVAL, rules=PATIENT, script=BURIED) as elsewhere:
        beats = Beats()
        async with shard_at(elsewhere, beats, TcpStreamOpener(ssl_context=client)) as shard:
            await block_the_loop(elsewhere, shard, beats, 3)
            assert beats.stalls == 0
    assert elsewhere.fake.connections == 1
