"""Which lines of `gatewright.transport` simulated lives run.

    python tests/sim/lines.py --lives 300        # the share, and every line that none ran

It is a program of its own, because what is imported counts as well: coverage has to begin before everything else.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import coverage

ROOT = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lives", type=int, default=300, help="how many seeds are lived, from 0 on (default: 300)")
    parser.add_argument("--json", action="store_true", help="one JSON object: the share in percent, and the number")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    # What counts as a line is said in pyproject.toml, as for the tests; of branches simulated lives say nothing.
    measured = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"), data_file=None, branch=False)
    measured.set_option("run:source_pkgs", ["gatewright.transport"])
    measured.set_option("run:source_dirs", [str(ROOT / "transport")])
    measured.start()
    from gatewright.harness.sim.run import run

    report = run(first=0, lives=args.lives)
    measured.stop()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lines.json"
        measured.json_report(outfile=str(file), include=[str(ROOT / "transport/*"), "*/gatewright/transport/*"])
        found = json.loads(file.read_text())
    totals = found["totals"]
    share = 100 * totals["covered_lines"] / totals["num_statements"]
    if args.json:
        print(json.dumps({"share": share, "lines": totals["num_statements"], "violations": len(report.lives.found)}))
        return 0
    for name, of in sorted(found["files"].items()):
        text = Path(name).read_text().splitlines()
        for number in of["missing_lines"]:
            print(f"{Path(name).name}:{number}: {text[int(number) - 1].strip()}")
    violations = len(report.lives.found)
    print(f"{share:.1f} % of {totals['num_statements']} lines in {args.lives} lives, {violations} violations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
