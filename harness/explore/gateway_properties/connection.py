"""One connection: its socket, its handshake, events that come too late, closing it, and where its end leads."""

from __future__ import annotations

from typing import Final

from gatewright.harness.explore.gateway_properties.phrases import (
    CONNECTION_EVENTS,
    CURRENT,
    LEAVING,
    LIVE,
    OVER,
    implies,
    names,
    on,
    within,
)
from gatewright.harness.explore.properties import Property, always, edge
from gatewright.spec import events
from gatewright.spec.states import SOCKET_STATES, State

_LEFT: Final = f"({within((State.CONNECTING, *LIVE), 'before.state')} and {within(LEAVING)})"

CONNECTION: Final[tuple[Property, ...]] = (
    always("I01", "a socket is there only in states that may have one",
           f"link == Link.NONE or aborting or {within(SOCKET_STATES)}"),
    edge("I01", "a socket is opened only when there is none",
         implies("does('open_socket')", "before.link == Link.NONE or before.aborting")),
    edge("I01", "a socket is opened by entering `connecting`, with a new generation, and in no other way",
         "does('open_socket') == assigned('gen') and does('open_socket') == (moves and "
         f"{within((State.CONNECTING,))})"),
    always("I01", "live states have a socket",
           f"not ({within(LIVE)}) or ((link == Link.OPEN or link == Link.DARK) and not aborting)"),
    always("I01", "connecting has a socket that is being opened",
           "state != State.CONNECTING or (link == Link.OPENING and not aborting)"),
    always("I02", "RESUME and IDENTIFY come after this connection's HELLO, once", "handshakes <= greeted"),
    always("I02", "a client is bound before a socket is opened", "client or link == Link.NONE"),
    always("I02", "a live state has a generation", f"gen > 0 or not ({within(LIVE)})"),
    edge("I02", "RESUME is sent on HELLO only", implies("does('send_resume')",
             on("hello", states=(State.AWAITING_HELLO,)))),
    edge("I02", "IDENTIFY is sent on a grant only",
         implies("does('send_identify')", on("slot_granted", states=(State.AWAITING_IDENTIFY_SLOT,)))),
    edge("I02", "the handshake follows HELLO: RESUME with a session, else the slot is asked for",
         implies(on("hello", states=(State.AWAITING_HELLO,)),
             "(does('send_resume') and not does('request_slot') and state == State.RESUMING) if before.session "
             "> 0 else "
             "(does('request_slot') and not does('send_resume') and state == State.AWAITING_IDENTIFY_SLOT)")),
    always("I02", "resuming and ready mean that a handshake was sent",
           f"not ({within((State.IDENTIFIED, State.RESUMING, State.READY))}) or handshakes == 1"),
    edge("I06", "an event of an old connection changes nothing; a slot that it grants goes back",
         f"event not in {CONNECTION_EVENTS} or {CURRENT} or "
         "(not moves and updates == 0 and effects == (event == 'slot_granted') and "
         "does('return_slot') == (event == 'slot_granted'))"),
    edge("I06", "an answer to a metadata request that was given up changes nothing",
         implies("(event in ('metadata_fetched', 'metadata_failed') and "
             "(before.state != State.FETCHING_METADATA or event.late))",
                 "not moves and updates == 0 and effects == 0")),
    edge("I06", "void frames of a socket that is being left change nothing",
         implies(f"(event in {names(events.MESSAGES)} and {within(LEAVING, 'before.state')})",
             "not moves and updates == 0 and effects == 0")),
    edge("I06", "registrations that end late change nothing",
         implies("(event in ('registered', 'registration_failed') and before.state != State.REGISTERING)",
             "not moves and updates == 0 and effects == 0")),
    always("I07", "no live state is shown while its socket is being closed",
           f"not ({within((State.CONNECTING, *LIVE))}) or (closing == 0 and not aborting)"),
    always("I07", "ready means that READY or RESUMED was said", "state != State.READY or session > 0"),
    edge("I07", "ready is entered by READY and RESUMED only",
         implies("(moves and state == State.READY)",
             f"{on('ready', states=(State.IDENTIFIED, State.RESUMING))} or "
             f"{on('resumed', states=(State.RESUMING,))}")),
    edge("I07", "READY and RESUMED that were waited for are believed",
         implies(f"({on('ready', states=(State.IDENTIFIED, State.RESUMING))} or "
             f"{on('resumed', states=(State.RESUMING,))})", "state == State.READY")),
    edge("I07", "the loss of `ready` is noted when it happens, and at no other time",
         "updated('note_not_ready') == (before.state == State.READY and moves and state != State.READY)"),
    edge("I21", "1000 ends a session only for stop() and force_identify(), with the session gone",
         implies("does('close_ending_session')", "session == 0 and event in ('stop', 'force_identify')")),
    edge("I21", "a live socket is stopped with 1000",
         implies(f"(event in ('stop', 'force_identify') and {within(LIVE, 'before.state')})",
             "does('close_ending_session')")),
    edge("I21", "one close frame a connection",
         implies("(does('close_ending_session') or does('close_keeping_session'))",
         "before.closing == 0 and not (does('close_ending_session') and does('close_keeping_session'))")),
    edge("I21", "a socket that is left by choice is closed or aborted",
         implies(f"({_LEFT} and event != 'closed')",
             "does('close_ending_session') or does('close_keeping_session') or does('abort_socket')")),
    edge("I21", "a handshake, and a stream that cannot be written, are aborted and not closed",
         implies(f"((before.state == State.CONNECTING and {within(LEAVING)}) or "
             f"(event == 'write_blocked' and {CURRENT}))",
             "does('abort_socket') and not does('close_keeping_session') and not does('close_ending_session')")),
    edge("I21", "a close frame that could leave is not cut off",
         implies("does('abort_socket')", "before.state == State.CONNECTING or event in ('deadline_passed', "
             "'close_flushed', 'write_blocked')")),
    edge("I21", "a flushed close that keeps the session needs no farewell; a final one waits for it",
         implies(on("close_flushed", states=(State.DRAINING,)),
             "does('abort_socket') == (before.then != Then.STOP) and moves == (before.then != Then.STOP)")),
    # Where the events that end a phase lead.
    edge("F28", "a socket that is gone is not waited for",
         implies(f"({on('closed', states=(*LIVE, *LEAVING))} or {on('aborted', states=LEAVING)} or "
             f"{on('connect_failed', states=(State.CONNECTING, *LEAVING))})",
             f"{within((State.BACKING_OFF, State.SUSPENDED, *OVER))}")),
    edge("F28", "what is lost is tried again",
         implies(f"({on('closed', states=(*LIVE, State.STALLED))} or {on('aborted', states=(State.STALLED,))} or "
             f"{on('connect_failed', states=(State.CONNECTING, State.STALLED))})",
             "state == State.BACKING_OFF or (event == 'closed' and event.close == CloseKind.FATAL)")),
    edge("F28", "a dark peer is aborted and left",
         implies("(event == 'deadline_passed' and before.state == State.STALLED)",
             "state == State.BACKING_OFF and does('abort_socket')")),
    edge("F28", "draining ends at its deadline",
         implies("(event == 'deadline_passed' and before.state == State.DRAINING)",
             "moves and does('abort_socket') == before.registered")),
    edge("F28", "opening leads to HELLO",
             implies(on("opened", states=(State.CONNECTING,)), "state == State.AWAITING_HELLO")),
    edge("F28", "a silence ends in a stall, and then in another attempt",
         implies(f"(event == 'deadline_passed' and {within((State.CONNECTING, *LIVE), 'before.state')} and moves)",
             "state == (State.DRAINING if before.paused and before.state in (State.AWAITING_HELLO, "
             "State.IDENTIFIED, State.RESUMING) "
             "else State.STALLED)")),
    edge("F33", "what the server asks for ends the connection, kindly",
         implies(f"({on('reconnect_requested', states=LIVE)} or {on('session_invalidated', states=LIVE)} or "
             f"{on('protocol_violation', states=LIVE)})", "state == State.DRAINING and then == Then.RETRY")),
    edge("F33", "a blocked write ends the connection",
         implies(on("write_blocked", states=LIVE), "state == State.STALLED")),
)  # fmt: skip
