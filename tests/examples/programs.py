"""A program of examples/ in a process of its own, on a fake gateway of this process."""

from __future__ import annotations

import base64
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from gatewright.harness.fake import FakeGateway
from gatewright.harness.fake.payloads import BOT_ID, message
from tests.cli import command
from tests.cli.command import environment
from tests.support.checkout import ROOT

TOKEN = base64.b64encode(BOT_ID.encode()).decode().rstrip("=") + ".fake.token"
"""Its first part is the bot's id, as in a real one; hikari reads it."""


@attrs.define
class Program:
    """A process, and what it has printed so far."""

    process: trio.Process
    printed: str = ""
    errors: str = ""

    async def prints(self, *wanted: str) -> None:
        """Waits until it has printed these lines, in this order and perhaps with others between them."""
        assert self.process.stdout is not None
        while not self._has(wanted):
            chunk = await self.process.stdout.receive_some()
            assert chunk, f"ended without {wanted}: {self.printed}{await self._rest()}"
            self.printed += chunk.decode()

    async def ended(self) -> int:
        """Reads to its end; the exit status."""
        assert self.process.stdout is not None
        async for chunk in self.process.stdout:
            self.printed += chunk.decode()
        await self._rest()
        assert TOKEN not in self.printed + self.errors
        return await self.process.wait()

    async def interrupted(self) -> int:
        """As :meth:`ended`, by Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return await self.ended()

    def _has(self, wanted: tuple[str, ...]) -> bool:
        lines = iter(self.printed.splitlines())
        return all(line in lines for line in wanted)

    async def _rest(self) -> str:
        assert self.process.stderr is not None
        async for chunk in self.process.stderr:
            self.errors += chunk.decode()
        return self.errors


@asynccontextmanager
async def running(
    fake: FakeGateway, name: str, *arguments: str, cwd: Path, token: str = TOKEN, **variables: str
) -> AsyncGenerator[Program]:
    """While it runs. Its errors fit into a pipe: nothing reads them before the end."""
    pointed = Path(__file__).with_name("pointed.py")
    async with command.process(
        sys.executable,
        pointed,
        fake.metadata_url,
        ROOT / "examples" / name,
        *arguments,
        env=environment(DISCORD_TOKEN=token, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", **variables),
        cwd=cwd,
    ) as process:
        yield Program(process)


async def say(fake: FakeGateway, *texts: str) -> None:
    """Somebody writes these in the first guild."""
    guild = fake.guilds[0]
    for text in texts:
        await fake.dispatch("MESSAGE_CREATE", message(text, channel_id=guild.channels[0].id, guild_id=guild.id))
