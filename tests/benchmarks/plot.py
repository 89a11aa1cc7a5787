"""The scaling plot: CPU per request and how long the loop is blocked, over the number of waits."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.common import BARE, OURS

WIDTH, HEIGHT = 720, 300
LEFT, TOP, PANEL, TALL, GAP = 60, 50, 270, 190, 80
COLOURS = {OURS: "#1a7f5a", BARE: "#8a8f98"}
PANELS = {
    "CPU/request, µs": "CPU time per request, µs",
    "loop blocked, ms": "event loop blocked at most, ms",
}


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the plot as an SVG with text in it, readable on light and dark ground."""
    rows = [row for row in rows if row["waiting with"] in COLOURS]
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12" fill="#777">'
    )
    parts = [start]
    for n, name in enumerate(COLOURS):
        x = LEFT + 200 * n
        parts += [
            f'<circle cx="{x}" cy="14" r="4" fill="{COLOURS[name]}"/>',
            f'<text x="{x + 10}" y="18">{name}</text>',
        ]
    for n, (key, title) in enumerate(PANELS.items()):
        parts += _panel(rows, key, title, LEFT + n * (PANEL + GAP))
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _panel(rows: Sequence[Mapping[str, Any]], key: str, title: str, left: float) -> list[str]:
    sizes = sorted({row["waits"] for row in rows})
    low, high = math.log(sizes[0]), math.log(sizes[-1])
    top = _round_up(max(row[key] for row in rows))
    bottom = TOP + TALL

    def x(waits: float) -> float:
        return left + PANEL * (math.log(waits) - low) / ((high - low) or 1)

    def y(value: float) -> float:
        return bottom - TALL * value / top

    parts = [f'<text x="{left}" y="{TOP - 12}" font-weight="bold">{title}</text>']
    for value in (0, top / 2, top):
        parts += [
            f'<line x1="{left}" x2="{left + PANEL}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#7774"/>',
            f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>',
        ]
    parts += [
        f'<text x="{x(size):.1f}" y="{bottom + 18}" text-anchor="middle">{size:,}</text>' for size in sizes
    ]
    parts.append(f'<text x="{left + PANEL / 2}" y="{bottom + 36}" text-anchor="middle">waits</text>')
    for name, colour in COLOURS.items():
        points = sorted((row["waits"], row[key]) for row in rows if row["waiting with"] == name)
        line = " ".join(f"{x(waits):.1f},{y(value):.1f}" for waits, value in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(waits):.1f}" cy="{y(value):.1f}" r="3.5" fill="{colour}"/>'
            for waits, value in points
        ]
    return parts


def _round_up(value: float) -> float:
    step = 10 ** math.floor(math.log10(value or 1))
    return next(step * factor for factor in (1, 2, 3, 4, 5, 6, 8, 10) if step * factor >= value)
