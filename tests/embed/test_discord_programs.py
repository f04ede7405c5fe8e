"""A bot on discord.py or one of its like as its author wrote it and with two lines more, run as a program."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest

from gatewright.harness.fake.payloads import message
from tests.embed.discord_bots import each_library
from tests.support.requires import requires
from tests.support.shards import TOKEN, close_codes
from tests.support.threads import PATIENCE, gateway_in_a_thread

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.filterwarnings("ignore:pkg_resources is deprecated:UserWarning"),  # nextcord's
]

UNMODIFIED = """
    import os
    import threading

    import LIBRARY
    from LIBRARY.ext import commands

    bot = commands.Bot("!", intents=LIBRARY.Intents.all())


    @bot.event
    async def on_ready():
        print("ready as", bot.user.name, flush=True)


    @bot.command()
    async def stop(context, word):
        threads = {thread.name for thread in threading.enumerate()}
        print(word, "gatewright" in threads, flush=True)
        await bot.close()


    bot.run(os.environ["BOT_TOKEN"])
    # What has been told to end may take a moment: the loop's watch, the thread of the library's own heartbeats.
    for thread in [one for one in threading.enumerate() if one.daemon]:
        thread.join(60)
    left = [thread.name for thread in threading.enumerate()]
    print("left", left, flush=True)
"""

ELSEWHERE = """
    import importlib, os, runpy, sys

    import yarl

    library, program = sys.argv[1:]
    gateway, http = (importlib.import_module(f"{library}.{name}") for name in ("gateway", "http"))
    http.Route.BASE = http.Route.API_BASE_URL = os.environ["API"]
    gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["GATEWAY"])
    runpy.run_path(program, run_name="__main__")
"""
"""Points a library at the fake gateway before the program begins, which knows nothing of it."""


def changed(source: str) -> str:
    """The two lines of docs/discordpy.md."""
    source = source.replace("\nfrom ", "\nimport gatewright.embed.discordpy\nfrom ", 1)
    before, made, after = source.partition("Intents.all())\n")
    return before + made + "gatewright.embed.discordpy.attach(bot)\n" + after


@each_library
def test_a_program_with_two_lines_more_runs_on_the_engine_and_ends_as_it_did(library: str, tmp_path: Path) -> None:
    source = textwrap.dedent(UNMODIFIED).replace("LIBRARY", library)
    more = changed(source)
    assert len(more.splitlines()) - len(source.splitlines()) == 2
    assert told_by(more, library, tmp_path) == ("hello True\nleft ['MainThread']\n", [1000])


@requires("discord.py")
def test_the_program_as_it_was_tells_the_same_without_the_engine(tmp_path: Path) -> None:
    source = textwrap.dedent(UNMODIFIED).replace("LIBRARY", "discord")
    # The library means to close with 1000 as well, and its socket says 4000 first.
    assert told_by(source, "discord", tmp_path) == ("hello False\nleft ['MainThread']\n", [4000])


def told_by(source: str, library: str, tmp_path: Path) -> tuple[str, list[int | None]]:
    """What the program prints once it is ready and was told to stop, and with which codes it left the gateway."""
    program = tmp_path / "bot.py"
    program.write_text(source)
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
            [sys.executable, "-c", textwrap.dedent(ELSEWHERE), library, str(program)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as bot:
            assert bot.stdout is not None
            assert bot.stdout.readline() == "ready as fake\n"
            data = message("!stop hello", channel_id=of.channels[0].id, guild_id=of.id)
            there.do(partial(there.fake.dispatch, "MESSAGE_CREATE", data))
            out, _ = bot.communicate(timeout=PATIENCE)
    assert bot.returncode == 0
    return out, close_codes(there.fake)
