"""What is known in a state of the machine, whatever the values of the variables are."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import cast

from gatewright.harness.explore.layout import Layout
from gatewright.harness.explore.properties import Property, Shape
from gatewright.harness.explore.terms import Term, conjuncts, constant, fold, free_names, is_true, source, term


class Facts:
    """What is known in one state of the machine, once its safety properties were found to hold there.

    They are the first thing that the code of a state asks, so the rest may rely on them: whether something follows from
    them is found by trying every value of the few variables that matter.
    """

    _MOST = 2048

    def __init__(self, layout: Layout, raw: Mapping[str, Term], always: Iterable[tuple[int, Term]]) -> None:
        self._layout = layout
        self._decided: dict[tuple[str, str], bool | None] = {}
        self.always = tuple(always)
        """The safety properties, each with its number, as far as the state alone decides them."""
        self._safe = [
            (free_names(part), part)
            for _, holds in self.always
            for part in conjuncts(holds)
            if not isinstance(part, ast.Constant)
        ]
        self.before = dict(raw)
        """What each variable is before a step: itself, or its value where only one is possible."""
        for name, variable in layout.variables.items():
            alone = [part for free, part in self._safe if free == frozenset((name,))]
            if alone:
                values = [
                    value
                    for value in range(variable.most + 1)
                    if all(is_true(fold(part, {name: ast.Constant(value)})) for part in alone)
                ]
                if len(values) == 1:
                    self.before[name] = ast.Constant(values[0])

    def tautology(self, holds: Term) -> bool | None:
        """Whether it is true, or false, of every value."""
        return self._try(holds, None, [])

    def decide(self, holds: Term, under: Term | None) -> bool | None:
        """Whether it is true, or false, wherever `under` and the safety properties hold; ``None``: it depends."""
        if isinstance(holds, ast.Constant):
            return bool(holds.value)
        key = (source(holds), "" if under is None else source(under))
        if key not in self._decided:
            self._decided[key] = self._decide(holds, under)
        return self._decided[key]

    def _decide(self, holds: Term, under: Term | None) -> bool | None:
        wanted = free_names(holds)
        if under is not None:
            if self._size(wanted | free_names(under)) <= self._MOST:
                wanted |= free_names(under)
            else:
                under = None
        facts: list[Term] = []
        for free, part in sorted(self._safe, key=lambda found: len(found[0] - wanted)):
            if free & wanted and self._size(wanted | free) <= self._MOST:
                wanted |= free
                facts.append(part)
        return self._try(holds, under, facts)

    def _size(self, names: frozenset[str]) -> int:
        return math.prod(self._layout.variables[name].most + 1 for name in names)

    def _try(self, holds: Term, under: Term | None, facts: list[Term]) -> bool | None:
        given = [*facts, *([] if under is None else [under])]
        names = sorted(frozenset[str]().union(free_names(holds), *(map(free_names, given))))
        if self._size(frozenset(names)) > self._MOST:
            return None
        condition = " and ".join(f"({source(part)})" for part in given) or "True"
        ranges = "".join(f" for {name} in range({self._layout.variables[name].most + 1})" for name in names)
        text = f"{{bool({source(holds)}){ranges} if {condition}}}" if names else f"{{bool({source(holds)})}}"
        found = cast("set[bool]", eval(text))  # noqa: S307 - made here, from the table
        return found.pop() if len(found) == 1 else None if found else False


class Knowledge:
    """The facts of every state, worked out when they are first asked for."""

    def __init__(
        self,
        layout: Layout,
        properties: Iterable[Property],
        known: Mapping[str, Term],
        judged: frozenset[int] | None = None,
    ) -> None:
        self._layout = layout
        # Only what the code of a state asks by itself may be relied upon there.
        self._always = [
            (number, term(item.expression))
            for number, item in enumerate(properties)
            if item.shape is Shape.ALWAYS and (judged is None or number in judged)
        ]
        self._known = known
        self._facts: dict[Enum, Facts] = {}

    def of(self, state: Enum) -> Facts:
        """The facts of one state."""
        found = self._facts.get(state)
        if found is None:
            raw = self._any(state)
            given = {**self._known, **raw}
            always = ((number, fold(holds, given)) for number, holds in self._always)
            found = self._facts[state] = Facts(self._layout, raw, always)
        return found

    def _any(self, state: Enum) -> dict[str, Term]:
        """Every variable as itself, or its first value where it means nothing."""
        known: dict[str, Term] = {"state": constant(state)}
        for name, variable in self._layout.variables.items():
            forgotten = variable.within is not None and state not in variable.within
            known[name] = ast.Constant(variable.initial[0]) if forgotten else ast.Name(name, ast.Load())
        return known
