"""The explorer of the proof: every state of the shipped table in its environment, within the default bounds."""

from __future__ import annotations

import time

from benchmarks.task import Task
from gatewright.harness.explore import explore
from gatewright.harness.subject import shipped


def main(task: Task) -> dict[str, float]:
    subject = shipped()
    cpu = time.process_time()
    report = explore(subject.table, subject.environment, subject.bounds, justified=subject.justified)
    cpu = time.process_time() - cpu
    report.assert_ok()
    return {
        "thousand_states_per_s": report.states_per_second / 1e3,
        "thousand_edges_per_s": report.edges / report.seconds / 1e3,
        "states": report.states,
        "whole_check_s": cpu,
    }
