"""The monitor notices what a wrong table does to sessions, sequences, failures and requests."""

import attrs
import pytest

from gatewright.harness.monitor import InvariantViolated
from gatewright.harness.walks import Walk
from gatewright.spec.context import Context
from gatewright.spec.effects import CloseEndingSession, CloseKeepingSession, Deliver
from gatewright.spec.events import (
    Closed,
    ConnectFailed,
    Dispatched,
    Hello,
    Reconnect,
    ReconnectRequested,
    Resumed,
    SessionInvalidated,
    Stop,
    UnknownMessage,
)
from gatewright.spec.rows import RowKind
from gatewright.spec.session import Session
from gatewright.spec.states import State
from gatewright.spec.step_rules import Step, only_ready_begins_a_session
from gatewright.spec.table import TABLE
from tests.fsm.weak import caught, weak
from tests.support.tables import SHIPPED


def lost(walk: Walk, state: State) -> Walk:
    """Loses the socket, and comes to `state` with the session."""
    walk.must(Closed(walk.gen))
    walk.reach(state)
    return walk


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_a_session_that_a_close_should_have_ended() -> None:
    walk = weak(SHIPPED.without_update("drop_session", "ready.closed.new_session"), State.READY)
    with caught("I10", "drop the session"):
        walk.feed(Closed(walk.gen, 4009))


def test_a_session_that_a_drop_ends() -> None:
    wrong = SHIPPED.with_updates(("drop_session", "cause_dropped"), "ready.closed.resumable")
    walk = weak(wrong, State.READY)
    with caught("I10", "Nothing else drops a session"):
        walk.feed(Closed(walk.gen))


def test_a_session_that_the_first_stall_ends() -> None:
    wrong = SHIPPED.with_updates(
        ("note_stalled_phase", "count_stall", "drop_session", "cause_stalled"), "awaiting_hello.deadline_passed.first"
    )
    walk = lost(weak(wrong, State.READY), State.AWAITING_HELLO)
    with caught("I10", "the session should be 'session 1', and is None"):
        walk.elapse()


def test_a_session_that_survives_its_third_failed_resume() -> None:
    walk = weak(SHIPPED.without_update("judge_resume", "resuming.closed.resumable"), State.READY)
    lost(walk, State.RESUMING)
    with caught("I11", "0 stalls and 1 failed resumes were seen"):
        walk.feed(Closed(walk.gen))


def test_a_resume_url_that_is_kept_although_it_fails() -> None:
    wrong = SHIPPED.without_update("forget_url", "connecting.connect_failed.forget_url")
    walk = lost(weak(wrong, State.READY), State.CONNECTING)
    walk.must(ConnectFailed(walk.gen))
    walk.elapse()
    with caught("I10", "the resume URL should be None"):
        walk.feed(ConnectFailed(walk.gen))


def test_a_session_that_begins_without_ready() -> None:
    session = Session(id="from nowhere", resume_url=None, seq=1)
    step = Step(Context(), Stop(), TABLE[0], (), Context(session=session, received=1))
    assert not only_ready_begins_a_session(step)


def test_a_session_that_changes_in_passing() -> None:
    session = Session(id="one", resume_url=None, seq=1)
    before = Context(session=session, received=1)
    step = Step(before, Stop(), TABLE[0], (), attrs.evolve(before, session=attrs.evolve(session, id="two")))
    assert not only_ready_begins_a_session(step)


def test_a_session_that_is_held_where_there_can_be_none() -> None:
    walk = weak(SHIPPED.unguarded("awaiting_hello.hello.identify"), State.READY)
    lost(walk, State.AWAITING_HELLO)
    with caught("I10", "not true of the context: session is None"):
        walk.feed(Hello(walk.gen, 40.0))


def test_stalls_that_hello_forgives() -> None:
    wrong = SHIPPED.with_updates(("start_heartbeat", "session_resumed"), "awaiting_hello.hello.identify")
    walk = weak(wrong, State.AWAITING_HELLO)
    walk.elapse()
    walk.reach(State.AWAITING_HELLO)
    with caught("I11", "READY and RESUMED alone reset stalls"):
        walk.feed(Hello(walk.gen, 40.0))


def test_a_stall_that_is_not_counted() -> None:
    walk = weak(SHIPPED.without_update("count_stall", "awaiting_hello.deadline_passed.first"), State.AWAITING_HELLO)
    with caught("I11", "1 stalls and 0 failed resumes were seen"):
        walk.elapse()


# -- closing -----------------------------------------------------------------------------------------------------------


def test_a_1000_that_kills_a_session_we_want_back() -> None:
    walk = weak(SHIPPED.with_effects((CloseEndingSession,), "ready.reconnect_requested"), State.READY)
    with caught("I21", "1000 is sent for `stop` and `force_identify` only"):
        walk.feed(ReconnectRequested(walk.gen))


def test_a_stop_that_leaves_the_bot_online() -> None:
    walk = weak(SHIPPED.with_effects((CloseKeepingSession,), "ready.stop"), State.READY)
    with caught("I21", "a live socket is stopped with it"):
        walk.feed(Stop())


def test_a_fatal_close_that_is_answered_by_a_reconnect() -> None:
    walk = weak(SHIPPED.retargeted(State.BACKING_OFF, "ready.closed.fatal"), State.READY)
    with caught("I08", "leads to `failed`"):
        walk.feed(Closed(walk.gen, 4004))


def test_a_failure_without_a_reason() -> None:
    walk = weak(SHIPPED.without_update("fail_close", "ready.closed.fatal"), State.READY)
    with caught("I09", "not true of the context: failure is not None"):
        walk.feed(Closed(walk.gen, 4004))


def test_a_floor_that_is_forgotten() -> None:
    wrong = SHIPPED.with_updates(
        ("drop_session", "leave_to_retry", "note_not_ready"), "ready.session_invalidated.final"
    )
    walk = weak(wrong, State.READY)
    walk.elapse()
    walk.behave()  # proven: no back-off of its own
    walk.must(SessionInvalidated(walk.gen, resumable=False))
    walk.must(Closed(walk.gen))
    with caught("I18", "attempt 1 comes at"):
        walk.elapse()


# -- sequences and dispatches ------------------------------------------------------------------------------------------


def test_a_sequence_that_goes_back() -> None:
    walk = weak(SHIPPED.with_updates(("advance",), "ready.dispatched.behind"), State.READY)
    walk.must(Dispatched(walk.gen, seq=9))
    with caught("I17", "the received sequence only grows"):
        walk.feed(Dispatched(walk.gen, seq=3))


def test_a_sequence_that_is_not_taken() -> None:
    walk = weak(SHIPPED.without_update("raise_sequence", "resuming.resumed"), State.READY)
    lost(walk, State.RESUMING)
    with caught("I17", "the received sequence should be 5, and is 1"):
        walk.feed(Resumed(walk.gen, seq=5))


def test_a_dispatch_that_is_lost() -> None:
    walk = weak(SHIPPED.without_effect(Deliver, "ready.dispatched.behind"), State.READY)
    with caught("I17", "Every dispatch of a session's connection is handed over once"):
        walk.feed(Dispatched(walk.gen, seq=0))


def test_a_dispatch_that_is_delivered_twice() -> None:
    walk = weak(SHIPPED.with_effects((Deliver, Deliver), "ready.dispatched.advances"), State.READY)
    with caught("I17", "Every dispatch of a session's connection is handed over once"):
        walk.feed(Dispatched(walk.gen, seq=2))


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_command_that_is_dropped_in_silence() -> None:
    wrong = SHIPPED.changed(
        "ready.reconnect",
        change=lambda row: attrs.evolve(row, kind=RowKind.IGNORE, target=None, updates=(), effects=()),
    )
    walk = weak(wrong, State.READY)
    with caught("I15", "A command does something"):
        walk.feed(Reconnect())


def test_a_message_that_is_refused() -> None:
    wrong = SHIPPED.changed("ready.unknown_message", change=lambda row: attrs.evolve(row, kind=RowKind.REFUSE))
    walk = weak(wrong, State.READY)
    with caught("I15", "unknown_message is no request, and is refused"):
        walk.feed(UnknownMessage(walk.gen))


def test_a_refusal_that_changed_something() -> None:
    walk = Walk()
    before = Context()
    with caught("I15", "a refusal changed the context"):
        walk.monitor.observe_refusal(before, Stop(), None, attrs.evolve(before, attempts=1))


# -- the report --------------------------------------------------------------------------------------------------------


def test_a_violation_names_the_invariant_and_tells_what_led_there() -> None:
    walk = weak(SHIPPED.retargeted(State.BACKING_OFF, "ready.closed.fatal"), State.READY)
    with pytest.raises(InvariantViolated) as violation:
        walk.feed(Closed(walk.gen, 4004))
    lines = str(violation.value).splitlines()
    assert lines[0].startswith("I08: A fatal close code")
    assert "idle -Register()-> registering  [apply_registrations]" in lines[2]
    assert "ready -Closed(gen=1, code=4004, reason='')-> backing_off" in lines[-1]


def test_a_journal_is_bounded() -> None:
    walk = weak(SHIPPED, State.READY)
    monitor = type(walk.monitor)(size=3)
    assert monitor.journal == ()
    assert monitor._journal.maxlen == 3
