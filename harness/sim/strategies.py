"""Scenarios as Hypothesis draws them, so that what fails shrinks by itself."""

from __future__ import annotations

import attrs
from hypothesis import strategies as st

from gatewright.harness.sim.drawing import drawn
from gatewright.harness.sim.scenario import Scenario


@attrs.frozen
class _Drawing:
    """A source of numbers that Hypothesis decides."""

    draw: st.DrawFn

    def below(self, bound: int) -> int:
        """See :class:`~gatewright.harness.sim.choices.Source`."""
        return self.draw(st.integers(0, bound - 1))


_NUMBERS = st.lists(st.integers(0, 11), max_size=60).map(tuple)
_SEEDS = st.none() | st.integers(0, 2**32 - 1)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Scenarios with at least three faults; network and scheduler have numbers, and after them a seed or nothing."""
    scenario = drawn(_Drawing(draw))
    return attrs.evolve(
        scenario,
        network=draw(_NUMBERS),
        network_seed=draw(_SEEDS),
        schedule=draw(_NUMBERS),
        schedule_seed=draw(_SEEDS),
    )
