"""A table, its environment and its properties as Promela, for Spin.

One process with one loop; each option is an action, and each is a `d_step`, so that Spin stores exactly the states that
lie between steps. What a step is judged by (`before_x`, what its row does) is `hidden`: it is no part of a state.
States and steps are judged. What must come to pass is not: `eventually` has a fairness and a time of its own (L1).
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, cast

from gatewright.harness.explore.environment import Action, Environment, Variable
from gatewright.harness.explore.properties import Shape
from gatewright.harness.explore.search import Bounds
from gatewright.harness.explore.table import Table
from gatewright.harness.explore.terms import Term, code_of, constant, term
from gatewright.harness.export.plan import Plan, RowPlan
from gatewright.harness.export.writing import Dialect, Said, Writer, known
from gatewright.spec.errors import TableError
from gatewright.spec.rows import RowKind

_PROMELA: Final = Dialect(
    conjunction=" && ",
    disjunction=" || ",
    negation="!({})",
    choice="({test} -> {yes} : {no})",
    operators={
        ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=",
        ast.Gt: ">", ast.GtE: ">=",
    },
)  # fmt: skip
_FACT: Final = re.compile(r"(does|assigned|updated)\((\w+)\)")
_ALONE: Final = {"kind": "", "row": "", "moves": 0, "updates": 0, "effects": 0}
"""What a step says of its row when the environment moves alone."""
_NOTHING: Final[Mapping[Any, int]] = MappingProxyType({})
_UNSAID: Final = "no_such_payload"


def promela(table: Table, environment: Environment, bounds: Bounds = Bounds()) -> str:  # noqa: B008 - it is frozen
    """The model; see :func:`gatewright.harness.export.run_spin`.

    Raises:
        TableError: when an expression cannot be said in Promela, or names what is not there.
    """
    return "\n".join(_Model(Plan(table, environment, bounds)).lines()) + "\n"


class _Model:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._hidden: dict[str, str] = {}
        """Name to type of what a step is judged by."""

    def lines(self) -> Iterator[str]:
        plan = self._plan
        beginnings = list(plan.beginnings())
        body = list(self._process(beginnings))  # which hidden variables there are is known afterwards
        table, environment = plan.table, plan.environment
        yield f"/* {table.name} in {environment.name}: {len(table.rows)} rows, {len(environment.actions)} actions,"
        yield f"   {len(plan.shaped(Shape.ALWAYS))} properties of states and {len(plan.shaped(Shape.EDGE))} of steps."
        yield "   Written by gatewright.harness.export from the rows and the trees of their guards."
        for state in table.states:
            yield f"   state {code_of(state)} is {state.value}"
        yield "*/"
        yield f"byte m_state = {code_of(table.initial)};"
        for name, variable in plan.variables.items():
            meaning = "" if variable.members is None else f" /* {_members(variable)} */"
            first = beginnings[0][name] if len(beginnings) == 1 else 0
            yield f"{_type(variable)} {self._variable(name)} = {first};{meaning}"
        yield "hidden byte changed;"
        yield "hidden byte legal = 0, safe = 0; /* they name what is asserted, and are never true */"
        for name, kind in self._hidden.items():
            yield f"hidden {kind} {name};"
        yield ""
        yield "/* What means something in some states only is forgotten in the others. */"
        yield "inline forget() {"
        yield "  skip;"
        for within, variables in plan.forgotten().items():
            written = " ".join(f"{self._variable(v.name)} = {v.initial[0]};" for v in variables)
            yield f"  if :: {_in(within)} -> skip :: else -> {written} fi;"
        yield "}"
        yield ""
        yield from body

    def _variable(self, name: str) -> str:
        return f"{'m' if name == 'state' or name in self._plan.machine else 'e'}_{name}"

    # -- expressions ---------------------------------------------------------------------------------------------------

    def _name(self, name: str, payload: Mapping[str, int]) -> Said | None:
        if name == "state":
            return Said("m_state")
        if name.startswith("event."):
            return known(payload[name[6:]]) if name[6:] in payload else None
        variable = self._plan.variables.get(name)
        if variable is not None:
            return Said(self._variable(name), two=variable.most == 1)
        return self._plan.constants.get(name)

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

    # -- the process ---------------------------------------------------------------------------------------------------

    def _process(self, beginnings: list[Mapping[str, int]]) -> Iterator[str]:
        yield "active proctype machine() {"
        if len(beginnings) > 1:
            yield "  if"
            for beginning in beginnings:
                written = " ".join(f"{self._variable(name)} = {value};" for name, value in beginning.items())
                yield f"  :: d_step {{ {written} skip }}"
            yield "  fi;"
        yield "end:"
        yield "  do"
        writer = Writer(_PROMELA, lambda name: self._name(name, _NOTHING))
        for item in self._plan.shaped(Shape.ALWAYS):
            yield f"  :: !({writer.truth(term(item.expression))}) -> assert(safe) {_comment(item.name)}"
        for action in self._plan.environment.actions:
            choices = [
                cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
                for value in action.payload.values()
            ]
            for values in itertools.product(*choices):
                payload = {name: _number(value) for name, value in zip(action.payload, values, strict=True)}
                yield from self._action(action, payload)
        yield "  od"
        yield "}"

    def _action(self, action: Action, payload: Mapping[str, int]) -> Iterator[str]:
        writer = Writer(_PROMELA, lambda name: self._name(name, payload))
        guard = writer.truth(term(action.guard))
        if guard == _PROMELA.false:
            return
        updates = [self._assign(name, term(text), writer) for name, text in action.updates.items()]
        yield f"  :: d_step {{ {_comment(action.name)}"
        yield f"     {guard} ->"
        if action.event is None:
            checks, _, before = self._checks("", {}, payload)
            yield from (f"     {name} = {self._variable(name.removeprefix('before_'))};" for name in before)
            yield f"     {' '.join(updates)} forget();"
            yield from checks
            yield "     skip }"
            return
        cells = {
            state: found
            for state in self._plan.table.states
            if (found := self._cell(action.event, state, writer)) is not None
        }
        plans = [plan for cell in cells.values() for _, plan in cell if not plan.refuses]
        facts = _facts(plans)
        checks, used, before = self._checks(str(action.event.name), facts, payload)
        yield from (f"     {name} = {self._variable(name.removeprefix('before_'))};" for name in before)
        yield "     changed = 0;"
        yield "     if"
        bodies: dict[str, list[tuple[Enum, str]]] = {}
        for state, cell in cells.items():
            body = self._body(action, cell, writer, updates, {name: facts[name] for name in used})
            bodies.setdefault(body, []).append((state, ", ".join(plan.row.id for _, plan in cell)))
        for body, where in bodies.items():
            said = _comment("; ".join(rows for _, rows in where))
            yield f"     :: {_in(state for state, _ in where)} -> {said}"
            yield f"        {body}"
        yield f"     :: else -> {'skip' if action.hostile else 'assert(legal) /* there is no row */'}"
        yield "     fi;"
        yield "     if :: changed -> forget();"
        yield from checks
        yield "     changed = 0 :: else fi }"

    def _cell(self, event: type[Any], state: Enum, writer: Writer) -> list[tuple[str, RowPlan]] | None:
        """The rows of a state that the payload leaves possible, with what is left of their guards."""
        rows = [plan for plan in self._plan.of(event) if plan.row.source is state]
        if not rows:
            return None
        guards = ((writer.truth(plan.guard), plan) for plan in rows)
        return [(guard, plan) for guard, plan in guards if guard != _PROMELA.false]

    def _body(
        self,
        action: Action,
        cell: list[tuple[str, RowPlan]],
        writer: Writer,
        updates: list[str],
        facts: Mapping[str, Mapping[int, int]],
    ) -> str:
        """What a state does: the guards are asked before anything is written."""

        def done(plan: RowPlan) -> str:
            if plan.refuses:
                allowed = action.hostile or plan.row.event in self._plan.table.commands
                return "skip" if allowed else "assert(legal)"
            parts = [*updates, *(self._assign(name, value, writer) for name, value in plan.assigns)]
            parts += [f"{_fact(name)} = {values[plan.number]};" for name, values in facts.items()]
            parts += ["assert(legal);" for name in plan.unwritten if name not in action.updates]
            return " ".join([*parts, "changed = 1"])

        if len(cell) == 1 and cell[0][0] == _PROMELA.true:
            return done(cell[0][1])
        options = " ".join(f":: {guard} -> {done(plan)}" for guard, plan in cell)
        overlaps = "".join(
            f"assert(legal || !({one} && {other})); " for (one, _), (other, _) in itertools.combinations(cell, 2)
        )
        return f"{overlaps}if {options} :: else -> assert(legal) fi"

    # -- properties of steps -------------------------------------------------------------------------------------------

    def _checks(
        self, event: str, facts: Mapping[str, Mapping[int, int]], payload: Mapping[str, int]
    ) -> tuple[list[str], list[str], list[str]]:
        """The properties that an event leaves open, and what they ask for: facts about rows, and values before."""
        used: dict[str, None] = {}
        before: dict[str, None] = {}

        def name(text: str) -> Said | None:
            if text == "event":
                return known(event)
            if text.startswith("event.") and text[6:] not in payload:
                return Said(_UNSAID)
            if text.startswith("before."):
                inner = self._name(text[7:], payload)
                hidden = f"before_{text[7:]}"
                self._hidden[hidden] = "byte"
                before[hidden] = None
                return None if inner is None else Said(hidden, two=inner.two)
            if text in _ALONE and not event:
                return known(_ALONE[text])
            if text in facts or text in _ALONE or _FACT.fullmatch(text):
                values = set(facts.get(text, _NOTHING).values()) or {0}
                if len(values) == 1:
                    return self._settled(text, values.pop())
                used[text] = None
                self._hidden[_fact(text)] = "short"
                return Said(_fact(text), two=values <= {0, 1} and text not in {"kind", "row"})
            if text.startswith("'"):
                return known(self._word(text[1:-1]))
            return self._name(text, payload)

        writer = _StepWriter(_PROMELA, name)
        checks: list[str] = []
        for item in self._plan.shaped(Shape.EDGE):
            text = writer.truth(term(item.expression))
            if _UNSAID in text:
                raise TableError(f"{item.name}: reads a payload that {event or 'the environment'} does not have")
            if text != _PROMELA.true:
                checks.append(f"     assert({text}); {_comment(item.name)}")
        asked = "\n".join(checks)
        return checks, [each for each in used if _fact(each) in asked], [each for each in before if each in asked]

    def _settled(self, fact: str, value: int) -> Said:
        if fact == "kind":
            return known(str(list(RowKind)[value].value))
        if fact == "row":
            return known(next((plan.row.id for plan in self._plan.rows if plan.number == value), ""))
        return known(value)

    def _word(self, text: str) -> int:
        """The number of a kind or of a row."""
        codes = {str(kind.value): code_of(kind) for kind in RowKind}
        return codes.get(text, next((plan.number for plan in self._plan.rows if plan.row.id == text), -1))


def _facts(plans: Iterable[RowPlan]) -> dict[str, dict[int, int]]:
    """What each row does, by the names that properties use: name to number of the row to value."""
    plans = list(plans)
    facts: dict[str, dict[int, int]] = {"kind": {}, "row": {}, "moves": {}, "updates": {}, "effects": {}}
    for plan in plans:
        row = plan.row
        facts["kind"][plan.number] = code_of(row.kind)
        facts["row"][plan.number] = plan.number
        facts["moves"][plan.number] = int(row.target is not None)
        facts["updates"][plan.number] = len(row.updates)
        facts["effects"][plan.number] = len(row.effects)
        does = {f"does({effect.name})" for effect in row.effects}
        does |= {f"updated({name})" for name in row.updates} | {f"assigned({name})" for name in plan.assigned}
        for name in does:
            facts.setdefault(name, dict.fromkeys((other.number for other in plans), 0))[plan.number] = 1
    return facts


class _StepWriter(Writer):
    """Kinds and rows are compared with their names."""

    def _comparison(self, left: Term, op: ast.cmpop, right: Term) -> Said:
        match left, right:
            case (ast.Name("kind" | "row" as name), ast.Constant(str(text))) if self._name(name).value is None:
                word = self._name(repr(text))
                return super()._comparison(left, op, ast.Constant(word.value))
            case _:
                return super()._comparison(left, op, right)


def _comment(text: str) -> str:
    return f"/* {text.replace('*/', '')} */"


def _in(states: Iterable[Enum]) -> str:
    return " || ".join(f"m_state == {code_of(state)}" for state in states) or _PROMELA.false


def _fact(name: str) -> str:
    return f"step_{name.replace('(', '_').rstrip(')')}"


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
