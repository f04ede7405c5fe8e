"""Dispatches on their way to the consumer: bounded, in order, nothing lost, and it is known what was handled."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import attrs
import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.transport.acks import Ack
from gatewright.transport.consumer import EventStream
from gatewright.transport.dispatch import Dispatch, Origin
from gatewright.transport.mailbox import ConsumerBusy, Holder, Mailbox
from gatewright.transport.queue import Queue, QueuePolicyName


def dispatch(seq: int, session: str = "s") -> Dispatch:
    return Dispatch("EVENT", seq, msgspec.Raw(b"{}"), Origin(session))


async def seqs(mailbox: Mailbox) -> list[int]:
    found: list[int] = []
    while (taken := await mailbox.take()) is not None:
        found.append(taken.seq)
    return found


async def test_what_is_put_comes_out_in_order(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=10))
    for seq in range(5):
        mailbox.put(dispatch(seq))
    mailbox.close()
    assert await seqs(mailbox) == [0, 1, 2, 3, 4]


async def test_taking_waits_for_what_comes(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=10))
    async with trio.open_nursery() as nursery:

        async def put_later() -> None:
            await trio.sleep(5)
            mailbox.put(dispatch(1))

        nursery.start_soon(put_later)
        taken = await mailbox.take()
        assert taken is not None
        assert trio.current_time() == 5


async def test_taking_from_a_full_mailbox_is_a_checkpoint(autojump_clock: MockClock) -> None:
    """A consumer that never waits for anything else must not hold up the reader."""
    mailbox = Mailbox(Queue(events=10))
    mailbox.put(dispatch(1))
    with trio.testing.assert_checkpoints():
        await mailbox.take()


async def test_it_is_full_at_its_bound_and_has_room_again_at_half_of_it(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=4))
    for seq in range(4):
        assert not mailbox.full
        mailbox.put(dispatch(seq))
    assert mailbox.full
    reading: list[int] = []
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            await mailbox.wait_for_room()
            reading.append(len(mailbox))

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        await mailbox.take()
        await wait_all_tasks_blocked()
        assert reading == []
        await mailbox.take()
    assert reading == [2]


async def test_a_mailbox_of_one_has_room_when_it_is_empty(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=1))
    mailbox.put(dispatch(1))
    assert mailbox.full
    await mailbox.take()
    with trio.fail_after(1):
        await mailbox.wait_for_room()


async def test_closing_ends_those_who_wait(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=4))
    async with trio.open_nursery() as nursery:

        async def consume() -> None:
            assert await mailbox.take() is None

        for _ in range(3):
            nursery.start_soon(consume)
        await wait_all_tasks_blocked()
        mailbox.close()


async def test_cancelling_a_take_loses_nothing(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=4))
    for _ in range(3):
        with trio.move_on_after(1):
            await mailbox.take()
    mailbox.put(dispatch(1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.take()
    assert scope.cancelled_caught
    mailbox.close()
    assert await seqs(mailbox) == [1]


async def test_a_consumer_that_never_waits_gives_others_their_turn() -> None:
    mailbox = Mailbox(Queue(events=5000))
    for seq in range(5000):
        mailbox.put(dispatch(seq))
    turns: list[int] = []
    async with trio.open_nursery() as nursery:

        async def another() -> None:
            while True:
                turns.append(len(mailbox))
                await trio.lowlevel.checkpoint()

        nursery.start_soon(another)
        for _ in range(5000):
            await mailbox.take()
        nursery.cancel_scope.cancel()
    waited = [before - after for before, after in itertools.pairwise(turns)]
    # Some at a time, because a turn costs more than a dispatch, and never many; trio may run one task twice in a row.
    assert 2 <= max(waited) <= 2 * 257


async def test_a_consumer_that_never_waits_can_be_cancelled() -> None:
    mailbox = Mailbox(Queue(events=1000))
    taken = 0
    with trio.CancelScope() as scope:
        for seq in range(1000):
            mailbox.put(dispatch(seq))
        while True:
            await mailbox.take()
            taken += 1
            if taken == 100:
                scope.cancel()
    assert scope.cancelled_caught
    assert taken <= 100 + 257
    assert len(mailbox) == 1000 - taken


async def test_a_dispatch_is_committed_when_the_next_one_is_asked_for(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=4))
    mailbox.put(dispatch(7))
    taken = await mailbox.take()
    assert mailbox.acks.committed("s") is None
    with trio.move_on_after(1):
        await mailbox.take(after=taken)
    assert mailbox.acks.committed("s") == 7


@pytest.mark.parametrize("consumers", [2, 5])
async def test_several_consumers_share_what_comes(autojump_clock: MockClock, consumers: int) -> None:
    mailbox = Mailbox(Queue(events=100))
    taken: list[int] = []

    async def consume() -> None:
        taken.extend(await seqs(mailbox))

    async with trio.open_nursery() as nursery:
        for _ in range(consumers):
            nursery.start_soon(consume)
        for seq in range(50):
            mailbox.put(dispatch(seq))
            if seq % 7 == 0:
                await wait_all_tasks_blocked()
        mailbox.close()
    assert sorted(taken) == list(range(50))


@pytest.mark.parametrize("policy", ["pause", "drop_oldest", "fail"])
@pytest.mark.parametrize("wanted", [None, frozenset({"EVENT"}), frozenset({"OTHER"})])
@pytest.mark.parametrize("before", [[], [1], [1, 5], [2, 1]])
async def test_a_run_is_its_dispatches_one_by_one(
    policy: QueuePolicyName, wanted: frozenset[str] | None, before: list[int], autojump_clock: MockClock
) -> None:
    one, other = (Mailbox(Queue(events=6, policy=policy)) for _ in range(2))
    for mailbox in (one, other):
        if wanted is not None:
            mailbox.open(wanted)
        for seq in before:
            mailbox.put(dispatch(seq))
    runs = [[6, 7], [8, 10], [11], [12]] if policy != "drop_oldest" else [[6, 7, 8, 9], [11, 12, 13, 14, 15]]
    for run in runs:
        size = sum(dispatch(seq).size for seq in run)
        looked_at = [one.put(dispatch(seq)) for seq in run]
        assert other.put_run([dispatch(seq) for seq in run], size) == any(looked_at)
        assert (len(other), other.bytes, other.full) == (len(one), one.bytes, one.full)
        assert (other.dropped, other.filtered, other.overflowed) == (one.dropped, one.filtered, one.overflowed)
    one.close()
    other.close()
    assert await seqs(one) == await seqs(other)
    assert one.acks.committed("s") == other.acks.committed("s")


async def test_a_run_wakes_as_many_as_it_has_something_for(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=10))
    taken: list[int] = []

    async def take() -> None:
        found = await mailbox.take()
        taken.append(-1 if found is None else found.seq)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(take)
        await wait_all_tasks_blocked()
        mailbox.put_run([dispatch(1), dispatch(2)], 4)
        await wait_all_tasks_blocked()
        assert sorted(taken) == [1, 2]
        mailbox.close()
    assert sorted(taken) == [-1, 1, 2]


async def test_room_is_what_may_come_before_it_is_full(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=4, bytes=7))
    assert mailbox.room == (4, 7)
    mailbox.put_run([dispatch(1), dispatch(2), dispatch(3)], 6)
    assert mailbox.room == (1, 1)
    assert not mailbox.full
    mailbox.put(dispatch(4))
    assert mailbox.full


class NeverLending(Mailbox):
    """Each dispatch is asked for by itself."""

    def lend(self, holder: Holder) -> None:
        """Lends nothing."""


class World:
    """A mailbox and its consumers, and everything that can be seen of them."""

    def __init__(self, mailbox: Mailbox, nursery: trio.Nursery) -> None:
        self.mailbox = mailbox
        self.nursery = nursery
        self.streams = [self.stream(None), self.stream(None)]
        self.taken: list[list[Dispatch]] = [[], []]
        self.waits = self.refused = self.lent = 0

    def stream(self, types: frozenset[str] | None) -> EventStream:
        return EventStream(self.mailbox, failure=lambda: None, types=types, ack=Ack.AUTO)

    def receive(self, session: str, seqs: list[int], size: int) -> None:
        origin = self.mailbox.origin(session, replayed=False)
        run = [Dispatch("EVENT", seq, msgspec.Raw(b"x" * size), origin) for seq in seqs]
        if seqs[0] == 1:  # READY
            self.mailbox.put(run.pop(0))
        if run:
            self.mailbox.put_run(run, (size + 10) * len(run))

    async def ask(self, number: int) -> None:
        try:
            self.taken[number].append(await anext(self.streams[number]))
        except ConsumerBusy:
            self.refused += 1
        self.lent += bool(self.streams[number].hand)

    async def wait_for_room(self) -> None:
        self.waits += 1
        await self.mailbox.wait_for_room()
        self.waits -= 1

    def seen(self) -> object:
        mailbox, acks = self.mailbox, self.mailbox.acks
        return (
            [(len(taken), [(each.session_id, each.seq) for each in taken[-10:]]) for taken in self.taken],
            [acks.committed(session) for session in ("a", "b", "c")],
            (acks.unhandled, acks.oldest),
            (len(mailbox), mailbox.bytes, mailbox.full, mailbox.room, mailbox.over),
            (mailbox.dropped, mailbox.filtered, mailbox.overflowed, mailbox.streams, self.waits, self.refused),
        )

    async def do(self, deed: Deed) -> None:
        mailbox = self.mailbox
        match deed.kind:
            case "receive":
                self.receive(deed.session, list(range(deed.first, deed.first + deed.count)), deed.size)
            case "ask":
                for _ in range(deed.count):
                    if len(mailbox):
                        await self.ask(deed.stream)
            case "handle" if self.taken[deed.stream]:
                mailbox.handle(self.taken[deed.stream][-1])
            case "close":
                self.streams[deed.stream].close()
                self.streams[deed.stream] = self.stream(None)
            case "open" if len(mailbox):
                typed = self.stream(frozenset({"EVENT"}))
                self.taken[1].append(await anext(typed))
                for _ in range(min(deed.count, len(mailbox))):
                    await self.ask(0)  # is refused
                typed.close()
            case "wait" if mailbox.full and not self.waits:
                self.nursery.start_soon(self.wait_for_room)
            case _:
                pass


@attrs.frozen
class Deed:
    kind: str
    stream: int
    session: str
    first: int
    count: int
    size: int


def deeds(draw: random.Random, worlds: list[World], *, most: int) -> Iterator[Deed]:
    kinds = ["receive"] * 4 + ["ask"] * 8 + ["handle", "close", "open", "wait"]
    newest, session = 0, "a"
    for _ in range(300):
        kind, first, count = draw.choice(kinds), newest + 1, draw.randint(1, most)
        stream = int(draw.random() < (0.1 if kind == "ask" else 0.5))
        if kind == "receive":
            mailbox, chance = worlds[0].mailbox, draw.random()
            if mailbox.full:
                continue
            if chance < 0.05:
                session, first = draw.choice("abc"), 1
            first += chance > 0.9
            count = min(count, mailbox.room[0])
            newest = first + count - 1
        yield Deed(kind, stream, session, first, count, draw.randint(1, 9))


@pytest.mark.parametrize("policy", ["pause", "drop_oldest", "fail"])
@pytest.mark.parametrize(("events", "size", "most"), [(12, 60, 8), (1000, 5000, 300), (600, 1 << 20, 200)])
@pytest.mark.parametrize("seed", range(5))
async def test_what_is_lent_comes_and_is_committed_as_if_it_were_asked_for_one_by_one(
    policy: QueuePolicyName, events: int, size: int, most: int, seed: int, autojump_clock: MockClock
) -> None:
    queue = Queue(events=events, bytes=size, policy=policy)
    async with trio.open_nursery() as nursery:
        worlds = [World(Mailbox(queue), nursery), World(NeverLending(queue), nursery)]
        for deed in deeds(random.Random(seed), worlds, most=most):
            for world in worlds:
                await world.do(deed)
            await wait_all_tasks_blocked()
            assert worlds[0].seen() == worlds[1].seen()
        for world in worlds:
            world.mailbox.close()
            for number, stream in enumerate(world.streams):
                world.taken[number].extend([found async for found in stream])
        assert worlds[0].seen() == worlds[1].seen()
        assert worlds[0].lent >= (most > 8)
        assert worlds[1].lent == 0


async def test_who_waits_beside_another_gets_the_next_and_not_the_last(autojump_clock: MockClock) -> None:
    mailbox, taken = Mailbox(Queue(events=100)), list[int]()
    streams = [stream_of(mailbox), stream_of(mailbox)]

    async def take(stream: EventStream) -> None:
        found = await anext(stream)
        taken.append(found.seq)

    async with trio.open_nursery() as nursery:
        for stream in streams:
            nursery.start_soon(take, stream)
        await wait_all_tasks_blocked()
        mailbox.put_run([dispatch(seq) for seq in range(1, 11)], 20)
        await wait_all_tasks_blocked()
        assert sorted(taken) == [1, 2]
    assert len(mailbox) == 8


async def test_what_is_lent_takes_room_until_it_is_taken(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=8))
    mailbox.put_run([dispatch(seq) for seq in range(1, 9)], 16)
    stream, reading = stream_of(mailbox), list[int]()
    assert (await anext(stream)).seq == 1
    assert stream.hand
    mailbox.put_run([dispatch(9)], 2)
    assert mailbox.full

    async def read() -> None:
        await mailbox.wait_for_room()
        reading.append(len(mailbox))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        for _ in range(4):
            await wait_all_tasks_blocked()
            assert reading == []
            await anext(stream)
    assert reading == [4]


async def test_a_stream_that_is_closed_gives_back_what_it_was_lent(autojump_clock: MockClock) -> None:
    mailbox = Mailbox(Queue(events=100))
    mailbox.put_run([dispatch(seq) for seq in range(1, 11)], 20)
    first, second = stream_of(mailbox), stream_of(mailbox)
    assert (await anext(first)).seq == 1
    assert first.hand
    first.close()
    with pytest.raises(StopAsyncIteration):
        await anext(first)
    assert (len(mailbox), mailbox.bytes) == (9, 18)
    assert (await anext(second)).seq == 2


def stream_of(mailbox: Mailbox) -> EventStream:
    return EventStream(mailbox, failure=lambda: None, types=None, ack=Ack.AUTO)
