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

    `scenario` is ``throughput``, ``latency``, ``memory``, ``startup`` or ``resume``; `decode` whether every event's
    data are looked at; `count` how many shards, where that matters.
    """

    scenario: str
    port: int
    events: int = 0
    authority: str = ""
    compress: str = "none"
    decode: bool = False
    count: int = 1
    concurrency: int = 16
    spacing: float = 0.1

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
        return {"cpu_us": self.cpu / events * 1e6, "wall_us": self.wall / events * 1e6}


def latencies(samples_ns: list[int]) -> dict[str, float]:
    """Percentiles in microseconds."""
    cuts = statistics.quantiles(samples_ns, n=100)
    return {"p50_us": cuts[49] / 1e3, "p99_us": cuts[98] / 1e3}
