"""docs/asyncio.md: each of its programs runs as it stands, on a fake gateway in another thread."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Coroutine
from typing import Any

import pytest

import gatewright.embed
from gatewright.harness.fake import Guild, Log, Rules, members
from gatewright.spec.session import Metadata
from gatewright.transport.metadata import StaticMetadataSource
from tests.support.checkout import ROOT
from tests.support.shards import TOKEN, close_codes
from tests.support.threads import PATIENCE, Elsewhere, gateway_in_a_thread

pytestmark = pytest.mark.sockets

PAGE = (ROOT / "docs/asyncio.md").read_text(encoding="utf-8")
SECTIONS = {title: text for title, _, text in (part.partition("\n") for part in PAGE.split("\n## "))}
GUILD = Guild(id="41771983423143937", members=members(7))


def code(title: str) -> str:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", SECTIONS[title], re.DOTALL)
    return "\n".join(blocks)


EXAMPLES = {
    "Cancellation, errors, Ctrl-C": "ready with 1 guild",
    "Several shards": "ready: 0 1",
    "What has no method": "members: 7",
}


def run_example(title: str, there: Elsewhere, monkeypatch: pytest.MonkeyPatch, *, bot: bool = False) -> Any:
    """Runs a program of the page with nothing changed but where it finds the gateway."""
    metadata = StaticMetadataSource(Metadata(url=there.url, max_concurrency=2))
    shard = functools.partial(gatewright.embed.AsyncioShard, metadata=metadata)
    monkeypatch.setattr(gatewright.embed, "AsyncioShard", shard)
    monkeypatch.setenv("DISCORD_TOKEN", TOKEN)
    monkeypatch.setenv("GUILD", GUILD.id)
    namespace: dict[str, Any] = {}
    source = code("A bot") if bot else code("A bot").replace("asyncio.run(main())\n", "") + code(title)
    exec(compile(source, f"docs/asyncio.md: {title}", "exec"), namespace)
    if not bot:
        asyncio.run(asyncio.wait_for(namespace["main"](), PATIENCE))


@pytest.mark.parametrize(("title", "printed"), EXAMPLES.items())
def test_an_example_does_what_it_says(
    title: str, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with gateway_in_a_thread(guilds=[GUILD], rules=Rules(max_concurrency=2)) as there:
        run_example(title, there, monkeypatch)
    assert printed in capsys.readouterr().out
    assert set(close_codes(there.fake)) == {1000}


def _is_ready(log: Log) -> bool:
    return log.sent("READY") == 1


def test_the_bot_prints_what_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    really = asyncio.run

    def run_a_while(main: Coroutine[Any, Any, None]) -> None:
        async def outside() -> None:
            bot = asyncio.create_task(main)
            await asyncio.to_thread(there.do, there.fake.wait_for_identify, 1)
            await asyncio.to_thread(there.do, there.fake.wait_until, _is_ready)
            await asyncio.to_thread(there.do, there.fake.dispatch, "MESSAGE_CREATE", {"content": "hello"})
            while "said: hello" not in capsys.readouterr().out:  # noqa: ASYNC110 - nothing says that it was printed
                await asyncio.sleep(0.01)
            bot.cancel()
            with pytest.raises(asyncio.CancelledError):
                await bot

        really(asyncio.wait_for(outside(), PATIENCE))

    monkeypatch.setattr(asyncio, "run", run_a_while)
    with gateway_in_a_thread() as there:
        run_example("A bot", there, monkeypatch, bot=True)
    assert close_codes(there.fake) == [1000]


def test_every_program_of_the_page_is_run() -> None:
    assert {title for title in SECTIONS if "```python" in SECTIONS[title]} == {*EXAMPLES, "A bot"}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGE))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
