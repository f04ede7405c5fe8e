"""The monitor notices what a wrong table does to sockets, timers, slots and registrations."""

import attrs

from gatewright.harness.ghosts import Beats
from gatewright.harness.monitor import Pace
from gatewright.harness.walks import Walk
from gatewright.spec.context import Context
from gatewright.spec.effects import (
    AbortSocket,
    ApplyRegistrations,
    CloseEndingSession,
    CloseKeepingSession,
    OpenSocket,
    RequestSlot,
    ReturnSlot,
    SendHeartbeat,
    SendIdentify,
    UndoRegistrations,
    WithdrawSlot,
)
from gatewright.spec.events import (
    Closed,
    CloseFlushed,
    Connect,
    HeartbeatAcked,
    HeartbeatDue,
    HeartbeatRequested,
    Hello,
    MetadataFetched,
    ReadingPaused,
    ReconnectRequested,
    Registered,
    RegistrationUndone,
    SlotGranted,
    Stop,
    Suspend,
    UnknownMessage,
)
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.spec.step_rules import Step
from gatewright.spec.table import TABLE
from tests.fsm.weak import caught, weak
from tests.support.tables import SHIPPED, opening

# -- sockets -----------------------------------------------------------------------------------------------------------


def test_a_second_socket() -> None:
    walk = weak(opening(State.READY, Connect), State.READY)
    with caught("I01", "A socket is opened only from a state without one"):
        walk.feed(Connect())


def test_a_generation_that_begins_without_a_socket() -> None:
    walk = weak(SHIPPED.with_updates(("next_generation",), "ready.unknown_message"), State.READY)
    with caught("I01", "A socket is opened only from a state without one"):
        walk.feed(UnknownMessage(walk.gen))


def test_a_socket_that_is_left_without_an_abort() -> None:
    walk = weak(SHIPPED.without_effect(AbortSocket, "draining.close_flushed.retry"), State.READY)
    walk.must(ReconnectRequested(walk.gen))
    with caught("I01", "is left behind"):
        walk.feed(CloseFlushed(walk.gen))


def test_a_socket_that_outlives_the_shard() -> None:
    walk = weak(SHIPPED.without_effect(AbortSocket, "draining.deadline_passed.stop"), State.READY)
    walk.must(Stop())
    with caught("I04", "is left behind"):
        walk.elapse()


def test_a_close_of_a_socket_that_is_gone() -> None:
    walk = weak(SHIPPED.with_effects((CloseKeepingSession,), "backing_off.suspend"), State.READY)
    walk.must(Closed(walk.gen))
    with caught("I06", "a socket that is gone is closed"):
        walk.feed(Suspend())


def test_a_second_close_frame() -> None:
    walk = weak(SHIPPED.with_effects((CloseEndingSession,), "draining.stop"), State.READY)
    walk.must(ReconnectRequested(walk.gen))
    with caught("I21", "a second close frame"):
        walk.feed(Stop())


def test_a_heartbeat_on_a_socket_that_is_gone() -> None:
    wrong = SHIPPED.with_row(State.BACKING_OFF, HeartbeatDue, effects=(SendHeartbeat,))
    walk = weak(wrong, State.READY)
    walk.must(Closed(walk.gen))
    with caught("I06", "send_heartbeat on a socket that is gone"):
        walk.feed(HeartbeatDue())


def test_an_identify_without_a_grant() -> None:
    wrong = SHIPPED.with_row(State.IDENTIFIED, UnknownMessage, effects=(SendIdentify,))
    walk = weak(wrong, State.IDENTIFIED)
    with caught("I02", "IDENTIFY on its grant only"):
        walk.feed(UnknownMessage(walk.gen))


def test_a_second_handshake_on_one_connection() -> None:
    wrong = SHIPPED.retargeted(None, "awaiting_identify_slot.slot_granted")
    walk = weak(wrong, State.AWAITING_IDENTIFY_SLOT)
    walk.must(SlotGranted(walk.gen))
    with caught("I02", "second handshake"):
        walk.feed(SlotGranted(walk.gen))


def test_a_status_that_says_connected_while_the_socket_is_closed() -> None:
    walk = weak(SHIPPED.retargeted(None, "ready.reconnect_requested"), State.READY)
    with caught("I07", "is shown while its socket is being closed"):
        walk.feed(ReconnectRequested(walk.gen))


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_way_out_of_the_end() -> None:
    walk = weak(SHIPPED.with_row(State.STOPPED, Stop, target=State.IDLE), State.IDLE)
    walk.must(Stop())
    with caught("I04", "Nothing leaves `stopped` and `failed`"):
        walk.feed(Stop())


def test_a_stop_that_is_forgotten() -> None:
    walk = weak(SHIPPED.without_update("leave_to_stop", "draining.stop"), State.READY)
    walk.must(ReconnectRequested(walk.gen))
    walk.must(Stop())
    with caught("I04", "nothing ends the shard in time"):
        walk.elapse()


# -- generations -------------------------------------------------------------------------------------------------------


def test_an_event_of_an_older_generation_that_acts() -> None:
    walk = weak(SHIPPED.unguarded("awaiting_hello.closed.resumable"), State.AWAITING_HELLO)
    with caught("I06", "An event of an ended generation changes nothing"):
        walk.feed(Closed(walk.gen - 1))


def test_an_answer_that_was_given_up_and_acts() -> None:
    wrong = SHIPPED.with_row(State.CONNECTING, MetadataFetched, updates=("keep_metadata",))
    walk = weak(wrong, State.CONNECTING)
    with caught("I06", "An answer to a metadata request that was given up"):
        walk.feed(MetadataFetched(1, "wss://late.example/"))


def test_a_slot_that_nobody_granted_and_that_is_returned() -> None:
    wrong = SHIPPED.with_row(State.READY, UnknownMessage, effects=(ReturnSlot,))
    walk = weak(wrong, State.READY)
    with caught("I06", "names the generation that it was made under"):
        walk.feed(UnknownMessage(walk.gen))


# -- registrations -----------------------------------------------------------------------------------------------------


def test_a_connection_before_the_registrations_are_applied() -> None:
    walk = weak(SHIPPED.unguarded("suspended.connect.fetch"), State.REGISTERING)
    walk.must(Suspend())
    walk.must(RegistrationUndone())
    with caught("I05", "not true of the context"):
        walk.feed(Connect())


def test_registrations_that_are_applied_twice() -> None:
    walk = weak(SHIPPED.unguarded("suspended.connect.register"), State.READY)
    walk.must(Suspend())
    walk.reach(State.SUSPENDED)
    with caught("I05", "applied a second time"):
        walk.feed(Connect())


def test_registrations_that_are_not_undone() -> None:
    walk = weak(SHIPPED.without_effect(UndoRegistrations, "registering.stop"), State.REGISTERING)
    with caught("I14", "neither waited for nor undone"):
        walk.feed(Stop())


def test_an_undo_of_what_was_not_begun() -> None:
    walk = weak(SHIPPED.with_effects((UndoRegistrations,), "fetching_metadata.stop"), State.FETCHING_METADATA)
    with caught("I14", "what was not begun is undone"):
        walk.feed(Stop())


def test_registrations_that_are_never_applied() -> None:
    walk = weak(SHIPPED.without_effect(ApplyRegistrations, "idle.register"), State.REGISTERING)
    walk.outside.registration = None
    walk.must(Registered())
    with caught("I05", "applied 0 times"):
        walk.feed(MetadataFetched(1, "wss://main.example/"))


# -- slots -------------------------------------------------------------------------------------------------------------


def test_a_late_grant_that_is_kept() -> None:
    walk = weak(SHIPPED.without_effect(ReturnSlot, "ready.slot_granted"), State.READY)
    with caught("I12", "Every granted slot is spent on an IDENTIFY"):
        walk.feed(SlotGranted(walk.gen))


def test_a_grant_that_was_waited_for_and_is_returned() -> None:
    wrong = SHIPPED.with_effects((ReturnSlot,), "awaiting_identify_slot.slot_granted")
    walk = weak(wrong, State.AWAITING_IDENTIFY_SLOT)
    with caught("I12", "a slot that was waited for is not used"):
        walk.feed(SlotGranted(walk.gen))


def test_a_second_request_for_a_slot() -> None:
    wrong = SHIPPED.with_effects((RequestSlot,), "awaiting_identify_slot.unknown_message")
    walk = weak(wrong, State.AWAITING_IDENTIFY_SLOT)
    with caught("I12", "a second slot is asked for"):
        walk.feed(UnknownMessage(walk.gen))


def test_a_request_for_a_slot_that_is_not_taken_back() -> None:
    wrong = SHIPPED.without_effect(WithdrawSlot, "awaiting_identify_slot.reconnect_requested")
    walk = weak(wrong, State.AWAITING_IDENTIFY_SLOT)
    with caught("I12", "was not taken back"):
        walk.feed(ReconnectRequested(walk.gen))


# -- timers ------------------------------------------------------------------------------------------------------------


def test_a_deadline_that_traffic_extends() -> None:
    walk = weak(SHIPPED.with_updates(("extend_patience",), "identified.unknown_message"), State.IDENTIFIED)
    walk.wait(1.0)
    with caught("I13", "the declared re-arms alone move it"):
        walk.feed(UnknownMessage(walk.gen))


def test_a_second_hello_that_arms_the_heartbeat_again() -> None:
    walk = weak(SHIPPED.with_updates(("start_heartbeat",), "ready.hello"), State.READY)
    walk.wait(1.0)
    with caught("I13", "HELLO arms the heartbeat"):
        walk.feed(Hello(walk.gen, 40.0))


def test_a_heartbeat_that_is_not_armed() -> None:
    wrong = SHIPPED.without_update("start_heartbeat", "awaiting_hello.hello.identify")
    walk = weak(wrong, State.AWAITING_HELLO)
    with caught("I13", "not true of the context: (beat_at is not None)"):
        walk.feed(Hello(walk.gen, 40.0))


def test_a_heartbeat_that_is_armed_in_a_state_without_one() -> None:
    walk = weak(SHIPPED.with_row(State.CONNECTING, Hello, updates=("start_heartbeat",)), State.CONNECTING)
    with caught("I13", "HELLO arms the heartbeat"):
        walk.feed(Hello(walk.gen, 40.0))


def test_a_missing_ack_that_nobody_judges() -> None:
    walk = weak(SHIPPED.unguarded("ready.heartbeat_due.beat"), State.READY)
    walk.elapse()
    with caught("I03", "the connection is kept"):
        walk.elapse()


def test_a_beat_that_is_judged_although_it_was_acknowledged() -> None:
    walk = weak(SHIPPED.unguarded("ready.heartbeat_due.zombie"), State.READY)
    with caught("I20", "a zombie is seen where none can be known"):
        walk.elapse()


def test_a_requested_beat_that_counts_as_an_ack() -> None:
    walk = weak(SHIPPED.with_updates(("note_ack",), "ready.heartbeat_requested"), State.READY)
    with caught("I20", "changes nothing else"):
        walk.feed(HeartbeatRequested(walk.gen))


def test_a_zombie_that_is_a_paused_reader() -> None:
    walk = weak(SHIPPED.unguarded("ready.heartbeat_due.zombie"), State.READY)
    walk.must(ReadingPaused(walk.gen))
    with caught("I23", "While reading is paused"):
        walk.elapse()


def test_a_pause_that_the_table_forgets() -> None:
    walk = weak(SHIPPED.without_update("pause_reading", "ready.reading_paused"), State.READY)
    walk.elapse()
    walk.must(ReadingPaused(walk.gen))
    with caught("I23", "a zombie is seen where none can be known"):
        walk.elapse()


def test_a_reader_that_is_paused_for_ever() -> None:
    walk = weak(SHIPPED.unguarded("ready.heartbeat_due.beat"), State.READY)
    walk.must(ReadingPaused(walk.gen))
    for _ in range(4):
        walk.elapse()
    with caught("I23", "the declared policy does not act"):
        walk.elapse()


# -- delays ------------------------------------------------------------------------------------------------------------


def believing(walk: Walk, settings: Settings) -> Walk:
    """A walk whose monitor computes delays from other settings than the core does."""
    (pace,) = [ghost for ghost in walk.monitor._ghosts if isinstance(ghost, Pace)]
    pace.settings = settings
    return walk


def test_a_rate_limit_that_is_not_waited_for() -> None:
    walk = weak(SHIPPED.without_update("cause_rate_limited", "ready.closed.rate_limited"), State.READY)
    walk.must(Closed(walk.gen, 4008))
    with caught("I18", "attempt 2 comes at"):
        walk.elapse()


def test_a_back_off_that_is_too_short() -> None:
    walk = Walk(Settings(retry_base=0.01))
    walk.reach(State.CONNECTING)
    believing(walk, Settings()).elapse()
    walk.reach(State.BACKING_OFF)
    with caught("I18", "attempt 2 comes at"):
        walk.elapse()


def test_identifies_that_are_not_spaced() -> None:
    walk = believing(Walk(Settings(free_identifies=50)), Settings())
    for _ in range(2):
        walk.reach(State.IDENTIFIED)
        walk.must(Closed(walk.gen, 4009))
    with caught("I18", "attempt 3 comes at"):
        walk.reach(State.IDENTIFIED)


def test_a_loop_that_takes_no_time() -> None:
    pace = Pace(Settings(), Beats(Settings()))
    before, after = Context(state=State.FETCHING_METADATA), Context(state=State.CONNECTING)
    broken: list[str] = []
    for gen in range(1, 5):
        after = attrs.evolve(after, gen=gen, attempts=gen)
        effects = (OpenSocket(gen=gen, url="", resume=False),)
        broken += [what for _, what in pace.see(Step(before, MetadataFetched(gen, ""), TABLE[0], effects, after))]
    assert broken == ["4 sockets are opened in one instant"]


def test_an_attempt_that_is_not_counted() -> None:
    walk = weak(SHIPPED.with_updates(("prove_session",), "ready.unknown_message"), State.READY)
    with caught("I11", "an ACK in `ready` alone resets the attempts"):
        walk.feed(UnknownMessage(walk.gen))


def test_a_proof_that_is_not_noticed() -> None:
    walk = weak(SHIPPED.without_update("prove_session", "ready.heartbeat_acked.proves"), State.READY)
    walk.elapse()
    with caught("I11", "attempts and"):
        walk.feed(HeartbeatAcked(walk.gen))
