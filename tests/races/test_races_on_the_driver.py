"""The races of the first system, on the real driver: none of them shows, and on the naive model each of them does.

A race with a script (:mod:`gatewright.harness.naive_races`) is played by both against the same fake gateway, and the
same predicate over the gateway's log tells whether it happened. The others are told one by one, with what the naive
model does beside them wherever it has the part that breaks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import attrs
import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.fake import (
    Amend,
    Answer,
    Close,
    Connection,
    Delay,
    Drop,
    FakeGateway,
    Opened,
    Raw,
    Withhold,
)
from gatewright.harness.fake import Dispatch as Dispatched
from gatewright.harness.naive import NaiveClient, NaiveGateway, Phase
from gatewright.harness.naive_lifecycle import HelloWatch
from gatewright.harness.naive_races import RACES, Course, Race, play
from gatewright.spec.events import MetadataError
from gatewright.spec.session import Metadata
from gatewright.spec.states import State
from gatewright.transport.errors import MetadataRefused
from gatewright.transport.seams import MetadataUnavailable
from tests.support.conforms import conforms
from tests.support.shards import TOKEN, Answers, Late, Recording, Streams, collect, gateway, handshakes, shard_on, types
from tests.support.stages import stage


class Asking:
    """Asks the fake for metadata, under its script."""

    def __init__(self, fake: FakeGateway) -> None:
        self._fake = fake

    async def fetch(self) -> Metadata:
        answer = await self._fake.metadata()
        if answer.status != 200:
            error = MetadataError.FATAL if answer.status in {401, 403} else MetadataError.TRANSIENT
            raise MetadataUnavailable(error, f"HTTP {answer.status}")
        return Metadata(url=msgspec.json.decode(answer.body, type=dict[str, object])["url"])  # type: ignore[arg-type]


async def play_with_the_engine(race: Race, fake: FakeGateway) -> bool:
    """Plays `race`, and tells whether its symptom shows: before the block is left, or after."""
    fake.script, fake.metadata_script = race.script, race.metadata_script
    course = Course(began=trio.current_time())
    async with shard_on(fake, metadata=Asking(fake)) as shard:
        if race.force_at is not None:
            await trio.sleep_until(course.began + race.force_at)
            shard.force_identify()
            course = attrs.evolve(course, forced=trio.current_time())
        if race.stop_at is not None:
            await trio.sleep_until(course.began + race.stop_at)
            await shard.stop()
            course = attrs.evolve(course, stopped=trio.current_time())
        await trio.sleep_until(course.began + race.until)
        shown = race.symptom(fake.log, course)
        left = trio.current_time() if course.stopped is None else course.stopped
    await wait_all_tasks_blocked()
    return shown or race.symptom(fake.log, attrs.evolve(course, stopped=left, ended=trio.current_time()))


@pytest.mark.parametrize("race", RACES, ids=lambda race: f"{race.id}-{race.what[:30]}")
async def test_the_symptom_does_not_show(autojump_clock: MockClock, race: Race) -> None:
    async with gateway() as fake:
        assert not await play_with_the_engine(race, fake)
        assert fake.max_open_connections <= 1


@pytest.mark.parametrize("race", RACES, ids=lambda race: f"{race.id}-{race.what[:30]}")
async def test_with_the_naive_ordering_it_does(autojump_clock: MockClock, race: Race) -> None:
    async with gateway() as fake:
        assert (await play(race, fake)).shows_symptom


def test_these_races_have_a_script() -> None:
    assert {race.id for race in RACES} >= {"R01", "R03", "R04", "R05", "R11", "R12", "R13", "R18", "R31", "R32", "R35"}


@asynccontextmanager
async def naive(fake: FakeGateway) -> AsyncGenerator[NaiveGateway]:
    """The naive model in front of `fake`, registered."""
    async with trio.open_nursery() as nursery:
        model = NaiveGateway(
            token=TOKEN,
            nursery=nursery,
            fetch_metadata=fake.metadata,
            open_stream=fake.open_stream,
            fallback_url=fake.url,
        )
        NaiveClient(model)
        yield model
        nursery.cancel_scope.cancel()


# R01, S79 -------------------------------------------------------------------------------------------------------------


async def test_r01_connecting_early_raises_and_the_shard_becomes_ready_all_the_same(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        async with shard_on(fake, metadata=Answers(Late(5, Metadata(url=fake.url)))) as shard:
            await trio.sleep(2)
            with pytest.raises(IllegalTransition):
                shard.connect()
            await shard.wait_for("ready")
        assert (handshakes(fake), fake.connections) == (["identify"], 1)


async def test_r01_the_naive_model_sends_nothing_and_says_nothing(autojump_clock: MockClock) -> None:
    async with gateway(metadata_script=[Withhold()]) as fake, naive(fake) as model:
        await trio.sleep(2)
        model.connect(resume=False)
        await trio.sleep(3600)
        assert (model.phase, handshakes(fake)) == (Phase.STUCK, [])


async def test_r02_the_effects_of_registering_are_in_place_whoever_is_early(autojump_clock: MockClock) -> None:
    log: list[str] = []
    script = [Connection(after_ready=Dispatched("INTERACTION_CREATE", {"id": "1"}))]
    async with (
        gateway(guilds=0, script=script) as fake,
        shard_on(fake, registrations=[Recording("listener", log, partial(trio.sleep, 2))]) as shard,
    ):
        with pytest.raises(IllegalTransition):
            shard.connect()
        assert types(await collect(shard, 2)) == ["READY", "INTERACTION_CREATE"]
        assert log == ["apply listener", "applied listener"]


# R06, R07 -------------------------------------------------------------------------------------------------------------


async def test_r06_a_failure_reaches_whoever_waits_and_nobody_else(autojump_clock: MockClock) -> None:
    async with gateway(metadata_script=[Answer(401)]) as fake, shard_on(fake, metadata=Asking(fake)) as shard:
        with pytest.raises(MetadataRefused):
            await shard.wait_for("ready")
        await trio.sleep(3600)
        assert (shard.state, fake.connections) == (State.FAILED, 0)


async def test_r06_in_the_naive_model_nobody_hears_of_it(autojump_clock: MockClock) -> None:
    async with gateway(metadata_script=[Answer(401)]) as fake, naive(fake) as model:
        await trio.sleep(3600)
        assert (model.unhandled, model.phase) == (["metadata: HTTP 401"], Phase.WITHOUT_SOCKET)


async def test_r06_an_error_on_a_socket_that_is_being_left_harms_nobody(autojump_clock: MockClock) -> None:
    async with (
        gateway(script=[Connection(on_close=(Raw(b"\xff\xff\xff"), Drop()))]) as fake,
        shard_on(fake) as shard,
    ):
        await shard.wait_for("ready")
        await shard.stop()
        assert shard.state is State.STOPPED


async def test_r07_no_watch_depends_on_what_a_log_says(autojump_clock: MockClock) -> None:
    logging.disable(logging.CRITICAL)
    try:
        async with gateway(script=[Connection(hello=Withhold()), Connection()]) as fake, shard_on(fake) as shard:
            await shard.wait_for("ready")
            assert fake.connections == 2
    finally:
        logging.disable(logging.NOTSET)


class Reworded(NaiveGateway):
    """The naive model after somebody has improved the texts."""

    def _say(self, text: str) -> None:
        super()._say(text.replace("WebSocket connection", "Gateway link"))


async def test_r07_a_reworded_line_blinds_the_naive_model(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(hello=Withhold()), Connection()]) as fake, trio.open_nursery() as nursery:
        model = Reworded(token=TOKEN, nursery=nursery, fetch_metadata=fake.metadata, open_stream=fake.open_stream)
        HelloWatch(model)
        NaiveClient(model)
        await trio.sleep(3600)
        assert (model.phase, fake.connections) == (Phase.AWAITING_HELLO, 1)
        nursery.cancel_scope.cancel()


# R14, R16 -------------------------------------------------------------------------------------------------------------


async def test_r14_no_heartbeat_outlives_its_connection(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await shard.suspend()
        beats = fake.heartbeats
        await trio.sleep(3600)
        assert (fake.heartbeats, shard.snapshot().deadline_in) == (beats, None)


async def test_r16_reconnecting_leaves_no_task_behind(autojump_clock: MockClock) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        counts: set[int] = set()
        for _ in range(20):
            await shard.wait_for("ready")
            await wait_all_tasks_blocked()
            counts.add(trio.lowlevel.current_statistics().tasks_living)
            shard.reconnect()
            await shard.wait_for("resuming")
        assert len(counts) == 1


# R17, R19, R20 --------------------------------------------------------------------------------------------------------


async def test_r17_a_shard_that_was_told_to_move_is_not_connected(autojump_clock: MockClock) -> None:
    async with (
        gateway(script=[Connection(on_close=Withhold()), Connection(accept=Withhold())]) as fake,
        shard_on(fake) as shard,
    ):
        await shard.wait_for("ready")
        assert shard.snapshot().connected
        fake.reconnect()
        await shard.wait_for("connecting")
        assert not shard.snapshot().connected


async def test_r17_the_naive_model_says_connected_for_ever(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(on_close=Withhold())]) as fake, naive(fake) as model:
        await fake.wait_until(lambda log: log.sent("READY") == 1)
        fake.reconnect()
        await trio.sleep(3600)
        assert model.is_connected


@pytest.mark.parametrize("missing", ["guilds", "user", "resume_gateway_url", "application"])
async def test_r19_a_ready_without_a_field_is_still_ready(autojump_clock: MockClock, missing: str) -> None:
    async with gateway(script=[Connection(ready=Amend(without=(missing,)))]) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        assert handshakes(fake) == ["identify"]


async def test_r19_a_ready_without_a_session_ends_the_connection_and_not_the_process(autojump_clock: MockClock) -> None:
    script = [Connection(ready=Amend(without=("session_id",))), Connection()]
    async with gateway(script=script) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        assert handshakes(fake) == ["identify", "identify"]


async def test_r19_the_naive_model_takes_the_process_with_it(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(ready=Amend(without=("resume_gateway_url",)))]) as fake:
        with pytest.RaisesGroup(KeyError, flatten_subgroups=True):
            async with naive(fake):
                await trio.sleep(60)


@pytest.mark.parametrize("url", ["", "::", "wss://", "javascript:alert(1)"])
@conforms("P35")
async def test_r20_a_bad_resume_url_resumes_at_the_main_one(autojump_clock: MockClock, url: str) -> None:
    script = [Connection(ready=Amend({"resume_gateway_url": url}), after_ready=Delay(1)), Connection()]
    async with gateway(script=script) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.drop()
        await shard.wait_for("resuming")
        await shard.wait_for("ready")
        assert {opened.host for opened in fake.log.of(Opened)} == {"gateway.invalid"}


# R21, R22 -------------------------------------------------------------------------------------------------------------


async def test_r21_a_step_of_the_wall_clock_moves_no_deadline(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway() as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        for step in (6 * 60, -3600, 1e6):
            wall = time.time() + step
            monkeypatch.setattr(time, "time", lambda wall=wall: wall)
            await trio.sleep(200)
        assert (shard.state, fake.connections) == (State.READY, 1)


async def test_r22_what_comes_before_anybody_listens_is_kept(autojump_clock: MockClock) -> None:
    script = [Connection(after_ready=[Dispatched("MESSAGE_CREATE", {"id": str(number)}) for number in range(5)])]
    async with gateway(guilds=0, script=script) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await trio.sleep(600)
        assert [dispatch.seq for dispatch in await collect(shard, 6)] == [1, 2, 3, 4, 5, 6]


# R24, R25, R29 --------------------------------------------------------------------------------------------------------


async def test_r24_a_stronger_reason_that_comes_later_counts(autojump_clock: MockClock) -> None:
    """Opcode 7 keeps the session, and then 4009 takes it, before our own close frame could leave."""
    async with gateway() as fake:
        streams = Streams(fake)
        async with shard_on(fake, opener=streams) as shard:
            await shard.wait_for("ready")
            streams.block()
            fake.request_heartbeat()
            await wait_all_tasks_blocked()
            fake.reconnect()
            fake.close(4009)
            await wait_all_tasks_blocked()
            streams.unblock()
            await shard.wait_for("identified")
            await shard.wait_for("ready")
            assert handshakes(fake) == ["identify", "identify"]


async def test_r25_an_impatient_user_does_not_defeat_the_back_off(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(hello=Drop())]) as fake, shard_on(fake) as shard:
        for attempt in range(1, 12):
            await shard.wait_for("backing_off")
            assert shard.snapshot().attempts == attempt
            shard.connect()
        await shard.wait_for("backing_off")
        began = trio.current_time()
        await shard.wait_for("connecting")
        assert trio.current_time() - began > 25


async def test_r25_in_the_naive_model_forcing_defeats_it(autojump_clock: MockClock) -> None:
    async with gateway(script=[Connection(hello=Close(4000))]) as fake, naive(fake) as model:
        for _ in range(10):
            await trio.sleep(5)
            model.disconnect()
            model.connect(resume=False)
            assert model._attempts == 0


@pytest.mark.parametrize("end", [Drop(), Close(4000), Close(4004), Raw(b"\xff\xff")])
async def test_r29_stopping_is_a_state_and_no_error_ends_in_it(autojump_clock: MockClock, end: Close) -> None:
    async with gateway(script=[Connection(on_close=end)]) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shard.stop)
            fake.drop()
        await trio.sleep(600)
        assert (shard.state, fake.connections) == (State.STOPPED, 1)


# R33, R34 -------------------------------------------------------------------------------------------------------------


async def test_r33_metadata_that_were_missed_are_asked_for_again(autojump_clock: MockClock) -> None:
    """The fallback serves for one connection; the next fresh one goes where the metadata say."""
    async with gateway() as fake:
        metadata = Answers(Late(None), Metadata(url="wss://real.invalid/"))
        async with shard_on(fake, metadata=metadata) as shard:
            await shard.wait_for("ready")
            fake.invalidate()
            await shard.wait_for("fetching_metadata")
            await shard.wait_for("ready")
            assert [opened.host for opened in fake.log.of(Opened)] == ["gateway.discord.gg", "real.invalid"]


@pytest.mark.parametrize("state", [State.CONNECTING, State.STALLED, State.DRAINING])
async def test_r34_while_a_socket_is_there_no_second_is_opened(autojump_clock: MockClock, state: State) -> None:
    async with stage(state) as at:
        await wait_all_tasks_blocked()
        opened = at.streams.opened
        with pytest.raises(IllegalTransition):
            at.shard.connect()
        await wait_all_tasks_blocked()
        assert (at.streams.opened, at.streams.most_open) == (opened, 1)
