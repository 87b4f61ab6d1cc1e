"""Small SVG charts, drawn without a script so that a report is one file that opens anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 28, 34
COLOURS = ("#5b6770", "#0b7a75", "#b5541c", "#5a3e9b")


@dataclass(frozen=True)
class Point:
    """One estimate at one label, with its interval and, where known, the truth."""

    label: str
    value: float
    low: float
    high: float
    truth: float | None = None


@dataclass(frozen=True)
class Series:
    """The points of one arm, in the order of the labels."""

    name: str
    points: Sequence[Point]


def interval_chart(series: Sequence[Series], unit: str) -> str:
    """Estimates as dots with their intervals, the truth as an open diamond; returns an SVG element.

    Args:
        series: one or more series that share their labels.
        unit: what the vertical axis counts, printed above it.
    """
    points = [point for one in series for point in one.points]
    if not points:
        return "<p>No data yet.</p>"
    labels = [point.label for point in series[0].points]
    top = max([p.high for p in points] + [p.truth for p in points if p.truth is not None])
    low = min([0.0] + [p.low for p in points])
    scale = _Scale(low, top if top > low else low + 1, labels)
    body = [_axes(scale, unit)]
    for index, one in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        shift = (index - (len(series) - 1) / 2) * 18
        body += [_mark(point, scale, shift, colour) for point in one.points]
        x = LEFT + 120 * index
        body.append(
            f'<rect x="{x}" y="{HEIGHT - 10}" width="10" height="10" fill="{colour}"/>'
            f'<text x="{x + 14}" y="{HEIGHT - 1}">{escape(one.name)}</text>'
        )
    title = f"{unit} by day: " + ", ".join(one.name for one in series)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 4}" role="img" aria-label="{escape(title)}">{"".join(body)}</svg>'


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    labels: Sequence[str]

    def x(self, label: str) -> float:
        step = (WIDTH - LEFT - RIGHT) / len(self.labels)
        return LEFT + step * (self.labels.index(label) + 0.5)

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM - 12)


def _axes(scale: _Scale, unit: str) -> str:
    parts = [f'<text x="4" y="11">{escape(unit)}</text>']
    for step in range(5):
        value = scale.low + (scale.high - scale.low) * step / 4
        y = scale.y(value)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#e3e6e8"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    base = HEIGHT - BOTTOM + 4
    parts += [
        f'<text x="{scale.x(label):.1f}" y="{base}" text-anchor="middle">{escape(label)}</text>'
        for label in scale.labels
    ]
    return "".join(parts)


def _mark(point: Point, scale: _Scale, shift: float, colour: str) -> str:
    x = scale.x(point.label) + shift
    y, high, low = scale.y(point.value), scale.y(point.high), scale.y(point.low)
    truth = ""
    if point.truth is not None:
        t = scale.y(point.truth)
        truth = (
            f'<path d="M{x:.1f} {t - 6:.1f} l6 6 l-6 6 l-6 -6 z" fill="none" stroke="{colour}" stroke-width="1.5">'
            f"<title>truth {point.truth:.4g}</title></path>"
        )
    return (
        f'<line x1="{x:.1f}" y1="{high:.1f}" x2="{x:.1f}" y2="{low:.1f}" stroke="{colour}" stroke-width="2"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>'
        f"{point.value:.4g} ({point.low:.4g} to {point.high:.4g})</title></circle>{truth}"
    )
