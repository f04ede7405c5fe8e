"""`python -m benchmarks SCENARIO`: measures, and prints tables or JSON. docs/performance.md says how to read them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.plot import charts
from benchmarks.report import Results, installed, machine, report, write
from benchmarks.run import PEERS
from benchmarks.scenarios import SCENARIOS, Groups


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenario", choices=["all", *SCENARIOS, "report"], help="report: show what --json has printed")
    parser.add_argument("files", type=Path, nargs="*", help="for report: files with results as JSON, of one machine")
    parser.add_argument("--peer", action="append", choices=PEERS, default=[], help="measure it in the same run")
    parser.add_argument("--installed-peers", action="store_true", help="measure all peers that are installed")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each row, interleaved (default: 5)")
    parser.add_argument("--events", type=int, default=100_000, help="events of a burst (default: 100000)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long a flood lasts (default: 10)")
    parser.add_argument("--shards", type=int, default=1000, help="how many shards (default: 1000)")
    parser.add_argument(
        "--window", type=float, default=1.0, help="seconds for which Discord's 5 stand at a start (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print every result as JSON")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="draw the medians")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into a page, at its marks")
    return parser


def read(files: list[Path], options: argparse.Namespace) -> tuple[dict[str, Groups], str]:
    """Results that were printed as JSON, and on what; of a group that is there twice, the last ones."""
    told = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    if len({said["machine"] for said in told}) != 1:
        sys.exit("report needs files with results as JSON (--json), all of the same machine and versions")
    found: dict[str, Groups] = {}
    for said in told:
        for name, groups in said["results"].items():
            found.setdefault(name, {}).update(groups)
    options.rounds = max(said["rounds"] for said in told)
    options.peer = [
        peer for peer in PEERS if any(peer in rows for groups in found.values() for rows in groups.values())
    ]
    return {name: found[name] for name in SCENARIOS if name in found}, told[0]["machine"]


def measure(names: list[str], options: argparse.Namespace) -> dict[str, Groups]:
    found: dict[str, Groups] = {}
    peers = options.peer
    for name in names:
        options.peer = [peer for peer in peers if peer in SCENARIOS[name].peers]
        print(f"\r\033[K{name}", file=sys.stderr)
        found[name] = SCENARIOS[name].measure(options)
    options.peer = peers
    return found


def main() -> None:
    options = arguments().parse_args()
    if options.installed_peers:
        options.peer = [peer for peer in PEERS if installed(peer)]
    missing = [peer for peer in options.peer if not installed(peer)]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}. Install with: pip install {' '.join(missing)}")
    found: Results
    if options.scenario == "report":
        found, where = read(options.files, options)
    else:
        where = machine()
        found = measure(list(SCENARIOS) if options.scenario == "all" else [options.scenario], options)
    text = report(found, rounds=options.rounds, peers=options.peer, machine=where)
    print(json.dumps({"machine": where, "rounds": options.rounds, "results": found}) if options.json else text)
    if options.write is not None:
        write(options.write, text)
    if options.plot is not None:
        options.plot.write_text(charts(found), encoding="utf-8")


if __name__ == "__main__":
    main()
