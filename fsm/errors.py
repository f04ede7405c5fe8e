"""What the core raises: a command that the table does not allow here, or a pair of state and event that cannot be."""

from __future__ import annotations

from gatewright.spec.errors import GatewrightError
from gatewright.spec.events import Event, EventKind
from gatewright.spec.rows import Row
from gatewright.spec.states import State


class Refusal(Exception):
    """Raised by a runtime when nothing may happen: by the row that refuses, or because there is none.

    Internal: the core turns it into :class:`IllegalTransition`.
    """

    def __init__(self, row: Row | None) -> None:
        self.row = row


class IllegalTransition(GatewrightError):
    """A command was given where the table has no way for it. Nothing was changed.

    Attributes:
        state: where the shard was.
        event: what was asked.
        legal: names of the commands that are possible now.
        why: the reason that the table gives.
    """

    def __init__(
        self,
        *,
        state: State,
        event: Event,
        legal: tuple[str, ...],
        why: str,
        shard: int,
        gen: int,
        age: float,
        path: str,
    ) -> None:
        self.state = state
        self.event = event
        self.legal = legal
        self.why = why
        what = f"{event.name}()" if event.kind is EventKind.COMMAND else f"the event {event.name!r}"
        last = f"   Last: {path}" if path else ""
        super().__init__(
            f"{what} is not possible in '{state}' (shard {shard}, generation {gen}, {age:.1f} s in this state).\n"
            f"  {why}\n"
            f"  Possible now: {', '.join(legal) or 'nothing'}.{last}"
        )
