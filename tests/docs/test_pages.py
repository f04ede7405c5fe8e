"""What docs/sessions.md, docs/events.md and docs/commands.md promise: their examples run as they stand."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

import gatewright
from gatewright.harness.fake import FakeGateway, guild
from gatewright.spec.session import SessionRefusal
from gatewright.transport.metadata import HttpMetadataSource
from gatewright.transport.token import Token
from tests.support.threads import PATIENCE

DOCS = Path(__file__).parents[2] / "docs"
TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAwMQ.pages.example"

Main = Callable[[], Awaitable[None]]


def main_of(page: str, monkeypatch: pytest.MonkeyPatch) -> Main:
    """The program of a page, with nothing changed but where it finds the gateway (and that the test runs it)."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    (program,) = [block for block in blocks if "trio.run(main)" in block]
    mains: list[Main] = []
    monkeypatch.setattr(trio, "run", mains.append)
    exec(compile(program, page, "exec"), {})
    (main,) = mains
    return main


def aim(fake: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = HttpMetadataSource(Token(TOKEN), base_url=fake.metadata_url)
    monkeypatch.setenv("DISCORD_TOKEN", TOKEN)
    monkeypatch.setattr(gatewright, "Shard", functools.partial(gatewright.Shard, metadata=metadata))


async def printed(capsys: pytest.CaptureFixture[str], last: str) -> list[str]:
    """What was printed, as soon as `last` was."""
    text = ""
    while last not in text:
        await trio.sleep(0.01)
        text += capsys.readouterr().out
    return text.splitlines()


@pytest.mark.sockets
async def test_the_bot_of_the_sessions_page_is_restarted_and_misses_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    async with FakeGateway(token=TOKEN, guilds=2) as fake:
        aim(fake, monkeypatch)
        main = main_of("sessions.md", monkeypatch)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(main)
                await fake.wait_until(lambda log: log.sent("READY") == 1)
                for number in ("1", "2"):
                    await fake.dispatch("MESSAGE_CREATE", {"id": number})
                assert await printed(capsys, "handled 2") == ["handled 1", "handled 2"]
                nursery.cancel_scope.cancel()  # as Ctrl-C does
            for number in ("3", "4"):
                await fake.dispatch("MESSAGE_CREATE", {"id": number})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(main)
                assert await printed(capsys, "handled 4") == ["handled 3", "handled 4"]
                nursery.cancel_scope.cancel()
    assert (fake.identifies, fake.log.resumes) == (1, 1)


@pytest.mark.sockets
async def test_the_bot_of_the_events_page_prints_its_session_and_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeGateway(token=TOKEN, guilds=2) as fake:
        aim(fake, monkeypatch)
        main = main_of("events.md", monkeypatch)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(main)
                await fake.wait_until(lambda log: log.sent("READY") == 1)
                await fake.dispatch("TYPING_START", {})
                await fake.dispatch("MESSAGE_CREATE", {"id": "42"})
                lines = await printed(capsys, " 42")
                nursery.cancel_scope.cancel()
    assert lines[1:] == ["MESSAGE_CREATE 5 42"]
    assert lines[0].startswith("session ")


@pytest.mark.sockets
async def test_the_bot_of_the_commands_page_counts_members(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeGateway(token=TOKEN, guilds=[guild("7", member_count=1003)]) as fake:
        aim(fake, monkeypatch)
        main = main_of("commands.md", monkeypatch)
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(main)
                lines = await printed(capsys, "members")
                nursery.cancel_scope.cancel()
    assert lines == ["carried", "7 has 1003 members"]


@pytest.mark.parametrize("reason", SessionRefusal)
def test_every_reason_to_refuse_a_session_is_on_the_page(reason: SessionRefusal) -> None:
    assert f"| `{reason.value}` |" in (DOCS / "sessions.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["sessions.md", "events.md", "commands.md"])
def test_every_link_of_the_pages_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", (DOCS / page).read_text(encoding="utf-8")):
        assert (DOCS / link).exists(), link
