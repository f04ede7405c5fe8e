"""discord.py's websocket by itself: `DiscordWebSocket`, polled as `Client.connect` does it, without any handler."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import discord
import yarl
from discord import utils
from discord.gateway import DiscordWebSocket

from benchmarks.payloads import END
from benchmarks.task import TOKEN, Meter, Task, latencies, lateness


async def run(task: Task) -> dict[str, float]:
    if task.compress == "zlib-stream":  # it takes zstd when there is a library for it
        utils._ActiveDecompressionContext = utils._ZlibDecompressionContext
    client = discord.Client(intents=discord.Intents.none())
    await client._async_setup_hook()
    client.http.token = TOKEN
    client.http._HTTPClient__session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=task.ssl_context() or True)
    )
    meter, seen, samples, said = Meter(), 0, [], {}
    ended = False
    parsers = client._connection.parsers

    def ready(data: object) -> None:
        meter.start()

    def end(data: dict[str, object]) -> None:
        nonlocal ended
        meter.stop()
        said.update(data)
        ended = True

    def message(data: dict[str, object]) -> None:
        if "sent_ns" in data:
            samples.append(time.perf_counter_ns() - data["sent_ns"])

    # What the state would make of an event is the framework's and not the connection's.
    parsers.clear()
    parsers.update({"READY": ready, END: end, "MESSAGE_CREATE": message})
    socket = await DiscordWebSocket.from_client(
        client, initial=True, gateway=yarl.URL(task.url), compress=task.compress != "none"
    )
    while not ended:
        await socket.poll_event()
        seen += 1
    result = meter.result(seen)
    if task.scenario == "flood":
        result = lateness(said["late_ms"]) | {"thousands_per_s": seen / meter.wall / 1e3}
    elif task.scenario == "latency":
        result |= latencies(samples[100:])
    return result


def main(task: Task) -> dict[str, float]:
    loop = asyncio.new_event_loop()
    return loop.run_until_complete(run(task))
