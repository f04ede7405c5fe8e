"""The shard's life: registrations, the user's commands, failing, and the end."""

from __future__ import annotations

from typing import Final

from gatewright.harness.explore.gateway_properties.phrases import LEAVING, LIVE, OVER, implies, names, on, within
from gatewright.harness.explore.properties import Property, always, edge
from gatewright.spec import events
from gatewright.spec.states import State

LIFE: Final[tuple[Property, ...]] = (
    always("I04", "after the end there is no socket and no timer",
           f"not ({within(OVER)}) or ((link == Link.NONE or aborting) and not deadline and not beat_at and not cap "
           "and not fetching and slot != Slot.ASKED)"),
    edge("I04", "nothing leaves the ends, and nothing is done there but giving a slot back",
         implies(f"({within(OVER, 'before.state')})",
             "state == before.state and effects == does('return_slot') and updates == 0")),
    always("I04", "after stop() the shard ends",
           f"not stopping or {within((State.DRAINING, State.STOPPED, State.FAILED))}"),
    always("I04", "after stop() draining leads to an end",
           "not stopping or state != State.DRAINING or then == Then.STOP or then == Then.FAIL"),
    edge("I04", "stop() is taken everywhere but at the end", implies(
        "(event == 'stop')", f"kind == 'take' or {within(OVER, 'before.state')} or "
        "(before.state == State.DRAINING and (before.then == Then.STOP or before.then == Then.FAIL))")),
    always("I04", "stopped forgets the session", "state != State.STOPPED or session == 0"),
    always("I04", "stopped means that it was asked for", "state != State.STOPPED or stopping"),
    always("I05", "no connection without registrations",
           f"registered or {within((State.IDLE, State.REGISTERING, State.DRAINING, State.SUSPENDED, *OVER))}"),
    always("I05", "registrations are being applied in `registering`, and nowhere else",
           "(work == Work.APPLYING) <= (state == State.REGISTERING)"),
    edge("I05", "they are applied when `registering` is entered, and at no other time",
         "does('apply_registrations') == (moves and state == State.REGISTERING)"),
    edge("I05", "they are never applied twice", implies("does('apply_registrations')", "not before.registered")),
    edge("I05", "applied means registered",
             implies(on("registered", states=(State.REGISTERING,)), "registered and moves")),
    edge("I08", "a fatal close code fails the shard",
         implies(on("closed", states=(*LIVE, *LEAVING), also="event.close == CloseKind.FATAL"),
             "state == State.FAILED and failure")),
    edge("I08", "401 and 403 of the metadata end point fail the shard",
         implies("(event == 'metadata_failed' and before.state == State.FETCHING_METADATA and not event.late and "
             "event.error == MetadataError.FATAL)", "state == State.FAILED and failure")),
    always("I09", "a failed shard says why", "failure or state != State.FAILED"),
    always("I09", "only a failed shard has a failure", f"not failure or {within((State.FAILED, State.DRAINING))}"),
    always("I09", "what fails keeps its failure",
           "state != State.DRAINING or (then == Then.FAIL) == (failure != 0)"),
    edge("I09", "a failed registration surfaces",
         implies("(event in ('registration_failed', 'deadline_passed') and before.state == State.REGISTERING)",
             "failure and does('undo_registrations') and state == State.DRAINING")),
    edge("I09", "a consumer that is too slow surfaces, where that was asked for, and its session stays",
         implies(on("queue_overflowed", states=LIVE),
             "failure and then == Then.FAIL and state == State.DRAINING and session == before.session")),
    edge("I09", "a failure is never forgotten", "failure >= before.failure"),
    edge("I14", "what was begun is undone, once",
         "does('undo_registrations') == (moves and before.state == State.REGISTERING and state == State.DRAINING)"),
    edge("I14", "what is undone is not waited for any longer",
         implies("(event == 'registration_undone' and before.state == State.DRAINING)",
             "moves == (not before.registered)")),
    always("I14", "an answer to the undoing is waited for in draining",
           f"registered or not ({within((State.STALLED,))})"),
    edge("I15", "connect() wakes a back-off or comes back, and does nothing else anywhere",
         implies("(event == 'connect')", "kind == 'take' and moves and "
             f"{within((State.BACKING_OFF, State.SUSPENDED), 'before.state')} and "
             f"{within((State.CONNECTING, State.FETCHING_METADATA, State.REGISTERING))}")),
    edge("I15", "reconnect() leaves the socket with the session kept, or wakes a back-off",
         implies("(event == 'reconnect')", "kind == 'take' and moves and session == before.session and "
             f"((before.state == State.BACKING_OFF and {within((State.CONNECTING, State.FETCHING_METADATA))}) or "
             f"({within(LIVE, 'before.state')} and state == State.DRAINING and then == Then.RETRY))")),
    edge("I15", "force_identify() drops the session or what it asks for is on its way",
         implies("(event == 'force_identify')", "session == 0 and (kind == 'take' or before.session == 0)")),
    edge("I15", "suspend() stays away, with the session",
         implies("(event == 'suspend')", "session == before.session and (state == State.SUSPENDED or "
             "(state == State.DRAINING and then == Then.SUSPEND))")),
    edge("I15", "stop() leads to the end",
         implies("(event == 'stop')",
             f"{within(OVER)} or (state == State.DRAINING and then in (Then.STOP, Then.FAIL))")),
    edge("I15", "a command that is ignored has what it asks for",
         implies(f"(event in {names(events.COMMANDS)} and kind == 'ignore')",
             f"(event == 'stop' and ({within(OVER)} or then in (Then.STOP, Then.FAIL))) or "
             "(event == 'suspend' and (state == State.SUSPENDED or then == Then.SUSPEND)) or "
             "(event == 'force_identify' and state == State.CONNECTING and session == 0)")),
    edge("I15", "register() starts the shard",
         implies("(event == 'register')", "state == State.REGISTERING and before.state == State.IDLE and client")),
    edge("I15", "the user's word stands: draining for good is not turned back",
         implies("(before.state == State.DRAINING and before.then == Then.SUSPEND and event != 'stop')",
             f"{within((State.DRAINING, State.SUSPENDED, State.FAILED))} and "
             "(state != State.DRAINING or then == Then.SUSPEND)")),
    edge("I15", "what comes after draining is what it says", implies(
        "(before.state == State.DRAINING and moves and state != State.FAILED)",
        "state == (State.BACKING_OFF if before.then == Then.RETRY else State.SUSPENDED if before.then == Then.SUSPEND "
        "else State.STOPPED)")),
    edge("I15", "draining fails for a fatal code, or when it was to fail", implies(
        "(before.state == State.DRAINING and state == State.FAILED)", "before.then == Then.FAIL or event == 'closed'")),
)  # fmt: skip
