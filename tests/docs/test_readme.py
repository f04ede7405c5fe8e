"""What README promises: its example runs as it stands, its commands and its links exist."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

import gatewright
from gatewright.harness.fake import FakeGateway
from gatewright.transport.metadata import HttpMetadataSource
from gatewright.transport.token import Token
from tests.support.threads import PATIENCE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAwMQ.readme.example"


def _example() -> str:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return next(block for block in blocks if "trio.run(main)" in block)


@pytest.mark.sockets
async def test_the_example_prints_what_the_gateway_sends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mains: list[Callable[[], Awaitable[None]]] = []
    async with FakeGateway(token=TOKEN, guilds=1) as fake:
        metadata = HttpMetadataSource(Token(TOKEN), base_url=fake.metadata_url)
        monkeypatch.setenv("DISCORD_TOKEN", TOKEN)
        # The example talks to Discord; only where it finds the gateway is changed.
        monkeypatch.setattr(gatewright, "Shard", functools.partial(gatewright.Shard, metadata=metadata))
        monkeypatch.setattr(trio, "run", mains.append)
        exec(compile(_example(), "README.md", "exec"), {})
        assert len(mains) == 1
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(mains[0])
                await fake.wait_until(lambda log: log.sent("READY") == 1)
                await fake.dispatch("MESSAGE_CREATE", {"id": "42"})
                printed = ""
                while "MESSAGE_CREATE 42" not in printed:
                    await trio.sleep(0.01)
                    printed += capsys.readouterr().out
                nursery.cancel_scope.cancel()
    assert printed.splitlines()[0].startswith("READY")
    assert fake.identifies == 1


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", README))))
def test_every_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists(), f"README links to {link}, which does not exist"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^\$ make ([a-z]+)", README, re.MULTILINE))))
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
