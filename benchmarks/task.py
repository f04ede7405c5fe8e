"""What a client process is told, and what it tells."""

from __future__ import annotations

import ssl
import statistics
import time

import attrs

TOKEN = "ODAzNTExMTAyMjQ2Nzg5MTI.bench.bench"


@attrs.frozen(kw_only=True)
class Task:
    """Where the load server is, and what to do there.

    `scenario` is ``throughput``, ``latency``, ``flood``, ``resume``, ``startup`` or ``memory``; `decode` whether every
    event's data are looked at; `count` how many shards, where that matters, `concurrency` how many of them may identify
    at a time, and `spacing` after how many seconds the next ones; `latency` is the way to the server, in seconds.
    """

    scenario: str
    port: int
    events: int = 0
    authority: str = ""
    compress: str = "none"
    decode: bool = False
    count: int = 1
    concurrency: int = 16
    spacing: float = 0.0
    latency: float = 0.0

    @property
    def least_seconds(self) -> float:
        """What a start takes at least: the first ones wait for nothing."""
        return (-(-self.count // self.concurrency) - 1) * self.spacing

    @property
    def round_trip(self) -> float:
        return 2 * self.latency

    @property
    def url(self) -> str:
        return f"{'wss' if self.authority else 'ws'}://127.0.0.1:{self.port}"

    def ssl_context(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.authority) if self.authority else None


class Meter:
    """Processor time and wall time between two moments."""

    def __init__(self) -> None:
        self._cpu = self._wall = 0.0
        self.cpu = self.wall = 0.0

    def start(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def stop(self) -> None:
        self.cpu, self.wall = time.process_time() - self._cpu, time.perf_counter() - self._wall

    def result(self, events: int) -> dict[str, float]:
        return {"cpu_us": self.cpu / events * 1e6, "wall_us": self.wall / events * 1e6, "events": events}


def resumed(dropped_ns: int, task: Task) -> dict[str, float]:
    """How long it took from when the end of the connection had arrived here, now that RESUMED has."""
    seconds = (time.perf_counter_ns() - dropped_ns) / 1e9 - task.latency
    return {"round_trips": seconds / task.round_trip, "beyond_ms": (seconds - 3 * task.round_trip) * 1e3}


def lateness(samples_ms: list[float]) -> dict[str, float]:
    """Percentiles in milliseconds; nobody is late by less than nothing."""
    cuts = statistics.quantiles([max(sample, 0.0) for sample in samples_ms], n=100)
    return {"p50_ms": cuts[49], "p99_ms": cuts[98], "max_ms": max(samples_ms), "beats": len(samples_ms)}


def latencies(samples_ns: list[int]) -> dict[str, float]:
    """Percentiles in microseconds."""
    cuts = statistics.quantiles(samples_ns, n=100)
    return {"p50_us": cuts[49] / 1e3, "p99_us": cuts[98] / 1e3}
