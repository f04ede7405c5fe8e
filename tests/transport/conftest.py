"""Prints what tests have measured: each figure that was recorded with `record_property("figure", …)`."""

import pytest

FIGURE = "figure"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each figure, whichever process has measured it."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    figures = [
        str(value)
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == FIGURE
    ]
    if figures:
        terminalreporter.section("figures")
        for figure in figures:
            terminalreporter.line(figure)
