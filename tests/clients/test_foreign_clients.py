"""The gateway clients of hikari and discord.py on the fake gateway: READY, messages, resumes, a new session."""

from __future__ import annotations

import base64
import functools
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from gatewright.harness.fake import Closed, FakeGateway, Opened, Received
from gatewright.harness.fake.payloads import BOT_ID, message
from gatewright.spec.protocol import Opcode
from tests.support.requires import requires

pytestmark = [pytest.mark.sockets, pytest.mark.slow]

HERE = Path(__file__).parent
PATIENCE = 60.0
TOKEN = base64.b64encode(BOT_ID.encode()).decode().rstrip("=") + ".fake.token"
"""Its first part is the bot's id, as in a real one; hikari reads it."""

CLIENTS = [
    pytest.param("hikari", "none", None, marks=requires("hikari")),
    pytest.param("hikari", "transport_zlib_stream", "zlib-stream", marks=requires("hikari")),
    pytest.param("hikari", "transport_zstd_stream", "zstd-stream", marks=requires("hikari")),
    pytest.param("discordpy", "", "*", marks=requires("discord.py")),
]


class Bot:
    """What a bot in another process says, line by line."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdout is not None
        self._stdout = process.stdout
        self._said = ""

    async def says(self, line: str) -> None:
        while f"{line}\n" not in self._said:
            data = await self._stdout.receive_some()
            assert data, f"the bot ended; it said: {self._said}"
            self._said += bytes(data).decode()
        self._said = self._said.partition(f"{line}\n")[2]


@asynccontextmanager
async def bot_on(fake: FakeGateway, name: str, compression: str) -> AsyncGenerator[Bot]:
    api = fake.metadata_url.removesuffix("/v10")
    command = [sys.executable, str(HERE / f"bot_{name}.py"), api, compression or fake.url]
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            start = functools.partial(
                trio.run_process,
                command,
                stdout=subprocess.PIPE,
                env={**os.environ, "BOT_TOKEN": TOKEN},
                check=False,
            )
            process: trio.Process = await nursery.start(start)
            yield Bot(process)
            nursery.cancel_scope.cancel()


async def send(fake: FakeGateway, text: str) -> None:
    (guild,) = fake.guilds
    await fake.dispatch("MESSAGE_CREATE", message(text, channel_id=guild.channels[0].id, guild_id=guild.id))


@pytest.mark.parametrize(("name", "compression", "query"), CLIENTS)
async def test_a_foreign_client_gets_ready_receives_and_resumes(name: str, compression: str, query: str | None) -> None:
    async with FakeGateway(token=TOKEN) as fake, bot_on(fake, name, compression) as bot:
        await bot.says("READY")
        await send(fake, "hello")
        await bot.says("MESSAGE hello")

        fake.reconnect()
        await bot.says("RESUMED")
        await send(fake, "after op 7")
        await bot.says("MESSAGE after op 7")

        fake.drop(reset=True)
        # Counted, since a client may be back before anybody looks how many connections are open.
        await fake.wait_until(lambda log: len(log.of(Closed)) == 2)
        await send(fake, "while away")  # replayed
        await bot.says("MESSAGE while away")
        await fake.wait_until(lambda log: log.sent("RESUMED") == 2)

        assert (fake.identifies, fake.resumes) == (1, 2)
        assert all(seen.token_matched for seen in fake.log.of(Received) if seen.op in {Opcode.IDENTIFY, Opcode.RESUME})
        targets = [opened.target for opened in fake.log.of(Opened)]
        if query == "*":
            assert all("compress=z" in target for target in targets)
        else:
            assert all((f"compress={query}" in target) is (query is not None) for target in targets)

        await send(fake, "bye")
        await bot.says("MESSAGE bye")
        await fake.wait_until(lambda log: log.open_connections == 0)


@pytest.mark.parametrize(("name", "compression", "query"), [CLIENTS[0], CLIENTS[3]])
async def test_a_foreign_client_begins_anew_after_op_9(name: str, compression: str, query: str | None) -> None:
    async with FakeGateway(token=TOKEN) as fake, bot_on(fake, name, compression) as bot:
        await bot.says("READY")
        await trio.sleep(5)  # the identify slot is free again, and the fake holds to it
        fake.invalidate()
        await fake.wait_until(lambda log: log.sent("READY") == 2)
        await send(fake, "hello again")
        await bot.says("MESSAGE hello again")
        assert (fake.identifies, fake.resumes) == (2, 0)
