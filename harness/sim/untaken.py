"""Rows that no simulated life takes, each with the reason: the table is ready for more than this driver says.

A row is there for every runtime and for every order of events; a driver that cancels a task before it can speak spares
the table some of them. A reason for a row that *is* taken is a failure, as in the explorer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gatewright.harness.explore.gateway import justified
from gatewright.spec import events
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import State
from gatewright.spec.table import NO_SOCKET, TABLE

_BESIDE_AN_OLD_ONE: Final = (State.CONNECTING, State.STALLED, State.DRAINING)
"""Where the next connection waits for the end of the one before, or is left already."""
_LEAVING: Final = (State.STALLED, State.DRAINING)
_GATE: Final = (events.SlotGranted, events.SlotQueued, events.SlotUnavailable)
_UNDONE: Final = (State.REGISTERING, State.DRAINING, State.SUSPENDED, State.STOPPED, State.FAILED)


def reasons() -> Mapping[str, str]:
    """Rows that no simulation takes, each with the reason: no state takes them, or the driver spares the table them."""
    found = dict(justified())
    for row in TABLE:
        reason = _reason(row)
        if reason is not None:
            found.setdefault(row.id, reason)
    return found


def _reason(row: Row) -> str | None:
    if row.id.endswith(".stale") and row.event not in _GATE and row.source not in _BESIDE_AN_OLD_ONE:
        return "a connection is opened when nothing is left of the one before, so that one cannot say anything later"
    if row.kind is RowKind.REFUSE and row.event is events.Register:
        return "`Shard` registers once, when its block is entered"
    if row.source is State.IDLE and row.event is not events.Register:
        return "`Shard` registers in the step in which its block is entered, and takes no verb before that"
    return _of_a_connection(row) or _of_a_seam(row)


def _of_a_connection(row: Row) -> str | None:
    """Of a connection that was aborted: little is told of it but its end."""
    event, source = row.event, row.source
    aborted = row.id.endswith(".stale") or source in NO_SOCKET
    if event is events.Opened and aborted:
        return (
            "a handshake that is aborted can be answered in the same instant only, and where it was aborted the shard "
            "waits for its end"
        )
    if event is events.WriteBlocked and aborted:
        return "to abort is to cancel the writer, and a time-out in a cancelled scope is not taken for one"
    if row.id == "failed.reading_paused":
        return (
            "a shard fails beside its connection when its queue overflows, and such a queue never stops the reader, or "
            "when its one attempt is spent, and what has filled the queue on its one connection has stopped the reader"
        )
    if event is events.QueueOverflowed and (aborted or source in _LEAVING):
        return "the queue overflows in the step that delivers, and nothing is delivered there"
    return None


def _of_a_seam(row: Row) -> str | None:
    """Of registrations."""
    event, source = row.event, row.source
    if event is events.RegistrationUndone and (source not in _UNDONE or row.id == "draining.registration_undone.late"):
        return "undoing holds the registrar's lock, and nothing is registered anew before it has ended"
    return None
