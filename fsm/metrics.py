"""What a shard has been through, in numbers.

The core tallies the rows that were taken; which of them is an IDENTIFY, a failed resume or a zombie is read off the
rows themselves (their effects, updates and targets), so that a number cannot disagree with the table. The one row that
takes a dispatch in `ready` is not tallied: the journal's length tells how often it was taken, and that path pays
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from gatewright.spec.context import Context
from gatewright.spec.effects import OpenSocket, SendHeartbeat, SendIdentify, SendResume
from gatewright.spec.events import (
    Dispatched,
    EventKind,
    HeartbeatAcked,
    HeartbeatDue,
    ProtocolViolation,
    Ready,
    Resumed,
)
from gatewright.spec.rows import Row, RowKind
from gatewright.spec.states import Cause, State

RECENT_BEATS: Final = 20
"""How many heartbeats are remembered: at 41.25 s those of the last quarter of an hour."""

IMPOSSIBLE: Final = "illegal"
"""What an event without a row is counted as."""


@attrs.frozen
class Beat:
    """One scheduled heartbeat: of which generation, when it was issued, and after how many seconds its ACK came.

    `sent_at` is on the shard's clock; `latency` is ``None`` while the ACK is awaited, and when it never came.
    """

    gen: int
    sent_at: float
    latency: float | None = None


@attrs.frozen(kw_only=True)
class Metrics:
    """A shard in numbers, at one moment. Counters begin with the shard and only grow; durations are seconds.

    Attributes:
        state: the state, by name.
        not_ready_for: how long it has been without a proven session, ``None`` when it has one (see
            :attr:`gatewright.Shard.not_ready_since`).
        latency: round trip of the last acknowledged heartbeat, ``None`` before the first.
        latency_mean: mean over those of the last 20 heartbeats that were acknowledged.
        connections: sockets that were asked for.
        identifies: IDENTIFYs sent; each costs one of the day's budget.
        sessions: sessions begun by READY.
        resumes: RESUMEs sent.
        resumes_good: of them, those that RESUMED answered.
        resumes_failed: of them, those that ended otherwise, and not by a command or by our own slow consumer.
        zombies: connections left because a heartbeat had no ACK.
        reconnects: how often the shard began to wait for the next attempt, by :class:`~gatewright.spec.states.Cause`.
        dispatches: dispatches received: READY, RESUMED and the replayed ones among them.
        replayed: dispatches received during a RESUME.
        dropped: dispatches that the queue's policy threw away.
        limiter_waits: commands that had to wait for the send limit.
        violations: messages that broke the protocol.
        illegal_messages: messages that have no place in the state in which they came; tolerated.
        illegal_commands: commands that were refused with `IllegalTransition`.
        ignored: answers and frames that came too late to matter.
    """

    state: State
    not_ready_for: float | None
    latency: float | None
    latency_mean: float | None
    connections: int
    identifies: int
    sessions: int
    resumes: int
    resumes_good: int
    resumes_failed: int
    zombies: int
    reconnects: Mapping[Cause, int]
    dispatches: int
    replayed: int
    dropped: int
    limiter_waits: int
    violations: int
    illegal_messages: int
    illegal_commands: int
    ignored: int

    def as_dict(self) -> dict[str, object]:
        """The same in the types of JSON; `reconnects` names its causes."""
        found: dict[str, object] = {field.name: getattr(self, field.name) for field in attrs.fields(Metrics)}
        return {
            **found,
            "state": self.state.value,
            "reconnects": {cause.value: count for cause, count in self.reconnects.items()},
        }


_FORGIVEN: Final = frozenset({"session_resumed", "cause_paused", "cause_command"})
"""Updates of rows that leave `resuming` without saying anything against the RESUME."""


def _failed_resume(row: Row) -> bool:
    return (
        row.source is State.RESUMING
        and row.target is not None
        and row.event.kind is not EventKind.COMMAND
        and _FORGIVEN.isdisjoint(row.updates)
    )


_COUNTED: Final[Mapping[str, Callable[[Row], bool]]] = MappingProxyType(
    {
        "connections": lambda row: OpenSocket in row.effects,
        "identifies": lambda row: SendIdentify in row.effects,
        "sessions": lambda row: "begin_session" in row.updates,
        "resumes": lambda row: SendResume in row.effects,
        "resumes_good": lambda row: "session_resumed" in row.updates,
        "resumes_failed": _failed_resume,
        "zombies": lambda row: "cause_zombie" in row.updates,
        "replayed": lambda row: row.event is Dispatched and row.source is State.RESUMING,
        "violations": lambda row: row.event is ProtocolViolation and row.kind is RowKind.TAKE,
        "illegal_messages": lambda row: row.kind is RowKind.UNEXPECTED,
        "illegal_commands": lambda row: row.kind is RowKind.REFUSE and row.event.kind is EventKind.COMMAND,
        "ignored": lambda row: row.kind is RowKind.IGNORE and row.event.kind is not EventKind.COMMAND,
    }
)
"""Which rows a counter counts, by what stands in them."""


_DISPATCHES: Final = frozenset({Dispatched, Ready, Resumed})


class Tally:
    """How often each row was taken, except the one that takes a dispatch in `ready`."""

    __slots__ = ("_beats", "_counts", "_reconnects", "_rows", "_unwritten")

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._rows: dict[str, Row] = {}
        self._reconnects: Counter[Cause] = Counter()
        self._beats: list[Beat] = []  # an empty deque takes ten times as much, and each shard has one
        self._unwritten = 0

    def take(self, row: Row, after: Context, times: int = 1) -> None:
        """`row` was taken or has refused, so many times in a row; `after` is the context that it left."""
        self._counts[row.id] += times
        self._rows[row.id] = row
        if row.target is State.BACKING_OFF and after.cause is not None:
            self._reconnects[after.cause] += 1
        elif row.event is HeartbeatDue and SendHeartbeat in row.effects:
            del self._beats[: 1 - RECENT_BEATS]
            self._beats.append(Beat(after.gen, after.now))
        elif row.event is HeartbeatAcked and row.kind is RowKind.TAKE:
            self._acknowledge(after)

    def impossible(self) -> None:
        """An event came that has no row; the journal says nothing of it."""
        self._unwritten += 1

    def _acknowledge(self, after: Context) -> None:
        if not self._beats:
            return
        last = self._beats[-1]
        if last.gen == after.gen and last.latency is None:  # else it answers one that the server asked for
            self._beats[-1] = attrs.evolve(last, latency=after.now - last.sent_at)

    @property
    def beats(self) -> tuple[Beat, ...]:
        """The last heartbeats, oldest first."""
        return tuple(self._beats)

    @property
    def irregular(self) -> Counter[str]:
        """How often each row was taken that is not the normal case, by id."""
        found = Counter({row: count for row, count in self._counts.items() if self._rows[row].kind is not RowKind.TAKE})
        if self._unwritten:
            found[IMPOSSIBLE] = self._unwritten
        return found

    def taken(self, row_id: str) -> int:
        """How often the row of this id was taken."""
        return self._counts[row_id]

    def measure(self, context: Context, *, now: float, written: int, dropped: int, limiter_waits: int) -> Metrics:
        """The numbers at `now`; `written` is how many steps the journal has seen, the others come from outside."""
        counted = {
            name: sum(count for row, count in self._counts.items() if belongs(self._rows[row]))
            for name, belongs in _COUNTED.items()
        }
        tallied = sum(count for row, count in self._counts.items() if self._rows[row].event in _DISPATCHES)
        round_trips = [beat.latency for beat in self._beats if beat.latency is not None]
        since = context.not_ready_since
        return Metrics(
            state=context.state,
            not_ready_for=None if since is None else now - since,
            latency=context.latency,
            latency_mean=sum(round_trips) / len(round_trips) if round_trips else None,
            reconnects=MappingProxyType(dict(self._reconnects)),
            dispatches=written - self._counts.total() + tallied,
            dropped=dropped,
            limiter_waits=limiter_waits,
            **counted,
        )
