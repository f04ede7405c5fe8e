"""The exhibit shows what it is there to show: each race of the first system, and a good run when nothing is slow."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake import Answer, Delay, FakeGateway, Withhold
from gatewright.harness.fake.metadata import MetadataAnswer
from gatewright.harness.naive import NaiveClient, NaiveGateway, Phase, open_tcp
from gatewright.harness.naive_lifecycle import NaiveLifecycle, StartUpFailed, Waited
from gatewright.harness.naive_races import RACES, Race, play
from tests.harness.client import TOKEN
from tests.support.threads import PATIENCE


def named(race: Race) -> str:
    return f"{race.id}-{race.what[:40]}"


@pytest.mark.parametrize("race", RACES, ids=named)
async def test_the_naive_model_shows_the_symptom(autojump_clock: MockClock, race: Race) -> None:
    async with FakeGateway(listen=False) as fake:
        played = await play(race, fake)
    assert played.shows_symptom
    assert trio.current_time() == race.until


@pytest.mark.parametrize("race", [race for race in RACES if race.id not in {"R12", "R35"}], ids=named)
async def test_no_symptom_shows_where_the_gateway_behaves(autojump_clock: MockClock, race: Race) -> None:
    """The control: the same supervisor with a prompt and healthy server. R12 and R35 need their orders, and fail so."""
    async with FakeGateway(listen=False) as fake:
        healthy = Race(id=race.id, what=race.what, stop_at=race.stop_at, until=race.until, symptom=race.symptom)
        played = await play(healthy, fake)
        assert not played.shows_symptom
        assert fake.log.sent("READY") == 1


async def test_with_prompt_metadata_it_reaches_ready(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False) as fake, trio.open_nursery() as nursery:
        gateway = NaiveGateway(token=TOKEN, nursery=nursery, fetch_metadata=fake.metadata, open_stream=fake.open_stream)
        NaiveClient(gateway)
        lifecycle = NaiveLifecycle(gateway)
        with trio.move_on_after(60):
            await lifecycle.run()
        assert lifecycle.waits == [Waited.READY]
        assert gateway.phase is Phase.READY
        assert (fake.identifies, fake.max_open_connections) == (1, 1)
        assert fake.heartbeats == 1
        nursery.cancel_scope.cancel()


async def test_with_metadata_that_never_come_it_is_stuck_with_an_open_socket(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, metadata_script=[Withhold()]) as fake, trio.open_nursery() as nursery:
        gateway = NaiveGateway(token=TOKEN, nursery=nursery, fetch_metadata=fake.metadata, open_stream=fake.open_stream)
        NaiveClient(gateway)
        with pytest.raises(StartUpFailed):
            await NaiveLifecycle(gateway, ready_timeout=15).run()
        assert trio.current_time() == 30
        await trio.sleep(3600)
        assert gateway.phase is Phase.STUCK
        assert fake.log.sent(op=10) == 1
        assert (fake.identifies, fake.open_connections) == (0, 1)
        assert fake.heartbeats > 80, "it beats for ever, and so nobody closes it"
        nursery.cancel_scope.cancel()


async def test_with_slow_metadata_it_is_stuck_until_they_come_and_heals_through_a_second_socket(
    autojump_clock: MockClock,
) -> None:
    async with FakeGateway(listen=False, metadata_script=[Delay(20)]) as fake, trio.open_nursery() as nursery:
        gateway = NaiveGateway(token=TOKEN, nursery=nursery, fetch_metadata=fake.metadata, open_stream=fake.open_stream)
        NaiveClient(gateway)
        lifecycle = NaiveLifecycle(gateway)
        nursery.start_soon(lifecycle.run)
        phases: list[Phase] = []
        for pause in (19, 2):
            await trio.sleep(pause)
            phases.append(gateway.phase)
        assert phases == [Phase.STUCK, Phase.READY]
        assert (fake.connections, fake.identifies) == (2, 1)
        nursery.cancel_scope.cancel()


async def test_fatal_metadata_are_an_error_that_nobody_hears(autojump_clock: MockClock) -> None:
    async with FakeGateway(listen=False, metadata_script=[Answer(401)]) as fake, trio.open_nursery() as nursery:
        gateway = NaiveGateway(token=TOKEN, nursery=nursery, fetch_metadata=fake.metadata, open_stream=fake.open_stream)
        NaiveClient(gateway)
        with pytest.raises(StartUpFailed):
            await NaiveLifecycle(gateway).run()
        assert gateway.unhandled == ["metadata: HTTP 401"]
        assert fake.identifies == 0
        nursery.cancel_scope.cancel()


@pytest.mark.sockets
async def test_the_same_runs_on_real_sockets() -> None:
    with trio.fail_after(PATIENCE):
        async with FakeGateway() as fake, trio.open_nursery() as nursery:
            answer = trio.Event()

            async def fetch_late() -> MetadataAnswer:
                await answer.wait()
                return await fake.metadata()

            async def supervise() -> None:
                with suppress(StartUpFailed):  # as it says on a busy machine; the socket stays open
                    await NaiveLifecycle(gateway, ready_timeout=0.1).run()

            gateway = NaiveGateway(
                token=TOKEN,
                nursery=nursery,
                fetch_metadata=fetch_late,
                open_stream=open_tcp,
                fallback_url=fake.url,
            )
            NaiveClient(gateway)
            nursery.start_soon(supervise)
            while gateway.phase is not Phase.STUCK:  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.01)
            assert fake.log.sent(op=10) == 1
            answer.set()
            await fake.wait_until(lambda log: log.sent("READY") == 1)
            nursery.cancel_scope.cancel()
