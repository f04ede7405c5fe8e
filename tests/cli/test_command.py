"""The `gatewright` command: help, version, info, and how it ends when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import gatewright
from gatewright import cli
from gatewright.diagrams.export import DRAWINGS, FORMATS, VIEWS, View, render
from tests.cli.command import BOUND, PROGRAM
from tests.support.checkout import run

# What `--help` may cost: nothing of ours but the face and the command line, and no package but the standard library.
LOADED_BY = """
import sys
before = set(sys.modules)
from gatewright.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""


def status_of(*arguments: str) -> int:
    """The exit status of a command, in this process."""
    try:
        return cli.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["--version"], ["info"]])
def test_what_needs_no_engine_loads_none(arguments: list[str]) -> None:
    loaded = run(sys.executable, "-c", LOADED_BY.format(arguments=arguments)).splitlines()[-1].split()
    foreign = {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names}
    assert foreign == {"gatewright", "gatewright._version", "gatewright.cli"}
    assert not set(loaded) & {"asyncio", "logging", "rich", "trio"}


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--help") == 0
    printed = capsys.readouterr().out
    for command in ("demo", "diagram", "fake", "info"):
        assert f"\n    {command} " in printed


def test_version_is_the_packages_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--version") == 0
    assert capsys.readouterr().out == f"gatewright {gatewright.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["demo", "--no-such-option"]])
def test_a_wrong_command_line_is_status_2_and_says_what_is_wrong(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error: " in captured.err


def test_the_module_is_the_same_program() -> None:
    assert run(sys.executable, "-m", "gatewright", "--version") == f"gatewright {gatewright.__version__}\n"


# diagram


@pytest.mark.parametrize("view", VIEWS)
def test_a_diagram_is_what_the_table_gives(view: View, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("diagram", "--view", view) == 0
    assert capsys.readouterr().out == render("mermaid" if view in DRAWINGS else "markdown", view)


def test_a_diagram_is_the_overview_unless_asked_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("diagram") == 0
    assert capsys.readouterr().out == render("mermaid", "overview")


def test_a_diagram_can_be_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("diagram", "--format", "markdown") == 0
    assert capsys.readouterr().out == render("markdown", "overview")


def test_a_diagram_goes_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "overview.mmd"
    assert status_of("diagram", "--output", str(target)) == 0
    assert target.read_text(encoding="utf-8") == render("mermaid", "overview")
    assert capsys.readouterr().out == ""


def test_the_help_names_every_view_and_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("diagram", "--help") == 0
    printed = capsys.readouterr().out
    assert not [name for name in (*VIEWS, *FORMATS) if name not in printed]


def test_a_view_that_does_not_exist_is_answered_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("diagram", "--view", "no-such") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gatewright: there is no view 'no-such'")
    assert "matrix" in captured.err


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("diagram", "--output", str(tmp_path / "absent" / "overview.mmd")) == 1
    err = capsys.readouterr().err
    assert err.startswith("gatewright: ")
    assert "overview.mmd" in err
    assert len(err.splitlines()) == 1


def test_a_reader_that_is_gone_is_no_error_to_talk_about() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [PROGRAM, "diagram"], stdout=writer, stderr=subprocess.PIPE, encoding="utf-8", timeout=BOUND, check=False
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_an_error_that_is_not_expected_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect() -> dict[str, str | None]:
        raise AssertionError("a defect")

    monkeypatch.setattr(cli, "_versions", defect)
    with pytest.raises(AssertionError, match="a defect"):
        status_of("info")


# info


def test_info_names_every_version_that_matters(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("info") == 0
    printed = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    for name in ("trio", "trio-websocket", "wsproto", "attrs", "transitions", "msgspec", "httpx2", "rich"):
        assert printed[name].strip() == version(name)
    assert printed["gatewright"].strip() == gatewright.__version__
    assert {"Python", "platform", "OpenSSL"} < set(printed)


def test_info_for_a_program_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("info", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["gatewright"] == gatewright.__version__
    assert found["Python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")


def test_info_says_what_is_not_installed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_DEPENDENCIES", ("no-such-distribution",))
    assert status_of("info") == 0
    assert "no-such-distribution  not installed\n" in capsys.readouterr().out


def test_info_shows_nothing_of_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "a-token-that-must-not-be-seen")
    status_of("info")
    status_of("info", "--json")
    printed = capsys.readouterr().out
    assert "a-token-that-must-not-be-seen" not in printed
    assert sys.prefix not in printed
