"""Pure arithmetic over sufficient statistics: nothing here reads data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Sample:
    """The estimate of one arm: its value, the variance of that value (squared standard error), and its units."""

    value: float
    variance: float
    units: int


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided confidence interval; ``p_value`` tests the estimate against 0."""

    value: float
    low: float
    high: float
    p_value: float


def mean_sample(units: int, total: float, total_of_squares: float) -> Sample | None:
    """Sample of a per-unit mean; None with fewer than two units, where no variance exists."""
    if units < 2:
        return None
    mean = total / units
    variance = max(total_of_squares - units * mean * mean, 0.0) / (units - 1)
    return Sample(mean, variance / units, units)


def ratio_sample(  # noqa: PLR0917
    units: int, num: float, den: float, num_sq: float, den_sq: float, num_den: float
) -> Sample | None:
    """Sample of sum(num) / sum(den) by the delta method, units being the independent draws.

    Var(N/D) = (s_n^2 - 2 R s_nd + R^2 s_d^2) / (n mean_d^2), Deng, Knoblich and Lu (2018), "Applying the Delta
    Method in Metric Analytics". None with fewer than two units or an empty denominator.
    """
    if units < 2 or den <= 0:
        return None
    ratio, mean_num, mean_den = num / den, num / units, den / units
    free = units - 1
    s_nn = (num_sq - units * mean_num * mean_num) / free
    s_dd = (den_sq - units * mean_den * mean_den) / free
    s_nd = (num_den - units * mean_num * mean_den) / free
    variance = max(s_nn - 2 * ratio * s_nd + ratio * ratio * s_dd, 0.0) / (units * mean_den * mean_den)
    return Sample(ratio, variance, units)


def interval(sample: Sample, alpha: float) -> Interval:
    """Student-t interval of one arm's value."""
    return _interval(sample.value, sample.variance, sample.units - 1, alpha)


def welch_difference(treatment: Sample, control: Sample, alpha: float) -> Interval:
    """Treatment minus control with unequal variances; degrees of freedom after Welch (1947) and Satterthwaite."""
    variance = treatment.variance + control.variance
    spread = treatment.variance**2 / (treatment.units - 1) + control.variance**2 / (control.units - 1)
    degrees = variance**2 / spread if spread > 0 else float(treatment.units + control.units - 2)
    return _interval(treatment.value - control.value, variance, degrees, alpha)


def _interval(value: float, variance: float, degrees: float, alpha: float) -> Interval:
    error = math.sqrt(variance)
    if error == 0:
        return Interval(value, value, value, 1.0 if value == 0 else 0.0)
    margin = float(stats.t.ppf(1 - alpha / 2, degrees)) * error
    p_value = float(2 * stats.t.sf(abs(value) / error, degrees))
    return Interval(value, value - margin, value + margin, p_value)
