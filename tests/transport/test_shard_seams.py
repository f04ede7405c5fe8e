"""The seams of a shard: own clocks, gates and observers, and what it does when they misbehave."""

import logging
import random
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.fsm.journal import Record
from gatewright.harness.fake import Connection, Drop, Received
from gatewright.harness.fake.script import Delay, Withhold
from gatewright.spec.events import SlotRefusal
from gatewright.spec.protocol import Opcode
from gatewright.spec.session import Metadata
from gatewright.spec.states import Cause, State
from gatewright.transport.gate import InMemoryIdentifyGate
from gatewright.transport.seams import GateUnavailable, Slot
from tests.support.conforms import conforms
from tests.support.shards import SilentGate, close_codes, gateway, handshakes, path, shard_on

INTERVAL = 41.25


# -- clock and random source -------------------------------------------------------------------------------------------


async def test_a_clock_of_ones_own_may_begin_anywhere(autojump_clock: MockClock) -> None:
    """Only differences of it are used."""
    async with (
        gateway(script=[Connection(hello=Drop())] * 3 + [Connection()]) as fake,
        shard_on(fake, clock=lambda: trio.current_time() + 1e6) as shard,
    ):
        await shard.wait_for("ready")
        await trio.sleep(20 * INTERVAL)
        assert (shard.state, fake.connections) == (State.READY, 4)
        assert next(iter(shard.journal)).time >= 1e6


@conforms("A09", "P14")
async def test_the_random_source_decides_the_jitter(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake, random=lambda: 0.25) as shard:
        await shard.wait_for("ready")
        await fake.wait_until(lambda log: log.heartbeats == 1)
        assert trio.current_time() == INTERVAL * 0.25


async def test_two_runs_with_one_seed_are_the_same(autojump_clock: MockClock) -> None:
    async def run() -> list[tuple[float, str]]:
        began = trio.current_time()
        script = [Connection(hello=Drop())] * 6 + [Connection()]
        async with gateway(script=script) as fake, shard_on(fake, random=random.Random(7).random) as shard:
            await shard.wait_for("ready")
            return [(round(record.time - began, 6), record.row) for record in shard.journal if record.moved]

    assert await run() == await run()


# -- the identify gate -------------------------------------------------------------------------------------------------


class Answering:
    """Metadata, one answer after the other."""

    def __init__(self, answers: list[Metadata]) -> None:
        self._answers = answers
        self.asked = 0

    async def fetch(self) -> Metadata:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        return self._answers[min(self.asked, len(self._answers)) - 1]


class Refusing(InMemoryIdentifyGate):
    """A gate that is out for a while, and then a good one."""

    def __init__(self, refusals: int, *, refusal: SlotRefusal = SlotRefusal.OUTAGE, retry_after: float = 5.0) -> None:
        super().__init__(random=lambda: 0.5)
        self._left = refusals
        self._answer = refusal, retry_after
        self.asked = 0

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        self.asked += 1
        await trio.lowlevel.checkpoint()
        if self._left:
            self._left -= 1
            raise GateUnavailable(*self._answer)
        return await super().acquire(shard_id=shard_id, on_queued=on_queued)


async def test_a_gate_that_is_out_is_asked_again_and_no_attempt_is_counted(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        gate = Refusing(4)
        async with shard_on(fake, gate=gate) as shard:
            for _ in range(4):
                await shard.wait_for("awaiting_identify_slot")
                await shard.wait_for("backing_off")
                assert (shard.snapshot().cause, shard.snapshot().attempts) == (Cause.GATE, 0)
            await shard.wait_for("ready")
            assert (gate.asked, handshakes(fake), set(close_codes(fake))) == (5, ["identify"], {4900})


@conforms("P30")
async def test_a_spent_budget_is_waited_for(autojump_clock: MockClock) -> None:
    async with (
        gateway() as fake,
        shard_on(fake, gate=Refusing(1, refusal=SlotRefusal.BUDGET, retry_after=3600)) as shard,
    ):
        await shard.wait_for("ready")
        (identify,) = [seen.time for seen in fake.log.of(Received) if seen.op == Opcode.IDENTIFY]
        assert identify >= 3600


@conforms("P30", "A22")
async def test_a_budget_that_was_renewed_elsewhere_is_heard_of_before_the_next_attempt(
    autojump_clock: MockClock,
) -> None:
    """Nobody but the metadata end point can tell: the server did not say when it would be."""
    async with gateway() as fake:
        source = Answering([Metadata(url=fake.url, remaining=left) for left in (105, 1000)])
        async with shard_on(fake, gate=InMemoryIdentifyGate(), metadata=source) as shard:
            await shard.wait_for("ready")
            shard.force_identify()
            await shard.wait_for("awaiting_identify_slot")
            await shard.wait_for("backing_off")
            assert (shard.snapshot().cause, source.asked) == (Cause.BUDGET, 1)
            await shard.wait_for("ready")
            assert (handshakes(fake), source.asked) == (["identify", "identify"], 2)
            first, second = (seen.time for seen in fake.log.of(Received) if seen.op == Opcode.IDENTIFY)
            assert second - first < 1000  # and not 6 hours, which is the pace of what was left


async def test_a_queue_is_waited_in_as_long_as_the_gate_says(autojump_clock: MockClock) -> None:
    """Two shards of one bucket: the second waits its five seconds, with heartbeats and without a stall."""
    gate = InMemoryIdentifyGate(random=lambda: 0.5)
    async with gateway() as fake:
        first = shard_on(fake, gate=gate, shard_id=0, shard_count=2)
        second = shard_on(fake, gate=gate, shard_id=1, shard_count=2)
        async with first, second:
            await first.wait_for("ready")
            await second.wait_for("ready")
            times = sorted(seen.time for seen in fake.log.of(Received) if seen.op == Opcode.IDENTIFY)
            assert 5 < times[1] - times[0] < 7
            assert "stalled" not in path(first) + path(second)


@pytest.mark.parametrize("verb", ["stop", "suspend"])
async def test_leaving_the_queue_takes_the_request_back(autojump_clock: MockClock, verb: str) -> None:
    gate = SilentGate()
    async with gateway() as fake, shard_on(fake, gate=gate) as shard:
        await shard.wait_for("awaiting_identify_slot")
        await wait_all_tasks_blocked()
        assert gate.waiting == 1
        await getattr(shard, verb)()
        await wait_all_tasks_blocked()
        assert gate.waiting == 0


class Slow:
    """A gate that ends its work although it was cancelled, as one may that talks to a store."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.granted = 0
        self.settled: list[str] = []

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        with trio.CancelScope(shield=True):
            await trio.sleep(self._seconds)
        self.granted += 1
        return Slot(shard_id, 0, str(self.granted))

    def sent(self, slot: Slot) -> None:
        self.settled.append(f"sent {slot.ticket}")

    def answered(self, slot: Slot) -> None:
        self.settled.append(f"answered {slot.ticket}")

    def give_back(self, slot: Slot) -> None:
        self.settled.append(f"back {slot.ticket}")

    def learn(self, metadata: Metadata) -> None: ...


@conforms("P53")
async def test_a_grant_that_comes_too_late_is_given_back(autojump_clock: MockClock) -> None:
    """One while the shard is suspended, and one while the next connection is under way."""
    async with gateway() as fake:
        gate = Slow(10)
        async with shard_on(fake, gate=gate) as shard:
            await shard.wait_for("awaiting_identify_slot")
            await shard.suspend()
            await trio.sleep(20)
            assert gate.settled == ["back 1"]
            shard.connect()
            await shard.wait_for("awaiting_identify_slot")
            fake.script = [Connection()]
            fake.drop()
            await shard.wait_for("ready")
            assert gate.settled == ["back 1", "back 2", "sent 3", "answered 3"]
            assert handshakes(fake) == ["identify"]


class Late:
    """A gate whose first request is answered after ten seconds, whoever cancels it, and the others at once."""

    def __init__(self, answer: Slot | GateUnavailable, *, next_after: float) -> None:
        self._answer = answer
        self._next_after = next_after
        self.asked = 0
        self.settled: list[str] = []

    async def acquire(self, *, shard_id: int, on_queued: Callable[[float], None]) -> Slot:
        self.asked += 1
        if self.asked > 1:
            await trio.sleep(self._next_after)
            return Slot(shard_id, 0, "in time")
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        on_queued(3.0)
        if isinstance(self._answer, GateUnavailable):
            raise self._answer
        return self._answer

    def sent(self, slot: Slot) -> None:
        self.settled.append(f"sent {slot.ticket}")

    def answered(self, slot: Slot) -> None: ...

    def give_back(self, slot: Slot) -> None:
        self.settled.append(f"back {slot.ticket}")

    def learn(self, metadata: Metadata) -> None: ...


LATE_SLOT = Slot(0, 0, "late")


@conforms("P53")
@pytest.mark.parametrize(
    ("state", "script", "next_after", "said", "row"),
    [
        ("connecting", Connection(accept=Delay(60)), 0.0, LATE_SLOT, "connecting.slot_granted.stale"),
        ("awaiting_hello", Connection(hello=Withhold()), 0.0, LATE_SLOT, "awaiting_hello.slot_granted.stale"),
        ("awaiting_identify_slot", Connection(), 15.0, LATE_SLOT, "awaiting_identify_slot.slot_granted.stale"),
        ("awaiting_identify_slot", Connection(), 15.0, None, "awaiting_identify_slot.slot_unavailable.stale"),
        ("identified", Connection(ready=Withhold()), 0.0, LATE_SLOT, "identified.slot_granted"),
        ("ready", Connection(), 0.0, LATE_SLOT, "ready.slot_granted"),
        ("ready", Connection(), 0.0, None, "ready.slot_unavailable"),
    ],
)
async def test_what_the_gate_says_to_an_old_connection_is_written_down_and_moves_nothing(
    autojump_clock: MockClock, state: str, script: Connection, next_after: float, said: Slot | None, row: str
) -> None:
    gate = Late(said or GateUnavailable(SlotRefusal.OUTAGE, 60.0), next_after=next_after)
    async with gateway(script=[Connection(), script]) as fake, shard_on(fake, gate=gate) as shard:
        await shard.wait_for("awaiting_identify_slot")
        await trio.sleep(5)
        shard.reconnect()
        await shard.wait_for(state)
        gen = shard.snapshot().gen
        await trio.sleep(6)
        told = [(record.row, record.state, record.to, record.gen) for record in shard.journal if record.row == row]
        assert told == [(row, state, state, gen)]
        assert (shard.counts[row], shard.state, shard.snapshot().gen) == (1, state, gen)
        queued = row.replace("slot_granted", "slot_queued").replace("slot_unavailable", "slot_queued")
        assert shard.counts[queued] == 1
        late = ["back late"] if said else []
        assert [what for what in gate.settled if "late" in what] == late
        await trio.sleep(20)
        assert gate.settled.count("sent in time") == (state not in {"connecting", "awaiting_hello"})


@pytest.mark.parametrize("seconds", [0.5, 1.5])
async def test_a_late_grant_finds_any_phase_of_the_next_connection(autojump_clock: MockClock, seconds: float) -> None:
    async with gateway() as fake:
        gate = Slow(10)
        async with shard_on(fake, gate=gate, opener=fake.open_stream) as shard:
            await shard.wait_for("awaiting_identify_slot")
            fake.script = [Connection(accept=(), hello=Drop())] * 8 + [Connection()]
            await trio.sleep(10 - seconds)
            fake.drop()
            await shard.wait_for("ready")
            assert gate.settled[0] == "back 1"
            assert [what.partition(" ")[0] for what in gate.settled[-2:]] == ["sent", "answered"]


# -- observers ---------------------------------------------------------------------------------------------------------


class Seeing:
    def __init__(self) -> None:
        self.records: list[Record] = []

    def observe(self, record: Record) -> None:
        self.records.append(record)


class Raising:
    def observe(self, record: Record) -> None:
        raise LookupError("an observer of somebody else's")


async def test_an_observer_sees_every_step_once_and_in_order(autojump_clock: MockClock) -> None:
    async with gateway(guilds=3) as fake:
        observer = Seeing()
        async with shard_on(fake, observers=[observer]) as shard:
            await shard.wait_for("ready")
            await trio.sleep(3 * INTERVAL)
        assert observer.records == list(shard.journal)
        assert "dispatched" in {record.event for record in observer.records}


async def test_an_observer_that_raises_is_logged_and_hurts_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway() as fake:
        good = Seeing()
        async with shard_on(fake, observers=[Raising(), good]) as shard:
            await shard.wait_for("ready")
        assert shard.state is State.STOPPED
        assert len(good.records) == shard.journal.written
        assert "an observer failed" in caplog.text


async def test_moves_are_logged_and_stalls_are_loud(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="gatewright.shard.0")
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.go_dark()
        await shard.wait_for("stalled")
        levels = {record.levelname for record in caplog.records if "-> stalled" in record.getMessage()}
        assert levels == {"WARNING"}
        assert any("-> ready" in record.getMessage() for record in caplog.records)


async def test_a_watcher_sees_the_moves_from_when_it_was_made(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        async with shard_on(fake) as shard:
            moves = shard.transitions()
            await shard.wait_for("ready")
            await shard.stop()
        assert [record.to.value async for record in moves] == path(shard)[1:]


async def test_a_watcher_that_lags_loses_the_oldest_and_knows_how_many(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        moves = shard.transitions()
        await shard.wait_for("ready")
        (last,) = shard.journal.last()
        for _ in range(1000):
            moves.put(last)
        assert moves.lost == len(path(shard)) - 1
        assert await anext(moves) == last
