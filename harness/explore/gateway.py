"""The shipped table, explored: its bounds, and why some rows are never taken.

from gatewright.harness.explore.gateway import check
check().assert_ok()
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import resources
from typing import Any, Final, cast

import attrs

from gatewright.harness.explore.gateway_environment import gateway_environment
from gatewright.harness.explore.gateway_table import SMALL, gateway_table, on_entry
from gatewright.harness.explore.program import Compiler
from gatewright.harness.explore.search import Bounds, Report, explore
from gatewright.harness.explore.table import AnyRow, Table
from gatewright.spec import events
from gatewright.spec.rows import RowKind
from gatewright.spec.states import State
from gatewright.spec.table import TABLE

QUICK: Final = Bounds(values={"faults": 1, "commands": 1, "strict": 0, "capped": 1})
"""Some 200 000 states: every property, for tests. Not every row is taken within it."""

DEFAULT: Final = Bounds(values={"faults": 1, "commands": 2})
"""What `check` explores: some two million states, in which every row is taken or has its reason."""

DEEP: Final = Bounds(values={"faults": 2, "commands": 2}, most=60_000_000)
"""For long runs."""

MUTATION_STAGES: Final = (
    Bounds(values={"faults": 1, "commands": 0, "strict": 0, "capped": 1, "session": 0, "received": 0, "kept": 0}),
    Bounds(values={"faults": 1, "commands": 1, "strict": 0, "capped": 1}),
    Bounds(values={"faults": 0, "commands": 2, "strict": 0, "capped": 1}),
)
"""Small bounds, then those in which the rest of the rows is taken. Nearly every mutant dies in the first."""

_UNSHAKEN: Final = (State.AWAITING_HELLO, State.AWAITING_IDENTIFY_SLOT)
_BEFORE_ANY_SOCKET: Final = (State.IDLE, State.REGISTERING)
_UNDOING: Final = (State.DRAINING, State.SUSPENDED, State.STOPPED, State.FAILED)
_REGISTRATION_ENDS: Final = (events.Registered, events.RegistrationFailed)


def _reason(row: AnyRow) -> str | None:
    if row.kind is RowKind.REFUSE and row.event.kind is events.EventKind.OUTCOME:
        return "it refuses what a correct driver never says; exploration would call it illegal"
    if issubclass(row.event, events.ConnectionEvent) and row.source in _BEFORE_ANY_SOCKET:
        return "there was no connection yet that could say anything; the row is there so that no late event can raise"
    if row.source is State.CONNECTING and row.event in events.MESSAGES and not row.id.endswith(".stale"):
        return "the driver reads nothing before the handshake has ended; the row is there so that no message can raise"
    if row.event in _REGISTRATION_ENDS and row.kind is RowKind.IGNORE and row.source not in _UNDOING:
        return "a registration that was given up ends before another one is begun, or the driver drops its end"
    if row.event is events.QueueOverflowed and row.source in _UNSHAKEN and not row.id.endswith(".stale"):
        return "dispatches come after the handshake only; the row is there so that no early one can raise"
    if row.id == "draining.connect_failed.fail":
        return "what fails has left an open socket, or none; a handshake that is being aborted never leads to `fail`"
    return None


@functools.cache
def survivors() -> Mapping[str, str]:
    """Mutants of the shipped table that nothing in L0 to L2 notices, to why that is right; names may end in ``*``."""
    text = resources.files("gatewright.harness.explore").joinpath("survivors.toml").read_text(encoding="utf-8")
    return {entry["name"]: entry["reason"] for entry in tomllib.loads(text)["survivor"]}


def justified(rows: tuple[AnyRow, ...] = TABLE) -> Mapping[str, str]:
    """Rows that may go untaken, each with the reason."""
    return dict(_reasons(rows))


def _reasons(rows: tuple[AnyRow, ...]) -> Iterator[tuple[str, str]]:
    for row in rows:
        reason = _reason(row)
        if reason is not None:
            yield row.id, reason


@functools.cache
def compiler() -> Compiler:
    """The code of the shipped table's states, made once; a changed table costs the states that it changes."""
    environment = gateway_environment()
    return Compiler(gateway_table(settings=SMALL), environment, environment.properties)


def check(bounds: Bounds = DEFAULT, *, rows: tuple[Any, ...] = TABLE, coverage: bool = True) -> Report:
    """Explores the shipped table, or a changed one.

    Args:
        bounds: how far.
        rows: the table.
        coverage: whether a row that is not taken and has no reason is a fault; small bounds do not reach every row.

    Returns:
        The report; ``report.assert_ok()`` raises what it found. Some 10 s at the default bounds, and as long again for
        liveness.
    """
    return explore(
        gateway_table(rows, settings=SMALL),
        gateway_environment(),
        bounds,
        justified=justified(rows),
        coverage=coverage,
        compiler=compiler(),
    )


def without_deadline(table: Table, state: Enum) -> Table:
    """The shipped table with a state that forgets its deadline."""
    return attrs.evolve(table, on_entry=functools.partial(on_entry, without_deadline=cast("State", state)))
