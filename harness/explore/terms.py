"""Expressions as syntax trees: read, rewritten, and evaluated as far as what is known allows.

The explorer's code is what is left of guards, updates and properties once the state, the event, its payload and the
bounds are known. Most of them vanish, which is why a million states take seconds.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final

from gatewright.spec.errors import TableError

Term = ast.expr
Known = Mapping[str, Term]
"""What a name stands for: a constant, or another expression."""

_COMPARE: Final[dict[type[ast.cmpop], Callable[[object, object], object]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.eq,  # constants are compared by value: only None and numbers are left by then
    ast.IsNot: operator.ne,
}
_ORDER: Final[dict[type[ast.cmpop], Callable[[int, int], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
_CALLS: Final = {"min": min, "max": max}
STEP_FACTS: Final = ("does", "assigned", "updated")
"""Functions of edge properties: what a step does, as a text."""
_NODES: Final = (
    ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Compare,
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn, ast.IfExp, ast.Tuple,
    ast.Call, ast.Attribute, ast.Name, ast.Load, ast.Constant,
)  # fmt: skip


@functools.cache
def term(text: str) -> Term:
    """The tree of an expression.

    Raises:
        TableError: when it is not an expression of the table's language.
    """
    try:
        body = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise TableError(f"not an expression: {text!r} ({error.msg})") from error
    for node in ast.walk(body):
        if not isinstance(node, _NODES):
            raise TableError(f"{type(node).__name__} is not in the table's language: {text!r}")
    return body


def constant(value: object) -> ast.Constant:
    """A constant. Members of enumerations become their number, truth values 0 and 1, and nothing (None) 0."""
    if isinstance(value, Enum):
        return ast.Constant(code_of(value))
    if value is None or isinstance(value, bool):
        return ast.Constant(int(bool(value)))
    return ast.Constant(value)  # type: ignore[arg-type]  # texts, numbers and None, by construction


def code_of(member: Enum) -> int:
    """The number by which a member is kept: its place in its class."""
    return _places(type(member))[member]


@functools.cache
def _places(enumeration: type[Enum]) -> Mapping[Enum, int]:
    # For each class of its own: members of two that are texts may be equal, as the state and the cause `stalled` are.
    return {member: place for place, member in enumerate(enumeration)}


def is_true(node: Term) -> bool:
    """Whether it is known to hold."""
    return isinstance(node, ast.Constant) and bool(node.value)


def is_false(node: Term) -> bool:
    """Whether it is known not to hold."""
    return isinstance(node, ast.Constant) and not node.value


def dotted(node: ast.AST) -> str | None:
    """``a`` or ``a.b`` as text, else ``None``."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return None


@functools.cache
def names_in(text: str) -> frozenset[str]:
    """Names and dotted names that the expression reads, beside functions."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        name = dotted(node)
        if name is not None:
            found.add(name)
            return
        for child in ast.iter_child_nodes(node):
            if not (isinstance(node, ast.Call) and child is node.func):
                visit(child)

    visit(term(text))
    return frozenset(found)


class Rewriting:
    """Replaces parts of an expression, found by what they say: the abstraction of what is not kept as it is.

    Args:
        patterns: expression to replacement, both as text.
    """

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = {ast.dump(term(old)): term(new) for old, new in patterns.items()}
        self._cache: dict[str, Term] = {}

    def __call__(self, text: str) -> Term:
        """The rewritten tree of `text`."""
        found = self._cache.get(text)
        if found is None:
            found = self._cache[text] = self._visit(term(text))
        return found

    def _visit(self, node: Term) -> Term:
        new = self._patterns.get(ast.dump(node))
        if new is not None:
            return new
        match node:
            case ast.BoolOp(op, values):
                # `a and b and c` also holds the pattern `b and c`.
                return ast.BoolOp(op, [self._visit(value) for value in values])
            case ast.UnaryOp(op, operand):
                return ast.UnaryOp(op, self._visit(operand))
            case ast.BinOp(left, op, right):
                return ast.BinOp(self._visit(left), op, self._visit(right))
            case ast.Compare(left, ops, comparators):
                return ast.Compare(self._visit(left), ops, [self._visit(value) for value in comparators])
            case ast.IfExp(test, body, orelse):
                return ast.IfExp(self._visit(test), self._visit(body), self._visit(orelse))
            case ast.Tuple(elts):
                return ast.Tuple([self._visit(value) for value in elts], ast.Load())
            case ast.Call(func, args):
                return ast.Call(func, [self._visit(value) for value in args], [])
            case _:
                return node


def fold(node: Term, known: Known) -> Term:
    """What is left of the expression when the names in `known` are replaced and everything constant is worked out."""
    name = dotted(node)
    if name is not None:
        return known.get(name, node)
    match node:
        case ast.Constant(value):
            return node if type(value) is int else constant(value)
        case ast.BoolOp(op, values):
            return _junction(op, (fold(value, known) for value in values))
        case ast.UnaryOp(ast.Not(), operand):
            return negate(fold(operand, known))
        case ast.UnaryOp(op, operand):
            inner = fold(operand, known)
            return ast.Constant(-_int(inner)) if isinstance(inner, ast.Constant) else ast.UnaryOp(op, inner)
        case ast.BinOp(left, op, right):
            return _arithmetic(fold(left, known), op, fold(right, known))
        case ast.Compare(left, [op], [right]):
            return _comparison(fold(left, known), op, fold(right, known))
        case ast.Compare(left, ops, comparators):
            sides = [left, *comparators]
            parts = [ast.Compare(a, [op], [b]) for a, op, b in zip(sides, ops, comparators, strict=False)]
            return _junction(ast.And(), (fold(part, known) for part in parts))
        case ast.IfExp(test, body, orelse):
            return _choice(fold(test, known), fold(body, known), fold(orelse, known))
        case ast.Tuple(elts):
            return ast.Tuple([fold(value, known) for value in elts], ast.Load())
        case ast.Call(ast.Name(function), args):
            return _call(function, [fold(value, known) for value in args], known)
        case _:
            raise TableError(f"cannot be explored: {ast.unparse(node)!r}")


def negate(node: Term) -> Term:
    """Not that."""
    if isinstance(node, ast.Constant):
        return constant(not node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return node.operand
    return ast.UnaryOp(ast.Not(), node)


def _int(node: ast.Constant) -> int:
    if not isinstance(node.value, int):
        raise TableError(f"not a number: {node.value!r}")
    return node.value


def _junction(op: ast.boolop, values: Iterable[Term]) -> Term:
    conjunction = isinstance(op, ast.And)
    left: list[Term] = []
    for value in values:
        if isinstance(value, ast.Constant):
            if bool(value.value) is not conjunction:  # decides
                return constant(not conjunction)
            continue
        left += value.values if isinstance(value, ast.BoolOp) and type(value.op) is type(op) else [value]
    if not left:
        return constant(conjunction)
    return left[0] if len(left) == 1 else ast.BoolOp(op, left)


def _arithmetic(left: Term, op: ast.operator, right: Term) -> Term:
    if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
        return ast.Constant(_ARITHMETIC[type(op)](_int(left), _int(right)))
    return ast.BinOp(left, op, right)


def _comparison(left: Term, op: ast.cmpop, right: Term) -> Term:
    if isinstance(op, (ast.In, ast.NotIn)):
        if not isinstance(right, ast.Tuple):
            raise TableError("`in` needs a tuple")
        parts = (_comparison(left, ast.Eq(), value) for value in right.elts)
        found = _junction(ast.Or(), parts)
        return found if isinstance(op, ast.In) else negate(found)
    if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
        if type(op) in _ORDER:
            return constant(_ORDER[type(op)](_int(left), _int(right)))
        return constant(_COMPARE[type(op)](left.value, right.value))
    if isinstance(op, (ast.Is, ast.IsNot)):
        op = ast.Eq() if isinstance(op, ast.Is) else ast.NotEq()
    if ast.dump(left) == ast.dump(right):
        return constant(isinstance(op, (ast.Eq, ast.LtE, ast.GtE)))
    return ast.Compare(left, [op], [right])


def _choice(test: Term, body: Term, orelse: Term) -> Term:
    if isinstance(test, ast.Constant):
        return body if test.value else orelse
    if ast.dump(body) == ast.dump(orelse):
        return body
    return ast.IfExp(test, body, orelse)


def _call(function: str, args: list[Term], known: Known) -> Term:
    if function in _CALLS:
        if all(isinstance(value, ast.Constant) for value in args):
            return ast.Constant(_CALLS[function](_int(value) for value in args if isinstance(value, ast.Constant)))
        return ast.Call(ast.Name(function, ast.Load()), args, [])
    # does("open_socket"), assigned("deadline"): facts about a step. Those that are not listed are false, once any are.
    match args:
        case [ast.Constant(str(name))] if function in STEP_FACTS:
            fact = known.get(f"{function}({name})")
            if fact is not None:
                return fact
            return constant(False) if "does()" in known else ast.Call(ast.Name(function, ast.Load()), args, [])
        case _:
            raise TableError(f"{function}() has no meaning here")


def source(node: Term) -> str:
    """The expression as Python text."""
    return ast.unparse(node)


def conjunction(*parts: Term) -> Term:
    """All of them."""
    return fold(ast.BoolOp(ast.And(), list(parts)), {})


def disjunction(parts: list[Term]) -> Term:
    """One of them."""
    return fold(ast.BoolOp(ast.Or(), parts), {}) if parts else ast.Constant(0)


def conjuncts(node: Term) -> list[Term]:
    """The parts that must all hold."""
    if is_true(node):
        return []
    return node.values if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And) else [node]


def free_names(node: Term) -> frozenset[str]:
    """The variables that a folded expression reads."""
    return frozenset(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and inner.id not in _CALLS)
