"""A table, its environment and its properties as Promela, for Spin.

One process with one loop; each option is an action, and each is a `d_step`, so that Spin stores exactly the states that
lie between steps. What a step is judged by (`before_x`, what its row does) is `hidden`: it is no part of a state.
States and steps are judged. What must come to pass (`eventually`) is another model's: see `promela_convergence`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gatewright.harness.explore.environment import Action, Environment
from gatewright.harness.explore.properties import Shape
from gatewright.harness.explore.search import Bounds
from gatewright.harness.explore.table import Table
from gatewright.harness.explore.terms import Term, code_of, term
from gatewright.harness.export.plan import Plan, RowPlan
from gatewright.harness.export.promela_model import NOTHING, PROMELA, Model, comment, payloads
from gatewright.harness.export.writing import Said, Writer, known
from gatewright.spec.errors import TableError
from gatewright.spec.rows import RowKind

_FACT: Final = re.compile(r"(does|assigned|updated)\((\w+)\)")
_ALONE: Final = {"kind": "", "row": "", "moves": 0, "updates": 0, "effects": 0}
"""What a step says of its row when the environment moves alone."""
_UNSAID: Final = "no_such_payload"


def promela(table: Table, environment: Environment, bounds: Bounds = Bounds()) -> str:  # noqa: B008 - it is frozen
    """The model; see :func:`gatewright.harness.export.run_spin`.

    Raises:
        TableError: when an expression cannot be said in Promela, or names what is not there.
    """
    return "\n".join(_Safety(Plan(table, environment, bounds)).lines()) + "\n"


class _Safety(Model):
    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._hidden: dict[str, str] = {}
        """Name to type of what a step is judged by."""

    def lines(self) -> Iterator[str]:
        plan = self._plan
        body = list(self._process())  # which hidden variables there are is known afterwards
        table, environment = plan.table, plan.environment
        yield f"/* {table.name} in {environment.name}: {len(table.rows)} rows, {len(environment.actions)} actions,"
        yield f"   {len(plan.shaped(Shape.ALWAYS))} properties of states and {len(plan.shaped(Shape.EDGE))} of steps."
        yield from self._legend()
        yield "*/"
        yield from self._variables()
        yield "hidden byte changed;"
        yield "hidden byte legal = 0, safe = 0; /* they name what is asserted, and are never true */"
        for name, kind in self._hidden.items():
            yield f"hidden {kind} {name};"
        yield ""
        yield from self._forgetting()
        yield ""
        yield from body

    # -- the process ---------------------------------------------------------------------------------------------------

    def _process(self) -> Iterator[str]:
        yield "active proctype machine() {"
        yield from self._beginning()
        yield "end:"
        yield "  do"
        writer = self._writer()
        for item in self._plan.shaped(Shape.ALWAYS):
            yield f"  :: !({writer.truth(term(item.expression))}) -> assert(safe) {comment(item.name)}"
        for action in self._plan.environment.actions:
            for payload in payloads(action):
                yield from self._action(action, payload)
        yield "  od"
        yield "}"

    def _action(self, action: Action, payload: Mapping[str, int]) -> Iterator[str]:
        writer = self._writer(payload)
        guard = writer.truth(term(action.guard))
        if guard == PROMELA.false:
            return
        updates = [self._assign(name, term(text), writer) for name, text in action.updates.items()]
        yield f"  :: d_step {{ {comment(action.name)}"
        yield f"     {guard} ->"
        if action.event is None:
            checks, _, before = self._checks("", {}, payload)
            yield from (f"     {name} = {self._variable(name.removeprefix('before_'))};" for name in before)
            yield f"     {' '.join(updates)} forget();"
            yield from checks
            yield "     skip }"
            return
        cells = self._cells(action.event, writer)
        plans = [plan for cell in cells.values() for _, plan in cell if not plan.refuses]
        facts = _facts(plans)
        checks, used, before = self._checks(str(action.event.name), facts, payload)
        yield from (f"     {name} = {self._variable(name.removeprefix('before_'))};" for name in before)
        yield "     changed = 0;"

        def told(plan: RowPlan) -> Iterable[str]:
            return (f"{_fact(name)} = {facts[name][plan.number]};" for name in used)

        yield from self._choice(action, cells, writer, updates, told)
        yield "     if :: changed -> forget();"
        yield from checks
        yield "     changed = 0 :: else fi }"

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
                values = set(facts.get(text, NOTHING).values()) or {0}
                if len(values) == 1:
                    return self._settled(text, values.pop())
                used[text] = None
                self._hidden[_fact(text)] = "short"
                return Said(_fact(text), two=values <= {0, 1} and text not in {"kind", "row"})
            if text.startswith("'"):
                return known(self._word(text[1:-1]))
            return self._name(text, payload)

        writer = _StepWriter(PROMELA, name)
        checks: list[str] = []
        for item in self._plan.shaped(Shape.EDGE):
            text = writer.truth(term(item.expression))
            if _UNSAID in text:
                raise TableError(f"{item.name}: reads a payload that {event or 'the environment'} does not have")
            if text != PROMELA.true:
                checks.append(f"     assert({text}); {comment(item.name)}")
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


def _fact(name: str) -> str:
    return f"step_{name.replace('(', '_').rstrip(')')}"
