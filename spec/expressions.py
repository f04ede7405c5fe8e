"""The table's small language: a subset of Python expressions over the context and the event.

Guards, updates, effect values and deadlines are written in it, so that one definition gives the predicate that runs,
the label that is drawn, the text that is exported and the mutants that are tried. Names are fields of
:class:`~gatewright.spec.context.Context`; ``event.x`` is a field of the event; ``settings.x`` a bound; the functions
are those of :mod:`gatewright.spec.functions`, ``min`` and ``max``; the enumerations are those of :data:`ENUMERATIONS`.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol, cast

import attrs

from gatewright.spec.context import Context
from gatewright.spec.errors import TableError
from gatewright.spec.events import ConnectError, Event, MetadataError, SlotRefusal
from gatewright.spec.functions import FUNCTIONS
from gatewright.spec.protocol import CloseKind
from gatewright.spec.states import Cause, State, Then

ENUMERATIONS: Final[dict[str, type[Enum]]] = {
    enumeration.__name__: enumeration
    for enumeration in (State, Then, Cause, CloseKind, MetadataError, ConnectError, SlotRefusal)
}
FIELDS: Final = frozenset(field.name for field in attrs.fields(Context))
NAMESPACE: Final[dict[str, object]] = {**FUNCTIONS, **ENUMERATIONS, "min": min, "max": max}
"""What compiled expressions see beside the context ``c`` and the event ``e``."""

_ALLOWED: Final = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult,
    ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn, ast.IfExp,
    ast.Tuple, ast.Call, ast.Attribute, ast.Name, ast.Load, ast.Constant,
)  # fmt: skip


class Predicate(Protocol):
    """A compiled guard."""

    def __call__(self, c: Context, e: Event, /) -> bool:
        """Whether the guard holds."""
        ...


@functools.cache
def parse(text: str) -> ast.expr:
    """The syntax tree of an expression, checked against the subset.

    Raises:
        TableError: when `text` is not an expression of the language; the message quotes it and says why.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise TableError(f"not an expression: {text!r} ({error.msg})") from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise TableError(f"{type(node).__name__} is not in the table's language: {text!r}")
        if isinstance(node, ast.Call) and (
            not isinstance(node.func, ast.Name) or node.func.id not in NAMESPACE or node.keywords
        ):
            raise TableError(f"only the functions of gatewright.spec.functions may be called: {text!r}")
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            raise TableError(f"{node.attr!r} is private: {text!r}")
        if isinstance(node, ast.Name) and node.id not in FIELDS | NAMESPACE.keys() | {"event"}:
            raise TableError(f"{node.id!r} is neither a field of the context nor a known name: {text!r}")
    return tree.body


class _Qualify(ast.NodeTransformer):
    """Turns fields of the context into ``c.field``, and the event into ``e`` or its fields into ``e_field``."""

    def __init__(self, *, unpacked: bool) -> None:
        self._unpacked = unpacked

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if self._unpacked and isinstance(node.value, ast.Name) and node.value.id == "event":
            return ast.Name(f"e_{node.attr}", ast.Load())
        return cast("ast.expr", self.generic_visit(node))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == "event":
            return ast.Name("e", ast.Load())
        if node.id in FIELDS:
            return ast.Attribute(ast.Name("c", ast.Load()), node.id, ast.Load())
        return node


def source_of(text: str, *, unpacked: bool = False) -> str:
    """The expression as Python source over ``c`` (the context) and ``e`` (the event), in parentheses.

    With `unpacked` there is no event but each of its fields, as ``e_field``.
    """
    parse(text)
    return f"({ast.unparse(_Qualify(unpacked=unpacked).visit(ast.parse(text, mode='eval')))})"


@functools.cache
def compile_value(text: str) -> Callable[[Context, Event], object]:
    """The expression as a function of the context and the event."""
    code = compile(f"lambda c, e: {source_of(text)}", f"<expression {text}>", "eval")
    return cast("Callable[[Context, Event], object]", eval(code, dict(NAMESPACE)))  # noqa: S307 - checked by parse()


@functools.cache
def compile_predicate(text: str) -> Predicate:
    """The expression as a predicate that returns a real ``bool``."""
    value = compile_value(text)
    return lambda c, e: bool(value(c, e))


def names_read(text: str) -> frozenset[str]:
    """Fields of the context that the expression reads, and ``event.x`` for each field of the event."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "event":
            found.add(f"event.{node.attr}")
            return
        if isinstance(node, ast.Name) and node.id in FIELDS:
            found.add(node.id)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(parse(text))
    return frozenset(found)
