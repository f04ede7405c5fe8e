"""Deadlines, heartbeats, and a reader that is held back."""

from __future__ import annotations

from typing import Final

from gatewright.harness.explore.gateway_properties.phrases import CAPPED, LIVE, TIMED, implies, on, within
from gatewright.harness.explore.properties import Property, always, edge
from gatewright.spec.states import HEARTBEAT_STATES, State

TIMING: Final[tuple[Property, ...]] = (
    always("I03", "a state that is not steady has its deadline", f"deadline or not ({within(TIMED)})"),
    edge("I03", "a deadline that passes moves the shard, or is armed again",
         implies("(event == 'deadline_passed')", "moves or assigned('deadline')")),
    edge("I03", "a deadline that passes with no time left moves the shard",
         implies("(event == 'deadline_passed' and event.time_left == 0)", "moves")),
    edge("I03", "a zombie is left", implies(
        f"(event == 'heartbeat_due' and {within(HEARTBEAT_STATES, 'before.state')} and not before.acked "
        "and not before.paused_since_beat)", "state == State.STALLED")),
    always("I13", "the timers are those that the state declares",
           f"deadline == ({within(TIMED)}) and cap == ({within(CAPPED)}) and beat_at == ({within(HEARTBEAT_STATES)})"),
    edge("I13", "a deadline moves only where that is declared",
         "moves or not assigned('deadline') or "
         f"{on('slot_queued', states=(State.AWAITING_IDENTIFY_SLOT,))} or "
         f"{on('dispatched', states=(State.RESUMING,))} "
         f"or {on('deadline_passed', states=(State.IDENTIFIED, State.RESUMING))}"),
    edge("I13", "HELLO arms the heartbeat, a beat arms the next, and nothing else does",
         f"assigned('beat_at') == ({on('hello', states=(State.AWAITING_HELLO,))} or "
         "(event == 'heartbeat_due' and not moves))"),
    edge("I13", "a new connection begins with no beat outstanding",
         implies(on("hello", states=(State.AWAITING_HELLO,)), "acked and not proving and not acked_at")),
    edge("I20", "a beat that the server asks for is sent at once and changes nothing else",
         implies("(event == 'heartbeat_requested')",
             "not moves and updates == 0 and effects == does('send_heartbeat') and "
             f"does('send_heartbeat') == ({within(LIVE, 'before.state')} and event.stale == 0)")),
    edge("I20", "a heartbeat that is due is sent, and judged by the next one",
         implies("(event == 'heartbeat_due' and state == before.state)",
             "does('send_heartbeat') and effects == 1 and not acked and proving == (state == State.READY) and "
             "paused_since_beat == before.paused and "
             "paused_beats == (min(before.paused_beats + 1, settings.max_paused_beats) if before.paused else 0)")),
    edge("I20", "a live connection is no zombie",
         implies("(event == 'heartbeat_due' and (before.acked or before.paused_since_beat))",
             "state != State.STALLED")),
    edge("I20", "an ACK is believed",
         implies(on("heartbeat_acked", states=HEARTBEAT_STATES), "acked and acked_at and not moves and effects == 0")),
    edge("I20", "heartbeats are sent when due or asked for, only",
         implies("does('send_heartbeat')", "event in ('heartbeat_due', 'heartbeat_requested')")),
    edge("I20", "only a beat forgets an ACK, only an ACK or HELLO brings one",
         f"not ({within(HEARTBEAT_STATES, 'before.state')} and {within(HEARTBEAT_STATES)}) or acked == before.acked or "
         "event == ('heartbeat_acked' if acked else 'heartbeat_due')"),
    always("I23", "who holds the reader back is remembered until the next beat",
           f"paused_since_beat or not paused or not ({within(LIVE)})"),
    edge("I23", "a paused reader makes no zombie and no stall",
         implies("(event == 'deadline_passed' and before.paused and "
             f"{within((State.AWAITING_HELLO, State.IDENTIFIED, State.RESUMING), 'before.state')})",
             "state != State.STALLED")),
    edge("I23", "a reader that is held back for too long ends the connection, with the session kept",
         implies("(event == 'heartbeat_due' and before.paused and (before.acked or before.paused_since_beat))",
             "(state == State.DRAINING) == (before.paused_beats >= settings.max_paused_beats) and "
             "session == before.session")),
    edge("I23", "pausing and resuming are remembered",
         implies("(event in ('reading_paused', 'reading_resumed') and "
             f"{within(LIVE, 'before.state')} and not event.stale)",
             "paused == (event == 'reading_paused') and paused_beats == 0 and not moves and "
             "paused_since_beat >= before.paused_since_beat and paused_since_beat >= paused")),
    edge("I23", "a new connection is read", implies("does('open_socket')", "not paused and not paused_since_beat")),
)  # fmt: skip
