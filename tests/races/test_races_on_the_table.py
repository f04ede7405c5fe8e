"""The races of real systems, told as stories: they cannot happen here, and a weaker table would let them.

Each story is played on the shipped table, where it must come to its end, and on a table with the row that guards it
taken out or weakened, where the monitor, or the story itself, must notice. What a table cannot show, because it lies
between the machine and the network, is listed in ``ON_THE_DRIVER``.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import attrs
import pytest

from gatewright.fsm.errors import IllegalTransition
from gatewright.harness.walks import Walk
from gatewright.spec.effects import CloseEndingSession, RequestSlot, SendHeartbeat
from gatewright.spec.events import Connect, HeartbeatDue, Hello, MetadataFetched
from gatewright.spec.invariants import INVARIANTS
from gatewright.spec.references import REFERENCES
from gatewright.spec.states import State
from tests.races import stories
from tests.support.tables import SHIPPED, Weakened, opening


@attrs.frozen
class Race:
    """A race, the story in which it happened, a table that lets it happen, and what then breaks.

    `breaks` is the id of the invariant that the monitor names, or part of what the story itself asserts.
    """

    race: str
    story: Callable[[Walk], None]
    table: Weakened
    breaks: str

    def __str__(self) -> str:
        return f"{self.race}: {self.story.__name__}"


RACES = (
    Race(
        "R01",
        stories.connect_while_registering_raises_and_ready_comes_by_itself,
        opening(State.REGISTERING, Connect),
        "I15",
    ),
    Race(
        "R01",
        stories.connect_while_metadata_are_pending_raises_and_ready_comes_by_itself,
        opening(State.FETCHING_METADATA, Connect),
        "I15",
    ),
    Race(
        "R01",
        stories.hello_is_answered_by_an_identify_in_the_end,
        SHIPPED.without_effect(RequestSlot, "awaiting_hello.hello.identify"),
        "every run ends in",
    ),
    Race(
        "R02",
        stories.coming_back_before_the_registrations_were_applied_applies_them,
        SHIPPED.unguarded("suspended.connect.connect"),
        "I05",
    ),
    Race("R03", stories.metadata_that_come_after_stop_connect_nobody,
         opening(State.STOPPED, MetadataFetched), "I04"),
    Race("R04", stories.a_socket_is_opened_once_however_late_the_metadata_come,
         opening(State.CONNECTING, Connect), "I01"),
    Race("R05", stories.a_start_up_that_fails_leaves_no_socket_behind,
         SHIPPED.changed("identified.heartbeat_due.zombie", change=lambda row: attrs.evolve(
             row, target=State.FAILED, updates=("fail_attempts",), effects=())), "I04"),
    Race("R08", stories.hello_alone_forgives_no_stall,
         SHIPPED.with_updates(("start_heartbeat", "begin_resume", "session_resumed"), "awaiting_hello.hello.resume"),
         "I11"),
    Race("R09", stories.a_fatal_close_fails, SHIPPED.retargeted(State.BACKING_OFF, "ready.closed.fatal"), "I08"),
    Race("R10", stories.a_stall_names_its_own_phase,
         SHIPPED.without_update("note_stalled_phase", "identified.heartbeat_due.zombie"), "names another phase"),
    Race("R11", stories.the_close_of_the_old_socket_leaves_the_new_one_alone,
         SHIPPED.unguarded("awaiting_hello.closed.resumable"), "I06"),
    Race("R11", stories.connect_while_the_old_socket_is_being_left_raises,
         opening(State.STALLED, Connect), "I01"),
    Race("R12", stories.stopping_while_the_peer_is_dark_opens_nothing_later,
         SHIPPED.retargeted(State.BACKING_OFF, "draining.deadline_passed.stop"), "I04"),
    Race("R13", stories.reconnecting_keeps_the_session_that_it_resumes,
         SHIPPED.with_effects((CloseEndingSession,), "ready.reconnect"), "I21"),
    Race("R14", stories.leaving_a_socket_disarms_its_heartbeat,
         SHIPPED.with_row(State.STALLED, Hello, updates=("start_heartbeat",)), "I13"),
    Race("R15", stories.a_beat_of_a_connection_that_was_left_does_nothing,
         SHIPPED.with_row(State.BACKING_OFF, HeartbeatDue, effects=(SendHeartbeat,)), "I06"),
    Race("R17", stories.op_7_shows_at_once_in_the_status, SHIPPED.retargeted(None, "ready.reconnect_requested"), "I07"),
    Race("R18", stories.a_handshake_that_hangs_is_aborted,
         SHIPPED.without("connecting.deadline_passed", "connecting.deadline_passed."), "deadline_passed"),
    Race("R18", stories.a_handshake_that_hangs_is_aborted,
         SHIPPED.with_row(State.CONNECTING, Connect), "I15"),
    Race("R19", stories.what_cannot_be_decoded_ends_the_connection_and_nothing_else,
         SHIPPED.without("ready.protocol_violation", "ready.protocol_violation."), "has no row"),
    Race("R20", stories.a_resume_url_that_cannot_be_reached_is_forgotten,
         SHIPPED.without_update("forget_url", "connecting.connect_failed.forget_url"), "I10"),
    Race("R22", stories.registrations_are_in_place_before_a_socket_is_opened,
         SHIPPED.changed("idle.register", change=lambda row: attrs.evolve(
             row, target=State.FETCHING_METADATA, updates=("bind_client", "begin_fetch"), effects=())), "I05"),
    Race("R24", stories.a_stronger_reason_replaces_a_weaker_one,
         SHIPPED.without_update("leave_to_stop", "draining.stop"), "I04"),
    Race("R24", stories.a_fresh_session_asked_for_while_leaving_is_begun,
         SHIPPED.without_update("drop_session", "draining.force_identify"), "I10"),
    Race("R24", stories.the_longer_delay_wins,
         SHIPPED.without_update("cause_rate_limited", "draining.closed.rate_limited.retry"), "I18"),
    Race("R25", stories.a_reconnect_of_the_user_forgives_no_attempt,
         SHIPPED.with_updates(("prove_session", "leave_to_retry", "cause_command"), "ready.reconnect"), "I11"),
    Race("R29", stories.a_stop_that_the_peer_answers_is_the_end,
         SHIPPED.retargeted(State.BACKING_OFF, "draining.closed.stop"), "I04"),
    Race("R31", stories.a_ready_that_drops_at_once_was_a_ready,
         SHIPPED.without_update("begin_session", "identified.ready"), "I10"),
    Race("R32", stories.a_new_session_begins_with_no_sequence_of_the_old,
         SHIPPED.without_update("drop_session", "ready.closed.new_session"), "I10"),
    Race("R32", stories.a_session_that_the_server_ended_is_not_resumed,
         SHIPPED.without_update("drop_session", "ready.session_invalidated.final"), "I10"),
    Race("R33", stories.metadata_that_come_after_the_fallback_do_not_touch_the_attempt,
         SHIPPED.with_row(State.CONNECTING, MetadataFetched, updates=("keep_metadata",)), "I06"),
    Race("R34", stories.connect_between_the_failure_and_the_end_of_a_handshake_raises,
         opening(State.STALLED, Connect), "I01"),
    Race("R35", stories.a_fresh_session_asked_for_while_a_resume_is_connecting_is_begun,
         SHIPPED.unguarded("connecting.force_identify.fresh"), "I15"),
)  # fmt: skip

ON_THE_DRIVER: Mapping[str, str] = MappingProxyType(
    {
        "R05": "a shard that fails has closed its stream",
        "R06": "an error of the transport is an event; none is raised where nobody listens",
        "R07": "nothing is decided by the text of a log line",
        "R14": "the heartbeat is a timer of the core, and ends with the connection's nursery",
        "R16": "after a shard has ended no task of it is left",
        "R19": "READY without its fields is decoded into a violation",
        "R21": "a step of the wall clock moves no deadline",
    }
)
"""What of the races lies between the machine and the network: tests/races/test_races_on_the_driver.py tells it."""

FLEET = frozenset({"R23", "R26", "R27", "R28", "R30", "R36"})
"""Races of a supervisor and of many shards: the table of one shard has no part in them."""


@pytest.mark.parametrize("race", RACES, ids=str)
def test_the_race_cannot_happen(race: Race) -> None:
    race.story(Walk())


@pytest.mark.parametrize("race", RACES, ids=str)
def test_a_weaker_table_lets_the_race_happen(race: Race) -> None:
    named = f"^{race.breaks}: " if race.breaks in INVARIANTS else race.breaks
    with pytest.raises((AssertionError, IllegalTransition), match=named):
        race.story(Walk(table=race.table.rows))


def test_every_race_is_told_here_or_elsewhere() -> None:
    races = {number for number in REFERENCES if number.startswith("R")}
    assert {race.race for race in RACES} | ON_THE_DRIVER.keys() | FLEET == races
