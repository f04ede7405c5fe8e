"""Expressions of the table's language, written in another language.

Python has one kind of value where others have two, so every part knows whether it is a truth or a number, and is turned
into the other where that is wanted. What is known (the event, a payload, a setting) is worked out on the way; this is
not the explorer's folding, on purpose.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

import attrs

from gatewright.harness.explore.terms import Term, dotted
from gatewright.spec.errors import TableError


@attrs.frozen(kw_only=True)
class Dialect:
    """How a language says it; the texts are formats."""

    conjunction: str
    disjunction: str
    negation: str
    choice: str
    """Of ``{test}``, ``{yes}`` and ``{no}``."""
    operators: dict[type[ast.AST], str]
    number: str = "{}"
    """A truth as 0 or 1."""
    truth: str = "{}"
    """Whether a number is not 0."""
    true: str = "true"
    false: str = "false"


@attrs.frozen
class Said:
    """A part of an expression: its text, what it is, and its value where that is known.

    `two` says that a number can only be 0 or 1, so that ``and`` and ``or`` give the same as in Python.
    """

    text: str
    is_truth: bool = False
    value: int | str | None = None
    two: bool = False


def known(value: object) -> Said:
    """A constant; nothing is 0, and truths are 0 and 1."""
    if isinstance(value, str):
        return Said(value, value=value)
    if value is None or isinstance(value, (bool, int)):
        return Said(str(int(bool(value)) if value is None else int(value)), value=int(value or 0), two=value in {0, 1})
    raise TableError(f"{value!r} cannot be written in another language: it is neither a number nor a text")


class Writer:
    """Writes expressions in one language.

    Args:
        dialect: the language.
        names: what a name means; dotted names and facts such as ``does(abort_socket)`` are asked for whole. ``None``
            for a name that has no meaning.
    """

    def __init__(self, dialect: Dialect, names: Callable[[str], Said | None]) -> None:
        self._dialect = dialect
        self._names = names

    def truth(self, node: Term) -> str:
        """The expression, as a condition."""
        return self._truth(self.visit(node))

    def number(self, node: Term) -> str:
        """The expression, as a number."""
        return self._number(self.visit(node), node)

    def _truth(self, said: Said) -> str:
        if said.value is not None:
            return self._dialect.true if said.value else self._dialect.false
        return said.text if said.is_truth else self._dialect.truth.format(said.text)

    def _number(self, said: Said, node: Term) -> str:
        if isinstance(said.value, str):
            raise TableError(f"a text where a number is wanted: {ast.unparse(node)!r}")
        if said.value is not None:
            return said.text
        if said.is_truth and not said.two:
            raise TableError(f"`and` and `or` of more than two values: {ast.unparse(node)!r}")
        return self._dialect.number.format(said.text) if said.is_truth else said.text

    def visit(self, node: Term) -> Said:
        """The expression, with what is known of it."""
        name = dotted(node)
        if name is not None:
            return self._name(name)
        match node:
            case ast.Constant(value):
                return known(value)
            case ast.BoolOp(op, values):
                return self._junction(isinstance(op, ast.And), values)
            case ast.UnaryOp(ast.Not(), operand):
                return self._not(self.visit(operand))
            case ast.UnaryOp(ast.USub(), operand):
                return self._arithmetic(ast.Constant(0), ast.Sub(), operand)
            case ast.BinOp(left, op, right):
                return self._arithmetic(left, op, right)
            case ast.Compare(left, ops, comparators):
                sides = [left, *comparators]
                parts = [ast.Compare(a, [op], [b]) for a, op, b in zip(sides, ops, comparators, strict=False)]
                if len(parts) > 1:
                    return self._junction(True, parts)
                return self._comparison(left, ops[0], comparators[0])
            case ast.IfExp(test, body, orelse):
                return self._choice(test, body, orelse)
            case ast.Call(ast.Name("min" | "max" as function), [left, right]):
                order = ast.LtE() if function == "min" else ast.GtE()
                return self._choice(ast.Compare(left, [order], [right]), left, right)
            case ast.Call(ast.Name(function), [ast.Constant(str(about))]):
                return self._name(f"{function}({about})")
            case _:
                raise TableError(f"cannot be written in another language: {ast.unparse(node)!r}")

    def _name(self, name: str) -> Said:
        said = self._names(name)
        if said is None:
            raise TableError(f"{name!r} has no meaning in the exported model")
        return said

    def _not(self, said: Said) -> Said:
        if said.value is not None:
            return known(not said.value)
        return Said(self._dialect.negation.format(self._truth(said)), is_truth=True, two=True)

    def _junction(self, conjunction: bool, values: Iterable[Term]) -> Said:
        parts: list[str] = []
        two = True
        for value in values:
            said = self.visit(value)
            if said.value is not None:
                if bool(said.value) is not conjunction:
                    # What stands left of it need not be asked any more, and what stands right was not visited.
                    return known(not conjunction)
                continue
            parts.append(self._truth(said))
            two = two and said.two
        if not parts:
            return known(conjunction)
        joint = self._dialect.conjunction if conjunction else self._dialect.disjunction
        return Said(f"({joint.join(parts)})" if len(parts) > 1 else parts[0], is_truth=True, two=two)

    def _arithmetic(self, left: Term, op: ast.operator, right: Term) -> Said:
        one, other = self.visit(left), self.visit(right)
        if isinstance(one.value, int) and isinstance(other.value, int):
            return known(_work_out(one.value, op, other.value))
        text = f"({self._number(one, left)} {self._dialect.operators[type(op)]} {self._number(other, right)})"
        return Said(text)

    def _comparison(self, left: Term, op: ast.cmpop, right: Term) -> Said:
        if isinstance(op, (ast.In, ast.NotIn)):
            if not isinstance(right, ast.Tuple):
                raise TableError("`in` needs a tuple")
            found = self._junction(False, [ast.Compare(left, [ast.Eq()], [value]) for value in right.elts])
            return found if isinstance(op, ast.In) else self._not(found)
        match right:
            case ast.IfExp(test, ast.Constant(str()) as body, ast.Constant(str()) as orelse):
                # Texts are only compared, so it is the comparisons that are chosen.
                sides = (ast.Compare(left, [op], [body]), ast.Compare(left, [op], [orelse]))
                return self._choice(test, *sides)
            case _:
                pass
        one, other = self.visit(left), self.visit(right)
        if one.value is not None and other.value is not None:
            return known(_compare(one.value, op, other.value))
        kind = ast.Eq if isinstance(op, ast.Is) else ast.NotEq if isinstance(op, ast.IsNot) else type(op)
        operator = self._dialect.operators[kind]
        text = f"({self._number(one, left)} {operator} {self._number(other, right)})"
        return Said(text, is_truth=True, two=True)

    def _choice(self, test: Term, body: Term, orelse: Term) -> Said:
        asked = self.visit(test)
        if asked.value is not None:
            return self.visit(body if asked.value else orelse)
        one, other = self.visit(body), self.visit(orelse)
        if one.value is not None and one.value == other.value:
            return one
        truths = one.is_truth and other.is_truth
        yes = self._truth(one) if truths else self._number(one, body)
        no = self._truth(other) if truths else self._number(other, orelse)
        text = self._dialect.choice.format(test=self._truth(asked), yes=yes, no=no)
        return Said(text, is_truth=truths, two=one.two and other.two)


def _work_out(one: int, op: ast.operator, other: int) -> int:
    if isinstance(op, ast.Add):
        return one + other
    return one - other if isinstance(op, ast.Sub) else one * other


def _compare(one: int | str, op: ast.cmpop, other: int | str) -> bool:
    if isinstance(op, (ast.Eq, ast.Is)):
        return one == other
    if isinstance(op, (ast.NotEq, ast.IsNot)):
        return one != other
    if isinstance(one, str) or isinstance(other, str):
        raise TableError(f"{one!r} and {other!r} have no order")
    match op:
        case ast.Lt():
            return one < other
        case ast.LtE():
            return one <= other
        case ast.Gt():
            return one > other
        case _:
            return one >= other
