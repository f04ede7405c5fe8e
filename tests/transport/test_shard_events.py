"""The consumer's end: streams of some types, several workers, and bounds in events and bytes with a policy."""

import gc
from typing import Any, cast

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.harness.fake import FakeGateway
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.states import Cause, State
from gatewright.transport.errors import ConsumerTooSlow
from gatewright.transport.mailbox import ConsumerBusy
from gatewright.transport.queue import Queue, QueuePolicy
from gatewright.transport.shard import Shard
from tests.support.conforms import conforms
from tests.support.shards import close_codes, collect, gateway, path, shard_on, types

WANTED = {"MESSAGE_CREATE"}


async def mixed(fake: FakeGateway, count: int = 5) -> None:
    """Messages among typing, in turn."""
    for number in range(count):
        await fake.dispatch("TYPING_START", {"n": number})
        await fake.dispatch("MESSAGE_CREATE", {"id": str(number)})
    await wait_all_tasks_blocked()


def seq_of(shard: Shard) -> int:
    assert shard.session is not None
    return shard.session.seq


# -- some types --------------------------------------------------------------------------------------------------------


async def test_a_stream_of_some_types_has_those_and_no_others(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await mixed(fake)
        stream = shard.events(WANTED)
        found = [await anext(stream) for _ in range(5)]
        assert types(found) == ["MESSAGE_CREATE"] * 5
        assert [event.data["id"] for event in found] == ["0", "1", "2", "3", "4"]


async def test_what_came_before_the_first_reader_is_still_there(autojump_clock: MockClock) -> None:
    """R22."""
    async with gateway(guilds=3) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await trio.sleep(600)
        stream = shard.events({"READY", "GUILD_CREATE"})
        assert types([await anext(stream) for _ in range(4)]) == ["READY", *["GUILD_CREATE"] * 3]


async def test_what_is_filtered_out_counts_as_handled_and_takes_no_room(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=4) as shard:
        stream = shard.events(WANTED)
        async with trio.open_nursery() as nursery:

            async def one() -> None:
                assert (await anext(stream)).seq == 3

            nursery.start_soon(one)
            await shard.wait_for("ready")
            await mixed(fake, 1)
        assert seq_of(shard) == 2
        # The consumer is busy with its message; what nobody wants does not hold the reader back.
        for _ in range(100):
            await fake.dispatch("TYPING_START", {})
        await wait_all_tasks_blocked()
        assert (len(shard._mailbox), shard.snapshot().reading_paused, seq_of(shard)) == (0, False, 2)
        with trio.move_on_after(1):
            await anext(stream)
        assert seq_of(shard) == 103


async def test_what_is_filtered_out_is_never_decoded(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []

    def decode(raw: msgspec.Raw) -> Any:
        decoded.append(bytes(raw))
        return msgspec.json.decode(raw)

    monkeypatch.setattr("gatewright.transport.dispatch._decode", decode)
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await mixed(fake, 2)
        stream = shard.events(WANTED)
        for _ in range(2):
            assert (await anext(stream)).data["id"]
        assert decoded == [b'{"id":"0"}', b'{"id":"1"}']


async def test_after_the_loop_over_it_everything_is_kept_again(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        async for event in shard.events({"READY"}):
            assert event.type == "READY"
            break
        gc.collect()  # CPython has let go of the stream already
        await mixed(fake, 1)
        assert types(await collect(shard, 2)) == ["TYPING_START", "MESSAGE_CREATE"]
        assert seq_of(shard) == 2


async def test_a_stream_that_is_closed_lets_others_ask(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        stream = shard.events({"READY"})
        await anext(stream)
        with pytest.raises(ConsumerBusy, match="close"):
            await anext(shard)
        with pytest.raises(ConsumerBusy, match="close"):
            await anext(shard.events(WANTED))
        stream.close()
        stream.close()
        await mixed(fake, 1)
        assert (await anext(shard.events(WANTED))).type == "MESSAGE_CREATE"
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_a_reader_of_everything_that_waits_is_not_robbed(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await collect(shard, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect, shard, 1)
            await wait_all_tasks_blocked()
            with pytest.raises(ConsumerBusy):
                await anext(shard.events(WANTED))
            await fake.dispatch("TYPING_START", {})


@pytest.mark.parametrize("wrong", ["MESSAGE_CREATE", (), {""}, {5}])
async def test_types_that_are_none_are_refused(autojump_clock: MockClock, wrong: Any) -> None:
    async with gateway() as fake:
        with pytest.raises(ConfigurationError, match="event name"):
            shard_on(fake).events(wrong)


async def test_a_stream_ends_with_the_shard_and_raises_why_it_failed(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await mixed(fake, 2)
        await shard.stop()
        assert [event.seq async for event in shard.events(WANTED)] == [3, 5]
        assert [event async for event in shard] == []


# -- several workers ---------------------------------------------------------------------------------------------------


async def test_workers_with_a_stream_each_share_the_queue_and_commit_what_they_handled(
    autojump_clock: MockClock,
) -> None:
    """The slow one holds the committed sequence back, and nothing else."""
    handled: list[int] = []
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await collect(shard, 1)

        async def work(seconds: float) -> None:
            async for event in shard.events(WANTED):
                await trio.sleep(seconds)
                handled.append(event.seq)

        async with trio.open_nursery() as nursery:
            for seconds in (100.0, 1.0, 1.0):
                nursery.start_soon(work, seconds)
            await mixed(fake, 20)
            await trio.sleep(50)
            assert len(handled) == 19
            (missing,) = set(range(3, 42, 2)) - set(handled)
            assert seq_of(shard) == missing - 1
            await trio.sleep(60)
            assert (len(handled), seq_of(shard)) == (20, 41)
            nursery.cancel_scope.cancel()


async def test_two_tasks_on_one_stream_are_told_apart(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await collect(shard, 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect, shard, 1)
            await wait_all_tasks_blocked()
            with pytest.raises(ConsumerBusy, match=r"shard\.events\(\)"):
                await anext(shard)
            await fake.dispatch("TYPING_START", {})


# -- bounds and policies -----------------------------------------------------------------------------------------------


async def test_bytes_are_bounded_as_well_as_events(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=Queue(bytes=10_000)) as shard:
        await collect(shard, 1)
        for _ in range(30):
            await fake.dispatch("MESSAGE_CREATE", {"content": "x" * 1000})
        await wait_all_tasks_blocked()
        assert shard.snapshot().reading_paused
        assert 10_000 <= shard._mailbox.bytes < 11_100
        assert [event.seq for event in await collect(shard, 30)] == list(range(2, 32))
        await wait_all_tasks_blocked()
        assert (shard._mailbox.bytes, shard.snapshot().reading_paused) == (0, False)


@pytest.mark.parametrize("policy", list(QueuePolicy))
async def test_an_event_larger_than_the_bound_comes_through(autojump_clock: MockClock, policy: QueuePolicy) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=Queue(bytes=2000, policy=policy)) as shard:
        await collect(shard, 1)
        await fake.dispatch("MESSAGE_CREATE", {"content": "x" * 9000})
        (event,) = await collect(shard, 1)
        assert (event.size > 9000, shard.dropped, shard.state) == (True, 0, "ready")


async def test_drop_oldest_keeps_the_newest_and_counts(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=Queue(events=3, policy="drop_oldest")) as shard:
        (ready,) = await collect(shard, 1)
        assert ready.seq == 1
        for _ in range(10):
            await fake.dispatch("MESSAGE_CREATE", {})
        await wait_all_tasks_blocked()
        assert (shard.dropped, shard.snapshot().reading_paused) == (7, False)
        assert [event.seq for event in await collect(shard, 3)] == [9, 10, 11]
        assert seq_of(shard) == 10


async def test_what_was_dropped_is_not_committed_past_what_is_being_handled(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=Queue(events=1, policy="drop_oldest")) as shard:
        await collect(shard, 1)
        await fake.dispatch("MESSAGE_CREATE", {})
        await collect(shard, 1)
        for _ in range(4):
            await fake.dispatch("MESSAGE_CREATE", {})
        await wait_all_tasks_blocked()
        assert (shard.dropped, seq_of(shard)) == (3, 1)
        await collect(shard, 1)
        assert seq_of(shard) == 5


async def drained(shard: Shard, seqs: list[int]) -> None:
    """Everything up to the end."""
    async for event in shard:
        seqs.append(event.seq)  # noqa: PERF401  # the loop may raise, and what came before counts


@conforms("P50")
async def test_fail_ends_the_shard_with_its_session_kept(autojump_clock: MockClock) -> None:
    """What was received before comes out first, then the reason; what was not handled can be resumed elsewhere."""
    seqs: list[int] = []
    async with gateway(guilds=0) as fake:
        async with shard_on(fake, queue=Queue(events=3, policy="fail")) as shard:
            await collect(shard, 1)
            for _ in range(10):
                await fake.dispatch("MESSAGE_CREATE", {})
            await shard.wait_for("draining")
            with pytest.raises(ConsumerTooSlow, match="session is kept") as caught:
                await drained(shard, seqs)
            assert seqs == [2, 3, 4, 5]
            assert caught.value.failure.kind == "consumer"
            assert path(shard)[-2:] == ["draining", "failed"]
            assert close_codes(fake) == [4900]
            with pytest.raises(ConsumerTooSlow):
                await anext(shard)
        session = shard.session
        assert session is not None
        async with shard_on(fake, session=session) as other:
            assert [event.seq for event in await collect(other, 7)] == [6, 7, 8, 9, 10, 11, 12]


async def test_a_failure_that_nobody_has_seen_is_raised_when_the_block_is_left(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake:
        shard = shard_on(fake, queue=Queue(events=1, policy="fail"))
        with pytest.raises(ConsumerTooSlow):
            await overflow(fake, shard)
        assert shard.session is not None


async def overflow(fake: FakeGateway, shard: Shard) -> None:
    async with shard:
        await fake.wait_for_identify(1)
        for _ in range(3):
            await fake.dispatch("MESSAGE_CREATE", {})
        await trio.sleep(10)


async def test_an_overflow_says_so_in_the_journal(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=Queue(events=1, policy="fail")) as shard:
        await shard.wait_for("ready")
        for _ in range(3):
            await fake.dispatch("MESSAGE_CREATE", {})
        await shard.wait_for("draining")
        assert shard.snapshot().cause is Cause.QUEUE_OVERFLOWED
        with pytest.raises(ConsumerTooSlow):
            await drained(shard, [])
        (record,) = [record for record in shard.journal if record.event == "queue_overflowed"]
        assert (record.row, record.to) == ("ready.queue_overflowed", State.DRAINING)


@conforms("P13")
async def test_heartbeats_and_resumes_go_on_while_events_are_dropped(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake, queue=Queue(events=2, policy="drop_oldest")) as shard:
        await shard.wait_for("ready")
        for _ in range(3):
            for _ in range(20):
                await fake.dispatch("MESSAGE_CREATE", {})
            await trio.sleep(600)
            assert (shard.state, fake.identifies) == ("ready", 1)
            fake.drop()
            await shard.wait_for("resuming")
            await shard.wait_for("ready")


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Queue(events=0), "events"),
        (lambda: Queue(bytes=0), "bytes"),
        (lambda: Queue(events=True), "events"),
        (lambda: Queue(policy=cast("Any", "forget")), "'drop_oldest'"),
    ],
)
def test_a_queue_that_cannot_work_is_refused(make: Any, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        make()


@pytest.mark.parametrize("wrong", [0, -1, True, "10", None])
async def test_a_bound_that_is_none_is_refused(autojump_clock: MockClock, wrong: Any) -> None:
    async with gateway() as fake:
        with pytest.raises(ConfigurationError, match="queue"):
            shard_on(fake, queue=wrong)


async def test_what_a_loop_over_the_shard_took_last_does_not_hold_a_stream_back(autojump_clock: MockClock) -> None:
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        async for event in shard:
            assert event.type == "READY"
            break
        stream = shard.events(WANTED)
        await mixed(fake, 3)
        for _ in range(3):
            await anext(stream)
        assert seq_of(shard) == 6
