"""Starting: the client comes first, registrations are applied once, metadata decide the URL, and nobody races it."""

import pytest

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.outside import MAIN_URL, RESUME_URL
from gatewright.harness.walks import Walk
from gatewright.spec.effects import (
    ApplyRegistrations,
    CancelMetadata,
    FetchMetadata,
    OpenSocket,
    SendResume,
    UndoRegistrations,
)
from gatewright.spec.events import (
    Connect,
    ConnectFailed,
    ForceIdentify,
    Hello,
    MetadataError,
    MetadataFailed,
    MetadataFetched,
    Opened,
    Register,
    Registered,
    RegistrationFailed,
    RegistrationUndone,
    Stop,
    Suspend,
)
from gatewright.spec.protocol import FALLBACK_URL
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from tests.fsm.standing import IMPORTED, at, does, made, wait_of, where
from tests.support.conforms import conforms

# -- registration ------------------------------------------------------------------------------------------------------


def test_register_binds_the_client_and_applies_the_registrations() -> None:
    walk = Walk()
    walk.must(Register("client"))
    assert walk.core.client == "client"
    assert does(walk, ApplyRegistrations)


@pytest.mark.parametrize("state", [State.REGISTERING, State.FETCHING_METADATA])
def test_connect_raises_until_the_shard_connects_by_itself(state: State) -> None:
    walk = at(state)
    with pytest.raises(IllegalTransition):
        walk.core.feed(Connect(), walk.now)
    walk.reach(State.READY)


def test_a_registration_happens_once() -> None:
    walk = at(State.READY)
    assert not walk.feed(Register("another"))
    assert walk.core.client == "client"


def test_a_registration_that_fails_is_undone_before_the_shard_fails() -> None:
    walk = at(State.REGISTERING)
    walk.must(RegistrationFailed("it raised"))
    assert does(walk, UndoRegistrations)
    walk.must(RegistrationUndone())
    assert where(walk) is State.FAILED


def test_a_failed_registration_is_the_reason_of_the_failure() -> None:
    walk = at(State.REGISTERING)
    walk.must(RegistrationFailed("it raised"))
    walk.must(RegistrationUndone())
    failure = walk.core.failure
    assert failure is not None
    assert (failure.kind, failure.reason) == ("registration", "A registration failed: it raised")


def test_a_registration_that_never_ends_is_undone_after_four_seconds() -> None:
    walk = at(State.REGISTERING)
    walk.wait(3.999)
    assert where(walk) is State.REGISTERING
    walk.wait(0.001)
    assert does(walk, UndoRegistrations)


def test_a_registration_that_never_ends_is_the_reason_of_the_failure() -> None:
    walk = at(State.REGISTERING)
    walk.elapse()
    walk.must(RegistrationUndone())
    failure = walk.core.failure
    assert failure is not None
    assert failure.reason == "The registrations took longer than 4 s and were undone."


def test_undoing_that_never_ends_does_not_hold_the_shard() -> None:
    walk = at(State.REGISTERING)
    walk.must(RegistrationFailed("it raised"))
    walk.wait(walk.core.settings.undo_timeout)
    assert where(walk) is State.FAILED


def test_a_shard_that_is_suspended_before_its_registration_registers_when_it_comes_back() -> None:
    walk = at(State.REGISTERING)
    walk.must(Suspend())
    walk.must(RegistrationUndone())
    walk.must(Connect())
    assert does(walk, ApplyRegistrations)
    walk.reach(State.READY)


def test_a_registration_that_ends_while_it_is_undone_counts_for_nothing() -> None:
    walk = at(State.REGISTERING)
    walk.must(Stop())
    walk.must(Registered())
    walk.must(RegistrationUndone())
    assert where(walk) is State.STOPPED


def test_an_undo_that_comes_late_does_not_move_a_shard_that_has_a_socket() -> None:
    walk = at(State.REGISTERING)
    walk.must(Suspend())
    walk.wait(walk.core.settings.undo_timeout)
    walk.must(Connect())
    walk.must(Registered())
    walk.reach(State.AWAITING_HELLO)
    walk.must(Stop())
    walk.must(RegistrationUndone())
    assert where(walk) is State.DRAINING


@pytest.mark.parametrize("state", [State.FETCHING_METADATA, State.CONNECTING, State.AWAITING_HELLO, State.READY])
def test_an_undo_that_comes_late_is_ignored_wherever_the_shard_is(state: State) -> None:
    walk = at(State.REGISTERING)
    walk.must(Suspend())
    walk.wait(walk.core.settings.undo_timeout)
    walk.must(Connect())
    walk.reach(state)
    walk.must(RegistrationUndone())


@pytest.mark.parametrize("answer", [Registered(), RegistrationFailed("cancelled")])
@pytest.mark.parametrize("command", [Suspend(), Stop()])
def test_a_registration_that_ends_after_its_undo_was_given_up_is_ignored(
    command: Suspend | Stop, answer: Registered | RegistrationFailed
) -> None:
    walk = at(State.REGISTERING)
    walk.must(command)
    walk.wait(walk.core.settings.undo_timeout)
    walk.must(answer)


# -- metadata ----------------------------------------------------------------------------------------------------------


@conforms("P01")
def test_the_metadata_decide_the_url() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.must(MetadataFetched(1, "wss://decided.example/"))
    assert made(walk, OpenSocket) == OpenSocket(gen=1, url="wss://decided.example/", resume=False)


def test_an_answer_to_a_request_that_was_given_up_is_ignored() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.must(MetadataFetched(0, "wss://stale.example/"))
    assert where(walk) is State.FETCHING_METADATA
    walk.must(MetadataFetched(1, MAIN_URL))
    assert where(walk) is State.CONNECTING


def test_an_answer_that_comes_after_the_fallback_was_taken_changes_nothing() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.elapse()
    walk.must(MetadataFetched(1, "wss://late.example/"))
    assert where(walk) is State.CONNECTING
    assert walk.core.metadata is None


def test_an_answer_that_comes_after_stop_changes_nothing() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.must(Stop())
    assert does(walk, CancelMetadata)
    walk.must(MetadataFetched(1, MAIN_URL))
    assert where(walk) is State.STOPPED


def test_transient_failures_are_tried_again_later_each_time() -> None:
    walk = at(State.FETCHING_METADATA)
    delays: list[float] = []
    for error in (MetadataError.TRANSIENT, MetadataError.MALFORMED, *(MetadataError.TRANSIENT,) * 3):
        walk.must(MetadataFailed(1, error))
        delays.append(made(walk, FetchMetadata).delay)
    assert delays == [0.25, 0.5, 1.0, 2.0, 2.0]


@conforms("P08")
def test_metadata_are_not_asked_for_before_the_server_allows() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.must(MetadataFailed(1, MetadataError.TRANSIENT, retry_after=4.5))
    assert made(walk, FetchMetadata).delay == 4.5


def test_failures_do_not_extend_the_time_for_metadata() -> None:
    walk = at(State.FETCHING_METADATA)
    for _ in range(5):
        walk.wait(1.0)
        walk.must(MetadataFailed(1, MetadataError.TRANSIENT))
    walk.wait(1.0)
    assert where(walk) is State.CONNECTING


@conforms("P08")
def test_a_refused_token_fails_the_shard() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.must(MetadataFailed(1, MetadataError.FATAL, reason="401"))
    assert where(walk) is State.FAILED
    assert walk.core.failure is not None
    assert walk.core.failure.kind == "metadata"


@conforms("P02")
def test_without_metadata_the_fallback_serves() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.elapse()
    assert does(walk, CancelMetadata, OpenSocket)
    assert made(walk, OpenSocket).url == FALLBACK_URL


@conforms("P02")
def test_after_the_fallback_metadata_are_asked_for_before_the_next_attempt() -> None:
    walk = at(State.FETCHING_METADATA)
    walk.elapse()
    walk.must(ConnectFailed(walk.gen))
    walk.elapse()
    assert does(walk, FetchMetadata)


@conforms("P02")
def test_a_main_url_that_failed_once_is_tried_again() -> None:
    walk = at(State.CONNECTING)
    walk.must(ConnectFailed(walk.gen))
    walk.elapse()
    assert does(walk, OpenSocket)


@conforms("P02")
def test_a_main_url_that_failed_twice_is_looked_up_again() -> None:
    walk = at(State.CONNECTING)
    walk.must(ConnectFailed(walk.gen))
    walk.elapse()
    walk.must(ConnectFailed(walk.gen))
    walk.elapse()
    assert does(walk, FetchMetadata)


def test_when_the_lookup_fails_as_well_the_known_url_serves() -> None:
    walk = at(State.CONNECTING)
    for _ in range(2):
        walk.must(ConnectFailed(walk.gen))
        walk.elapse()
    walk.elapse()
    assert made(walk, OpenSocket).url == MAIN_URL


# -- an imported session -----------------------------------------------------------------------------------------------


@conforms("P34", "P41")
def test_an_imported_session_is_resumed_without_metadata() -> None:
    walk = at(State.REGISTERING, session=IMPORTED)
    walk.must(Registered())
    assert made(walk, OpenSocket) == OpenSocket(gen=1, url=RESUME_URL, resume=True)
    walk.must(Opened(1))
    walk.must(Hello(1, 40.0))
    assert made(walk, SendResume) == SendResume(gen=1, session_id="imported", seq=7)


@conforms("A04")
def test_an_imported_session_without_a_url_is_resumed_through_the_main_one() -> None:
    walk = at(State.REGISTERING, session=IMPORTED.without_url())
    walk.must(Registered())
    assert made(walk, OpenSocket) == OpenSocket(gen=1, url=FALLBACK_URL, resume=True)


@conforms("A04", "P40")
def test_an_imported_session_whose_url_fails_twice_is_resumed_through_the_main_one() -> None:
    walk = at(State.CONNECTING, session=IMPORTED)
    for _ in range(2):
        walk.must(ConnectFailed(walk.gen))
        walk.elapse()
    assert does(walk, FetchMetadata)
    walk.must(MetadataFetched(1, MAIN_URL))
    assert made(walk, OpenSocket) == OpenSocket(gen=3, url=MAIN_URL, resume=True)


def test_force_identify_while_metadata_are_fetched_makes_the_next_handshake_an_identify() -> None:
    walk = at(State.CONNECTING, session=IMPORTED.without_url())
    walk.must(ConnectFailed(walk.gen))
    walk.elapse()
    assert where(walk) is State.FETCHING_METADATA
    walk.must(ForceIdentify())
    walk.must(MetadataFetched(1, MAIN_URL))
    assert not made(walk, OpenSocket).resume


# -- the first connection ----------------------------------------------------------------------------------------------


@conforms("P09")
def test_a_handshake_that_never_ends_is_aborted_after_twenty_seconds() -> None:
    walk = at(State.CONNECTING)
    walk.wait(19.999)
    assert where(walk) is State.CONNECTING
    walk.wait(0.001)
    assert (where(walk), walk.core.snapshot().stalled_in) == (State.STALLED, State.CONNECTING)


def test_strict_start_up_gives_the_first_ready_fifteen_seconds() -> None:
    walk = at(State.IDENTIFIED, Settings(strict_startup=True))
    walk.wait(14.999)
    assert where(walk) is State.IDENTIFIED
    walk.wait(0.001)
    assert where(walk) is State.STALLED


def test_a_connect_failure_waits_for_the_first_step_of_the_back_off() -> None:
    walk = at(State.CONNECTING)
    walk.must(ConnectFailed(walk.gen))
    assert wait_of(walk) == pytest.approx(1.0)
