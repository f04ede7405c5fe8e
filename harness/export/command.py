"""`gatewright export`: the shipped table, or one of yours, as a model for another tool."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.lint import findings
from gatewright.harness.explore.properties import Property, Shape
from gatewright.harness.export.promela import promela
from gatewright.harness.export.promela_convergence import promela_convergence
from gatewright.harness.export.tla import tla
from gatewright.harness.subject import Subject
from gatewright.spec.errors import ConfigurationError, TableError

Language = Literal["promela", "tla"]


def run(
    subject: Subject,
    language: Language,
    *,
    values: Mapping[str, int],
    output: Path | None,
    eventually: str | None = None,
) -> int:
    """Writes the model to standard output, or to a file; a module of TLA+ has its configuration beside it.

    Args:
        subject: what is exported.
        language: in which language.
        values: first values of variables, which come before those of the subject's bounds.
        output: the file. A module of TLA+ is called as its file is.
        eventually: id or name of a property that must come to pass, which is a model of its own in Promela.

    Raises:
        TableError: for a table that cannot be right, or cannot be said in the language.
        ConfigurationError: for a file that cannot hold it, or a property that is none.
    """
    table, environment = subject.table, subject.environment
    if found := list(findings(table, environment)):
        raise TableError(f"{table.name} cannot be exported:\n  " + "\n  ".join(found))
    bounds = attrs.evolve(subject.bounds, values={**subject.bounds.values, **values})
    if eventually is not None:
        if language != "promela":
            raise ConfigurationError("--eventually is for Promela; a module of TLA+ has it as `Converges`")
        _write(output, promela_convergence(table, environment, _goal(environment, eventually), bounds))
        return 0
    if language == "promela":
        _write(output, promela(table, environment, bounds))
        return 0
    if output is None:
        module = tla(table, environment, bounds)
        # Whatever stands below the module is no part of it.
        _write(None, f"{module.text}\nFor TLC, {module.name}.cfg:\n\n{module.config}")
        return 0
    if output.suffix != ".tla":
        raise ConfigurationError(f"{output} must end in .tla; TLC looks for a module in the file of that name")
    module = tla(table, environment, bounds, name=output.stem)
    _write(output, module.text)
    _write(output.with_suffix(".cfg"), module.config)
    return 0


def _goal(environment: Environment, wanted: str) -> Property:
    goals = [item for item in environment.properties if item.shape is Shape.EVENTUALLY]
    found = [item for item in goals if wanted in {item.id, item.name}]
    if len(found) != 1:
        names = ", ".join(repr(item.name) for item in goals) or "none"
        raise ConfigurationError(f"{wanted!r} names no property, or several, of what must come to pass: {names}")
    return found[0]


def _write(output: Path | None, text: str) -> None:
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8", newline="\n")
