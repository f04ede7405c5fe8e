"""Registrations of one client: applied once, whoever asks, and undone in reverse when nobody holds them."""

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from gatewright.transport.registrar import Registrar
from tests.support.shards import Recording


async def refuse() -> None:
    raise RuntimeError("no")


async def test_they_are_applied_in_order_and_undone_in_reverse(autojump_clock: MockClock) -> None:
    log: list[str] = []
    registrar = Registrar([Recording("a", log), Recording("b", log)])
    await registrar.apply("client", holder=1)
    await registrar.undo("client", holder=1)
    assert log == ["apply a", "applied a", "apply b", "applied b", "undo b", "undo a"]


async def test_the_client_is_handed_over(autojump_clock: MockClock) -> None:
    seen: list[object] = []

    class Seeing:
        async def apply(self, client: object) -> None:
            seen.append(client)

        async def undo(self, client: object) -> None:
            seen.append(client)

    client = object()
    registrar = Registrar([Seeing()])
    await registrar.apply(client, holder=1)
    await registrar.undo(client, holder=1)
    assert seen == [client, client]


async def test_many_holders_share_one_application(autojump_clock: MockClock) -> None:
    log: list[str] = []
    registrar = Registrar([Recording("a", log, partial(trio.sleep, 1))])
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(lambda holder: registrar.apply("client", holder=holder), number)
    assert log == ["apply a", "applied a"]


async def test_nothing_is_undone_while_somebody_holds_them(autojump_clock: MockClock) -> None:
    log: list[str] = []
    registrar = Registrar([Recording("a", log)])
    for holder in (1, 2):
        await registrar.apply("client", holder=holder)
    await registrar.undo("client", holder=1)
    assert (registrar.applied, log) == (True, ["apply a", "applied a"])
    await registrar.undo("client", holder=2)
    assert (registrar.applied, log[2:]) == (False, ["undo a"])


async def test_undoing_twice_undoes_once(autojump_clock: MockClock) -> None:
    log: list[str] = []
    registrar = Registrar([Recording("a", log)])
    await registrar.apply("client", holder=1)
    await registrar.undo("client", holder=1)
    await registrar.undo("client", holder=1)
    assert log.count("undo a") == 1


async def test_the_next_in_line_takes_over_from_a_clean_slate(autojump_clock: MockClock) -> None:
    """The first was cancelled half-way, and the second is faster than the first one's undo."""
    log: list[str] = []
    waits = iter([trio.sleep_forever])

    async def wait_once() -> None:
        await next(waits, trio.lowlevel.checkpoint)()

    registrar = Registrar([Recording("a", log), Recording("b", log, wait_once)])
    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def apply_and_be_cancelled() -> None:
            with first:
                await registrar.apply("client", holder=1)

        nursery.start_soon(apply_and_be_cancelled)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lambda: registrar.apply("client", holder=2))
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
    await registrar.undo("client", holder=1)
    assert log == [
        *("apply a", "applied a", "apply b"),
        *("undo b", "undo a"),
        *("apply a", "applied a", "apply b", "applied b"),
    ]


async def test_without_a_clean_slate_nothing_is_applied(autojump_clock: MockClock) -> None:
    log: list[str] = []
    registrar = Registrar([Recording("a", log, during_undo=refuse), Recording("b", log, refuse)])
    with pytest.raises(RuntimeError):
        await registrar.apply("client", holder=1)
    with pytest.raises(ExceptionGroup, match="undoing"):
        await registrar.apply("client", holder=2)
    assert not registrar.applied


async def test_every_step_of_undoing_runs_and_the_errors_are_grouped(autojump_clock: MockClock) -> None:
    log: list[str] = []
    steps = [Recording("a", log, during_undo=refuse), Recording("b", log), Recording("c", log, during_undo=refuse)]
    registrar = Registrar(steps)
    await registrar.apply("client", holder=1)
    with pytest.raises(ExceptionGroup) as caught:
        await registrar.undo("client", holder=1)
    assert [type(error) for error in caught.value.exceptions] == [RuntimeError, RuntimeError]
    assert log[-3:] == ["undo c", "undo b", "undo a"]


async def test_a_step_that_hangs_is_cut_off_and_the_others_still_run(autojump_clock: MockClock) -> None:
    log: list[str] = []
    registrar = Registrar([Recording("a", log), Recording("b", log, during_undo=trio.sleep_forever)])
    await registrar.apply("client", holder=1)
    began = trio.current_time()
    with pytest.raises(ExceptionGroup) as caught:
        await registrar.undo("client", holder=1, within=4)
    assert trio.current_time() - began == 4
    assert isinstance(caught.value.exceptions[0], trio.TooSlowError)
    assert log[-2:] == ["undo b", "undo a"]


async def test_undoing_does_not_wait_for_ever_behind_another_shard(autojump_clock: MockClock) -> None:
    registrar = Registrar([Recording("a", [], trio.sleep_forever)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: registrar.apply("client", holder=1))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ExceptionGroup) as caught:
            await registrar.undo("client", holder=2, within=4)
        assert isinstance(caught.value.exceptions[0], trio.TooSlowError)
        nursery.cancel_scope.cancel()


async def test_a_failure_leaves_what_was_begun_to_be_undone(autojump_clock: MockClock) -> None:
    log: list[str] = []
    registrar = Registrar([Recording("a", log), Recording("b", log, refuse), Recording("c", log)])
    with pytest.raises(RuntimeError):
        await registrar.apply("client", holder=1)
    await registrar.undo("client", holder=1)
    assert log == ["apply a", "applied a", "apply b", "undo b", "undo a"]
