"""Results as Markdown: a table a scenario, and what was aimed at beside what was reached."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

import attrs

from benchmarks.run import PEERS
from benchmarks.scenarios import BARE, DECODED, OURS, SCENARIOS, Groups

BEGIN: Final = "<!-- what follows is written by: make bench ARGS='--write docs/performance.md' -->"
END: Final = "<!-- end of what is written -->"

Results = Mapping[str, Groups]
"""By scenario."""


def installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def machine() -> str:
    """What was measured on: its kind, and nothing that names it."""
    packages = ("trio", "trio-websocket", "msgspec", *PEERS)
    versions = [f"{name} {metadata.version(name)}" for name in packages if installed(name)]
    return (
        f"{os.cpu_count()} cores ({_processor()}), {platform.system()}; "
        f"CPython {platform.python_version()}, {', '.join(versions)}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


# -- tables ------------------------------------------------------------------------------------------------------------


def table(name: str, found: Groups, *, peers: list[str]) -> str:
    """Medians, and how the first figure compares with the first peer and with the bare limit."""
    scenario = SCENARIOS[name]
    figures = scenario.figures
    compared = [row for row in (*peers[:1], BARE) if any(row in rows for rows in found.values())]
    head = ["", *figures.values(), *(f"of {row}" for row in compared)]
    lines = [_line(head), "|---|" + "--:|" * (len(head) - 1)]
    key = next(iter(figures))
    for group, rows in found.items():
        for row, results in rows.items():
            values = [_number(scenario.value(results, figure)) if figure in results[0] else "–" for figure in figures]
            mine = scenario.value(results, key)
            ratios = [f"{mine / scenario.value(rows[other], key):.2f}" if other in rows else "–" for other in compared]
            lines.append(_line([f"{group}: {row}" if group else row, *values, *ratios]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.3g}"


# -- bars --------------------------------------------------------------------------------------------------------------


@attrs.frozen
class Bar:
    """What is aimed at: at most `bar`, and better `stretch`. `reached` raises KeyError for what was not measured."""

    what: str
    reached: Callable[[Results], float]
    bar: float
    stretch: float | None = None
    digits: int = 2


def _value(results: Results, scenario: str, group: str, row: str, key: str = "") -> float:
    about = SCENARIOS[scenario]
    return about.value(results[scenario][group][row], key or next(iter(about.figures)))


def _worst(scenario: str, row: str, loads: tuple[str, ...], of: str, key: str = "") -> Callable[[Results], float]:
    return lambda results: max(
        _value(results, scenario, load, row, key) / _value(results, scenario, load, of, key) for load in loads
    )


def _highest(scenario: str, row: str, key: str = "") -> Callable[[Results], float]:
    return lambda results: max(_value(results, scenario, group, row, key) for group in results[scenario])


_PLAIN, _TLS = ("plain", "zlib-stream"), ("TLS", "TLS + zlib-stream")
_HIKARI = "hikari"

BARS: Final = (
    *(
        Bar(f"CPU per event, of hikari's: {load}", _worst("throughput", OURS, (load,), _HIKARI), bar, stretch)
        for loads, bar, stretch in ((_PLAIN, 0.6, 0.45), (_TLS, 0.75, 0.5))
        for load in loads
    ),
    *(
        Bar(f"the same, data decoded: {load}", _worst("throughput", DECODED, (load,), _HIKARI), 0.9, 0.7)
        for load in (*_PLAIN, *_TLS)
    ),
    Bar("CPU per event, of the bare limit's: plain", _worst("throughput", OURS, ("plain",), BARE), 2.0, 1.5),
    Bar(
        "p50 from socket to consumer, of hikari's",
        _worst("latency", OURS, ("plain", "TLS + zlib-stream"), _HIKARI),
        1.3,
        1.0,
    ),
    Bar("delay of a heartbeat in a flood, p99, ms", _highest("flood", OURS), 50, digits=1),
    Bar("the same, the longest of a run", _highest("flood", OURS, "max_ms"), 50, digits=1),
    Bar("RSS of an idle shard, KiB", _highest("memory", OURS), 40, 32, digits=1),
    Bar("1 000 shards to READY, of the least", _highest("startup", OURS), 1.05, 1.01, digits=3),
    Bar("from a drop to RESUMED, round trips", _highest("resume", OURS), 3.1),
    Bar(
        "a transition of the core, µs",
        lambda results: _value(results, "core", "", "any other transition"),
        12,
        digits=1,
    ),
    Bar(
        "a dispatch through the table, µs",
        lambda results: _value(results, "core", "", "a dispatch through the table"),
        0.5,
    ),
)


def bars(results: Results) -> str:
    """What was aimed at, for what was measured."""
    lines = ["| | reached | bar | stretch | |", "|---|--:|--:|--:|---|"]
    for bar in BARS:
        try:
            value = bar.reached(results)
        except KeyError:
            continue
        stretch = "–" if bar.stretch is None else f"{bar.stretch:g}"
        verdict = (
            "stretch"
            if bar.stretch is not None and value <= bar.stretch
            else "reached"
            if value <= bar.bar
            else f"missed by {value - bar.bar:.{bar.digits}f}"
        )
        lines.append(_line([bar.what, f"{value:.{bar.digits}f}", f"≤ {bar.bar:g}", stretch, verdict]))
    return "\n".join(lines) if len(lines) > 2 else ""


def report(results: Results, *, rounds: int, peers: list[str], machine: str) -> str:
    """All of it."""
    parts = [f"Medians of {rounds} interleaved rounds. {machine}."]
    for name, found in results.items():
        parts += [f"**{SCENARIOS[name].title}**", table(name, found, peers=peers)]
    if aims := bars(results):
        parts += ["**What is aimed at**", aims]
    return "\n\n".join(parts)


def write(path: Path, text: str) -> None:
    """Puts the report into a page, in place of the one that is there.

    Raises:
        SystemExit: the page has no place for it.
    """
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no place for a report: the lines\n{BEGIN}\n{END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
