"""`gatewright run` as a process: what it prints, what it ends with, and how it stops."""

from __future__ import annotations

import io
import json
import re
import signal
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from gatewright import run
from gatewright.harness.fake import (
    Amend,
    Answer,
    Close,
    CloseFrame,
    Connection,
    Delay,
    Dispatch,
    FakeGateway,
    Rules,
    Side,
)
from gatewright.spec.errors import ConfigurationError
from gatewright.spec.intents import Intents
from gatewright.transport.inflate import Compression
from tests.cli import command
from tests.cli.command import PROGRAM, environment

TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAwMQ.run.example"


@attrs.define
class Running:
    """The process, and the lines that it has printed so far."""

    process: trio.Process
    lines: list[str] = attrs.field(factory=list[str])
    errors: str = ""
    _buffer: str = ""

    async def line(self, *wanted: str) -> None:
        """Reads until each of `wanted` has been in some line; moves and events are printed as they come to hand."""
        missing = set(wanted)
        while missing:
            line = await self._read_line()
            assert line is not None, f"ended without {missing}: {self.lines} {self.errors}"
            missing = {text for text in missing if text not in line}

    async def _read_line(self) -> str | None:
        assert self.process.stdout is not None
        while "\n" not in self._buffer:
            chunk = await self.process.stdout.receive_some()
            if not chunk:
                return None
            self._buffer += chunk.decode()
        line, self._buffer = self._buffer.split("\n", 1)
        self.lines.append(line)
        return line

    async def ended(self) -> int:
        """Reads to the end; the exit status."""
        assert self.process.stderr is not None
        while await self._read_line() is not None:
            pass
        async for chunk in self.process.stderr:
            self.errors += chunk.decode()
        assert TOKEN not in "".join(self.lines) + self.errors
        return await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [found for found in self.objects if found["type"] == kind]


@asynccontextmanager
async def running(*arguments: str, token: str | None = TOKEN) -> AsyncGenerator[Running]:
    env = environment(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
    env.pop("DISCORD_TOKEN", None)
    if token is not None:
        env["DISCORD_TOKEN"] = token
    async with command.process(PROGRAM, "run", *arguments, env=env) as process:
        yield Running(process)


async def status(*arguments: str, token: str | None = TOKEN) -> tuple[int, Running]:
    async with running(*arguments, token=token) as program:
        return await program.ended(), program


def end_of_sessions(fake: FakeGateway) -> list[int | None]:
    return [frame.code for frame in fake.log.of(CloseFrame) if frame.by is Side.CLIENT]


# -- statuses ----------------------------------------------------------------------------------------------------------


@pytest.mark.sockets
async def test_a_token_that_the_gateway_refuses_is_status_3() -> None:
    async with FakeGateway(token="another.token") as fake:
        ended, program = await status("--gateway-url", fake.url)
    assert ended == run.Status.TOKEN_REFUSED, program.errors
    assert fake.connections == 1
    assert "check DISCORD_TOKEN" in program.errors
    assert len(program.errors.splitlines()) == 2  # the log's line, and the program's


@pytest.mark.sockets
async def test_a_token_that_the_metadata_refuse_is_status_3() -> None:
    async with FakeGateway(token="another.token") as fake:
        ended, program = await status("--api-url", fake.metadata_url)
        assert (fake.connections, fake.metadata_requests) == (0, 1)
    assert ended == run.Status.TOKEN_REFUSED, program.errors
    assert "401" in program.errors


@pytest.mark.sockets
async def test_a_disallowed_intent_is_status_4_and_is_named() -> None:
    async with FakeGateway(token=TOKEN, rules=Rules(allowed_intents=Intents.unprivileged())) as fake:
        ended, program = await status("--gateway-url", fake.url, "--intents", "guilds,message_content")
    assert ended == run.Status.INTENTS_DISALLOWED, program.errors
    assert "switch on MESSAGE_CONTENT" in program.errors


SPENT = [
    Amend({"session_start_limit": {"total": 1000, "remaining": 0, "reset_after": 7_200_000, "max_concurrency": 1}})
]


@pytest.mark.sockets
async def test_a_spent_budget_is_status_5_and_costs_nothing() -> None:
    async with FakeGateway(token=TOKEN, metadata_script=[SPENT]) as fake:
        ended, program = await status("--api-url", fake.metadata_url)
        assert fake.identifies == 0
    assert ended == run.Status.BUDGET_SPENT, program.errors
    assert re.search(r"more is allowed in (2 h 0 min|1 h 59 min)\. --wait", program.errors)


@pytest.mark.sockets
async def test_a_spent_budget_can_be_waited_for() -> None:
    async with (
        FakeGateway(token=TOKEN, metadata_script=[SPENT]) as fake,
        running("--api-url", fake.metadata_url, "--wait") as program,
    ):
        await program.line("-> backing_off")
        program.signal(signal.SIGTERM)
        assert await program.ended() == run.Status.STOPPED


@pytest.mark.sockets
async def test_another_fatal_close_is_status_6() -> None:
    async with FakeGateway(token=TOKEN) as fake:
        ended, program = await status("--gateway-url", fake.url, "--intents", str(1 << 17))
    assert ended == run.Status.FAILED, program.errors
    assert "1 << 17" in program.errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--intents", "no_such_intent"], "'NO_SUCH_INTENT' is no intent; there are: GUILDS, "),
        (["--shard", "1/1"], "'1/1' is no shard pair"),
        (["--gateway-url", "http://127.0.0.1"], "must begin with 'wss://'"),
        (["--gateway-url", "ws://127.0.0.1:1", "--api-url", "http://127.0.0.1:1"], "not allowed with"),
        (["--compress", "lzma"], "invalid choice"),
    ],
)
async def test_a_command_line_that_cannot_be_used_is_status_2(arguments: list[str], said: str) -> None:
    ended, program = await status(*arguments)
    assert ended == run.Status.USAGE, program.errors
    assert said in program.errors
    assert program.lines == []


@pytest.mark.parametrize("token", [None, "", "two words"])
async def test_without_a_token_nothing_is_tried(token: str | None) -> None:
    ended, program = await status("--gateway-url", "ws://127.0.0.1:1", token=token)
    assert ended == run.Status.USAGE, program.errors
    assert "token" in program.errors


# -- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, run.Status.INTERRUPTED), (signal.SIGTERM, run.Status.STOPPED)]
)
async def test_a_signal_stops_it_in_order(number: signal.Signals, expected: run.Status) -> None:
    async with FakeGateway(token=TOKEN, guilds=1) as fake:
        async with running("--gateway-url", fake.url, "--json") as program:
            await program.line('"GUILD_CREATE"')
            program.signal(number)
            assert await program.ended() == expected
        assert end_of_sessions(fake) == [1000]
        assert not fake.sessions
    assert [found["to"] for found in program.of("transition")][-2:] == ["draining", "stopped"]
    assert program.objects[-1]["type"] == "summary"
    assert program.errors == ""


@pytest.mark.sockets
async def test_a_second_signal_does_not_wait() -> None:
    script = [Connection(on_close=Delay(3600))]
    async with (
        FakeGateway(token=TOKEN, script=script) as fake,
        running("--gateway-url", fake.url) as program,
    ):
        await program.line("READY")
        program.signal(signal.SIGTERM)
        await program.line("-> draining")
        program.signal(signal.SIGTERM)
        assert await program.ended() == 128 + signal.SIGTERM


@pytest.mark.sockets
async def test_a_reader_that_is_gone_ends_it_without_a_word() -> None:
    script = [Connection(after_ready=[Dispatch("TYPING_START", {}), Delay(0.05)] * 1000)]
    async with FakeGateway(token=TOKEN, script=script) as fake, running("--gateway-url", fake.url) as program:
        await program.line("READY")
        assert program.process.stdout is not None
        await program.process.stdout.aclose()
        assert await program.process.wait() == 1
        assert program.process.stderr is not None
        assert await program.process.stderr.receive_some() == b""


# -- what it prints ----------------------------------------------------------------------------------------------------


@pytest.mark.sockets
async def test_json_has_moves_events_and_a_summary() -> None:
    script = [Connection(after_ready=(Dispatch("MESSAGE_CREATE", {"content": "hello"}), Close(4004)))]
    async with FakeGateway(token=TOKEN, guilds=1, script=script) as fake:
        ended, program = await status("--gateway-url", fake.url, "--json", "--intents", "guilds", "--shard", "0/1")
    moves = [(found["state"], found["event"], found["to"]) for found in program.of("transition")]
    assert moves[:3] == [
        ("idle", "register", "registering"),
        ("registering", "registered", "fetching_metadata"),
        ("fetching_metadata", "metadata_fetched", "connecting"),
    ]
    assert moves[-1] == ("ready", "closed", "failed")
    assert [(found["name"], found["seq"]) for found in program.of("event")] == [
        ("READY", 1),
        ("GUILD_CREATE", 2),
        ("MESSAGE_CREATE", 3),
    ]
    summary = program.objects[-1]
    assert (summary["type"], summary["status"]) == ("summary", ended)
    assert (summary["metrics"]["identifies"], summary["metrics"]["dispatches"]) == (1, 3)
    assert all(found["shard"] == 0 for found in program.objects)


@pytest.mark.sockets
async def test_events_can_be_chosen_by_pattern() -> None:
    names = ("MESSAGE_CREATE", "TYPING_START", "MESSAGE_DELETE")
    script = [Connection(after_ready=(*(Dispatch(name, {}) for name in names), Close(4004)))]
    async with FakeGateway(token=TOKEN, script=script) as fake:
        _, program = await status("--gateway-url", fake.url, "--json", "--events", "ready, message_*")
    assert [found["name"] for found in program.of("event")] == ["READY", "MESSAGE_CREATE", "MESSAGE_DELETE"]


@pytest.mark.sockets
async def test_text_has_the_same_for_people() -> None:
    async with FakeGateway(token=TOKEN) as fake, running("--gateway-url", fake.url) as program:
        await program.line("READY 1")
        program.signal(signal.SIGTERM)
        await program.ended()
    text = "\n".join(program.lines)
    assert re.search(r"^\d\d:\d\d:\d\d  identified +-> ready +ready$", text, re.MULTILINE)
    assert re.search(r"stopped   \(connections 1, identifies 1", program.lines[-1])


@pytest.mark.sockets
@pytest.mark.parametrize("compress", ["zlib-stream", "payload"])
async def test_it_compresses_when_asked(compress: str) -> None:
    async with (
        FakeGateway(token=TOKEN) as fake,
        running("--gateway-url", fake.url, "--compress", compress) as program,
    ):
        await program.line("READY 1")


# -- sessions ----------------------------------------------------------------------------------------------------------


@pytest.mark.sockets
async def test_a_session_file_lets_the_next_run_resume(tmp_path: Path) -> None:
    file = tmp_path / "session.json"
    async with FakeGateway(token=TOKEN, guilds=0) as fake:
        async with running("--gateway-url", fake.url, "--session", str(file)) as program:
            await program.line("READY 1")
            program.signal(signal.SIGTERM)
            assert await program.ended() == run.Status.STOPPED
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert TOKEN not in file.read_text(encoding="utf-8")
        await fake.dispatch("MESSAGE_CREATE", {"content": "meanwhile"})
        async with running("--gateway-url", fake.url, "--session", str(file)) as program:
            await program.line("MESSAGE_CREATE 2 (replayed)", "RESUMED 3")
            program.signal(signal.SIGINT)
            assert await program.ended() == run.Status.INTERRUPTED
        assert (fake.identifies, fake.resumes) == (1, 1)
        assert json.loads(file.read_text(encoding="utf-8"))["seq"] == 3  # RESUMED has one of its own


@pytest.mark.sockets
async def test_a_session_file_that_holds_none_gives_way_to_a_new_session(tmp_path: Path) -> None:
    file = tmp_path / "session.json"
    file.write_text("garbage", encoding="utf-8")
    async with (
        FakeGateway(token=TOKEN, guilds=0) as fake,
        running("--gateway-url", fake.url, "--session", str(file)) as program,
    ):
        await program.line("READY 1")
        program.signal(signal.SIGTERM)
        assert await program.ended() == run.Status.STOPPED
    assert "the text is no session" in program.errors
    assert json.loads(file.read_text(encoding="utf-8"))["seq"] == 1


async def test_a_session_file_without_a_folder_is_status_2_before_a_session_begins(tmp_path: Path) -> None:
    ended, program = await status("--gateway-url", "ws://127.0.0.1:1", "--session", str(tmp_path / "no" / "s.json"))
    assert ended == run.Status.USAGE
    assert "make it first" in program.errors
    assert not program.lines


@pytest.mark.sockets
async def test_without_metadata_of_its_own_api_a_token_is_not_shown_to_discord() -> None:
    """The fallback of a bot is Discord's gateway; that of somebody who names an API is the API's host."""
    async with FakeGateway(token=TOKEN, guilds=0, metadata_script=[Answer(503)] * 50) as fake:
        async with running("--api-url", fake.metadata_url) as program:
            await program.line("READY 1")
            program.signal(signal.SIGTERM)
            assert await program.ended() == run.Status.STOPPED
        assert fake.identifies == 1


# -- small parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "intents"),
    [
        ("guilds", Intents.GUILDS),
        ("GUILDS, guild_messages", Intents.GUILDS | Intents.GUILD_MESSAGES),
        ("guilds|guild_members", Intents.GUILDS | Intents.GUILD_MEMBERS),
        ("unprivileged", Intents.unprivileged()),
        ("unprivileged,message_content", Intents.unprivileged() | Intents.MESSAGE_CONTENT),
        ("all", Intents.all()),
        ("none", Intents.none()),
        ("513", 513),
        ("0x201", 513),
    ],
)
def test_intents_are_names_or_a_number(text: str, intents: int) -> None:
    assert run.parse_intents(text) == intents


@pytest.mark.parametrize("text", ["", "guild", "-1", "guilds,,", "1.5"])
def test_other_intents_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="there are: GUILDS"):
        run.parse_intents(text)


@pytest.mark.parametrize("text", ["", "0", "1/1", "a/b", "-1/2", "0/0", "0/1/2"])
def test_other_shard_pairs_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="0/1"):
        run.parse_shard(text)
    assert run.parse_shard("3/16") == (3, 16)


def test_the_statuses_are_kept() -> None:
    """Unit files and scripts know them by number."""
    assert {status.name: int(status) for status in run.Status} == {
        "STOPPED": 0,
        "USAGE": 2,
        "TOKEN_REFUSED": 3,
        "INTENTS_DISALLOWED": 4,
        "BUDGET_SPENT": 5,
        "FAILED": 6,
        "INTERRUPTED": 130,
    }


def test_the_help_names_every_status_and_compression(capsys: pytest.CaptureFixture[str]) -> None:
    from gatewright.cli import main

    with pytest.raises(SystemExit):
        main(["run", "--help"])
    printed = capsys.readouterr().out
    assert {int(found) for found in re.findall(r"^  (\d+) ", printed, re.MULTILINE)} == {1, *map(int, run.Status)}
    assert all(found.value in printed for found in Compression)


def test_an_event_that_is_not_wanted_is_not_printed() -> None:
    from gatewright.transport.dispatch import Dispatch as Received

    out = io.StringIO()
    printer = run.Printer(out, events=("none",))
    printer.event(Received("MESSAGE_CREATE", 1, b"{}"))
    assert out.getvalue() == ""
