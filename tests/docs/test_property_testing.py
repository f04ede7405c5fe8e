"""docs/property-testing.md: each of its files runs as it stands, and notices what it is there to notice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import gatewright
from tests.support.checkout import ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs/property-testing.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FILES = {text.partition("\n")[0].removeprefix("# "): text for text in BLOCKS}
TESTS = sorted(FILES.keys() - {"my_bot.py", "payment.py"})


UNPAID = "source=State.PAID, event=Approved, effects=(Refund,),"


def run(directory: Path, *tests: str, files: dict[str, str] = FILES) -> subprocess.CompletedProcess[str]:
    """pytest, as a reader runs it."""
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "gatewright.harness.pytest_plugin",
            *tests,
        ],
        cwd=directory,
        # The plugin is named, whatever is installed here; and Hypothesis draws the same in every run of CI.
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CI": "true"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_block_is_a_file() -> None:
    assert all(re.fullmatch(r"(test_\w+|my_bot|payment)\.py", name) for name in FILES)
    assert len(FILES) == PAGE.count("```python")


def test_a_reader_needs_nothing_of_the_checkout() -> None:
    """But for the file that says so; the examples are not in the package."""
    assert {name for name, text in FILES.items() if "examples." in text} == {"test_airlock.py"}


def test_the_machine_of_the_page_is_checked_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    module = tmp_path / "payment.py"
    module.write_text(FILES["payment.py"], encoding="utf-8")
    assert gatewright("check", "payment:table", "--no-spin").status == 0
    module.write_text(FILES["payment.py"].replace(UNPAID, UNPAID.replace(" effects=(Refund,),", "")), encoding="utf-8")
    ended = gatewright("check", "payment:table")
    assert ended.status == 1
    told = ended.out[ended.out.index("M1: ") :]
    assert told in PAGE
    ended = gatewright("check", "payment:table", "--json", "--counterexample", "pytest")
    assert ended.err.strip() == FILES["test_pasted.py"].partition("\n")[2].strip()
    ended = gatewright("check", "payment:table", "--json", "--counterexample", "example")
    assert ended.err.strip() in FILES["test_stories.py"]


def test_all_of_them_pass(tmp_path: Path) -> None:
    ended = run(tmp_path, *TESTS)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "skipped" not in ended.stdout


@pytest.mark.parametrize(
    ("test", "file", "right", "wrong"),
    [
        ("test_by_hand.py", "my_bot.py", 'self.booked.append(event.data["content"])', "pass"),
        ("test_faults.py", "my_bot.py", "self.booked.append(", "self.booked.insert(0, "),
        ("test_order.py", "my_bot.py", "async with self._till:", "if True:"),
        ("test_client.py", "test_client.py", "if code in NEW | OVER:", "if code in OVER:"),
        ("test_client.py", "test_client.py", "if not resumable:", "if resumable:"),
        ("test_payment.py", "payment.py", UNPAID, UNPAID.replace(" effects=(Refund,),", "")),
        ("test_pasted.py", "payment.py", UNPAID, UNPAID.replace(" effects=(Refund,),", "")),
        ("test_stories.py", "payment.py", UNPAID, UNPAID.replace(" effects=(Refund,),", "")),
    ],
)
def test_what_is_wrong_is_noticed(test: str, file: str, right: str, wrong: str, tmp_path: Path) -> None:
    assert FILES[file].count(right) == 1
    ended = run(tmp_path, test, "-x", files={**FILES, file: FILES[file].replace(right, wrong)})
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "1 failed" in ended.stdout
