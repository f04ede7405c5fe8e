"""What must come to pass, as Promela: once faults and commands have ceased, the goal is reached.

`phase` says where a run is: it begins, is free, has settled, or is over. While it is free, everything can happen, as in
the model of states and steps. At any moment short of the goal it may settle. From then on only what is fair happens,
and a timer only where nothing else that is fair is possible (eager time); the run ends at the goal. Whatever goes on
for ever once it has settled never gets there, and that is all that the label ``accept`` marks.

Each fair action and each timer is a process, so that Spin's weak fairness of processes (``pan -a -f``) is ours of
actions. A step that changes nothing is none, as for the explorer: `can_n` says that an action can happen and what it
would change. A deadline that stays armed fires: `clock` can end the run wherever the machine stays in a state with a
deadline and the last step did not begin it anew, by entering, by arming it again, or by being the deadline itself. As a
fair process it must, unless this ceases to be so again and again.

That the goal can be reached from everywhere (AG EF) is no formula of linear time, and is left to the explorer.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Final, cast

import attrs

from gatewright.harness.explore.environment import Action, Environment
from gatewright.harness.explore.properties import Property
from gatewright.harness.explore.search import Bounds
from gatewright.harness.explore.table import Table
from gatewright.harness.explore.terms import Term, code_of, names_in, term
from gatewright.harness.export.plan import Plan, RowPlan
from gatewright.harness.export.promela_model import PROMELA, Model, comment, inside, payloads
from gatewright.harness.export.spin import COMPILE, convergence_flags
from gatewright.harness.export.writing import Writer

_FREE, _SETTLED, _OVER = 1, 2, 3
_UNPRINTABLE: Final = re.compile(r'[^ -~]|[%\\"]')
CEASED: Final = "faults and commands cease"
"""What a replay says of the moment in which a run settles."""
PHASES: Final = {0: "begins", _FREE: "is free", _SETTLED: "has settled", _OVER: "is over, because a deadline passed"}


def promela_convergence(
    table: Table,
    environment: Environment,
    goal: Property,
    bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
) -> str:
    """The model of one `eventually`; see :func:`gatewright.harness.export.run_convergence`.

    Raises:
        TableError: when an expression cannot be said in Promela, or names what is not there.
    """
    return "\n".join(_Convergence(Plan(table, environment, bounds), goal).lines()) + "\n"


@attrs.frozen
class _Variant:
    """An action with one of its payloads."""

    action: Action
    payload: Mapping[str, int]
    guard: str
    can: str
    """The name of what says that it can happen and changes something."""


class _Convergence(Model):
    def __init__(self, plan: Plan, goal: Property) -> None:
        super().__init__(plan)
        self._goal = goal
        self._variants: dict[str, list[_Variant]] = {}
        for number, action in enumerate(plan.environment.actions):
            for place, payload in enumerate(payloads(action)):
                guard = self._writer(payload).truth(term(action.guard))
                if guard != PROMELA.false:
                    variant = _Variant(action, payload, guard, f"can_{number}_{place}")
                    self._variants.setdefault(action.name, []).append(variant)
        self._lasting = [action for action in plan.environment.actions if action.fair or action.timer]
        """What still happens once the run has settled."""

    def lines(self) -> Iterator[str]:
        plan = self._plan
        table, environment = plan.table, plan.environment
        yield f"/* {table.name} in {environment.name}, once faults and commands have ceased:"
        yield f"   {self._goal.name.replace('*/', '')}"
        yield from self._legend()
        processes = 1 + sum(action.name in self._variants for action in self._lasting) + bool(table.timed)
        flags = " ".join((*COMPILE, *convergence_flags(processes)))
        yield f"   spin -o1 -o2 -a MODEL; cc {flags} -o pan pan.c; ./pan -a -f -m1000000; spin -t -T MODEL"
        yield "*/"
        yield from self._variables()
        yield f"byte phase = {0 if len(self._beginnings) > 1 else _FREE}; /* {_listed(PHASES)} */"
        yield "bit armed = 0; /* the last step entered the state, armed its deadline again, or was the deadline */"
        yield "hidden byte changed;"
        yield "hidden byte legal = 0, moving = 0; /* they name what is asserted, and are never true */"
        yield ""
        yield from self._forgetting()
        yield ""
        yield f"#define goal ({self._writer().truth(term(self._goal.expression))})"
        yield f"#define eager (phase == {_SETTLED} && !goal)"
        yield f"#define timed ({inside(table.timed)})"
        for action in self._lasting:
            for variant in self._variants.get(action.name, ()):
                yield f"#define {variant.can} ({self._possible(variant)}) {comment(action.name)}"
        yield f"#define prompt ({self._any(action for action in self._lasting if not action.timer)})"
        yield f"#define due ({self._any(action for action in self._lasting if action.timer)})"
        yield ""
        yield from self._machine()
        for number, action in enumerate(environment.actions):
            if action.name in self._variants and action in self._lasting:
                yield f"active proctype action_{number}() {{ {comment(action.name)}"
                yield "end:"
                yield "  do"
                yield from self._steps(action)
                yield "  od"
                yield "}"
        yield from self._clock()

    def _any(self, actions: Iterable[Action]) -> str:
        found = [variant.can for action in actions for variant in self._variants.get(action.name, ())]
        return " || ".join(found) or PROMELA.false

    def _machine(self) -> Iterator[str]:
        """The beginning, what ceases, and the moment from which on everything has."""
        yield "active proctype machine() {"
        yield from self._beginning(f"phase = {_FREE};")
        yield "end:"
        yield "  do"
        settle = f'phase = {_SETTLED}; printf("{CEASED}: state %d\\n", m_state)'
        yield f"  :: d_step {{ phase == {_FREE} && !goal -> {settle} }}; break"
        for action in self._plan.environment.actions:
            if action not in self._lasting:
                yield from self._steps(action)
        yield "  od;"
        yield "accept:"
        yield "  do"
        yield "  :: d_step { eager && !prompt && !due -> assert(moving) }"
        yield "  od"
        yield "}"

    def _steps(self, action: Action) -> Iterator[str]:
        lasting = action in self._lasting
        for variant in self._variants.get(action.name, ()):
            asked = f"phase == {_FREE} && {variant.guard}"
            if lasting:
                when = f"eager && !prompt && {variant.can}" if action.timer else f"eager && {variant.can}"
                asked = f"({asked} || {when})"
            writer = self._writer(variant.payload)
            updates = [self._assign(name, term(text), writer) for name, text in action.updates.items()]
            passes = action.timer and (not self._plan.table.rearms or self._plan.table.rearms in names_in(action.guard))
            yield f"  :: d_step {{ {comment(action.name)}"
            yield f"     {asked} ->"
            yield f"     armed = {f'phase == {_SETTLED}' if passes else 0};"
            if action.event is None:
                yield f"     {' '.join(updates)} forget(); armed = armed && timed; {_told(action)} }}"
                continue
            yield "     changed = 0;"
            yield from self._choice(action, self._cells(action.event, writer), writer, updates, self._arming)
            yield "     if :: changed -> forget() :: else fi;"
            yield f"     changed = 0; armed = armed && timed; {_told(action)} }}"

    def _arming(self, plan: RowPlan) -> Iterator[str]:
        if plan.row.target is not None or self._plan.table.rearms in plan.assigned:
            yield f"armed = (phase == {_SETTLED});"

    def _clock(self) -> Iterator[str]:
        """Where it has passed, everything is the same, so that there is one state more and not many."""
        if not self._plan.table.timed:
            return
        nothing = " ".join(f"{self._variable(name)} = 0;" for name in ("state", *self._plan.variables))
        yield "active proctype clock() {"
        yield "end:"
        yield "  do"
        yield f"  :: d_step {{ eager && timed && !armed -> phase = {_OVER}; {nothing} skip }}"
        yield "  od"
        yield "}"

    # -- whether a step changes anything -------------------------------------------------------------------------------

    def _possible(self, variant: _Variant) -> str:
        action, writer = variant.action, self._writer(variant.payload)
        updates = [(name, term(text)) for name, text in action.updates.items()]
        if action.event is None:
            kept = [(name, self._kept(name, value)) for name, value in updates]
            return _both(variant.guard, self._changes(writer, kept, {}))
        found: dict[str, list[Enum]] = {}
        for state, cell in self._cells(action.event, writer).items():
            options = [_both(guard, self._by_row(writer, plan, updates)) for guard, plan in cell if not plan.refuses]
            text = _either(options)
            if text != PROMELA.false:
                found.setdefault(text, []).append(state)
        return _both(variant.guard, _either(_both(f"({inside(where)})", text) for text, where in found.items()))

    def _by_row(self, writer: Writer, plan: RowPlan, updates: list[tuple[str, Term]]) -> str:
        source = plan.row.source
        target = source if plan.row.target is None else plan.row.target
        if target is not source:
            return PROMELA.true
        written = {name for name, _ in (*updates, *plan.assigns)}
        forgotten = (
            (name, cast("Term", ast.Constant(variable.initial[0])))
            for name, variable in self._plan.variables.items()
            if name in written and variable.within is not None and target not in variable.within
        )
        return self._changes(writer, [*updates, *plan.assigns, *forgotten], {"state": ast.Constant(code_of(source))})

    def _kept(self, name: str, value: Term) -> Term:
        """What the environment writes by itself; it may mean nothing where the machine is."""
        variable = self._plan.variables[name]
        if variable.within is None:
            return value
        states = ast.Tuple([ast.Constant(code_of(state)) for state in variable.within], ast.Load())
        where = ast.Compare(ast.Name("state", ast.Load()), [ast.In()], [states])
        return ast.IfExp(where, value, ast.Constant(variable.initial[0]))

    def _changes(self, writer: Writer, assigns: Iterable[tuple[str, Term]], first: Mapping[str, Term]) -> str:
        """Whether any variable is another after these assignments, each read with what the earlier ones left."""
        values: dict[str, Term] = dict(first)
        for name, value in assigns:
            found = cast("Term", _Put(values).visit(copy.deepcopy(value)))
            variable = self._plan.variables.get(name)
            if variable is not None:
                # In the model, too, a value that is too great is kept as the greatest.
                found = ast.Call(ast.Name("min", ast.Load()), [found, ast.Constant(variable.most)], [])
            values[name] = found
        return _either(
            writer.truth(ast.Compare(value, [ast.NotEq()], [cast("Term", ast.Name(name, ast.Load()))]))
            for name, value in values.items()
            if name != "state"
        )


class _Put(ast.NodeTransformer):
    """Puts values in the place of names."""

    def __init__(self, values: Mapping[str, Term]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._values.get(node.id, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return node  # `event.x`, or a member of an enumeration

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return ast.Call(node.func, [cast("Term", self.visit(each)) for each in node.args], node.keywords)


def _told(action: Action) -> str:
    """For replays; nothing is printed while states are searched."""
    return f'printf("{_UNPRINTABLE.sub("?", action.name)}: state %d\\n", m_state)'


def _both(one: str, other: str) -> str:
    if PROMELA.false in (one, other):
        return PROMELA.false
    return other if one == PROMELA.true else one if other == PROMELA.true else f"{one} && ({other})"


def _either(texts: Iterable[str]) -> str:
    found = list(dict.fromkeys(text for text in texts if text != PROMELA.false))
    if PROMELA.true in found:
        return PROMELA.true
    return " || ".join(f"({text})" if len(found) > 1 else text for text in found) or PROMELA.false


def _listed(names: Mapping[int, str]) -> str:
    return ", ".join(f"{number} {name}" for number, name in names.items())
