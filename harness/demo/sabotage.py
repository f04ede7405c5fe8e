"""An engine that is broken on purpose: the shipped table with one decision changed, run by the shipped runtime.

The demonstration must then fail by itself, at the promise that it breaks. `gatewright demo --sabotage` takes a name;
the option is for tests, and hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final

import attrs

from gatewright.fsm import core
from gatewright.fsm.machine import TableMachine
from gatewright.spec.effects import CancelMetadata, OpenSocket
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import State
from gatewright.spec.table import TABLE


@attrs.frozen(kw_only=True)
class Sabotage:
    """What is done to one row, and the promise that breaks by it."""

    row: str
    change: Callable[[Row], Row]
    breaks: str


def _connects(row: Row) -> Row:
    return attrs.evolve(
        row,
        kind=RowKind.TAKE,
        target=State.CONNECTING,
        updates=("use_fallback", "next_generation"),
        effects=(CancelMetadata, OpenSocket),
    )


def _says_nothing(row: Row) -> Row:
    return attrs.evolve(row, effects=())


def _drops_the_session(row: Row) -> Row:
    return attrs.evolve(row, updates=("drop_session", *row.updates))


def _keeps_the_session(row: Row) -> Row:
    return attrs.evolve(row, updates=tuple(name for name in row.updates if name != "drop_session"))


def _looks_away(row: Row) -> Row:
    return attrs.evolve(row, target=None, updates=("note_ack", "issue_beat"), effects=())


def _comes_back(row: Row) -> Row:
    return attrs.evolve(row, target=State.BACKING_OFF, updates=("cause_dropped",))


SABOTAGES: Final[Mapping[str, Sabotage]] = {
    "allow-connect": Sabotage(row="fetching_metadata.connect", change=_connects, breaks="refused"),
    "drop-identify": Sabotage(row="awaiting_identify_slot.slot_granted", change=_says_nothing, breaks="one-identify"),
    "skip-resume": Sabotage(row="ready.closed.resumable", change=_drops_the_session, breaks="resumed"),
    "resume-the-dead": Sabotage(row="ready.session_invalidated.final", change=_keeps_the_session, breaks="fresh"),
    "trust-the-dark": Sabotage(row="ready.heartbeat_due.zombie", change=_looks_away, breaks="zombie"),
    "ignore-fatal": Sabotage(row="ready.closed.fatal", change=_comes_back, breaks="fatal"),
}


def sabotaged_table(name: str) -> tuple[Row, ...]:
    """The shipped table after the sabotage called `name`.

    Raises:
        ConfigurationError: if there is none of that name.
    """
    sabotage = SABOTAGES.get(name)
    if sabotage is None:
        raise ConfigurationError(f"there is no sabotage {name!r}; there are: {', '.join(SABOTAGES)}")
    if not any(row.id == sabotage.row for row in TABLE):
        raise ConfigurationError(f"the sabotage {name!r} changes the row {sabotage.row}, which the table does not have")
    return tuple(sabotage.change(row) if row.id == sabotage.row else row for row in TABLE)


_SEAM: Final = "shipped_machine"


@contextmanager
def sabotaged(name: str | None) -> Generator[None]:
    """While it lasts, every new shard of this process runs the sabotaged table; with ``None`` nothing is changed.

    A shard has no parameter for another table, and should not have one: users would be offered an engine that nobody
    has explored. So the way to break it is a patch, and it is here, and nowhere else.
    """
    if name is None:
        yield
        return
    machine, shipped = TableMachine(sabotaged_table(name)), core.shipped_machine
    setattr(core, _SEAM, lambda: machine)
    try:
        yield
    finally:
        setattr(core, _SEAM, shipped)
