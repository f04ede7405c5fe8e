"""What is kept of the exploration for journals: that it is the exploration, and that nothing was lost on the way."""

from __future__ import annotations

import itertools
import json

import attrs
import pytest

from examples.door_lock.door import ENVIRONMENT, table
from gatewright.harness.explore import gateway_projection
from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.gateway_projection import REMAKE
from gatewright.harness.explore.projection import Beliefs, Projection, project, without
from gatewright.harness.explore.search import explore
from gatewright.spec.errors import TableError
from gatewright.spec.table import TABLE


def test_the_file_was_made_from_these_rows_and_this_environment() -> None:
    assert json.loads(gateway_projection.kept())["digest"] == gateway_projection.digest(), f"run {REMAKE}"


@pytest.mark.slow
def test_the_file_is_what_the_exploration_gives_and_larger_counts_add_nothing() -> None:
    """Faults and commands have no bound in it; what the environment counts has one, that is raised by one here."""
    assert gateway_projection.make(more=1) == Projection.read(gateway_projection.kept()), f"run {REMAKE}"


def test_it_has_every_row_that_can_be_taken() -> None:
    """`check` explores the same rows within bounds; it justifies those that are not taken."""
    from gatewright.harness.explore.gateway import justified

    assert {row.id for row in TABLE} - Projection.read(gateway_projection.kept()).rows.keys() == justified().keys()


def test_what_was_written_is_read() -> None:
    door = project(table(), ENVIRONMENT, shown="wrong")
    assert Projection.read(door.text({"about": "a door"})) == door


def test_the_ways_through_a_projection_are_those_of_the_exploration() -> None:
    """Every sequence of up to six rows: either both have it, or neither, when the wrong codes may be any number."""
    tireless = attrs.evolve(
        ENVIRONMENT, actions=tuple(attrs.evolve(each, updates={}) for each in ENVIRONMENT.actions), properties=()
    )
    explored = _Ways(tireless)
    believed = Beliefs(project(table(), tireless, shown="wrong"))
    found = 0
    for way in itertools.product([row.id for row in table().rows], repeat=6):
        states, belief = explored.begin, believed.begin
        for row in way:
            states, belief = explored.after(states, row), believed.after(belief, row)
            assert bool(states) == bool(belief), way
        found += bool(belief)
    assert found > 40


class _Ways:
    """Which states are possible after rows, in an explored graph."""

    def __init__(self, environment: Environment) -> None:
        self._graph = explore(table(), environment).graph
        compiler = self._graph.compiler
        self._rests = [
            {
                loop.label.row.id
                for loop in self._graph.codes[state & compiler.layout.state_mask].loops
                if loop.label.row is not None and compiler.predicate(loop.guard)(state)
            }
            for state in self._graph.packed
        ]
        self.begin = self._alone(set(range(self._graph.roots)))

    def _alone(self, states: set[int]) -> frozenset[int]:
        """With what the environment does by itself."""
        todo = list(states)
        for state in todo:
            todo += [target for label, target in self._graph.steps(state) if label.row is None and target not in todo]
        return frozenset(todo)

    def after(self, states: frozenset[int], row: str) -> frozenset[int]:
        moved = {
            target
            for state in states
            for label, target in self._graph.steps(state)
            if label.row is not None and label.row.id == row
        }
        return self._alone(moved | {state for state in states if row in self._rests[state]})


def test_a_variable_that_an_action_asks_for_cannot_be_left_out() -> None:
    with pytest.raises(TableError, match="asks for 'tries', so it cannot be left out"):
        without(ENVIRONMENT, frozenset({"tries"}))
