"""The scheduler that runs one task a pass, and whether this trio still lets itself be scheduled."""

import random
from collections.abc import Callable, Iterator

import pytest
import trio

from gatewright.harness.sim import Scenario, cancellations, scheduler, simulate
from gatewright.harness.sim.choices import Choices
from gatewright.harness.sim.scheduler import Scheduler, Scheduling, SchedulingChanged, canary, scheduled, scheduling


def test_trio_can_still_be_scheduled() -> None:
    # When this fails, trio has changed inside: read gatewright/harness/sim/scheduler.py again beside its _core/_run.py.
    assert scheduling() is Scheduling.STEPS
    assert len(canary(Scheduling.STEPS)) == 6
    assert len(canary(Scheduling.BATCHES)) == 4


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


def _without_its_run_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scheduler._NEEDED, Scheduling.STEPS, ("_there_is_no_such_thing",))


def _without_its_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_its_run_queue(monkeypatch)
    monkeypatch.setitem(scheduler._NEEDED, Scheduling.BATCHES, ("_there_is_no_such_thing",))


def _ignoring_its_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names are there, and no longer mean what they meant."""

    def shuffle(self: Scheduler, batch: list[object]) -> None:
        random.shuffle(batch)

    monkeypatch.setattr(Scheduler, "shuffle", shuffle)


Changed = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(params=[_without_its_run_queue, _without_its_chance, _ignoring_its_chance])
def left(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduling]:
    """What is left of scheduling with a trio that has changed."""
    changed: Changed = request.param
    changed(monkeypatch)
    scheduling.cache_clear()
    with pytest.warns(SchedulingChanged, match=r"trio/_core/_run\.py"):
        how = scheduling()
    assert how is (Scheduling.BATCHES if changed is _without_its_run_queue else Scheduling.TRIO)
    yield how
    scheduling.cache_clear()


def test_with_a_trio_that_has_changed_lives_go_on_and_come_back_if_they_can(left: Scheduling) -> None:
    digests = {simulate(Scenario.of(seed)).digest for seed in (3, 11) for _ in range(3)}
    assert len(digests) == 2 if left is Scheduling.BATCHES else len(digests) >= 2


def test_with_a_trio_that_has_changed_a_cancellation_still_comes_at_each_step(left: Scheduling) -> None:
    lives = [tried.life for tried in cancellations(Scenario(), every=5)]
    assert len(lives) > 10
    assert all(life is not None for life in lives)
    assert len({life.steps for life in lives if life is not None}) > 3


def test_trio_is_itself_again_afterwards() -> None:
    before = scheduler._RUN._r
    with scheduled(Scheduler(Choices((), None))):
        assert scheduler._RUN._r is not before
    assert scheduler._RUN._r is before
