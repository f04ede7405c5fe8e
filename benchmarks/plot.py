"""A bar chart as SVG, without a library."""

from __future__ import annotations

from html import escape

_BAR, _GAP, _LEFT, _WIDTH = 18, 14, 250, 860
_COLOURS = ("#8a8f98", "#3b6fb6", "#7ea3d3", "#c8803a", "#a65b9e")


def bars(groups: dict[str, dict[str, float]], *, title: str) -> str:
    """One group of horizontal bars a load, one bar a row; the axis begins at zero."""
    most = max(value for rows in groups.values() for value in rows.values())
    scale = (_WIDTH - _LEFT - 80) / most
    y, parts = 40, [f'<text x="10" y="22" font-size="15" font-weight="bold">{escape(title)}</text>']
    for load, rows in groups.items():
        y += _GAP
        parts.append(f'<text x="10" y="{y + 13}" font-weight="bold">{escape(load)}</text>')
        y += _BAR + 4
        for number, (name, value) in enumerate(rows.items()):
            colour = _COLOURS[number % len(_COLOURS)]
            parts.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
            parts.append(
                f'<rect x="{_LEFT}" y="{y}" width="{value * scale:.1f}" height="{_BAR - 3}" fill="{colour}"/>'
                f'<text x="{_LEFT + value * scale + 6:.1f}" y="{y + 13}">{value:.2f}</text>'
            )
            y += _BAR
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 20}" width="{_WIDTH}" height="{y + 20}" '
        f'font-family="sans-serif" font-size="13">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
