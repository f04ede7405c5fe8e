"""Why a connection was left, how long the next attempt waits, and the metadata that it needs."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from gatewright.harness.explore.gateway_properties.phrases import LEAVING, LIVE, implies, on, within
from gatewright.harness.explore.properties import Property, always, edge
from gatewright.spec.states import State


def _leads(cause: str, event: str, states: Iterable[Enum], *, also: str = "") -> Property:
    """What the cause of leaving a connection is (I18): it decides the delay."""
    left = f"{on(event, states=states, also=also)} and moves"
    return edge("I18", f"after {event} the cause is {cause.lower()}", implies(f"({left})", f"cause == Cause.{cause}"))


ATTEMPTS: Final[tuple[Property, ...]] = (
    # The delay is computed from the cause, the attempts and the floor; the figures are checked on the core.
    _leads("DROPPED", "closed", LIVE, also="event.close == CloseKind.RESUMABLE"),
    _leads("RATE_LIMITED", "closed", (*LIVE, State.STALLED), also="event.close == CloseKind.RATE_LIMITED"),
    _leads("SESSION_ENDED", "closed", (*LIVE, State.STALLED), also="event.close == CloseKind.NEW_SESSION"),
    _leads("RECONNECT_REQUESTED", "reconnect_requested", LIVE),
    _leads("INVALID_SESSION", "session_invalidated", LIVE),
    _leads("VIOLATION", "protocol_violation", LIVE),
    _leads("WRITE_BLOCKED", "write_blocked", LIVE),
    _leads("CONNECT_FAILED", "connect_failed", (State.CONNECTING,)),
    _leads("GATE", "slot_unavailable", (State.AWAITING_IDENTIFY_SLOT,), also="event.refusal == SlotRefusal.OUTAGE"),
    _leads("BUDGET", "slot_unavailable", (State.AWAITING_IDENTIFY_SLOT,), also="event.refusal == SlotRefusal.BUDGET"),
    _leads("STALLED", "deadline_passed", (State.CONNECTING, *LIVE), also="(state == State.STALLED)"),
    _leads("READING_PAUSED", "deadline_passed", LIVE, also="state == State.DRAINING"),
    _leads("ZOMBIE", "heartbeat_due", LIVE, also="state == State.STALLED"),
    _leads("READING_PAUSED", "heartbeat_due", LIVE, also="state == State.DRAINING"),
    _leads("COMMAND", "reconnect", LIVE),
    _leads("QUEUE_OVERFLOWED", "queue_overflowed", LIVE),
    edge("I18", "the user's leaving is told as the user's",
         implies("(event in ('stop', 'suspend', 'force_identify') and kind == 'take' and state == State.DRAINING and "
             "not (event == 'force_identify' and before.state == State.DRAINING))", "cause == Cause.COMMAND")),
    edge("I18", "a failed registration is told as one",
         implies("(event in ('registration_failed', 'deadline_passed') and before.state == State.REGISTERING)",
             "cause == Cause.REGISTRATION")),
    edge("I18", "opcode 9 and 4008 set a floor for the delay",
         implies(f"({on('session_invalidated', states=LIVE)} or "
             f"{on('closed', states=LIVE, also='event.close == CloseKind.RATE_LIMITED')})",
                 "assigned('not_before')")),
    edge("I18", "4008 sets its floor while the socket is being left, too",
         implies(f"({on('closed', states=LEAVING, also='event.close == CloseKind.RATE_LIMITED')} and "
             "state == State.BACKING_OFF)", "assigned('not_before') and cause == Cause.RATE_LIMITED")),
    edge("I18", "a cause changes by what ends a connection only",
         implies("(before.state == State.BACKING_OFF and state == State.BACKING_OFF)", "cause == before.cause")),
    edge("I18", "a stall says in which phase it happened",
         implies("(moves and state == State.STALLED)", "assigned('stalled_in')")),
    edge("I18", "an attempt cap that was asked for is kept, and no other is",
         implies("(before.state == State.BACKING_OFF and event == 'deadline_passed')",
             "(state == State.FAILED) == (capped and before.attempts >= settings.max_attempts)")),
    edge("I18", "a wait ends in an attempt",
         implies("(before.state == State.BACKING_OFF and event in ('deadline_passed', 'connect', 'reconnect', "
             "'force_identify'))", f"{within((State.CONNECTING, State.FETCHING_METADATA, State.FAILED))}")),
    edge("I18", "metadata are asked for when the main URL is wanted and unknown, or the budget was refused, else not",
         implies("(event in ('deadline_passed', 'connect', 'reconnect', 'force_identify') and "
             "state != State.FAILED and "
             "(before.state == State.BACKING_OFF or (before.state == State.SUSPENDED and before.registered)))",
             "(state == State.FETCHING_METADATA) == (session < 2 and (not before.metadata or before.fallback or "
             "before.connect_failures >= settings.connect_failures_to_forget_url or "
             "(before.state == State.BACKING_OFF and before.cause == Cause.BUDGET)))")),
    # P01, P08.
    edge("F05", "metadata are fetched when that state is entered, or again after a passing failure",
         "does('fetch_metadata') == ((moves and state == State.FETCHING_METADATA) or (event == 'metadata_failed' and "
         "before.state == State.FETCHING_METADATA and not event.late and event.error != MetadataError.FATAL))"),
    edge("F05", "every new request has its own number, and every repetition waits longer",
         implies("does('fetch_metadata')", "assigned('request') if moves else assigned('fetch_delay')")),
    always("F05", "metadata are awaited in `fetching_metadata` and nowhere else",
           "fetching == (state == State.FETCHING_METADATA)"),
    edge("F05", "fresh metadata replace the old",
         implies("(event == 'metadata_fetched' and before.state == State.FETCHING_METADATA and not event.late)",
             "metadata and not fallback and connect_failures == 0 and state == State.CONNECTING")),
    edge("F05", "without metadata the cached URL serves, or the fallback",
         implies("(event == 'deadline_passed' and before.state == State.FETCHING_METADATA)",
             "fallback == (not before.metadata) and state == State.CONNECTING and does('cancel_metadata')")),
    edge("F05", "a registered shard asks for metadata first, unless it has a session to resume",
         implies("(event == 'registered' and before.state == State.REGISTERING)",
             "state == (State.CONNECTING if before.session > 0 else State.FETCHING_METADATA)")),
)  # fmt: skip
