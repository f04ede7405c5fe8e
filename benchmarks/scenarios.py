"""What is measured: which rows, on which loads, and which of their figures are shown."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from benchmarks.run import Result, interleaved, median, serving
from benchmarks.server import Load
from benchmarks.task import Task

OURS: Final = "gatewright"
DECODED: Final = f"{OURS}, data decoded"
BARE: Final = "bare limit"

Groups = dict[str, dict[str, list[Result]]]
"""By group (usually a load) and row: the result of each round."""

_LOADS = [("none", False), ("zlib-stream", False), ("none", True), ("zlib-stream", True)]
_ONE_WAY = 0.05
_DROPS = ("close", "op 7", "reset")


@attrs.frozen
class Scenario:
    """What a measurement is about.

    `figures` are keys of the results, the first of them the one that is compared and drawn, with what they are called.
    """

    title: str
    figures: Mapping[str, str]
    measure: Callable[[Namespace], Groups]
    peers: tuple[str, ...] = ()
    """Which of them can be measured."""
    worst: str = ""
    """The figure of which the rounds' worst is shown, and not their median."""

    def value(self, results: list[Result], figure: str) -> float:
        """The figure of all rounds."""
        return max(result[figure] for result in results) if figure == self.worst else median(results, figure)


def throughput(options: Namespace) -> Groups:
    found: Groups = {}
    for compress, tls in _LOADS:
        load = Load(mode="burst", events=options.events, tls=tls, compress=compress)
        with serving(load) as task:
            rows = [(BARE, "bare", task), (OURS, OURS, task), (DECODED, OURS, attrs.evolve(task, decode=True))]
            rows += [(peer, peer, task) for peer in options.peer]
            found[load.name] = interleaved(rows, options.rounds)
    return found


def latency(options: Namespace) -> Groups:
    found: Groups = {}
    for compress, tls in _LOADS[::3]:
        load = Load(mode="paced", events=2000, rate=500.0, tls=tls, compress=compress)
        with serving(load) as task:
            found[load.name] = interleaved(_alike(task, options, "latency"), options.rounds)
    return found


def flood(options: Namespace) -> Groups:
    load = Load(mode="flood", seconds=options.seconds, interval=0.5)
    with serving(load) as task:
        return {load.name: interleaved(_alike(task, options, "flood"), options.rounds)}


def resume(options: Namespace) -> Groups:
    found: Groups = {}
    for drop in _DROPS:
        with serving(Load(mode="drop", drop=drop, latency=_ONE_WAY)) as task:
            found[drop] = interleaved([(OURS, OURS, attrs.evolve(task, scenario="resume"))], options.rounds)
    return found


def startup(options: Namespace) -> Groups:
    with serving(Load(mode="idle")) as task:
        task = attrs.evolve(task, scenario="startup", count=options.shards, spacing=options.window)
        group = f"{options.shards} shards, {task.concurrency} at a time, a window of {options.window:g} s"
        return {group: interleaved([(OURS, OURS, task)], options.rounds)}


def memory(options: Namespace) -> Groups:
    with serving(Load(mode="idle")) as task:
        task = attrs.evolve(task, scenario="memory", count=options.shards)
        rows = [("trio-websocket alone", "websocket", task), (OURS, OURS, task)]
        return {f"{options.shards} idle, no TLS": interleaved(rows, options.rounds)}


def core(options: Namespace) -> Groups:
    rows = [
        ("a dispatch through the table", "core", _here("row")),
        ("the same, with time, counts and journal", "core", _here("dispatch")),
        ("any other transition", "core", _here("transition")),
    ]
    return {"": interleaved(rows, options.rounds)}


def imports(options: Namespace) -> Groups:
    rows = [
        ("nothing", "imports", _here("nothing")),
        ("import gatewright", "imports", _here("package")),
        ("from gatewright import Shard", "imports", _here("shard")),
    ]
    return {"": interleaved(rows, options.rounds)}


def explore(options: Namespace) -> Groups:
    return {"": interleaved([("the shipped table", "explore", _here("explore"))], options.rounds)}


def _alike(task: Task, options: Namespace, scenario: str) -> list[tuple[str, str, Task]]:
    task = attrs.evolve(task, scenario=scenario)
    return [(name, name, task) for name in (OURS, *options.peer)]


def _here(scenario: str) -> Task:
    return Task(scenario=scenario, port=0)


_BOTH = ("hikari", "discord.py")

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "throughput": Scenario("CPU per event, µs", {"cpu_us": "µs of CPU per event"}, throughput, _BOTH),
    "latency": Scenario(
        "From socket to consumer at 500 events/s, µs",
        {"p50_us": "p50, µs", "p99_us": "p99, µs", "cpu_us": "CPU, µs"},
        latency,
        _BOTH,
    ),
    "flood": Scenario(
        "How late heartbeats are during a flood, ms, as the server sees it",
        {"p99_ms": "p99, ms", "p50_ms": "p50, ms", "max_ms": "max, ms", "thousands_per_s": "thousand events/s"},
        flood,
        _BOTH,
        worst="max_ms",
    ),
    "resume": Scenario(
        "From losing a connection to RESUMED, the server 50 ms away: round trips of 100 ms",
        {"round_trips": "round trips", "beyond_ms": "ms beyond three round trips"},
        resume,
    ),
    "startup": Scenario(
        "Many shards to READY, times the least that is possible",
        {"ratio": "of the least", "seconds": "s", "least_seconds": "least, s", "cpu_ms_per_shard": "CPU per shard, ms"},
        startup,
    ),
    "memory": Scenario("Resident memory of an idle connection, KiB", {"kib_each": "KiB"}, memory),
    "core": Scenario("Steps of the core without a network, µs of CPU", {"us": "µs"}, core),
    "imports": Scenario("Importing, ms of CPU", {"cpu_ms": "ms of CPU", "modules": "modules"}, imports),
    "explore": Scenario(
        "The explorer of the proof",
        {
            "thousand_states_per_s": "thousand states/s",
            "thousand_edges_per_s": "thousand edges/s",
            "states": "states",
            "whole_check_s": "whole check, s of CPU",
        },
        explore,
    ),
}
