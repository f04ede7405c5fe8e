"""A table, its environment and its properties as a module of TLA+, for TLC and whoever reads TLA+.

A row is two operators: what it asks of a state and a payload, and the state that it gives. They are functions of states
as records, so an action is the choice among the steps that it gives, and a property of steps is asked of those same
steps. `Next` is the disjunction of the actions. Nothing in the module depends on how many states there are.

TLA+ does not see a step that changes nothing, and the explorer judges those too (a beat that is asked for changes no
variable). So there are two statements over one definition: `Edges`, an action property, for the steps that are some in
TLA+, and the invariant `Quiet` for the others. `Legal` is the invariant that each event which can come has one row.

`Fairness` is weak fairness of the actions that are fair. `Converges` says that what must come to pass does, once faults
and commands have ceased; that it can come to pass from everywhere is no formula of TLA+, and the explorer's (L1).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, cast

import attrs

from gatewright.harness.explore.environment import Action, Environment
from gatewright.harness.explore.properties import Shape
from gatewright.harness.explore.search import Bounds
from gatewright.harness.explore.table import Table
from gatewright.harness.explore.terms import Term, code_of, term
from gatewright.harness.export.plan import Plan, RowPlan
from gatewright.harness.export.tla_convergence import convergence
from gatewright.harness.export.tla_language import IDENTIFIER, RESERVED, TLA, bare, conjoined, union
from gatewright.harness.export.tla_names import Names, members
from gatewright.harness.export.tla_properties import Judgement
from gatewright.spec.errors import TableError


@attrs.frozen(kw_only=True)
class TlaModule:
    """A module, and the configuration with which TLC checks it: ``name.tla`` and ``name.cfg`` belong together."""

    name: str
    text: str
    config: str


def tla(
    table: Table,
    environment: Environment,
    bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
    *,
    name: str = "",
) -> TlaModule:
    """The module, called `name` or else as the table is.

    Raises:
        TableError: when an expression or a name cannot be said in TLA+, or names what is not there.
    """
    plan = Plan(table, environment, bounds)
    name = name or re.sub(r"\W+", "_", table.name, flags=re.ASCII).strip("_") or "machine"
    if IDENTIFIER.fullmatch(name) is None or name in RESERVED:
        raise TableError(f"{name!r} cannot name a module of TLA+; use letters, digits and _, and begin with a letter")
    module = _Module(plan)
    return TlaModule(name=name, text="\n".join(module.lines(name)) + "\n", config="\n".join(module.config()) + "\n")


class _Module:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._names = Names(plan)

    def lines(self, name: str) -> Iterator[str]:
        """The text."""
        plan, names = self._plan, self._names
        bar = "-" * 32
        yield f"{bar} MODULE {name} {bar}"
        counts = f"{len(plan.rows)} rows, {len(plan.environment.actions)} actions, {len(plan.properties)} properties"
        yield f"\\* {plan.table.name} in {plan.environment.name}: {counts}."
        yield "\\* Written by gatewright from the rows and the trees of their guards. Flags are 0 and 1."
        yield "\\* In steps, `row` is the number of a row; its id stands above its definition."
        yield "EXTENDS Integers, FiniteSets"
        yield ""
        yield from names.definitions
        yield ""
        every = list(names.variables.values())
        yield f"VARIABLES {', '.join(every)}"
        yield f"vars == <<{', '.join(every)}>>"
        yield f"Now == [{', '.join(f'{word} |-> {word}' for word in every)}]"
        yield "Become(t) == " + conjoined(f"({word}' = t.{word})" for word in every)
        yield "Least(a, b) == IF a < b THEN a ELSE b"
        yield ""
        yield from self._beginning()
        for event in plan.events:
            yield from self._event(event)
        for action in plan.environment.actions:
            yield from self._action(action)
        actions = [names.actions[action.name] for action in plan.environment.actions]
        yield "Next ==" + "".join(f"\n  \\/ {each}" for each in actions)
        fair = [names.actions[action.name] for action in plan.environment.actions if action.fair]
        yield "Fairness ==" + ("".join(f"\n  /\\ WF_vars({each})" for each in fair) or f" {TLA.true}")
        yield "Spec == Init /\\ [][Next]_vars /\\ Fairness"
        yield "Legal ==" + "".join(f"\n  /\\ {each}_legal" for each in actions)
        yield ""
        yield from Judgement(plan, names).lines(actions)
        yield from convergence(plan, names)
        yield "=" * (2 * len(bar) + len(name) + 9)

    def config(self) -> Iterator[str]:
        """What TLC is to check."""
        always = [self._names.properties[item.name] for item in self._plan.shaped(Shape.ALWAYS)]
        yield "SPECIFICATION Spec"
        yield "CHECK_DEADLOCK FALSE"
        yield f"INVARIANTS {' '.join(('Types', 'Legal', 'Quiet', *always))}"
        yield f"PROPERTIES Edges{' Converges' if self._plan.shaped(Shape.EVENTUALLY) else ''}"

    def _beginning(self) -> Iterator[str]:
        plan, words = self._plan, self._names.variables
        yield "Types =="
        yield f"  /\\ {words['state']} \\in 0..{len(plan.table.states) - 1}"
        for name, variable in plan.variables.items():
            about = (
                "" if variable.members is None else f" \\* {', '.join(str(each.value) for each in variable.members)}"
            )
            yield f"  /\\ {words[name]} \\in 0..{variable.most}{about}"
        yield "Init =="
        yield f"  /\\ {words['state']} = {self._names.state(plan.table.initial)}"
        for name, values in plan.values.items():
            first = f"= {values[0]}" if len(values) == 1 else f"\\in {members(values)}"
            yield f"  /\\ {words[name]} {first}"
        for text in (plan.table.beginning, plan.environment.beginning):
            said = self._names.truth(text)
            if said != TLA.true:
                yield f"  /\\ {said}"
        yield ""

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _event(self, event: type[Any]) -> Iterator[str]:
        """The rows of an event, and the choice among them: `s` is the state, `u` what the action made of it."""
        names = self._names
        touched = {
            name for action in self._plan.environment.actions if action.event is event for name in action.updates
        }
        cells: dict[Enum, list[str]] = {}
        for row in self._plan.of(event):
            word = names.rows[row.number]
            asks = names.truth(row.guard, "s")
            yield f"\\* {row.row.id}"
            if not row.refuses:
                yield f"{word}(u, p) == {self._gives(row, touched)}"
            step = members([f"[row |-> {row.number}, t |-> {'s' if row.refuses else f'{word}(u, p)'}]"])
            if asks != TLA.true:
                yield f"{word}_asks(s, p) == {asks}"
                step = f"(IF {word}_asks(s, p) THEN {step} ELSE {{}})"
            cells.setdefault(row.row.source, []).append(step)
        state = names.variables["state"]
        choices = [f"s.{state} = {names.state(source)} -> {union(cell)}" for source, cell in cells.items()]
        if choices:
            yield f"{names.events[event]}(s, u, p) =="
            yield "  CASE " + "\n    [] ".join([*choices, "OTHER -> {}"])
        else:  # `OTHER` alone is no case
            yield f"{names.events[event]}(s, u, p) == {{}}"
        yield ""

    def _gives(self, row: RowPlan, touched: Iterable[str]) -> str:
        """The state that a row leaves, with what means nothing there forgotten."""
        source = row.row.source
        target = source if row.row.target is None else row.row.target
        written = {name for name, _ in row.assigns} | set(touched)
        forgotten = (
            (name, cast("Term", ast.Constant(variable.initial[0])))
            for name, variable in self._plan.variables.items()
            if variable.within is not None
            and target not in variable.within
            and (source in variable.within or name in written)
        )
        return self._except("u", [*row.assigns, *forgotten])

    def _except(self, base: str, assigns: Iterable[tuple[str, Term]]) -> str:
        """The record with these fields exchanged, in order: a later one may read an earlier one."""
        words = self._names.variables
        lets: list[str] = []
        batch: dict[str, str] = {}

        def exchanged() -> str:
            return f"[{base} EXCEPT {', '.join(f'!.{word} = {text}' for word, text in batch.items())}]"

        for name, value in assigns:
            reads = {words[each.id] for each in ast.walk(value) if isinstance(each, ast.Name) and each.id in words}
            if reads & batch.keys():
                after = f"u{len(lets) + 1}"
                lets.append(f"{after} == {exchanged()}")
                base, batch = after, {}
            batch[words[name]] = self._bounded(name, value, base)
        found = exchanged() if batch else base
        return f"LET {' '.join(lets)} IN {found}" if lets else found

    def _bounded(self, name: str, value: Term, record: str) -> str:
        writer = self._names.over(record)
        said = writer.visit(value)
        if name == "state":
            assert isinstance(said.value, int)
            return self._names.state(self._plan.table.states[said.value])
        most = self._plan.variables[name].most
        if isinstance(said.value, int):
            return said.text if said.value <= most else str(most)
        text = bare(writer.number(value))
        return text if said.two else f"Least({text}, {most})"

    # -- actions -------------------------------------------------------------------------------------------------------

    def _action(self, action: Action) -> Iterator[str]:
        """What an action can lead to, as steps; the action itself; and that it is legal wherever it can happen."""
        word = self._names.actions[action.name]
        guard = self._names.truth(action.guard, "s")
        yield f"\\* {action.name}{' (fair)' if action.fair else ' (fault)' if action.fault else ''}"
        if action.event is None:
            after = self._except("s", [(name, self._kept(name, text)) for name, text in action.updates.items()])
            step = members([f'[event |-> "", row |-> 0, p |-> [none |-> 0], t |-> {after}]'])
            yield f"{word}_steps(s) == IF {guard} THEN {step} ELSE {{}}"
            yield f"{word}_legal == {TLA.true}"
        else:
            after = self._except("s", [(name, term(text)) for name, text in action.updates.items()])
            payloads = self._payloads(action.payload)
            rows = f"{self._names.events[action.event]}(s, {after}, p)"
            step = f'[event |-> "{action.event.name}", row |-> x.row, p |-> p, t |-> x.t]'
            steps = members([members([f"{step} : x \\in {rows}"]) + f" : p \\in {payloads}"])
            yield f"{word}_steps(s) == IF {guard} THEN UNION {steps} ELSE {{}}"
            yield from self._legal(action, action.event, guard, rows)
        yield f"{word} == \\E k \\in {word}_steps(Now) : Become(k.t)"
        yield ""

    def _kept(self, name: str, text: str) -> Term:
        """What the environment writes where the machine does not move; it may mean nothing there."""
        variable = self._plan.variables[name]
        if variable.within is None:
            return term(text)
        states = ast.Tuple([ast.Constant(code_of(state)) for state in variable.within], ast.Load())
        where = ast.Compare(ast.Name("state", ast.Load()), [ast.In()], [states])
        return ast.IfExp(where, term(text), ast.Constant(variable.initial[0]))

    def _payloads(self, payload: Mapping[str, object]) -> str:
        """The set of them."""
        fields: list[str] = []
        for name, value in payload.items():
            values = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
            fields.append(f"{self._names.payload(name)} : {members(map(self._names.value, values))}")
        return f"[{', '.join(fields)}]" if fields else "{[none |-> 0]}"

    def _legal(self, action: Action, event: type[Any], guard: str, rows: str) -> Iterator[str]:
        """Exactly one row, and none that an honest environment never meets."""
        plan, names = self._plan, self._names
        allowed = action.hostile or event in plan.table.commands
        never = [
            row.number
            for row in plan.of(event)
            if (row.refuses and not allowed) or any(name not in action.updates for name in row.unwritten)
        ]
        one = f"LET found == {rows} IN (Cardinality(found) = 1)"
        if never:
            one += f" /\\ \\A x \\in found : ~(x.row \\in {members(never)})"
        heard = {row.row.source for row in plan.of(event)}
        deaf = [names.state(state) for state in plan.table.states if state not in heard]
        if action.hostile and deaf:
            guard = f"({guard}) /\\ ~(s.{names.variables['state']} \\in {members(deaf)})"
        word, payloads = names.actions[action.name], self._payloads(action.payload)
        yield f"{word}_legal == LET s == Now IN ({guard}) => \\A p \\in {payloads} : {one}"
