"""Switchbacks: regions change between treatment and control over time, all of their units together.

A cell is a region in a period. Its value is regressed on the arm with effects of region and of period, which takes away
what regions and hours have of their own. The arm was drawn per window (a region's periods between two draws), so the
standard error treats windows as the clusters (Abadie, Athey, Imbens and Wooldridge, 2023, "When Should You Adjust
Standard Errors for Clustering?"). What the other arm left behind is cut away: the first periods after a change carry
over from before it (Bojinov, Simchi-Levi and Zhao, 2023, "Design and Analysis of Switchback Experiments").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from recsys.errors import ExperimentError
from recsys.experiments.statistics.compare import Comparison, two_sided
from recsys.experiments.statistics.moments import Floats

_SWEEPS = 10_000
_SETTLED = 1e-13


@dataclass(frozen=True, eq=False)
class Cells:
    """Regions x periods, each array of shape (regions, periods).

    Attributes:
        treated: whether the region was treated in the period.
        window: number of the draw that the arm comes from, rising along a region's periods; regions that draw at the
            same time give it the same number.
        value: sum of the metric (of a ratio: of its numerator) in the cell.
        units: how many units (or what denominator) the sum is over; 0 leaves the cell out.
    """

    treated: npt.NDArray[np.bool_]
    window: npt.NDArray[np.int64]
    value: Floats
    units: Floats

    def __post_init__(self) -> None:
        shapes = {self.treated.shape, self.window.shape, self.value.shape, self.units.shape}
        if len(shapes) != 1 or self.treated.ndim != 2:
            raise ExperimentError(f"Cells have the shapes {sorted(shapes)}; give regions x periods for all.")
        if not (np.isfinite(self.value).all() and np.isfinite(self.units).all()) or (self.units < 0).any():
            raise ExperimentError(
                "A cell has a missing value or units below 0; give 0 units where nothing is known."
            )
        if (np.diff(self.window, axis=1) < 0).any():
            raise ExperimentError("Windows have to rise along a region's periods.")
        inside = np.diff(self.window, axis=1) == 0
        if (np.diff(self.treated.astype(np.int64), axis=1)[inside] != 0).any():
            raise ExperimentError(
                "A region changes its arm inside of a window; the window is what was drawn."
            )

    def clean(self, carryover: int) -> npt.NDArray[np.bool_]:
        """Cells with units whose region has been in its arm for more than ``carryover`` periods.

        What came before the first period is not known, so with a carryover its first periods are left out too.
        """
        kept = self.units > 0
        for back in range(1, carryover + 1):
            kept[:, :back] = False
            kept[:, back:] &= self.treated[:, back:] == self.treated[:, :-back]
        return kept


def switchback(cells: Cells, *, alpha: float, carryover: int = 0) -> Comparison | None:
    """Effect of treatment per unit, from a switchback.

    Of G windows, as many degrees of freedom are spent as there are regions and draws in time; the sandwich is widened
    by G over what is left, since it is too small where windows are few.

    Args:
        cells: what was measured. Cells weigh by their units.
        alpha: error probability.
        carryover: periods after a change that still feel the arm before it.

    Returns:
        None where fewer than two windows of an arm are left, or arm, regions and periods cannot be told apart. ``n``
        counts the treated windows; ``mean`` is the treated cells' own mean; ``relative`` sets the difference against
        the mean of the control cells, which it takes as known.

    Raises:
        ExperimentError: carryover is negative.
    """
    if carryover < 0:
        raise ExperimentError(f"carryover is {carryover}; it counts periods, from 0.")
    region, period = np.nonzero(cells.clean(carryover))
    arm, units = cells.treated[region, period].astype(np.float64), cells.units[region, period]
    number = cells.window[region, period]
    windows = _windows(region, number)
    treated, groups = len(np.unique(windows[arm == 1])), len(np.unique(windows))
    free = groups - len(np.unique(region)) - len(np.unique(number))
    if min(treated, groups - treated) < 2 or free < 1:
        return None
    rate = cells.value[region, period] / units
    outcome, own = _within(rate, units, region, period), _within(arm, units, region, period)
    scale = float(units @ own**2)
    if scale < 1e-9 * units.sum():
        return None
    difference = float(units @ (own * outcome)) / scale
    scores = np.bincount(windows, units * own * (outcome - difference * own))
    variance = float(scores @ scores) / scale**2 * groups / free
    before, after = (float(np.average(rate[arm == side], weights=units[arm == side])) for side in (0, 1))
    margin = float(stats.t.ppf(1 - alpha / 2, free)) * math.sqrt(variance)
    low, high = difference - margin, difference + margin
    lifts = _lifts(before, (difference, low, high))
    p_value = two_sided(difference, variance, free)
    method = "switchback, level known"
    return Comparison(treated, after, difference, low, high, *lifts, p_value, method, variance, float(free))


def _lifts(level: float, ends: tuple[float, float, float]) -> tuple[float | None, float | None, float | None]:
    if level == 0:
        return None, None, None
    value, low, high = (end / level for end in ends)
    return value, min(low, high), max(low, high)


def _windows(region: npt.NDArray[np.int64], window: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number of each (region, window), from 0."""
    return np.unique(np.column_stack([region, window]), axis=0, return_inverse=True)[1].ravel()


def _within(
    values: Floats, weights: Floats, region: npt.NDArray[np.int64], period: npt.NDArray[np.int64]
) -> Floats:
    """Take away the effects of region and period, by turns until nothing moves (Guimaraes and Portugal, 2010)."""
    left = values.copy()
    scale = max(float(np.abs(values).max()), 1e-300)
    totals = [np.maximum(np.bincount(places, weights), 1e-300) for places in (region, period)]
    for _ in range(_SWEEPS):
        moved = 0.0
        for places, total in zip((region, period), totals, strict=True):
            step = np.bincount(places, weights * left) / total
            left -= step[places]
            moved = max(moved, float(np.abs(step).max()))
        if moved <= _SETTLED * scale:
            return left
    raise ExperimentError("Effects of regions and periods do not settle; too few cells tie them together.")
