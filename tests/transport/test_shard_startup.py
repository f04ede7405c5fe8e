"""Starting: entering the block registers and returns; the shard connects by itself, and nobody else can."""

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.fake import Connection, Drop
from gatewright.spec.events import MetadataError
from gatewright.spec.session import Metadata
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.errors import MetadataRefused, ShardFailed, ShardStopped
from tests.support.conforms import conforms
from tests.support.shards import (
    Answers,
    Late,
    Recording,
    close_codes,
    gateway,
    handshakes,
    path,
    shard_on,
    unavailable,
)

ELSEWHERE = Metadata(url="wss://elsewhere.invalid/")


async def test_entering_the_block_registers_and_returns_at_once(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        began = trio.current_time()
        async with shard_on(fake, registrations=[Recording("slow", [], partial(trio.sleep, 3))]) as shard:
            assert trio.current_time() == began
            assert shard.state is State.REGISTERING


@conforms("P10", "P22", "P31")
async def test_a_shard_becomes_ready_by_itself(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        assert await shard.wait_for("ready") is State.READY
        assert path(shard) == [
            "registering",
            "fetching_metadata",
            "connecting",
            "awaiting_hello",
            "awaiting_identify_slot",
            "identified",
            "ready",
        ]
        assert handshakes(fake) == ["identify"]


async def test_waiting_for_a_state_that_lasts_no_time_ends_as_well(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(hello=Drop()), Connection()]) as fake, shard_on(fake) as shard:
        # The first drop is followed by the next attempt at once.
        assert await shard.wait_for("backing_off") is State.BACKING_OFF


async def test_waiting_for_ready_ends_when_the_shard_is_stopped(autojump_clock: MockClock) -> None:
    async with (
        gateway(script=[Connection(hello=Drop())]) as fake,
        shard_on(fake) as shard,
        trio.open_nursery() as tasks,
    ):

        async def stop_soon() -> None:
            await trio.sleep(1)
            await shard.stop()

        tasks.start_soon(stop_soon)
        with pytest.raises(ShardStopped, match="before it was ready"):
            await shard.wait_for("ready")


async def test_waiting_for_several_states_tells_which_one_came(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        assert await shard.wait_for("failed", "awaiting_hello", "ready") is State.AWAITING_HELLO


async def test_waiting_for_a_state_that_does_not_exist_is_refused(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        with pytest.raises(ValueError, match="rady"):
            await shard.wait_for("rady")


async def test_waiting_for_nothing_is_refused(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        with pytest.raises(ValueError, match="at least one"):
            await shard.wait_for()


# -- connect() has its places ------------------------------------------------------------------------------------------


async def test_connecting_while_it_registers_is_illegal_and_changes_nothing(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with gateway() as fake:
        registration = Recording("one", log, partial(trio.sleep, 1))
        async with shard_on(fake, registrations=[registration]) as shard:
            before = shard.snapshot()
            with pytest.raises(IllegalTransition, match="not possible in 'registering'"):
                shard.connect()
            assert shard.snapshot() == before
            await shard.wait_for("ready")
            assert (handshakes(fake), fake.max_open_connections, log) == (["identify"], 1, ["apply one", "applied one"])


async def test_connecting_while_metadata_are_fetched_is_illegal_and_changes_nothing(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        metadata = Answers(Late(2, Metadata(url=fake.url)))
        async with shard_on(fake, metadata=metadata) as shard:
            await shard.wait_for("fetching_metadata")
            await trio.sleep(1)
            before = shard.snapshot()
            with pytest.raises(IllegalTransition, match="not possible in 'fetching_metadata'"):
                shard.connect()
            assert shard.snapshot() == before
            await shard.wait_for("ready")
            assert (handshakes(fake), fake.connections, metadata.asked) == (["identify"], 1, 1)


async def test_connecting_wakes_a_back_off(autojump_clock: MockClock) -> None:
    async with (
        gateway(script=[Connection(hello=Drop()), Connection(hello=Drop()), Connection()]) as fake,
        shard_on(fake) as shard,
    ):
        await shard.wait_for("backing_off")
        await shard.wait_for("connecting")
        await shard.wait_for("backing_off")  # the second in a row waits
        began = trio.current_time()
        shard.connect()
        assert shard.state is State.CONNECTING
        await shard.wait_for("ready")
        assert trio.current_time() == began


async def test_connecting_leaves_suspended(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await shard.suspend()
        shard.connect()
        await shard.wait_for("ready")
        assert (handshakes(fake), close_codes(fake)) == (["identify", "resume"], [4900])


# -- metadata, through the seam ----------------------------------------------------------------------------------------


@conforms("P02")
async def test_metadata_that_never_come_leave_the_fallback_and_one_identify(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        metadata = Answers(Late(None))
        began = trio.current_time()
        async with shard_on(fake, metadata=metadata) as shard:
            await shard.wait_for("ready")
            assert trio.current_time() - began == Settings().metadata_timeout
            assert (handshakes(fake), metadata.cancelled) == (["identify"], 1)


async def test_metadata_that_come_too_late_move_nothing(autojump_clock: MockClock) -> None:
    """They are not waited for any more, and nobody connects a second time when they would have come."""
    async with gateway() as fake, shard_on(fake, metadata=Answers(Late(30, ELSEWHERE))) as shard:
        await shard.wait_for("ready")
        await trio.sleep(60)
        assert (shard.state, handshakes(fake), fake.connections) == (State.READY, ["identify"], 1)


@pytest.mark.parametrize("error", [MetadataError.TRANSIENT, MetadataError.MALFORMED])
async def test_a_request_that_fails_once_is_made_again(autojump_clock: MockClock, error: MetadataError) -> None:
    async with gateway() as fake:
        metadata = Answers(unavailable(error), Metadata(url=fake.url))
        async with shard_on(fake, metadata=metadata) as shard:
            await shard.wait_for("ready")
            assert (handshakes(fake), metadata.asked) == (["identify"], 2)


@conforms("P08")
async def test_a_request_is_not_made_again_before_the_server_allows_it(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        metadata = Answers(unavailable(MetadataError.TRANSIENT, retry_after=3.0), Metadata(url=fake.url))
        began = trio.current_time()
        async with shard_on(fake, metadata=metadata) as shard:
            await shard.wait_for("connecting")
            assert trio.current_time() - began == 3.0


async def test_an_end_point_that_always_fails_leaves_the_fallback_and_one_identify(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        metadata = Answers(unavailable(MetadataError.TRANSIENT))
        async with shard_on(fake, metadata=metadata) as shard:
            await shard.wait_for("ready")
            assert handshakes(fake) == ["identify"]
            assert 3 < metadata.asked < 10


@conforms("P08")
async def test_a_refused_token_fails_the_shard_before_anything_connects(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        with pytest.raises(MetadataRefused, match="DISCORD_TOKEN"):
            async with shard_on(fake, metadata=Answers(unavailable(MetadataError.FATAL))) as shard:
                await shard.wait_for("ready")
        assert fake.connections == 0


@pytest.mark.parametrize("url", ["ws://gateway.example/", "https://gateway.example/", "::", "", "wss://a b/"])
async def test_a_url_that_cannot_be_used_is_no_answer(autojump_clock: MockClock, url: str) -> None:
    async with gateway() as fake:
        metadata = Answers(Metadata(url=url), Metadata(url=fake.url))
        async with shard_on(fake, metadata=metadata) as shard:
            await shard.wait_for("ready")
            assert (handshakes(fake), metadata.asked) == (["identify"], 2)


async def test_a_shard_that_failed_says_so_to_everybody_who_asks(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake, metadata=Answers(unavailable(MetadataError.FATAL))) as shard:
        for _ in range(2):
            with pytest.raises(MetadataRefused):
                await shard.wait_for("ready")
        with pytest.raises(ShardFailed):
            await anext(shard)
        assert await shard.wait_for("failed") is State.FAILED
