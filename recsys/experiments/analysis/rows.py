"""Two arms given row by row: the comparison that suits their kind."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt

from recsys.errors import ExperimentError
from recsys.experiments.statistics.compare import Comparison, Kind, compare
from recsys.experiments.statistics.moments import Moments
from recsys.experiments.statistics.quantile import Values as ValueCounts
from recsys.experiments.statistics.quantile import compare_quantiles
from recsys.experiments.statistics.winsorise import winsorise as winsorised

Floats = npt.NDArray[np.float64]
_FAR = 100
"""Columns whose largest value lies beyond 2 to this power, or below its inverse, are scaled while they are compared."""


def compare_rows(
    kind: str,
    control: Floats,
    treatment: Floats,
    *,
    alpha: float,
    cuped: bool = False,
    winsorise: float | None = None,
    quantile: float | None = None,
    rng: np.random.Generator | None = None,
) -> Comparison | None:
    """Compare two arms, each of shape (units, columns) with the columns of ``statistics.compare``.

    ``winsorise`` is the quantile of both arms together above which the first column (and, under CUPED, the covariate's
    numerator) counts as that quantile. ``quantile`` and ``rng`` (of its bootstrap) are for that kind, of the first
    column. None where an arm has fewer than two units or an empty denominator.

    Raises:
        ExperimentError: kind quantile without a quantile or a generator.
    """
    if kind == "quantile":
        if quantile is None or rng is None:
            raise ExperimentError("A quantile needs its level, like 0.9, and a random generator.")
        return compare_quantiles(
            ValueCounts.of(control[:, 0]), ValueCounts.of(treatment[:, 0]), quantile, alpha=alpha, rng=rng
        )
    if winsorise is not None:
        control, treatment = _capped(kind, control, treatment, cuped, winsorise)
    power = powers_of_two(control, treatment)
    arms = (Moments.of(*np.ldexp(rows, -power).T) for rows in (control, treatment))
    found = compare(cast("Kind", kind), *arms, alpha=alpha, cuped=cuped)
    return found and _in_units(found, int(power[0] - power[1] if kind == "ratio" else power[0]))


def powers_of_two(control: Floats, treatment: Floats) -> npt.NDArray[np.int64]:
    """Powers of two that bring each column near 1, shape (columns,): 0 unless squares of squares could overflow."""
    largest = np.abs(np.concatenate([control, treatment])).max(axis=0, initial=0.0)
    power = np.where(np.isfinite(largest), np.frexp(largest)[1], 0).astype(np.int64)
    return np.where(np.abs(power) > _FAR, power, 0)


def _in_units(found: Comparison, power: int) -> Comparison:
    """Bring a comparison of scaled values back; what is too large for a float is infinite."""
    if power == 0:
        return found
    with np.errstate(over="ignore"):
        mean, difference, low, high, variance = np.ldexp(
            [found.mean, found.difference, found.low, found.high, found.variance], [power] * 4 + [2 * power]
        ).tolist()
    return replace(found, mean=mean, difference=difference, low=low, high=high, variance=variance)


def _capped(
    kind: str, control: Floats, treatment: Floats, cuped: bool, quantile: float
) -> tuple[Floats, Floats]:
    first = {"mean": 1, "ratio": 2}.get(kind)
    if first is None:
        return control, treatment
    arms = control.copy(), treatment.copy()
    for column in (0, first) if cuped else (0,):
        for rows, capped in zip(arms, winsorised([rows[:, column] for rows in arms], quantile), strict=True):
            rows[:, column] = capped
    return arms
