"""One treatment arm against control, from the moments of both: difference, relative lift, their intervals, p-value.

Every estimate is a function of the column means, so its variance follows from the covariance of the columns through its
gradient (the delta method). A mean needs no approximation there; a ratio sum(num) / sum(den) has the per-unit influence
(num - R den) / mean(den) (Deng, Knoblich and Lu, 2018, "Applying the Delta Method in Metric Analytics").
docs/experiments-statistics.md has the formulas and why they were chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from recsys.errors import ExperimentError
from recsys.experiments.statistics import proportions
from recsys.experiments.statistics.moments import Floats, Moments

Kind = Literal["mean", "proportion", "ratio"]
_ROUNDING = 1e-12
_CANCELLED = 64 * float(np.finfo(np.float64).eps)
"""A ratio's variance below this share of its numerator's and denominator's terms is what their cancelling left over."""
FEW = 20
"""With fewer units of either outcome in an arm, a proportion is tested without its covariate: Welch's test, which CUPED
takes, finds a difference of nothing too often there (in 14 % of 1,500 experiments of 200 units, 2 of them converted,
beside 2,000; the score test in 4 %)."""
_PLACES: dict[str, dict[int, tuple[int, int | None, int | None, int | None]]] = {
    "mean": {1: (0, None, None, None), 2: (0, None, 1, None), 4: (0, None, 2, None)},
    "proportion": {1: (0, None, None, None), 2: (0, None, 1, None), 4: (0, None, 2, None)},
    "ratio": {2: (0, 1, None, None), 3: (0, 1, 2, None), 4: (0, 1, 2, 3)},
}
"""Kind -> number of columns -> where numerator, denominator and the covariate's numerator and denominator stand."""


@dataclass(frozen=True)
class Estimate:
    """One arm's own value with its confidence interval; ``variance`` is the squared standard error."""

    n: int
    mean: float
    low: float
    high: float
    variance: float
    degrees: float


@dataclass(frozen=True)
class Comparison:
    """Treatment against control.

    Attributes:
        n: units of the treatment arm.
        mean: its value as measured, without any adjustment.
        difference: treatment minus control (adjusted by the covariate under CUPED), with ``low`` and ``high``.
        relative: difference / value of control, with its ends; all None where control's value is 0, the ends None where
            control's value is not known to differ from 0 at this level, since then no interval bounds the ratio.
        p_value: two-sided, of no difference.
        method: the test and, after a comma, the interval of the relative lift.
        variance: squared standard error of the difference.
        degrees: degrees of freedom of its t distribution; inf where it is normal.
    """

    n: int
    mean: float
    difference: float
    low: float
    high: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    p_value: float
    method: str
    variance: float
    degrees: float


@dataclass(frozen=True)
class _Arm:
    """Value and covariate of one arm, and the covariance of their estimates, shape (2, 2)."""

    units: int
    value: float
    covariate: float
    spread: Floats


def estimate(kind: Kind, moments: Moments, *, alpha: float) -> Estimate | None:
    """Value of one arm; None with fewer than two units or an empty denominator.

    The interval is Student's for a mean and, by the delta method, for a ratio; Wilson's (1927) for a proportion.

    Example:
        >>> found = estimate("mean", Moments.of([1.0, 2.0, 3.0, 4.0]), alpha=0.05)
        >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
        (2.5, 0.446, 4.554)
    """
    _check_alpha(alpha)
    arm = _arm(kind, moments, cuped=False)
    if arm is None:
        return None
    variance = float(arm.spread[0, 0])
    if kind == "proportion":
        low, high = proportions.wilson(_successes(moments), arm.units, alpha)
        return Estimate(arm.units, arm.value, low, high, variance, math.inf)
    margin = student_quantile(alpha, arm.units - 1) * math.sqrt(variance)
    return Estimate(arm.units, arm.value, arm.value - margin, arm.value + margin, variance, arm.units - 1)


def compare(
    kind: Kind, control: Moments, treatment: Moments, *, alpha: float, cuped: bool = False
) -> Comparison | None:
    """Compare two arms; None when an arm has fewer than two units or an empty denominator.

    Args:
        kind: "mean", "proportion" (of units, each 0 or 1) or "ratio" (sum of numerators / sum of denominators).
        control: moments of control. Columns: numerator, denominator, covariate numerator, covariate denominator, all
            four or as many as are needed: a mean takes (num) or (num, cov_num), a ratio (num, den), (num, den, cov_num)
            or all four.
        treatment: the same columns of the other arm.
        alpha: error probability; intervals hold the truth with 1 - alpha.
        cuped: adjust by the covariate (Deng, Xu, Kohavi and Walker, 2013). A covariate that does not vary changes
            nothing, and of a proportion with FEW units of either outcome in an arm it is left out.

    Raises:
        ExperimentError: when the columns do not suit the kind, a proportion is not made of 0 and 1, or alpha is no
            probability.

    Example:
        >>> a, b = Moments.of([1.0, 2.0, 3.0, 4.0]), Moments.of([2.0, 4.0, 6.0, 9.0])
        >>> found = compare("mean", a, b, alpha=0.05)
        >>> found.difference, round(found.p_value, 4), found.method
        (2.75, 0.1647, 'welch, fieller')
    """
    _check_alpha(alpha)
    if len(control.mean) != len(treatment.mean):
        raise ExperimentError(
            f"Control has {len(control.mean)} columns, treatment {len(treatment.mean)}; give both the same."
        )
    old, new = _arm(kind, control, cuped=cuped), _arm(kind, treatment, cuped=cuped)
    if old is None or new is None:
        return None
    cuped = cuped and not (kind == "proportion" and _is_rare(control, treatment))
    theta = _theta(kind, control + treatment, old, new) if cuped else 0.0
    found = _contrast(kind, old, new, theta, alpha=alpha, cuped=cuped)
    if kind == "proportion" and not cuped:
        test = proportions.compare(
            _successes(control), old.units, _successes(treatment), new.units, alpha=alpha
        )
        return replace(found, method="score", degrees=math.inf, **test)
    return found


def _contrast(kind: Kind, old: _Arm, new: _Arm, theta: float, *, alpha: float, cuped: bool) -> Comparison:
    shift = theta * (new.covariate - old.covariate)
    share = new.units / (old.units + new.units)
    # Control is adjusted to the covariate's mean over both arms, which ties its value to the difference.
    level = old.value + share * shift
    of_old = np.array([[1, -share * theta], [-1, theta]])
    of_new = np.array([[0, share * theta], [1, -theta]])
    joint = of_old @ old.spread @ of_old.T + of_new @ new.spread @ of_new.T
    step = np.array([-1.0, theta])
    parts = [float(step @ arm.spread @ step) for arm in (old, new)]
    variance = max(sum(parts), 0.0)
    degrees = welch_degrees(parts, (old.units, new.units))
    critical = student_quantile(alpha, degrees)
    difference = new.value - old.value - shift
    if variance == 0 and abs(difference) <= _ROUNDING * max(abs(level), abs(level + difference)):
        difference = 0.0  # constants that differ in their last digit are one constant
    margin = critical * math.sqrt(variance)
    method = {"mean": "welch", "proportion": "welch", "ratio": "delta"}[kind] + (" cuped" if cuped else "")
    return Comparison(
        new.units,
        new.value,
        difference,
        difference - margin,
        difference + margin,
        *fieller(level, difference, joint, critical),
        p_value=two_sided(difference, variance, degrees),
        method=f"{method}, fieller",
        variance=variance,
        degrees=degrees,
    )


def fieller(
    level: float, difference: float, joint: Floats, critical: float
) -> tuple[float | None, float | None, float | None]:
    """Relative lift difference / level and its interval (Fieller, 1954).

    A lift r is kept where |difference - r level| is within ``critical`` standard errors of itself, so the interval
    holds 0 exactly when that of the difference does. The root is multiplied out, so that no digits cancel.

    Args:
        level: control's value.
        difference: treatment minus control.
        joint: covariance of the two, shape (2, 2).
        critical: quantile of the two-sided test, say 1.96.
    """
    if level == 0:
        return None, None, None
    lift, square = difference / level, critical**2
    v, c, d = (float(joint[place]) / level / level for place in ((0, 0), (0, 1), (1, 1)))
    below = 1 - square * v
    if below <= 0:
        return lift, None, None
    inner = lift * lift * v - 2 * lift * c + d - square * (v * d - c * c)
    middle, root = lift - square * c, critical * math.sqrt(max(inner, 0.0))
    return lift, (middle - root) / below, (middle + root) / below


def welch_degrees(parts: list[float], units: tuple[int, int]) -> float:
    """Degrees of freedom after Satterthwaite (1946) and Welch (1947)."""
    total = sum(parts)
    if total <= 0:
        return float(sum(units) - 2)
    return 1 / sum((part / total) ** 2 / (n - 1) for part, n in zip(parts, units, strict=True))


def student_quantile(alpha: float, degrees: float) -> float:
    """Quantile of Student's t that a two-sided test at ``alpha`` is held to; infinite degrees are the normal's."""
    return float(stats.t.ppf(1 - alpha / 2, degrees))


def two_sided(difference: float, variance: float, degrees: float) -> float:
    """P-value of a difference against 0; without variance it is 1 where they are equal, and 0 where not."""
    if variance == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.t.sf(abs(difference) / math.sqrt(variance), degrees))


def _theta(kind: Kind, both: Moments, old: _Arm, new: _Arm) -> float:
    """Slope of the value on the covariate over the units of both arms together (Deng et al., 2013).

    It hardly depends on a small arm, whose own slope would fit its chance. Where the covariate varies within neither
    arm it tells nothing of the values, and is left out.
    """
    pooled = _arm(kind, both, cuped=True)
    if pooled is None or old.spread[1, 1] + new.spread[1, 1] <= 0:
        return 0.0
    return float(pooled.spread[0, 1] / pooled.spread[1, 1])


def _arm(kind: Kind, moments: Moments, *, cuped: bool) -> _Arm | None:
    columns = len(moments.mean)
    if kind not in _PLACES or columns not in _PLACES[kind]:
        raise ExperimentError(
            f"{columns} columns do not suit kind {kind!r}; kinds take "
            + ", ".join(f"{name}: {'/'.join(map(str, places))}" for name, places in _PLACES.items())
            + " columns."
        )
    num, den, cov_num, cov_den = _PLACES[kind][columns]
    if cuped and cov_num is None:
        raise ExperimentError(f"CUPED needs a covariate beside the {columns} columns of kind {kind!r}.")
    if moments.units < 2:
        return None
    value, weights = _linearised(moments, num, den)
    if value is None:
        return None
    covariate, slope = _linearised(moments, cov_num, cov_den) if cuped else (0.0, np.zeros(columns))
    gradient = np.vstack([weights, slope])
    spread = gradient @ moments.covariance @ gradient.T / moments.units
    terms = gradient**2 @ np.diagonal(moments.covariance) / moments.units
    constant = np.diagonal(spread) <= _CANCELLED * terms
    spread[constant, :] = spread[:, constant] = 0.0
    return _Arm(moments.units, value, covariate or 0.0, spread)


def _linearised(moments: Moments, num: int | None, den: int | None) -> tuple[float | None, Floats]:
    """Value of mean(num) / mean(den), or mean(num), and its gradient by the column means, shape (k,)."""
    gradient = np.zeros(len(moments.mean))
    if num is None:
        return 0.0, gradient
    if den is None:
        gradient[num] = 1.0
        return float(moments.mean[num]), gradient
    below = float(moments.mean[den])
    if below <= 0:
        return None, gradient
    value = float(moments.mean[num]) / below
    gradient[num] = 1 / below
    gradient[den] -= value / below
    return value, gradient


def _successes(moments: Moments) -> float:
    mean, units = float(moments.mean[0]), moments.units
    off = abs(
        float(moments.cross[0, 0]) - units * mean * (1 - mean)
    )  # of 0 and 1, the squares sum to what they sum to
    if off > 1e-6 * units or not -1e-9 < mean < 1 + 1e-9:
        raise ExperimentError(
            f"A proportion with mean {mean:g} is not made of 0 and 1; declare the metric as kind mean."
        )
    return min(max(mean * units, 0.0), float(units))


def _is_rare(control: Moments, treatment: Moments) -> bool:
    """Whether an arm has fewer than FEW units that converted, or that did not."""
    found = ((_successes(arm), arm.units) for arm in (control, treatment))
    return any(min(successes, units - successes) < FEW for successes, units in found)


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ExperimentError(f"alpha is {alpha}; it has to lie between 0 and 1.")
