"""The steps out of a state, as expressions: what an action and a row ask, what they change, what must hold of it."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, cast

import attrs

from gatewright.harness.explore.environment import Action, Environment, Variable
from gatewright.harness.explore.facts import Knowledge
from gatewright.harness.explore.layout import Layout
from gatewright.harness.explore.product import qualified
from gatewright.harness.explore.properties import Property, Shape
from gatewright.harness.explore.scope import MARK
from gatewright.harness.explore.table import AnyRow, Table, constants, rewriting
from gatewright.harness.explore.terms import Term, constant, fold, is_false, is_true, names_in, source, term
from gatewright.spec.errors import TableError
from gatewright.spec.rows import RowKind

_NOWHERE: Final[Mapping[int, frozenset[str]]] = MappingProxyType({})
ILLEGAL: Final = -1
UNDECIDED: Final = -2
UNWRITTEN: Final = -3
NEGATIVE: Final = -4
"""Findings that no property states: an event that the machine refuses or has no row for, a cell in which no row is
taken, a variable that is read where nobody wrote it, and one that would be less than 0 (this number and less: of the
first variable, the second, and so on)."""


@attrs.frozen
class Label:
    """One kind of step out of one state: what happened, and the row that was taken (``None``: the machine slept)."""

    action: Action
    payload: Mapping[str, object] = attrs.field(eq=False)
    row: AnyRow | None
    machine: str = ""
    """Which one of a product; empty for a table by itself, and where the environment moves alone."""

    @property
    def taken(self) -> str:
        """What reports call the row; empty without one."""
        return "" if self.row is None else qualified(self.machine, self.row.id)


@attrs.frozen(kw_only=True)
class Part:
    """One machine's part in the code of a product.

    Attributes:
        machine: its name; empty for the environment alone.
        layout: where the product's variables lie.
        judged: the numbers of the properties that are judged in this part.
        stirred: properties of steps that are judged only where one of these variables changes.
    """

    machine: str
    layout: Layout
    judged: frozenset[int]
    stirred: Mapping[int, frozenset[str]]


@attrs.frozen
class Branch:
    """One way that a step can go: under `guard`, with `checks`, to the values that changed."""

    guard: Term = attrs.field(eq=source)
    row: AnyRow | None
    changes: tuple[tuple[str, str], ...]
    checks: tuple[tuple[int, Term], ...] = attrs.field(eq=lambda found: [(n, source(x)) for n, x in found])
    broken: tuple[int, str] | None = None

    @property
    def idle(self) -> bool:
        """Nothing changes and nothing is left to be judged."""
        return not self.changes and not self.checks and self.broken is None


class Steps:
    """What can happen in each state of a machine.

    Args:
        table: its guards, updates and variables; rows are given to each question.
        environment: what can happen.
        properties: what must hold of steps.
        layout: the variables of both.
        knowledge: what is known in each state.
        part: of a product, if the table is in one.
    """

    def __init__(
        self,
        table: Table,
        environment: Environment,
        properties: tuple[Property, ...],
        layout: Layout,
        knowledge: Knowledge,
        part: Part | None = None,
    ) -> None:
        self._table = table
        self._environment = environment
        self._properties = properties
        self._layout = layout
        self._knowledge = knowledge
        self._constants = constants(table, environment.enumerations)
        self._machine = "" if part is None else part.machine
        self._judged = None if part is None else part.judged
        self._stirred = _NOWHERE if part is None else part.stirred
        if part is not None:
            self._constants["machine"] = ast.Constant(part.machine)
        self._rewrite = rewriting(table)
        self._left: dict[tuple[Enum, str], list[tuple[int, Term]]] = {}

    def variants(
        self, state: Enum, action: Action, cell: tuple[AnyRow, ...]
    ) -> Iterator[tuple[Label, Term, list[Branch]]]:
        """The action with each of its payloads, those that come to the same left out."""
        if action.timer and action.event is not None and state in self._table.forgets:
            return
        names = list(action.payload)
        choices = [
            cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
            for value in action.payload.values()
        ]
        facts = self._knowledge.of(state)
        before = facts.before
        seen: list[tuple[str, list[Branch]]] = []
        for values in itertools.product(*choices):
            payload = dict(zip(names, values, strict=True))
            known = self._constants | before | {f"event.{name}": constant(value) for name, value in payload.items()}
            guard = fold(term(action.guard), known)
            if is_false(guard) or facts.decide(guard, None) is False:
                continue
            branches = list(self._branches(state, action, payload, cell, before))
            same = (source(guard), branches)
            if same not in seen:
                seen.append(same)
                yield Label(action, payload, None, self._machine), guard, branches

    def _branches(
        self,
        state: Enum,
        action: Action,
        payload: Mapping[str, object],
        cell: tuple[AnyRow, ...],
        before: dict[str, Term],
    ) -> Iterator[Branch]:
        given = self._constants | {f"event.{name}": constant(value) for name, value in payload.items()}
        if action.event is None:
            yield self._step(state, action, None, ast.Constant(1), given, before)
            return
        if not cell:
            if action.hostile:
                yield Branch(ast.Constant(1), None, (), ())
            else:
                why_not = (
                    f"{action.event.name} has no row in {state.value}; write one, of kind IGNORE if it means nothing "
                    "there, or let the action's guard keep it away"
                )
                yield Branch(ast.Constant(1), None, (), (), (ILLEGAL, why_not))
            return
        for row in cell:
            guard = self._guard(row, given | before)
            if is_false(guard):
                continue
            if row.kind is RowKind.REFUSE and (row.target is not None or row.updates or row.effects):
                raise TableError(f"{row.id}: it refuses, so nothing changes; take its target, updates and effects away")
            if row.kind is RowKind.REFUSE:
                allowed = action.hostile or row.event in self._table.commands
                told = f"{row.id} refuses what an honest environment says; name its event in the table's `commands`, "
                why = None if allowed else (ILLEGAL, f"{told}or call the action `hostile`")
                yield Branch(guard, row, (), (), why)
                continue
            try:
                step = self._step(state, action, row, guard, given, before)
            except TableError as error:
                raise TableError(f"{row.id}, {str(error).removeprefix(f'{row.id}, ')}") from error
            yield step

    def _guard(self, row: AnyRow, known: Mapping[str, Term]) -> Term:
        if row.guard is None:
            return ast.Constant(1)
        named: dict[str, Term] = {}
        for name in names_in(row.guard):
            if name not in self._table.guards:
                raise TableError(f"{row.id}: unknown guard {name!r}")
            named[name] = self._settled(fold(self._rewrite(self._table.guards[name]), known), row, f"guard {name}")
        return fold(term(row.guard), named)

    def _settled(self, node: Term, row: AnyRow, where: str) -> Term:
        """Refuses an expression that still reads what the abstraction does not have."""
        for inner in ast.walk(node):
            unknown = isinstance(inner, ast.Attribute) or (
                isinstance(inner, ast.Name) and inner.id not in (*self._layout.variables, "min", "max")
            )
            if unknown:
                raise TableError(
                    f"{row.id}, {where}: {ast.unparse(inner)!r} has no meaning in the exploration; give it a variable, "
                    "a rewrite, or a payload of the action"
                )
        return node

    def _step(
        self,
        state: Enum,
        action: Action,
        row: AnyRow | None,
        guard: Term,
        given: Mapping[str, Term],
        before: dict[str, Term],
    ) -> Branch:
        after = dict(before)
        wrote: set[str] = set()
        checks: list[tuple[int, Term]] = []

        def write(name: str, value: Term, where: str) -> None:
            variable = self._layout.variables[name]
            if row is not None:
                self._settled(value, row, where)
            after[name] = _bounded(variable, value, self._layout.variables)
            wrote.add(name)
            if _may_be_negative(value):
                number = NEGATIVE - tuple(self._layout.variables).index(name)
                checks.append((number, fold(ast.Compare(value, [ast.GtE()], [ast.Constant(0)]), {})))

        for name, text in action.updates.items():
            write(name, fold(term(text), {**given, **after}), f"action {action.name}")
        assigned: set[str] = set()
        target = state
        if row is not None:
            for update in row.updates:
                if update not in self._table.updates:
                    raise TableError(f"{row.id}: unknown update {update!r}")
                for field, text in self._table.updates[update]:
                    assigned.add(field)
                    self._assign(write, field, text, {**given, **after}, f"update {update}")
            if row.target is not None:
                target = row.target
                for field, text in self._table.on_entry(target).items():
                    self._assign(write, field, text, {**given, **after}, "its target")
                after["state"] = constant(target)
            for effect in row.effects:
                for name, text in self._environment.reactions[effect.name].items():
                    write(name, fold(term(text), {**given, **after}), f"effect {effect.name}")
        broken = self._forget(state, target, after, wrote)
        changes = tuple((name, source(value)) for name, value in after.items() if value is not before[name])
        kept = tuple((name, text) for name, text in changes if text != source(before[name]))
        if broken is None:
            known = self._told(action, row, assigned, given, before, after)
            changed = {name for name, _ in kept}
            for number, rule in self._rules(state, action):
                if number in self._stirred and not self._stirred[number] & changed:
                    continue
                holds = fold(rule, known)
                if not is_true(holds):
                    checks.append((number, holds))
        return Branch(guard, row, kept, tuple(checks), broken)

    def _assign(
        self, write: Callable[[str, Term, str], None], field: str, text: str, known: Mapping[str, Term], where: str
    ) -> None:
        variable = self._layout.variables.get(field)
        if variable is None:
            if field not in self._table.dropped:
                raise TableError(
                    f"{where}: the field {field!r} has no variable; add one, or say in `dropped` why none is needed"
                )
            return
        raw = self._rewrite(text)
        write(field, fold(_presence(raw, variable) if variable.presence else raw, known), where)

    def _forget(self, state: Enum, target: Enum, after: dict[str, Term], wrote: set[str]) -> tuple[int, str] | None:
        for name, variable in self._layout.variables.items():
            if variable.within is None:
                continue
            if target not in variable.within:
                if state in variable.within or name in wrote:
                    after[name] = ast.Constant(variable.initial[0])
            elif state not in variable.within and name not in wrote:
                return UNWRITTEN, (
                    f"{name} means something in {target.value}, and nobody wrote it on the way there; "
                    "give the row an update that does"
                )
        return None

    def _rules(self, state: Enum, action: Action) -> list[tuple[int, Term]]:
        """What is left of the edge properties when the event and the state are known."""
        event = "" if action.event is None else str(action.event.name)
        key = (state, event)
        if key not in self._left:
            known = {**self._constants, "before.state": constant(state), "event": ast.Constant(event)}
            # Names stand for what is after the step, so only what is constant before it may be put in already.
            before = self._knowledge.of(state).before
            known |= {f"before.{name}": value for name, value in before.items() if isinstance(value, ast.Constant)}
            folded = (
                (number, fold(term(item.expression), known))
                for number, item in enumerate(self._properties)
                if item.shape is Shape.EDGE and (self._judged is None or number in self._judged)
            )
            self._left[key] = [(number, rule) for number, rule in folded if not is_true(rule)]
        return self._left[key]

    def _told(
        self,
        action: Action,
        row: AnyRow | None,
        assigned: set[str],
        given: Mapping[str, Term],
        before: Mapping[str, Term],
        after: Mapping[str, Term],
    ) -> dict[str, Term]:
        yes: Final = ast.Constant(1)
        facts: dict[str, Term] = {**given, **after}
        facts |= {f"before.{name}": value for name, value in before.items()}
        facts["event"] = ast.Constant("" if action.event is None else str(action.event.name))
        facts["kind"] = ast.Constant("" if row is None else row.kind.value)
        facts["row"] = ast.Constant("" if row is None else row.id)
        facts["moves"] = constant(row is not None and row.target is not None)
        facts["updates"] = ast.Constant(0 if row is None else len(row.updates))
        facts["effects"] = ast.Constant(0 if row is None else len(row.effects))
        facts |= {"does()": yes}  # facts that are not listed are false
        if row is not None:
            facts |= {f"does({effect.name})": yes for effect in row.effects}
            facts |= {f"assigned({name.rpartition(MARK)[2]})": yes for name in assigned}
            facts |= {f"updated({name})": yes for name in row.updates}
        return facts


def _bounded(variable: Variable, value: Term, variables: Mapping[str, Variable]) -> Term:
    """The value, kept within the variable's bound."""
    if isinstance(value, ast.Constant):
        if not isinstance(value.value, int):
            raise TableError(f"{variable.name}: {value.value!r} is not one of its values")
        return ast.Constant(min(value.value, variable.most))
    if isinstance(value, ast.Compare) or (isinstance(value, ast.Name) and value.id == variable.name):
        return value
    if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not):
        return value
    if isinstance(value, ast.BoolOp):
        return value if _is_truth(value, variables) else ast.IfExp(value, ast.Constant(1), ast.Constant(0))
    match value:
        case ast.BinOp(ast.Name(name), ast.Sub(), less) if name == variable.name and not _may_be_negative(less):
            return value  # no greater than it was
        case _:
            pass
    if isinstance(value, ast.IfExp):
        return ast.IfExp(
            value.test, _bounded(variable, value.body, variables), _bounded(variable, value.orelse, variables)
        )
    return ast.Call(ast.Name("min", ast.Load()), [value, ast.Constant(variable.most)], [])


def _is_truth(value: Term, variables: Mapping[str, Variable]) -> bool:
    """Whether it is 0 or 1; Python's ``a or b`` is one of both, whatever they are."""
    match value:
        case ast.BoolOp(_, values):
            return all(_is_truth(each, variables) for each in values)
        case ast.Name(name):
            return variables[name].most == 1
        case _:
            return isinstance(value, ast.Compare) or (isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not))


def _may_be_negative(value: Term) -> bool:
    """Whether its form allows it to be less than 0; variables are not."""
    match value:
        case ast.Constant(number):
            return isinstance(number, int) and number < 0
        case ast.IfExp(_, body, orelse):
            return _may_be_negative(body) or _may_be_negative(orelse)
        case ast.Call(ast.Name("max"), args):
            return all(map(_may_be_negative, args))
        case ast.Call(_, args):
            return any(map(_may_be_negative, args))
        case ast.BinOp(left, op, right):
            return isinstance(op, ast.Sub) or _may_be_negative(left) or _may_be_negative(right)
        case ast.UnaryOp(ast.USub(), _):
            return True
        case _:
            return False


def _presence(node: Term, variable: Variable) -> Term:
    """Whether the expression has a value."""
    match node:
        case ast.Constant(None):
            return ast.Constant(0)
        case ast.IfExp(test, body, orelse):
            return ast.IfExp(test, _presence(body, variable), _presence(orelse, variable))
        case ast.Name(name) if name == variable.name:
            return node
        case _:
            return ast.Constant(1)
