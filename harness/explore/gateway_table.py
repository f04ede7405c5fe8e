"""The shard's table, as the explorer sees it: what is kept of its memory, and what becomes of the rest.

Counters are bounded where no guard tells greater values apart; times become "armed or not"; what time decides in a
guard is a payload of the deadline, so that both answers are explored. A field that a row starts to write and that is
neither here nor in ``dropped`` is refused, with what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

import attrs

from gatewright.harness.explore.environment import Variable, choice, count, flag
from gatewright.harness.explore.table import AnyRow, Table
from gatewright.spec.events import COMMANDS, MetadataError, SlotRefusal
from gatewright.spec.guards import GUARDS
from gatewright.spec.lint import findings
from gatewright.spec.protocol import CloseKind
from gatewright.spec.rows import Row
from gatewright.spec.settings import Settings
from gatewright.spec.states import HEARTBEAT_STATES, STATES, Cause, State, Then
from gatewright.spec.table import LIVE, TABLE
from gatewright.spec.updates import UPDATES

SETTINGS: Final = Settings(
    max_attempts=3,
    connect_failures_to_forget_url=2,
    hello_stalls_to_forget_url=2,
    hello_stalls_to_drop_session=3,
    max_failed_resumes=2,
    max_paused_beats=2,
)
"""Small counts, each large enough that every side of every comparison is reached."""

SMALL: Final = Settings(
    max_attempts=1,
    connect_failures_to_forget_url=1,
    hello_stalls_to_forget_url=2,
    hello_stalls_to_drop_session=3,
    max_failed_resumes=1,
    max_paused_beats=1,
)
"""The smallest counts, for tests and for mutants."""

_READABLE: Final = (State.CONNECTING, *LIVE)
_LEFT: Final = (State.STALLED, State.DRAINING, State.BACKING_OFF)


def _variables(settings: Settings) -> tuple[Variable, ...]:
    """What is kept of the memory; counters go as far as the settings look."""
    attempts = 1 if settings.max_attempts is None else settings.max_attempts
    return (
        # Configuration: tried both ways.
        flag("strict", False, True, shown="settings.strict_startup"),
        flag("capped", False, True, shown="settings.max_attempts is not None"),
        # Timers: armed or not (I13).
        flag("deadline", presence=True, shown="deadline is not None"),
        flag("cap", presence=True, shown="cap is not None"),
        flag("beat_at", presence=True, shown="beat_at is not None"),
        # Registration and metadata.
        flag("client", presence=True, shown="client is not None"),
        flag("registered", shown="registered"),
        flag("metadata", presence=True, shown="metadata is not None"),
        flag("fallback", shown="fallback"),
        # The connection.
        _counter("gen", 2),
        _counter("connect_failures", settings.connect_failures_to_forget_url),
        _counter("stalls", settings.hello_stalls_to_drop_session),
        # The session: 0 none, 1 without a resume URL, 2 with one.
        Variable("session", 2, (0, 1, 2), shown="0 if session is None else 1 if session.resume_url is None else 2"),
        flag("received", False, True, presence=True, shown="received is not None"),
        flag("progressed", within=(State.RESUMING,), shown="progressed"),
        _counter("failed_resumes", settings.max_failed_resumes),
        flag("been_ready", shown="been_ready"),
        # The heartbeat region.
        flag("interval", within=HEARTBEAT_STATES, presence=True, shown="interval is not None"),
        flag("acked", True, within=HEARTBEAT_STATES, shown="acked"),
        flag("proving", within=HEARTBEAT_STATES, shown="proving"),
        flag("acked_at", within=HEARTBEAT_STATES, presence=True, shown="acked_at is not None"),
        flag("paused", within=_READABLE, shown="paused"),
        flag("paused_since_beat", within=_READABLE, shown="paused_since_beat"),
        _counter("paused_beats", settings.max_paused_beats, within=_READABLE),
        # Leaving, and coming back.
        choice("then", Then.RETRY, shown="then"),
        choice("cause", Cause.DROPPED, within=_LEFT, shown="cause"),
        flag("failure", presence=True, shown="failure is not None"),
        _counter("attempts", attempts),
    )


def _counter(name: str, most: int, *, within: tuple[State, ...] | None = None) -> Variable:
    return count(name, most, within=within, shown=f"min({name}, {most})")


REWRITES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Numbers of generations, requests and sequences become what the event says of itself.
        "event.gen != gen": "event.stale",
        "event.request != request": "event.late",
        "event.seq > received": "event.advances",
        # What time decides, both ways.
        "now < cap": "event.time_left",
        "now - acked_at <= 2 * interval": "event.acks_fresh",
        # The session.
        "session.resume_url is None": "session != 2",
        "session.resume_url is not None": "session == 2",
        "new_session(event, settings)": "1 + event.has_url",
        "without_url(session)": "min(session, 1)",
        # A count that stopped at its bound may be any greater one: going back from it, both are tried.
        "max(attempts - 1, 0)": (
            "attempts if attempts == settings.max_attempts and event.more else max(attempts - 1, 0)"
        ),
        # Configuration that is tried both ways.
        "settings.max_attempts is not None": "capped",
        "settings.strict_startup": "strict",
    }
)

DROPPED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "request": "only compared with that of an answer, which says whether it is late",
        "fetch_errors": "only stretches the delay of a request",
        "fetch_delay": "only delays a request",
        "not_ready_since": "only shown; an edge property demands that it is written",
        "stalled_in": "only shown; an edge property demands that it is written",
        "beat_sent_at": "only for the latency",
        "latency": "only shown",
        "not_before": "only stretches the back-off; edge properties demand that it is written",
        "proven": "only stretches the back-off; an edge property demands that it is written",
        "identifies": "only stretches the back-off; an edge property demands that it is written",
        "identified_at": "only stretches the back-off; an edge property demands that it is written",
    }
)


def on_entry(state: State, *, without_deadline: State | None = None) -> Mapping[str, str]:
    """What entering a state writes, as both runtimes do; without the deadline of one state, for mutants."""
    spec = STATES[state]
    timed = spec.deadline is not None and state is not without_deadline
    written = {"deadline": "now" if timed else "None", "cap": "None" if spec.cap is None else "now"}
    return written if spec.heartbeats else {**written, "beat_at": "None"}


def _findings(rows: Iterable[AnyRow]) -> Iterable[str]:
    return findings(cast("Iterable[Row]", rows))


def gateway_table(rows: tuple[AnyRow, ...] = TABLE, *, settings: Settings = SETTINGS) -> Table:
    """The shipped table, or a weaker one, ready to be explored."""
    values: dict[str, Any] = {field.name: getattr(settings, field.name) for field in attrs.fields(Settings)}
    return Table(
        name="gateway",
        rows=rows,
        initial=State.IDLE,
        variables=_variables(settings),
        guards={guard.name: guard.expression for guard in GUARDS.values()},
        updates={update.name: update.assigns for update in UPDATES.values()},
        settings={name: value for name, value in values.items() if isinstance(value, (int, float))},
        rewrites=REWRITES,
        dropped=DROPPED,
        on_entry=on_entry,
        timed=tuple(state for state, spec in STATES.items() if spec.deadline is not None),
        rearms="deadline",
        absorbing=tuple(state for state, spec in STATES.items() if spec.absorbing),
        commands=COMMANDS,
        findings=_findings,
        enumerations=(Then, Cause, CloseKind, MetadataError, SlotRefusal),
        beginning="(session > 0) == received",
    )
