"""L5 of the proof kit: the real trio driver, simulated.

    life = simulate(Scenario.of(7))

A :class:`Scenario` is a whole simulated life as one value. :func:`simulate` lives it: the real shard, on a network in
memory, in front of the fake gateway, in virtual time, with a scheduler that runs one task a pass. What fails is brought
back by its value, in any process, and :func:`shrink` makes it small.
"""

from gatewright.harness.sim.ending import Violation
from gatewright.harness.sim.scenario import Act, Deed, Gate, Registering, Scenario
from gatewright.harness.sim.shrinking import shrink
from gatewright.harness.sim.simulation import Attempt, Life, attempt, cancellations, simulate

__all__ = [
    "Act",
    "Attempt",
    "Deed",
    "Gate",
    "Life",
    "Registering",
    "Scenario",
    "Violation",
    "attempt",
    "cancellations",
    "shrink",
    "simulate",
]
