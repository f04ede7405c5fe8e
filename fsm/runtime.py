"""What both runtimes of the table have in common: their interface, and the few writes that belong to no row.

Entering a state arms its deadline and, outside the heartbeat region, disarms the heartbeat (I13). That, the updates of
the row and the state itself are all that is ever written to a context.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gatewright.spec.context import Context
from gatewright.spec.effects import Effect
from gatewright.spec.events import Event
from gatewright.spec.rows import Row

Step = tuple[Row, tuple[Effect, ...]]
"""The row that was taken, and its effects in order."""


class Runtime(Protocol):
    """Runs the table on a context."""

    def step(self, context: Context, event: Event) -> Step:
        """Takes the one row for `event`, writing `context`.

        Raises:
            Refusal: when the row refuses, or there is none; the context is as it was.
        """
        ...


class DispatchRuntime(Protocol):
    """Runs the table on a context, for dispatches that nobody makes an event of."""

    def step_dispatch(self, context: Context, gen: int, seq: int, type_: str) -> Step:
        """Takes the one row for a :class:`~gatewright.spec.events.Dispatched` of these fields, writing `context`.

        Raises:
            Refusal: as `Runtime.step`.
        """
        ...

    def step_run(
        self, context: Context, gen: int, seqs: Sequence[int], types: Sequence[str]
    ) -> tuple[int, Step | None]:
        """Takes the first of some dispatches, as long as each takes the same ordinary row, writing `context`.

        They come as columns: the sequence of each, and its name.

        Returns:
            How many these were, and the step that each of them was; ``0, None`` if the first is none of them, and is
            for :meth:`step_dispatch` to take. The row leaves no state, and has one effect at most.
        """
        ...
