"""The page `docs/conformance.md`: each demand of the gateway, where it is met, and the tests that prove it.

Everything on it is read: levels and sentences from `gatewright.spec.references`, places from the table's `ref`s and
from the modules that cite an id, tests from their marks. What cannot be read is in `scope.py`.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import attrs

from gatewright.spec.references import REFERENCES, Reference
from gatewright.spec.references_protocol import INFERRED
from gatewright.spec.table import TABLE
from tests.conformance.scope import DECIDED, OUT_OF_SCOPE
from tests.support.checkout import ROOT
from tests.support.conforms import proofs

PATH = ROOT / "docs" / "conformance.md"

COMMAND = "python -m tests.conformance"

_ENGINE = ("spec", "fsm", "transport", "fleet", "embed", "gatewright")

# Facts are listed there, not acted upon; and the table is cited row by row.
_NO_PLACE = {"spec/references.py", "spec/references_protocol.py", "spec/references_races.py", "spec/table.py"}

_MOST_ROWS = 6
_MOST_TESTS = 6

_HEAD = f"""\
<!-- Generated: {COMMAND} -->

# Conformance

What the Discord gateway demands of a client (API v10, documentation of August 2026), and what this engine does about
it. *Where* names the rows of [the table](../spec/table.py) that cite the demand, and the modules that do; *proved by*
names the tests that fail when it is broken. A test says so itself, with `@conforms("P18")`; a MUST without a test
fails CI, and `tests/conformance/sabotage.py` breaks the engine to see that such a test goes red.

Levels are those of RFC 2119; *ours* marks what the documentation leaves out and working clients or arithmetic
demand. Sources are in [references.md](references.md).
"""


@attrs.frozen
class Count:
    """How far the MUST rows are covered."""

    must: int
    proved: int
    tests: int
    out_of_scope: int

    def __str__(self) -> str:
        return (
            f"{self.proved} of {self.must} MUST rows have tests ({self.tests} tests prove a row), "
            f"{self.out_of_scope} rows are out of scope"
        )


def count() -> Count:
    """The number that CI prints."""
    tests = proofs()
    musts = [each for each in demands() if each.level == "MUST" and each.id not in OUT_OF_SCOPE]
    proving = {test for each, found in tests.items() if each.startswith("P") for test in found}
    return Count(
        must=len(musts),
        proved=sum(each.id in tests for each in musts),
        tests=len(proving),
        out_of_scope=len(OUT_OF_SCOPE),
    )


def demands() -> list[Reference]:
    """The P rows in order."""
    return [reference for reference in REFERENCES.values() if reference.id.startswith("P")]


def open_points() -> list[Reference]:
    """The A rows in order."""
    return [reference for reference in REFERENCES.values() if reference.id.startswith("A")]


@functools.cache
def rows_by_id() -> Mapping[str, tuple[str, ...]]:
    """The ids of the table's rows that cite each fact; rows of one reason count once, under their first id."""
    found: defaultdict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for row in TABLE:
        for each in row.ref.split():
            found[each].setdefault((row.event.__name__, row.why), row.id)
    return {each: tuple(rows.values()) for each, rows in found.items()}


@functools.cache
def modules_by_id() -> Mapping[str, tuple[str, ...]]:
    """The engine's modules whose text cites each fact; a range such as ``P22-P26`` cites all that it spans."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for room in _ENGINE:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            # The face has a link to each room, and a file is named where it is.
            if name in _NO_PLACE or not path.resolve().is_relative_to(ROOT / room):
                continue
            for cited in _cited(path.read_text(encoding="utf-8")):
                found[cited].add(name)
    return {each: tuple(sorted(names)) for each, names in found.items()}


def _cited(text: str) -> set[str]:
    cited: set[str] = set()
    for letter, first, last in re.findall(r"\b([PA])(\d\d)(?:[-–](?:[PA])?(\d\d))?\b", text):
        cited |= {f"{letter}{number:02}" for number in range(int(first), int(last or first) + 1)}
    return cited


def render() -> str:
    """The page as Markdown, ending in a newline; the same checkout gives the same text."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    yield f"**{count()}.**"
    yield ""
    yield "## What the gateway demands"
    yield ""
    yield "| id | level | demand | where | proved by |"
    yield "|---|---|---|---|---|"
    for each in demands():
        level = f"{each.level} (ours)" if each.id in INFERRED else each.level
        if each.id in OUT_OF_SCOPE:
            where, proof = "–", f"*Out of scope.* {OUT_OF_SCOPE[each.id]}"
        else:
            where, proof = _where(each.id), _tests(each.id)
        yield f"| {_anchor(each)} | {level} | {each.text} | {where} | {proof} |"
    yield ""
    yield "## What its documentation leaves open"
    yield ""
    yield "Each is decided as stated, and as working clients or caution suggest."
    yield ""
    yield "| id | question and answer | where | proved by |"
    yield "|---|---|---|---|"
    for each in open_points():
        answer = f"{each.text} **Here:** {DECIDED[each.id]}" if each.id in DECIDED else each.text
        yield f"| {_anchor(each)} | {answer} | {_where(each.id)} | {_tests(each.id)} |"


def _anchor(reference: Reference) -> str:
    return f'<a id="{reference.id}"></a>{reference.id}'


def _where(each: str) -> str:
    rows = [f"`{row}`" for row in _some(rows_by_id().get(each, ()), _MOST_ROWS)]
    modules = [f"[{name}](../{name})" for name in modules_by_id().get(each, ())]
    return "<br>".join([*rows, *modules]) or "–"


def _tests(each: str) -> str:
    links: list[str] = []
    for test in _some(proofs().get(each, ()), _MOST_TESTS):
        path, _, name = test.partition("::")
        links.append(f"[{name}](../{path})" if name else test)
    return "<br>".join(links) or "–"


def _some(items: Iterable[str], most: int) -> list[str]:
    chosen = list(items)
    return chosen if len(chosen) <= most else [*chosen[: most - 1], f"and {len(chosen) - most + 1} more"]
