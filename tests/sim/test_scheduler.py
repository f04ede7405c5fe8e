"""The scheduler that runs one task a pass, and whether this trio still lets itself be scheduled."""

import pytest
import trio

from gatewright.harness.sim import scheduler
from gatewright.harness.sim.choices import Choices
from gatewright.harness.sim.scheduler import Scheduler, canary, scheduled


def test_trio_can_still_be_scheduled() -> None:
    # When this fails, trio has changed inside: read gatewright/harness/sim/scheduler.py again beside its _core/_run.py.
    assert scheduler.available()
    assert len(canary()) == 6


async def _walk(steps: list[str]) -> None:
    async def walk(name: str) -> None:
        for _ in range(4):
            steps.append(name)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(walk, name)


def _steps(numbers: tuple[int, ...], seed: int | None = None) -> str:
    steps: list[str] = []
    with scheduled(Scheduler(Choices(numbers, seed))):
        trio.run(_walk, steps)
    return "".join(steps)


def test_without_numbers_tasks_take_turns() -> None:
    assert _steps(()) == "abc" * 4


def test_numbers_and_seeds_bring_an_order_back() -> None:
    orders = {_steps((), seed) for seed in range(20)}
    assert len(orders) > 10
    assert {_steps((), seed) for seed in range(20)} == orders
    assert _steps((0, 1, 2, 1, 2)) == _steps((0, 1, 2, 1, 2)) != _steps(())


def test_every_number_is_written_down() -> None:
    choices = Choices((1,), 7)
    steps: list[str] = []
    with scheduled(Scheduler(choices)):
        trio.run(_walk, steps)
    assert "".join(steps) == _steps(tuple(choices.used))


def test_a_trio_that_has_changed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "available", lambda: False)
    steps: list[str] = []
    with scheduled(Scheduler(Choices((), None))) as _:
        trio.run(_walk, steps)
    assert sorted(steps) == sorted("abc" * 4)


def test_trio_is_itself_again_afterwards() -> None:
    before = scheduler._RUN._r
    with scheduled(Scheduler(Choices((), None))):
        assert scheduler._RUN._r is not before
    assert scheduler._RUN._r is before
