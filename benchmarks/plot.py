"""Bar charts as SVG, without a library."""

from __future__ import annotations

from html import escape

from benchmarks.run import median
from benchmarks.scenarios import BARE, DECODED, OURS, SCENARIOS, Groups, Scenario

_BAR, _ROW, _LEFT, _WIDTH, _RIGHT = 14, 20, 270, 900, 70
_COLOURS = {BARE: "#9aa0a6", OURS: "#2f6db5", DECODED: "#8ab4e0", "hikari": "#c8803a", "discord.py": "#8e5ea2"}
_OTHER = "#5b8f6b"


def charts(results: dict[str, Groups]) -> str:
    """A chart a scenario, one below the other: one bar a row, of medians; each axis begins at zero."""
    parts: list[str] = []
    y = 16
    for name, found in results.items():
        scenario = SCENARIOS[name]
        y += 14
        parts.append(
            f'<text x="16" y="{y}" font-size="15" font-weight="bold">{escape(scenario.title)}'
            f'<tspan font-weight="normal" fill="#5f6368">{escape(_which(scenario))}</tspan></text>'
        )
        y = _bars(parts, y + 10, found, next(iter(scenario.figures))) + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}" '
        'font-family="system-ui, sans-serif" font-size="12.5" fill="#202124">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _which(scenario: Scenario) -> str:
    """Which of several figures is drawn."""
    first, *others = scenario.figures.values()
    return f"   {first}" if others else ""


def _bars(parts: list[str], y: int, found: Groups, key: str) -> int:
    most = max(median(results, key) for rows in found.values() for results in rows.values() if key in results[0])
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    for group, rows in found.items():
        if group:
            y += _ROW
            parts.append(f'<text x="16" y="{y - 5}" fill="#5f6368">{escape(group)}</text>')
        top = y
        for row, results in rows.items():
            if key not in results[0]:
                continue
            value = median(results, key)
            middle, length = y + _ROW // 2, max(value * scale, 1.0)
            parts.append(
                f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(row)}</text>'
                f'<rect x="{_LEFT}" y="{middle - _BAR // 2}" width="{length:.1f}" height="{_BAR}" rx="2" '
                f'fill="{_COLOURS.get(row, _OTHER)}"/>'
                f'<text x="{_LEFT + length + 6:.1f}" y="{middle + 4}">{value:.3g}</text>'
            )
            y += _ROW
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT}" y1="{top}" y2="{y}" stroke="#bdc1c6"/>')
        y += 4
    return y
