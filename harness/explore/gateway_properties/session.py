"""What outlives a connection: the session with its sequence, the counts of what failed, identify slots, delivery."""

from __future__ import annotations

from typing import Final

from gatewright.harness.explore.gateway_properties.phrases import (
    FAILED_RESUME,
    HELLO_STALL,
    LEAVING,
    LIVE,
    implies,
    on,
    within,
)
from gatewright.harness.explore.properties import Property, always, edge
from gatewright.spec.states import State

_EARLY: Final = (State.AWAITING_HELLO, State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED)
_ENDS_SESSION: Final = " or ".join(
    (
        "(event in ('stop', 'force_identify') and kind == 'take')",
        on("closed", states=(*LIVE, *LEAVING), also="event.close == CloseKind.NEW_SESSION"),
        on("session_invalidated", states=_EARLY),
        on("session_invalidated", states=LIVE, also="event.resumable == 0"),
    )
)

SESSION: Final[tuple[Property, ...]] = (
    always("I10", "a session and its sequence come and go together", "(session > 0) == received"),
    always("I10", "resuming and ready hold a session", f"session > 0 or not ({within((State.RESUMING, State.READY))})"),
    always("I10", "who identifies holds none",
           f"session == 0 or not ({within((State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED, State.STOPPED))})"),
    edge("I10", "what ends a session drops it", implies(f"({_ENDS_SESSION})", "session == 0 and received == 0")),
    edge("I10", "nothing else drops a session",
         f"before.session == 0 or session > 0 or {_ENDS_SESSION} or {FAILED_RESUME} or {HELLO_STALL}"),
    edge("I10", "failed resumes drop a session only when there were too many",
         f"before.session == 0 or session > 0 or {_ENDS_SESSION} or not {FAILED_RESUME} or "
         "(failed_resumes >= settings.max_failed_resumes and not before.progressed)"),
    edge("I10", "too many failed resumes drop the session",
         implies(f"({FAILED_RESUME} and failed_resumes > before.failed_resumes and "
             "failed_resumes >= settings.max_failed_resumes)", "session == 0")),
    edge("I10", "HELLO stalls drop a session only when there were too many",
         f"before.session == 0 or session > 0 or {_ENDS_SESSION} or not {HELLO_STALL} or "
         "stalls >= settings.hello_stalls_to_drop_session"),
    edge("I10", "too many HELLO stalls drop the session",
         implies(f"({HELLO_STALL} and not before.paused and stalls >= settings.hello_stalls_to_drop_session)",
             "session == 0")),
    edge("I10", "the second HELLO stall forgets the resume URL",
         implies(f"({HELLO_STALL} and not before.paused and stalls == settings.hello_stalls_to_forget_url)",
             "session < 2")),
    edge("I10", "a session is replaced whole, by READY",
         f"session <= before.session or {on('ready', states=(State.IDENTIFIED, State.RESUMING, State.READY))}"),
    edge("I10", "READY begins a session",
         implies(on("ready", states=(State.IDENTIFIED, State.RESUMING, State.READY)),
             "session == 1 + event.has_url and received and been_ready and updated('begin_session')")),
    edge("I10", "the resume URL is forgotten after repeated failures only, or HELLO stalls",
         f"not (before.session == 2 and session == 1) or {HELLO_STALL} or event == 'ready' or "
         "(before.state == State.CONNECTING and before.connect_failures + 1 >= "
         "settings.connect_failures_to_forget_url)"),
    edge("I10", "a resume URL that fails repeatedly is forgotten",
         implies("(before.state == State.CONNECTING and (event == 'deadline_passed' or (event == 'connect_failed' and "
             "not event.stale)) and before.session == 2)",
             "session == (1 if before.connect_failures + 1 >= settings.connect_failures_to_forget_url else 2)")),
    edge("I10", "connect failures in a row are counted, up to the URL that is forgotten",
         implies("(before.state == State.CONNECTING and (event == 'deadline_passed' or (event == 'connect_failed' and "
             "not event.stale)) and session == before.session)",
             "connect_failures == min(before.connect_failures + 1, settings.connect_failures_to_forget_url)")),
    edge("I10", "HELLO proves the URL",
         implies(on("hello", states=(State.AWAITING_HELLO,)), "connect_failures == 0 and progressed == 0")),
    edge("I10", "connect failures are forgiven by HELLO, fresh metadata and a new URL only",
         f"connect_failures >= before.connect_failures or {on('hello')} or event == 'metadata_fetched' or "
         "session < before.session or before.state == State.CONNECTING or "
         f"{HELLO_STALL}"),
    edge("I10", "a resume without progress that is left counts as failed; the user's leaving does not",
         implies(f"({FAILED_RESUME} and state != State.READY and session > 0 and event in "
             "('closed', 'deadline_passed', 'reconnect_requested', 'session_invalidated', 'protocol_violation', "
             "'write_blocked', 'heartbeat_due') and not before.paused)",
             "failed_resumes == min(before.failed_resumes + (not before.progressed), settings.max_failed_resumes) "
             "or (event == 'closed' and event.close == CloseKind.FATAL) or state == State.FAILED "
             "or (event == 'heartbeat_due' and state == State.DRAINING)")),
    edge("I10", "failed resumes are counted in `resuming` only, and never for the user or a paused reader",
         f"failed_resumes <= before.failed_resumes or ({FAILED_RESUME} and event not in "
         "('reconnect', 'suspend', 'stop', 'force_identify') and not (before.paused and event == 'deadline_passed'))"),
    edge("I10", "a replay that moves is progress",
         implies(on("dispatched", states=(State.RESUMING,), also="event.advances"),
             "progressed and assigned('deadline')")),
    edge("I11", "stalls and failed resumes are forgiven by READY and RESUMED only",
         "(stalls >= before.stalls and failed_resumes >= before.failed_resumes) or event in ('ready', 'resumed')"),
    edge("I11", "READY and RESUMED forgive stalls and failed resumes",
         implies("(moves and state == State.READY)", "stalls == 0 and failed_resumes == 0 and been_ready")),
    edge("I11", "attempts are forgiven by the first ACK of a scheduled beat in ready only, or refunded by the gate",
         "attempts >= before.attempts or (event == 'slot_unavailable' and attempts == before.attempts - 1) or "
         f"{on('heartbeat_acked', states=(State.READY,), also='not before.acked and before.proving')}"),
    edge("I11", "that ACK forgives them",
         implies(on("heartbeat_acked", states=(State.READY,), also="not before.acked and before.proving"),
             "attempts == 0 and updated('prove_session')")),
    edge("I11", "nothing else proves a session",
         implies("updated('prove_session')",
             on("heartbeat_acked", states=(State.READY,), also="not before.acked and before.proving"))),
    edge("I11", "each socket is an attempt",
         implies("does('open_socket')", "attempts == min(before.attempts + 1, settings.max_attempts)")),
    edge("I11", "attempts are counted by opening a socket only", "attempts <= before.attempts or does('open_socket')"),
    edge("I11", "HELLO stalls are counted, unless our own reader was held back",
         "stalls == before.stalls or event in ('ready', 'resumed') or "
         f"({HELLO_STALL} and stalls == min(before.stalls + 1, settings.hello_stalls_to_drop_session) and not "
         f"before.paused)"),
    edge("I11", "a HELLO stall is counted",
         implies(f"({HELLO_STALL} and not before.paused)",
             "stalls == min(before.stalls + 1, settings.hello_stalls_to_drop_session)")),
    edge("I11", "a refusal of the gate is no attempt",
         implies(on("slot_unavailable", states=(State.AWAITING_IDENTIFY_SLOT,)),
             "assigned('attempts') and "
             "(attempts == max(before.attempts - 1, 0) or before.attempts == attempts == settings.max_attempts)")),
    edge("I11", "every IDENTIFY is counted, and nothing else is",
         "does('send_identify') == updated('note_identify')"),
    edge("I12", "a grant is used in the same step, or given back",
         implies("(event == 'slot_granted')", "effects == 1 and (does('send_identify') or does('return_slot'))")),
    edge("I12", "a slot that was waited for is used",
         implies(on("slot_granted", states=(State.AWAITING_IDENTIFY_SLOT,)),
             "does('send_identify') and state == State.IDENTIFIED")),
    always("I12", "a slot is asked for while it is waited for, and taken back when the wait ends",
           "(slot == Slot.ASKED) == (state == State.AWAITING_IDENTIFY_SLOT)"),
    edge("I12", "nobody takes back what nobody asked for",
         implies("does('withdraw_slot')", "before.slot == Slot.ASKED or "
         "event == 'slot_unavailable'")),
    edge("I12", "a refused slot leaves the socket until the gate allows another",
         implies(on("slot_unavailable", states=(State.AWAITING_IDENTIFY_SLOT,)),
             "state == State.DRAINING and assigned('not_before')")),
    edge("I12", "a place in the queue extends the wait",
         implies(on("slot_queued", states=(State.AWAITING_IDENTIFY_SLOT,)), "assigned('deadline')")),
    edge("I17", "every dispatch of the connection is delivered in the step that saw it, and nothing else is",
         f"does('deliver') == ({on('dispatched', states=(State.IDENTIFIED, State.RESUMING, State.READY))} or "
         f"{on('ready', states=(State.IDENTIFIED, State.RESUMING, State.READY))} or "
         f"{on('resumed', states=(State.RESUMING, State.READY))})"),
    edge("I17", "a dispatch with a higher sequence moves it, a lower one does not",
         implies(on("dispatched", states=(State.RESUMING, State.READY)),
             "assigned('received') == (event.advances == 1)")),
    edge("I17", "RESUMED counts with its sequence",
         implies(on("resumed", states=(State.RESUMING, State.READY)), "updated('raise_sequence')")),
    edge("I17", "a sequence moves by dispatches only",
         "not assigned('received') or event in ('dispatched', 'ready', 'resumed') or session == 0 or "
         "session == before.session"),
)  # fmt: skip
