"""Gatewright as a user has it: the public `Shard`, its defaults, its journal."""

from __future__ import annotations

import gc
import time
from typing import Any

import trio

from benchmarks.payloads import END
from benchmarks.task import TOKEN, Meter, Task, latencies
from gatewright.harness.memory import resident
from gatewright.spec.intents import Intents
from gatewright.spec.protocol import IDENTIFY_SPACING
from gatewright.spec.session import Metadata
from gatewright.transport.gate import SLACK, InMemoryIdentifyGate
from gatewright.transport.metadata import StaticMetadataSource
from gatewright.transport.shard import Shard
from gatewright.transport.streams import TcpStreamOpener


def shard_for(task: Task, **options: object) -> Shard:
    return Shard(
        TOKEN,
        intents=Intents.GUILDS | Intents.GUILD_MESSAGES,
        compress=task.compress,
        metadata=StaticMetadataSource(Metadata(url=task.url, max_concurrency=task.concurrency)),
        opener=TcpStreamOpener(ssl_context=task.ssl_context()),
        **options,
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


def memory_in_kib() -> float:
    found = resident()
    if found is None:
        raise SystemExit("nobody says here how much memory a process has; this scenario needs Linux")
    return found * 1024


async def memory(task: Task) -> dict[str, float]:
    return await _many(task, spacing=0.0)


async def startup(task: Task) -> dict[str, float]:
    return await _many(task, spacing=task.spacing)


async def _many(task: Task, *, spacing: float) -> dict[str, float]:
    scaled: dict[str, Any] = {"spacing": spacing, "slack": SLACK * spacing / IDENTIFY_SPACING, "total": 100_000}
    gate = InMemoryIdentifyGate(**scaled)
    async with shard_for(task, gate=gate) as warm:  # what is loaded once is not a shard's
        await warm.wait_for("ready")
    gc.collect()
    before = memory_in_kib()
    gate = InMemoryIdentifyGate(**scaled)
    ready = 0
    done = trio.Event()
    began = time.perf_counter()
    cpu = time.process_time()
    async with trio.open_nursery() as nursery:

        async def hold(number: int) -> None:
            nonlocal ready
            async with shard_for(task, gate=gate, shard_id=number, shard_count=task.count) as shard:
                await shard.wait_for("ready")
                ready += 1
                if ready == task.count:
                    done.set()
                await trio.sleep_forever()

        for number in range(task.count):
            nursery.start_soon(hold, number)
        await done.wait()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        await trio.sleep(0.5)
        gc.collect()
        grown = memory_in_kib() - before
        rounds = -(-task.count // task.concurrency) - 1
        least = rounds * spacing
        nursery.cancel_scope.cancel()
    result = {
        "kib_per_shard": grown / task.count,
        "seconds": seconds,
        "cpu_ms_per_shard": cpu / task.count * 1e3,
    }
    return result | ({"least_seconds": least, "ratio": seconds / least} if least else {})


async def resume(task: Task) -> dict[str, float]:
    """From the request to leave a connection to `ready` again, by way of RESUME."""
    async with shard_for(task) as shard:
        await shard.wait_for("ready")
        began = time.perf_counter()
        shard.reconnect()
        await shard.wait_for("resuming")
        await shard.wait_for("ready")
        return {"ms": (time.perf_counter() - began) * 1e3}


def main(task: Task) -> dict[str, float]:
    scenario = {
        "throughput": throughput,
        "latency": latency,
        "memory": memory,
        "startup": startup,
        "resume": resume,
    }[task.scenario]
    return trio.run(scenario, task)
