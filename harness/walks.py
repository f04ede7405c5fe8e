"""Hypothesis walks over the sans-I/O core: moves, the strategies that draw them, and the walk that takes them.

A move means something in every state, or does nothing, so that a failing walk shrinks by leaving moves out. Two kinds:

* `plausible()`: the outside answers, fails, withholds and comes late, the peer says what it likes on an open socket,
  and the user gives commands; whatever is no command must have a row;
* `hostile()`: anything of the alphabet, of any generation, at any time; what has no row must raise and change nothing.

A monitor judges every step of both. `Walk.heal` then lets the outside behave, for the liveness of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
from hypothesis import strategies as st

from gatewright.fsm.core import ShardCore
from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.monitor import Monitor, monitored
from gatewright.harness.outside import INTERVAL, MAIN_URL, RESUME_URL, Link, Outside
from gatewright.spec import events
from gatewright.spec.events import Event, EventKind
from gatewright.spec.invariants import LIVENESS, LIVENESS_GOALS
from gatewright.spec.rows import Row
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.spec.table import TABLE

CLOSE_CODES: Final = (None, 1000, 1001, *range(4000, 4015), 4999)
_COMMANDS: Final[tuple[Event, ...]] = (
    events.Register("client"),
    events.Connect(),
    events.Reconnect(),
    events.ForceIdentify(),
    events.Suspend(),
    events.Stop(),
)
_LIVENESS_EVENTS: Final = 120
_LIVENESS_SECONDS: Final = 900.0
"""More than any one wait that an honest outside leads to: the spacing of IDENTIFYs, 86.4 s a shard."""


class Walk:
    """One shard, its outside and its monitor, on a clock of its own.

    Args:
        settings, session: those of the core.
        table: the rows to run.
        random: the core's die.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        session: Session | None = None,
        table: tuple[Row, ...] = TABLE,
        random: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self.now = 0.0
        self.outside = Outside()
        self.monitor = Monitor(settings, session=session, size=4096)
        self.core: ShardCore = monitored(self.monitor, table=table, random=random)
        self._cells = {(row.source, row.event) for row in table}

    def feed(self, event: Event) -> bool:
        """Feeds `event` now; False when it was refused, which is right for commands and for cells without a row."""
        state, written = self.core.state, self.core.journal.written
        known = (state, type(event)) in self._cells
        try:
            effects = self.core.feed(event, self.now)
        except IllegalTransition as refusal:
            assert not known or event.kind is EventKind.COMMAND, f"{event!r} has a row in {state} and raised"
            assert refusal.state is state is self.core.state
            return False
        assert known, f"{event!r} has no row in {state} and was taken"
        assert self.core.journal.written == written + 1
        self.outside.note(event, effects)
        return True

    def must(self, event: Event) -> None:
        """Feeds an event that a correct driver may feed here: it must have a row."""
        assert self.feed(event), f"{event!r} is possible, and was refused in {self.core.state}\n{self.story()}"

    def wait(self, seconds: float) -> None:
        """Lets time pass, and feeds what is due at the end of it; a driver that was blocked comes late like this."""
        self.now += seconds
        for event in self.core_ticks():
            self.outside.note(*event)

    def core_ticks(self) -> list[tuple[Event, tuple[events_effects, ...]]]:
        raise NotImplementedError
