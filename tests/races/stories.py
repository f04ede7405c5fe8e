"""The stories in which the races happened, from the beginning to an end that they must come to.

Each takes a walk at its beginning, lets happen what happened, and asserts what must be true. Where a table is wrong,
the walk's monitor raises, or the story does.
"""

from gatewright.harness.walks import Walk
from gatewright.spec.effects import SendHeartbeat
from gatewright.spec.events import (
    Aborted,
    Closed,
    CloseFlushed,
    Connect,
    ConnectFailed,
    Dispatched,
    ForceIdentify,
    HeartbeatDue,
    Hello,
    MetadataFetched,
    ProtocolViolation,
    Reconnect,
    ReconnectRequested,
    Register,
    RegistrationUndone,
    SessionInvalidated,
    Stop,
    Suspend,
    ViolationKind,
)
from gatewright.spec.states import State
from tests.fsm.standing import where


def refuses_connect(walk: Walk) -> None:
    assert not walk.feed(Connect()), "connect() was possible"


# -- starting ----------------------------------------------------------------------------------------------------------


def connect_while_registering_raises_and_ready_comes_by_itself(walk: Walk) -> None:
    walk.reach(State.REGISTERING)
    refuses_connect(walk)
    walk.reach(State.READY)


def connect_while_metadata_are_pending_raises_and_ready_comes_by_itself(walk: Walk) -> None:
    walk.reach(State.FETCHING_METADATA)
    walk.now += 5.0
    refuses_connect(walk)
    walk.reach(State.READY)


def hello_is_answered_by_an_identify_in_the_end(walk: Walk) -> None:
    walk.reach(State.AWAITING_HELLO)
    walk.must(Hello(walk.gen, 40.0))
    walk.reach(State.READY)


def coming_back_before_the_registrations_were_applied_applies_them(walk: Walk) -> None:
    walk.reach(State.REGISTERING)
    walk.must(Suspend())
    walk.must(RegistrationUndone())
    walk.must(Connect())
    walk.reach(State.READY)


def registrations_are_in_place_before_a_socket_is_opened(walk: Walk) -> None:
    walk.must(Register("client"))
    walk.reach(State.READY)


def metadata_that_come_after_stop_connect_nobody(walk: Walk) -> None:
    walk.reach(State.FETCHING_METADATA)
    walk.must(Stop())
    walk.must(MetadataFetched(1, "wss://late.example/"))
    assert where(walk) is State.STOPPED


def a_socket_is_opened_once_however_late_the_metadata_come(walk: Walk) -> None:
    walk.reach(State.FETCHING_METADATA)
    walk.now += 5.9
    walk.reach(State.CONNECTING)
    walk.feed(Connect())
    walk.reach(State.READY)
    assert sum("send_identify" in record.effects for record in walk.core.journal) == 1


def metadata_that_come_after_the_fallback_do_not_touch_the_attempt(walk: Walk) -> None:
    walk.reach(State.FETCHING_METADATA)
    walk.elapse()
    walk.must(MetadataFetched(1, "wss://late.example/", max_concurrency=16))
    walk.reach(State.READY)


# -- sockets and generations -------------------------------------------------------------------------------------------


def a_start_up_that_fails_leaves_no_socket_behind(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(Closed(walk.gen, 4009))
    walk.reach(State.IDENTIFIED)
    while where(walk) is State.IDENTIFIED:
        walk.elapse()
    walk.reach(State.BACKING_OFF)


def the_close_of_the_old_socket_leaves_the_new_one_alone(walk: Walk) -> None:
    walk.reach(State.READY)
    old = walk.gen
    walk.must(Closed(old))
    walk.reach(State.AWAITING_HELLO)
    walk.must(Closed(old))
    assert where(walk) is State.AWAITING_HELLO


def connect_while_the_old_socket_is_being_left_raises(walk: Walk) -> None:
    walk.reach(State.AWAITING_HELLO)
    walk.wait(30.0)
    refuses_connect(walk)


def connect_between_the_failure_and_the_end_of_a_handshake_raises(walk: Walk) -> None:
    walk.reach(State.CONNECTING)
    walk.wait(20.0)  # it hangs, and is being aborted
    refuses_connect(walk)
    walk.must(Aborted(walk.gen))


def a_handshake_that_hangs_is_aborted(walk: Walk) -> None:
    walk.reach(State.CONNECTING)
    refuses_connect(walk)
    walk.wait(20.0)
    walk.reach(State.READY)


def a_beat_of_a_connection_that_was_left_does_nothing(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(Closed(walk.gen))
    assert not walk.feed(HeartbeatDue()), "the beat acted"


def leaving_a_socket_disarms_its_heartbeat(walk: Walk) -> None:
    walk.reach(State.AWAITING_HELLO)
    walk.wait(30.0)
    walk.must(Hello(walk.gen, 40.0))  # too late: it starts nothing
    walk.reach(State.READY)


def stopping_while_the_peer_is_dark_opens_nothing_later(walk: Walk) -> None:
    walk.reach(State.AWAITING_HELLO)
    walk.must(Stop())
    for _ in range(5):
        walk.wait(30.0)
    assert where(walk) is State.STOPPED


def a_stop_that_the_peer_answers_is_the_end(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(Stop())
    walk.must(Closed(walk.gen, 1000))
    walk.wait(100.0)
    assert where(walk) is State.STOPPED


def op_7_shows_at_once_in_the_status(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(ReconnectRequested(walk.gen))
    assert not walk.core.snapshot().connected, "connected is still shown"


# -- sessions ----------------------------------------------------------------------------------------------------------


def a_fatal_close_fails(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(Closed(walk.gen, 4004))
    assert where(walk) is State.FAILED


def reconnecting_keeps_the_session_that_it_resumes(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(Reconnect())
    walk.reach(State.READY)


def hello_alone_forgives_no_stall(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(Closed(walk.gen))
    walk.reach(State.AWAITING_HELLO)
    walk.wait(30.0)
    walk.reach(State.AWAITING_HELLO)
    walk.must(Hello(walk.gen, 40.0))


def a_stall_names_its_own_phase(walk: Walk) -> None:
    walk.reach(State.IDENTIFIED)
    while where(walk) is State.IDENTIFIED:
        walk.elapse()
    assert walk.core.snapshot().stalled_in is State.IDENTIFIED, "the stall names another phase"


def a_ready_that_drops_at_once_was_a_ready(walk: Walk) -> None:
    walk.reach(State.AWAITING_HELLO)
    walk.wait(30.0)  # a stall, to be forgiven
    walk.reach(State.READY)
    walk.must(Closed(walk.gen))


def a_new_session_begins_with_no_sequence_of_the_old(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(Dispatched(walk.gen, seq=500))
    walk.must(Closed(walk.gen, 4007))
    walk.reach(State.AWAITING_IDENTIFY_SLOT)
    walk.elapse()
    assert walk.made == (SendHeartbeat(gen=walk.gen, seq=None),), "the beat carries a sequence of the old session"


def a_resume_url_that_cannot_be_reached_is_forgotten(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(Closed(walk.gen))
    for _ in range(2):
        walk.reach(State.CONNECTING)
        walk.must(ConnectFailed(walk.gen))
    walk.reach(State.READY)


def what_cannot_be_decoded_ends_the_connection_and_nothing_else(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(ProtocolViolation(walk.gen, ViolationKind.BAD_PAYLOAD))
    walk.reach(State.READY)
    assert walk.core.snapshot().session_id == "session 1"


def a_session_that_the_server_ended_is_not_resumed(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(SessionInvalidated(walk.gen, resumable=False))
    walk.reach(State.AWAITING_IDENTIFY_SLOT)


# -- reasons that meet -------------------------------------------------------------------------------------------------


def a_stronger_reason_replaces_a_weaker_one(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(ReconnectRequested(walk.gen))
    walk.must(Stop())
    walk.reach(State.STOPPED)


def a_fresh_session_asked_for_while_leaving_is_begun(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(ReconnectRequested(walk.gen))
    walk.must(ForceIdentify())
    walk.reach(State.AWAITING_IDENTIFY_SLOT)


def the_longer_delay_wins(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(ReconnectRequested(walk.gen))
    walk.must(Closed(walk.gen, 4008))
    walk.reach(State.CONNECTING)


def a_fresh_session_asked_for_while_a_resume_is_connecting_is_begun(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(Closed(walk.gen))
    walk.reach(State.CONNECTING)
    walk.must(ForceIdentify())
    walk.reach(State.AWAITING_IDENTIFY_SLOT)


def a_reconnect_of_the_user_forgives_no_attempt(walk: Walk) -> None:
    walk.reach(State.READY)
    walk.must(Closed(walk.gen))
    walk.reach(State.READY)
    walk.must(Reconnect())
    walk.must(CloseFlushed(walk.gen))
    walk.reach(State.READY)
