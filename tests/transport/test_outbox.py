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
    return Outbox(SendLimiter(trio.current_time))


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


async def test_the_writer_that_waits_is_woken_by_what_comes(autojump_clock: MockClock) -> None:
    box = outbox()
    async with trio.open_nursery() as nursery:

        async def urge_later() -> None:
            await trio.sleep(3)
            box.urge(BEAT, b"beat")

        nursery.start_soon(urge_later)
        outgoing = await box.next()
        assert (outgoing is not None, trio.current_time()) == (True, 3)


async def write(box: Outbox, limiter: SendLimiter, sent: list[tuple[float, Opcode]]) -> None:
    while (outgoing := await box.next()) is not None:
        limiter.sent(outgoing.op)
        sent.append((trio.current_time(), outgoing.op))
        outgoing.settle(Fate.SENT)


@conforms("P55", "P58")
@pytest.mark.parametrize(("op", "limit", "window"), [(MEMBERS, 117, 60), (PRESENCE, 5, 20)])
async def test_any_number_of_callers_share_the_limit(
    autojump_clock: MockClock, op: Opcode, limit: int, window: float
) -> None:
    limiter = SendLimiter(trio.current_time)
    box = Outbox(limiter)
    sent: list[tuple[float, Opcode]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, box, limiter, sent)
        async with trio.open_nursery() as callers:
            for number in range(3 * limit):
                callers.start_soon(Caller(box, b"%d" % number, op))
        box.close(1000)
    times = [time for time, _ in sent]
    assert len(times) == 3 * limit
    assert all(times[index + limit] - times[index] > window for index in range(2 * limit))


@conforms("P58")
async def test_a_presence_that_has_to_wait_lets_the_others_pass(autojump_clock: MockClock) -> None:
    limiter = SendLimiter(trio.current_time)
    box = Outbox(limiter)
    sent: list[tuple[float, Opcode]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, box, limiter, sent)
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
    limiter = SendLimiter(trio.current_time)
    box = Outbox(limiter)
    sent: list[tuple[float, Opcode]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, box, limiter, sent)
        for number in range(200):
            nursery.start_soon(Caller(box, b"%d" % number))
        await wait_all_tasks_blocked()
        box.urge(BEAT, b"beat")
        await wait_all_tasks_blocked()
        box.close(1000)
    assert sent[-1] == (0, BEAT)
