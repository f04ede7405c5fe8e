"""The mark that says which demand a test proves: found in the file, refused where it would be lost."""

from pathlib import Path

import pytest

from gatewright.spec.references import UnknownReference
from tests.support import conforms as mark
from tests.support.conforms import MisplacedMark, marked, marks_of

HEAD = "from tests.support.conforms import conforms\nimport pytest\n"


def read(tmp_path: Path, source: str) -> dict[str, tuple[str, ...]]:
    path = tmp_path / "test_sample.py"
    path.write_text(HEAD + source, encoding="utf-8")
    return dict(marks_of(path))


def test_the_mark_carries_its_ids() -> None:
    assert mark.conforms("P18", "A07").mark.args == ("P18", "A07")


def test_an_id_that_names_nothing_is_refused() -> None:
    with pytest.raises(UnknownReference, match="P99"):
        mark.conforms("P18", "P99")


@pytest.mark.parametrize("other", ["I01", "R01", "F01", "S01"])
def test_a_fact_of_another_kind_is_no_demand(other: str) -> None:
    with pytest.raises(ValueError, match=other):
        mark.conforms(other)


def test_a_mark_without_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="P18"):
        mark.conforms()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("@conforms('P18')\ndef test_a(): ...\n", {"test_a": ("P18",)}, id="a function"),
        pytest.param("@conforms('P18')\nasync def test_a(): ...\n", {"test_a": ("P18",)}, id="an async function"),
        pytest.param("@conforms('P18', 'P01')\n@conforms('A07')\ndef test_a(): ...\n",
                     {"test_a": ("A07", "P01", "P18")}, id="several ids and marks"),
        pytest.param("@pytest.mark.parametrize('n', [pytest.param(1, marks=conforms('P18'))])\ndef test_a(n): ...\n",
                     {"test_a": ("P18",)}, id="one case of a parametrized test"),
        pytest.param("@conforms('P18')\nclass TestA:\n    def test_a(self): ...\n",
                     {"TestA::test_a": ("P18",)}, id="a class"),
        pytest.param("pytestmark = [conforms('P18')]\ndef test_a(): ...\n", {"test_a": ("P18",)}, id="a module"),
        pytest.param("def test_a(): ...\n", {}, id="no mark"),
    ],
)  # fmt: skip
def test_marks_are_found_by_reading(tmp_path: Path, source: str, found: dict[str, tuple[str, ...]]) -> None:
    assert read(tmp_path, source) == found


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("@conforms('P18')\ndef helper(): ...\n", id="on a function that is no test"),
        pytest.param("mark = conforms('P18')\n@mark\ndef test_a(): ...\n", id="by another name"),
        pytest.param("P = 'P18'\n@conforms(P)\ndef test_a(): ...\n", id="an id by another name"),
    ],
)
def test_a_mark_that_reading_cannot_place_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(MisplacedMark, match=r"test_sample\.py:\d+"):
        read(tmp_path, source)


def test_every_mark_of_the_checkout_can_be_read() -> None:
    assert all(test.startswith("tests/") and ids for test, ids in marked().items())


def test_a_mark_that_the_page_would_miss_stops_the_run(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("pytest_plugins = ['tests.support.conforms']\n")
    pytester.makeini("[pytest]\nmarkers =\n    conforms(ids): what it proves\n")
    pytester.makepyfile("import pytest\n\n@pytest.mark.conforms('P18')\ndef test_a(): pass\n")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_a is marked with P18 in a way that reading its file does not find*"])


def test_a_mark_as_it_should_be_runs(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("pytest_plugins = ['tests.support.conforms']\n")
    pytester.makeini("[pytest]\nmarkers =\n    conforms(ids): what it proves\n")
    pytester.makepyfile(HEAD + "\n@pytest.mark.parametrize('n', [1, 2])\n@conforms('P18')\ndef test_a(n): pass\n")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)
