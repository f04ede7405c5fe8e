"""L1 of the proof kit: every state that a table can reach in an environment, and what must hold of it.

    report = explore(table, environment, bounds)
    report.assert_ok()

A :class:`Table` is the rows of a machine with the abstraction of its memory; an :class:`Environment` is everything
that can happen to it, as rows too. Properties are :func:`always`, :func:`edge`, :func:`sometimes` and
:func:`eventually`. What breaks one is a :class:`Counterexample`, the shortest there is; :func:`retrace` goes its way
again, on this table or a better one. A :class:`Product` is several tables that are explored together, in an environment
that they share.
"""

from gatewright.harness.explore.counterexample import Counterexample, Moment
from gatewright.harness.explore.environment import Action, Environment, Variable, choice, count, flag
from gatewright.harness.explore.product import Product
from gatewright.harness.explore.properties import Property, always, edge, eventually, sometimes
from gatewright.harness.explore.retracing import retrace
from gatewright.harness.explore.search import Bounds, Report, explore
from gatewright.harness.explore.table import Table

__all__ = [
    "Action",
    "Bounds",
    "Counterexample",
    "Environment",
    "Moment",
    "Product",
    "Property",
    "Report",
    "Table",
    "Variable",
    "always",
    "choice",
    "count",
    "edge",
    "eventually",
    "explore",
    "flag",
    "retrace",
    "sometimes",
]
