"""Whether Spin and the explorer say the same of a table: the same verdict, and as many states."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

import attrs

from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.mutants import Mutant, mutants
from gatewright.harness.explore.program import Compiler
from gatewright.harness.explore.properties import Shape
from gatewright.harness.explore.search import Bounds, explore
from gatewright.harness.explore.table import Table
from gatewright.harness.export.promela import promela
from gatewright.harness.export.spin import run_spin
from gatewright.spec.errors import TableError

_UNSAFE: Final = {"safety", "edge", "illegal"}


@attrs.frozen(kw_only=True)
class Agreement:
    """What both found at one bound.

    `explorer` is ``holds`` or the class of the nearest fault (``safety``, ``edge``, ``illegal``), `spin` is ``holds``
    or the classes of all that it found.
    """

    values: Mapping[str, int]
    states: int
    spin_states: int
    explorer: str
    spin: str
    seconds: float
    """What Spin took, with the compiler."""

    @property
    def agreed(self) -> bool:
        """Both hold and have as many states, or Spin found what the explorer did."""
        if self.explorer == "holds":
            return self.spin == "holds" and self.states == self.spin_states
        return self.explorer in self.spin.split(", ")

    def as_dict(self) -> dict[str, Any]:
        """In the types of JSON."""
        return {
            "values": dict(self.values),
            "states": self.states,
            "spin_states": self.spin_states,
            "explorer": self.explorer,
            "spin": self.spin,
            "agreed": self.agreed,
            "seconds": round(self.seconds, 3),
        }


def compare(table: Table, environment: Environment, bounds: Bounds, compiler: Compiler | None = None) -> Agreement:
    """Asks both; `compiler` as for :func:`~gatewright.harness.explore.explore`.

    Both judge states and steps: `always`, `edge`, cells without a row, cells that are undecided. What must come to
    pass (`eventually`) is judged by the explorer alone, since its fairness and its time are its own.

    Raises:
        SpinError: Spin is absent or did not finish.
        TableError: the table cannot be explored, or has more states than the bounds allow.
    """
    environment = judged(environment)
    report = explore(table, environment, bounds, coverage=False, compiler=compiler)
    if report.verdict == "limit":
        raise TableError(f"{table.name} has more than {bounds.most} states within these bounds")
    found = run_spin(promela(table, environment, bounds))
    return Agreement(
        values=bounds.values,
        states=report.states,
        spin_states=found.states,
        explorer=report.verdict if report.verdict in _UNSAFE else "holds",
        spin=", ".join(sorted(found.verdicts)) or "holds",
        seconds=found.seconds,
    )


def compared(
    table: Table, environment: Environment, bounds: Bounds, every: Iterable[Mutant]
) -> Iterator[tuple[Mutant, Agreement]]:
    """Asks both of each mutant of `table` that reaches an explorer: those that lint refuses are left out."""
    around = judged(environment)
    compiler = Compiler(table, around, around.properties)
    for mutant in every:
        if any(True for _ in mutant.table.findings(mutant.table.rows)):
            continue
        try:
            yield mutant, compare(mutant.table, environment, bounds, None if mutant.own_code else compiler)
        except TableError:
            continue  # so the compiler refuses it, or it has no end
        finally:
            compiler.forget_all_but(table.rows)


def sampled(
    table: Table,
    environment: Environment,
    bounds: Bounds,
    *,
    seed: int,
    without_deadline: Callable[[Table, Enum], Table] | None = None,
) -> Iterator[tuple[Mutant, Agreement]]:
    """Asks both of the mutants of rows that are taken within these bounds, in an order that `seed` draws.

    Mutants of other rows are the table itself there. One with more than ten times as many states is passed over.
    """
    report = explore(table, judged(environment), bounds, coverage=False)
    rows = [row for row in table.rows if row.id in report.taken]
    every = list(mutants(table, rows, without_deadline=without_deadline))
    random.Random(seed).shuffle(every)
    limit = attrs.evolve(bounds, most=10 * report.states + 1000)
    yield from compared(table, environment, limit, every)


def judged(environment: Environment) -> Environment:
    """With the properties that both judge."""
    kept = tuple(item for item in environment.properties if item.shape in {Shape.ALWAYS, Shape.EDGE})
    return attrs.evolve(environment, properties=kept)
