"""`gatewright check`: what it says of the shipped table and of yours, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import gatewright
from tests.support.requires import requires

DOOR = "examples.door_lock.door:table"
SMALL = ("--bound", "faults=0", "--bound", "commands=0")

HEAD = "import attrs\nfrom examples.door_lock.door import *\nfrom examples.door_lock.door import table as sound\n"
WRONG = {
    "an unknown state": (
        "ROWS = (*ROWS, attrs.evolve(ROWS[-1], id='open.lost', event=Code, target='ajar'))",
        "open.lost: unknown state 'ajar' as its target; the states are locked, closed, open",
    ),
    "overlapping guards": (
        "ROWS = tuple(attrs.evolve(row, guard='blocked') if row.id == 'locked.code.blocked' else row for row in ROWS)",
        "locked.code: overlaps locked.code.blocked (event.right=True, wrong=2); make the guards of a cell exclude",
    ),
    "a row that nothing reaches": (
        "ROWS = (*ROWS, Row(id='locked.push', source=Door.LOCKED, event=Push, why='It holds.'))",
        "locked.push: no state takes this row; remove it",
    ),
    "an unknown guard": (
        "ROWS = (attrs.evolve(ROWS[0], guard='rihgt'), *ROWS[1:])",
        "locked.code: unknown guard 'rihgt'; define it in the table's `guards`",
    ),
    "an unknown update": (
        "ROWS = (attrs.evolve(ROWS[0], updates=('fogrive',)), *ROWS[1:])",
        "locked.code: unknown update 'fogrive'; define it in the table's `updates`",
    ),
    "two rows of one id": ("ROWS = (*ROWS, ROWS[-1])", "open.pull: two rows have this id"),
    "a property that breaks": (
        "ROWS = tuple(attrs.evolve(row, effects=()) if row.id == 'closed.time_up' else row for row in ROWS)",
        "D1: the bolt is in while the door is locked, and only then",
    ),
}


def test_the_shipped_table_in_small_bounds_with_mutants_as_json() -> None:
    ended = gatewright("check", "--json", "--no-spin", "--mutants", "6", *SMALL)
    told = json.loads(ended.out)
    assert ended.status == 0, ended.everything
    assert told["ok"]
    assert told["states"] == 20_904
    assert set(told["properties"].values()) == {"holds"}
    assert {"taken", "justified", "total"} <= told["rows"].keys()
    assert told["mutants"]["total"] == 6
    assert {"killed", "equivalent", "survived", "score"} <= told["mutants"].keys()
    assert told["spin"]["agreed"] is None
    assert {"edges", "seconds", "states_per_second"} <= told.keys()


def test_a_machine_of_yours_is_checked_the_same_way() -> None:
    ended = gatewright("check", DOOR, "--no-spin", "--least-score", "0.8")
    assert ended.status == 0, ended.everything
    assert "17 states" in ended.out
    assert "6 of 6 rows taken" in ended.out
    assert ended.out.rstrip().endswith("It holds.")


@requires("spin")
@requires("cc")
def test_spin_is_asked_as_well() -> None:
    ended = gatewright("check", DOOR, "--no-mutants", "--json")
    told = json.loads(ended.out)["spin"]
    assert (ended.status, told["available"], told["agreed"]) == (0, True, True)
    assert [each["spin_states"] for each in told["bounds"]] == [17]


def test_mutants_that_nobody_notices_are_named_and_fail_the_check() -> None:
    ended = gatewright("check", DOOR, "--no-spin", "--least-score", "1")
    assert ended.status == 1
    assert "survived: drop_update locked.code forgive" in ended.out


@pytest.mark.parametrize("wrong", WRONG)
def test_a_table_that_is_wrong_is_refused_with_the_row_and_what_to_do(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, said = WRONG[wrong]
    (tmp_path / "mine.py").write_text(f"{HEAD}{rows}\nTABLE = sound(ROWS)\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    ended = gatewright("check", "mine:TABLE", "--no-spin", "--no-mutants")
    assert ended.status == 1, ended.everything
    assert said in ended.out
    assert not ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "'nowhere' names no object; write package.module:name"),
        (("nowhere.at.all:table",), "No module named 'nowhere'"),
        (("examples.door_lock.door:doors",), "examples.door_lock.door has no 'doors'"),
        (("examples.door_lock.door:ROWS",), "is a tuple; it must be a Table or a Subject"),
        ((DOOR, "--environment", "examples.door_lock.door:ROWS"), "tuple is no Environment"),
        ((DOOR, "--bound", "tries"), "'tries' is no bound"),
        ((DOOR, "--bound", "turns=1"), "the bound turns=1 is not possible"),
    ],
)
def test_what_cannot_be_checked_is_said(arguments: tuple[str, ...], said: str) -> None:
    ended = gatewright("check", *arguments, "--no-spin", "--no-mutants")
    assert ended.status == 1
    assert said in ended.err
    assert "Traceback" not in ended.err
