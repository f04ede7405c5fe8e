"""A part that is absent skips with a notice; a part that was promised and is absent fails."""

import pytest

from tests.support.checkout import ROOT
from tests.support.requires import PARTS, VARIABLE, required, requires

ONE_TEST = """
from tests.support.requires import program, requires

@requires("spin")
def test_it():
    assert program("spin")
"""


@pytest.fixture
def outside(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with one test, on a machine where no program is installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", str(pytester.mkdir("bin")))
    monkeypatch.delenv(VARIABLE, raising=False)
    (pytester.path / "test_one.py").write_text(ONE_TEST, encoding="utf-8")
    return pytester


def run(outside: pytest.Pytester) -> pytest.RunResult:
    return outside.runpytest_subprocess("-p", "tests.support.requires", "-p", "no:cacheprovider", "-rs", "--color=no")


def install_spin(outside: pytest.Pytester) -> None:
    program = outside.path / "bin" / "spin"
    program.touch()
    program.chmod(0o755)


def test_an_absent_part_skips_and_says_how_to_get_it(outside: pytest.Pytester) -> None:
    result = run(outside)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*spin is not here; to run this test: apt install spin*"])


def test_an_absent_part_that_was_promised_fails(outside: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "graphviz, spin")
    result = run(outside)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{VARIABLE} promises spin, which is not here (apt install spin)*"])


def test_another_promise_does_not_make_it_fail(outside: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "graphviz")
    run(outside).assert_outcomes(skipped=1)


@pytest.mark.parametrize("promised", ["", "spin"])
def test_a_part_that_is_here_is_used(outside: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, promised: str) -> None:
    monkeypatch.setenv(VARIABLE, promised)
    install_spin(outside)
    run(outside).assert_outcomes(passed=1)


def test_a_promise_that_no_part_answers_stops_the_run(
    outside: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "spinn")
    result = run(outside)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{VARIABLE} names spinn, but the parts are: *spin*"])


def test_a_mark_for_a_part_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError, match="spinn"):
        requires("spinn")


def test_promises_are_read_with_or_without_spaces() -> None:
    assert required("") == frozenset()
    assert required(" spin ,redis,") == {"spin", "redis"}


def test_what_ci_installs_is_what_the_tests_know() -> None:
    """The table in `.ci/run` and the parts here are one list in two languages."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    table = script.partition("\nparts='\n")[2].partition("\n'")[0]
    rows = [line.split() for line in table.splitlines()]
    parts = [part for part in PARTS.values() if part.module is None]  # packages come with the environment
    assert {(name, program) for name, program, _ in rows} == {(part.name, part.programs[0]) for part in parts}
    assert {(name, f"apt install {package}") for name, _, package in rows} == {(part.name, part.how) for part in parts}
