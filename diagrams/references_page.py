"""The page `docs/references.md`: every numbered fact in one place, with an anchor for each id.

Write it again after a change of the facts: `python -m gatewright.diagrams.references_page > docs/references.md`
(a test compares the two).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from gatewright.spec.references import KINDS, PAGES, REFERENCES, Reference

_HEAD = """\
<!-- Generated: python -m gatewright.diagrams.references_page > docs/references.md -->

# References

Every row of the table cites the facts that it rests on by their numbers, such as `P35 P37 I02`. These are all of
them. A number is never given to another fact. To link to one, use its id: `references.md#P35`.
"""


def render_references() -> str:
    """The page as Markdown, ending in a newline; the same facts give the same text."""
    return "\n".join([*_lines()]) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "| ids | what they are |"
    yield "|---|---|"
    for letter, meaning in KINDS.items():
        facts = _of_kind(letter)
        yield f"| [{facts[0].id}–{facts[-1].id}](#{facts[0].id}) | {meaning} |"
    for letter, meaning in KINDS.items():
        yield from ("", f"## {letter}: {meaning}", "")
        yield from _demands(_of_kind(letter)) if letter == "P" else _facts(_of_kind(letter))


def _of_kind(letter: str) -> list[Reference]:
    return [reference for reference in REFERENCES.values() if reference.id.startswith(letter)]


def _demands(references: Iterable[Reference]) -> Iterator[str]:
    """The table of what the gateway demands: the only kind that has a level and a source."""
    pages = ", ".join(f"{page} {title}" for page, title in PAGES.items())
    yield f"Sources are sections of Discord's documentation: {pages}."
    yield "Where there is none the documentation is silent: it is then what working clients do, or what we decided."
    yield ""
    yield "| id | level | what it demands | source |"
    yield "|---|---|---|---|"
    for reference in references:
        yield f"| {_anchor(reference)} | {reference.level} | {reference.text} | {reference.source} |"


def _facts(references: Iterable[Reference]) -> Iterator[str]:
    yield "| id | fact |"
    yield "|---|---|"
    for reference in references:
        yield f"| {_anchor(reference)} | {reference.text} |"


def _anchor(reference: Reference) -> str:
    return f'<a id="{reference.id}"></a>{reference.id}'


if __name__ == "__main__":
    # Bytes, so that the page is UTF-8 with plain newlines on every system.
    sys.stdout.buffer.write(render_references().encode())
