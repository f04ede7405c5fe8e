"""One-line breakages of the engine, each with the marked test that must go red. Data, and what applies them.

A mark claims that a test proves a demand; here the claim is tried. `old` stands exactly once in `path`. The engine must
still import, so that it is the test that fails: a breakage that the lint of the table refuses proves nothing here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest


@attrs.frozen
class Sabotage:
    """A change of one line, and the test of `row` that it must break."""

    row: str
    path: str
    old: str
    new: str
    test: str


_CLOSES = "tests/spec/test_close_matrix.py::test_a_close_is_answered_as_section_3_1_says"
_BEATS = "tests/fsm/test_heartbeats.py::"
_RESUMING = "tests/fsm/test_resuming.py::"
_LEAVING = "tests/fsm/test_leaving.py::"
_WAITING = "tests/fsm/test_waiting.py::"
_PAYLOADS = "tests/transport/test_payloads.py::"
_LIMITER = "tests/transport/test_limiter.py::"
_COMMANDS = "tests/transport/test_commands.py::"
_MEMBERS = "tests/transport/test_shard_members.py::"
_ACKS = "tests/transport/test_acks.py::"
_STORE = "tests/transport/test_shard_store.py::"
_INFLATE = "tests/transport/test_inflate.py::"
_CODEC = "tests/transport/test_codec.py::"
_DEMANDS = "tests/conformance/test_demands.py::"
_SHARDING = "tests/spec/test_sharding.py::"

SABOTAGES: tuple[Sabotage, ...] = (
    Sabotage("P05", "spec/protocol.py", "API_VERSION: Final = 10", "API_VERSION: Final = 6",
             "tests/transport/test_urls.py::test_the_query_is_merged_and_not_glued_on"),
    Sabotage("P08", "transport/metadata.py", 'f"Bot {self._token.reveal()}"', 'f"{self._token.reveal()}"',
             "tests/transport/test_metadata.py::test_the_request_is_the_one_that_discord_demands"),
    Sabotage("P09", "spec/settings.py", "connect_timeout: float = _seconds(20.0)",
             "connect_timeout: float = _seconds(200.0)",
             "tests/fsm/test_startup.py::test_a_handshake_that_never_ends_is_aborted_after_twenty_seconds"),
    Sabotage("P12", "spec/settings.py", "hello_timeout: float = _seconds(30.0)",
             "hello_timeout: float = _seconds(300.0)", _RESUMING + "test_hello_is_awaited_for_thirty_seconds"),
    Sabotage("P14", "spec/updates.py", 'beat_at="now + event.interval * roll"', 'beat_at="now + event.interval"',
             "tests/fsm/test_core.py::test_the_first_heartbeat_is_spread_by_the_die"),
    Sabotage("P15", "transport/codec.py", """b'{"op":1,"d":%d}' % seq""", """b'{"op":1,"d":%d}' % (seq - 1)""",
             _PAYLOADS + "test_a_heartbeat_carries_the_last_sequence_or_null"),
    Sabotage("P17", "spec/updates.py", 'beat_at="now + interval"', 'beat_at="now + interval - 1"',
             _BEATS + "test_heartbeats_follow_each_other_by_the_interval"),
    Sabotage("P18", "spec/updates.py", 'acked="False", proving=', 'acked="True", proving=',
             _BEATS + "test_a_beat_without_an_ack_when_the_next_is_due_is_a_zombie"),
    Sabotage("P18", "spec/protocol.py", "KEEP_SESSION_CODE: Final = 4900", "KEEP_SESSION_CODE: Final = 1000",
             "tests/transport/test_shard_faults.py::test_a_missing_ack_is_noticed_when_the_next_beat_is_due"),
    Sabotage("P19", "spec/table.py", "HeartbeatRequested, effects=(SendHeartbeat,),",
             "HeartbeatRequested, effects=(),", _BEATS + "test_a_beat_that_the_server_asks_for_is_sent_at_once"),
    Sabotage("P20", "spec/updates.py", "min(now + (now - entered_at) + settings.ready_timeout, cap)",
             "min(now + settings.ready_timeout, cap)",
             _WAITING + "test_while_heartbeats_are_acknowledged_ready_is_awaited_longer_each_time_for_an_hour"),
    Sabotage("P21", "transport/limiter.py", "frozenset({Opcode.HEARTBEAT, Opcode.IDENTIFY, Opcode.RESUME})",
             "frozenset({Opcode.IDENTIFY, Opcode.RESUME})",
             _LIMITER + "test_what_keeps_the_connection_alive_never_waits"),
    Sabotage("P21", "transport/limiter.py", "        self._all.add(now)\n", "",
             _LIMITER + "test_heartbeats_are_counted_against_commands"),
    Sabotage("P24", "transport/codec.py", '"intents": int(intents)}',
             '**({"intents": int(intents)} if intents else {})}',
             "tests/transport/test_shard_configuration.py::test_intents_of_zero_are_a_value"),
    Sabotage("P25", "transport/codec.py", '{"os": sys.platform, "browser"', '{"$os": sys.platform, "browser"',
             _DEMANDS + "test_the_client_is_named_by_keys_without_a_dollar"),
    Sabotage("P26", "transport/codec.py", "if not 50 <= large_threshold", "if not 0 <= large_threshold",
             _PAYLOADS + "test_an_identify_out_of_range_is_refused_before_it_is_made"),
    Sabotage("P27", "spec/protocol.py", "IDENTIFY_SPACING: Final = 5.0", "IDENTIFY_SPACING: Final = 0.5",
             "tests/transport/test_gate.py::test_identifies_of_one_bucket_are_more_than_five_seconds_apart"),
    Sabotage("P28", "transport/gate.py", "min(sent.until, self._clock() + self._spacing * (1 + DRIFT))",
             "self._clock()",
             "tests/transport/test_gate.py::"
             "test_whichever_moment_the_server_counts_from_its_identifies_are_five_seconds_apart"),
    Sabotage("P30", "transport/gate.py", "return max(0, self.remaining - self.reserve)",
             "return self.remaining",
             "tests/transport/test_identify_budget.py::test_the_reserve_is_left_alone"),
    Sabotage("P31", "spec/functions.py", "resume_url=event.resume_url,", "resume_url=None,",
             "tests/transport/test_shard_session.py::test_it_holds_what_resuming_elsewhere_takes"),
    Sabotage("P34", "spec/protocol.py", "else _KINDS.get(code, CloseKind.RESUMABLE)",
             "else _KINDS.get(code, CloseKind.NEW_SESSION)", _CLOSES),
    Sabotage("P36", "spec/functions.py", "        return session.resume_url\n",
             "        return settings.fallback_url\n",
             _RESUMING + "test_the_first_stall_in_a_row_resumes_at_the_resume_url"),
    Sabotage("P37", "transport/codec.py", '"session_id": session_id, "seq": seq}',
             '"session_id": session_id, "s": seq}',
             _PAYLOADS + "test_a_resume_names_the_session_and_the_sequence"),
    Sabotage("P38", "spec/updates.py", 'follows the dispatches (P42).", received="event.seq")',
             'follows the dispatches (P42).", received="received")',
             "tests/transport/test_shard_resume.py::test_a_drop_in_the_middle_of_a_replay_goes_on_from_there"),
    Sabotage("P39", "spec/updates.py", 'session="None", received="None", progressed="False"',
             'session="session", received="received", progressed="False"',
             _LEAVING + "test_op_9_false_while_resuming_identifies_at_the_main_url"),
    Sabotage("P40", "spec/functions.py", "return None if session is None else session.without_url()",
             "return session", _RESUMING + "test_two_connect_failures_resume_through_the_main_url"),
    Sabotage("P42", "spec/guards.py", "event.seq > received", "event.seq != received",
             "tests/transport/test_shard_steps.py::test_a_lower_sequence_is_delivered_and_moves_nothing"),
    Sabotage("P43", "transport/acks.py", "if mark < _HANDLED:", "if mark < _TAKEN:",
             _ACKS + "test_the_committed_sequence_waits_for_the_oldest_that_is_not_handled"),
    Sabotage("P44", "spec/session.py", "if self.intents != intents:", "if self.intents < 0:",
             _STORE + "test_a_stored_session_is_checked_like_any_other"),
    Sabotage("P45", "spec/table.py", 'updates=("leave_to_retry", "cause_reconnect"),',
             'updates=("drop_session", "leave_to_retry", "cause_reconnect"),',
             _LEAVING + "test_after_op_7_the_session_is_resumed"),
    Sabotage("P47", "transport/codec.py", 'resumable=bytes(data) == b"true"', "resumable=False",
             _CODEC + "test_an_invalid_session_is_resumable_only_when_it_says_so"),
    Sabotage("P48", "spec/functions.py", "INVALID_SESSION_WAIT: Final = (1.0, 5.0)",
             "INVALID_SESSION_WAIT: Final = (0.0, 0.1)",
             _LEAVING + "test_after_op_9_the_shard_waits_for_one_to_five_seconds"),
    Sabotage("P49", "spec/protocol.py", "END_SESSION_CODE: Final = 1000", "END_SESSION_CODE: Final = 4000",
             "tests/transport/test_shard_sockets.py::test_the_close_frame_of_a_stop_arrives"),
    Sabotage("P50", "spec/protocol.py", "KEEP_SESSION_CODE: Final = 4900", "KEEP_SESSION_CODE: Final = 1001",
             _STORE + "test_an_exception_in_the_block_keeps_the_session_too"),
    Sabotage("P51", "spec/protocol.py", "CloseCode.INVALID_API_VERSION: CloseKind.FATAL",
             "CloseCode.INVALID_API_VERSION: CloseKind.RESUMABLE", _CLOSES),
    Sabotage("P53", "spec/guards.py", '"event.gen != gen"', '"event.gen > gen"',
             "tests/fsm/test_generations.py::test_a_late_close_of_the_old_socket_leaves_the_new_one_alone"),
    Sabotage("P54", "transport/codec.py", "if size > MAX_PAYLOAD_BYTES:", "if size > MAX_PAYLOAD_BYTES + 1:",
             _PAYLOADS + "test_a_payload_of_4096_bytes_is_accepted_and_one_more_is_not"),
    Sabotage("P55", "transport/limiter.py", "if op is not Opcode.HEARTBEAT:", "if op is Opcode.HEARTBEAT:",
             _LIMITER + "test_the_window_slides_instead_of_starting_anew"),
    Sabotage("P56", "transport/limiter.py", "return math.ceil(SEND_WINDOW / interval) + 1",
             "return math.ceil(SEND_WINDOW / interval)",
             _LIMITER + "test_the_reserve_covers_the_beats_of_a_window_and_one_more"),
    Sabotage("P58", "transport/limiter.py", "PRESENCE_LIMIT: Final = 5", "PRESENCE_LIMIT: Final = 6",
             _LIMITER + "test_presences_have_a_limit_of_their_own"),
    Sabotage("P60", "transport/requests.py",
             "if pending.session_id and pending.session_id != session_id:", "if pending.session_id:",
             _MEMBERS + "test_a_request_goes_on_while_its_session_is_resumed"),
    Sabotage("P61", "transport/commands.py", "if (self.query is None) == (self.user_ids is None):",
             "if self.query is None and self.user_ids is None:",
             _COMMANDS + "test_a_command_that_the_gateway_would_close_on_is_refused_here"),
    Sabotage("P62", "transport/verbs.py", "if command.whole_list and Intents.GUILD_MEMBERS not in intents:",
             "if command.presences and Intents.GUILD_MEMBERS not in intents:",
             _MEMBERS + "test_a_request_that_cannot_work_is_refused"),
    Sabotage("P63", "transport/answers.py", "WHOLE_LIST_WINDOW: Final = 30.0", "WHOLE_LIST_WINDOW: Final = 3.0",
             _MEMBERS + "test_the_whole_list_is_asked_for_once_in_30_seconds"),
    Sabotage("P64", "transport/commands.py", "MAX_NONCE_BYTES: Final = 32", "MAX_NONCE_BYTES: Final = 31",
             _COMMANDS + "test_a_nonce_of_32_bytes_is_accepted"),
    Sabotage("P65", "transport/verbs.py", "for index in sorted(gathered)]", "for index in gathered]",
             _MEMBERS + "test_chunks_are_gathered_by_index_whatever_order_they_come_in"),
    Sabotage("P66", "transport/answers.py", "isinstance(id_, str | int)", "isinstance(id_, str)",
             _MEMBERS + "test_presences_and_ids_that_name_nobody_come_with_the_members"),
    Sabotage("P67", "transport/answers.py", "        return WHOLE_LIST_WINDOW\n", "        return 0.0\n",
             _MEMBERS + "test_a_wait_that_is_no_number_is_the_documented_one"),
    Sabotage("P68", "transport/commands.py", "GUILDS_PER_SOUNDBOARD_REQUEST: Final = 176",
             "GUILDS_PER_SOUNDBOARD_REQUEST: Final = 184",
             _COMMANDS + "test_a_long_soundboard_request_is_split_into_parts_that_fit"),
    Sabotage("P69", "transport/commands.py", '("status", "voice_start_time")', '("status", "voice_started")',
             _COMMANDS + "test_a_command_is_sent_as_the_documentation_has_it"),
    Sabotage("P70", "transport/requests.py",
             "return self.state is not None and (not self.needs_server or self.endpoint is not None)",
             "return self.state is not None or self.endpoint is not None",
             _DEMANDS + "test_joining_waits_for_both_answers_in_either_order"),
    Sabotage("P71", "transport/requests.py", "self.endpoint, self._token = found.endpoint, found.token",
             'self.endpoint, self._token = found.endpoint or "", found.token',
             _DEMANDS + "test_a_voice_server_without_an_endpoint_is_waited_on"),
    Sabotage("P75", "transport/inflate.py", "tail = (self._tail + message[-4:])[-4:]", "tail = message[-4:]",
             _INFLATE + "test_a_flush_that_is_split_over_two_frames_does_not_glue_messages"),
    Sabotage("P77", "transport/inflate.py", "self._context, self._parts = None, []", "self._parts = []",
             _INFLATE + "test_an_error_poisons_a_stream_for_good"),
    Sabotage("P78", "transport/codec.py", "return events.UnknownMessage(gen, op)",
             'return _bad_payload(gen, "an opcode that nobody knows")',
             _CODEC + "test_an_opcode_that_only_clients_send_or_nobody_knows_is_unknown_and_harmless"),
    Sabotage("P81", "transport/inflate.py", "MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024",
             "MAX_MESSAGE_BYTES: Final = 1024 * 1024",
             "tests/transport/test_shard_sockets.py::test_a_large_message_comes_through"),
    Sabotage("P87", "spec/sharding.py", "MAX_GUILDS: Final = 2500", "MAX_GUILDS: Final = 2501",
             _SHARDING + "test_no_shard_carries_more_than_2500_guilds"),
    Sabotage("P88", "spec/sharding.py", "_TIMESTAMP_SHIFT: Final = 22", "_TIMESTAMP_SHIFT: Final = 21",
             _SHARDING + "test_a_guild_s_events_reach_the_shard_that_its_time_falls_to"),
    Sabotage("P89", "spec/sharding.py", "        return 0\n", "        return shard_count - 1\n",
             _SHARDING + "test_what_belongs_to_no_guild_reaches_shard_0"),
    Sabotage("P90", "spec/sharding.py", "return -(-needed // multiple_of) * multiple_of", "return needed",
             _SHARDING + "test_a_large_bot_s_count_is_a_multiple_of_the_assigned_number"),
    Sabotage("P92", "spec/session.py", "if (self.shard, self.shard_count) != (shard, shard_count):",
             "if self.shard != shard:", "tests/spec/test_session.py::test_it_is_refused_where_it_cannot_be_resumed"),
    Sabotage("A15", "spec/settings.py", "max_failed_resumes: int = _count(3)", "max_failed_resumes: int = _count(4)",
             _RESUMING + "test_after_the_third_failed_resume_the_next_handshake_is_an_identify"),
    Sabotage("A23", "transport/requests.py", "        self.begun = True\n        self.move(now)\n",
             "        self.begun = True\n        self._tell()\n",
             _MEMBERS + "test_progress_extends_the_patience_and_not_the_time_in_all"),
)  # fmt: skip


@contextmanager
def broken(checkout: Path, sabotage: Sabotage) -> Generator[None]:
    """The checkout with the change in it, as long as the block lasts.

    Raises:
        ValueError: if the old text does not stand exactly once in its file.
    """
    path = checkout / sabotage.path
    source, stat = path.read_bytes(), path.stat()
    path.write_bytes(changed(source.decode(), sabotage).encode())
    try:
        yield
    finally:
        path.write_bytes(source)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # what was compiled of it before is good again


def changed(source: str, sabotage: Sabotage) -> str:
    """The source with the change in it."""
    if (found := source.count(sabotage.old)) != 1:
        raise ValueError(f"the old text of {sabotage.row} stands {found} times in {sabotage.path}: {sabotage.old!r}")
    return source.replace(sabotage.old, sabotage.new)


def run_tests(checkout: Path, tests: Sequence[str], *, keep_bytecode: bool = False) -> tuple[int, str]:
    """Runs some tests of a copied checkout against that copy's engine; gives pytest's exit code and its output."""
    # Nothing of the run that this is part of: no coverage, no workers, no options.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COV_", "COVERAGE_", "PYTEST_", "GATEWRIGHT_HYPOTHESIS"))
    }
    environment["PYTHONPATH"] = str(checkout)
    if not keep_bytecode:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", *tests],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )
    return done.returncode, done.stdout + done.stderr


FAILED = int(pytest.ExitCode.TESTS_FAILED)
"""Some test ran and failed; an engine that cannot be imported ends a run in another way."""
