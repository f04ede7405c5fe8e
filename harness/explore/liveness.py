"""What must come to pass: the goal can be reached from everywhere, and is reached once faults cease.

The second half looks at a part of the graph only: fair actions, and timers where no other fair action can happen (time
is eager, as on trio's ``MockClock(autojump_threshold=0)``). In it, a run that goes on for ever without the goal is a
cycle. A cycle is excused when weak fairness forbids it (something fair is possible all the time and never happens), or
when time would stand still in it (a deadline that stays armed, is never re-armed and does not fire in it must fire).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, cast

import attrs

from gatewright.harness.explore.properties import Property
from gatewright.harness.explore.scope import inner
from gatewright.harness.explore.table import Table
from gatewright.harness.explore.terms import fold, is_false, is_true, names_in, term

if TYPE_CHECKING:
    from gatewright.harness.explore.search import Graph
    from gatewright.harness.explore.steps import Label


@attrs.frozen
class Fault:
    """Where liveness fails: a state, and what repeats from there."""

    verdict: str
    detail: str
    state: int
    cycle: Sequence[tuple[Label | None, int]] = ()


def judge(graph: Graph, goal: Property) -> Fault | None:
    """The nearest state from which the goal cannot be reached, or need not be."""
    good = goals(graph, goal)
    return _unreachable(graph, good) or _livelock(graph, good)


def diverging(graph: Graph, goal: Property) -> Fault | None:
    """The second half alone: where the goal need not be reached once faults and commands have ceased."""
    return _livelock(graph, goals(graph, goal))


def goals(graph: Graph, goal: Property) -> bytearray:
    """Of each state, whether it is one that is to be reached."""
    compiler = graph.compiler
    asked: dict[int, Callable[[int], object] | bool] = {}
    for control in compiler.controls:
        holds = fold(term(goal.expression), compiler.known(control))
        asked[control] = is_true(holds) if is_true(holds) or is_false(holds) else compiler.predicate(holds)
    mask = compiler.layout.state_mask
    good = bytearray(len(graph.packed))
    for number, packed in enumerate(graph.packed):
        ask = asked[packed & mask]
        good[number] = ask if isinstance(ask, bool) else bool(ask(packed))
    return good


def _unreachable(graph: Graph, good: bytearray) -> Fault | None:
    """AG EF: backwards from the goals over every step."""
    size = len(good)
    starts, targets = graph.starts, graph.targets
    count = array("I", bytes(4 * (size + 1)))
    for target in targets:
        count[target + 1] += 1
    for number in range(size):
        count[number + 1] += count[number]
    sources = array("I", bytes(4 * len(targets)))
    fill = array("I", count)
    for number in range(size):
        for target in targets[starts[number] : starts[number + 1]]:
            sources[fill[target]] = number
            fill[target] += 1
    seen = bytearray(good)
    stack = [number for number in range(size) if good[number]]
    while stack:
        number = stack.pop()
        for origin in sources[count[number] : count[number + 1]]:
            if not seen[origin]:
                seen[origin] = 1
                stack.append(origin)
    lost = seen.find(0)
    if lost < 0:
        return None
    dead = starts[lost] == starts[lost + 1]
    how = "nothing can happen here any more" if dead else "the goal cannot be reached from here"
    return Fault("deadlock" if dead else "liveness", how, lost)


def eager(graph: Graph, good: bytearray) -> Iterator[tuple[int, list[int]]]:
    """Each state short of the goal, and where the steps are that happen there once faults and commands have ceased."""
    starts, labels, mask = graph.starts, graph.labels, graph.compiler.layout.state_mask
    fair = [bytearray(2 if x.action.timer else int(x.action.fair) for x in code.labels) for code in graph.codes]
    for number, state in enumerate(graph.packed):
        if good[number]:
            continue
        kind = fair[state & mask]
        around = range(starts[number], starts[number + 1])
        # A step that leaves everything as it is is none; the graph has such where it is values that decide it.
        places = [place for place in around if kind[labels[place]] and graph.targets[place] != number]
        yield number, [place for place in places if kind[labels[place]] == 1] or places


def rearming(table: Table, label: Label) -> bool:
    """Whether the deadline begins anew with a step: it enters a state, arms the deadline again, or is the deadline.

    A timer is the deadline if it asks for the field that is armed again, or if the table names no such field.
    """
    action, row = label.action, label.row
    asked = {table.rearms, inner(label.machine, table.rearms)}
    if action.timer and (not table.rearms or asked & names_in(action.guard)):
        return True
    if row is None:
        return False
    assigned = {name for update in row.updates for name, _ in table.updates.get(update, ())}
    return row.target is not None or table.rearms in assigned


def _livelock(graph: Graph, good: bytearray) -> Fault | None:
    """AF in the eager, fault-free part."""
    kept = _kept(graph, good)
    if isinstance(kept, Fault):
        return kept
    for component in _components(kept):
        fault = _cycle(graph, component, kept)
        if fault is not None:
            return fault
    return None


def cycles(graph: Graph, goal: Property) -> int:
    """How many parts of the graph a run can go round in short of the goal, were it not for fairness and time."""
    kept = _kept(graph, goals(graph, goal))
    return 0 if isinstance(kept, Fault) else len(_components(kept))


def _kept(graph: Graph, good: bytearray) -> _Kept | Fault:
    targets = graph.targets
    kept = _Kept(targets)
    for number, places in eager(graph, good):
        kept.begin(number)
        if not places:
            return Fault("deadlock", "without another fault or command, nothing can happen here", number)
        kept.places.extend([place for place in places if not good[targets[place]]])
    kept.begin(len(good))
    return kept


@attrs.define
class _Kept:
    """The steps that are looked at: where they are in the graph, by the state that they leave."""

    targets: array[int]
    starts: array[int] = attrs.field(factory=lambda: array("I"))
    places: array[int] = attrs.field(factory=lambda: array("I"))

    def begin(self, number: int) -> None:
        """The steps of a state follow; those that were passed over since the last one have none."""
        self.starts.extend([len(self.places)] * (number + 1 - len(self.starts)))

    def __getitem__(self, number: int) -> array[int]:
        """Where the steps out of a state are."""
        return self.places[self.starts[number] : self.starts[number + 1]]


def _components(kept: _Kept) -> list[list[int]]:
    """Strongly connected components that hold a cycle (Tarjan, without recursion)."""
    size = len(kept.starts) - 1
    targets = kept.targets
    order = array("I", bytes(4 * size))  # 0: not seen yet
    low = array("I", bytes(4 * size))
    on = bytearray(size)
    stack: list[int] = []
    found: list[list[int]] = []
    seen = 0
    for root in range(size):
        if order[root] or kept.starts[root] == kept.starts[root + 1]:
            continue
        seen += 1
        order[root] = low[root] = seen
        stack.append(root)
        on[root] = 1
        work = [(root, iter(kept[root]))]
        while work:
            node, places = work[-1]
            for place in places:
                target = targets[place]
                if not order[target]:
                    seen += 1
                    order[target] = low[target] = seen
                    stack.append(target)
                    on[target] = 1
                    work.append((target, iter(kept[target])))
                    break
                if on[target] and order[target] < low[node]:
                    low[node] = order[target]
            else:
                work.pop()
                if work and low[node] < low[work[-1][0]]:
                    low[work[-1][0]] = low[node]
                if low[node] == order[node]:
                    component: list[int] = []
                    while True:
                        member = stack.pop()
                        on[member] = 0
                        component.append(member)
                        if member == node:
                            break
                    if len(component) > 1 or any(targets[place] == node for place in kept[node]):
                        found.append(component)
    return found


def _cycle(graph: Graph, component: list[int], kept: _Kept) -> Fault | None:
    """The fault of a component, unless fairness or time excuses it."""
    inside = set(component)
    layout, machines = graph.compiler.layout, graph.compiler.machines
    taken: set[str] = set()
    possible: set[str] | None = None
    rearmed: set[str] = set()
    controls: dict[str, set[Enum | None]] = {machine: set() for machine in machines}
    for number in component:
        state = graph.packed[number]
        for machine, states in controls.items():
            states.add(layout.state_of(state, machine))
        for place in kept[number]:
            label = graph.label(state, graph.labels[place])
            if graph.targets[place] in inside:
                taken.add(label.action.name)
                table = machines.get(label.machine)
                if table is not None and rearming(table, label):
                    rearmed.add(label.machine)
        # What leads to the goal was left out of `kept`, and is possible all the same.
        labels = [label for label, target in graph.steps(number) if target != number]
        prompt = {label.action.name for label in labels if label.action.fair and not label.action.timer}
        here = prompt or {label.action.name for label in labels if label.action.timer}
        # The clocks of what several machines share are re-armed by none of them: they run while others act at once.
        here |= {label.action.name for label in labels if label.action.is_clock and label.machine not in machines}
        possible = here if possible is None else possible & here
    if possible is not None and possible - taken:
        return None  # weak fairness: it is possible all the time, and never happens
    for machine, states in controls.items():
        if machine not in rearmed and len(states) == 1 and next(iter(states)) in machines[machine].timed:
            return None  # its deadline runs on through the whole cycle, and must fire
    first = min(component)
    return Fault("liveness", f"without another fault, this repeats for ever: {', '.join(sorted(taken))}", first,
                 _round(graph, first, inside, kept))  # fmt: skip


def _round(graph: Graph, first: int, inside: set[int], kept: _Kept) -> Sequence[tuple[Label | None, int]]:
    """A shortest way from a state back to itself within its component."""
    came: dict[int, tuple[int, int]] = {}
    frontier = [first]
    while frontier:
        following: list[int] = []
        for number in frontier:
            for place in kept[number]:
                target = graph.targets[place]
                if target in inside and target not in came:
                    came[target] = (number, place)
                    following.append(target)
        if first in came:
            break
        frontier = following
    way: list[tuple[Label | None, int]] = []
    number = first
    while True:
        origin, place = came[number]
        way.append((graph.label(graph.packed[origin], graph.labels[place]), graph.packed[number]))
        number = origin
        if number == first:
            break
    return [cast("tuple[Label | None, int]", (None, graph.packed[first])), *way[::-1]]
