"""`gatewright conform`: the journal of a real shard conforms, and the first step that does not is named."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from gatewright.fsm.compiled import CompiledTable
from gatewright.fsm.core import ShardCore
from gatewright.fsm.journal import Record
from gatewright.fsm.machine import TableMachine
from gatewright.harness.conform import conform, dump
from gatewright.harness.sim.scenario import Scenario
from gatewright.harness.sim.simulation import attempt
from gatewright.spec import events
from gatewright.spec.rows import Row
from gatewright.spec.session import Session
from gatewright.spec.settings import Settings
from gatewright.spec.states import State
from gatewright.spec.table import TABLE
from tests.cli.command import gatewright
from tests.support.shards import gateway, shard_on


async def journal(clock: MockClock) -> list[dict[str, Any]]:
    """A shard that connects, loses its connection, resumes and stops."""
    out = io.StringIO()
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        fake.drop()
        await shard.wait_for("backing_off")
        await shard.wait_for("ready")
        await shard.stop()
        dump(shard.journal, out, shard=3)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def lines(steps: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(step) for step in steps]


async def test_the_journal_of_a_shard_conforms(autojump_clock: MockClock) -> None:
    steps = await journal(autojump_clock)
    found = conform(lines(steps))
    assert found.deviation is None
    assert found.ok
    assert found.steps == len(steps) > 12
    assert {"resuming.resumed", "awaiting_hello.hello.resume"} <= found.rows


async def test_moves_alone_conform_as_well(autojump_clock: MockClock) -> None:
    steps = [step for step in await journal(autojump_clock) if step["state"] != step["to"]]
    assert conform(lines(steps)).ok


async def test_journals_of_several_shards_may_be_mixed(autojump_clock: MockClock) -> None:
    steps = await journal(autojump_clock)
    mixed = [{**step, "shard": shard} for step in steps for shard in (0, 1)]
    found = conform(lines(mixed))
    assert (found.ok, found.shards) == (True, 2)


async def test_a_bot_that_is_started_again_writes_on(autojump_clock: MockClock) -> None:
    steps = await journal(autojump_clock)
    cut = steps[:-4]  # the process was killed
    found = conform(lines([*cut, *steps]))
    assert (found.ok, found.steps, found.shards) == (True, len(cut) + len(steps), 1)
    wrong = conform(lines([*cut, steps[0], steps[2]]))
    assert wrong.deviation is not None
    assert wrong.deviation.line == len(cut) + 2


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"row": "ready.nonsense"}, "the table has no row 'ready.nonsense'"),
        ({"to": "stopped"}, "the row's to is "),
        ({"kind": "ignore"}, "the row's kind is 'take', and not 'ignore'"),
        ({"effects": ["open_socket", "open_socket"]}, "the row's effects is "),
        ({"gen": 9}, "the generation went from"),
        ({"time": -1.0}, "its time -1.0 is before that of the last step"),
    ],
)
async def test_the_first_step_that_does_not_conform_is_named(
    autojump_clock: MockClock, change: dict[str, Any], wrong: str
) -> None:
    steps = await journal(autojump_clock)
    steps[5] |= change
    steps[8] |= {"row": "later"}
    found = conform(lines(steps))
    assert found.deviation is not None
    assert found.deviation.line == 6
    assert wrong in found.deviation.wrong
    assert found.steps == 5


async def test_a_step_that_is_missing_is_seen(autojump_clock: MockClock) -> None:
    steps = await journal(autojump_clock)
    (gone,) = [number for number, step in enumerate(steps) if step["row"] == "resuming.resumed"]
    found = conform(lines(steps[:gone] + steps[gone + 1 :]))
    assert found.deviation is not None
    assert "the last step led to 'resuming'" in found.deviation.wrong


async def beats(clock: MockClock) -> list[dict[str, Any]]:
    """A shard that is ready for some heartbeats."""
    out = io.StringIO()
    async with gateway(guilds=0) as fake, shard_on(fake) as shard:
        await shard.wait_for("ready")
        await trio.sleep(200)
        dump(shard.journal, out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def place(steps: list[dict[str, Any]], row: str) -> int:
    return next(number for number, step in enumerate(steps) if step["row"] == row)


async def test_a_step_within_a_state_that_is_missing_is_seen(autojump_clock: MockClock) -> None:
    """No row is wrong by itself: an ACK is missing, and the next beat goes out as if it had come."""
    steps = await beats(autojump_clock)
    gone = place(steps, "ready.heartbeat_acked.proves")
    found = conform(lines(steps[:gone] + steps[gone + 1 :]))
    assert found.deviation is not None
    assert found.deviation.line == gone + 1
    assert found.deviation.step.endswith("by row ready.heartbeat_due.beat")
    assert found.deviation.possible == ("ready.heartbeat_due.zombie",)
    assert conform(lines(steps[:gone] + steps[gone + 1 :]), gaps=True).ok


async def test_a_step_that_comes_twice_is_seen(autojump_clock: MockClock) -> None:
    steps = await beats(autojump_clock)
    twice = place(steps, "ready.heartbeat_acked.proves")
    found = conform(lines(steps[: twice + 1] + steps[twice:]))
    assert found.deviation is not None
    assert found.deviation.line == twice + 2
    assert found.deviation.possible == ("ready.heartbeat_acked",)


async def test_steps_in_the_wrong_order_are_seen(autojump_clock: MockClock) -> None:
    steps = await beats(autojump_clock)
    first = place(steps, "ready.heartbeat_due.beat")
    ack, beat = {**steps[first + 1], "time": steps[first]["time"]}, steps[first]
    found = conform(lines([*steps[:first], ack, beat, *steps[first + 2 :]]))
    assert found.deviation is not None
    assert found.deviation.line == first + 1


async def test_a_journal_that_has_forgotten_its_beginning_conforms(autojump_clock: MockClock) -> None:
    steps = await beats(autojump_clock)
    for begin in range(len(steps)):
        assert conform(lines(steps[begin:]), gaps=False).ok


def fed(*changed: Row) -> list[Record]:
    """A shard whose session is ended by the server with 4009, on a table with rows of the same ids that are changed."""
    rows = tuple({row.id: row for row in (*TABLE, *changed)}.values())
    core = ShardCore(machine=TableMachine(rows), compiled=CompiledTable(rows))
    url = "wss://main.example/"
    for now, event in enumerate(
        (
            events.Register("client"), events.Registered(), events.MetadataFetched(1, url), events.Opened(1),
            events.Hello(1, 40.0), events.SlotGranted(1), events.Ready(1, 1, "session", url), events.Closed(1, 4009),
            events.DeadlinePassed(), events.Opened(2), events.Hello(2, 40.0),
        )
    ):  # fmt: skip
        core.feed(event, float(now))
    return list(core.journal)


def written(records: list[Record]) -> list[str]:
    out = io.StringIO()
    dump(records, out)
    return out.getvalue().splitlines()


def test_a_core_that_keeps_a_session_which_has_ended_does_not_conform() -> None:
    """Each of its records is a row of the table, and follows the one before."""
    assert conform(written(fed())).ok
    (row,) = (row for row in TABLE if row.id == "ready.closed.new_session")
    assert "drop_session" in row.updates
    weaker = attrs.evolve(row, updates=tuple(update for update in row.updates if update != "drop_session"))
    records = fed(weaker)
    assert conform(written(records), rows=list(TABLE)).ok, "the rows alone say nothing"
    found = conform(written(records))
    assert found.deviation is not None
    assert found.deviation.line == len(records)
    assert found.deviation.step == "awaiting_hello -hello-> resuming by row awaiting_hello.hello.resume"
    assert found.deviation.possible == ("awaiting_hello.hello.identify", "awaiting_hello.hello.stale")
    assert 'it is taken when "a session is held"' in found.deviation.wrong


@pytest.mark.parametrize("name", ["capped", "strict"])
def test_any_settings_conform(name: str) -> None:
    settings = Settings(max_attempts=2) if name == "capped" else Settings(strict_startup=True)
    core = ShardCore(settings)
    now = 0.0
    for event in (events.Register("client"), events.Registered(), events.MetadataFetched(1, "wss://main.example/")):
        core.feed(event, now)
    for _ in range(40):
        due = core.next_deadline()
        if due is None:
            break
        now = due
        core.tick(now)
        if core.state is State.STALLED:
            core.feed(events.Aborted(core.gen), now)
    assert len(list(core.journal)) > 8
    assert conform(written(list(core.journal))).ok


@pytest.mark.parametrize("due", [events.Resumed(1, 8), events.Ready(1, 1, "first", "wss://resume.example/")])
def test_a_ready_without_a_url_that_nobody_asked_for_conforms(due: events.Message) -> None:
    core = ShardCore(session=Session(id="imported", resume_url="wss://resume.example/", seq=7))
    for event in (events.Register("client"), events.Registered(), events.Opened(1), events.Hello(1, 40.0), due):
        core.feed(event, 0.0)
    core.feed(events.Ready(1, 1, "out of turn", None), 1.0)
    core.feed(events.Closed(1), 2.0)
    core.tick(2.0)
    assert core.state is State.FETCHING_METADATA, "the session has no URL any more"
    out = io.StringIO()
    dump(core.journal, out)
    assert conform(out.getvalue().splitlines()).ok


@pytest.mark.parametrize("seed", range(40))
def test_the_journal_of_a_simulated_life_conforms(seed: int) -> None:
    """Also when only its moves were kept; a life has four faults or so."""
    records: list[Record] = []
    assert attempt(Scenario.of(seed), observe=records.append).error is None
    assert conform(written(records)).ok
    moves = conform(written([record for record in records if record.moved]))
    assert (moves.ok, moves.gaps) == (True, True)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("nonsense", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "it is no JSON object"),
        (
            '{"time":NaN, "gen":1, "state":"ready", "to":"ready", "event":"x", "row":"x", "kind":"take", "effects":[]}',
            "it is not JSON",
        ),
        (
            '{"time":1, "gen":1, "state":"ready", "to":"ready", "event":"x", "row":3, "kind":"take", "effects":[]}',
            "Expected `str`, got `int` - at `$.row`",
        ),
        ('{"state": "ready"}', "it lacks time, gen, to, event, row, kind, effects; write Record.as_dict()"),
    ],
)
def test_a_line_that_is_no_step_is_named(line: str, wrong: str) -> None:
    found = conform(["", line])
    assert found.deviation is not None
    assert found.deviation.line == 2
    assert wrong in str(found.deviation)


def test_a_journal_without_a_step_proves_nothing() -> None:
    assert not conform(['{"type": "summary", "status": 0}']).ok


async def test_the_command_says_so_by_its_status(autojump_clock: MockClock, tmp_path: Path) -> None:
    steps = await journal(autojump_clock)
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_text("\n".join(lines(steps)), encoding="utf-8")
    bad.write_text("\n".join(lines(steps[:3] + steps[4:])), encoding="utf-8")
    marked = tmp_path / "marked.jsonl"
    marked.write_bytes(b"\xef\xbb\xbf" + good.read_bytes())  # as editors on Windows save it
    assert gatewright("conform", str(marked)).status == 0
    ended = gatewright("conform", str(good))
    assert (ended.status, ended.err) == (0, "")
    assert f"{len(steps)} steps of 1 shard conform" in ended.out
    ended = gatewright("conform", str(bad), "--json")
    assert ended.status == 1
    assert json.loads(ended.out)["deviation"]["line"] == 4
    ended = gatewright("conform", str(tmp_path / "none.jsonl"))
    assert ended.status == 1
    assert "No such file" in ended.err
