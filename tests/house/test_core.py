"""The core imports what it was given and nothing else. The contracts forbid by name; this allows by name."""

import ast
import sys
from collections.abc import Iterator

import pytest

from tests.support.checkout import ROOT, shipped_modules

ALLOWED = {
    "spec": {"attrs", "msgspec"},
    "fsm": {"attrs", "msgspec", "transitions"},
}


def imported_by(room: str) -> Iterator[str]:
    """The top-level names that the modules of a room import, anywhere in their code."""
    for path in shipped_modules().values():
        if path.parts[0] != room:
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_of_the_core_imports_no_package_that_it_was_not_given(room: str) -> None:
    packages = set(imported_by(room)) - sys.stdlib_module_names - {"gatewright"}
    assert packages <= ALLOWED[room]


def test_the_imports_are_seen() -> None:
    assert {"attrs", "enum", "gatewright"} <= set(imported_by("spec"))
