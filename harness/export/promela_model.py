"""What every Promela model of a table has: its variables, what is forgotten, and rows as guards and assignments."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, cast

from gatewright.harness.explore.environment import Action, Variable
from gatewright.harness.explore.terms import Term, code_of, constant
from gatewright.harness.export.plan import Plan, RowPlan
from gatewright.harness.export.writing import Dialect, Said, Writer, known
from gatewright.spec.errors import TableError

PROMELA: Final = Dialect(
    conjunction=" && ",
    disjunction=" || ",
    negation="!({})",
    choice="({test} -> {yes} : {no})",
    operators={
        ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=",
        ast.Gt: ">", ast.GtE: ">=",
    },
)  # fmt: skip
NOTHING: Final[Mapping[Any, int]] = MappingProxyType({})


class Model:
    """The parts of which models are made."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._beginnings = list(plan.beginnings())

    def _legend(self) -> Iterator[str]:
        """Lines of a comment."""
        yield "   Written by gatewright.harness.export from the rows and the trees of their guards."
        for state in self._plan.table.states:
            yield f"   state {code_of(state)} is {state.value}"

    def _variables(self) -> Iterator[str]:
        yield f"byte m_state = {code_of(self._plan.table.initial)};"
        for name, variable in self._plan.variables.items():
            meaning = "" if variable.members is None else f" /* {_members(variable)} */"
            first = self._beginnings[0][name] if len(self._beginnings) == 1 else 0
            yield f"{_type(variable)} {self._variable(name)} = {first};{meaning}"

    def _forgetting(self) -> Iterator[str]:
        yield "/* What means something in some states only is forgotten in the others. */"
        yield "inline forget() {"
        yield "  skip;"
        for within, variables in self._plan.forgotten().items():
            written = " ".join(f"{self._variable(v.name)} = {v.initial[0]};" for v in variables)
            yield f"  if :: {inside(within)} -> skip :: else -> {written} fi;"
        yield "}"

    def _beginning(self, then: str = "skip") -> Iterator[str]:
        """The choice of first values, where there is one."""
        if len(self._beginnings) > 1:
            yield "  if"
            for beginning in self._beginnings:
                written = " ".join(f"{self._variable(name)} = {value};" for name, value in beginning.items())
                yield f"  :: d_step {{ {written} {then} }}"
            yield "  fi;"

    # -- expressions ---------------------------------------------------------------------------------------------------

    def _variable(self, name: str) -> str:
        return f"{'m' if name == 'state' or name in self._plan.machine else 'e'}_{name}"

    def _name(self, name: str, payload: Mapping[str, int]) -> Said | None:
        if name == "state":
            return Said("m_state")
        if name.startswith("event."):
            return known(payload[name[6:]]) if name[6:] in payload else None
        variable = self._plan.variables.get(name)
        if variable is not None:
            return Said(self._variable(name), two=variable.most == 1)
        return self._plan.constants.get(name)

    def _writer(self, payload: Mapping[str, int] = NOTHING) -> Writer:
        return Writer(PROMELA, lambda name: self._name(name, payload))

    def _assign(self, name: str, value: Term, writer: Writer) -> str:
        said = writer.visit(value)
        target = self._variable(name)
        variable = self._plan.variables.get(name)
        if variable is not None and isinstance(said.value, int):
            return f"{target} = {min(said.value, variable.most)};"
        text = writer.number(value)
        if variable is None or said.two or text == target:
            return f"{target} = {text};"
        return f"{target} = ({text} < {variable.most} -> {text} : {variable.most});"

    # -- actions and rows ----------------------------------------------------------------------------------------------

    def _cell(self, event: type[Any], state: Enum, writer: Writer) -> list[tuple[str, RowPlan]] | None:
        """The rows of a state that the payload leaves possible, with what is left of their guards."""
        rows = [plan for plan in self._plan.of(event) if plan.row.source is state]
        if not rows:
            return None
        guards = ((writer.truth(plan.guard), plan) for plan in rows)
        return [(guard, plan) for guard, plan in guards if guard != PROMELA.false]

    def _cells(self, event: type[Any], writer: Writer) -> dict[Enum, list[tuple[str, RowPlan]]]:
        """The rows of each state that has some."""
        found = ((state, self._cell(event, state, writer)) for state in self._plan.table.states)
        return {state: cell for state, cell in found if cell is not None}

    def _choice(
        self,
        action: Action,
        cells: Mapping[Enum, list[tuple[str, RowPlan]]],
        writer: Writer,
        updates: list[str],
        more: Callable[[RowPlan], Iterable[str]],
    ) -> Iterator[str]:
        """What each state does; states that do the same are one option. `more` is written after a row's own."""
        yield "     if"
        bodies: dict[str, list[tuple[Enum, str]]] = {}
        for state, cell in cells.items():
            body = self._body(action, cell, writer, updates, more)
            bodies.setdefault(body, []).append((state, ", ".join(plan.row.id for _, plan in cell)))
        for body, where in bodies.items():
            said = comment("; ".join(rows for _, rows in where))
            yield f"     :: {inside(state for state, _ in where)} -> {said}"
            yield f"        {body}"
        yield f"     :: else -> {'skip' if action.hostile else 'assert(legal) /* there is no row */'}"
        yield "     fi;"

    def _body(
        self,
        action: Action,
        cell: list[tuple[str, RowPlan]],
        writer: Writer,
        updates: list[str],
        more: Callable[[RowPlan], Iterable[str]],
    ) -> str:
        """What a state does: the guards are asked before anything is written."""

        def done(plan: RowPlan) -> str:
            if plan.refuses:
                allowed = action.hostile or plan.row.event in self._plan.table.commands
                return "skip" if allowed else "assert(legal)"
            parts = [*updates, *(self._assign(name, value, writer) for name, value in plan.assigns), *more(plan)]
            parts += ["assert(legal);" for name in plan.unwritten if name not in action.updates]
            return " ".join([*parts, "changed = 1"])

        if len(cell) == 1 and cell[0][0] == PROMELA.true:
            return done(cell[0][1])
        options = " ".join(f":: {guard} -> {done(plan)}" for guard, plan in cell)
        overlaps = "".join(
            f"assert(legal || !({one} && {other})); " for (one, _), (other, _) in itertools.combinations(cell, 2)
        )
        return f"{overlaps}if {options} :: else -> assert(legal) fi"


def payloads(action: Action) -> Iterator[Mapping[str, int]]:
    """Every payload of an action, as numbers."""
    choices = [
        cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,) for value in action.payload.values()
    ]
    for values in itertools.product(*choices):
        yield {name: _number(value) for name, value in zip(action.payload, values, strict=True)}


def comment(text: str) -> str:
    """A text that the model does not read."""
    return f"/* {text.replace('*/', '')} */"


def inside(states: Iterable[Enum]) -> str:
    """That the machine is in one of these states."""
    return " || ".join(f"m_state == {code_of(state)}" for state in states) or PROMELA.false


def _number(value: object) -> int:
    found = constant(value).value
    if not isinstance(found, int):
        raise TableError(f"the payload {value!r} is no number, no truth and no member of an enumeration")
    return found


def _type(variable: Variable) -> str:
    return "bit" if variable.most == 1 else "byte" if variable.most < 256 else "int"


def _members(variable: Variable) -> str:
    assert variable.members is not None
    return ", ".join(f"{code_of(member)} {member.value}" for member in variable.members)
