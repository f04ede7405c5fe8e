"""Long runs of simulated lives: what they count, what they say, and how they end."""

import json
import signal
from collections.abc import Callable

import pytest

from gatewright.harness.pool import INTERRUPTED
from gatewright.harness.sim import Scenario, attempt, run
from gatewright.harness.sim.run import Portion, main, play
from gatewright.harness.sim.simulation import Attempt
from gatewright.harness.sim.tally import Found, Report, Tally
from gatewright.spec.effects import AbortSocket
from gatewright.spec.table import TABLE
from tests.support.tables import SHIPPED

REASON = "the driver spares the table this"


def report(lives: Tally, cancelled: Tally | None = None) -> Report:
    return Report(
        first=0,
        lives=lives,
        cancelled=Tally() if cancelled is None else cancelled,
        cancelled_scenarios=0,
        jobs=1,
        took=2.0,
        scheduling="steps",
        enough=100,
        rows=("taken", "reasoned"),
        reasons={"reasoned": REASON},
    )


def all_rows() -> Tally:
    return Tally(lives=100, rows={"taken": 3})


def test_the_command_runs_seeds_and_brings_one_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lives", "10", "--jobs", "1"]) == 0
    assert "10 lives (seeds 0 to 9), 0 violations" in capsys.readouterr().out
    assert main(["--seed", "3"]) == 0
    assert "digest" in capsys.readouterr().out


def test_cancelled_at_each_step_in_turn_no_life_of_a_seed_is_violated() -> None:
    scenarios = range(3)
    found = run.run(first=0, lives=3, cancel=3)
    steps = [attempt(Scenario.of(seed)).life for seed in scenarios]
    assert not found.violations
    assert found.cancelled.lives == sum(life.passes for life in steps if life is not None) > 300
    assert f"{found.cancelled.lives:,} lives of 3 of these seeds, cancelled at each step in turn, 0" in str(found)


def test_two_processes_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PORTION", 10)
    one, two = (run.run(first=20, lives=25, cancel=0, jobs=jobs).as_dict() for jobs in (1, 2))
    for told in (one, two):
        for measured in ("jobs", "seconds", "processor_seconds", "lives_per_processor_second"):
            del told[measured]
    assert one == two
    assert one["lives"] == 25


def test_ctrl_c_ends_a_run_after_the_lives_under_way_with_a_report_of_those_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "PORTION", 2)
    lived = run.play

    def interrupted(portion: Portion) -> Tally:
        if 4 in portion.seeds:
            signal.raise_signal(signal.SIGINT)
        return lived(portion)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(run, "play", interrupted)
    assert main(["--lives", "100", "--jobs", "1"]) == INTERRUPTED
    out, err = capsys.readouterr()
    assert "6 lives (seeds 0 to 5), 0 violations: interrupted" in out
    assert "press Ctrl-C again" in err
    assert signal.getsignal(signal.SIGINT) is before


def test_json_says_the_same_as_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--lives", "5", "--first", "7", "--jobs", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert (told["first"], told["lives"], told["violations"]) == (7, 5, [])
    assert told["faults"]["per_life"] >= told["faults"]["fewest"] >= 3
    rows = told["rows"]
    assert rows["taken"] + rows["justified"] + len(rows["missing"]) == rows["total"] == len(TABLE)
    assert set(rows["missing"]) < {row.id for row in TABLE}
    assert rows["missing_rows_fail"] is False


def test_a_violation_fails_the_run_and_says_how_it_comes_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weak = SHIPPED.without_effect(AbortSocket, "stalled.deadline_passed").rows

    def weakened(scenario: Scenario) -> Attempt:
        return attempt(scenario, rows=weak)

    def shrunk(scenario: Scenario, **_: object) -> Attempt:
        return weakened(scenario)

    monkeypatch.setattr(run, "attempt", weakened)
    monkeypatch.setattr(run, "shrink", shrunk)
    seed = next(seed for seed in range(100) if weakened(Scenario.of(seed)).error is not None)
    assert main(["--first", str(seed), "--lives", "1", "--jobs", "1", "--json"]) == 1
    out, err = capsys.readouterr()
    (found,) = json.loads(out)["violations"]
    assert found["seed"] == seed
    assert found["replay"] == f"python -m gatewright.harness.sim --seed {seed}"
    assert found["error"] in err
    assert found["scenario"].startswith("Scenario(")


def test_after_a_few_failures_of_a_portion_no_more_are_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def failing(scenario: Scenario, **_: object) -> Attempt:
        return Attempt(scenario, None, AssertionError("it fails"))

    def counted(scenario: Scenario, *, tries: int, found: Callable[[int], None] = tries.append) -> Attempt:
        found(tries)
        return failing(scenario)

    monkeypatch.setattr(run, "attempt", failing)
    monkeypatch.setattr(run, "shrink", counted)
    tally = play(Portion(range(5)))
    assert (tally.lives, len(tally.found)) == (5, 5)
    assert all(tries[:3])
    assert not any(tries[3:])


def test_a_row_neither_taken_nor_with_a_reason_fails_a_long_run_only() -> None:
    missing = report(Tally(lives=100))
    assert missing.missing == ["taken"]
    assert not missing.ok
    assert "neither taken nor with a reason:\n    taken" in str(missing)
    short = report(Tally(lives=99))
    assert short.ok
    assert "a failure from 100 lives on" in str(short)
    assert report(all_rows()).ok


def test_a_reason_for_a_row_that_is_taken_fails_any_run() -> None:
    refuted = report(Tally(lives=1, rows={"taken": 3, "reasoned": 4}))
    assert refuted.refuted == ["reasoned"]
    assert "    reasoned (seed 4)" in str(refuted)
    assert not refuted.ok


def test_rows_and_violations_of_cancelled_lives_count() -> None:
    assert report(Tally(lives=100), Tally(rows={"taken": 3})).missing == []
    found = Found(seed=4, cancel_at=17, error="it broke", scenario="Scenario()")
    broken = report(all_rows(), Tally(lives=1, found=[found]))
    assert not broken.ok
    assert found.replay == "python -m gatewright.harness.sim --seed 4 --cancel-at 17"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lives", "-1"], "-1 is negative"),
        (["--lives", "0"], "would show nothing"),
        (["--cancel-at", "3"], "say which with --seed"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err
