"""TLA+ as a language: how expressions are written, and which names are free."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Final

from gatewright.harness.explore.terms import Term
from gatewright.harness.export.writing import Dialect, Said, Writer

TLA: Final = Dialect(
    conjunction=" /\\ ",
    disjunction=" \\/ ",
    negation="(~{})",
    choice="(IF {test} THEN {yes} ELSE {no})",
    operators={
        ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Eq: "=", ast.NotEq: "#", ast.Lt: "<", ast.LtE: "<=",
        ast.Gt: ">", ast.GtE: ">=",
    },
    number="(IF {} THEN 1 ELSE 0)",
    truth="({} # 0)",
    true="TRUE",
    false="FALSE",
)  # fmt: skip
IDENTIFIER: Final = re.compile(r"[A-Za-z]\w*", re.ASCII)
_WORDS: Final = """
a b found k none p s t u x vars Now Become Least Init Next Spec Fairness Types Legal Steps Judged Edges Quiet
Prompt Due Stuck Eager EagerFairness Anew Timely Converges
Int Nat Cardinality IsFiniteSet
ACTION ASSUME ASSUMPTION AXIOM BOOLEAN BY CASE CHOOSE CONSTANT CONSTANTS COROLLARY DEF DEFINE DEFS DOMAIN ELSE ENABLED
EXCEPT EXTENDS FALSE HAVE HIDE IF IN INSTANCE LAMBDA LEMMA LET LOCAL MODULE NEW OBVIOUS OMITTED ONLY OTHER PICK PROOF
PROPOSITION PROVE QED RECURSIVE STATE STRING SUBSET SUFFICES TAKE TEMPORAL THEN THEOREM TRUE UNCHANGED UNION USE
VARIABLE VARIABLES WITH WITNESS
"""
RESERVED: Final[frozenset[str]] = frozenset(_WORDS.split())
"""What nothing else can be called: names of the module itself and of what it extends, and words of the language."""


class Words:
    """Names in the module for what has names of its own elsewhere; ``u1`` and so on are kept for rows."""

    def __init__(self) -> None:
        self._taken: set[str] = set(RESERVED)

    def new(self, text: str) -> str:
        """A name that nothing else has."""
        found = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
        if IDENTIFIER.fullmatch(found) is None:
            found = f"x_{found}"
        while found in self._taken or re.fullmatch(r"u\d+", found):
            found += "_"
        self._taken.add(found)
        return found

    def title(self, text: str) -> str:
        """The same, of words in plain language."""
        return self.new("".join(word[:1].upper() + word[1:] for word in re.split(r"\W+", text, flags=re.ASCII)))


class TlaWriter(Writer):
    """Texts are compared as texts, and ``in`` asks for a member of a set."""

    _TEXTS: Final = frozenset(("event", "kind"))

    def _comparison(self, left: Term, op: ast.cmpop, right: Term) -> Said:
        match left, right:
            case (ast.Name("row"), ast.Constant(str(text))):
                return super()._comparison(left, op, ast.Constant(self._name(repr(text)).value))
            case (ast.Name(name), ast.Constant(str(text))) if name in self._TEXTS:
                operator = self._dialect.operators[ast.Eq if isinstance(op, (ast.Eq, ast.Is)) else ast.NotEq]
                return Said(f'({self._name(name).text} {operator} "{text}")', is_truth=True, two=True)
            case (_, ast.Tuple(elements)) if isinstance(op, (ast.In, ast.NotIn)) and len(elements) > 1:
                return self._member(left, elements, negated=isinstance(op, ast.NotIn)) or super()._comparison(
                    left, op, right
                )
            case _:
                return super()._comparison(left, op, right)

    def _member(self, left: Term, elements: Iterable[Term], *, negated: bool) -> Said | None:
        asked = self.visit(left)
        if asked.value is not None:
            return None
        if isinstance(left, ast.Name) and left.id in self._TEXTS:
            members = [f'"{each.value!s}"' for each in elements if isinstance(each, ast.Constant)]
        else:
            members = [self.number(each) for each in elements]
        found = f"({asked.text} \\in {{{', '.join(members)}}})"
        return Said(f"(~{found})" if negated else found, is_truth=True, two=True)


def conjoined(parts: Iterable[str]) -> str:
    """All of them."""
    return TLA.conjunction.join(parts)


def union(parts: Iterable[str]) -> str:
    """The set of what is in one of them, one on a line."""
    return "\n      \\cup ".join(parts)


def bare(text: str) -> str:
    """Without parentheses around the whole."""
    while text.startswith("(") and text.endswith(")"):
        depth = 0
        for place, sign in enumerate(text):
            depth += (sign == "(") - (sign == ")")
            if depth == 0 and place < len(text) - 1:
                return text
        text = text[1:-1]
    return text
