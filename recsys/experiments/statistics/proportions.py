"""Score tests of two proportions, and the intervals that follow from them.

The p-value is that of the pooled z test (Pearson's chi-square without a correction). The intervals hold every
difference (Mee, 1984) and every ratio (Koopman, 1984) which the same test would not reject, with the variance taken at
the likeliest pair of proportions under it (Miettinen and Nurminen, 1985, "Comparative Analysis of Two Rates", without
their factor N / (N - 1)). So p-value and both intervals always agree, and hold their level where conversions are few.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TypedDict

from scipy import optimize, stats

_EDGE = 1e-12


class Score(TypedDict):
    """What the score test says, under the names of a comparison's fields."""

    low: float
    high: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    p_value: float


def compare(x0: float, n0: int, x1: float, n1: int, *, alpha: float) -> Score:
    """Score test of x1 of n1 (treatment) against x0 of n0 (control).

    Without a success in control no ratio exists and all of ``relative`` is None.

    Example:
        >>> found = compare(50, 1000, 70, 1000, alpha=0.05)
        >>> round(found["p_value"], 4), round(found["low"], 4), round(found["high"], 4)
        (0.0597, -0.0008, 0.0413)
    """
    limit = float(stats.norm.ppf(1 - alpha / 2))
    low, high = _difference_ends(x0, n0, x1, n1, limit)
    found = Score(
        low=low,
        high=high,
        relative=None,
        relative_low=None,
        relative_high=None,
        p_value=float(2 * stats.norm.sf(abs(_pooled(x0, n0, x1, n1)))),
    )
    if x0 > 0:
        found["relative"] = (x1 / n1) / (x0 / n0) - 1
        found["relative_low"], found["relative_high"] = _ratio_ends(x0, n0, x1, n1, limit)
    return found


def wilson(x: float, n: int, alpha: float) -> tuple[float, float]:
    """Wilson's (1927) score interval of one proportion, x of n."""
    z = float(stats.norm.ppf(1 - alpha / 2))
    share, below = x / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / below
    margin = z / below * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - margin, 0.0), min(middle + margin, 1.0)


def _pooled(x0: float, n0: int, x1: float, n1: int) -> float:
    """z of no difference, where both likeliest proportions are the pooled one; in fractions, which lose no digit."""
    old, new, n0, n1 = Fraction(x0), Fraction(x1), int(n0), int(n1)
    successes, units = old + new, n0 + n1
    below = n0 * n1 * successes * (units - successes)
    step = new * n0 - old * n1
    return math.copysign(math.sqrt(step * step * units / below), step) if below > 0 else 0.0


def _difference_ends(x0: float, n0: int, x1: float, n1: int, limit: float) -> tuple[float, float]:
    """Ends of the difference. Above one half failures are counted: their small share keeps its digits."""
    if x0 + x1 > (n0 + n1) / 2:
        low, high = _difference_ends(n0 - x0, n0, n1 - x1, n1, limit)
        return -high, -low
    value, z = x1 / n1 - x0 / n0, _by_difference(x0, n0, x1, n1)
    return _crossing(z, limit, value, -1.0), _crossing(z, -limit, value, 1.0)


def _by_difference(x0: float, n0: int, x1: float, n1: int) -> Callable[[float], float]:
    value = x1 / n1 - x0 / n0

    def z(delta: float) -> float:
        p0 = _likeliest(x0, n0, x1, n1, delta)
        p1 = min(max(p0 + delta, 0.0), 1.0)
        return _z(value - delta, p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0)

    return z


def _ratio_ends(x0: float, n0: int, x1: float, n1: int, limit: float) -> tuple[float, float]:
    """Ends of the relative lift."""
    mostly = x0 + x1 > (n0 + n1) / 2
    z = _by_ratio_of_failures(n0 - x0, n0, n1 - x1, n1) if mostly else _by_ratio(x0, n0, x1, n1)
    start = math.log((x1 or 0.5) / n1 / (x0 / n0))
    low, high = start, start
    while z(high) > -limit:
        high += 1
    if x1 == 0:
        return -1.0, math.expm1(_root(lambda at: z(at) + limit, start - 50, high))
    while z(low) < limit:
        low -= 1
    return (
        math.expm1(_root(lambda at: z(at) - limit, low, start)),
        math.expm1(_root(lambda at: z(at) + limit, start, high)),
    )


def _by_ratio(x0: float, n0: int, x1: float, n1: int) -> Callable[[float], float]:
    """z by the logarithm of the ratio. With p1 = ratio p0 the likeliest p0 is the smaller root of a quadratic."""
    successes, units = x0 + x1, n0 + n1

    def z(log_ratio: float) -> float:
        ratio = math.exp(log_ratio)
        b = ratio * (n1 + x0) + n0 + x1
        p0 = 2 * successes / (b + math.sqrt(max(b * b - 4 * ratio * units * successes, 0.0)))
        p1 = min(ratio * p0, 1.0)
        return _z(
            x1 / n1 - ratio * x0 / n0, p1 * (1 - p1) / n1 + ratio * ratio * max(p0 * (1 - p0), 0.0) / n0
        )

    return z


def _by_ratio_of_failures(f0: float, n0: int, f1: float, n1: int) -> Callable[[float], float]:
    """``_by_ratio`` from failures, written in q = 1 - p: where they are few no digits cancel."""
    units = n0 + n1

    def z(log_ratio: float) -> float:
        ratio, more = math.exp(log_ratio), math.expm1(log_ratio)
        b = -more * units - ratio * f0 - f1
        root = math.sqrt(max(b * b - 4 * units * ratio * more * f0, 0.0))
        q0 = (root - b) / (2 * units * ratio) if b <= 0 else -2 * more * f0 / (b + root)
        q1 = min(max(ratio * q0 - more, 0.0), 1.0)
        return _z(
            ratio * f0 / n0 - f1 / n1 - more,
            q1 * (1 - q1) / n1 + ratio * ratio * max(q0 * (1 - q0), 0.0) / n0,
        )

    return z


def _crossing(z: Callable[[float], float], limit: float, value: float, end: float) -> float:
    """Return the difference between ``value`` and ``end`` (-1 or 1) at which z reaches ``limit``, or ``end`` itself."""
    outer = end * (1 - _EDGE)
    if abs(value) >= 1 - _EDGE and value * end > 0:
        return end
    if abs(z(outer)) <= abs(limit):
        return end
    return _root(lambda delta: z(delta) - limit, *sorted((value, outer)))


def _likeliest(x0: float, n0: int, x1: float, n1: int, delta: float) -> float:
    """Return control's likeliest proportion when treatment's is ``delta`` more: a root of a cubic.

    The derivative of the likelihood is p(1 - p)(x1 - n1 q) + q(1 - q)(x0 - n0 p) = 0 with q = p + delta.
    """
    a = float(n0 + n1)
    b = (n1 + 2 * n0) * delta - a - x0 - x1
    c = (n0 * delta - a - 2 * x0) * delta + x0 + x1
    d = x0 * delta * (1 - delta)
    v = (b / (3 * a)) ** 3 - b * c / (6 * a * a) + d / (2 * a)
    u = math.copysign(math.sqrt(max((b / (3 * a)) ** 2 - c / (3 * a), 0.0)), v)
    low, high = max(0.0, -delta), min(1.0, 1 - delta)
    if u == 0:
        return min(max(-b / (3 * a), low), high)
    angle = (math.pi + math.acos(min(max(v / u**3, -1.0), 1.0))) / 3
    p = min(max(2 * u * math.cos(angle) - b / (3 * a), low), high)
    for _ in range(2):  # Newton: the arc cosine alone is good to half of the digits
        slope = (3 * a * p + 2 * b) * p + c
        if slope != 0:
            p = min(max(p - (((a * p + b) * p + c) * p + d) / slope, low), high)
    return p


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(optimize.brentq(function, low, high, xtol=1e-15, rtol=1e-14))


def _z(step: float, variance: float) -> float:
    if variance <= 0:
        return 0.0 if step == 0 else math.copysign(math.inf, step)
    return step / math.sqrt(variance)
