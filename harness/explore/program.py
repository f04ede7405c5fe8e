"""A table and its environment as one Python function a state: what can be reached from here in one step.

A state of the exploration is one whole number: the machine's state in the lowest bits, then every variable. The code
of a state is what is left of guards, updates and properties once everything is folded that the state, the event and
the bounds decide. It is kept by the rows that it was made from, so that a mutant costs the code of one state.
"""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple, cast

import attrs

from gatewright.harness.explore.environment import Action, Environment, Variable
from gatewright.harness.explore.properties import Property, Shape
from gatewright.harness.explore.table import AnyRow, Table, constants, rewriting
from gatewright.harness.explore.terms import Term, code_of, constant, fold, is_false, is_true, names_in, source, term
from gatewright.spec.errors import TableError
from gatewright.spec.rows import RowKind

Successors = Callable[[int, Callable[[int], None]], None]

ILLEGAL: Final = -1
UNDECIDED: Final = -2
UNWRITTEN: Final = -3
"""Findings that no property states: an event that the machine refuses or has no row for, a cell in which no row is
taken, and a variable that is read where nobody wrote it."""


class Broken(Exception):
    """A property does not hold here: its number, the label of the step (-1: in the state itself), and what it is."""

    def __init__(self, number: int, label: int, detail: str = "") -> None:
        self.number = number
        self.label = label
        self.detail = detail


@attrs.frozen
class Label:
    """One kind of step out of one state: what happened, and the row that was taken (``None``: the machine slept)."""

    action: Action
    payload: Mapping[str, object] = attrs.field(eq=False)
    row: AnyRow | None


class Loop(NamedTuple):
    """A step that changes nothing, when `guard` holds: it needs no code, only to be known."""

    label: Label
    guard: Term


@attrs.frozen(eq=False)
class StateCode:
    """What one state of the machine can do."""

    successors: Successors
    labels: tuple[Label, ...]
    loops: tuple[Loop, ...]
    text: str


class Layout:
    """Where each variable lies in the number of a state."""

    def __init__(self, table: Table, environment: Environment) -> None:
        self.variables = {variable.name: variable for variable in (*table.variables, *environment.variables)}
        if len(self.variables) != len(table.variables) + len(environment.variables):
            raise TableError(f"{table.name} and {environment.name} have variables of the same name")
        self.states = table.states
        self.state_mask = (1 << (len(self.states) - 1).bit_length()) - 1
        self.shifts: dict[str, int] = {}
        shift = self.state_mask.bit_length()
        for variable in self.variables.values():
            self.shifts[variable.name] = shift
            shift += variable.bits
        self.width = shift
        self.mask = (1 << shift) - 1

    def pack(self, state: Enum, values: Mapping[str, int]) -> int:
        """The number of a state."""
        packed = code_of(state)
        for name, shift in self.shifts.items():
            packed |= values[name] << shift
        return packed

    def unpack(self, packed: int) -> dict[str, int]:
        """The values of the variables; see :meth:`state` for the machine's state."""
        return {name: packed >> self.shifts[name] & _ones(variable) for name, variable in self.variables.items()}

    def state(self, packed: int) -> Enum:
        """The machine's state."""
        return self.states[packed & self.state_mask]

    def field(self, name: str) -> str:
        """The variable as Python source over ``s``."""
        return f"s >> {self.shifts[name]} & {_ones(self.variables[name])}"


def _ones(variable: Variable) -> int:
    return (1 << variable.bits) - 1


@attrs.frozen
class _Branch:
    """One way that a step can go: under `guard`, with `checks`, to the values that changed."""

    guard: Term = attrs.field(eq=source)
    row: AnyRow | None
    changes: tuple[tuple[str, str], ...]
    checks: tuple[tuple[int, Term], ...] = attrs.field(eq=lambda found: [(n, source(x)) for n, x in found])
    broken: tuple[int, str] | None = None

    @property
    def idle(self) -> bool:
        return not self.changes and not self.checks and self.broken is None


def conjunction(*parts: Term) -> Term:
    """All of them."""
    return fold(ast.BoolOp(ast.And(), list(parts)), {})


def disjunction(parts: list[Term]) -> Term:
    """One of them."""
    return fold(ast.BoolOp(ast.Or(), parts), {}) if parts else ast.Constant(0)


def _conjuncts(node: Term) -> tuple[str, ...]:
    if is_true(node):
        return ()
    parts = node.values if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And) else [node]
    return tuple(source(part) for part in parts)


def _nested(steps: list[tuple[tuple[str, ...], list[str]]], indent: str) -> Iterator[str]:
    """The code of steps under their conditions; conditions that neighbours share are asked once."""
    place = 0
    while place < len(steps):
        conditions, code = steps[place]
        if not conditions:
            yield from (indent + line for line in code)
            place += 1
            continue
        first = conditions[0]
        group: list[tuple[tuple[str, ...], list[str]]] = []
        while place < len(steps) and steps[place][0][:1] == (first,):
            group.append((steps[place][0][1:], steps[place][1]))
            place += 1
        yield f"{indent}if {first}:"
        yield from _nested(group, indent + " ")


class _Facts:
    """What is known in one state of the machine, once its safety properties were found to hold there.

    They are the first thing that the code of a state asks, so the rest may rely on them: whether something follows from
    them is found by trying every value of the few variables that matter.
    """

    _MOST = 2048

    def __init__(self, layout: Layout, raw: dict[str, Term], always: list[Term]) -> None:
        self._layout = layout
        self._decided: dict[tuple[str, str], bool | None] = {}
        self._safe: list[tuple[frozenset[str], Term]] = []
        for holds in always:
            parts = holds.values if isinstance(holds, ast.BoolOp) and isinstance(holds.op, ast.And) else [holds]
            self._safe += [(_free(part), part) for part in parts if not isinstance(part, ast.Constant)]
        self.before = dict(raw)
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
        wanted = _free(holds)
        if under is not None:
            if self._size(wanted | _free(under)) <= self._MOST:
                wanted |= _free(under)
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
        names = sorted(frozenset[str]().union(_free(holds), *(map(_free, given))))
        if self._size(frozenset(names)) > self._MOST:
            return None
        condition = " and ".join(f"({source(part)})" for part in given) or "True"
        ranges = "".join(f" for {name} in range({self._layout.variables[name].most + 1})" for name in names)
        text = f"{{bool({source(holds)}){ranges} if {condition}}}" if names else f"{{bool({source(holds)})}}"
        found = cast("set[bool]", eval(text))  # noqa: S307 - made here, from the table
        return found.pop() if len(found) == 1 else None if found else False


def _free(node: Term) -> frozenset[str]:
    return frozenset(
        inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and inner.id not in {"min", "max"}
    )


class Compiler:
    """Makes the code of states, for tables that differ in their rows only."""

    def __init__(self, table: Table, environment: Environment, properties: Iterable[Property]) -> None:
        self.table = table
        self.environment = environment
        self.properties = tuple(properties)
        self.layout = Layout(table, environment)
        self._constants = constants(table, environment.enumerations)
        self._rewrite = rewriting(table)
        self._machine = {variable.name for variable in table.variables}
        self._events: set[type[Any]] = {action.event for action in environment.actions if action.event is not None}
        self._codes: dict[tuple[Enum, tuple[AnyRow, ...]], StateCode] = {}
        self._known: dict[Enum, _Facts] = {}
        self._left: dict[tuple[Enum, str], list[tuple[int, Term]]] = {}
        self._cells: dict[tuple[Enum, int, tuple[AnyRow, ...]], list[tuple[Label, Term, list[_Branch]]]] = {}
        self._check()

    # -- what must be said before anything is explored -----------------------------------------------------------------

    def _check(self) -> None:
        """Refuses what would otherwise be silently left out."""
        faults: list[str] = []
        env = self.environment
        faults += [
            f"event {event.name}: no action of environment {env.name!r} feeds it; write one, or name it in `unheard`, "
            "with the reason"
            for event in sorted({row.event for row in self.table.rows}, key=lambda event: str(event.name))
            if event not in self._events and event not in env.unheard
        ]
        faults += [
            f"effect {effect}: environment {env.name!r} has no reaction to it; {{}} says: none"
            for effect in sorted({str(effect.name) for row in self.table.rows for effect in row.effects})
            if effect not in env.reactions
        ]
        names = set(self.layout.variables)
        for action in env.actions:
            faults += [f"action {action.name!r}: {name!r} is no variable" for name in action.updates.keys() - names]
            faults += [
                f"action {action.name!r}: {name!r} belongs to the machine; only rows write it"
                for name in action.updates.keys() & self._machine
            ]
        for effect_name, updates in env.reactions.items():
            faults += [f"reaction to {effect_name}: {name!r} is no variable" for name in updates.keys() - names]
        known = names | self._constants.keys() | {"state", "event", "kind", "moves", "effects", "updates", "row"}
        for item in self.properties:
            for name in names_in(item.expression):
                if name.removeprefix("before.") not in known and not name.startswith("event."):
                    faults.append(f"property {item.name!r}: {name!r} is no variable")
        if faults:
            raise TableError(f"{self.table.name} cannot be explored:\n  " + "\n  ".join(faults))

    # -- code ----------------------------------------------------------------------------------------------------------

    def state(self, state: Enum, rows: tuple[AnyRow, ...]) -> StateCode:
        """The code of `state`, whose rows are `rows`."""
        found = self._codes.get((state, rows))
        if found is None:
            found = self._codes[state, rows] = self._make(state, rows)
        return found

    def forget_all_but(self, rows: Iterable[AnyRow]) -> None:
        """Drops the code of every other table; mutants come by the thousand, and each is looked at once."""
        kept: dict[tuple[Enum, type[Any]], list[AnyRow]] = {}
        states: dict[Enum, list[AnyRow]] = {}
        for row in rows:
            kept.setdefault((row.source, row.event), []).append(row)
            states.setdefault(row.source, []).append(row)
        for state, found in list(self._codes):
            if found != tuple(states.get(state, ())):
                del self._codes[state, found]
        for state, action, cell in list(self._cells):
            if cell and cell != tuple(kept.get((state, cell[0].event), ())):
                del self._cells[state, action, cell]

    def predicate(self, holds: Term) -> Callable[[int], object]:
        """A folded expression as a function of a packed state."""
        text = source(holds)
        used = {node.id for node in ast.walk(holds) if isinstance(node, ast.Name)}
        unpack = [f" {name} = {self.layout.field(name)}" for name in self.layout.variables if name in used]
        namespace: dict[str, object] = {}
        exec("\n".join(["def holds(s):", *unpack, f" return {text}"]), namespace)  # noqa: S102 - made here
        return cast("Callable[[int], object]", namespace["holds"])

    def before(self, state: Enum) -> dict[str, Term]:
        """What each variable is in `state`, before a step: itself, or its value where only one is possible."""
        return self._facts_of(state).before

    def _facts_of(self, state: Enum) -> _Facts:
        found = self._known.get(state)
        if found is None:
            raw = self._any(state)
            always = [
                fold(term(item.expression), self._constants | raw)
                for item in self.properties
                if item.shape is Shape.ALWAYS
            ]
            found = self._known[state] = _Facts(self.layout, raw, always)
        return found

    def _any(self, state: Enum) -> dict[str, Term]:
        """Every variable as itself, or its first value where it means nothing."""
        known: dict[str, Term] = {"state": constant(state)}
        for name, variable in self.layout.variables.items():
            forgotten = variable.within is not None and state not in variable.within
            known[name] = ast.Constant(variable.initial[0]) if forgotten else ast.Name(name, ast.Load())
        return known

    def _make(self, state: Enum, rows: tuple[AnyRow, ...]) -> StateCode:
        cells: dict[type[Any], list[AnyRow]] = {}
        for row in rows:
            cells.setdefault(row.event, []).append(row)
        labels: list[Label] = []
        loops: list[Loop] = []
        raw, facts = self._any(state), self._facts_of(state)
        safe: list[tuple[int, str]] = []
        for number, item in enumerate(self.properties):
            if item.shape is Shape.ALWAYS:
                holds = fold(term(item.expression), self._constants | raw)
                if not is_true(holds) and facts.tautology(holds) is not True:
                    safe.append((number, source(holds)))
        lines: list[str] = []
        if safe:
            # One test where all is well, as nearly always; which one failed is asked afterwards.
            lines.append(f" if not ({' and '.join(f'({text})' for _, text in safe)}):")
            lines += [f"  if not ({text}): raise Broken({number}, -1)" for number, text in safe]
        steps: list[tuple[tuple[str, ...], list[str]]] = []
        written: dict[str, object] = {}
        for index, action in enumerate(self.environment.actions):
            cell = () if action.event is None else tuple(cells.get(action.event, ()))
            branches = self._cells.get((state, index, cell))
            if branches is None:
                branches = self._cells[state, index, cell] = list(self._variants(state, action, cell))
            said = [(source(guard), found) for _, guard, found in branches]
            if action.unlike and written.get(action.unlike) == said:
                continue
            written[action.name] = said
            for label, guard, found in branches:
                code = list(self._action_lines(state, facts, label, guard, found, labels, loops))
                if code:
                    steps.append((_conjuncts(guard), code))
        lines += _nested(steps, " ")
        return self._function(state, lines, labels, loops)

    def _function(self, state: Enum, lines: list[str], labels: list[Label], loops: list[Loop]) -> StateCode:
        body = "\n".join(lines) or " pass"
        used = {node.id for node in ast.walk(ast.parse(f"def f():\n{body}")) if isinstance(node, ast.Name)}
        unpack = [f" {name} = {self.layout.field(name)}" for name in self.layout.variables if name in used]
        text = "\n".join(["def successors(s, emit):", *unpack, body])
        namespace: dict[str, object] = {"Broken": Broken}
        exec(compile(text, f"<explored {state.value}>", "exec"), namespace)  # noqa: S102 - made here, from the table
        return StateCode(cast("Successors", namespace["successors"]), tuple(labels), tuple(loops), text)

    def _action_lines(
        self,
        state: Enum,
        facts: _Facts,
        label: Label,
        guard: Term,
        branches: list[_Branch],
        labels: list[Label],
        loops: list[Loop],
    ) -> Iterator[str]:
        possible = [branch for branch in branches if facts.decide(branch.guard, guard) is not False]
        busy: list[_Branch] = []
        for branch in possible:
            both = conjunction(guard, branch.guard)
            checks = tuple(check for check in branch.checks if facts.decide(check[1], both) is not True)
            branch = attrs.evolve(branch, checks=checks)
            if branch.idle:
                loops.append(Loop(attrs.evolve(label, row=branch.row), both))
            else:
                busy.append(branch)
        taken = disjunction([branch.guard for branch in branches])
        decided = label.action.event is None or facts.decide(taken, guard) is True
        for one, other in itertools.combinations(possible, 2):
            overlap = conjunction(one.guard, other.guard)
            if one.row is not None and other.row is not None and facts.decide(overlap, guard) is not False:
                labels.append(attrs.evolve(label, row=one.row))
                why = f"{one.row.id} and {other.row.id} are both taken"
                yield f"if {source(overlap)}: raise Broken({UNDECIDED}, {len(labels) - 1}, {why!r})"
        for branch in busy:
            number = len(labels)
            labels.append(attrs.evolve(label, row=branch.row))
            indent = ""
            if facts.decide(branch.guard, guard) is not True:
                yield f"if {source(branch.guard)}:"
                indent = " "
            for check, holds in branch.checks:
                yield f"{indent}if not ({source(holds)}): raise Broken({check}, {number})"
            if branch.broken is not None:
                yield f"{indent}raise Broken({branch.broken[0]}, {number}, {branch.broken[1]!r})"
            else:
                yield f"{indent}emit({self._successor(state, branch, number)})"
        if not decided and label.action.event is not None:
            labels.append(attrs.evolve(label, row=None))
            why = f"no row of {state.value}.{label.action.event.name} is taken"
            yield f"if not ({source(taken)}): raise Broken({UNDECIDED}, {len(labels) - 1}, {why!r})"

    def _successor(self, state: Enum, branch: _Branch, number: int) -> str:
        keep, fixed, moving = self.layout.mask, number << self.layout.width, list[str]()
        for name, text in branch.changes:
            if name == "state":
                keep &= ~self.layout.state_mask
                fixed |= int(text)
                continue
            shift, variable = self.layout.shifts[name], self.layout.variables[name]
            keep &= ~(_ones(variable) << shift)
            if text.isdigit():
                fixed |= int(text) << shift
            else:
                moving.append(f"(({text}) << {shift})")
        kept = "s" if keep == self.layout.mask else f"s & {keep}"
        return " | ".join([kept, str(fixed), *moving]) if fixed or not moving else " | ".join([kept, *moving])

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _variants(
        self, state: Enum, action: Action, cell: tuple[AnyRow, ...]
    ) -> Iterator[tuple[Label, Term, list[_Branch]]]:
        """The action with each of its payloads, those that come to the same left out."""
        names = list(action.payload)
        choices = [
            cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
            for value in action.payload.values()
        ]
        seen: list[tuple[str, list[_Branch]]] = []
        for values in itertools.product(*choices):
            payload = dict(zip(names, values, strict=True))
            before = self.before(state)
            known = self._constants | before | {f"event.{name}": constant(value) for name, value in payload.items()}
            guard = fold(term(action.guard), known)
            if is_false(guard) or self._facts_of(state).decide(guard, None) is False:
                continue
            branches = list(self._branches(state, action, payload, cell, before))
            same = (source(guard), branches)
            if same not in seen:
                seen.append(same)
                yield Label(action, payload, None), guard, branches

    def _branches(
        self,
        state: Enum,
        action: Action,
        payload: Mapping[str, object],
        cell: tuple[AnyRow, ...],
        before: dict[str, Term],
    ) -> Iterator[_Branch]:
        given = self._constants | {f"event.{name}": constant(value) for name, value in payload.items()}
        if action.event is None:
            yield self._step(state, action, None, ast.Constant(1), given, before)
            return
        if not cell:
            if action.hostile:
                yield _Branch(ast.Constant(1), None, (), ())
            else:
                yield _Branch(
                    ast.Constant(1), None, (), (), (ILLEGAL, f"{action.event.name} has no row in {state.value}")
                )
            return
        for row in cell:
            guard = self._guard(row, given | before)
            if is_false(guard):
                continue
            if row.kind is RowKind.REFUSE:
                allowed = action.hostile or row.event in self.table.commands
                why = None if allowed else (ILLEGAL, f"{row.id} refuses what an honest environment says")
                yield _Branch(guard, row, (), (), why)
            else:
                yield self._step(state, action, row, guard, given, before)

    def _guard(self, row: AnyRow, known: Mapping[str, Term]) -> Term:
        if row.guard is None:
            return ast.Constant(1)
        named: dict[str, Term] = {}
        for name in names_in(row.guard):
            if name not in self.table.guards:
                raise TableError(f"{row.id}: unknown guard {name!r}")
            named[name] = self._settled(fold(self._rewrite(self.table.guards[name]), known), row, f"guard {name}")
        return fold(term(row.guard), named)

    def _settled(self, node: Term, row: AnyRow, where: str) -> Term:
        """Refuses an expression that still reads what the abstraction does not have."""
        for inner in ast.walk(node):
            unknown = isinstance(inner, ast.Attribute) or (
                isinstance(inner, ast.Name) and inner.id not in self.layout.variables and inner.id not in {"min", "max"}
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
    ) -> _Branch:
        after = dict(before)
        wrote: set[str] = set()

        def write(name: str, value: Term, where: str) -> None:
            variable = self.layout.variables[name]
            if row is not None:
                self._settled(value, row, where)
            after[name] = _bounded(variable, value)
            wrote.add(name)

        for name, text in action.updates.items():
            write(name, fold(term(text), {**given, **after}), f"action {action.name}")
        assigned: set[str] = set()
        target = state
        if row is not None:
            for update in row.updates:
                if update not in self.table.updates:
                    raise TableError(f"{row.id}: unknown update {update!r}")
                for field, text in self.table.updates[update]:
                    assigned.add(field)
                    self._assign(write, field, text, {**given, **after}, f"update {update}")
            if row.target is not None:
                target = row.target
                for field, text in self.table.on_entry(target).items():
                    self._assign(write, field, text, {**given, **after}, "its target")
                after["state"] = constant(target)
            for effect in row.effects:
                for name, text in self.environment.reactions[effect.name].items():
                    write(name, fold(term(text), {**given, **after}), f"effect {effect.name}")
        broken = self._forget(state, target, after, wrote)
        checks: list[tuple[int, Term]] = []
        if broken is None:
            known = self._facts(action, row, assigned, given, before, after)
            for number, rule in self._rules(state, action):
                holds = fold(rule, known)
                if not is_true(holds):
                    checks.append((number, holds))
        changes = tuple((name, source(value)) for name, value in after.items() if value is not before[name])
        kept = tuple((name, text) for name, text in changes if text != source(before[name]))
        return _Branch(guard, row, kept, tuple(checks), broken)

    def _assign(
        self, write: Callable[[str, Term, str], None], field: str, text: str, known: Mapping[str, Term], where: str
    ) -> None:
        variable = self.layout.variables.get(field)
        if variable is None:
            if field not in self.table.dropped:
                raise TableError(
                    f"{where}: the field {field!r} has no variable; add one, or say in `dropped` why none is needed"
                )
            return
        raw = self._rewrite(text)
        write(field, fold(_presence(raw, variable) if variable.presence else raw, known), where)

    def _forget(self, state: Enum, target: Enum, after: dict[str, Term], wrote: set[str]) -> tuple[int, str] | None:
        for name, variable in self.layout.variables.items():
            if variable.within is None:
                continue
            if target not in variable.within:
                if state in variable.within or name in wrote:
                    after[name] = ast.Constant(variable.initial[0])
            elif state not in variable.within and name not in wrote:
                return UNWRITTEN, f"{name} means something in {target.value}, and nobody wrote it on the way there"
        return None

    def _rules(self, state: Enum, action: Action) -> list[tuple[int, Term]]:
        """What is left of the edge properties when the event and the state are known."""
        event = "" if action.event is None else str(action.event.name)
        key = (state, event)
        if key not in self._left:
            known = {**self._constants, "before.state": constant(state), "event": ast.Constant(event)}
            # Names stand for what is after the step, so only what is constant before it may be put in already.
            known |= {
                f"before.{name}": value for name, value in self.before(state).items() if isinstance(value, ast.Constant)
            }
            folded = (
                (number, fold(term(item.expression), known))
                for number, item in enumerate(self.properties)
                if item.shape is Shape.EDGE
            )
            self._left[key] = [(number, rule) for number, rule in folded if not is_true(rule)]
        return self._left[key]

    def _facts(
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
            facts |= {f"assigned({name})": yes for name in assigned}
            facts |= {f"updated({name})": yes for name in row.updates}
        return facts


def _bounded(variable: Variable, value: Term) -> Term:
    """The value, kept within the variable's bound."""
    if isinstance(value, ast.Constant):
        if not isinstance(value.value, int):
            raise TableError(f"{variable.name}: {value.value!r} is not one of its values")
        return ast.Constant(min(value.value, variable.most))
    if isinstance(value, (ast.Compare, ast.BoolOp)) or (isinstance(value, ast.Name) and value.id == variable.name):
        return value
    if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not):
        return value
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Sub):
        return value
    if isinstance(value, ast.IfExp):
        return ast.IfExp(value.test, _bounded(variable, value.body), _bounded(variable, value.orelse))
    return ast.Call(ast.Name("min", ast.Load()), [value, ast.Constant(variable.most)], [])


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
