"""Every drawing and page that is made from the table: one at a time for the command line, all of them for the checkout.

What is checked in is always exactly what the table gives; a test compares the two. `python -m gatewright.diagrams`
writes it all again.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final, Literal, TypeAlias, get_args

from gatewright.diagrams.matrix import matrix
from gatewright.diagrams.mermaid import FOCUSES, detail, overview
from gatewright.diagrams.references_page import render_references
from gatewright.diagrams.state_pages import fenced, render_states
from gatewright.spec.errors import GatewrightError
from gatewright.spec.rows import Row
from gatewright.spec.table import TABLE

Format: TypeAlias = Literal["mermaid", "markdown"]
View: TypeAlias = Literal["overview", "start-up", "handshake", "session", "leaving", "matrix", "states", "references"]

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
VIEWS: Final[tuple[View, ...]] = get_args(View)

DRAWINGS: Final = ("overview", *FOCUSES)
"""The views that are drawings, and so exist in both formats; the others are pages."""

README: Final = PurePosixPath("README.md")
BEGIN: Final = "<!-- overview:begin -->"
END: Final = "<!-- overview:end -->"
"""README shows the overview between these two lines; what is there is replaced."""


class UnknownView(GatewrightError, ValueError):
    """A view that does not exist, or not in the format that was asked for; the message lists those that do."""


def render(format: Format, view: View = "overview", table: Iterable[Row] = TABLE) -> str:  # noqa: A002 - the word for it
    """One drawing or page.

    Args:
        format: ``"mermaid"`` for a bare drawing; ``"markdown"`` for a page, or a drawing in a block that GitHub draws.
        view: what is shown. ``"overview"`` is all states; ``"start-up"``, ``"handshake"``, ``"session"`` and
            ``"leaving"`` are its parts in detail; ``"matrix"`` is every state with every event; ``"states"`` all of
            these with every row, and ``"references"`` the facts that rows cite.
        table: the rows; those that are shipped by default.

    Returns:
        The text, ending in a newline.

    Raises:
        UnknownView: if there is no such view in this format.
        DrawingTooLarge: if Mermaid would not draw it.
    """
    if format == "mermaid" and view in DRAWINGS:
        return _drawing(view, table)
    if format == "markdown" and view in DRAWINGS:
        return fenced(_drawing(view, table)) + "\n"
    if format == "markdown" and view == "matrix":
        return matrix(table, link=lambda text, _: text)  # the rows that a link would lead to are not in this text
    if format == "markdown" and view == "states":
        return render_states(table)
    if format == "markdown" and view == "references":
        return render_references()
    raise UnknownView(
        f"there is no view {view!r} as {format!r}.\n"
        f"  As mermaid: {', '.join(DRAWINGS)}.\n"
        f"  As markdown: {', '.join(VIEWS)}."
    )


def _drawing(view: str, table: Iterable[Row]) -> str:
    for focus in FOCUSES:
        if view == focus:
            return detail(table, focus)
    return overview(table)


def generated_files() -> dict[PurePosixPath, str]:
    """Every file that is generated as a whole: its path from the root of a checkout, and what must be in it."""
    drawings = {PurePosixPath(f"diagrams/generated/{view}.mmd"): _drawing(view, TABLE) for view in DRAWINGS}
    pages = {
        PurePosixPath("docs/states.md"): render_states(TABLE),
        PurePosixPath("docs/references.md"): render_references(),
    }
    return drawings | pages


def with_overview(readme: str) -> str:
    """The text of README with the overview of now; as it was, if the markers are not there once each, in order."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in before + after:
        return readme
    return f"{before}{BEGIN}\n{fenced(overview(TABLE))}\n{END}{after}"


def write_all(root: Path) -> list[PurePosixPath]:
    """Write every generated file of a checkout, and the overview in its README, if it has one.

    Args:
        root: the root of the checkout.

    Returns:
        The files that were out of date; drawings that are not made any more are removed, and are among them.
    """
    wanted = generated_files()
    if (root / README).is_file():
        wanted[README] = with_overview(_read(root / README))
    stale = [path for path, text in wanted.items() if not (root / path).is_file() or _read(root / path) != text]
    for path in stale:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(wanted[path], encoding="utf-8", newline="\n")
    for path in forgotten(root):
        (root / path).unlink()
        stale.append(path)
    return stale


def forgotten(root: Path) -> list[PurePosixPath]:
    """Drawings in the folder of the generated ones that are not made any more."""
    found = (PurePosixPath(path.relative_to(root).as_posix()) for path in (root / "diagrams/generated").glob("*.mmd"))
    return sorted({*found} - generated_files().keys())


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8")
