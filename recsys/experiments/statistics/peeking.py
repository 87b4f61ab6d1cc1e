"""What looking every day does to the error of each design, by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
from scipy import special, stats

from recsys.experiments.statistics.moments import Floats
from recsys.experiments.statistics.sequential import (
    Spending,
    accrued_information,
    always_valid_critical,
    group_sequential,
)

Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]
"""Draws one value per unit, in the shape asked for."""
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Peeking:
    """Share of runs that each way of looking rejected.

    Attributes:
        fixed: a fixed-horizon test looked at once, at the end.
        peeking: the same test looked at on every day, stopping at the first significant one.
        sequential: the designs made for it, by name ("obrien_fleming", "pocock", "power", "always_valid").
        runs: experiments simulated.
    """

    fixed: float
    peeking: float
    sequential: Mapping[str, float]
    runs: int

    @property
    def error(self) -> float:
        """Standard error of a share near 0.05 over these runs."""
        return math.sqrt(0.05 * 0.95 / self.runs)


def rejections(
    rng: np.random.Generator,
    draw: Draw,
    *,
    runs: int,
    looks: int,
    units: int,
    alpha: float = 0.05,
    lift: float = 0.0,
    accrue: bool = False,
) -> Peeking:
    """Simulate two-arm experiments that are looked at after every day.

    Args:
        rng: source of the draws.
        draw: values of units without treatment.
        runs: experiments.
        looks: days, each with a look.
        units: new units per arm and day.
        alpha: two-sided error that is promised.
        lift: relative effect: treated values are (1 + lift) times what they would have been. 0 gives the error.
        accrue: whether units draw a new value on every day since they came, and their totals are compared; the bounds
            are then those for accrued information.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> found = rejections(rng, lambda rng, shape: rng.exponential(size=shape), runs=200, looks=5, units=50)
        >>> found.peeking > found.fixed
        True
    """
    at_once = max(_AT_ONCE // (looks * units * (looks if accrue else 1)), 1)
    sizes = [min(at_once, runs - start) for start in range(0, runs, at_once)]
    z = np.concatenate([_z(rng, draw, (size, looks, units), lift, accrue) for size in sizes])
    fractions = [(look + 1) / looks for look in range(looks)]
    information = accrued_information(fractions) if accrue else fractions
    limit = float(stats.norm.isf(alpha / 2))
    bounds: dict[str, Floats] = {
        name: np.array(
            group_sequential(fractions, alpha=alpha, spending=name, information=information).critical
        )
        for name in get_args(Spending)
    }
    bounds["always_valid"] = np.array([always_valid_critical(t, alpha=alpha) for t in fractions])
    return Peeking(
        float((z[:, -1] >= limit).mean()),
        float((z >= limit).any(axis=1).mean()),
        {name: float((z >= bound).any(axis=1).mean()) for name, bound in bounds.items()},
        runs,
    )


def _z(
    rng: np.random.Generator, draw: Draw, shape: tuple[int, int, int], lift: float, accrue: bool
) -> Floats:
    """Welch's statistic after every look, as the absolute normal value of the same tail; shape (runs, looks)."""
    means, errors, free = [], [], []
    for factor in (1.0, 1.0 + lift):
        seen, sums, products = (_accrued if accrue else _once)(rng, draw, shape)
        mean = factor * sums / seen
        squares = np.maximum(factor**2 * products - seen * mean**2, 0.0)
        means.append(mean)
        errors.append(squares / np.maximum(seen - 1, 1) / seen)
        free.append(np.maximum(seen - 1, 1))
    variance = errors[0] + errors[1]
    some = variance > 0
    safe = np.where(some, variance, 1.0)
    spread = errors[0] ** 2 / free[0] + errors[1] ** 2 / free[1]
    degrees = np.where(some, safe**2 / np.where(some, spread, 1.0), 1.0)
    t = np.where(some, np.abs(means[1] - means[0]) / np.sqrt(safe), 0.0)
    return -special.ndtri(special.stdtr(degrees, -t))


def _once(rng: np.random.Generator, draw: Draw, shape: tuple[int, int, int]) -> tuple[Floats, Floats, Floats]:
    """Units, sum and sum of squares over them after every look, each of shape (runs, looks); a unit has one value."""
    values = draw(rng, shape)
    seen = np.broadcast_to(shape[2] * np.arange(1.0, shape[1] + 1), shape[:2])
    return seen, values.sum(axis=2).cumsum(axis=1), (values**2).sum(axis=2).cumsum(axis=1)


def _accrued(
    rng: np.random.Generator, draw: Draw, shape: tuple[int, int, int]
) -> tuple[Floats, Floats, Floats]:
    """Count and sum the same of the totals of units that draw a value on the day they come and on every day after.

    A unit comes on a day by chance: equal numbers in both arms would balance them by when their units came, which the
    test does not know of, and would err less than it says.
    """
    runs, looks, units = shape
    came = rng.integers(0, looks, (runs, looks * units, 1))
    there = np.arange(looks) >= came
    totals = (draw(rng, there.shape) * there).cumsum(axis=2)
    return np.maximum(there.sum(axis=1), 1.0), totals.sum(axis=1), (totals**2).sum(axis=1)
