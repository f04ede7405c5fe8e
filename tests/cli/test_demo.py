"""`gatewright demo` as a user runs it: a process of its own, real sockets, a real clock."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gatewright.harness.conform import conform
from gatewright.harness.demo.clients import TOKEN
from gatewright.spec.states import State
from tests.cli.command import BOUND, Ended, gatewright, in_terminal, interrupt, started

pytestmark = [pytest.mark.sockets, pytest.mark.slow]


@pytest.fixture(scope="module")
def as_json() -> Ended:
    return gatewright("demo", "--json")


@pytest.fixture(scope="module")
def drawn() -> Ended:
    return in_terminal("demo", columns=100, lines=30)


@pytest.fixture(scope="module")
def objects(as_json: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in as_json.out.splitlines()]


class TestJson:
    def test_it_exits_with_0_and_no_complaint(self, as_json: Ended) -> None:
        assert (as_json.status, as_json.err) == (0, "")

    def test_the_last_line_is_the_summary(self, objects: list[dict[str, Any]]) -> None:
        assert objects[-1] == {
            "summary": {
                "engine": {"state": "failed", "identifies": 2, "resumes": 2, "illegal_refused": 1},
                "naive": {"state": "stuck", "identifies": 0},
            }
        }

    def test_every_other_line_is_a_record_of_the_journal(self, objects: list[dict[str, Any]]) -> None:
        keys = {"time", "gen", "state", "to", "event", "detail", "reason", "row", "kind", "effects"}
        assert all(set(record) == keys for record in objects[:-1])
        times = [record["time"] for record in objects[:-1]]
        assert times == sorted(times)
        assert times[0] < 5

    def test_what_the_server_counted_is_what_the_engine_did(self, objects: list[dict[str, Any]]) -> None:
        engine = objects[-1]["summary"]["engine"]
        effects = [effect for record in objects[:-1] for effect in record["effects"]]
        assert effects.count("send_identify") == engine["identifies"]
        assert effects.count("send_resume") == engine["resumes"]
        assert sum(record["kind"] == "refuse" for record in objects[:-1]) == engine["illegal_refused"]

    def test_the_shard_walks_through_every_state_that_it_can_be_left_in(self, objects: list[dict[str, Any]]) -> None:
        assert set(State) - {record["to"] for record in objects[:-1]} == {State.IDLE, State.SUSPENDED, State.STOPPED}

    def test_it_is_a_way_of_the_explored_graph(self, as_json: Ended) -> None:
        found = conform(as_json.out.splitlines())
        assert found.deviation is None
        assert found.steps > 40

    def test_the_token_is_in_no_line(self, as_json: Ended) -> None:
        assert TOKEN not in as_json.everything


class TestInATerminal:
    def test_it_draws_full_screen_and_puts_the_screen_back(self, drawn: Ended) -> None:
        assert drawn.status == 0
        enter, leave = drawn.out.index("\x1b[?1049h"), drawn.out.index("\x1b[?1049l")
        assert enter < drawn.out.index("act 6 of 6") < leave < drawn.out.index("Everything that was promised was seen.")
        assert drawn.out.rindex("\x1b[?25l") < drawn.out.rindex("\x1b[?25h")  # the cursor is back as well

    def test_it_shows_the_refusal_in_words(self, drawn: Ended) -> None:
        assert "IllegalTransition" in drawn.out
        assert "connect() is not possible in 'fetching_metadata'" in drawn.out

    def test_the_token_is_not_on_the_screen(self, drawn: Ended) -> None:
        assert TOKEN not in drawn.out


def test_a_sabotaged_engine_makes_it_fail_and_the_promise_is_named() -> None:
    ended = gatewright("demo", "--json", "--sabotage", "allow-connect")
    assert ended.status == 1
    assert "not seen: connect() before the metadata came was refused, and it changed nothing [refused]" in ended.err
    assert json.loads(ended.out.splitlines()[-1])["summary"]["engine"]["illegal_refused"] == 0


def test_a_sabotage_that_does_not_exist_is_one_line_and_no_traceback() -> None:
    ended = gatewright("demo", "--sabotage", "no-such")
    assert ended.status == 1
    assert ended.err.startswith("gatewright: there is no sabotage 'no-such'")
    assert len(ended.err.splitlines()) == 1


def test_a_pipe_gets_plain_lines() -> None:
    with started("demo") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
    assert lines[1] == "Act 1 of 6: The race\n"
    assert "\x1b" not in "".join(lines)


def test_a_terminal_that_is_too_small_gets_plain_lines() -> None:
    ended = in_terminal("demo", "--sabotage", "allow-connect", columns=79, lines=23)
    assert ended.status == 1
    assert "Act 1 of 6" in ended.out
    assert "\x1b" not in ended.out


def test_without_colours_it_still_draws() -> None:
    ended = in_terminal("demo", "--sabotage", "allow-connect", columns=100, lines=30, NO_COLOR="1")
    assert "▶ fetching_metadata" in ended.out or " fetching_metadata " in ended.out
    assert "\x1b[31m" not in ended.out
    assert "\x1b[32m" not in ended.out


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    with started("demo", "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        interrupt(process)
        _out, err = process.communicate(timeout=BOUND)
    assert process.returncode == 130
    assert err == "gatewright demo: stopped.\n"


def test_a_reader_that_goes_away_ends_it_without_a_traceback() -> None:
    with started("demo", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=BOUND) == 1
        assert process.stderr.read() == ""


def test_its_help_does_not_tell_of_the_sabotage() -> None:
    ended = gatewright("demo", "--help")
    assert ended.status == 0
    assert "--json" in ended.out
    assert "sabotage" not in ended.out
