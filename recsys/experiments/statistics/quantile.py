"""Quantiles of a metric by the bootstrap, without drawing a single resample.

The r-th smallest of n values drawn with replacement is Q(U), where Q is the quantile function of the values and U the
r-th smallest of n uniforms, a Beta(r, n - r + 1) variable (Efron, 1979, "Bootstrap Methods", section 3). So one Beta
variable, and not n draws, gives one bootstrap replicate, however many users there are; counts of values are enough.

Replicates spread a little too far, for the quantiles of a sample are rough: over a small step du of U, Q moves by the
slope times du, and by the luck of n du values besides: a random walk W with E W(du)^2 = slope^2 |du| / n where values
are smooth. The Beta's steps have the standard deviation s = sqrt(q (1 - q) / n). The variance of W over them, about
its own mean, is E|du| / n less the half of E min(|du|, |du'|) / n: slope^2 s / (n sqrt(pi)). As a part of the variance
(slope s)^2 that is 1 / (sqrt(pi) n s), 3 % at the 90 % quantile of 4,000 units, and is taken off again. Hall and Martin
(1988, "Exact convergence rate of bootstrap quantile variance estimator") treat the bootstrap's error at large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import stats

from recsys.errors import ExperimentError
from recsys.experiments.statistics.compare import Comparison
from recsys.experiments.statistics.moments import Floats

REPLICATES = 10_000
_POINTS = 2_000
LEAST = 2
"""Units that have to be expected on either side of a quantile: with fewer its replicates cannot go beyond the values at
hand, and two arms without any difference would differ in a tenth of all experiments and more."""
_SMOOTH = 10
"""Different values that have to lie within a standard deviation of the quantile's place for it to count as smooth."""


@dataclass(frozen=True, eq=False)
class Values:
    """Values of one arm and how many units have each: both of shape (distinct values,), values ascending.

    Example:
        >>> Values.of([3.0, 1.0, 3.0]).units
        3
    """

    values: Floats
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Self:
        """Count plain values, one per unit.

        Raises:
            ExperimentError: when a value is missing or infinite.
        """
        found, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
        return cls(_finite(found), counts.astype(np.int64))

    @classmethod
    def from_counts(cls, values: npt.ArrayLike, counts: npt.ArrayLike) -> Self:
        """Sort and merge rows of ``experiments.value_counts``: values may repeat.

        Raises:
            ExperimentError: when a value is missing or infinite, or a count is negative.
        """
        units = np.asarray(counts, dtype=np.int64)
        if (units < 0).any():
            raise ExperimentError(f"A value has {units.min()} units; counts start at 0.")
        found, places = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
        return cls(_finite(found), np.bincount(places, units, len(found)).astype(np.int64))

    @property
    def units(self) -> int:
        """Units of the arm."""
        return int(self.counts.sum())

    def quantile(self, q: float) -> float:
        """Quantile interpolated between order statistics, as ``numpy.quantile`` does by default.

        Raises:
            ExperimentError: when no unit has a value.
        """
        self._check()
        rank = (self.units - 1) * q
        places = np.minimum(np.array([math.floor(rank), math.ceil(rank)]), self.units - 1)
        low, high = self.values[np.searchsorted(self.counts.cumsum(), places, side="right")]
        return float(low + (high - low) * (rank - math.floor(rank)))

    def can_tell(self, q: float) -> bool:
        """Whether there are units enough on either side of the quantile for an interval; see LEAST.

        Example:
            >>> Values.of(range(19)).can_tell(0.9), Values.of(range(20)).can_tell(0.9)
            (False, True)
        """
        return self.units * min(q, 1 - q) >= LEAST * (1 - 1e-9)

    def is_lumpy(self, q: float) -> bool:
        """Whether few different values lie about the quantile, as of whole hours.

        Then it stays on one value in most samples and jumps in some: intervals are wide, p-values large, and what a
        power of so much is promised for comes out otherwise.

        Example:
            >>> Values.of([1, 2, 3] * 100).is_lumpy(0.5), Values.of(range(300)).is_lumpy(0.5)
            (True, False)
        """
        return self.units > 0 and self._near(q, self.units) < _SMOOTH

    def replicates(self, q: float, rng: np.random.Generator, count: int = REPLICATES) -> Floats:
        """Bootstrap replicates of the quantile, spread as far as quantiles of samples are: shape (count,).

        Raises:
            ExperimentError: when no unit has a value.
        """
        centre = self.quantile(q)
        wide = self.resampled(q, rng, count) - centre
        return centre + wide / math.sqrt(1 + self._roughness(q, self.units))

    def resampled(self, q: float, rng: np.random.Generator, count: int = REPLICATES) -> Floats:
        """The quantile of resamples of these values, shape (count,); there has to be one."""
        units = self.units
        rank = (units - 1) * q
        below, part = math.floor(rank) + 1, rank - math.floor(rank)  # the below-th smallest of units
        upper = rng.beta(min(below + 1, units), units - min(below + 1, units) + 1, count)
        lower = upper * rng.beta(below, 1, count) if below < units else upper
        shares = self.counts.cumsum() / units
        low, high = (self._at(shares, uniform) for uniform in (lower, upper))
        return low + (high - low) * part

    def standard_error(self, q: float, units: int) -> float:
        """Standard error of the quantile of ``units`` units like these, over evenly spaced points of its distribution.

        It needs no rank as large as the units at hand, and no density. Of lumpy values (``is_lumpy``) it is what it is
        on average, and no guide to how often a difference is found.

        Raises:
            ExperimentError: when no unit has a value.
        """
        self._check()
        rank = min(math.floor((units - 1) * q + 0.5) + 1, units)
        points = (np.arange(_POINTS) + 0.5) / _POINTS
        uniform = stats.beta.ppf(points, rank, units - rank + 1)
        rough = float(self._at(self.counts.cumsum() / self.units, uniform).std())
        return rough / math.sqrt(1 + self._roughness(q, units))

    def _roughness(self, q: float, units: int) -> float:
        """What the roughness of these values adds to the variance of the quantile of ``units``, as a part of it.

        0 where few different values lie about the quantile: they are lumps, on which replicates stay.
        """
        spread = math.sqrt(q * (1 - q) / units)
        return 1 / (math.sqrt(math.pi) * self.units * spread) if self._near(q, units) >= _SMOOTH else 0.0

    def _near(self, q: float, units: int) -> int:
        """Different values within a standard deviation of the place of the quantile of ``units``."""
        spread = math.sqrt(q * (1 - q) / units)
        ends = np.clip([q - spread, q + spread], 0, 1)
        first, last = np.searchsorted(self.counts.cumsum() / self.units, ends, side="left")
        return int(last - first)

    def _check(self) -> None:
        if not self.units:
            raise ExperimentError("No unit has a value, so there is no quantile; give units that have one.")

    def _at(self, shares: Floats, uniform: Floats) -> Floats:
        return self.values[np.minimum(np.searchsorted(shares, uniform, side="left"), len(shares) - 1)]


def compare_quantiles(
    control: Values,
    treatment: Values,
    q: float,
    *,
    alpha: float,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> Comparison | None:
    """Treatment's quantile minus control's; None when an arm has too few units for it (``Values.can_tell``).

    Intervals are those of the percentile bootstrap, of the difference and of the relative lift. The p-value is twice
    the share of replicates on the other side of 0, ties counted by half, and never below 2 / (replicates + 1).

    Raises:
        ExperimentError: q or alpha does not lie between 0 and 1.

    Example:
        >>> a, b = Values.of(range(100)), Values.of(range(10, 110))
        >>> compare_quantiles(a, b, 0.5, alpha=0.05, rng=np.random.default_rng(1)).difference
        10.0
    """
    for name, share in (("quantile", q), ("alpha", alpha)):
        if not 0 < share < 1:
            raise ExperimentError(f"{name} is {share}; it has to lie between 0 and 1.")
    if not (control.can_tell(q) and treatment.can_tell(q)):
        return None
    old, new = control.replicates(q, rng, replicates), treatment.replicates(q, rng, replicates)
    steps = new - old
    low, high = np.quantile(steps, [alpha / 2, 1 - alpha / 2])
    below = float((steps < 0).sum() + (steps == 0).sum() / 2)
    tail = (min(below, replicates - below) + 1) / (replicates + 1)
    before, after = control.quantile(q), treatment.quantile(q)
    return Comparison(
        n=treatment.units,
        mean=after,
        difference=after - before,
        low=float(low),
        high=float(high),
        **_lift(before, after, old, new, alpha),
        p_value=min(2 * tail, 1.0),
        method=f"bootstrap of the {q:.10g} quantile, percentile",
        variance=float(steps.var(ddof=1)),
        degrees=math.inf,
    )


def _lift(before: float, after: float, old: Floats, new: Floats, alpha: float) -> dict[str, float | None]:
    """Relative lift and its percentile interval; without ends where control's quantile may be 0."""
    lift: dict[str, float | None] = dict.fromkeys(("relative", "relative_low", "relative_high"))
    if before != 0:
        lift["relative"] = after / before - 1
        if (old > 0).all() or (old < 0).all():
            ends = np.quantile(new / old, [alpha / 2, 1 - alpha / 2]) - 1
            lift["relative_low"], lift["relative_high"] = ends.tolist()
    return lift


def _finite(values: Floats) -> Floats:
    if not np.isfinite(values).all():
        raise ExperimentError("A value is missing or infinite; drop such units or set a value before.")
    return values
