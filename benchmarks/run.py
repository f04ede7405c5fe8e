"""Runs clients against load servers, each in a process of its own, one after the other and interleaved."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import attrs

from benchmarks.server import Load
from benchmarks.task import Task

PEERS = {"hikari": "hikari", "discord.py": "discordpy"}
"""Their name on the command line, and their module in :mod:`benchmarks.clients`."""

Result = dict[str, float]

_PATIENCE = 300.0
"""Seconds for a client, beside what it has to wait for."""


@contextmanager
def serving(load: Load) -> Iterator[Task]:
    """A load server, and the task of its clients, which only lacks a scenario."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", json.dumps(attrs.asdict(load))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        yield Task(
            scenario="throughput",
            port=told["port"],
            authority=told["authority"],
            compress=load.compress,
            events=load.events,
            latency=load.latency,
        )


def run_client(client: str, task: Task) -> Result:
    """One run of one client.

    Raises:
        SystemExit: it failed; what it said was printed.
    """
    command = [sys.executable, "-m", "benchmarks.client", PEERS.get(client, client), json.dumps(attrs.asdict(task))]
    patience = _PATIENCE + 2 * task.least_seconds
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
    if done.returncode:
        raise SystemExit(f"{client} failed on {task}:\n{done.stderr}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def interleaved(rows: Iterable[tuple[str, str, Task]], rounds: int) -> dict[str, list[Result]]:
    """Each row of (name, client, task) once a round; the results by name.

    Whatever else the machine does falls on all of them alike.
    """
    rows = list(rows)
    results: dict[str, list[Result]] = {name: [] for name, _, _ in rows}
    for number in range(rounds):
        for name, client, task in rows:
            print(f"\r\033[K[{number + 1}/{rounds}] {name}", end="", file=sys.stderr, flush=True)
            results[name].append(run_client(client, task))
    print("\r\033[K", end="", file=sys.stderr, flush=True)
    return results


def median(results: list[Result], key: str) -> float:
    return statistics.median(result[key] for result in results)
