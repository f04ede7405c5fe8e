"""Which demand of the gateway a test proves: `@conforms("P18")`.

A test that would fail if the engine broke a demand (P..) or left a decision (A..) says so with the mark, and
`docs/conformance.md` lists it there. Write the ids as plain strings: marks are found by reading the files, so that the
page and the checks are the same whichever tests run and in however many processes.

The module is a pytest plugin; `tests/conftest.py` loads it.
"""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gatewright.spec.references import resolve
from tests.support.checkout import ROOT

MARK = "conforms"


def conforms(*ids: str) -> pytest.MarkDecorator:
    """Mark a test, a class of them, or with `pytestmark` a module, that proves demands or decisions.

    Args:
        ids: one or more of P01, P02, … and A01, A02, …, each as a string of its own.

    Raises:
        UnknownReference: if an id names no fact.
        ValueError: if there is no id, or one of another kind: a race or an invariant is not a demand.
    """
    if not ids:
        raise ValueError('name what the test proves: @conforms("P18")')
    for reference in resolve(" ".join(ids)):
        if reference.id[0] not in "PA":
            raise ValueError(f"@conforms takes demands (P..) and open points (A..), and {reference.id} is neither")
    return getattr(pytest.mark, MARK)(*ids)  # type: ignore[no-any-return]


class MisplacedMark(Exception):
    """A use of `conforms` that marks no test, or whose ids cannot be read."""


def marks_of(path: Path) -> Mapping[str, tuple[str, ...]]:
    """The ids that each marked test of a file proves, read from its source.

    Args:
        path: a Python file; it is not imported.

    Returns:
        The ids by the test's name, as pytest writes it after the file: `test_x`, `TestCase::test_x`.

    Raises:
        MisplacedMark: if a mark stands where no test is, or an id is not a plain string.
    """
    source = path.read_text(encoding="utf-8")
    if "conforms(" not in source:
        return {}
    tree = ast.parse(source, str(path))
    found: defaultdict[str, list[str]] = defaultdict(list)
    seen: set[ast.Call] = set()

    def read(nodes: list[ast.expr]) -> list[str]:
        ids: list[str] = []
        for call in (call for node in nodes for call in _calls(node)):
            seen.add(call)
            for argument in call.args:
                if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                    raise MisplacedMark(f"{path}:{call.lineno}: write the ids of conforms() as plain strings")
                ids.append(argument.value)
        return ids

    def walk(body: list[ast.stmt], prefix: str, inherited: list[str]) -> None:
        own = [node.value for node in body if isinstance(node, ast.Assign) and _is_pytestmark(node)]
        inherited = [*inherited, *read(own)]
        for node in body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                walk(node.body, f"{prefix}{node.name}::", [*inherited, *read(node.decorator_list)])
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                ids = [*inherited, *read(node.decorator_list)]
                if ids:
                    found[prefix + node.name] += ids

    walk(tree.body, "", [])
    if lost := [call.lineno for call in _calls(tree) if call not in seen]:
        raise MisplacedMark(f"{path}:{lost[0]}: conforms() marks a test, a class of tests or a module")
    return {name: tuple(sorted(set(ids))) for name, ids in found.items()}


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == MARK:
            yield each


def _is_pytestmark(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)


@functools.cache
def marked() -> Mapping[str, tuple[str, ...]]:
    """Every marked test of the checkout: `tests/fsm/test_x.py::test_y` → the ids that it proves, sorted."""
    return {
        f"{path.relative_to(ROOT).as_posix()}::{name}": ids
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name, ids in marks_of(path).items()
    }


def proofs() -> Mapping[str, tuple[str, ...]]:
    """The tests that prove each id, sorted; an id that no test is marked with is absent."""
    tests: defaultdict[str, list[str]] = defaultdict(list)
    for test, ids in marked().items():
        for each in ids:
            tests[each].append(test)
    return {each: tuple(sorted(found)) for each, found in sorted(tests.items())}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the end of a whole run how far the MUST rows are covered."""
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        from tests.conformance.page import count  # reads the whole checkout, which a single test need not

        terminalreporter.write_line(f"conformance: {count()}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a mark that reading the file does not find: the page would leave the test out."""
    files: dict[Path, Mapping[str, tuple[str, ...]]] = {}
    for item in items:
        ids = {each for mark in item.iter_markers(MARK) for each in mark.args}
        if not ids:
            continue
        if item.path not in files:
            files[item.path] = marks_of(item.path)
        name = item.nodeid.partition("::")[2].partition("[")[0]
        if missing := ids - set(files[item.path].get(name, ())):
            raise pytest.UsageError(
                f"{item.nodeid} is marked with {', '.join(sorted(missing))} in a way that reading its file does not "
                'find: write @conforms("P18") above the test'
            )
