"""What a shard says to `logging`, under ``gatewright.shard.<id>``: one line a step, with its fields in ``extra``.

At INFO an operator sees when the bot is there, when it is not, and why; at WARNING what should not happen; at ERROR the
end that nobody asked for. The rest is DEBUG. A peer that repeats what it should not say is not repeated by us: its 1st,
10th, 100th message of a kind is a warning. So is the 1st, 10th, 100th failure of what is tried again in its state.
"""

from __future__ import annotations

import logging
from typing import Final

from gatewright.fsm.core import ShardCore, Snapshot
from gatewright.fsm.journal import Record
from gatewright.spec.rows import RowKind
from gatewright.spec.session import SessionRefused
from gatewright.spec.states import IMMEDIATE_CAUSES, Cause, State

_LEAVING: Final = frozenset({State.STALLED, State.DRAINING, State.BACKING_OFF})
_NEWS: Final = frozenset({State.READY, State.SUSPENDED, State.STOPPED})


class ShardLog:
    """Writes the steps of one shard."""

    __slots__ = ("_logger",)

    def __init__(self, shard_id: int) -> None:
        self._logger = logging.getLogger(f"gatewright.shard.{shard_id}")

    def step(self, record: Record, core: ShardCore) -> None:
        """Writes a step that `core` has just made; one that stays in its state and has no cause is not worth a line."""
        ordinary = not record.moved and record.kind is RowKind.TAKE and not record.reason
        if ordinary or not self._logger.isEnabledFor(logging.ERROR):
            return
        snapshot = core.snapshot()
        level = _level(record, snapshot, core.taken(record.row))
        if self._logger.isEnabledFor(level):
            self._logger.log(
                level, "%s", line(record, snapshot), extra={"gatewright": fields(record, snapshot)}, stacklevel=2
            )

    def session_refused(self, refused: SessionRefused) -> None:
        """Writes why a session that was brought along is not resumed."""
        self._logger.warning(
            "the session is not resumed, a new one begins: %s",
            refused.detail,
            extra={"gatewright": {"session_refused": refused.reason.value, "detail": refused.detail}},
        )

    def window_full(self, count: int, oldest: int) -> None:
        """Writes why the consumer is given no more."""
        self._logger.warning(
            "%d dispatches were handed out, and the oldest (sequence %d) was not acknowledged; no more are handed out "
            "until its ack() is called",
            count,
            oldest,
            extra={"gatewright": {"unacked": count, "oldest": oldest}},
        )

    def store_failed(self, error: Exception) -> None:
        """Writes what the store of the session raised."""
        self._logger.error("the session could not be saved; a crash now would repeat more events", exc_info=error)

    def observer_failed(self, error: Exception) -> None:
        """Writes what an observer raised."""
        self._logger.error("an observer failed; the shard goes on", exc_info=error)


def _level(record: Record, snapshot: Snapshot, taken: int) -> int:
    """`taken` is how often the row of the record was taken."""
    if record.kind is RowKind.UNEXPECTED or (record.kind is RowKind.TAKE and not record.moved):
        return logging.WARNING if _is_power_of_ten(taken) else logging.DEBUG
    if not record.moved:
        return logging.DEBUG
    if record.to is State.FAILED:
        return logging.ERROR
    if record.to is State.STALLED:
        return logging.WARNING
    if record.to in _LEAVING and record.state not in _LEAVING:
        # The first loss by a drop or opcode 7 is everyday; the next one before a proof is not.
        everyday = snapshot.cause is Cause.COMMAND or (snapshot.cause in IMMEDIATE_CAUSES and snapshot.attempts <= 1)
        return logging.INFO if everyday else logging.WARNING
    return logging.INFO if record.to in _NEWS else logging.DEBUG


def line(record: Record, snapshot: Snapshot) -> str:
    """One line for people."""
    facts = [f"generation {record.gen}"]
    if record.kind is not RowKind.TAKE:
        facts.insert(0, record.kind.value)
    if record.moved:
        if snapshot.cause is not None:
            facts.append(snapshot.cause.value)
        if record.to is State.BACKING_OFF:
            facts.append(f"attempt {snapshot.attempts + 1} in {snapshot.deadline_in or 0.0:.1f} s")
        if record.to is State.READY and snapshot.not_ready_for is not None:
            facts.append(f"after {snapshot.not_ready_for:.1f} s")
    if snapshot.failure is not None and record.moved:
        facts.append(snapshot.failure.reason)
    elif record.reason:
        facts.append(record.reason)
    return f"{record.state} -{record.event}-> {record.to} ({', '.join(facts)})"


def fields(record: Record, snapshot: Snapshot) -> dict[str, object]:
    """The same in the types of JSON: those of the record, and what a monitor wants to know beside them."""
    failure = snapshot.failure
    return {
        **record.as_dict(),
        "shard": snapshot.shard,
        "cause": None if snapshot.cause is None else snapshot.cause.value,
        "attempts": snapshot.attempts,
        "retry_in": snapshot.deadline_in if snapshot.state is State.BACKING_OFF else None,
        "not_ready_for": snapshot.not_ready_for,
        "failure": None if failure is None else {"kind": failure.kind, "code": failure.code, "reason": failure.reason},
    }


def _is_power_of_ten(count: int) -> bool:
    while count >= 10 and count % 10 == 0:
        count //= 10
    return count == 1
