"""A bot on discord.py as its author wrote it, and with two lines more: run as a program, it does the same."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest

from gatewright.harness.fake.payloads import message
from tests.support.shards import TOKEN, close_codes
from tests.support.threads import gateway_in_a_thread

pytestmark = pytest.mark.sockets

PATIENCE = 60.0

UNMODIFIED = """
    import os
    import threading

    import discord
    from discord.ext import commands

    bot = commands.Bot("!", intents=discord.Intents.all())


    @bot.event
    async def on_ready():
        print("ready as", bot.user, flush=True)


    @bot.command()
    async def stop(context, word):
        threads = {thread.name for thread in threading.enumerate()}
        print(word, "gatewright" in threads, flush=True)
        await bot.close()


    bot.run(os.environ["BOT_TOKEN"], log_handler=None)
    # The thread in which the library's own gateway sends its heartbeats may take a moment to end.
    left = [thread.name for thread in threading.enumerate() if not thread.name.startswith("keep-alive-handler")]
    print("left", left, flush=True)
"""

ELSEWHERE = """
    import os, runpy, sys

    import yarl
    from discord.gateway import DiscordWebSocket
    from discord.http import Route

    Route.BASE = os.environ["API"]
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["GATEWAY"])
    runpy.run_path(sys.argv[1], run_name="__main__")
"""
"""Points discord.py at the fake gateway before the program begins, which knows nothing of it."""


def changed(source: str) -> str:
    """The two lines of docs/discordpy.md."""
    source = source.replace("import discord\n", "import discord\nimport gatewright.embed.discordpy\n", 1)
    before, made, after = source.partition("intents=discord.Intents.all())\n")
    return before + made + "gatewright.embed.discordpy.attach(bot)\n" + after


@pytest.mark.parametrize("on_the_engine", [False, True], ids=["as it was", "two lines more"])
def test_a_program_runs_and_ends_alike_with_two_lines_more(on_the_engine: bool, tmp_path: Path) -> None:
    source = textwrap.dedent(UNMODIFIED)
    program = tmp_path / "bot.py"
    program.write_text(changed(source) if on_the_engine else source)
    assert len(program.read_text().splitlines()) - len(source.splitlines()) == (2 if on_the_engine else 0)
    with gateway_in_a_thread() as there:
        of = there.fake.guilds[0]
        environment = {
            **os.environ,
            "BOT_TOKEN": TOKEN,
            "API": there.fake.metadata_url,
            "GATEWAY": there.fake.url,
            "PYTHONPATH": ":".join(sys.path),
        }
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(ELSEWHERE), str(program)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as bot:
            assert bot.stdout is not None
            assert bot.stdout.readline() == "ready as fake#0000\n"
            data = message("!stop hello", channel_id=of.channels[0].id, guild_id=of.id)
            there.do(partial(there.fake.dispatch, "MESSAGE_CREATE", data))
            out, _ = bot.communicate(timeout=PATIENCE)
    assert out == f"hello {on_the_engine}\nleft ['MainThread']\n"
    assert bot.returncode == 0
    # The library means to close with 1000 as well, and its socket says 4000 first.
    assert close_codes(there.fake) == [1000 if on_the_engine else 4000]
