"""Lives that need more than is installed: the run says so and goes on, and nothing else changes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatewright.harness.sim.extras import HOW, WAYS, notices
from gatewright.harness.sim.scenario import Way
from tests.support.compression import needs_zstd

ROOT = Path(__file__).parents[2]
WITHOUT = """
import sys
for name in {names!r}: sys.modules[name] = None
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in {names!r} else found(name, *more)
"""


def without(names: tuple[str, ...], then: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(names=names) + then
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False
    )


@needs_zstd
def test_with_everything_there_is_no_notice() -> None:
    assert list(notices()) == []
    assert set(WAYS) == set(Way) - {Way.MEMORY}


def test_without_its_packages_a_run_says_how_to_get_them_and_goes_on() -> None:
    ran = without(
        ("trustme", "backports.zstd", "compression.zstd", "compression"),
        "from gatewright.harness.sim.run import main\nsys.exit(main(['--lives', '60', '--jobs', '1']))",
    )
    assert ran.returncode == 0, ran.stderr
    assert "60 lives (seeds 0 to 59), 0 violations" in ran.stdout
    notices = [line for line in ran.stderr.splitlines() if line.startswith("notice: ")]
    assert [notice.split()[1] for notice in notices] == ["no", "trustme"]
    assert all(HOW in notice for notice in notices)


@pytest.mark.parametrize(("package", "way"), [("trustme", "tls"), ("python_socks", "socks")])
def test_a_life_that_needs_one_of_them_is_refused_in_words(package: str, way: str) -> None:
    ran = without(
        (package,),
        "from gatewright.harness.sim import Scenario, simulate\n"
        "from gatewright.harness.sim.scenario import Way\n"
        f"simulate(Scenario(way=Way({way!r})))",
    )
    assert f"ConfigurationError: a life by way of {way} needs {package.replace('_', '-')}: {HOW}" in ran.stderr


def test_what_is_not_installed_changes_no_other_seed() -> None:
    told = (
        "import attrs\nfrom gatewright.harness.sim import Scenario\n"
        "print([attrs.evolve(Scenario.of(seed), way='', compress='') for seed in range(300)])"
    )
    assert without((), told).stdout == without(("trustme", "python_socks", "backports.zstd"), told).stdout != ""
