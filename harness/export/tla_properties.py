"""The properties of a table in TLA+: of states as invariants, of steps as one action property and one invariant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gatewright.harness.explore.properties import Property, Shape
from gatewright.harness.explore.terms import term
from gatewright.harness.export.plan import Plan, RowPlan
from gatewright.harness.export.tla_language import TLA, TlaWriter, bare, union
from gatewright.harness.export.tla_names import Names, members
from gatewright.harness.export.writing import Said, known

_FACT: Final = re.compile(r"(does|assigned|updated)\((\w+)\)")
_NUMBERS: Final = frozenset(("updates", "effects"))


class Judgement:
    """What must hold of the steps that actions give: ``k`` is one, from ``s`` to ``t``."""

    def __init__(self, plan: Plan, names: Names) -> None:
        self._plan = plan
        self._names = names
        self._facts: dict[str, tuple[str, str]] = {}
        """What is asked of a step's row, to the operator's name and its definition."""

    def lines(self, actions: Iterable[str]) -> Iterator[str]:
        """The definitions; `actions` are the names of all of them."""
        names = self._names
        for item in self._plan.shaped(Shape.ALWAYS):
            yield f"\\* {item.name}"
            yield f"{names.properties[item.name]} == {names.truth(item.expression)}"
        yield ""
        edges = self._plan.shaped(Shape.EDGE)
        stated = [line for item in edges for line in self._edge(item)]  # which facts are asked for is known afterwards
        yield "\\* What the row of a step does; row 0 is the environment alone."
        for _, definition in self._facts.values():
            yield definition
        yield from stated
        refusing = [row.number for row in self._plan.rows if row.refuses]
        refused = f"(k.row \\in {members(refusing)}) \\/ " if refusing else ""
        judged = "".join(f"\n  /\\ {names.properties[item.name]}(s, k.t, k)" for item in edges) or TLA.true
        yield "\\* A row that refuses does nothing, and no property of steps is asked of it."
        yield f"Judged(s, k) == {refused}({judged})"
        yield f"Steps(s) == {union(f'{each}_steps(s)' for each in actions)}"
        yield "Edges == [][\\A k \\in Steps(Now) : (k.t = Now') => Judged(Now, k)]_vars"
        yield "Quiet == \\A k \\in Steps(Now) : (k.t = Now) => Judged(Now, k)"

    def _edge(self, item: Property) -> Iterator[str]:
        names = self._names

        def name(text: str) -> Said | None:
            if text.startswith("before."):
                return names.variable(text[7:], "s")
            if text.startswith("event."):
                return Said(f"k.p.{names.payload(text[6:])}")
            if text in {"event", "row"}:
                return Said(f"k.{text}")
            if text in {"kind", "moves", *_NUMBERS} or _FACT.fullmatch(text):
                return self._fact(text)
            if text.startswith("'"):
                return known(next((row.number for row in self._plan.rows if row.row.id == text[1:-1]), -1))
            return names.variable(text, "t") or names.constant(text)

        yield f"\\* {item.name}"
        yield f"{names.properties[item.name]}(s, t, k) == {bare(TlaWriter(TLA, name).truth(term(item.expression)))}"

    def _fact(self, text: str) -> Said:
        """A truth about rows is the set of those of which it holds, everything else an operator."""
        if text not in self._facts:
            word = self._names.new(text)
            values: Mapping[int, object] = {row.number: _does(row, text) for row in self._plan.rows}
            self._facts[text] = (word, _defined(word, text, values))
        word = self._facts[text][0]
        if text == "kind" or text in _NUMBERS:
            return Said(f"{word}(k)")
        return Said(f"(k.row \\in {word})", is_truth=True, two=True)


def _defined(word: str, fact: str, values: Mapping[int, object]) -> str:
    if fact != "kind" and fact not in _NUMBERS:
        return f"{word} == {members(number for number, value in values.items() if value)}"
    text = '""' if fact == "kind" else "0"
    for value in sorted({value for value in values.values() if value}, key=str):
        rows = members(number for number, found in values.items() if found == value)
        said = f'"{value}"' if fact == "kind" else value
        text = f"IF k.row \\in {rows} THEN {said} ELSE {text}"
    return f"{word}(k) == {text}"


def _does(plan: RowPlan, fact: str) -> object:
    row = plan.row
    match = _FACT.fullmatch(fact)
    if match is None:
        found: dict[str, object] = {
            "kind": str(row.kind.value),
            "moves": row.target is not None,
            "updates": len(row.updates),
            "effects": len(row.effects),
        }
        return found[fact]
    what, name = match.groups()
    if what == "does":
        return any(effect.name == name for effect in row.effects)
    return name in (row.updates if what == "updated" else plan.assigned)
