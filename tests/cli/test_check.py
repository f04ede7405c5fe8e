"""`gatewright check`: what it says of the shipped table and of yours, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatewright.harness.explore.retracing import Source
from gatewright.harness.forms import source_of
from gatewright.harness.subject import load
from gatewright.spec.table import TABLE
from tests.cli.command import Ended, environment, gatewright
from tests.support.checkout import ROOT
from tests.support.requires import requires

DOOR = "examples.door_lock.door:table"
LONG = 540.0
"""Seconds for what computes: a minute or two where nobody else does, and below the limit of a test."""

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
        "locked.push: no state takes this row; let the environment lead to it, remove it, or justify it in a Subject",
    ),
    "an unknown guard": (
        "ROWS = (attrs.evolve(ROWS[0], guard='rihgt'), *ROWS[1:])",
        "locked.code: unknown guard 'rihgt'; define it in the table's `guards`",
    ),
    "an unknown update": (
        "ROWS = (attrs.evolve(ROWS[0], updates=('fogrive',)), *ROWS[1:])",
        "locked.code: unknown update 'fogrive'; define it in the table's `updates`",
    ),
    "an update that is no pair": (
        "sound = lambda rows: attrs.evolve(table(rows), updates={'forgive': ('wrong', '0'), 'blame': ()})",
        "locked.code: update 'forgive' must be pairs of a field and an expression",
    ),
    "a guard that calls a function": (
        "sound = lambda rows: attrs.evolve(table(rows), guards={'right': 'event.right', 'blocked': 'abs(wrong) > 2'})",
        "locked.code, or locked.code.wrong: its guard cannot be asked: abs() has no meaning here",
    ),
    "an effect without a name": (
        "ROWS = (attrs.evolve(ROWS[0], effects=('unbolt',)), *ROWS[1:])",
        "locked.code: its effect 'unbolt' is no class with a `name`",
    ),
    "an event that no row is on": (
        "class Kick:\n    name = 'kick'\n"
        "ENVIRONMENT = attrs.evolve(ENVIRONMENT, actions=(*ENVIRONMENT.actions, Action(name='a kick', event=Kick)))",
        "action 'a kick' feeds kick, and no row of the table is on it; write one, or take the action away",
    ),
    "an action with a misspelt guard": (
        "wait = Action(name='wait', guard='tires > 0')\n"
        "ENVIRONMENT = attrs.evolve(ENVIRONMENT, actions=(*ENVIRONMENT.actions, wait))",
        "action 'wait', its guard: 'tires' is no variable; did you mean 'tries'?",
    ),
    "a state without a row for what comes": (
        "ROWS = tuple(row for row in ROWS if row.id not in ('open.pull', 'locked.code.blocked'))\n"
        "ROWS = (*ROWS, Row(id='locked.pull', source=Door.LOCKED, event=Pull, why='It holds.'))",
        "pull has no row in open; write one, of kind IGNORE if it means nothing there, or let the action's guard keep",
    ),
    "guards that leave a case out": (
        "ROWS = tuple(row for row in ROWS if row.id != 'locked.code.blocked')",
        "no row of locked.code is taken; let the guards of the cell cover this",
    ),
    "two rows of one id": ("ROWS = (*ROWS, ROWS[-1])", "open.pull: two rows have this id"),
    "a property that breaks": (
        "ROWS = tuple(attrs.evolve(row, effects=()) if row.id == 'closed.time_up' else row for row in ROWS)",
        "D1: the bolt is in while the door is locked, and only then",
    ),
}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes a module ``mine`` that is the door, and lines of its own; ``TABLE`` has its rows."""

    def write(text: str) -> None:
        (tmp_path / "mine.py").write_text(f"{HEAD}{text}\nTABLE = sound(ROWS)\n", encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    return write


KEYS = ["states", "edges", "seconds", "states_per_second", "properties", "rows", "mutants", "spin"]
INNER = {
    "rows": ["taken", "justified", "total"],
    "mutants": ["total", "killed", "equivalent", "survived", "score"],
    "spin": ["available", "agreed", "bounds"],
}


def object_of(ended: Ended) -> dict[str, Any]:
    """The one object on standard output, which has these keys in every case."""
    told: dict[str, Any] = json.loads(ended.out)
    assert list(told) == KEYS
    assert {name: list(told[name]) for name in INNER} == INNER
    return told


@pytest.mark.slow
def test_the_shipped_table_is_explored_in_less_than_a_gibibyte() -> None:
    """The whole of it: every property, and every row taken or justified."""
    ended = gatewright("check", "--json", "--no-spin", "--no-mutants", bound=LONG, memory=1 << 30)
    assert (ended.status, ended.err) == (0, "")
    told = object_of(ended)
    assert told["states"] > 1_000_000
    assert told["edges"] > 10_000_000
    assert set(told["properties"].values()) == {"holds"}
    rows = told["rows"]
    assert rows["taken"] + rows["justified"] == rows["total"] == len(TABLE)


@pytest.mark.slow
def test_the_shipped_table_in_small_bounds_with_mutants_as_json() -> None:
    ended = gatewright("check", "--json", "--no-spin", "--mutants", "6", *SMALL, bound=LONG)
    assert (ended.status, ended.err) == (0, ""), ended.everything
    told = object_of(ended)
    assert told["states"] == 20_904
    assert told["edges"] > told["states"]
    assert told["states_per_second"] > 0
    assert len(told["properties"]) > 40
    assert set(told["properties"].values()) == {"holds"}
    assert told["rows"]["total"] == len(TABLE)
    mutants = told["mutants"]
    assert mutants["total"] == mutants["killed"] + mutants["equivalent"] + mutants["survived"] == 6
    assert told["spin"]["agreed"] is None


def test_a_machine_of_yours_is_checked_the_same_way() -> None:
    ended = gatewright("check", DOOR, "--no-spin")
    assert ended.status == 0, ended.everything
    assert "17 states" in ended.out
    assert "6 of 6 rows taken" in ended.out
    assert ended.out.rstrip().endswith("It holds.")


def test_a_property_that_fails_fails_the_check(mine: Callable[[str], None]) -> None:
    mine(WRONG["a property that breaks"][0])
    ended = gatewright("check", "mine:TABLE", "--json")
    told = object_of(ended)
    assert ended.status == 1
    assert told["properties"]["D1: the bolt is in while the door is locked, and only then"] == "violated"
    assert told["mutants"] == {"total": 0, "killed": 0, "equivalent": 0, "survived": 0, "score": None}
    assert ended.err.startswith("D1: the bolt is in while the door is locked")
    assert "time is up" in ended.err


def test_a_counterexample_is_a_test_to_paste(mine: Callable[[str], None], tmp_path: Path) -> None:
    mine(WRONG["a property that breaks"][0])
    ended = gatewright("check", "mine:TABLE", "--json", "--counterexample", "pytest")
    assert (ended.status, object_of(ended)["states"] > 0) == (1, True)
    test = tmp_path / "test_pasted.py"
    test.write_text(ended.err, encoding="utf-8")
    ran = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    failed = subprocess.run(ran, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "D1: the bolt is in while the door is locked" in failed.stdout
    mine("")
    passed = subprocess.run(ran, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert passed.returncode == 0, passed.stdout + passed.stderr


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("mermaid", "sequenceDiagram"),
        ("example", "@example("),
        ("journal", '{"state": "locked", "to": "closed", "event": "code"'),
        ("text", "D1: the bolt is in while the door is locked"),
    ],
)
def test_a_counterexample_has_other_forms(form: str, begins: str, mine: Callable[[str], None]) -> None:
    mine(WRONG["a property that breaks"][0])
    ended = gatewright("check", "mine:TABLE", "--json", "--counterexample", form)
    assert ended.err.startswith(begins)


def test_a_pasted_test_imports_what_was_named() -> None:
    around = "examples.door_lock.door:ENVIRONMENT"
    assert source_of(DOOR, load(DOOR), None) == source_of(DOOR, load(DOOR), around)
    assert source_of(DOOR, load(DOOR), None) == Source(
        imports=("from examples.door_lock.door import ENVIRONMENT, table",), table="table()", environment="ENVIRONMENT"
    )
    path = "tests.cli.test_check:SUBJECT_OF_MINE"
    assert source_of(path, load(path), None) == Source(
        imports=("from tests.cli.test_check import SUBJECT_OF_MINE",),
        table="SUBJECT_OF_MINE.table",
        environment="SUBJECT_OF_MINE.environment",
    )


SUBJECT_OF_MINE = load(DOOR)


def test_a_table_that_cannot_be_explored_fails_the_check(mine: Callable[[str], None]) -> None:
    mine(WRONG["an unknown guard"][0])
    ended = gatewright("check", "mine:TABLE", "--json")
    told = object_of(ended)
    assert (ended.status, told["states"]) == (1, 0)
    assert set(told["properties"].values()) == {"unknown"}
    assert "locked.code: unknown guard 'rihgt'" in ended.err


@requires("spin")
@requires("cc")
def test_spin_is_asked_as_well() -> None:
    ended = gatewright("check", DOOR, "--no-mutants", "--json")
    told = json.loads(ended.out)["spin"]
    assert (ended.status, told["available"], told["agreed"]) == (0, True, True)
    assert [each["spin_states"] for each in told["bounds"]] == [17]
    assert [each["spin"] for each in told["bounds"][0]["eventually"]] == ["holds"]


UNFORGIVING = (
    "import functools; from gatewright.harness.subject import Subject\n"
    "around = attrs.evolve(ENVIRONMENT, properties=ENVIRONMENT.properties[:-1])\n"
    "subject = functools.partial(Subject, table=sound(), environment=around)\n"
    "unexplained, explained = subject(), subject(survivors={'drop_update * forgive': 'It may hold a grudge.'})\n"
)


def test_mutants_that_nobody_notices_are_named_and_fail_the_check(mine: Callable[[str], None]) -> None:
    mine(UNFORGIVING)
    ended = gatewright("check", "mine:unexplained", "--no-spin")
    assert ended.status == 1
    assert "survived: drop_update locked.code forgive; state a property that it breaks, or its reason" in ended.out
    ended = gatewright("check", "mine:unexplained", "--no-spin", "--json")
    assert (ended.status, object_of(ended)["mutants"]["survived"]) == (1, 1)
    assert ended.err.startswith("survived: drop_update locked.code forgive")
    assert gatewright("check", "mine:unexplained", "--no-spin", "--least-score", "0.9").status == 0


def test_mutants_that_may_live_for_a_reason_are_counted_and_pass(mine: Callable[[str], None]) -> None:
    mine(UNFORGIVING)
    ended = gatewright("check", "mine:explained", "--no-spin")
    assert ended.status == 0, ended.everything
    assert "1 survived, 1 of them for a reason that is known" in ended.out


@pytest.mark.parametrize("wrong", WRONG)
def test_a_table_that_is_wrong_is_refused_with_the_row_and_what_to_do(wrong: str, mine: Callable[[str], None]) -> None:
    rows, said = WRONG[wrong]
    mine(rows)
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
        (("examples.airlock.airlock:airlock",), "is a product of machines, and this takes one table"),
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("T = (", "mine:T: mine cannot be imported: SyntaxError: '(' was never closed ("),
        ("raise RuntimeError('boom')", "mine:T: mine cannot be imported: RuntimeError: boom ("),
        ("import not_here_at_all", "mine:T: mine imports not_here_at_all, which is not installed here"),
        ("T = lambda: len(3)", "mine:T: calling it failed: TypeError: object of type 'int' has no len() ("),
        (
            "T = lambda rows: rows",
            "mine:T: it must be callable without arguments (missing a required argument: 'rows')",
        ),
        ("T = lambda: flag('state')", "mine:T: a variable cannot be called 'state'"),
    ],
)
def test_a_module_that_fails_is_told_with_its_line(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(f"from gatewright.harness.explore import *\n{text}\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    ended = gatewright("check", "mine:T")
    assert (ended.status, ended.out) == (1, "")
    assert said in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("part", ["2", "-1", "nan", "most"])
def test_a_score_is_a_part(part: str) -> None:
    ended = gatewright("check", DOOR, f"--least-score={part}")
    assert (ended.status, ended.out) == (2, "")
    assert f"'{part}' is no part; give a number from 0 to 1, such as 0.95" in ended.err


def test_spin_is_not_asked_of_mutants_and_left_out_at_once() -> None:
    ended = gatewright("check", DOOR, "--no-spin", "--spin-mutants", "3")
    assert (ended.status, ended.out) == (2, "")
    assert "--spin-mutants: not allowed with argument --no-spin" in ended.err


SUBJECT = "from gatewright.harness.subject import Subject, Bounds\n"


def test_reasons_for_what_there_is_not_are_refused(mine: Callable[[str], None]) -> None:
    mine(
        f"{SUBJECT}rows = Subject(table=sound(), environment=ENVIRONMENT, justified={{'locked.psuh': 'Never.'}})\n"
        "all_ = Subject(table=sound(), environment=ENVIRONMENT, survivors={'drop_update * forgvie': 'It may.'})"
    )
    ended = gatewright("check", "mine:rows", "--no-spin", "--no-mutants")
    assert ended.status == 1
    assert "justified: there is no row 'locked.psuh'" in ended.out
    ended = gatewright("check", "mine:all_", "--no-spin")
    assert ended.status == 1
    assert "survivors: there is no mutant 'drop_update * forgvie'" in ended.out


def test_a_table_that_breaks_in_the_bounds_of_its_mutants_is_no_traceback(mine: Callable[[str], None]) -> None:
    mine(
        f"{SUBJECT}unbolted = Bounds(values={{'bolted': 0}})\n"
        "subject = Subject(table=sound(), environment=ENVIRONMENT, stages=(unbolted,))"
    )
    ended = gatewright("check", "mine:subject", "--no-spin")
    assert (ended.status, ended.err) == (1, "")
    assert "it does not hold within the bounds of its mutants" in ended.out
    assert "D1: the bolt is in while the door is locked" in ended.out


TEXTS = """
from gatewright.harness.subject import Subject
hard = tuple(attrs.evolve(each, guard='hard') for each in ROWS if each.id == 'closed.push')
soft = tuple(attrs.evolve(each, id='closed.push.soft', guard='not hard') for each in ROWS if each.id == 'closed.push')
ROWS = (*(each for each in ROWS if each.id != 'closed.push'), *hard, *soft)
how = {'how': ('hard', 'soft')}
actions = tuple(attrs.evolve(each, payload=how) if each.name == 'push' else each for each in ENVIRONMENT.actions)
subject = Subject(
    table=attrs.evolve(sound(ROWS), guards={**sound().guards, 'hard': "event.how == 'hard'"}),
    environment=attrs.evolve(ENVIRONMENT, actions=actions),
)
"""


@requires("spin")
@requires("cc")
def test_what_spin_cannot_be_told_is_a_reason_and_still_json(mine: Callable[[str], None]) -> None:
    mine(TEXTS)
    ended = gatewright("check", "mine:subject", "--no-mutants", "--json")
    assert ended.status == 1
    assert object_of(ended)["spin"]["agreed"] is False
    assert ended.err.startswith("spin: the payload 'hard' is no number")
    assert gatewright("check", "mine:subject", "--no-mutants", "--no-spin").status == 0
