"""A temporal property of a module of TLA+, on small models: whether a fair behaviour breaks it.

It reads what the property says, ``(premise) => (conclusion)``. The premise has ``<>[][A]_vars``, weak fairness, and
what happens again and again, of a state or of a step; the conclusion has what must, of a state. What any of it is
about, it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Protocol

import attrs
import tree_sitter

Values = tuple[Any, ...]


class Behaviours(Protocol):
    """What is asked of a module; nodes are formulas of its, states go by the values of its variables."""

    def definition(self, node: tree_sitter.Node) -> tree_sitter.Node | None: ...
    def parts(self, node: tree_sitter.Node) -> list[tree_sitter.Node]: ...
    def text(self, node: tree_sitter.Node) -> str: ...
    def holds(self, node: tree_sitter.Node, now: Values, after: Values | None = None) -> bool: ...
    def successors(self, node: tree_sitter.Node, now: Values) -> Iterator[Values]: ...


@attrs.define
class _Premise:
    steps: list[tree_sitter.Node] = attrs.field(factory=list[tree_sitter.Node])
    """What happens from some moment on is one of each."""
    fair: list[tree_sitter.Node] = attrs.field(factory=list[tree_sitter.Node])
    again: list[list[tree_sitter.Node]] = attrs.field(factory=list[list[tree_sitter.Node]])
    """Of each, something happens again and again."""


class Temporal:
    """One property of a module."""

    def __init__(self, module: Behaviours, formula: tree_sitter.Node) -> None:
        self._module = module
        premise, implies, conclusion = module.parts(formula)
        assert implies.type == "implies"
        self._premise = _Premise()
        for each in self._joined(premise, "land"):
            self._read(each)
        assert len(self._premise.steps) == 1, "one action is all that happens in the end"
        self._goals = [self._again(each) for each in self._joined(conclusion, "land")]

    def _joined(self, node: tree_sitter.Node, operator: str) -> Iterator[tree_sitter.Node]:
        """The parts of a conjunction or of a disjunction, through parentheses and definitions."""
        parts = self._module.parts(node)
        defined = self._module.definition(node)
        if node.type == "parentheses":
            yield from self._joined(parts[0], operator)
        elif defined is not None and _is_temporal(defined):
            yield from self._joined(defined, operator)
        elif node.type == "conj_list" and operator == "land":
            for item in parts:
                yield from self._joined(self._module.parts(item)[1], operator)
        elif node.type == "bound_infix_op" and parts[1].type == operator:
            yield from self._joined(parts[0], operator)
            yield from self._joined(parts[2], operator)
        else:
            yield node

    def _read(self, node: tree_sitter.Node) -> None:
        if node.type == "fairness":
            assert self._module.text(node).startswith("WF_")
            self._premise.fair.append(self._module.parts(node)[1])
        elif [each.type for each in self._prefix(node)[:2]] == ["eventually", "always"]:
            step = self._prefix(node)[2]
            assert step.type == "step_expr_or_stutter"
            self._premise.steps.append(self._module.parts(step)[0])
        elif node.type != "boolean":
            self._premise.again.append([self._again(each) for each in self._joined(node, "lor")])

    def _again(self, node: tree_sitter.Node) -> tree_sitter.Node:
        always, eventually, what = self._prefix(node)
        assert (always.type, eventually.type) == ("always", "eventually"), self._module.text(node)
        return what

    def _prefix(self, node: tree_sitter.Node) -> list[tree_sitter.Node]:
        """Two operators, and what they are of."""
        found: list[tree_sitter.Node] = []
        while node.type == "bound_prefix_op" and len(found) < 2:
            operator, node = self._module.parts(node)
            found.append(operator)
        return [*found, node]

    # -- behaviours ------------------------------------------------------------------------------------------------

    def broken(self, states: Sequence[Values]) -> bool:
        """Whether some behaviour over these states does what the premise says, and a goal only so many times."""
        (eager,) = self._premise.steps
        steps = {state: set(self._module.successors(eager, state)) for state in states}
        for goal in self._goals:
            short = {state for state in states if not self._module.holds(goal, state)}
            within = {state: (steps[state] & short) - {state} for state in short}
            if any(self._allowed(part, within) for part in _components(within)):
                return True
        return False

    def _allowed(self, part: Set[Values], within: Mapping[Values, Set[Values]]) -> bool:
        """Whether a behaviour that stays in this part for ever, and visits all of it, is fair and does the rest."""
        inner = [(now, after) for now in part for after in within[now] & part]
        return all(self._is_just(action, part, inner) for action in self._premise.fair) and all(
            any(self._repeats(each, part, inner) for each in wanted) for wanted in self._premise.again
        )

    def _is_just(self, action: tree_sitter.Node, part: Set[Values], inner: list[tuple[Values, Values]]) -> bool:
        """It is impossible now and then, or happens."""
        possible = {now: set(self._module.successors(action, now)) - {now} for now in part}
        return not all(possible.values()) or any(after in possible[now] for now, after in inner)

    def _repeats(self, what: tree_sitter.Node, part: Set[Values], inner: list[tuple[Values, Values]]) -> bool:
        if what.type != "step_expr_no_stutter":
            return any(self._module.holds(what, now) for now in part)
        action = next(each for each in self._module.parts(what) if "bracket" not in each.type)
        return any(self._module.holds(action, now, after) for now, after in inner)


def _is_temporal(node: tree_sitter.Node) -> bool:
    return node.type in {"always", "eventually", "fairness"} or any(map(_is_temporal, node.named_children))


def _components(within: Mapping[Values, Set[Values]]) -> Iterator[Set[Values]]:
    """Strongly connected components, those of one state included: a behaviour may stutter (Kosaraju)."""
    order: list[Values] = []
    seen: set[Values] = set()
    for root in within:
        stack = [] if root in seen else [(root, iter(within[root]))]
        seen.add(root)
        while stack:
            state, rest = stack[-1]
            for after in rest:
                if after not in seen:
                    seen.add(after)
                    stack.append((after, iter(within[after])))
                    break
            else:
                order.append(state)
                stack.pop()
    before: dict[Values, set[Values]] = {state: set() for state in within}
    for state, found in within.items():
        for after in found:
            before[after].add(state)
    left = set(within)
    for root in reversed(order):
        if root in left:
            part, waiting = {root}, [root]
            left.discard(root)
            for state in waiting:
                more = before[state] & left
                left -= more
                part |= more
                waiting += more
            yield part
