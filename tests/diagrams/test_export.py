"""What is checked in is what the table gives; one command writes it again."""

import shutil
from pathlib import Path, PurePosixPath

import pytest

import gatewright.diagrams.__main__ as command
from gatewright.diagrams.export import (
    BEGIN,
    DRAWINGS,
    END,
    FORMATS,
    VIEWS,
    Format,
    UnknownView,
    View,
    forgotten,
    generated_files,
    render,
    with_overview,
    write_all,
)
from gatewright.spec.errors import GatewrightError
from gatewright.spec.events import Register
from gatewright.spec.table import TABLE
from tests.diagrams.grammar import statements
from tests.support.checkout import ROOT

AGAIN = "the table has changed since it was written; write it again: make diagrams (or python -m gatewright.diagrams)"
README = ROOT / "README.md"


@pytest.mark.parametrize("path", generated_files(), ids=str)
def test_a_generated_file_is_not_stale(path: PurePosixPath) -> None:
    file = ROOT / path
    assert file.is_file(), f"{path} is missing; {AGAIN}"
    assert file.read_bytes() == generated_files()[path].encode(), f"{path}: {AGAIN}"


def test_the_overview_in_readme_is_not_stale() -> None:
    if not README.is_file():
        pytest.skip("there is no README.md here")
    text = README.read_text(encoding="utf-8")
    assert BEGIN in text, f"README.md shows the overview between {BEGIN} and {END}"
    assert "```mermaid" in with_overview(text)
    assert text == with_overview(text), f"README.md: {AGAIN}"


def test_no_drawing_of_another_day_is_left_over() -> None:
    assert forgotten(ROOT) == [], AGAIN


def test_every_drawing_keeps_to_the_grammar() -> None:
    drawings = {path: text for path, text in generated_files().items() if path.suffix == ".mmd"}
    assert len(drawings) == len(DRAWINGS)
    assert [path for path, text in drawings.items() if not statements(text)] == []


def test_the_same_files_are_made_twice() -> None:
    assert generated_files() == generated_files()


def test_a_generated_page_says_that_it_is_one() -> None:
    pages = {path: text for path, text in generated_files().items() if path.suffix == ".md"}
    assert [path for path, text in pages.items() if not text.startswith("<!-- Generated: python -m ")] == []


# One at a time --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", DRAWINGS)
def test_a_drawing_comes_bare_or_in_a_block_of_markdown(view: View) -> None:
    bare = render("mermaid", view)
    assert bare == generated_files()[PurePosixPath(f"diagrams/generated/{view}.mmd")]
    assert render("markdown", view) == f"```mermaid\n{bare}```\n"


def test_pages_are_those_of_the_checkout() -> None:
    assert render("markdown", "states") == generated_files()[PurePosixPath("docs/states.md")]
    assert render("markdown", "references") == generated_files()[PurePosixPath("docs/references.md")]


def test_the_matrix_alone_has_no_links_to_what_is_not_there() -> None:
    assert "✗" in render("markdown", "matrix")
    assert "](#" not in render("markdown", "matrix")


def test_every_view_exists_as_markdown() -> None:
    assert [view for view in VIEWS if not render("markdown", view).endswith("\n")] == []


def test_another_table_is_drawn_as_well() -> None:
    assert "register()" not in render("mermaid", "overview", [row for row in TABLE if row.event is not Register])


@pytest.mark.parametrize(("format_", "view"), [("mermaid", "matrix"), ("markdown", "door"), ("svg", "overview")])
def test_a_view_that_does_not_exist_is_refused_with_those_that_do(format_: Format, view: View) -> None:
    with pytest.raises(UnknownView) as caught:
        render(format_, view)
    assert isinstance(caught.value, GatewrightError)
    assert repr(view) in str(caught.value)
    assert [each for each in (*FORMATS, *VIEWS) if each not in str(caught.value)] == []


# README ---------------------------------------------------------------------------------------------------------------


def test_the_overview_replaces_what_is_between_the_markers_and_nothing_else() -> None:
    once = with_overview(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    assert once == f"above\n{BEGIN}\n{render('markdown', 'overview')}{END}\nbelow\n"
    assert with_overview(once) == once


@pytest.mark.parametrize(
    "readme", ["", "no markers", BEGIN, END, f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}", f"{BEGIN} {END} {END}"]
)
def test_a_readme_without_one_pair_of_markers_is_left_alone(readme: str) -> None:
    assert with_overview(readme) == readme


# All of them ----------------------------------------------------------------------------------------------------------


def test_writing_brings_a_checkout_up_to_date_and_says_what_it_changed(tmp_path: Path) -> None:
    everything = sorted(generated_files())
    assert sorted(write_all(tmp_path)) == everything
    assert {path: (tmp_path / path).read_bytes().decode() for path in everything} == generated_files()
    assert write_all(tmp_path) == []

    (tmp_path / "docs/states.md").write_text("old", encoding="utf-8")
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    (tmp_path / "diagrams/generated/door.mmd").write_text("", encoding="utf-8")
    assert [*map(str, write_all(tmp_path))] == ["docs/states.md", "README.md", "diagrams/generated/door.mmd"]
    assert "stateDiagram-v2" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert not (tmp_path / "diagrams/generated/door.mmd").exists()
    assert write_all(tmp_path) == []


def test_line_ends_are_those_of_the_checkout_on_every_system(tmp_path: Path) -> None:
    write_all(tmp_path)
    page = tmp_path / "docs/states.md"
    page.write_bytes(page.read_bytes().replace(b"\n", b"\r\n"))
    assert [*map(str, write_all(tmp_path))] == ["docs/states.md"]
    assert b"\r" not in page.read_bytes()


def checkout_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the command takes for the checkout that it lies in."""
    (tmp_path / "diagrams").mkdir()
    copy = Path(shutil.copy(command.__file__, tmp_path / "diagrams"))
    monkeypatch.setattr(command, "__file__", str(copy))
    return tmp_path


def test_the_command_writes_what_is_stale_and_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = checkout_with_the_command(tmp_path, monkeypatch)
    (root / "pyproject.toml").touch()
    assert command.main() == 0
    assert capsys.readouterr().out.splitlines() == [*map(str, generated_files())]
    assert command.main() == 0
    assert capsys.readouterr().out == "Everything is as the table has it.\n"


def test_the_command_says_what_to_do_where_there_is_no_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = checkout_with_the_command(tmp_path, monkeypatch)
    assert command.main() == 1
    assert "pip install --editable ." in capsys.readouterr().err
    assert not (root / "docs").exists()
