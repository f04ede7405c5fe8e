"""L3 of the proof kit: a table and its environment as models for other tools, which know nothing of our explorer.

    text = promela(table, environment, bounds)
    found = run_spin(text)
    found.states == explore(table, environment, bounds).states

    run_convergence(promela_convergence(table, environment, goal, bounds)).verdict     # of an `eventually`

:func:`tla` writes the same as a module of TLA+.

A model is written from the rows, the actions and the trees of their expressions; its size does not depend on how many
states there are. What the explorer does with them afterwards (working out what is constant, generating code, packing
states into numbers, searching) has no part in it, so that a fault there is seen as a difference.
"""

from gatewright.harness.export.promela import promela
from gatewright.harness.export.promela_convergence import promela_convergence
from gatewright.harness.export.spin import (
    SpinConvergence,
    SpinError,
    SpinResult,
    run_convergence,
    run_spin,
    spin_is_here,
)
from gatewright.harness.export.tla import TlaModule, tla

__all__ = [
    "SpinConvergence",
    "SpinError",
    "SpinResult",
    "TlaModule",
    "promela",
    "promela_convergence",
    "run_convergence",
    "run_spin",
    "spin_is_here",
    "tla",
]
