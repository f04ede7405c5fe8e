"""`gatewright export`: models of the shipped table and of yours, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewright.cli import main
from tests.export.tla_reader import Found, Module

DOOR = "examples.door_lock.door:table"


def test_a_door_is_written_as_promela(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "promela", DOOR, "--bound", "tries=2"]) == 0
    text = capsys.readouterr().out
    assert "active proctype machine()" in text
    assert "byte e_tries = 2;" in text


@pytest.mark.parametrize("goal", ["D4", "D4: everybody gets in"])
def test_what_must_come_to_pass_is_a_model_of_its_own(goal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "promela", DOOR, "--eventually", goal]) == 0
    text = capsys.readouterr().out
    assert "accept:" in text
    assert "./pan -a -f" in text


def test_what_must_come_to_pass_is_asked_for_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "promela", DOOR, "--eventually", "D1"]) == 1
    assert "'D1' names no property, or several, of what must come to pass: 'D4: ev" in capsys.readouterr().err


def test_a_module_is_called_as_its_file_and_has_its_configuration_beside_it(tmp_path: Path) -> None:
    assert main(["export", "tla", DOOR, "--output", str(tmp_path / "my_door.tla")]) == 0
    text = (tmp_path / "my_door.tla").read_text()
    assert " MODULE my_door " in text
    assert Module(text).check((tmp_path / "my_door.cfg").read_text()) == Found(17)


def test_a_module_on_standard_output_is_followed_by_its_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "tla", DOOR]) == 0
    text, configuration = capsys.readouterr().out.split("For TLC, door.cfg:\n\n")
    assert Module(text).check(configuration) == Found(17)


def test_the_shipped_table_is_exported_by_default(tmp_path: Path) -> None:
    assert main(["export", "promela", "--output", str(tmp_path / "shard.pml")]) == 0
    assert "awaiting_hello.hello.resume" in (tmp_path / "shard.pml").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bound", "tires=2"], "bound tires: there is no such variable; there are bolted, tries, wrong"),
        (["--bound", "tries=4"], "bound tries=4: its values are 0 to 3"),
        (["--bound", "tries"], "'tries' is no bound; write a variable and its first value"),
        (["--output", "door.txt"], "door.txt must end in .tla"),
        (["--output", "front-door.tla"], "'front-door' cannot name a module of TLA+; use letters, digits and _"),
        (["--output", "no/such/folder/door.tla"], "No such file or directory"),
        (["--environment", "examples.door_lock.door:Door"], "is no Environment"),
        (["--eventually", "D4"], "--eventually is for Promela"),
    ],
)
def test_what_cannot_be_written_is_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "tla", DOOR, *arguments]) == 1
    streams = capsys.readouterr()
    assert said in streams.err
    assert streams.out == ""
