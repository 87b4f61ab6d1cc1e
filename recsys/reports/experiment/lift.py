"""Charts of an experiment as SVG without a script: the lift over time, and one interval as a small bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from math import floor, log10

from recsys.reports.experiment.evidence import Interval, Lift
from recsys.reports.experiment.words import measure

TOP, BOTTOM, LEFT, RIGHT = 14, 26, 58, 14
LABEL = 62
"""Room for the label of a day."""
EARLY = 6
"""The first sixth of the days, when intervals are widest, does not stretch the axis; the table has them whole."""
CLASSES = ("a", "b", "c", "d")
"""Colours of the arms are the page's: a class names them."""


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    first: date
    days: int
    width: int
    height: int

    def x(self, day: date) -> float:
        passed = (day - self.first).days / self.days if self.days else 0.5
        return LEFT + (self.width - LEFT - RIGHT) * passed

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * (self.height - TOP - BOTTOM)


def lift_chart(history: Sequence[Lift], unit: str, width: int = 720, height: int = 280) -> str:
    """Difference to the control since the start, day by day: a line in its band, and the sequential bounds dashed.

    One series per arm. Days without an estimate are gaps; what lies beyond the axis
    is cut. A narrow ``width`` makes a chart for a phone.
    """
    drawn = [lift for lift in history if lift.effect is not None]
    if not drawn:
        return '<p class="note">There is nothing to draw yet.</p>'
    days = sorted({lift.day for lift in drawn})
    low, high = _room([lift for lift in drawn if lift.day >= days[len(days) // EARLY]])
    scale = _Scale(low, high, days[0], (days[-1] - days[0]).days, width, height)
    arms = list(dict.fromkeys(lift.arm for lift in drawn))
    body = _axes(scale, drawn[0], days)
    inside = f"{LEFT - 5} {TOP} {width - LEFT - RIGHT + 10} {height - TOP - BOTTOM}"
    x, y, w, h = inside.split()
    body.append(f'<svg x="{x}" y="{y}" width="{w}" height="{h}" viewBox="{inside}" aria-hidden="true">')
    for index, arm in enumerate(arms):
        points = [(scale.x(lift.day), lift) for lift in drawn if lift.arm == arm]
        body += _series(points, scale, CLASSES[index % len(CLASSES)], unit)
    body.append("</svg>")
    last = {lift.arm: lift for lift in drawn}
    told = "; ".join(f"{arm} {measure(_value(last[arm]), last[arm], unit, sign=True)}" for arm in arms)
    label = f"Difference to {drawn[0].control} since the start, {len(days)} days. On the last day: {told}."
    told = escape(label)
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{told}" class="lift">{"".join(body)}</svg>'


def interval_bar(interval: Interval | None, reach: float, tone: str, width: int = 120) -> str:
    """One interval around nought as a bar; ``reach`` is the largest distance from nought that is drawn."""
    if interval is None or reach <= 0:
        return ""
    half, mid = width / 2 - 4, width / 2

    def x(value: float) -> float:
        return mid + max(-1.0, min(1.0, value / reach)) * half

    return (
        f'<svg viewBox="0 0 {width} 20" class="bar {tone}" aria-hidden="true">'
        f'<line x1="{mid}" y1="1" x2="{mid}" y2="19" class="zero"/>'
        f'<line x1="{x(interval.low):.1f}" y1="10" x2="{x(interval.high):.1f}" y2="10" class="range"/>'
        f'<circle cx="{x(interval.value):.1f}" cy="10" r="4.5" class="point"/></svg>'
    )


def reach(intervals: Sequence[Interval | None]) -> float:
    """Largest distance from nought of some intervals, for bars that can be compared."""
    return max((abs(end) for one in intervals if one for end in (one.low, one.high)), default=0.0)


def _value(lift: Lift) -> float | None:
    return lift.effect.value if lift.effect else None


def _room(drawn: Sequence[Lift]) -> tuple[float, float]:
    """Low and high of the axis: all intervals, and bounds unless they are more than twice as wide."""
    intervals = [lift.effect for lift in drawn if lift.effect]
    bounds = [end for lift in drawn if lift.bound for end in (lift.bound.low, lift.bound.high)]
    low, high = min(0.0, *(one.low for one in intervals)), max(0.0, *(one.high for one in intervals))
    span = (high - low) or 1.0
    inside = [bound for bound in bounds if low - span / 2 <= bound <= high + span / 2]
    return min([low, *inside]) - span * 0.04, max([high, *inside]) + span * 0.04


def _ticks(low: float, high: float) -> list[float]:
    step = 10 ** floor(log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    first = int(low // step)
    return [n * step for n in range(first, first + 14) if low <= n * step <= high]


def _axes(scale: _Scale, lift: Lift, days: Sequence[date]) -> list[str]:
    body, right = [], scale.width - RIGHT
    for value in _ticks(scale.low, scale.high):
        y = scale.y(value)
        kind = "zero" if abs(value) < 1e-12 else "grid"
        body.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" class="{kind}"/>')
        shown = escape(measure(value if kind == "grid" else 0.0, lift, "", sign=True))
        body.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{shown}</text>')
    free = float(right + LABEL)
    for day in reversed(days):  # the last day always has its label, the others where there is room
        x = min(scale.x(day), right - LABEL / 3)
        if x + LABEL / 2 <= free:
            free = x - LABEL / 2
            body.append(f'<text x="{x:.1f}" y="{scale.height - 6}" text-anchor="middle">{day:%d %b}</text>')
    return body


def _series(points: Sequence[tuple[float, Lift]], scale: _Scale, colour: str, unit: str) -> list[str]:
    ranges = [(x, lift, lift.effect) for x, lift in points if lift.effect]
    band = [f"{x:.1f},{scale.y(r.high):.1f}" for x, _, r in ranges]
    band += [f"{x:.1f},{scale.y(r.low):.1f}" for x, _, r in reversed(ranges)]
    line = " ".join(f"{x:.1f},{scale.y(r.value):.1f}" for x, _, r in ranges)
    body = [f'<polygon points="{" ".join(band)}" class="band {colour}"/>']
    for side in ("low", "high"):
        ends = [(x, getattr(lift.bound, side)) for x, lift, _ in ranges if lift.bound]
        if ends:
            dashes = " ".join(f"{x:.1f},{scale.y(end):.1f}" for x, end in ends)
            body.append(f'<polyline points="{dashes}" class="bound {colour}"/>')
    body.append(f'<polyline points="{line}" class="line {colour}"/>')
    for x, lift, r in ranges:
        told = f"{lift.day:%d %b}, {lift.arm}: {measure(r.value, lift, unit, sign=True)}"
        body.append(
            f'<circle cx="{x:.1f}" cy="{scale.y(r.value):.1f}" r="{4 if len(ranges) < 40 else 2.5}" '
            f'class="dot {colour}"><title>{escape(told)}</title></circle>'
        )
        if len(ranges) == 1:
            body.append(
                f'<line x1="{x:.1f}" y1="{scale.y(r.low):.1f}" x2="{x:.1f}" y2="{scale.y(r.high):.1f}" '
                f'class="line {colour}"/>'
            )
    return body
