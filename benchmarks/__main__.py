"""`python -m benchmarks SCENARIO`: measures, and prints a table or JSON. docs/performance.md says how to read it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import attrs

from benchmarks.plot import bars
from benchmarks.run import PEERS, Result, interleaved, median, serving
from benchmarks.server import Load

LOADS = [("none", False), ("zlib-stream", False), ("none", True), ("zlib-stream", True)]
OURS = "gatewright"

Rows = dict[str, list[Result]]


def throughput(options: argparse.Namespace) -> dict[str, Rows]:
    """CPU per event in the client process, by what the connection uses."""
    found: dict[str, Rows] = {}
    for compress, tls in LOADS:
        load = Load(mode="flood", events=options.events, tls=tls, compress=compress)
        with serving(load) as task:
            decoding = attrs.evolve(task, decode=True)
            rows = [("bare limit", "bare", task), (OURS, OURS, task), (f"{OURS}, data decoded", OURS, decoding)]
            rows += [(peer, peer, task) for peer in options.peer]
            found[load.name] = interleaved(rows, options.rounds)
    return found


def latency(options: argparse.Namespace) -> dict[str, Rows]:
    """Time from the server's send to the consumer, at a steady rate, data decoded."""
    found: dict[str, Rows] = {}
    for compress, tls in LOADS[::3]:
        load = Load(mode="paced", events=2000, rate=500.0, tls=tls, compress=compress)
        with serving(load) as task:
            task = attrs.evolve(task, scenario="latency")
            found[load.name] = interleaved([(name, name, task) for name in (OURS, *options.peer)], options.rounds)
    return found


def memory(options: argparse.Namespace) -> dict[str, Rows]:
    """Memory of idle shards in one process."""
    return _many(options, scenario="memory")


def startup(options: argparse.Namespace) -> dict[str, Rows]:
    """Time until all shards of a process are ready, 16 at a time, the identify window scaled down to 0.1 s."""
    return _many(options, scenario="startup")


def _many(options: argparse.Namespace, *, scenario: str) -> dict[str, Rows]:
    with serving(Load(mode="idle")) as task:
        task = attrs.evolve(task, scenario=scenario, count=options.shards)
        return {f"{options.shards} shards": interleaved([(OURS, OURS, task)], options.rounds)}


def resume(options: argparse.Namespace) -> dict[str, Rows]:
    """Time from leaving a connection to ready again."""
    with serving(Load(mode="idle")) as task:
        return {"plain": interleaved([(OURS, OURS, attrs.evolve(task, scenario="resume"))], options.rounds)}


SCENARIOS: dict[str, tuple[Callable[[argparse.Namespace], dict[str, Rows]], list[str], str]] = {
    "throughput": (throughput, ["cpu_us"], "µs of CPU per event"),
    "latency": (latency, ["p50_us", "p99_us", "cpu_us"], "µs from socket to consumer, 500 events/s"),
    "memory": (memory, ["kib_per_shard"], "KiB of resident memory per idle shard, no TLS"),
    "startup": (startup, ["seconds", "least_seconds", "ratio", "cpu_ms_per_shard"], "start of many shards"),
    "resume": (resume, ["ms"], "from leaving a connection to ready again, by RESUME"),
}


def machine() -> str:
    versions = [f"{name} {metadata.version(name)}" for name in ("trio", "msgspec", *PEERS) if _installed(name)]
    return f"{os.cpu_count()} cores, {platform.system()}, CPython {platform.python_version()}, {', '.join(versions)}"


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def table(found: dict[str, Rows], keys: list[str], *, peer: str | None) -> str:
    """Markdown: medians, and how they compare with the first peer and with the bare limit."""
    lines: list[str] = []
    compared = [name for name in (peer, "bare limit") if name is not None]
    for key in keys:
        known = [name for name in compared if any(name in rows for rows in found.values())]
        lines += ["", f"| {key} | median | " + "".join(f"of {name} | " for name in known)]
        lines.append("|---|--:|" + "--:|" * len(known))
        for load, rows in found.items():
            for name, results in rows.items():
                value = median(results, key)
                ratios = [
                    f"{value / median(rows[other], key):.2f} | " if key in rows[other][0] else "– | "
                    for other in known
                    if other in rows
                ]
                lines.append(f"| {load}: {name} | {value:.2f} | " + "".join(ratios))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--peer", action="append", choices=PEERS, default=[], help="measure it in the same run")
    parser.add_argument("--installed-peers", action="store_true", help="measure all peers that are installed")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each row, interleaved (default: 5)")
    parser.add_argument("--events", type=int, default=100_000, help="events of a flood (default: 100000)")
    parser.add_argument("--shards", type=int, default=1000, help="how many shards (default: 1000)")
    parser.add_argument("--json", action="store_true", help="print every result")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="draw the medians of the first column")
    options = parser.parse_args()
    if options.installed_peers:
        options.peer = [peer for peer in PEERS if _installed(peer)]
    missing = [peer for peer in options.peer if not _installed(peer)]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}. Install with: pip install {' '.join(missing)}")
    measure, keys, title = SCENARIOS[options.scenario]
    found = measure(options)
    if options.json:
        print(json.dumps({"scenario": options.scenario, "machine": machine(), "results": found}))
    else:
        print(f"{options.scenario}: {title}. Medians of {options.rounds}. {machine()}")
        print(table(found, keys, peer=next(iter(options.peer), None)))
    if options.plot is not None:
        medians = {
            load: {name: median(results, keys[0]) for name, results in rows.items()} for load, rows in found.items()
        }
        options.plot.write_text(bars(medians, title=title), encoding="utf-8")


if __name__ == "__main__":
    main()
