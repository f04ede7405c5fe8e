"""`gatewright conform`: the journal of a real shard conforms, and the first step that does not is named."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from gatewright.harness.conform import conform, dump
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


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("nonsense", "it is not JSON"),
        ("[]", "it is no JSON object"),
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
    ended = gatewright("conform", str(good))
    assert (ended.status, ended.err) == (0, "")
    assert f"{len(steps)} steps" in ended.out
    ended = gatewright("conform", str(bad), "--json")
    assert ended.status == 1
    assert json.loads(ended.out)["deviation"]["line"] == 4
    ended = gatewright("conform", str(tmp_path / "none.jsonl"))
    assert ended.status == 1
    assert "No such file" in ended.err
