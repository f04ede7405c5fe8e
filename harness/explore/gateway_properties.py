"""The invariants I01 to I23 as properties of the exploration, and a table of where each is proved.

Facts are written out here again, on purpose: a property that asked the table would agree with whatever the table says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from gatewright.harness.explore.properties import Property, always, edge, eventually, sometimes
from gatewright.spec import events
from gatewright.spec.states import HEARTBEAT_STATES, SOCKET_STATES, STATES, State


def _in(states: Iterable[Enum], name: str = "state") -> str:
    return f"{name} in ({''.join(f'State.{state.name}, ' for state in states)})"


def _names(classes: Iterable[type[events.Event]]) -> str:
    return f"({''.join(f'{cls.name!r}, ' for cls in classes)})"


_LIVE: Final = (State.AWAITING_HELLO, *HEARTBEAT_STATES)
_OVER: Final = (State.STOPPED, State.FAILED)
_EARLY: Final = (State.AWAITING_HELLO, State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED)
_TIMED: Final = tuple(state for state, spec in STATES.items() if spec.deadline is not None)
_CAPPED: Final = tuple(state for state, spec in STATES.items() if spec.cap is not None)
_LEAVING: Final = (State.STALLED, State.DRAINING)
_CONNECTION: Final = _names(
    event for event in (*events.OUTCOMES, *events.MESSAGES) if issubclass(event, events.ConnectionEvent)
)
_CURRENT: Final = f"({_in(SOCKET_STATES, 'before.state')} and event.stale == 0)"
"""The event belongs to the socket that there is."""
_HERE: Final = f"(event not in {_CONNECTION} or {_CURRENT})"


def _on(name: str, *, states: Iterable[Enum] | None = None, also: str = "") -> str:
    """The event is `name`, of the current connection, in one of these states."""
    where = "" if states is None else f" and {_in(states, 'before.state')}"
    return f"(event == {name!r} and {_HERE}{where}{f' and {also}' if also else ''})"


def _if(condition: str, then: str) -> str:
    return f"not {condition} or ({then})"


def _leads(cause: str, event: str, states: Iterable[Enum], *, also: str = "") -> Property:
    """What the cause of leaving a connection is (I18): it decides the delay."""
    left = f"{_on(event, states=states, also=also)} and moves"
    return edge("I18", f"after {event} the cause is {cause.lower()}", _if(f"({left})", f"cause == Cause.{cause}"))


_ENDS_SESSION: Final = " or ".join(
    (
        "(event in ('stop', 'force_identify') and kind == 'take')",
        _on("closed", states=(*_LIVE, *_LEAVING), also="event.close == CloseKind.NEW_SESSION"),
        _on("session_invalidated", states=_EARLY),
        _on("session_invalidated", states=_LIVE, also="event.resumable == 0"),
    )
)
_FAILED_RESUME: Final = f"({_in((State.RESUMING,), 'before.state')} and state != State.RESUMING)"
_HELLO_STALL: Final = f"({_in((State.AWAITING_HELLO,), 'before.state')} and event == 'deadline_passed')"
_LEFT: Final = f"({_in((State.CONNECTING, *_LIVE), 'before.state')} and {_in(_LEAVING)})"

PROPERTIES: Final[tuple[Property, ...]] = (
    # I01
    always("I01", "a socket is there only in states that may have one",
           f"link == Link.NONE or aborting or {_in(SOCKET_STATES)}"),
    edge("I01", "a socket is opened only when there is none",
         _if("does('open_socket')", "before.link == Link.NONE or before.aborting")),
    edge("I01", "a socket is opened by entering `connecting`, with a new generation, and in no other way",
         f"does('open_socket') == assigned('gen') and does('open_socket') == (moves and {_in((State.CONNECTING,))})"),
    always("I01", "live states have a socket",
           f"not ({_in(_LIVE)}) or ((link == Link.OPEN or link == Link.DARK) and not aborting)"),
    always("I01", "connecting has a socket that is being opened",
           "state != State.CONNECTING or (link == Link.OPENING and not aborting)"),
    # I02
    always("I02", "RESUME and IDENTIFY come after this connection's HELLO, once", "handshakes <= greeted"),
    always("I02", "a client is bound before a socket is opened", "client or link == Link.NONE"),
    always("I02", "a live state has a generation", f"gen > 0 or not ({_in(_LIVE)})"),
    edge("I02", "RESUME is sent on HELLO only", _if("does('send_resume')",
             _on("hello", states=(State.AWAITING_HELLO,)))),
    edge("I02", "IDENTIFY is sent on a grant only",
         _if("does('send_identify')", _on("slot_granted", states=(State.AWAITING_IDENTIFY_SLOT,)))),
    edge("I02", "the handshake follows HELLO: RESUME with a session, else the slot is asked for",
         _if(_on("hello", states=(State.AWAITING_HELLO,)),
             "(does('send_resume') and not does('request_slot') and state == State.RESUMING) if before.session "
             "> 0 else "
             "(does('request_slot') and not does('send_resume') and state == State.AWAITING_IDENTIFY_SLOT)")),
    always("I02", "resuming and ready mean that a handshake was sent",
           f"not ({_in((State.IDENTIFIED, State.RESUMING, State.READY))}) or handshakes == 1"),
    # I03
    always("I03", "a state that is not steady has its deadline", f"deadline or not ({_in(_TIMED)})"),
    edge("I03", "a deadline that passes moves the shard, or is armed again",
         _if("(event == 'deadline_passed')", "moves or assigned('deadline')")),
    edge("I03", "a deadline that passes with no time left moves the shard",
         _if("(event == 'deadline_passed' and event.time_left == 0)", "moves")),
    edge("I03", "a zombie is left", _if(
        f"(event == 'heartbeat_due' and {_in(HEARTBEAT_STATES, 'before.state')} and not before.acked "
        "and not before.paused_since_beat)", "state == State.STALLED")),
    # I04
    always("I04", "after the end there is no socket and no timer",
           f"not ({_in(_OVER)}) or ((link == Link.NONE or aborting) and not deadline and not beat_at and not cap "
           "and not fetching and slot != Slot.ASKED)"),
    edge("I04", "nothing leaves the ends, and nothing is done there but giving a slot back",
         _if(f"({_in(_OVER, 'before.state')})",
             "state == before.state and effects == does('return_slot') and updates == 0")),
    always("I04", "after stop() the shard ends",
           f"not stopping or {_in((State.DRAINING, State.STOPPED, State.FAILED))}"),
    always("I04", "after stop() draining leads to an end",
           "not stopping or state != State.DRAINING or then == Then.STOP or then == Then.FAIL"),
    edge("I04", "stop() is taken everywhere but at the end", _if(
        "(event == 'stop')", f"kind == 'take' or {_in(_OVER, 'before.state')} or "
        "(before.state == State.DRAINING and (before.then == Then.STOP or before.then == Then.FAIL))")),
    always("I04", "stopped forgets the session", "state != State.STOPPED or session == 0"),
    always("I04", "stopped means that it was asked for", "state != State.STOPPED or stopping"),
    # I05
    always("I05", "no connection without registrations",
           f"registered or {_in((State.IDLE, State.REGISTERING, State.DRAINING, State.SUSPENDED, *_OVER))}"),
    always("I05", "registrations are being applied in `registering`, and nowhere else",
           "(work == Work.APPLYING) <= (state == State.REGISTERING)"),
    edge("I05", "they are applied when `registering` is entered, and at no other time",
         "does('apply_registrations') == (moves and state == State.REGISTERING)"),
    edge("I05", "they are never applied twice", _if("does('apply_registrations')", "not before.registered")),
    edge("I05", "applied means registered",
             _if(_on("registered", states=(State.REGISTERING,)), "registered and moves")),
    # I06
    edge("I06", "an event of an old connection changes nothing; a slot that it grants goes back",
         f"event not in {_CONNECTION} or {_CURRENT} or "
         "(not moves and updates == 0 and effects == (event == 'slot_granted') and "
         "does('return_slot') == (event == 'slot_granted'))"),
    edge("I06", "an answer to a metadata request that was given up changes nothing",
         _if("(event in ('metadata_fetched', 'metadata_failed') and "
             "(before.state != State.FETCHING_METADATA or event.late))",
                 "not moves and updates == 0 and effects == 0")),
    edge("I06", "void frames of a socket that is being left change nothing",
         _if(f"(event in {_names(events.MESSAGES)} and {_in(_LEAVING, 'before.state')})",
             "not moves and updates == 0 and effects == 0")),
    edge("I06", "registrations that end late change nothing",
         _if("(event in ('registered', 'registration_failed') and before.state != State.REGISTERING)",
             "not moves and updates == 0 and effects == 0")),
    # I07
    always("I07", "no live state is shown while its socket is being closed",
           f"not ({_in((State.CONNECTING, *_LIVE))}) or (closing == 0 and not aborting)"),
    always("I07", "ready means that READY or RESUMED was said", "state != State.READY or session > 0"),
    edge("I07", "ready is entered by READY and RESUMED only",
         _if("(moves and state == State.READY)",
             f"{_on('ready', states=(State.IDENTIFIED, State.RESUMING))} or "
             f"{_on('resumed', states=(State.RESUMING,))}")),
    edge("I07", "READY and RESUMED that were waited for are believed",
         _if(f"({_on('ready', states=(State.IDENTIFIED, State.RESUMING))} or "
             f"{_on('resumed', states=(State.RESUMING,))})", "state == State.READY")),
    edge("I07", "the loss of `ready` is noted when it happens, and at no other time",
         "updated('note_not_ready') == (before.state == State.READY and moves and state != State.READY)"),
    # I08
    edge("I08", "a fatal close code fails the shard",
         _if(_on("closed", states=(*_LIVE, *_LEAVING), also="event.close == CloseKind.FATAL"),
             "state == State.FAILED and failure")),
    edge("I08", "401 and 403 of the metadata end point fail the shard",
         _if("(event == 'metadata_failed' and before.state == State.FETCHING_METADATA and not event.late and "
             "event.error == MetadataError.FATAL)", "state == State.FAILED and failure")),
    # I09
    always("I09", "a failed shard says why", "failure or state != State.FAILED"),
    always("I09", "only a failed shard has a failure", f"not failure or {_in((State.FAILED, State.DRAINING))}"),
    always("I09", "what fails keeps its failure",
           "state != State.DRAINING or (then == Then.FAIL) == (failure != 0)"),
    edge("I09", "a failed registration surfaces",
         _if("(event in ('registration_failed', 'deadline_passed') and before.state == State.REGISTERING)",
             "failure and does('undo_registrations') and state == State.DRAINING")),
    edge("I09", "a consumer that is too slow surfaces, where that was asked for, and its session stays",
         _if(_on("queue_overflowed", states=_LIVE),
             "failure and then == Then.FAIL and state == State.DRAINING and session == before.session")),
    edge("I09", "a failure is never forgotten", "failure >= before.failure"),
    # I10
    always("I10", "a session and its sequence come and go together", "(session > 0) == received"),
    always("I10", "resuming and ready hold a session", f"session > 0 or not ({_in((State.RESUMING, State.READY))})"),
    always("I10", "who identifies holds none",
           f"session == 0 or not ({_in((State.AWAITING_IDENTIFY_SLOT, State.IDENTIFIED, State.STOPPED))})"),
    edge("I10", "what ends a session drops it", _if(f"({_ENDS_SESSION})", "session == 0 and received == 0")),
    edge("I10", "nothing else drops a session",
         f"before.session == 0 or session > 0 or {_ENDS_SESSION} or {_FAILED_RESUME} or {_HELLO_STALL}"),
    edge("I10", "failed resumes drop a session only when there were too many",
         f"before.session == 0 or session > 0 or {_ENDS_SESSION} or not {_FAILED_RESUME} or "
         "(failed_resumes >= settings.max_failed_resumes and not before.progressed)"),
    edge("I10", "too many failed resumes drop the session",
         _if(f"({_FAILED_RESUME} and failed_resumes > before.failed_resumes and "
             "failed_resumes >= settings.max_failed_resumes)", "session == 0")),
    edge("I10", "HELLO stalls drop a session only when there were too many",
         f"before.session == 0 or session > 0 or {_ENDS_SESSION} or not {_HELLO_STALL} or "
         "stalls >= settings.hello_stalls_to_drop_session"),
    edge("I10", "too many HELLO stalls drop the session",
         _if(f"({_HELLO_STALL} and not before.paused and stalls >= settings.hello_stalls_to_drop_session)",
             "session == 0")),
    edge("I10", "the second HELLO stall forgets the resume URL",
         _if(f"({_HELLO_STALL} and not before.paused and stalls == settings.hello_stalls_to_forget_url)",
             "session < 2")),
    edge("I10", "a session is replaced whole, by READY",
         f"session <= before.session or {_on('ready', states=(State.IDENTIFIED, State.RESUMING, State.READY))}"),
    edge("I10", "READY begins a session",
         _if(_on("ready", states=(State.IDENTIFIED, State.RESUMING, State.READY)),
             "session == 1 + event.has_url and received and been_ready and updated('begin_session')")),
    edge("I10", "the resume URL is forgotten after repeated failures only, or HELLO stalls",
         f"not (before.session == 2 and session == 1) or {_HELLO_STALL} or event == 'ready' or "
         "(before.state == State.CONNECTING and before.connect_failures + 1 >= "
         "settings.connect_failures_to_forget_url)"),
    edge("I10", "a resume URL that fails repeatedly is forgotten",
         _if("(before.state == State.CONNECTING and (event == 'deadline_passed' or (event == 'connect_failed' and "
             "not event.stale)) and before.session == 2)",
             "session == (1 if before.connect_failures + 1 >= settings.connect_failures_to_forget_url else 2)")),
    edge("I10", "connect failures in a row are counted, up to the URL that is forgotten",
         _if("(before.state == State.CONNECTING and (event == 'deadline_passed' or (event == 'connect_failed' and "
             "not event.stale)) and session == before.session)",
             "connect_failures == min(before.connect_failures + 1, settings.connect_failures_to_forget_url)")),
    edge("I10", "HELLO proves the URL",
         _if(_on("hello", states=(State.AWAITING_HELLO,)), "connect_failures == 0 and progressed == 0")),
    edge("I10", "connect failures are forgiven by HELLO, fresh metadata and a new URL only",
         f"connect_failures >= before.connect_failures or {_on('hello')} or event == 'metadata_fetched' or "
         "session < before.session or before.state == State.CONNECTING or "
         f"{_HELLO_STALL}"),
    edge("I10", "a resume without progress that is left counts as failed; the user's leaving does not",
         _if(f"({_FAILED_RESUME} and state != State.READY and session > 0 and event in "
             "('closed', 'deadline_passed', 'reconnect_requested', 'session_invalidated', 'protocol_violation', "
             "'write_blocked', 'heartbeat_due') and not before.paused)",
             "failed_resumes == min(before.failed_resumes + (not before.progressed), settings.max_failed_resumes) "
             "or (event == 'closed' and event.close == CloseKind.FATAL) or state == State.FAILED "
             "or (event == 'heartbeat_due' and state == State.DRAINING)")),
    edge("I10", "failed resumes are counted in `resuming` only, and never for the user or a paused reader",
         f"failed_resumes <= before.failed_resumes or ({_FAILED_RESUME} and event not in "
         "('reconnect', 'suspend', 'stop', 'force_identify') and not (before.paused and event == 'deadline_passed'))"),
    edge("I10", "a replay that moves is progress",
         _if(_on("dispatched", states=(State.RESUMING,), also="event.advances"),
             "progressed and assigned('deadline')")),
    # I11
    edge("I11", "stalls and failed resumes are forgiven by READY and RESUMED only",
         "(stalls >= before.stalls and failed_resumes >= before.failed_resumes) or event in ('ready', 'resumed')"),
    edge("I11", "READY and RESUMED forgive stalls and failed resumes",
         _if("(moves and state == State.READY)", "stalls == 0 and failed_resumes == 0 and been_ready")),
    edge("I11", "attempts are forgiven by the first ACK of a scheduled beat in ready only, or refunded by the gate",
         "attempts >= before.attempts or (event == 'slot_unavailable' and attempts == before.attempts - 1) or "
         f"{_on('heartbeat_acked', states=(State.READY,), also='not before.acked and before.proving')}"),
    edge("I11", "that ACK forgives them",
         _if(_on("heartbeat_acked", states=(State.READY,), also="not before.acked and before.proving"),
             "attempts == 0 and updated('prove_session')")),
    edge("I11", "nothing else proves a session",
         _if("updated('prove_session')",
             _on("heartbeat_acked", states=(State.READY,), also="not before.acked and before.proving"))),
    edge("I11", "each socket is an attempt",
         _if("does('open_socket')", "attempts == min(before.attempts + 1, settings.max_attempts)")),
    edge("I11", "attempts are counted by opening a socket only", "attempts <= before.attempts or does('open_socket')"),
    edge("I11", "HELLO stalls are counted, unless our own reader was held back",
         "stalls == before.stalls or event in ('ready', 'resumed') or "
         f"({_HELLO_STALL} and stalls == min(before.stalls + 1, settings.hello_stalls_to_drop_session) and not "
         f"before.paused)"),
    edge("I11", "a HELLO stall is counted",
         _if(f"({_HELLO_STALL} and not before.paused)",
             "stalls == min(before.stalls + 1, settings.hello_stalls_to_drop_session)")),
    edge("I11", "a refusal of the gate is no attempt",
         _if(_on("slot_unavailable", states=(State.AWAITING_IDENTIFY_SLOT,)),
             "attempts == max(before.attempts - 1, 0) or before.attempts == attempts == settings.max_attempts")),
    edge("I11", "every IDENTIFY is counted, and nothing else is",
         "does('send_identify') == updated('note_identify')"),
    # I12
    edge("I12", "a grant is used in the same step, or given back",
         _if("(event == 'slot_granted')", "effects == 1 and (does('send_identify') or does('return_slot'))")),
    edge("I12", "a slot that was waited for is used",
         _if(_on("slot_granted", states=(State.AWAITING_IDENTIFY_SLOT,)),
             "does('send_identify') and state == State.IDENTIFIED")),
    always("I12", "a slot is asked for while it is waited for, and taken back when the wait ends",
           "(slot == Slot.ASKED) == (state == State.AWAITING_IDENTIFY_SLOT)"),
    edge("I12", "nobody takes back what nobody asked for", _if("does('withdraw_slot')", "before.slot == Slot.ASKED or "
         "event == 'slot_unavailable'")),
    edge("I12", "a refused slot leaves the socket until the gate allows another",
         _if(_on("slot_unavailable", states=(State.AWAITING_IDENTIFY_SLOT,)),
             "state == State.DRAINING and assigned('not_before')")),
    edge("I12", "a place in the queue extends the wait",
         _if(_on("slot_queued", states=(State.AWAITING_IDENTIFY_SLOT,)), "assigned('deadline')")),
    # I13
    always("I13", "the timers are those that the state declares",
           f"deadline == ({_in(_TIMED)}) and cap == ({_in(_CAPPED)}) and beat_at == ({_in(HEARTBEAT_STATES)})"),
    edge("I13", "a deadline moves only where that is declared",
         "moves or not assigned('deadline') or "
         f"{_on('slot_queued', states=(State.AWAITING_IDENTIFY_SLOT,))} or "
         f"{_on('dispatched', states=(State.RESUMING,))} "
         f"or {_on('deadline_passed', states=(State.IDENTIFIED, State.RESUMING))}"),
    edge("I13", "HELLO arms the heartbeat, a beat arms the next, and nothing else does",
         f"assigned('beat_at') == ({_on('hello', states=(State.AWAITING_HELLO,))} or "
         "(event == 'heartbeat_due' and not moves))"),
    edge("I13", "a new connection begins with no beat outstanding",
         _if(_on("hello", states=(State.AWAITING_HELLO,)), "acked and not proving and not acked_at")),
    # I14
    edge("I14", "what was begun is undone, once",
         "does('undo_registrations') == (moves and before.state == State.REGISTERING and state == State.DRAINING)"),
    edge("I14", "what is undone is not waited for any longer",
         _if("(event == 'registration_undone' and before.state == State.DRAINING)",
             "moves == (not before.registered)")),
    always("I14", "an answer to the undoing is waited for in draining", f"registered or not ({_in((State.STALLED,))})"),
    # I15
    edge("I15", "connect() wakes a back-off or comes back, and does nothing else anywhere",
         _if("(event == 'connect')", "kind == 'take' and moves and "
             f"{_in((State.BACKING_OFF, State.SUSPENDED), 'before.state')} and "
             f"{_in((State.CONNECTING, State.FETCHING_METADATA, State.REGISTERING))}")),
    edge("I15", "reconnect() leaves the socket with the session kept, or wakes a back-off",
         _if("(event == 'reconnect')", "kind == 'take' and moves and session == before.session and "
             f"((before.state == State.BACKING_OFF and {_in((State.CONNECTING, State.FETCHING_METADATA))}) or "
             f"({_in(_LIVE, 'before.state')} and state == State.DRAINING and then == Then.RETRY))")),
    edge("I15", "force_identify() drops the session or what it asks for is on its way",
         _if("(event == 'force_identify')", "session == 0 and (kind == 'take' or before.session == 0)")),
    edge("I15", "suspend() stays away, with the session",
         _if("(event == 'suspend')", "session == before.session and (state == State.SUSPENDED or "
             "(state == State.DRAINING and then == Then.SUSPEND))")),
    edge("I15", "stop() leads to the end",
         _if("(event == 'stop')", f"{_in(_OVER)} or (state == State.DRAINING and then in (Then.STOP, Then.FAIL))")),
    edge("I15", "a command that is ignored has what it asks for",
         _if(f"(event in {_names(events.COMMANDS)} and kind == 'ignore')",
             f"(event == 'stop' and ({_in(_OVER)} or then in (Then.STOP, Then.FAIL))) or "
             "(event == 'suspend' and (state == State.SUSPENDED or then == Then.SUSPEND)) or "
             "(event == 'force_identify' and state == State.CONNECTING and session == 0)")),
    edge("I15", "register() starts the shard",
         _if("(event == 'register')", "state == State.REGISTERING and before.state == State.IDLE and client")),
    edge("I15", "the user's word stands: draining for good is not turned back",
         _if("(before.state == State.DRAINING and before.then == Then.SUSPEND and event != 'stop')",
             f"{_in((State.DRAINING, State.SUSPENDED, State.FAILED))} and "
             "(state != State.DRAINING or then == Then.SUSPEND)")),
    edge("I15", "what comes after draining is what it says", _if(
        "(before.state == State.DRAINING and moves and state != State.FAILED)",
        "state == (State.BACKING_OFF if before.then == Then.RETRY else State.SUSPENDED if before.then == Then.SUSPEND "
        "else State.STOPPED)")),
    edge("I15", "draining fails for a fatal code, or when it was to fail", _if(
        "(before.state == State.DRAINING and state == State.FAILED)", "before.then == Then.FAIL or event == 'closed'")),
    # I17
    edge("I17", "every dispatch of the connection is delivered in the step that saw it, and nothing else is",
         f"does('deliver') == ({_on('dispatched', states=(State.IDENTIFIED, State.RESUMING, State.READY))} or "
         f"{_on('ready', states=(State.IDENTIFIED, State.RESUMING, State.READY))} or "
         f"{_on('resumed', states=(State.RESUMING, State.READY))})"),
    edge("I17", "a dispatch with a higher sequence moves it, a lower one does not",
         _if(_on("dispatched", states=(State.RESUMING, State.READY)),
             "assigned('received') == (event.advances == 1)")),
    edge("I17", "RESUMED counts with its sequence",
         _if(_on("resumed", states=(State.RESUMING, State.READY)), "updated('raise_sequence')")),
    edge("I17", "a sequence moves by dispatches only",
         "not assigned('received') or event in ('dispatched', 'ready', 'resumed') or session == 0 or "
         "session == before.session"),
    # I18: the delay is computed from the cause, the attempts and the floor; the figures are checked on the core.
    _leads("DROPPED", "closed", _LIVE, also="event.close == CloseKind.RESUMABLE"),
    _leads("RATE_LIMITED", "closed", (*_LIVE, State.STALLED), also="event.close == CloseKind.RATE_LIMITED"),
    _leads("SESSION_ENDED", "closed", (*_LIVE, State.STALLED), also="event.close == CloseKind.NEW_SESSION"),
    _leads("RECONNECT_REQUESTED", "reconnect_requested", _LIVE),
    _leads("INVALID_SESSION", "session_invalidated", _LIVE),
    _leads("VIOLATION", "protocol_violation", _LIVE),
    _leads("WRITE_BLOCKED", "write_blocked", _LIVE),
    _leads("CONNECT_FAILED", "connect_failed", (State.CONNECTING,)),
    _leads("GATE", "slot_unavailable", (State.AWAITING_IDENTIFY_SLOT,)),
    _leads("STALLED", "deadline_passed", (State.CONNECTING, *_LIVE), also="(state == State.STALLED)"),
    _leads("READING_PAUSED", "deadline_passed", _LIVE, also="state == State.DRAINING"),
    _leads("ZOMBIE", "heartbeat_due", _LIVE, also="state == State.STALLED"),
    _leads("READING_PAUSED", "heartbeat_due", _LIVE, also="state == State.DRAINING"),
    _leads("COMMAND", "reconnect", _LIVE),
    _leads("QUEUE_OVERFLOWED", "queue_overflowed", _LIVE),
    edge("I18", "the user's leaving is told as the user's",
         _if("(event in ('stop', 'suspend', 'force_identify') and kind == 'take' and state == State.DRAINING and "
             "not (event == 'force_identify' and before.state == State.DRAINING))", "cause == Cause.COMMAND")),
    edge("I18", "a failed registration is told as one",
         _if("(event in ('registration_failed', 'deadline_passed') and before.state == State.REGISTERING)",
             "cause == Cause.REGISTRATION")),
    edge("I18", "opcode 9 and 4008 set a floor for the delay",
         _if(f"({_on('session_invalidated', states=_LIVE)} or "
             f"{_on('closed', states=_LIVE, also='event.close == CloseKind.RATE_LIMITED')})",
                 "assigned('not_before')")),
    edge("I18", "4008 sets its floor while the socket is being left, too",
         _if(f"({_on('closed', states=_LEAVING, also='event.close == CloseKind.RATE_LIMITED')} and "
             "state == State.BACKING_OFF)", "assigned('not_before') and cause == Cause.RATE_LIMITED")),
    edge("I18", "a cause changes by what ends a connection only",
         _if("(before.state == State.BACKING_OFF and state == State.BACKING_OFF)", "cause == before.cause")),
    edge("I18", "a stall says in which phase it happened",
         _if("(moves and state == State.STALLED)", "assigned('stalled_in')")),
    edge("I18", "an attempt cap that was asked for is kept, and no other is",
         _if("(before.state == State.BACKING_OFF and event == 'deadline_passed')",
             "(state == State.FAILED) == (capped and before.attempts >= settings.max_attempts)")),
    edge("I18", "a wait ends in an attempt",
         _if("(before.state == State.BACKING_OFF and event in ('deadline_passed', 'connect', 'reconnect', "
             "'force_identify'))", f"{_in((State.CONNECTING, State.FETCHING_METADATA, State.FAILED))}")),
    edge("I18", "the main URL is looked up when it is wanted and unknown, and only then",
         _if("(event in ('deadline_passed', 'connect', 'reconnect', 'force_identify') and state != State.FAILED and "
             "(before.state == State.BACKING_OFF or (before.state == State.SUSPENDED and before.registered)))",
             "(state == State.FETCHING_METADATA) == (session < 2 and (not before.metadata or before.fallback or "
             "before.connect_failures >= settings.connect_failures_to_forget_url))")),
    # Metadata (P01, P08, F05).
    edge("F05", "metadata are fetched when that state is entered, or again after a passing failure",
         "does('fetch_metadata') == ((moves and state == State.FETCHING_METADATA) or (event == 'metadata_failed' and "
         "before.state == State.FETCHING_METADATA and not event.late and event.error != MetadataError.FATAL))"),
    edge("F05", "every new request has its own number, and every repetition waits longer",
         _if("does('fetch_metadata')", "assigned('request') if moves else assigned('fetch_delay')")),
    always("F05", "metadata are awaited in `fetching_metadata` and nowhere else",
           "fetching == (state == State.FETCHING_METADATA)"),
    edge("F05", "fresh metadata replace the old",
         _if("(event == 'metadata_fetched' and before.state == State.FETCHING_METADATA and not event.late)",
             "metadata and not fallback and connect_failures == 0 and state == State.CONNECTING")),
    edge("F05", "without metadata the cached URL serves, or the fallback",
         _if("(event == 'deadline_passed' and before.state == State.FETCHING_METADATA)",
             "fallback == (not before.metadata) and state == State.CONNECTING and does('cancel_metadata')")),
    edge("F05", "a registered shard asks for metadata first, unless it has a session to resume",
         _if("(event == 'registered' and before.state == State.REGISTERING)",
             "state == (State.CONNECTING if before.session > 0 else State.FETCHING_METADATA)")),
    # I20
    edge("I20", "a beat that the server asks for is sent at once and changes nothing else",
         _if("(event == 'heartbeat_requested')",
             "not moves and updates == 0 and effects == does('send_heartbeat') and "
             f"does('send_heartbeat') == ({_in(_LIVE, 'before.state')} and event.stale == 0)")),
    edge("I20", "a heartbeat that is due is sent, and judged by the next one",
         _if("(event == 'heartbeat_due' and state == before.state)",
             "does('send_heartbeat') and effects == 1 and not acked and proving == (state == State.READY) and "
             "paused_since_beat == before.paused and "
             "paused_beats == (min(before.paused_beats + 1, settings.max_paused_beats) if before.paused else 0)")),
    edge("I20", "a live connection is no zombie",
         _if("(event == 'heartbeat_due' and (before.acked or before.paused_since_beat))", "state != State.STALLED")),
    edge("I20", "an ACK is believed",
         _if(_on("heartbeat_acked", states=HEARTBEAT_STATES), "acked and acked_at and not moves and effects == 0")),
    edge("I20", "heartbeats are sent when due or asked for, only",
         _if("does('send_heartbeat')", "event in ('heartbeat_due', 'heartbeat_requested')")),
    edge("I20", "only a beat forgets an ACK, only an ACK or HELLO brings one",
         f"not ({_in(HEARTBEAT_STATES, 'before.state')} and {_in(HEARTBEAT_STATES)}) or acked == before.acked or "
         "event == ('heartbeat_acked' if acked else 'heartbeat_due')"),
    # I21
    edge("I21", "1000 ends a session only for stop() and force_identify(), with the session gone",
         _if("does('close_ending_session')", "session == 0 and event in ('stop', 'force_identify')")),
    edge("I21", "a live socket is stopped with 1000",
         _if(f"(event in ('stop', 'force_identify') and {_in(_LIVE, 'before.state')})",
             "does('close_ending_session')")),
    edge("I21", "one close frame a connection", _if("(does('close_ending_session') or does('close_keeping_session'))",
         "before.closing == 0 and not (does('close_ending_session') and does('close_keeping_session'))")),
    edge("I21", "a socket that is left by choice is closed or aborted",
         _if(f"({_LEFT} and event != 'closed')",
             "does('close_ending_session') or does('close_keeping_session') or does('abort_socket')")),
    edge("I21", "a handshake, and a stream that cannot be written, are aborted and not closed",
         _if(f"((before.state == State.CONNECTING and {_in(_LEAVING)}) or (event == 'write_blocked' and {_CURRENT}))",
             "does('abort_socket') and not does('close_keeping_session') and not does('close_ending_session')")),
    edge("I21", "a close frame that could leave is not cut off",
         _if("does('abort_socket')", "before.state == State.CONNECTING or event in ('deadline_passed', "
             "'close_flushed', 'write_blocked')")),
    edge("I21", "a flushed close that keeps the session needs no farewell; a final one waits for it",
         _if(_on("close_flushed", states=(State.DRAINING,)),
             "does('abort_socket') == (before.then != Then.STOP) and moves == (before.then != Then.STOP)")),
    # I23
    always("I23", "who holds the reader back is remembered until the next beat",
           f"paused_since_beat or not paused or not ({_in(_LIVE)})"),
    edge("I23", "a paused reader makes no zombie and no stall",
         _if("(event == 'deadline_passed' and before.paused and "
             f"{_in((State.AWAITING_HELLO, State.IDENTIFIED, State.RESUMING), 'before.state')})",
             "state != State.STALLED")),
    edge("I23", "a reader that is held back for too long ends the connection, with the session kept",
         _if("(event == 'heartbeat_due' and before.paused and (before.acked or before.paused_since_beat))",
             "(state == State.DRAINING) == (before.paused_beats >= settings.max_paused_beats) and "
             "session == before.session")),
    edge("I23", "pausing and resuming are remembered",
         _if(f"(event in ('reading_paused', 'reading_resumed') and {_in(_LIVE, 'before.state')} and not event.stale)",
             "paused == (event == 'reading_paused') and paused_beats == 0 and not moves and "
             "paused_since_beat >= before.paused_since_beat and paused_since_beat >= paused")),
    edge("I23", "a new connection is read", _if("does('open_socket')", "not paused and not paused_since_beat")),
    # Where the events that end a phase lead.
    edge("F28", "a socket that is gone is not waited for",
         _if(f"({_on('closed', states=(*_LIVE, *_LEAVING))} or {_on('aborted', states=_LEAVING)} or "
             f"{_on('connect_failed', states=(State.CONNECTING, *_LEAVING))})",
             f"{_in((State.BACKING_OFF, State.SUSPENDED, *_OVER))}")),
    edge("F28", "what is lost is tried again",
         _if(f"({_on('closed', states=(*_LIVE, State.STALLED))} or {_on('aborted', states=(State.STALLED,))} or "
             f"{_on('connect_failed', states=(State.CONNECTING, State.STALLED))})",
             "state == State.BACKING_OFF or (event == 'closed' and event.close == CloseKind.FATAL)")),
    edge("F28", "a dark peer is aborted and left",
         _if("(event == 'deadline_passed' and before.state == State.STALLED)",
             "state == State.BACKING_OFF and does('abort_socket')")),
    edge("F28", "draining ends at its deadline",
         _if("(event == 'deadline_passed' and before.state == State.DRAINING)",
             "moves and does('abort_socket') == before.registered")),
    edge("F28", "opening leads to HELLO",
             _if(_on("opened", states=(State.CONNECTING,)), "state == State.AWAITING_HELLO")),
    edge("F28", "a silence ends in a stall, and then in another attempt",
         _if(f"(event == 'deadline_passed' and {_in((State.CONNECTING, *_LIVE), 'before.state')} and moves)",
             "state == (State.DRAINING if before.paused and before.state in (State.AWAITING_HELLO, "
             "State.IDENTIFIED, State.RESUMING) "
             "else State.STALLED)")),
    edge("F33", "what the server asks for ends the connection, kindly",
         _if(f"({_on('reconnect_requested', states=_LIVE)} or {_on('session_invalidated', states=_LIVE)} or "
             f"{_on('protocol_violation', states=_LIVE)})", "state == State.DRAINING and then == Then.RETRY")),
    edge("F33", "a blocked write ends the connection",
         _if(_on("write_blocked", states=_LIVE), "state == State.STALLED")),
    # Without these, what is always true might be true of nothing.
    *(sometimes("seen", f"`{state.value}` is reached", f"state == State.{state.name}") for state in State),
    sometimes("seen", "a resume that moved", "progressed and state == State.RESUMING"),
    sometimes("seen", "the server forgets a session that we hold",
             "not kept and session == 2 and state == State.RESUMING"),
    sometimes("seen", "a half-open connection looks ready", "state == State.READY and link == Link.DARK"),
    sometimes("seen", "a zombie is possible", "state == State.READY and not acked and link == Link.DARK"),
    sometimes("seen", "a reader is held back over a beat", "paused_beats > 0 and held"),
    sometimes("seen", "the fallback URL serves", "fallback and state == State.READY"),
    sometimes("seen", "a session without a URL lives", "session == 1 and state == State.READY"),
    sometimes("seen", "a withdrawn slot may still be granted", "slot == Slot.WITHDRAWN and state == State.BACKING_OFF"),
    sometimes("seen", "a second connection is ready", "gen > 1 and state == State.READY"),
    # Liveness.
    eventually("live", "every run ends in ready, suspended, stopped or failed, once faults stop",
               "state in (State.READY, State.SUSPENDED, State.STOPPED, State.FAILED) or (state == State.IDLE)"),
)  # fmt: skip

WHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "I16": "sends are queued above the machine: L5, `tests/transport/test_outbox.py`",
        "I19": "one shard is explored at a time: L5 and the tests of the fleet",
        "I22": "the abstraction holds no text at all: `tests/transport/test_shard_secrets.py`",
    }
)
"""Invariants that no property states, each with where it is proved instead."""
