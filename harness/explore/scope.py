"""How the names in the expressions of a product are read.

Inside, the variable `x` of the machine `left` has the name ``left·x``, which is an identifier of Python that nobody
types, so that expressions of a product are expressions of variables like any other.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Final

import attrs

from gatewright.harness.explore.terms import STEP_FACTS, Term, constant, term
from gatewright.spec.errors import TableError

MARK: Final = "·"
_SILENT: Final[Mapping[str, object]] = {
    "event": "", "kind": "", "row": "", "moves": False, "updates": 0, "effects": 0,
}  # fmt: skip
"""What a step of another machine is to a property of this one."""


def inner(machine: str, name: str) -> str:
    """The name inside."""
    return f"{machine}{MARK}{name}"


def public(text: str) -> str:
    """A name, or a sentence with names, as people read it."""
    return text.replace(MARK, ".")


def owner(name: str) -> str:
    """The machine whose variable that is; empty for what all share."""
    return name.partition(MARK)[0] if MARK in name else ""


def _chain(node: ast.AST) -> list[str] | None:
    """``a.b.c`` as its parts."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        before = _chain(node.value)
        return None if before is None else [*before, node.attr]
    return None


@attrs.frozen
class Scope:
    """The names that an expression may say.

    Attributes:
        names: for each machine, its variables and ``state``.
        machine: whose names need no prefix; empty where no machine is meant.
        settings: what ``settings.x`` is there.
    """

    names: Mapping[str, Collection[str]]
    machine: str = ""
    settings: Mapping[str, object] = attrs.field(factory=dict[str, object])

    def name(self, name: str) -> str:
        """The name inside of a variable; itself for one that all share."""
        first, dot, rest = name.partition(".")
        if dot and rest in self.names.get(first, ()):
            return inner(first, rest)
        return inner(self.machine, name) if name in self.names.get(self.machine, ()) else name

    def read(self, text: str, *, silent: bool = False) -> str:
        """The expression in names of the inside.

        Args:
            text: the expression.
            silent: it is judged of a step that another machine takes, of which this one hears nothing.

        Raises:
            TableError: it speaks of a variable that the machine does not have.
        """
        return ast.unparse(_Reading(self, text, silent=silent).visit(copy.deepcopy(term(text))))


class _Reading(ast.NodeTransformer):
    def __init__(self, scope: Scope, text: str, *, silent: bool) -> None:
        self._scope = scope
        self._text = text
        self._silent = silent

    def visit_Call(self, node: ast.Call) -> Term:
        if self._silent and isinstance(node.func, ast.Name) and node.func.id in STEP_FACTS:
            return constant(False)
        node.args = [self.visit(value) for value in node.args]
        return node

    def visit_Name(self, node: ast.Name) -> Term:
        return self._named([node.id], node)

    def visit_Attribute(self, node: ast.Attribute) -> Term:
        chain = _chain(node)
        return node if chain is None else self._named(chain, node)

    def _named(self, chain: list[str], node: Term) -> Term:
        scope = self._scope
        first, *rest = chain
        if first == "before" and rest:
            return ast.Attribute(ast.Name("before", ast.Load()), self._variable(rest), ast.Load())
        if self._silent and first in _SILENT and not rest:
            value = _SILENT[first]
            return ast.Constant(value) if isinstance(value, str) else constant(value)
        if first == "settings" and len(rest) == 1 and rest[0] in scope.settings:
            return constant(scope.settings[rest[0]])
        if first in scope.names and rest:
            return ast.Name(self._variable(chain), ast.Load())
        return node if rest else ast.Name(scope.name(first), ast.Load())

    def _variable(self, chain: list[str]) -> str:
        name = ".".join(chain)
        known = self._scope.name(name)
        if len(chain) > 1 and known == name:
            machine = chain[0]
            if machine not in self._scope.names:
                raise TableError(f"{self._text!r}: there is no machine {machine!r}")
            raise TableError(f"{self._text!r}: the machine {machine!r} has no variable {'.'.join(chain[1:])!r}")
        return known


def closed(text: str, machine: str) -> str:
    """The expression, from inside the code of one machine, to which its own state is just ``state``."""
    return re.sub(rf"(?<!\w){inner(machine, 'state')}(?![\w{MARK}])", "state", text) if machine else text


def unique(enumerations: Collection[type[Enum]]) -> tuple[type[Enum], ...]:
    """Each of them once.

    Raises:
        TableError: two have one name, so that an expression that says it could mean either.
    """
    found: dict[str, type[Enum]] = {}
    for enumeration in enumerations:
        if found.setdefault(enumeration.__name__, enumeration) is not enumeration:
            raise TableError(f"two enumerations are called {enumeration.__name__}; give one of them another name")
    return tuple(found.values())
