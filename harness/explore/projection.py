"""An exploration, as far as the machine itself knows: its state and its own variables, and no others.

Two states that differ only outside the machine become one, and then those from which the same rows lead on in the same
way. What is left says which rows can follow which, and is small: what a journal of the machine is held against.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, cast

import attrs

from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.product import single
from gatewright.harness.explore.program import Compiler
from gatewright.harness.explore.search import Bounds, beginnings, generate
from gatewright.harness.explore.table import Table
from gatewright.harness.explore.terms import disjunction, names_in, source
from gatewright.spec.errors import TableError

_NONE: Final[tuple[int, ...]] = ()


@attrs.frozen(kw_only=True)
class Projection:
    """Classes of states, numbered from 0, and how rows lead from one to another.

    Attributes:
        shown: of each class, the machine's state and the value of the variable that a journal shows as well.
        begin: the classes in which the machine can begin.
        rows: id to class to the classes to which the row can lead from there.
    """

    shown: tuple[tuple[str, int], ...]
    begin: frozenset[int]
    rows: Mapping[str, Mapping[int, tuple[int, ...]]]

    @property
    def steps(self) -> int:
        """How many steps there are in all."""
        return sum(len(targets) for leads in self.rows.values() for targets in leads.values())

    def text(self, about: Mapping[str, str]) -> str:
        """As JSON, one row a line: ``3-5,9`` for the classes that it does not leave, ``4>7,8`` for its other steps.

        Args:
            about: goes in front, such as a digest of what the projection was made from.
        """
        parts = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in about.items()]
        parts.append(f'"shown": {json.dumps(_runs([f"{state} {value}" for state, value in self.shown]))}')
        parts.append(f'"begin": {json.dumps(sorted(self.begin))}')
        rows = ",\n".join(f"  {json.dumps(row)}: {json.dumps(_coded(leads))}" for row, leads in self.rows.items())
        return "{\n" + ",\n".join(parts) + ',\n"rows": {\n' + rows + "\n}\n}\n"

    @classmethod
    def read(cls, text: str) -> Projection:
        """What :meth:`text` wrote."""
        found = cast("dict[str, Any]", json.loads(text))
        shown: list[tuple[str, int]] = []
        for run in found["shown"]:
            state, value, times = run.split(" ")
            shown += [(state, int(value))] * int(times)
        return cls(
            shown=tuple(shown),
            begin=frozenset(found["begin"]),
            rows={row: _decoded(code) for row, code in found["rows"].items()},
        )


def _runs(values: Sequence[str]) -> list[str]:
    """Each value with how often it comes in a row."""
    runs: list[list[Any]] = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1][1] += 1
        else:
            runs.append([value, 1])
    return [f"{value} {times}" for value, times in runs]


def _coded(leads: Mapping[int, tuple[int, ...]]) -> str:
    stays = [number for number, targets in leads.items() if targets == (number,)]
    moves = [f"{number}>{','.join(map(str, targets))}" for number, targets in leads.items() if targets != (number,)]
    return " ".join([*([_ranges(stays)] if stays else []), *moves])


def _ranges(numbers: Sequence[int]) -> str:
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in found)


def _decoded(code: str) -> dict[int, tuple[int, ...]]:
    leads: dict[int, tuple[int, ...]] = {}
    for part in code.split():
        number, arrow, targets = part.partition(">")
        if arrow:
            leads[int(number)] = tuple(map(int, targets.split(",")))
            continue
        for run in part.split(","):
            low, _, high = run.partition("-")
            leads |= {each: (each,) for each in range(int(low), int(high or low) + 1)}
    return leads


def project(table: Table, environment: Environment, *, shown: str) -> Projection:
    """Explores, and keeps what the machine knows of it.

    Args:
        table: the machine.
        environment: what surrounds it; its properties are not judged.
        shown: the variable of the machine that its journal shows beside its state.

    Raises:
        TableError: when the machine meets what it has no row for.
    """
    compiler = Compiler(single(table, "a projection"), attrs.evolve(environment, properties=()), ())
    layout, codes = compiler.layout, generate(table, compiler)
    own = layout.state_mask
    for variable in table.variables:
        own |= ((1 << variable.bits) - 1) << layout.shifts[variable.name]
    successors = [code.successors for code in codes]
    named = [tuple("" if label.row is None else label.row.id for label in code.labels) for code in codes]
    resting = [_resting(compiler, state) for state in layout.states]
    roots = beginnings(Bounds(), compiler)
    todo, seen = list(roots), set(roots)
    steps: dict[int, set[tuple[str, int]]] = defaultdict(set)
    rests: dict[int, int] = defaultdict(int)
    found: list[int] = []
    width, mask, state_mask, emit = layout.width, layout.mask, layout.state_mask, found.append
    for state in todo:  # it grows while it is walked
        control, known = state & state_mask, state & own
        successors[control](state, emit)
        names, leads = named[control], steps[known]
        for step in found:
            successor = step & mask
            if successor not in seen:
                seen.add(successor)
                todo.append(successor)
            if names[step >> width]:
                leads.add((names[step >> width], successor & own))
        found.clear()
        rests[known] |= resting[control][1](state)
    for known, bits in rests.items():
        ids = resting[known & state_mask][0]
        steps[known].update((row, known) for number, row in enumerate(ids) if bits >> number & 1)
    seen_as = layout.shifts[shown], (1 << layout.variables[shown].bits) - 1
    names_of = {known: (str(layout.state(known).value), known >> seen_as[0] & seen_as[1]) for known in steps}
    return _quotient(steps, names_of, {root & own for root in roots})


def _resting(compiler: Compiler, state: Enum) -> tuple[tuple[str, ...], Callable[[int], int]]:
    """The rows that change nothing in `state`, and a function that gives those which can be taken, as bits."""
    code = compiler.state(state, tuple(row for row in compiler.table.rows if row.source is state))
    guards: dict[str, list[Any]] = {}
    for loop in code.loops:
        if loop.label.row is not None:
            guards.setdefault(loop.label.row.id, []).append(loop.guard)
    parts = [f"(({source(disjunction(each))}) and {1 << number})" for number, each in enumerate(guards.values())]
    text = " | ".join(parts) or "0"
    unpack = [f" {name} = {compiler.layout.field(name)}" for name in compiler.layout.variables if name in text]
    namespace: dict[str, object] = {}
    exec("\n".join(["def bits(s):", *unpack, f" return {text}"]), namespace)  # noqa: S102 - made here, from the table
    return tuple(guards), cast("Callable[[int], int]", namespace["bits"])


def _quotient(
    steps: Mapping[int, set[tuple[str, int]]], shown: Mapping[int, tuple[str, int]], roots: set[int]
) -> Projection:
    """The coarsest classes from which the same rows lead to the same classes."""
    states = sorted(steps)
    first = {each: number for number, each in enumerate(sorted(set(shown.values())))}
    classes = {state: first[shown[state]] for state in states}
    count = len(first)
    while True:
        numbers: dict[tuple[int, frozenset[tuple[str, int]]], int] = {}
        finer = {
            state: numbers.setdefault(
                (classes[state], frozenset((row, classes[target]) for row, target in steps[state])), len(numbers)
            )
            for state in states
        }
        if len(numbers) == count:
            break
        classes, count = finer, len(numbers)
    shows = {number: shown[state] for state, number in classes.items()}
    place_of = {number: place for place, number in enumerate(sorted(shows, key=lambda each: (shows[each], each)))}
    rows: dict[str, dict[int, set[int]]] = {}
    for state in states:
        for row, target in steps[state]:
            rows.setdefault(row, {}).setdefault(place_of[classes[state]], set()).add(place_of[classes[target]])
    return Projection(
        shown=tuple(shows[number] for number in place_of),
        begin=frozenset(place_of[classes[root]] for root in roots),
        rows={row: {place: tuple(sorted(rows[row][place])) for place in sorted(rows[row])} for row in sorted(rows)},
    )


class Beliefs:
    """Where the machine can be, after steps of which only the rows are known: sets of classes, made when they are met.

    A belief is a number; 0 is the empty one. Each is made once, so that a step that was seen before costs a lookup.
    """

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self._numbers: dict[frozenset[int], int] = {frozenset(): 0}
        self._sets: list[frozenset[int]] = [frozenset()]
        self._after: dict[tuple[int, str], int] = {}
        self._rested: dict[int, int] = {}
        self._leads: list[dict[str, tuple[int, ...]]] = [{} for _ in projection.shown]
        for row, leads in projection.rows.items():
            for number, targets in leads.items():
                self._leads[number][row] = targets
        self.begin = self._number(projection.begin)

    def __len__(self) -> int:
        return len(self._sets)

    def _number(self, classes: frozenset[int]) -> int:
        found = self._numbers.get(classes)
        if found is None:
            found = self._numbers[classes] = len(self._sets)
            self._sets.append(classes)
        return found

    def at(self, state: str, value: int) -> int:
        """Anywhere in a state, with this value of the variable that is shown."""
        shown = self.projection.shown
        most = max((each for name, each in shown if name == state), default=0)
        wanted = (state, min(value, most))
        return self._number(frozenset(number for number, each in enumerate(shown) if each == wanted))

    def after(self, belief: int, row: str) -> int:
        """What is believed once `row` was taken."""
        key = (belief, row)
        found = self._after.get(key)
        if found is None:
            leads = self.projection.rows.get(row, {})
            targets = {target for number in self._sets[belief] for target in leads.get(number, _NONE)}
            found = self._after[key] = self._number(frozenset(targets))
        return found

    def rested(self, belief: int) -> int:
        """What is believed when any number of steps was not seen that do not leave the state."""
        found = self._rested.get(belief)
        if found is None:
            shown = self.projection.shown
            todo, seen = list(self._sets[belief]), set(self._sets[belief])
            for number in todo:
                for target in {each for targets in self._leads[number].values() for each in targets}:
                    if target not in seen and shown[target][0] == shown[number][0]:
                        seen.add(target)
                        todo.append(target)
            found = self._rested[belief] = self._number(frozenset(seen))
        return found

    def possible(self, belief: int) -> tuple[str, ...]:
        """The rows that can be taken next, in order."""
        return tuple(sorted({row for number in self._sets[belief] for row in self._leads[number]}))

    def size(self, belief: int) -> int:
        """How many classes it is."""
        return len(self._sets[belief])


def without(environment: Environment, names: frozenset[str]) -> Environment:
    """The environment without some of its variables, and without what is done to them.

    Raises:
        TableError: when an action still asks for one of them.
    """
    for action in environment.actions:
        for name in names.intersection(names_in(action.guard)):
            raise TableError(f"action {action.name!r} asks for {name!r}, so it cannot be left out")

    def kept(updates: Mapping[str, str]) -> dict[str, str]:
        return {name: text for name, text in updates.items() if name not in names}

    return attrs.evolve(
        environment,
        variables=tuple(variable for variable in environment.variables if variable.name not in names),
        actions=tuple(attrs.evolve(action, updates=kept(action.updates)) for action in environment.actions),
        reactions={effect: kept(updates) for effect, updates in environment.reactions.items()},
    )
