"""Every update of the context, defined once: a name, and assignments in the table's language, made in order.

`why` says what the update stands for. A row lists the names; the runtimes make the assignments; nothing else writes
the context but entering a state, which arms its deadline (:mod:`gatewright.fsm`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs


@attrs.frozen
class Update:
    """Assignments ``field = expression``, in order."""

    name: str
    assigns: tuple[tuple[str, str], ...]
    why: str


def _update(name: str, why: str, **assigns: str) -> Update:
    return Update(name, tuple(assigns.items()), why)


def _cause(name: str, cause: str) -> Update:
    return _update(name, "The cause goes into status and into the delay (I18).", cause=cause)


def _failure(name: str, made_by: str) -> Update:
    return _update(name, "The first reason wins (I09).", failure=f"{made_by} if failure is None else failure")


_UPDATES: Final = (
    # Registration and metadata.
    _update("bind_client", "The client is known before anything else happens (R01).", client="event.client"),
    _update("note_registered", "The registration effects are in place (I05).", registered="True"),
    _update("begin_fetch", "A new request; answers to older ones are late.",
            request="request + 1", fetch_errors="0", fetch_delay="0.0"),
    _update("retry_fetch", "Ask again, later each time, and not before the server allows.",
            fetch_delay="fetch_backoff(fetch_errors, event.retry_after)", fetch_errors="fetch_errors + 1"),
    _update("keep_metadata", "Fresh metadata replaces the old, and the fallback with it.",
            metadata="new_metadata(event)", fallback="False", connect_failures="0"),
    _update("use_fallback", "Without metadata the cached URL serves, or the fallback (F05).",
            fallback="metadata is None"),
    # Connecting.
    _update("next_generation", "A socket is about to be opened: one more generation, one more attempt.",
            gen="gen + 1", attempts="attempts + 1", not_before="0.0", then="Then.RETRY", stalled_in="None",
            paused="False", paused_since_beat="False", paused_beats="0"),
    _update("count_connect_failure", "A URL that fails repeatedly is given up (P40).",
            connect_failures="connect_failures + 1"),
    _update("forget_url", "From now on the session resumes through the main URL (P40, A04).",
            session="without_url(session)", connect_failures="0"),
    _update("url_works", "HELLO came from this URL.", connect_failures="0"),
    _update("count_stall", "One more HELLO stall in a row (S05).", stalls="stalls + 1"),
    _update("note_stalled_phase", "A stall says in which phase it happened (R10).", stalled_in="state"),
    # The session.
    _update("drop_session", "A session is dropped whole (I10, R32).",
            session="None", received="None", progressed="False"),
    _update("begin_session", "READY begins a session, replaced whole; stalls and failed resumes are over (P31, I11).",
            session="new_session(event, settings)", received="event.seq", stalls="0", failed_resumes="0",
            been_ready="True"),
    _update("session_resumed", "RESUMED proves the session; stalls and failed resumes are over (I11).",
            stalls="0", failed_resumes="0", been_ready="True"),
    _update("advance", "The received sequence follows the dispatches (P42).", received="event.seq"),
    _update("raise_sequence", "RESUMED has a sequence of its own; a lower one moves nothing (A16).",
            received="event.seq if received is None else max(received, event.seq)"),
    _update("note_progress", "A replay that moves has the time-out of its state again, within the cap.",
            progressed="True",
            deadline="now + settings.resume_timeout if cap is None else min(now + settings.resume_timeout, cap)"),
    _update("wait_for_reader", "RESUMED may be among what is not read yet; the cap still holds (I23).",
            deadline="now + settings.resume_timeout if cap is None else min(now + settings.resume_timeout, cap)"),
    _update("begin_resume", "No progress yet.", progressed="False"),
    _update("judge_resume", "Left without RESUMED and without progress: a failed resume; too many drop the session.",
            failed_resumes="failed_resumes if progressed else failed_resumes + 1",
            session="None if failed_resumes >= settings.max_failed_resumes else session",
            received="None if session is None else received"),
    _update("note_identify", "IDENTIFYs that follow each other without success are spaced (P30).",
            identifies="identifies + 1", identified_at="now"),
    _update("refund_attempt", "A refusal of the gate is not an attempt.", attempts="max(attempts - 1, 0)"),
    _update("extend_patience", "While ACKs flow, wait as long again and once more, within the cap: 120 x 2^n (P20).",
            deadline="now + (now - entered_at) + settings.ready_timeout if cap is None else "
            "min(now + (now - entered_at) + settings.ready_timeout, cap)"),
    _update("await_slot", "The gate's estimate, and a grace, within the cap.",
            deadline="now + event.eta + settings.slot_timeout if cap is None else "
            "min(now + event.eta + settings.slot_timeout, cap)"),
    # The heartbeat region.
    _update("start_heartbeat", "Jitter spreads the first beats of many shards (P14).",
            interval="event.interval", beat_at="now + event.interval * roll", acked="True", proving="False",
            acked_at="None", beat_sent_at="None"),
    _update("issue_beat", "The verdict on this beat falls when the next one is due.",
            beat_at="now + interval", acked="False", proving="state == State.READY", beat_sent_at="now",
            paused_since_beat="paused", paused_beats="paused_beats + 1 if paused else 0"),
    _update("note_ack", "ACK age runs from the issue of the beat.",
            latency="latency if acked or beat_sent_at is None else now - beat_sent_at", acked_at="now", acked="True"),
    _update("prove_session", "Only a session that outlives a heartbeat is a success (I11).",
            attempts="0", identifies="0", proven="True", not_ready_since="None"),
    _update("note_not_ready", "Counted from the first loss: sessions that never outlive a heartbeat do not reset it.",
            not_ready_since="now if not_ready_since is None else not_ready_since"),
    _update("pause_reading", "What is not read cannot be acknowledged (I23).",
            paused="True", paused_since_beat="True", paused_beats="0"),
    _update("resume_reading", "The reader runs again.", paused="False", paused_beats="0"),
    # Leaving: the cause, and the floor that it sets.
    _update("leave_to_retry", "Then the next attempt.", then="Then.RETRY"),
    _update("leave_to_suspend", "Then stay away, with the session.", then="Then.SUSPEND"),
    _update("leave_to_stop", "Then the end.", then="Then.STOP"),
    _update("leave_to_fail", "Then the end, for the reason given.", then="Then.FAIL"),
    _cause("cause_dropped", "Cause.DROPPED"),
    _cause("cause_reconnect", "Cause.RECONNECT_REQUESTED"),
    _update("cause_invalid_session", "A random wait after opcode 9 (P48).", cause="Cause.INVALID_SESSION",
            not_before="max(not_before, now + invalid_session_wait(roll))"),
    _cause("cause_session_ended", "Cause.SESSION_ENDED"),
    _update("cause_rate_limited", "The send window must pass (P55).", cause="Cause.RATE_LIMITED",
            not_before="max(not_before, now + settings.rate_limit_wait)"),
    _cause("cause_connect_failed", "Cause.CONNECT_FAILED"),
    _cause("cause_stalled", "Cause.STALLED"),
    _cause("cause_zombie", "Cause.ZOMBIE"),
    _cause("cause_write_blocked", "Cause.WRITE_BLOCKED"),
    _cause("cause_paused", "Cause.READING_PAUSED"),
    _cause("cause_overflow", "Cause.QUEUE_OVERFLOWED"),
    _cause("cause_violation", "Cause.VIOLATION"),
    _update("cause_gate", "As long as the gate says.", cause="Cause.GATE",
            not_before="max(not_before, now + max(event.retry_after, settings.gate_retry))"),
    _update("cause_budget", "As long as the gate says; then the budget is asked for (P30).", cause="Cause.BUDGET",
            not_before="max(not_before, now + max(event.retry_after, settings.gate_retry))"),
    _cause("cause_command", "Cause.COMMAND"),
    _cause("cause_registration", "Cause.REGISTRATION"),
    # Failures: the first cause wins (I09).
    _failure("fail_close", "close_failure(event, settings, metadata)"),
    _failure("fail_metadata", "metadata_failure(event)"),
    _failure("fail_registration", "registration_failure(event)"),
    _failure("fail_registration_timeout", "registration_timeout(settings)"),
    _failure("fail_overflow", "consumer_too_slow()"),
    _failure("fail_attempts", "attempts_exhausted(attempts)"),
)  # fmt: skip

UPDATES: Final[Mapping[str, Update]] = MappingProxyType({update.name: update for update in _UPDATES})
