"""Registration effects under a shard: in place before anything connects, once, and taken down on every way out."""

import contextlib
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from gatewright.harness.fake import Connection, FakeGateway
from gatewright.harness.fake import Dispatch as Dispatched
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.transport.errors import RegistrationError
from gatewright.transport.registrar import Registrar
from gatewright.transport.shard import Shard
from tests.support.shards import Recording, collect, gateway, handshakes, shard_on

APPLIED = ["apply a", "applied a", "apply b", "applied b"]
UNDONE = ["undo b", "undo a"]


async def refuse() -> None:
    raise LookupError("no such listener")


async def test_ready_implies_that_they_were_applied_once(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with gateway() as fake, shard_on(fake, registrations=[Recording("a", log), Recording("b", log)]) as shard:
        await shard.wait_for("ready")
        assert log == APPLIED
        fake.drop()
        await shard.wait_for("resuming")
        await shard.wait_for("ready")
        assert log == APPLIED


async def test_they_are_undone_in_reverse_when_the_block_is_left(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with gateway() as fake:
        async with shard_on(fake, registrations=[Recording("a", log), Recording("b", log)]) as shard:
            await shard.wait_for("ready")
        assert log == [*APPLIED, *UNDONE]


async def test_nothing_connects_while_one_is_being_applied(autojump_clock: MockClock) -> None:
    async with (
        gateway() as fake,
        shard_on(fake, registrations=[Recording("a", [], partial(trio.sleep, 3))]) as shard,
    ):
        await trio.sleep(2.9)
        assert (shard.state, fake.connections) == (State.REGISTERING, 0)
        await shard.wait_for("ready")


async def test_one_that_hangs_is_given_up_and_all_are_undone(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with gateway() as fake:
        began = trio.current_time()
        with pytest.raises(RegistrationError, match=r"took longer than 4 s") as caught:
            async with shard_on(
                fake, registrations=[Recording("a", log), Recording("b", log, trio.sleep_forever), Recording("c", log)]
            ) as shard:
                await shard.wait_for("ready")
        assert trio.current_time() - began == Settings().registering_timeout
        assert caught.value.__cause__ is None
        assert log == ["apply a", "applied a", "apply b", "undo b", "undo a"]
        assert fake.connections == 0


async def in_any_case() -> None:
    """Takes no notice of being cancelled."""
    with trio.CancelScope(shield=True):
        await trio.sleep(6)


@pytest.mark.parametrize(("undo_timeout", "state"), [(10.0, State.DRAINING), (1.0, State.SUSPENDED)])
async def test_the_end_of_one_that_was_given_up_is_written_down_and_not_acted_on(
    autojump_clock: MockClock, undo_timeout: float, state: State
) -> None:
    log: list[str] = []
    settings = Settings(undo_timeout=undo_timeout, registering_timeout=30.0)
    async with gateway() as fake:
        shard = shard_on(fake, registrations=[Recording("a", log, in_any_case)], settings=settings)
        with contextlib.suppress(ExceptionGroup):  # undoing is told when it took too long
            async with shard:
                await trio.sleep(1)
                await shard.suspend()
                await trio.sleep(10)
        (late,) = [record for record in shard.journal if record.event == "registered"]
        assert (late.row, late.to, shard.counts[late.row]) == (f"{state}.registered", state, 1)
        assert log == ["apply a", "applied a", "undo a"]
        assert fake.connections == 0


async def test_the_end_of_one_that_was_given_up_is_not_taken_for_that_of_the_next(autojump_clock: MockClock) -> None:
    """Nothing in the event would tell them apart: the one that failed is told when the block is left."""
    log: list[str] = []
    tries = iter([True, False])

    async def fail_once() -> None:
        if next(tries):
            await in_any_case()
            await refuse()

    settings = Settings(undo_timeout=1.0, registering_timeout=30.0)
    async with gateway() as fake:
        shard = shard_on(fake, registrations=[Recording("a", log, fail_once)], settings=settings)

        async def come_back() -> None:
            async with shard:
                await trio.sleep(1)
                await shard.suspend()
                shard.connect()
                await shard.wait_for("ready")

        with pytest.raises(ExceptionGroup) as caught:
            await come_back()
        ends = [record.row for record in shard.journal if record.event in {"registered", "registration_failed"}]
        assert ends == ["registering.registered.fresh"]
        assert caught.group_contains(LookupError)
        assert log == ["apply a", "undo a", "apply a", "applied a", "undo a"]


async def test_one_that_fails_fails_the_shard_and_keeps_its_cause(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with gateway() as fake:
        with pytest.raises(RegistrationError, match="LookupError") as caught:
            async with shard_on(fake, registrations=[Recording("a", log), Recording("b", log, refuse)]) as shard:
                await shard.wait_for("ready")
        assert isinstance(caught.value.__cause__, LookupError)
        assert log == ["apply a", "applied a", "apply b", "undo b", "undo a"]
        assert fake.connections == 0


async def test_stopping_during_one_undoes_what_was_begun(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with gateway() as fake:
        registrations = [Recording("a", log), Recording("b", log, trio.sleep_forever)]
        async with shard_on(fake, registrations=registrations) as shard:
            await trio.sleep(1)
            await shard.stop()
            assert (shard.state, trio.current_time()) == (State.STOPPED, 1)
            assert log == ["apply a", "applied a", "apply b", "undo b", "undo a"]
        assert (log.count("undo a"), fake.connections) == (1, 0)


async def test_suspending_during_one_undoes_it_and_coming_back_applies_anew(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with gateway() as fake:
        registrations = [Recording("a", log), Recording("b", log, partial(trio.sleep, 2))]
        async with shard_on(fake, registrations=registrations) as shard:
            await trio.sleep(1)
            assert await shard.suspend() is None
            assert log == ["apply a", "applied a", "apply b", "undo b", "undo a"]
            shard.connect()
            await shard.wait_for("ready")
            assert log[5:] == APPLIED
            assert handshakes(fake) == ["identify"]


async def test_one_that_ends_although_it_was_cancelled_moves_nothing(autojump_clock: MockClock) -> None:
    """Its shard has stopped long before."""

    async def deaf() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(20)

    async with gateway() as fake:
        shard = shard_on(fake, registrations=[Recording("a", [], deaf)])
        with pytest.RaisesGroup(trio.TooSlowError):
            async with shard:
                await trio.sleep(1)
                await shard.stop()
                assert trio.current_time() == 1 + Settings().undo_timeout
                await trio.sleep(60)
        assert (shard.state, fake.connections) == (State.STOPPED, 0)


async def test_an_error_of_undoing_surfaces_when_the_block_is_left(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with gateway() as fake:
        registrations = [Recording("a", log, during_undo=refuse), Recording("b", log, during_undo=refuse)]
        with pytest.raises(ExceptionGroup, match="undoing") as caught:
            async with shard_on(fake, registrations=registrations) as shard:
                await shard.wait_for("ready")
        assert [type(error) for error in caught.value.exceptions] == [LookupError, LookupError]
        assert log[-2:] == UNDONE


async def test_a_failure_and_what_undoing_it_raised_come_out_together(autojump_clock: MockClock) -> None:
    async with gateway() as fake:
        registrations = [Recording("a", [], during_undo=refuse), Recording("b", [], refuse)]
        with pytest.raises(ExceptionGroup) as caught:
            async with shard_on(fake, registrations=registrations):
                await trio.sleep(10)
        first, second = caught.value.exceptions
        assert isinstance(first, RegistrationError)
        assert isinstance(second, ExceptionGroup)


async def test_an_undo_that_hangs_holds_the_block_for_its_bound_only(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with gateway() as fake:
        registrations = [Recording("a", log), Recording("b", log, during_undo=trio.sleep_forever)]
        with pytest.raises(ExceptionGroup, match="undoing"):
            async with shard_on(fake, registrations=registrations) as shard:
                await shard.wait_for("ready")
        assert trio.current_time() == Settings().undo_timeout  # all else takes no time
        assert log[-2:] == UNDONE


async def test_two_shards_of_one_client_apply_once(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with gateway() as fake:
        registrar = Registrar([Recording("a", log, partial(trio.sleep, 1)), Recording("b", log)])
        async with two_shards(fake, registrar, 0) as one, two_shards(fake, registrar, 1) as two:
            await one.wait_for("ready")
            await two.wait_for("ready")
            assert log == APPLIED
        assert log == [*APPLIED, *UNDONE]


async def test_the_second_shard_takes_over_when_the_first_is_stopped_meanwhile(autojump_clock: MockClock) -> None:
    log: list[str] = []
    async with gateway() as fake:
        registrar = Registrar([Recording("a", log), Recording("b", log, partial(trio.sleep, 2))])
        async with two_shards(fake, registrar, 0) as one:
            await trio.sleep(0.5)
            async with two_shards(fake, registrar, 1) as two:
                await trio.sleep(0.5)
                await one.stop()
                await two.wait_for("ready")
                assert log == ["apply a", "applied a", "apply b", *UNDONE, *APPLIED]
                assert one.state is State.STOPPED


def two_shards(fake: FakeGateway, registrar: Registrar, shard_id: int) -> Shard:
    return shard_on(fake, registrations=registrar, shard_id=shard_id, shard_count=2)


async def test_the_race_path_handles_one_of_one_interactions(autojump_clock: MockClock) -> None:
    """The listener is there before anything connects, so the very first dispatch finds it (R02, R22, F03)."""
    handled: list[str] = []
    listeners: list[list[str]] = []

    async def listen() -> None:
        await trio.sleep(1)
        listeners.append(handled)

    script = [Connection(after_ready=Dispatched("INTERACTION_CREATE", {"id": "1"}))]
    async with (
        gateway(guilds=0, script=script) as fake,
        shard_on(fake, registrations=[Recording("listener", [], listen)]) as shard,
    ):
        for dispatch in await collect(shard, 2):
            for listener in listeners:
                listener.append(dispatch.type)
    assert handled == ["READY", "INTERACTION_CREATE"]
