"""The proof's record and its page: that the page is what was measured, and that a fault is none of its figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from gatewright.harness.explore import gateway_projection
from gatewright.harness.explore.gateway_bucket import gate
from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.pool import portions, spread
from gatewright.harness.proof import command, page, parts, record
from gatewright.harness.proof.invariants import BEYOND, PARTLY
from gatewright.harness.proof.parts import PARTS, Part, Task
from gatewright.harness.proof.record import Measured
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.invariants import INVARIANTS
from gatewright.spec.table import TABLE
from tests.support.checkout import ROOT

PAGE = (ROOT / command.PAGE).read_text(encoding="utf-8")
RECORD = record.read(ROOT / command.RECORD)


def measured(**figures: Any) -> Measured:
    return Measured(
        figures=figures, seconds=2.0, peak=50, command="make proof", on="2026-01-31", python="3.13.1", table="rows"
    )


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_is_what_the_record_gives() -> None:
    again = f"{sys.executable} -m gatewright.harness.proof --from {command.RECORD}"
    assert page.filled(PAGE, RECORD) == PAGE, f"run {again}"


def test_the_page_has_a_place_for_each_part_and_each_only_once() -> None:
    assert sorted(page.blocks(PAGE)) == sorted([*PARTS, "summary", "invariants"])


def test_the_command_of_each_part_is_one_of_ours() -> None:
    for found in RECORD.values():
        arguments = re.fullmatch(r"make proof ARGS='(.*)'", found.command)
        assert arguments is not None
        assert command._parser().parse_args(arguments[1].split()).only


def test_a_part_that_was_not_measured_says_how() -> None:
    text = page.filled("<!-- l4:begin -->\nold\n<!-- l4:end -->\n", {})
    assert "Not measured yet; `make proof ARGS='--only l4'` does it." in text
    assert "old" not in text


def test_figures_of_an_earlier_table_are_told_to_be_so() -> None:
    place, found = "<!-- l0:begin -->\n<!-- l0:end -->\n", measured(rows=1, states=1, lint_seconds=0.1)
    assert "2026-01-31 with Python" in page.filled(place, {"l0": found}, table="rows")
    assert "2026-01-31, of an earlier table or environment, with Python" in page.filled(
        place, {"l0": found}, table="other"
    )


def test_what_spin_says_of_what_must_come_to_pass_is_told_beside_the_states() -> None:
    goal = {"goal": "live: it ends", "spin_states": 44_073, "seconds": 2.0}
    bound = {"values": {"faults": 0}, "states": 20_904, "spin_states": 20_904, "seconds": 3.0}
    settled = {"mutants": 453, "liveness": 8, "deadlock": 3, "excused": 19}
    place, figures = "<!-- l3:begin -->\n<!-- l3:end -->\n", {"mutants": 1, "verdicts": {"holds": 1}}
    found = measured(**figures, of=[{**bound, "eventually": [goal]}], settled=settled)
    text = page.filled(place, {"l3": found})
    assert "| faults 0 | 20 904 | 44 073 | 5 s |" in text
    assert "Of 453 mutants of the rows that are taken once all has ceased, 8 can go round for ever, 3 can stop" in text
    assert "| faults 0 | 20 904 | – | 3 s |" in page.filled(place, {"l3": measured(**figures, of=[bound])})


def test_a_later_part_of_a_measurement_leaves_what_only_the_first_one_has() -> None:
    first, later = measured(mutants=50, settled={"mutants": 453}, of=[1]), measured(mutants=50)
    assert first.plus(later).figures == {"mutants": 100, "settled": {"mutants": 453}, "of": [1]}


def test_a_block_that_nothing_fills_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has a block 'l7'"):
        page.filled("<!-- l7:begin -->\n<!-- l7:end -->\n", {})


def test_a_part_of_the_mutants_is_told_as_one() -> None:
    found = measured(tried=100, verdicts={"lint": 80, "edge": 9, "equivalent": 10, "survived": 1}, survivors=[], of=400)
    text = page.filled("<!-- l2:begin -->\n<!-- l2:end -->\n", {"l2": found})
    assert "100 of 400, drawn with a seed: 98.89% of those that are not equivalent are noticed." in text
    assert "| 80 | fall to lint |" in text
    whole = attrs.evolve(found, figures={**found.figures, "of": 100})
    assert "All 100: " in page.filled("<!-- l2:begin -->\n<!-- l2:end -->\n", {"l2": whole})


# -- invariants --------------------------------------------------------------------------------------------------------


def test_each_invariant_is_explored_or_has_its_place_elsewhere() -> None:
    explored = {item.id for item in (*gateway_environment().properties, *gate().properties)}
    assert INVARIANTS.keys() - explored == BEYOND.keys()
    assert PARTLY.keys() <= explored
    for name in INVARIANTS:
        assert f"\n| {name} | " in PAGE


@pytest.mark.parametrize("said", [*BEYOND.values(), *PARTLY.values()])
def test_the_tests_that_are_named_are_there(said: str) -> None:
    for path in re.findall(r"`(tests/[^`]+)`", said):
        assert (ROOT / path).is_file()


# -- the record --------------------------------------------------------------------------------------------------------


def test_what_was_written_is_read(tmp_path: Path) -> None:
    record.write(tmp_path / "record.json", {"l5": measured(lives=3)})
    assert record.read(tmp_path / "record.json") == {"l5": measured(lives=3)}
    assert record.read(tmp_path / "none.json") == {}


@pytest.mark.parametrize("text", ["[]", "nonsense", '{"l1": {}}'])
def test_a_file_that_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is no record of a proof"):
        record.read(tmp_path / "record.json")


def test_bits_of_a_part_add_up() -> None:
    first = measured(lives=5, ends={"ready": 4, "failed": 1}, rows=["a", "b"], of={"rows": 9})
    second = measured(lives=3, ends={"ready": 2, "stopped": 1}, rows=["b", "c"], of={"rows": 9})
    both = first.plus(second)
    assert both.seconds == 4.0
    assert both.figures == {
        "lives": 8,
        "ends": {"ready": 6, "failed": 1, "stopped": 1},
        "rows": ["a", "b", "c"],
        "of": {"rows": 9},
    }


def test_bits_of_two_tables_are_not_added() -> None:
    with pytest.raises(ConfigurationError, match="measure it anew, without --more"):
        measured(lives=1).plus(attrs.evolve(measured(lives=1), table="other rows"))


# -- running -----------------------------------------------------------------------------------------------------------


class Doubling:
    """A worker."""

    def __call__(self, numbers: range) -> list[int]:
        return [2 * number for number in numbers]


@pytest.mark.parametrize("jobs", [1, 2])
def test_numbers_are_spread_over_processes_and_come_in_order(jobs: int) -> None:
    found = list(spread(Doubling, portions(3, 5, 2), jobs))
    assert found == [[6, 8], [10, 12], [14]]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / command.PAGE).write_text("Prose.\n<!-- l0:begin -->\n<!-- l0:end -->\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_part_is_measured_in_a_process_of_its_own_and_goes_into_record_and_page(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--only", "l0"]) == 0
    found = record.read(checkout / command.RECORD)["l0"]
    assert found.figures["rows"] > 700
    assert found.peak > 10
    assert found.table == gateway_projection.digest()
    written = (checkout / command.PAGE).read_text(encoding="utf-8")
    assert written.startswith(f"Prose.\n<!-- l0:begin -->\n{len(TABLE)} rows in 15 states, no finding")
    assert "the table as text" in capsys.readouterr().out
    (checkout / command.PAGE).write_text("<!-- l0:begin -->\n<!-- l0:end -->\n", encoding="utf-8")
    assert command.main(["--from", "docs/proof.json"]) == 0
    assert f"{len(TABLE)} rows" in (checkout / command.PAGE).read_text(encoding="utf-8")


def test_a_fault_is_no_figure(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "")

    monkeypatch.setattr(subprocess, "run", failing)
    assert command.main(["--only", "l0", "l1"]) == 1
    assert "l0, l1 failed" in capsys.readouterr().out
    assert not (checkout / command.RECORD).exists()


def test_what_does_not_hold_ends_its_process_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Task) -> record.Figures:
        raise parts.Fault("seed 4: it does not hold")

    monkeypatch.setattr(command, "PARTS", {"l0": Part(title="broken", measure=broken)})
    assert command.main(["--measure", "l0", "--count", "0"]) == 1
    told = capsys.readouterr()
    assert (told.out, "seed 4: it does not hold" in told.err) == ("", True)


def test_more_goes_on_where_the_record_ends(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(arguments: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        figures: dict[str, Any] = {"tried": 10, "verdicts": {"lint": 10}, "survivors": [], "of": 400}
        return subprocess.CompletedProcess([], 0, json.dumps({"figures": figures, "peak": 1}))

    monkeypatch.setattr(subprocess, "run", run)
    for _ in range(2):
        assert command.main(["--only", "l2", "--count", "10", "--more"]) == 0
    assert [each[each.index("--first") + 1] for each in asked] == ["0", "10"]
    found = record.read(checkout / command.RECORD)["l2"]
    assert found.figures["tried"] == 20
    assert found.command == "make proof ARGS='--only l2 --count 20'"


def test_it_is_run_in_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(["--only", "l0"]) == 1
    assert "run it at the top of the checkout" in capsys.readouterr().err


# -- what the parts count, in small ------------------------------------------------------------------------------------


def test_lives_are_counted() -> None:
    found = parts.lived(Task(first=5, count=3, jobs=1))
    assert found["lives"] == sum(found["ends"].values()) == 3
    assert len(found["rows"]) > 20


@pytest.mark.slow
def test_mutants_and_walks_are_counted() -> None:
    found = parts.mutated(Task(first=0, count=6, jobs=1))
    assert found["tried"] == sum(found["verdicts"].values()) == 6
    assert found["of"] > 10_000
    walks = parts.walked(Task(first=0, count=1, jobs=1))
    assert walks["walks"] > 500
    assert walks["steps"] > walks["walks"]
