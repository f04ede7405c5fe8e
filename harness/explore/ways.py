"""Every step of an exploration, those that change nothing included, and where each row is taken."""

from __future__ import annotations

import ast
import random
from array import array
from collections.abc import Callable
from typing import Final, cast

import attrs

from gatewright.harness.explore.search import Graph
from gatewright.harness.explore.steps import Label
from gatewright.harness.explore.terms import source

Step = tuple[Label, int]
"""What happens, and the number of the state to which it leads."""

_TRIES: Final = 40
"""Drawn states that are asked whether a loop is possible there, before all are, in turn."""


@attrs.frozen(eq=False)
class Spot:
    """One of the labels of a state of the machine by which a row is taken; `loop` when it changes nothing."""

    control: int
    label: int
    loop: bool


class Ways:
    """The steps of a graph.

    Attributes:
        graph: the exploration.
        rows: ids of the rows that some step takes, in the order of the states and labels.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._mask = graph.compiler.layout.state_mask
        self._idle = [_loops_of(graph, control) for control in range(len(graph.codes))]
        self._places: dict[tuple[int, int], array[int]] = {}
        self._states: dict[int, array[int]] = {}
        self._index()
        self._spots: dict[str, list[Spot]] = {}
        for control, code in enumerate(graph.codes):
            for number, label in enumerate(code.labels):
                if label.row is not None and (control, number) in self._places:
                    self._spots.setdefault(label.taken, []).append(Spot(control, number, loop=False))
            for number, loop in enumerate(code.loops):
                spot = Spot(control, number, loop=True)
                if loop.label.row is not None and self._state_of(spot) is not None:
                    self._spots.setdefault(loop.label.taken, []).append(spot)
        self.rows = tuple(self._spots)

    def _index(self) -> None:
        graph, mask = self.graph, self._mask
        starts, labels = graph.starts, graph.labels
        for place, state in enumerate(graph.packed):
            control = state & mask
            self._states.setdefault(control, array("I")).append(place)
            for number in labels[starts[place] : starts[place + 1]]:
                self._places.setdefault((control, number), array("I")).append(place)

    def of(self, number: int) -> tuple[list[Step], list[Step]]:
        """The steps out of a state: those that change something, and those that do not."""
        packed = self.graph.packed[number]
        control = packed & self._mask
        idle: list[int] = []
        self._idle[control](packed, idle.append)
        loops = self.graph.codes[control].loops
        return list(self.graph.steps(number)), [(loops[index].label, number) for index in idle]

    def draw(self, row: str, chance: random.Random) -> Step:
        """A state in which `row` is taken, and the label by which it is; each kind of step as likely as the others."""
        spots = self._spots[row]
        spot = spots[int(chance.random() * len(spots))]
        code = self.graph.codes[spot.control]
        if not spot.loop:
            places = self._places[spot.control, spot.label]
            return code.labels[spot.label], places[int(chance.random() * len(places))]
        number = self._state_of(spot, chance)
        assert number is not None, "no spot is without a state"
        return code.loops[spot.label].label, number

    def _state_of(self, spot: Spot, chance: random.Random | None = None) -> int | None:
        """A state in which that loop is possible, if there is one; the first, without chance."""
        states = self._states.get(spot.control, ())
        first = 0
        if chance is not None:
            for _ in range(_TRIES):
                number = states[int(chance.random() * len(states))]
                if self._is_idle(spot, number):
                    return number
            first = int(chance.random() * len(states))
        for place in range(len(states)):
            number = states[(first + place) % len(states)]
            if self._is_idle(spot, number):
                return number
        return None

    def _is_idle(self, spot: Spot, number: int) -> bool:
        idle: list[int] = []
        self._idle[spot.control](self.graph.packed[number], idle.append)
        return spot.label in idle


def _loops_of(graph: Graph, control: int) -> Callable[[int, Callable[[int], None]], None]:
    """A function of a packed state that tells which of the loops of its control state are possible."""
    layout, loops = graph.compiler.layout, graph.codes[control].loops
    used = {node.id for loop in loops for node in ast.walk(loop.guard) if isinstance(node, ast.Name)}
    lines = ["def idle(s, emit):", " pass"]
    lines += [f" {name} = {layout.field(name)}" for name in layout.variables if name in used]
    lines += [f" if {source(loop.guard)}: emit({number})" for number, loop in enumerate(loops)]
    namespace: dict[str, object] = {}
    exec("\n".join(lines), namespace)  # noqa: S102 - made here, from the table
    return cast("Callable[[int, Callable[[int], None]], None]", namespace["idle"])
