"""Dispatches pushed to a sink: in order, in bursts, as far as it wants them, and what goes wrong in it is its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import FakeGateway
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.states import State
from gatewright.transport.acks import Ack
from gatewright.transport.consumer import EventStream
from gatewright.transport.dispatch import Dispatch, Origin
from gatewright.transport.errors import ShardFailed
from gatewright.transport.mailbox import ConsumerBusy, Mailbox
from gatewright.transport.push import push
from gatewright.transport.queue import Queue
from tests.support.shards import collect, gateway, shard_on


@attrs.define(eq=False)
class Bursts:
    """A sink that writes down what it is given, and says no as long as `open` is not set."""

    bursts: list[list[int]] = attrs.field(factory=list[list[int]])
    dispatches: list[Dispatch] = attrs.field(factory=list[Dispatch])
    doing: Callable[[list[Dispatch]], object] = attrs.field(default=len)
    open: trio.Event = attrs.field(factory=trio.Event)
    asked: int = 0

    def take(self, dispatches: list[Dispatch]) -> bool:
        self.bursts.append([dispatch.seq for dispatch in dispatches])
        self.dispatches += dispatches
        self.doing(dispatches)
        return self.open.is_set()

    async def room(self) -> None:
        self.asked += 1
        await self.open.wait()

    @property
    def seqs(self) -> list[int]:
        return [seq for burst in self.bursts for seq in burst]


def wide_open(doing: Callable[[list[Dispatch]], object] = len) -> Bursts:
    sink = Bursts(doing=doing)
    sink.open.set()
    return sink


def dispatch(seq: int, session: str = "s", *, to: Mailbox | None = None) -> Dispatch:
    origin = Origin(session) if to is None else to.origin(session, replayed=False)
    return Dispatch("EVENT", seq, msgspec.Raw(b"{}"), origin)


async def send(fake: FakeGateway, count: int) -> None:
    for number in range(count):
        await fake.dispatch("MESSAGE_CREATE", {"id": str(number)})
    await wait_all_tasks_blocked()


# -- a mailbox and a sink ----------------------------------------------------------------------------------------------


def pushing(mailbox: Mailbox, sink: Bursts, *, auto: bool = True) -> Callable[[], Awaitable[None]]:
    return lambda: push(mailbox, sink, failure=lambda: None, types=None, auto=auto)


async def test_a_burst_is_handed_over_in_the_pass_in_which_it_came(autojump_clock: MockClock) -> None:
    mailbox, sink = Mailbox(Queue(events=10)), wide_open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pushing(mailbox, sink))
        await wait_all_tasks_blocked()
        mailbox.put_run([dispatch(1), dispatch(2), dispatch(3)], 6)
        mailbox.put(dispatch(4))
        assert sink.bursts == []
        mailbox.flush()
        assert sink.bursts == [[1, 2, 3, 4]]  # no other task has run
        assert (len(mailbox), mailbox.bytes, mailbox.acks.committed("s")) == (0, 0, 4)
        mailbox.close()


async def test_what_waited_before_comes_first(autojump_clock: MockClock) -> None:
    mailbox, sink = Mailbox(Queue(events=10)), wide_open()
    mailbox.put(dispatch(1))
    mailbox.close()
    await push(mailbox, sink, failure=lambda: None, types=None, auto=True)
    assert sink.bursts == [[1]]


async def test_a_stream_gives_back_what_it_was_lent_and_asks_in_vain(autojump_clock: MockClock) -> None:
    mailbox, sink = Mailbox(Queue(events=10)), wide_open()
    mailbox.put_run([dispatch(seq) for seq in range(1, 11)], 20)
    stream = EventStream(mailbox, failure=lambda: None, types=None, ack=Ack.AUTO)
    assert (await anext(stream)).seq == 1
    assert stream.hand
    async with trio.open_nursery() as nursery:
        mailbox.attach(lambda: None, None)
        with pytest.raises(ConsumerBusy):
            await anext(stream)
        mailbox.detach()
        stream.close()
        nursery.start_soon(pushing(mailbox, sink))
        mailbox.close()
    assert sink.bursts == [list(range(2, 11))]
    assert mailbox.acks.committed("s") == 10


async def test_with_acks_by_hand_no_more_are_out_than_the_window_allows(autojump_clock: MockClock) -> None:
    stuck: list[tuple[int, int]] = []
    mailbox = Mailbox(Queue(events=10), window=3, on_stuck=lambda out, oldest: stuck.append((out, oldest)))
    sink = wide_open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pushing(mailbox, sink, auto=False))
        await wait_all_tasks_blocked()
        mailbox.put_run([dispatch(seq, to=mailbox) for seq in range(1, 6)], 10)
        mailbox.flush()
        mailbox.flush()
        assert (sink.bursts, stuck, mailbox.bytes) == ([[1, 2, 3]], [(3, 1)], 4)
        sink.dispatches[1].ack()  # the oldest is not handled: what a crash would bring back has its bound as well
        await wait_all_tasks_blocked()
        assert sink.bursts == [[1, 2, 3]]
        sink.dispatches[0].ack()
        await wait_all_tasks_blocked()
        assert sink.bursts == [[1, 2, 3], [4, 5]]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seqs", [[1, 2, 3], [1, 3, 2], [2, 2, 3], [5, 1, 9]])
async def test_in_whatever_order_they_come_each_is_handed_over_once_and_handled(
    seqs: list[int], autojump_clock: MockClock
) -> None:
    mailbox, sink = Mailbox(Queue(events=10)), wide_open()
    mailbox.put(dispatch(7, "older"))
    for seq in seqs:
        mailbox.put(dispatch(seq))
    mailbox.close()
    await push(mailbox, sink, failure=lambda: None, types=None, auto=True)
    assert sink.bursts == [[7, *seqs]]
    assert (mailbox.acks.committed("s"), mailbox.acks.unhandled) == (max(seqs), 0)


async def test_a_sink_that_comes_back_from_within_is_not_given_more(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=10))

    def come_back(dispatches: list[Dispatch]) -> None:
        if dispatches[0].seq == 1:
            mailbox.put(dispatch(2))
            mailbox.flush()
            assert sink.bursts == [[1]]

    sink = wide_open(come_back)
    mailbox.put(dispatch(1))
    mailbox.close()
    await push(mailbox, sink, failure=lambda: None, types=None, auto=True)
    assert sink.bursts == [[1], [2]]


# -- a shard and a sink ------------------------------------------------------------------------------------------------


async def test_everything_is_pushed_in_order_until_the_shard_is_over(autojump_clock: MockClock) -> None:
    sink = wide_open()
    async with gateway(guilds=2) as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:
        nursery.start_soon(shard.push, sink)
        await shard.wait_for("ready")
        await send(fake, 20)
        fake.drop()
        await shard.wait_for("backing_off")
        await shard.wait_for("ready")
        await send(fake, 5)
        await shard.stop()
    assert sink.seqs == list(range(1, 30))  # READY, two guilds, and RESUMED among them
    assert sink.dispatches[0].type == "READY"


async def test_a_sink_that_says_no_stops_the_reading_and_loses_nothing(autojump_clock: MockClock) -> None:
    sink = Bursts()
    async with gateway(guilds=0) as fake, shard_on(fake, queue=4) as shard, trio.open_nursery() as nursery:
        nursery.start_soon(shard.push, sink)
        await shard.wait_for("ready")
        await send(fake, 20)
        assert (sink.seqs, sink.asked) == ([1], 1)
        assert shard.snapshot().reading_paused
        assert len(shard._mailbox) == 4
        sink.open.set()
        await wait_all_tasks_blocked()
        assert sink.seqs == list(range(1, 22))
        assert not shard.snapshot().reading_paused
        await shard.stop()


async def test_a_sink_that_wants_all_is_never_in_the_way(autojump_clock: MockClock) -> None:
    """A queue that would be full after each dispatch is emptied before reading would pause."""
    sink = wide_open()
    async with gateway(guilds=0) as fake, shard_on(fake, queue=1) as shard, trio.open_nursery() as nursery:
        nursery.start_soon(shard.push, sink)
        await shard.wait_for("ready")
        await send(fake, 50)
        assert sink.seqs == list(range(1, 52))
        assert not any(record.event == "reading_paused" for record in shard.journal)
        await shard.stop()


async def test_what_the_sink_raises_is_its_consumers_and_the_shard_lives_on(autojump_clock: MockClock) -> None:
    def fail(dispatches: list[Dispatch]) -> None:
        if dispatches[-1].type == "MESSAGE_CREATE":
            raise LookupError("not here")

    sink = wide_open(fail)
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        async with trio.open_nursery() as nursery:

            async def consume() -> None:
                with pytest.raises(LookupError, match="not here"):
                    await shard.push(sink)

            nursery.start_soon(consume)
            await shard.wait_for("ready")
            await send(fake, 3)
        assert sink.bursts[-1][0] == 2
        assert shard.state is State.READY
        assert shard.session is not None
        assert shard.session.seq == 1  # the burst that it failed on was not handled
        await send(fake, 1)
        rest = [event.seq for event in await collect(shard, 5 - sink.seqs[-1])]
        assert sink.seqs + rest == [1, 2, 3, 4, 5]


async def test_no_burst_comes_in_the_middle_of_a_transition(autojump_clock: MockClock) -> None:
    """The sink sees the shard as the last transition has left it, and may ask it for the next one."""
    states: list[tuple[State, int]] = []

    def look(dispatches: list[Dispatch]) -> None:
        (last,) = shard.journal.last()
        states.append((last.to, shard._core._context.received or 0))
        if dispatches[-1].seq == 3:
            shard.reconnect()

    sink = wide_open(look)
    async with gateway(guilds=0) as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:
        nursery.start_soon(shard.push, sink)
        await shard.wait_for("ready")
        await send(fake, 2)
        await shard.wait_for("ready")
        await send(fake, 1)
        await shard.stop()
    assert [received for _, received in states] == [burst[-1] for burst in sink.bursts]
    assert sink.seqs == [1, 2, 3, 4, 5]
    assert {state for state, _ in states} == {State.READY}
    assert fake.connections == 2


async def test_some_types_only(autojump_clock: MockClock) -> None:
    sink = wide_open()
    async with gateway(guilds=3) as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:
        await shard.wait_for("ready")
        await wait_all_tasks_blocked()
        nursery.start_soon(shard.push, sink, {"MESSAGE_CREATE"})
        await send(fake, 2)
        assert [event.type for event in sink.dispatches] == ["MESSAGE_CREATE"] * 2
        await fake.dispatch("TYPING_START", {})
        await wait_all_tasks_blocked()
        assert shard.session is not None
        assert shard.session.seq == 7
        await shard.stop()
    assert len(sink.dispatches) == 2


async def test_with_acks_by_hand_a_burst_is_handled_when_that_is_said(autojump_clock: MockClock) -> None:
    sink = wide_open()
    async with gateway(guilds=0) as fake, shard_on(fake, ack="manual") as shard, trio.open_nursery() as nursery:
        nursery.start_soon(shard.push, sink)
        await shard.wait_for("ready")
        await send(fake, 3)
        assert (shard.session is not None, shard.unacked) == (True, 4)
        for event in sink.dispatches[:3]:
            event.ack()
        assert shard.session is not None
        assert (shard.session.seq, shard.unacked) == (3, 1)
        await shard.stop()


async def test_cancelling_loses_nothing_and_leaves_the_rest_to_the_next_consumer(autojump_clock: MockClock) -> None:
    sink = Bursts()
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shard.push, sink)
            await shard.wait_for("ready")
            await send(fake, 5)
            nursery.cancel_scope.cancel()
        rest = [event.seq for event in await collect(shard, 6 - len(sink.seqs))]
    assert sink.seqs == [1]
    assert rest == [2, 3, 4, 5, 6]


async def test_one_consumer_at_a_time(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:
        nursery.start_soon(shard.push, wide_open())
        await shard.wait_for("ready")
        with pytest.raises(ConsumerBusy, match=r"cancel push\(\)"):
            await anext(shard)
        with pytest.raises(ConsumerBusy, match=r"cancel push\(\)"):
            await anext(shard.events({"MESSAGE_CREATE"}))
        with pytest.raises(ConsumerBusy, match=r"cancel push\(\)"):
            await shard.push(wide_open())
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("types", [None, {"MESSAGE_CREATE"}])
async def test_while_another_task_asks_nothing_can_be_pushed(types: set[str] | None, autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:
        await shard.wait_for("ready")
        await collect(shard, 1)
        stream = shard.events(types)
        nursery.start_soon(stream.__anext__)
        await wait_all_tasks_blocked()
        with pytest.raises(ConsumerBusy, match="end it before you push"):
            await shard.push(wide_open())
        nursery.cancel_scope.cancel()


async def test_a_shard_that_fails_is_told_behind_the_last_dispatch(autojump_clock: MockClock) -> None:
    sink = wide_open()
    async with gateway(guilds=0) as fake, shard_on(fake) as shard, trio.open_nursery() as nursery:

        async def consume() -> None:
            with pytest.raises(ShardFailed):
                await shard.push(sink)

        nursery.start_soon(consume)
        await shard.wait_for("ready")
        await send(fake, 1)
        fake.close(4004)
    assert sink.seqs == [1, 2]


class NoRoom:
    def take(self, dispatches: list[Dispatch]) -> bool:
        return bool(dispatches)


@pytest.mark.parametrize("wrong", [None, print, NoRoom(), Bursts])
async def test_what_is_no_sink_is_refused_and_takes_no_place(wrong: Any, autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        with pytest.raises(ConfigurationError, match="a sink is an object"):
            await shard.push(wrong)
        dispatch = await anext(shard)
        assert dispatch.type == "READY"


@pytest.mark.parametrize("types", [7, [[]], [None], ()])
async def test_what_are_no_types_is_refused_in_words(types: Any, autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        with pytest.raises(ConfigurationError, match="event name"):
            await shard.push(Bursts(), types)
        with pytest.raises(ConfigurationError, match="event name"):
            shard.events(types)


async def test_a_single_name_is_no_collection_of_types(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        with pytest.raises(ConfigurationError, match="MESSAGE_CREATE"):
            await shard.push(wide_open(), "MESSAGE_CREATE")
