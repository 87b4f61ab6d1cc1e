"""Charts of the evaluation report: intervals side by side, predicted against observed, shares. SVG without a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import ceil, floor, log10

from recsys.reports.charts import COLOURS, Point

WIDTH, ROW, LEFT, RIGHT = 640, 30, 150, 90
INK, GRID = "#1d2429", "#dde1e4"
NOTHING = "<p>No data yet.</p>"


def interval_rows(points: Sequence[Point], unit: str, *, marked: str = "", zero: bool = False) -> str:
    """One row per point: its label, the interval as a bar, the value in figures; ``marked`` is drawn in colour.

    With ``zero`` a line is drawn at nought, for differences.
    """
    if not points:
        return NOTHING
    low = min([0.0] + [p.low for p in points])
    high = max([0.0] + [p.high for p in points])
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return LEFT + (value - low) / span * (WIDTH - LEFT - RIGHT)

    height = ROW * len(points) + 42
    body = _axis(low, high, x, height - 38, unit)
    if zero:
        body.append(f'<line x1="{x(0):.1f}" y1="0" x2="{x(0):.1f}" y2="{height - 38}" stroke="{INK}"/>')
    for n, point in enumerate(points):
        y = ROW * n + ROW / 2
        colour = COLOURS[1] if point.label == marked else COLOURS[0]
        weight = ' font-weight="700"' if point.label == marked else ""
        body.append(
            f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end"{weight}>{escape(point.label)}</text>'
            f'<line x1="{x(point.low):.1f}" y1="{y}" x2="{x(point.high):.1f}" y2="{y}" stroke="{colour}" '
            f'stroke-width="3"/><circle cx="{x(point.value):.1f}" cy="{y}" r="5" fill="{colour}"/>'
            f'<text x="{WIDTH - RIGHT + 12}" y="{y + 4}"{weight}>{_short(point.value)}</text>'
        )
    return _svg(body, height, f"{unit}: " + ", ".join(p.label for p in points))


def predicted_and_observed(rows: Sequence[Mapping[str, float]], labels: Sequence[str], unit: str) -> str:
    """Columns of what was predicted (open diamond) and what was observed (dot with its interval), by bin.

    ``rows``: predicted, observed, low, high as shares; the axis is in purchases per thousand.
    """
    if not rows:
        return NOTHING
    width, base, left = WIDTH, 230, 50
    top = 1000 * max(max(row["high"], row["predicted"]) for row in rows) or 1.0
    step = (width - left - 10) / len(rows)

    def y(share: float) -> float:
        return base - 1000 * share / top * (base - 26)

    body = [f'<text x="4" y="12">{escape(unit)}</text>']
    for value in ticks(0.0, top):
        at = y(value / 1000)
        body.append(f'<line x1="{left}" y1="{at:.1f}" x2="{width}" y2="{at:.1f}" stroke="{GRID}"/>')
        body.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>')
    for n, (row, label) in enumerate(zip(rows, labels, strict=True)):
        x = left + step * (n + 0.5)
        p = y(row["predicted"])
        body.append(
            f'<line x1="{x:.1f}" y1="{y(row["high"]):.1f}" x2="{x:.1f}" y2="{y(row["low"]):.1f}" '
            f'stroke="{COLOURS[1]}" stroke-width="3"/>'
            f'<circle cx="{x:.1f}" cy="{y(row["observed"]):.1f}" r="5" fill="{COLOURS[1]}"/>'
            f'<path d="M{x:.1f} {p - 7:.1f} l7 7 l-7 7 l-7 -7 z" fill="none" stroke="{COLOURS[2]}" stroke-width="2"/>'
            f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle">{escape(label)}</text>'
        )
    keys = (("dot and bar: what happened, 95 %", COLOURS[1]), ("diamond: what was predicted", COLOURS[2]))
    for n, (name, colour) in enumerate(keys):
        at = left + 270 * n
        body.append(f'<rect x="{at}" y="{base + 28}" width="10" height="10" fill="{colour}"/>')
        body.append(f'<text x="{at + 15}" y="{base + 37}">{escape(name)}</text>')
    return _svg(body, base + 44, unit)


def share_bars(groups: Sequence[tuple[str, Sequence[float]]], names: Sequence[str]) -> str:
    """For each group one bar per name, shares of 1; a legend below."""
    if not groups:
        return NOTHING
    bar, gap, left = 15, 14, 230
    height = len(groups) * (bar * len(names) + gap) + 28
    scale = WIDTH - left - 60
    body = []
    for g, (label, shares) in enumerate(groups):
        top = g * (bar * len(names) + gap)
        middle = top + bar * len(names) / 2
        body.append(f'<text x="{left - 10}" y="{middle + 4}" text-anchor="end">{escape(label)}</text>')
        for n, share in enumerate(shares):
            y = top + bar * n
            body.append(
                f'<rect x="{left}" y="{y}" width="{max(1.0, share * scale):.1f}" height="{bar - 3}" '
                f'fill="{COLOURS[n % len(COLOURS)]}"/>'
                f'<text x="{left + share * scale + 6:.1f}" y="{y + 10}">{100 * share:.1f} %</text>'
            )
    for n, name in enumerate(names):
        x = 30 + 210 * n
        body.append(
            f'<rect x="{x}" y="{height - 16}" width="10" height="10" fill="{COLOURS[n % len(COLOURS)]}"/>'
            f'<text x="{x + 15}" y="{height - 7}">{escape(name)}</text>'
        )
    return _svg(body, height, ", ".join(names))


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between ``low`` and ``high``, four to eight of them.

    Example:
        >>> ticks(0.0, 0.139)
        [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12]
    """
    rough = (high - low) / 5 or 1.0
    size = 10.0 ** floor(log10(rough))
    step = min((1, 2, 5, 10), key=lambda n: abs(log10(n * size / rough))) * size
    return [round(n * step, 12) for n in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def _axis(low: float, high: float, x: Callable[[float], float], base: float, unit: str) -> list[str]:
    body = []
    for value in ticks(low, high):
        at = x(value)
        body.append(f'<line x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="{base}" stroke="{GRID}"/>')
        body.append(f'<text x="{at:.1f}" y="{base + 14}" text-anchor="middle">{value:g}</text>')
    body.append(f'<text x="{LEFT}" y="{base + 32}">{escape(unit)}</text>')
    return body


def _short(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"


def _svg(body: Sequence[str], height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{"".join(body)}</svg>'
