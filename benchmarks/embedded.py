"""`python -m benchmarks.embedded`: frameworks with their own gateway client and on the engine, interleaved in one run.

Each run is a process of its own, against a fake gateway in another. Prints, as a table or JSON:

- CPU of the whole bot per MESSAGE_CREATE that reached its handler, in µs: in a burst (the messages pile up while the
  first handler blocks for a second), and one by one as they come;
- the largest gap between two heartbeats, in s, while a handler blocks for 1.5 s and the interval is 0.3 s;
- how long a call takes from asyncio to the engine and back, in µs.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final

import trio

from gatewright.harness.fake import FakeGateway, Received, Rules
from gatewright.harness.fake.payloads import BOT_ID, message
from gatewright.spec.protocol import Opcode

TOKEN: Final = base64.b64encode(BOT_ID.encode()).decode().rstrip("=") + ".fake.token"
CHANNEL: Final = "175204397159022599"
BLOCKED: Final = 1.5
INTERVAL: Final = 0.3
WAYS: Final = ("own", "engine")


# -- the gateway, in a process of its own ------------------------------------------------------------------------------


async def serve(messages: int, interval: float) -> None:
    """Serves one bot; floods it once a line comes in, and prints its heartbeats when it has left."""
    rules = Rules(heartbeat_tolerance=None)
    async with FakeGateway(token=TOKEN, heartbeat_interval=interval, rules=rules) as fake:
        print(fake.metadata_url, flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)
        data = message("hello", channel_id=CHANNEL)
        for _ in range(messages):
            await fake.dispatch("MESSAGE_CREATE", data)
        await trio.to_thread.run_sync(sys.stdin.readline)
        beats = [entry.time for entry in fake.log.of(Received) if entry.op == Opcode.HEARTBEAT]
        print(max((after - before for before, after in pairwise(beats)), default=0.0), flush=True)


# -- the bot, in another -----------------------------------------------------------------------------------------------


class Heard:
    """The messages that a handler heard; with the first it blocks, if it should."""

    def __init__(self, messages: int, block: float) -> None:
        self._left = self._messages = messages
        self._block = block
        self._begun = 0.0
        self._done = asyncio.Event()

    def one(self) -> None:
        """Called by the handler, for each."""
        if self._left == self._messages:
            self._begun = time.process_time()
            if self._block:
                time.sleep(self._block)
        self._left -= 1
        if self._left == 0:
            self._done.set()

    async def all(self) -> float:
        """CPU seconds from the first to the last; returns after two more heartbeats where the handler has blocked."""
        await self._done.wait()
        cpu = time.process_time() - self._begun
        await asyncio.sleep(2 * INTERVAL if self._block else 0)
        return cpu


async def hikari_bot(api: str, way: str, messages: int, block: float) -> float:
    """CPU seconds from the first message to the last."""
    import hikari

    from gatewright.embed.hikari import GatewayBot

    kind = GatewayBot if way == "engine" else hikari.GatewayBot
    bot = kind(
        TOKEN,
        rest_url=api,
        banner=None,
        logs=None,
        suppress_optimization_warning=True,
        intents=hikari.Intents.ALL_UNPRIVILEGED,
    )
    heard = Heard(messages, block)

    async def on_message(_: hikari.MessageCreateEvent) -> None:
        heard.one()

    bot.subscribe(hikari.MessageCreateEvent, on_message)
    await bot.start(check_for_updates=False)
    print("ready", flush=True)
    cpu = await heard.all()
    await bot.close()
    return cpu


async def discordpy_bot(api: str, way: str, messages: int, block: float) -> float:
    """CPU seconds from the first message to the last."""
    import discord
    from discord.gateway import DiscordWebSocket
    from discord.http import Route
    from yarl import URL

    from gatewright.embed.discordpy import attach

    Route.BASE = api
    intents = discord.Intents.default()
    intents.message_content = True
    bot = discord.Client(intents=intents, guild_ready_timeout=0.1)
    if way == "engine":
        attach(bot)
    else:
        DiscordWebSocket.DEFAULT_GATEWAY = URL(api).with_scheme("ws").with_path("/")
    heard = Heard(messages, block)

    async def on_ready() -> None:
        print("ready", flush=True)

    async def on_message(_: discord.Message) -> None:
        heard.one()

    bot.event(on_ready)
    bot.event(on_message)
    running = asyncio.create_task(bot.start(TOKEN))
    cpu = await heard.all()
    await bot.close()
    await running
    return cpu


BOTS: Final = {"hikari": hikari_bot, "discord.py": discordpy_bot}


async def round_trips(count: int) -> float:
    """The median time of a call, in seconds."""
    from gatewright.embed.thread import EngineThread

    took: list[float] = []
    async with EngineThread() as engine:
        for _ in range(count):
            begun = time.perf_counter()
            await engine.call(trio.lowlevel.checkpoint)
            took.append(time.perf_counter() - begun)
    return statistics.median(took)


# -- measuring ---------------------------------------------------------------------------------------------------------


def once(framework: str, way: str, messages: int, block: float) -> tuple[float, float]:
    """CPU µs a message, and the largest gap between heartbeats in seconds."""
    me = [sys.executable, "-m", "benchmarks.embedded"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": dict(os.environ)}
    # Short only where gaps are measured: a server that is busy with a burst answers no heartbeat in time.
    interval = INTERVAL if messages == 1 else 41.25
    with subprocess.Popen([*me, "--serve", str(messages), str(interval)], **pipes) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        api = server.stdout.readline().strip()
        with subprocess.Popen([*me, "--bot", framework, way, api, str(messages), str(block)], **pipes) as bot:
            assert bot.stdout is not None
            assert bot.stdout.readline() == "ready\n"
            server.stdin.write("go\n")
            server.stdin.flush()
            cpu = float(bot.stdout.readline())
        gap = float(server.communicate("over\n", timeout=60)[0])
    return cpu * 1e6 / messages, gap


def compared(values: dict[str, list[float]]) -> dict[str, float]:
    """Medians of µs, and of the ratios of neighbours in the run."""
    medians = {f"{way}_us": statistics.median(found) for way, found in values.items()}
    return {**medians, "ratio": statistics.median(a / b for a, b in zip(values["engine"], values["own"], strict=True))}


def measure(frameworks: Sequence[str], rounds: int, messages: int) -> dict[str, Any]:
    """Everything, interleaved; medians."""
    found: dict[str, Any] = {}
    for framework in frameworks:
        burst: dict[str, list[float]] = {way: [] for way in WAYS}
        single: dict[str, list[float]] = {way: [] for way in WAYS}
        gaps: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                burst[way].append(once(framework, way, messages, 1.0)[0])
                single[way].append(once(framework, way, messages, 0.0)[0])
                gaps[way].append(once(framework, way, 1, BLOCKED)[1])
        found[framework] = {
            "burst": compared(burst),
            "one_by_one": compared(single),
            "largest_gap_s": {way: max(values) for way, values in gaps.items()},
        }
    found["round_trip_us"] = asyncio.run(round_trips(5000)) * 1e6
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedded", description=__doc__.split("\n")[0])
    parser.add_argument("--framework", action="append", choices=BOTS, help="measure this one (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--bot", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.framework = options.framework or [*BOTS]
    if options.serve:
        trio.run(partial(serve, int(options.serve[0]), float(options.serve[1])))
    elif options.bot:
        framework, way, api, messages, block = options.bot
        print(asyncio.run(BOTS[framework](api, way, int(messages), float(block))), flush=True)
    else:
        found = measure(options.framework, options.rounds, options.messages)
        if options.json:
            print(json.dumps(found, indent=1))
            return
        for framework in options.framework:
            values = found[framework]
            for regime in ("burst", "one_by_one"):
                own, engine, ratio = (values[regime][key] for key in ("own_us", "engine_us", "ratio"))
                line = f"{own:.1f} µs of its own, {engine:.1f} µs on the engine, ratio {ratio:.2f} (bar 1.15)"
                print(f"{framework}, {regime}: CPU per message {line}")
            print(f"{framework}: largest gap between heartbeats {values['largest_gap_s']} s (bar 0.35 on the engine)")
        print(f"asyncio to the engine and back: {found['round_trip_us']:.0f} µs (bar 150)")


if __name__ == "__main__":
    main()
