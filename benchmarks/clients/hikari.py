"""hikari's shard by itself: `GatewayShardImpl` with its defaults, and an event manager that only counts."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import hikari
from hikari.api.shard import GatewayCompression
from hikari.impl.config import HTTPSettings, ProxySettings
from hikari.impl.shard import GatewayShardImpl

from benchmarks.payloads import END
from benchmarks.task import TOKEN, Meter, Task, latencies, lateness

_COMPRESSION = {"none": None, "zlib-stream": GatewayCompression.TRANSPORT_ZLIB_STREAM}


class Events:
    """Stands in for the event manager and the event factory; hikari decodes every event itself, looked at or not."""

    def __init__(self) -> None:
        self.meter = Meter()
        self.seen = 0
        self.samples: list[int] = []
        self.end: dict[str, Any] = {}
        self.ended = asyncio.Event()

    def consume_raw_event(self, name: str, shard: object, data: dict[str, Any]) -> None:
        self.seen += 1
        if name == "READY":
            self.meter.start()
        elif name == END:
            self.meter.stop()
            self.end = data
            self.ended.set()
        elif "sent_ns" in data:
            self.samples.append(time.perf_counter_ns() - data["sent_ns"])

    async def dispatch(self, *args: object, **options: object) -> None:
        pass

    def __getattr__(self, name: str) -> object:
        return lambda *args, **options: None


async def run(task: Task) -> dict[str, float]:
    events = Events()
    settings = HTTPSettings(ssl=task.ssl_context() or True)
    shard = GatewayShardImpl(
        compression=_COMPRESSION[task.compress],
        intents=hikari.Intents.GUILDS | hikari.Intents.GUILD_MESSAGES,
        http_settings=settings,
        proxy_settings=ProxySettings(),
        event_manager=events,
        event_factory=events,
        token=TOKEN,
        url=task.url,
    )
    await shard.start()
    await events.ended.wait()
    result = events.meter.result(events.seen)
    if task.scenario == "flood":
        result = lateness(events.end["late_ms"]) | {"thousands_per_s": events.seen / events.meter.wall / 1e3}
    elif task.scenario == "latency":
        result |= latencies(events.samples[100:])
    shard._keep_alive_task.cancel()
    return result


def main(task: Task) -> dict[str, float]:
    loop = asyncio.new_event_loop()
    return loop.run_until_complete(run(task))
