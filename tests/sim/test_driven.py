"""Lives that the explored environment drives: after each action the driver stands where the exploration says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gatewright.harness.explore.gateway import QUICK
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.ways import Ways
from gatewright.harness.sim import driven_report
from gatewright.harness.sim.driven import drive, explored
from gatewright.harness.sim.driven_report import drive_many
from gatewright.harness.sim.performing import DEEDS, LATE, OWN, REASONS
from gatewright.spec import events
from gatewright.transport.connection import Connection
from gatewright.transport.driver import Driver

LIVES = 150


@pytest.fixture(scope="module")
def ways() -> Ways:
    return explored(QUICK)


def test_every_action_of_the_environment_has_a_deed_or_a_reason_and_nothing_else_has() -> None:
    named = [*DEEDS, *OWN, *LATE, *REASONS]
    assert sorted(named) == sorted(action.name for action in gateway_environment().actions)
    assert all(REASONS.values())
    assert all({**OWN, **LATE}.values())


def test_the_driver_stands_where_the_exploration_says_after_each_action(ways: Ways) -> None:
    report = drive_many(LIVES, ways=ways)
    assert report.ok, report
    assert report.whole > LIVES / 4
    assert len(report.done) > 45
    assert len(report.rows) > 150


def test_a_row_that_is_taken_against_a_reason_is_a_failure(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    row = "idle.register"
    monkeypatch.setattr(driven_report, "reasons", lambda: {row: "nobody comes there"})
    report = drive_many(1, ways=ways)
    assert (report.ok, report.refuted) == (False, (row,))
    assert f"taken, although a reason says that it cannot be: {row}" in str(report)


@pytest.mark.slow
def test_two_processes_find_what_one_finds() -> None:
    one, two = (drive_many(20, first=30, jobs=jobs).as_dict() for jobs in (1, 2))
    del one["cpu"], two["cpu"]
    assert one == two


def test_a_life_is_the_same_whenever_it_is_lived(ways: Ways) -> None:
    assert drive(ways, 5).told == drive(ways, 5).told != drive(ways, 6).told


def _forget_close(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(_connection: Connection, _code: int) -> None:
        pass

    monkeypatch.setattr(Connection, "close", forget)


def _lose_estimates(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Driver.feed

    def lose(driver: Driver, event: events.Event) -> None:
        if not isinstance(event, events.SlotQueued):
            feed(driver, event)

    monkeypatch.setattr(Driver, "feed", lose)


@pytest.mark.parametrize(
    ("defect", "shows"),
    [(_forget_close, "has not said: close frame has left"), (_lose_estimates, "slot is queued")],
)
def test_a_defect_of_the_driver_shows(
    ways: Ways, monkeypatch: pytest.MonkeyPatch, defect: Callable[[pytest.MonkeyPatch], None], shows: str
) -> None:
    defect(monkeypatch)
    report = drive_many(LIVES, ways=ways)
    assert any(shows in error for error in report.found.values()), report
