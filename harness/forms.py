"""The forms of a counterexample: for people, as a drawing, as a test to paste, as an example, as a journal."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Final

from gatewright.harness.explore import replay, retracing
from gatewright.harness.explore.counterexample import Counterexample
from gatewright.harness.explore.sequence import mermaid
from gatewright.harness.subject import Subject

FORMS: Final = ("text", "mermaid", "pytest", "example", "journal")


def printer(form: str, subject: Subject, path: str | None, environment: str | None) -> Callable[[Counterexample], str]:
    """What writes a counterexample of `subject` in one of the `FORMS`.

    Args:
        form: which.
        subject: what was explored.
        path: what `gatewright check` was given for it; without one it is the shipped table, whose example and journal
            are those of the real core.
        environment: likewise.
    """
    table, around = subject.table, subject.environment
    if form == "mermaid":
        return mermaid
    if path is None:
        return _of_the_core(form)
    match form:
        case "pytest":
            source = source_of(path, subject, environment)
            return functools.partial(retracing.as_pytest, table=table, environment=around, source=source)
        case "example":
            return functools.partial(retracing.as_example, table=table, environment=around)
        case "journal":
            return retracing.as_journal
        case _:
            return str


def _of_the_core(form: str) -> Callable[[Counterexample], str]:
    match form:
        case "pytest":
            return replay.as_pytest
        case "example":
            return replay.as_example
        case "journal":
            return lambda found: replay.replay(found.steps).journal
        case _:
            return str


def source_of(path: str, subject: Subject, environment: str | None) -> retracing.Source:
    """How a test comes by what ``package.module:name`` names, as :func:`gatewright.harness.subject.load` did."""
    module, _, name = path.partition(":")
    found = _found(path)
    if found is subject:
        return _source((path,), f"{name}.table", f"{name}.environment")
    called = f"{name}()" if callable(found) and not isinstance(found, type) else name
    if called != name and isinstance(found(), Subject):  # type: ignore[operator]
        return _source((path,), f"{called}.table", f"{called}.environment")
    around = environment or f"{module}:ENVIRONMENT"
    of_it = around.partition(":")[2]
    surrounding = _found(around)
    asked = f"{of_it}()" if callable(surrounding) and not isinstance(surrounding, type) else of_it
    return _source((path, around), called, asked)


def _found(path: str) -> object:
    module, _, name = path.partition(":")
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _source(paths: tuple[str, ...], table: str, environment: str) -> retracing.Source:
    names: dict[str, set[str]] = {}
    for path in paths:
        module, _, name = path.partition(":")
        names.setdefault(module, set()).add(name.partition(".")[0])
    lines = (f"from {module} import {', '.join(sorted(found))}" for module, found in sorted(names.items()))
    return retracing.Source(imports=tuple(lines), table=table, environment=environment)
