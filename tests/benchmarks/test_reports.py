"""Tables, bars and charts of results."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.plot import charts
from benchmarks.report import BARS, BEGIN, END, bars, report, table, write
from benchmarks.scenarios import BARE, DECODED, OURS, SCENARIOS, Groups

CPU: Groups = {
    "plain": {
        BARE: [{"cpu_us": 1.0}, {"cpu_us": 9.0}, {"cpu_us": 1.0}],
        OURS: [{"cpu_us": 3.0}] * 3,
        DECODED: [{"cpu_us": 5.0}] * 3,
        "hikari": [{"cpu_us": 6.0}] * 3,
    }
}


def flood(*longest: float) -> Groups:
    return {"plain": {OURS: [{"p99_ms": 5.0, "p50_ms": 1.0, "max_ms": at, "thousands_per_s": 300.0} for at in longest]}}


def test_a_table_has_medians_and_what_they_are_of_a_peer_s_and_of_the_bare_limit() -> None:
    lines = table("throughput", CPU, peers=["hikari"]).splitlines()
    assert lines[0] == "| | µs of CPU per event | of hikari | of bare limit |"
    assert "| plain: bare limit | 1 | 0.17 | 1.00 |" in lines
    assert "| plain: gatewright | 3 | 0.50 | 3.00 |" in lines


def test_of_the_longest_delay_the_worst_round_counts() -> None:
    assert "| plain: gatewright | 5 | 1 | 9 | 300 |" in table("flood", flood(2.0, 9.0, 3.0), peers=[])


def test_each_bar_says_whether_it_was_reached() -> None:
    lines = bars({"throughput": CPU, "flood": flood(60.0)}).splitlines()
    assert "| CPU per event, of hikari's: plain | 0.50 | ≤ 0.6 | 0.45 | reached |" in lines
    assert "| CPU per event, of the bare limit's: plain | 3.00 | ≤ 2 | 1.5 | missed by 1.00 |" in lines
    assert "| the same, the longest of a run | 60.0 | ≤ 50 | – | missed by 10.0 |" in lines


def test_bars_of_what_was_not_measured_are_left_out() -> None:
    assert "TLS" not in bars({"throughput": CPU})
    assert bars({}) == ""
    assert len(BARS) == len({bar.what for bar in BARS})


def test_a_report_takes_the_place_of_the_one_before_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    text = report({"throughput": CPU}, rounds=3, peers=["hikari"], machine="a machine")
    write(page, text)
    write(page, text)
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\n\n{text}\n\n{END}\nafter\n"
    assert "a machine" in text


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="no place"):
        write(page, "text")
    assert page.read_text(encoding="utf-8") == "nothing\n"


def test_a_chart_has_a_bar_a_row_and_the_longest_fits() -> None:
    tree = ET.fromstring(charts({"throughput": CPU, "flood": flood(2.0)}))
    drawn = [rect for rect in tree.iter("{http://www.w3.org/2000/svg}rect") if rect.get("rx")]
    assert len(drawn) == 5
    width = float(tree.attrib["width"])
    assert all(float(rect.attrib["x"]) + float(rect.attrib["width"]) < width for rect in drawn)
    texts = [text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert SCENARIOS["throughput"].title in texts
    assert DECODED in texts


def told(path: Path, results: dict[str, Groups], *, machine: str = "a machine", rounds: int = 3) -> Path:
    path.write_text(json.dumps({"machine": machine, "rounds": rounds, "results": results}), encoding="utf-8")
    return path


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_results_of_several_files_become_one_report_and_one_chart(tmp_path: Path) -> None:
    files = [told(tmp_path / "1.json", {"flood": flood(2.0)}), told(tmp_path / "2.json", {"throughput": CPU})]
    done = command("report", *files, "--plot", tmp_path / "chart.svg")
    assert done.stdout.strip() == report(
        {"throughput": CPU, "flood": flood(2.0)}, rounds=3, peers=["hikari"], machine="a machine"
    )
    assert (tmp_path / "chart.svg").read_text(encoding="utf-8") == charts({"throughput": CPU, "flood": flood(2.0)})


def test_results_of_two_machines_are_not_put_together(tmp_path: Path) -> None:
    files = [told(tmp_path / "1.json", {"flood": flood(2.0)}), told(tmp_path / "2.json", {}, machine="another")]
    done = command("report", *files)
    assert done.returncode == 1
    assert "all of the same machine" in done.stderr
