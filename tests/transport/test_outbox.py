"""What a connection still has to send: the machine's first, users' within the limits, and each with a known end."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.spec.protocol import Opcode
from gatewright.transport.errors import ConnectionLost
from gatewright.transport.limiter import SendLimiter
from gatewright.transport.outbox import Fate, Outbox
from tests.support.conforms import conforms

MEMBERS, PRESENCE, BEAT = Opcode.REQUEST_GUILD_MEMBERS, Opcode.PRESENCE_UPDATE, Opcode.HEARTBEAT


def outbox() -> Outbox:
    return Outbox(SendLimiter(trio.current_time), wake=lambda: None)


class Writer:
    """Sends what is in its box, and is begun anew whenever there is something, as a connection's is."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._limiter = SendLimiter(trio.current_time)
        self._writing = False
        self.box = Outbox(self._limiter, self._wake)
        self.begun = 0
        self.sent: list[tuple[float, Opcode]] = []

    def _wake(self) -> None:
        if not self._writing:
            self._writing = True
            self.begun += 1
            self._nursery.start_soon(self._write)

    async def _write(self) -> None:
        while (outgoing := await self.box.next()) is not None:
            self._limiter.sent(outgoing.op)
            self.sent.append((trio.current_time(), outgoing.op))
            outgoing.settle(Fate.SENT)
        self._writing = False


class Caller:
    """A task that sends, and what became of it."""

    def __init__(self, box: Outbox, payload: bytes, op: Opcode = MEMBERS) -> None:
        self._box, self._payload, self._op = box, payload, op
        self.scope = trio.CancelScope()
        self.end = ""

    async def __call__(self) -> None:
        with self.scope:
            try:
                await self._box.send(self._op, self._payload)
            except ConnectionLost:
                self.end = "lost"
            else:
                self.end = "sent"
        self.end = self.end or "cancelled"


@conforms("P21")
async def test_what_the_machine_sends_goes_first(autojump_clock: MockClock) -> None:
    box = outbox()
    async with trio.open_nursery() as nursery:
        for payload in (b"a", b"b"):
            nursery.start_soon(Caller(box, payload))
            await wait_all_tasks_blocked()
        box.urge(BEAT, b"beat")
        box.urge(Opcode.RESUME, b"resume")
        order: list[bytes] = []
        for _ in range(4):
            outgoing = await box.next()
            assert outgoing is not None
            order.append(outgoing.payload)
            outgoing.settle(Fate.SENT)
        assert order == [b"beat", b"resume", b"a", b"b"]


async def test_a_caller_returns_when_its_command_was_sent_and_not_before(autojump_clock: MockClock) -> None:
    box = outbox()
    caller = Caller(box, b"a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller)
        await wait_all_tasks_blocked()
        outgoing = await box.next()
        assert outgoing is not None
        await wait_all_tasks_blocked()
        assert caller.end == ""
        outgoing.settle(Fate.SENT)
    assert caller.end == "sent"


async def test_cancelling_a_queued_command_takes_it_back(autojump_clock: MockClock) -> None:
    box = outbox()
    first, second = Caller(box, b"a"), Caller(box, b"b")
    async with trio.open_nursery() as nursery:
        for caller in (first, second):
            nursery.start_soon(caller)
            await wait_all_tasks_blocked()
        first.scope.cancel()
        await wait_all_tasks_blocked()
        outgoing = await box.next()
        assert outgoing is not None
        assert outgoing.payload == b"b"
        outgoing.settle(Fate.SENT)
    assert (first.end, second.end) == ("cancelled", "sent")


async def test_cancelling_a_command_that_was_begun_waits_for_it(autojump_clock: MockClock) -> None:
    box = outbox()
    caller = Caller(box, b"a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller)
        await wait_all_tasks_blocked()
        outgoing = await box.next()
        assert outgoing is not None
        caller.scope.cancel()
        await wait_all_tasks_blocked()
        assert caller.end == ""
        outgoing.settle(Fate.SENT)
    assert caller.end == "cancelled"


async def test_closing_refuses_what_is_queued_and_what_comes(autojump_clock: MockClock) -> None:
    box = outbox()
    caller = Caller(box, b"a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller)
        await wait_all_tasks_blocked()
        box.urge(BEAT, b"beat")
        box.close(4900)
    assert caller.end == "lost"
    assert await box.next() is None
    with pytest.raises(ConnectionLost):
        await box.send(MEMBERS, b"b")
    box.urge(BEAT, b"too late")
    assert await box.next() is None


async def test_the_first_close_code_stays(autojump_clock: MockClock) -> None:
    box = outbox()
    box.close(4900)
    box.close(1000)
    assert box.close_code == 4900


async def test_the_writer_is_begun_when_something_comes_and_ends_when_all_is_sent(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        writer = Writer(nursery)
        assert await writer.box.next() is None
        for _ in range(2):
            await trio.sleep(3)
            writer.box.urge(BEAT, b"beat")
            writer.box.urge(BEAT, b"beat")
            await wait_all_tasks_blocked()
            assert not nursery.child_tasks
        assert (writer.begun, writer.sent) == (2, [(3, BEAT), (3, BEAT), (6, BEAT), (6, BEAT)])


async def test_a_writer_that_waits_for_the_limit_sends_what_is_urgent_and_ends_with_the_connection(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        writer = Writer(nursery)
        callers = [Caller(writer.box, b"%d" % number, PRESENCE) for number in range(6)]
        for caller in callers:
            nursery.start_soon(caller)
        await wait_all_tasks_blocked()
        assert len(writer.sent) == 5
        await trio.sleep(1)
        writer.box.urge(BEAT, b"beat")
        await wait_all_tasks_blocked()
        assert writer.sent[5:] == [(1, BEAT)]
        writer.box.discard()
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks
        assert (writer.begun, trio.current_time()) == (1, 1)
    assert sorted(caller.end for caller in callers) == ["lost"] + ["sent"] * 5


@conforms("P55", "P58")
@pytest.mark.parametrize(("op", "limit", "window"), [(MEMBERS, 117, 60), (PRESENCE, 5, 20)])
async def test_any_number_of_callers_share_the_limit(
    autojump_clock: MockClock, op: Opcode, limit: int, window: float
) -> None:
    async with trio.open_nursery() as nursery:
        writer = Writer(nursery)
        box, sent = writer.box, writer.sent
        async with trio.open_nursery() as callers:
            for number in range(3 * limit):
                callers.start_soon(Caller(box, b"%d" % number, op))
        box.close(1000)
    times = [time for time, _ in sent]
    assert len(times) == 3 * limit
    assert all(times[index + limit] - times[index] > window for index in range(2 * limit))


@conforms("P58")
async def test_a_presence_that_has_to_wait_lets_the_others_pass(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        writer = Writer(nursery)
        box, sent = writer.box, writer.sent
        async with trio.open_nursery() as callers:
            for number in range(7):
                callers.start_soon(Caller(box, b"%d" % number, PRESENCE))
            await wait_all_tasks_blocked()
            callers.start_soon(Caller(box, b"members"))
        box.close(1000)
    assert [op for time, op in sent if time == 0] == [PRESENCE] * 5 + [MEMBERS]
    assert len(sent) == 8


@conforms("P21")
async def test_a_heartbeat_never_waits_for_the_limit(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        writer = Writer(nursery)
        box, sent = writer.box, writer.sent
        for number in range(200):
            nursery.start_soon(Caller(box, b"%d" % number))
        await wait_all_tasks_blocked()
        box.urge(BEAT, b"beat")
        await wait_all_tasks_blocked()
        box.close(1000)
    assert sent[-1] == (0, BEAT)
