"""Scripts on disk: every word can be said in JSON and in TOML, and what cannot be meant is refused with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatewright.harness.fake import (
    FAULTS,
    After,
    Amend,
    Answer,
    Bomb,
    Close,
    Connection,
    Corrupt,
    Dark,
    Delay,
    Dispatch,
    Drop,
    Faults,
    Forget,
    Fragment,
    Invalidate,
    Phase,
    Raw,
    Reconnect,
    RequestHeartbeat,
    Rules,
    Send,
    Split,
    Withhold,
)
from gatewright.harness.fake.scriptfile import ScriptError, ScriptFile, dump, load, parse

EVERYTHING = (
    Connection(
        accept=(Raw(b"\xff\x00"), Answer(200, b"<html>"), Answer(429, {"retry_after": 1.5}, headers={"x": "y"})),
        hello=(Delay(3.0), Dark(reading=False), Drop(reset=True), RequestHeartbeat(), Reconnect()),
        ready=(Amend({"guilds": []}, without=("shard",)), Bomb(1000), Corrupt(), Split((1, -2))),
        after_ready=(
            Dispatch("X", {"a": 1}, shift=-1),
            Forget(),
            Fragment(4, ping=False),
            Close(4000, "x"),
        ),
        on_resume=Invalidate(resumable=True),
        replay=(Send("text"), Send(b"\x00")),
        ack=After(2, Withhold()),
    ),
    Connection(),
)


def test_everything_that_a_script_can_say_comes_back_from_json() -> None:
    metadata = ((Answer(503), Delay(1.0)), ())
    found = parse(msgspec.json.decode(dump(EVERYTHING, metadata)))
    assert (found.connections, found.metadata) == (EVERYTHING, metadata)


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_of_a_seed_comes_back_from_json(seed: int) -> None:
    plan = tuple(Faults(seed=seed, lethal=True).script)
    assert parse(msgspec.json.decode(dump(plan))).connections == plan


def test_a_file_is_read_as_json_or_as_toml(tmp_path: Path) -> None:
    expected = ScriptFile(
        guilds=2,
        rules=Rules(session_lifetime=90.0, malformed_command=Invalidate()),
        connections=(Connection(ready=Delay(3.0), after_ready=(Delay(30.0), Close(4000)), ack=Withhold()),),
        metadata=((Answer(503),), ()),
    )
    json, toml = tmp_path / "script.json", tmp_path / "script.toml"
    json.write_text(
        '{"guilds": 2, "rules": {"session_lifetime": 90, "malformed_command": "invalidate"},'
        ' "connections": [{"ready": [{"delay": 3}], "after_ready": [{"delay": 30}, {"close": 4000}],'
        ' "ack": "withhold"}],'
        ' "metadata": [[{"answer": 503}], []]}'
    )
    toml.write_text(
        "guilds = 2\nmetadata = [[{answer = 503}], []]\n[rules]\n"
        'session_lifetime = 90\nmalformed_command = "invalidate"\n'
        "[[connections]]\nready = [{delay = 3}]\n"
        'after_ready = [{delay = 30}, {close = {code = 4000}}]\nack = ["withhold"]\n'
    )
    assert load(json) == load(toml) == expected


def test_a_fault_can_be_named_with_its_phase() -> None:
    found = parse({"connections": [{"fault": "fin", "phase": "resuming"}, {"hello": "reconnect"}]})
    assert found.connections == (*FAULTS["fin"].script(Phase.RESUMING)[:-1], Connection(hello=Reconnect()))
    asked = parse({"connections": [{"fault": "metadata_503", "phase": "fetching_metadata"}]})
    assert asked.metadata == ((Answer(503),), ())


REFUSED: list[tuple[Any, str]] = [
    ([], "the script: Expected `object`"),
    ({"conections": []}, "unknown field `conections`"),
    ({"token": ""}, "token: give any text"),
    ({"rules": {"send_limit": "many"}}, "rules.send_limit: Expected `int`"),
    ({"rules": {"limit": 1}}, "rules: 'limit' is not among "),
    ({"connections": [{"helo": []}]}, r"connections\[0\]: helo is no step; steps are: accept,"),
    ({"connections": [{}, {"hello": ["delai"]}]}, r"connections\[1\].hello\[0\]: 'delai' is no word; words are:"),
    (
        {"connections": [{"hello": [{"delay": "x"}]}]},
        r"connections\[0\].hello\[0\].delay.seconds: Expected `float`",
    ),
    ({"connections": [{"hello": [{"delay": -1}]}]}, r"hello\[0\].delay: 'seconds' must be >= 0"),
    ({"connections": [{"hello": ["delay"]}]}, r"hello\[0\].delay: .*seconds"),
    ({"connections": [{"hello": [{"delay": 1, "close": 1}]}]}, "the only key"),
    ({"connections": [{"hello": [{"withhold": 1}]}]}, "it has none"),
    ({"connections": [{"hello": [{"answer": 401}]}]}, r"connections\[0\]: Answer.*has no meaning once"),
    ({"connections": [{"accept": [{"raw": {"hex": "zz"}}]}]}, r"accept\[0\].raw.data: bytes are text"),
    ({"connections": [{"fault": "x"}]}, r"connections\[0\].fault: 'x' is none of silence,"),
    (
        {"connections": [{"fault": "fin", "phase": "x"}]},
        r"connections\[0\].phase: 'x' is none of fetching_metadata,",
    ),
    ({"connections": [{"fault": "op_9", "phase": "connecting"}]}, "op_9 cannot occur in connecting"),
    ({"connections": [{"fault": "fin", "phase": "ready", "ack": []}]}, "ack has no meaning beside a fault"),
    ({"metadata": [["reconnect"]]}, r"metadata\[0\]: Reconnect\(\) has no meaning for metadata"),
]


@pytest.mark.parametrize(("document", "message"), REFUSED)
def test_what_cannot_be_meant_is_refused_with_its_place(document: Any, message: str) -> None:
    with pytest.raises(ScriptError, match=message):
        parse(document)


@pytest.mark.parametrize(("name", "content"), [("a.json", b"{"), ("a.toml", b"= 1"), ("b.json", b"\xff")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScriptError, match=name):
        load(tmp_path / name)
