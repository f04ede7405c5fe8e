"""What takes no memory while nobody waits: it behaves as trio's does, and keeps nothing of trio's afterwards."""

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from gatewright.transport.waiting import Latch, Lot


async def _wait(something: Latch | Lot, woken: list[int], number: int) -> None:
    await (something.wait() if isinstance(something, Latch) else something.park())
    woken.append(number)


async def test_a_latch_wakes_all_who_wait_and_nobody_waits_for_it_again(autojump_clock: MockClock) -> None:
    latch, woken = Latch(), list[int]()
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(_wait, latch, woken, number)
        await wait_all_tasks_blocked()
        assert (woken, latch.is_set()) == ([], False)
        latch.set()
        assert latch.is_set()
        latch.set()
        await wait_all_tasks_blocked()
    assert sorted(woken) == [0, 1, 2]
    with assert_checkpoints():
        await latch.wait()


async def test_a_lot_wakes_those_who_are_in_it_and_nobody_else(autojump_clock: MockClock) -> None:
    lot, woken = Lot(), list[int]()
    lot.unpark_all()  # nobody is there
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(_wait, lot, woken, number)
        await wait_all_tasks_blocked()
        assert woken == []
        lot.unpark_all()
        nursery.start_soon(_wait, lot, woken, 3)
        await wait_all_tasks_blocked()
        assert sorted(woken) == [0, 1, 2]
        lot.unpark_all()
    assert sorted(woken) == [0, 1, 2, 3]


@pytest.mark.parametrize("something", [Latch(), Lot()], ids=["latch", "lot"])
async def test_one_who_is_cancelled_takes_nobody_along_and_the_last_leaves_nothing(
    something: Latch | Lot, autojump_clock: MockClock
) -> None:
    def kept() -> list[object]:
        values: list[object] = [getattr(something, name) for name in type(something).__slots__]
        return [value for value in values if value is not None and value is not False]

    woken: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_wait, something, woken, 0)
        with trio.move_on_after(1) as patience:
            await _wait(something, woken, 1)
        assert patience.cancelled_caught
        assert kept()
        nursery.cancel_scope.cancel()
    assert (woken, kept()) == ([], [])
