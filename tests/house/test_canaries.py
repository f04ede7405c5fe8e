"""The checkers reach every room: an error that is planted there must be found.

A type checker that skips a folder reports success, and so does an architecture contract that names the wrong module.
Each canary runs the real configuration on a skeleton of the project: the face, the rooms, and in each a planted line.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOMS, ROOT, attempt, run, tool

PLACES = ("gatewright", *(f"gatewright/{room}" for room in ROOMS), "examples", "tests")
WRONG = 'number: int = "a string"\n'
RIGHT = "number: int = 1\n"


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """A project with our configuration and rooms, and next to nothing in them."""
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for folder in ("gatewright", "examples", "tests", *ROOMS):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    for room in ROOMS:
        (tmp_path / "gatewright" / room).symlink_to(f"../{room}")
    for module in ("__main__", "_version", "cli", "run"):
        (tmp_path / "gatewright" / f"{module}.py").touch()
    return tmp_path


def plant(skeleton: Path) -> None:
    for place in PLACES:
        (skeleton / place / "wrong.py").write_text(WRONG, encoding="utf-8")
        (skeleton / place / "right.py").write_text(RIGHT, encoding="utf-8")


def lines_with(text: str, output: str) -> str:
    return "\n".join(line.replace(os.sep, "/") for line in output.splitlines() if text in line)


def test_mypy_finds_an_error_in_every_room(skeleton: Path) -> None:
    plant(skeleton)
    status, output = attempt(tool("mypy"), "--cache-dir", skeleton / "cache", cwd=skeleton)
    assert status == 1
    errors = lines_with(": error: Incompatible types", output)
    assert [place for place in PLACES if f"{place}/wrong.py" not in errors] == []
    assert "right.py" not in output


@pytest.mark.slow
def test_pyright_finds_an_error_in_every_room(skeleton: Path) -> None:
    plant(skeleton)
    status, output = attempt(tool("pyright"), "--pythonpath", sys.executable, cwd=skeleton)
    assert status == 1
    errors = lines_with(" - error: Type", output)
    assert [place for place in PLACES if f"{place}/wrong.py" not in errors] == []
    assert "right.py" not in output


def test_coverage_counts_a_module_that_no_test_imports(skeleton: Path) -> None:
    plant(skeleton)
    run(tool("coverage"), "run", "--module", "gatewright", cwd=skeleton)
    report = run(tool("coverage"), "report", cwd=skeleton).replace(os.sep, "/")
    assert [room for room in ROOMS if f"{room}/right.py" not in report] == []


def plant_import(skeleton: Path, module: str, line: str) -> None:
    (skeleton / f"{module}.py").write_text(f"{line}\n", encoding="utf-8")


def lint_imports(skeleton: Path) -> tuple[int, str]:
    return attempt(tool("lint-imports"), "--no-cache", "--no-logo", cwd=skeleton, environment={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (
            "harness/planted",
            "import gatewright.spec, gatewright.fsm, gatewright.transport, gatewright.fleet, gatewright.diagrams",
        ),
        ("diagrams/planted", "import gatewright.spec, gatewright.fsm"),
        ("embed/planted", "import asyncio, gatewright.fleet, gatewright.transport, gatewright.fsm, gatewright.spec"),
        ("fleet/planted", "import trio, gatewright.transport, gatewright.fsm, gatewright.spec"),
        ("transport/planted", "import trio, httpx2, gatewright.fsm, gatewright.spec, gatewright._version"),
        ("fsm/planted", "import attrs, enum, msgspec, transitions, gatewright.spec"),
        (
            "gatewright/cli",
            "import gatewright, gatewright.embed, gatewright.harness, gatewright.diagrams, asyncio, rich",
        ),
    ],
)
def test_an_arrow_that_points_down_is_allowed(skeleton: Path, module: str, line: str) -> None:
    plant_import(skeleton, module, line)
    status, output = lint_imports(skeleton)
    assert status == 0, output


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("spec/planted", "import gatewright.fsm", "Arrows only point down"),
        ("fsm/planted", "import gatewright.transport", "Arrows only point down"),
        ("transport/planted", "import gatewright.fleet", "Arrows only point down"),
        ("transport/planted", "import gatewright.diagrams", "Arrows only point down"),
        ("fleet/planted", "import gatewright.embed", "Arrows only point down"),
        ("fleet/planted", "import gatewright.harness", "Arrows only point down"),
        ("fleet/planted", "import gatewright.diagrams", "Nothing that runs a bot imports the pictures"),
        ("embed/planted", "import gatewright.harness", "Arrows only point down"),
        ("harness/planted", "import gatewright.embed", "Arrows only point down"),
        ("harness/planted", "import gatewright.cli", "Arrows only point down"),
        ("diagrams/planted", "import gatewright.transport", "Arrows only point down"),
        ("transport/planted", "from gatewright import __version__", "No room imports the face"),
        ("spec/planted", "import trio", "The core does no I/O"),
        ("fsm/planted", "import time", "The core does no I/O"),
        ("fsm/planted", "from socket import socket", "The core does no I/O"),
        ("transport/planted", "import asyncio", "Only embed knows asyncio"),
        ("harness/planted", "def later():\n    import asyncio", "Only embed knows asyncio"),
    ],
)
def test_an_arrow_that_points_up_or_out_is_caught(skeleton: Path, module: str, line: str, broken: str) -> None:
    plant_import(skeleton, module, line)
    status, output = lint_imports(skeleton)
    assert status == 1
    assert f"{broken} BROKEN" in output


def test_a_module_that_no_layer_names_is_caught(skeleton: Path) -> None:
    (skeleton / "gatewright" / "attic.py").touch()
    status, output = lint_imports(skeleton)
    assert status == 1
    assert "attic" in output
