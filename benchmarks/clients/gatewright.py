"""Gatewright as a user has it: the public `Shard`, its defaults, its journal."""

from __future__ import annotations

import time

import trio

from benchmarks.limits import raise_open_files
from benchmarks.payloads import END
from benchmarks.resident import grown
from benchmarks.task import TOKEN, Meter, Task, latencies, lateness, resumed
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import IDENTIFY_SPACING
from gatewright.spec.session import Metadata
from gatewright.transport.gate import SLACK, InMemoryIdentifyGate
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.seams import StreamOpener
from gatewright.transport.shard import Shard
from gatewright.transport.streams import TcpStreamOpener
from gatewright.transport.urls import GatewayUrl


class Distant:
    """Opens a connection after the round trip that TCP needs for it; what is sent over it, the server delays."""

    def __init__(self, inner: StreamOpener, round_trip: float) -> None:
        self._inner = inner
        self._round_trip = round_trip

    async def __call__(self, url: GatewayUrl) -> trio.abc.Stream:
        await trio.sleep(self._round_trip)
        return await self._inner(url)


def seams_for(task: Task) -> dict[str, object]:
    """What all shards of a bot share."""
    metadata = Metadata(url=task.url, max_concurrency=task.concurrency, total=100_000, remaining=100_000)
    return {
        "metadata": StaticMetadataSource(metadata),
        "opener": TcpStreamOpener(ssl_context=task.ssl_context()),
    }


def shard_for(task: Task, **options: object) -> Shard:
    return Shard(
        TOKEN,
        intents=Intents.GUILDS | Intents.GUILD_MESSAGES,
        compress=task.compress,
        **({} if {"metadata", "opener"} <= options.keys() else seams_for(task)) | options,
    )


async def throughput(task: Task) -> dict[str, float]:
    meter, seen = Meter(), 0
    async with shard_for(task) as shard:
        async for event in shard:
            seen += 1
            if task.decode:
                _ = event.data
            if event.type == "READY":
                meter.start()
            elif event.type == END:
                meter.stop()
                break
    return meter.result(seen)


async def latency(task: Task) -> dict[str, float]:
    samples: list[int] = []
    meter = Meter()
    async with shard_for(task) as shard:
        async for event in shard:
            if event.type == "MESSAGE_CREATE":
                samples.append(time.perf_counter_ns() - event.data["sent_ns"])
            elif event.type == "READY":
                meter.start()
            elif event.type == END:
                meter.stop()
                break
    return latencies(samples[100:]) | meter.result(len(samples))


async def flood(task: Task) -> dict[str, float]:
    meter, seen = Meter(), 0
    async with shard_for(task) as shard:
        async for event in shard:
            seen += 1
            if event.type == "READY":
                meter.start()
            elif event.type == END:
                meter.stop()
                return lateness(event.data["late_ms"]) | {"thousands_per_s": seen / meter.wall / 1e3}
    raise AssertionError("the server ends a flood")


async def resume(task: Task) -> dict[str, float]:
    opener = TcpStreamOpener(ssl_context=task.ssl_context())
    async with shard_for(task, opener=Distant(opener, task.round_trip)) as shard:
        async for event in shard:
            if event.type == "RESUMED":
                return resumed(event.data["dropped_ns"], task)
    raise AssertionError("the shard is stopped by leaving its block")


async def startup(task: Task) -> dict[str, float]:
    """All the shards of a bot, each as its user would begin it. The window is scaled down, and with it the slack."""
    async with shard_for(task) as warm:  # what is loaded once is not a shard's
        await warm.wait_for("ready")
    began, cpu, done = time.perf_counter(), time.process_time(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hold, task, done)
        await done.wait()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        nursery.cancel_scope.cancel()
    return {
        "ratio": seconds / task.least_seconds,
        "seconds": seconds,
        "least_seconds": task.least_seconds,
        "cpu_ms_per_shard": cpu / task.count * 1e3,
    }


async def memory(task: Task) -> dict[str, float]:
    async with shard_for(task) as warm:  # what is loaded once is not a shard's
        await warm.wait_for("ready")
    return await grown(task.count, lambda done: _hold(task, done))


async def _hold(task: Task, done: trio.Event) -> None:
    gate = InMemoryIdentifyGate(spacing=task.spacing, slack=SLACK * task.spacing / IDENTIFY_SPACING)
    shared = seams_for(task) | {"gate": gate}
    ready = 0

    async def hold(number: int) -> None:
        nonlocal ready
        async with shard_for(task, **shared, shard_id=number, shard_count=task.count) as shard:
            await shard.wait_for("ready")
            ready += 1
            if ready == task.count:
                done.set()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for number in range(task.count):
            nursery.start_soon(hold, number)


def main(task: Task) -> dict[str, float]:
    raise_open_files()
    return trio.run(globals()[task.scenario], task)
