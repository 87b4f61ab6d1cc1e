"""What lists promised against what came of it: odds of a purchase set right by what earlier lists of a model earned.

A ranker is calibrated on lists that the ranker before it made. Its own lists hold what it thinks highest of, and so,
more often than not, what it overestimates (Smith and Winkler, "The optimizer's curse", Management Science 52, 2006).
That shows only once they have been seen, in ``marts.list_calibration``. By how much a model overestimates says nothing
of the next: a new one is taken at its word on its first day. Only that it does so the more the dearer a listing is, as
where little is sold and purses end, is much the same for all of them, and is learned from all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

BANDS_PER_LOG = 3.0
"""Price bands to a unit of the natural logarithm, as include/sql/marts/list_calibration.sql has them."""
PRIOR = 20.0
"""Purchases by which a band's ratio is drawn to what mean ratio and price let expect, and the mean ratio to 1."""
DEAR_PENALTY = 5.0
"""Penalty on the fall of the ratio with dearness: half of it times the square of the fall is taken off the
log-likelihood."""
MOST_FALL = 5.0
"""The search for the fall ends here: listings at e times the mean price would sell e^-5 of what is expected."""
SEEN_ABOVE = 5.0
"""Purchases expected above the price up to which the ratio falls: what hardly was seen says no more."""


@dataclass(frozen=True)
class Promises:
    """Purchases that happened per purchase expected, by price; of nothing known, 1 everywhere.

    ``log_price`` [bands] are the middles of the bands, rising; between them the log of the ``ratio`` is drawn straight.
    """

    log_price: np.ndarray = field(default_factory=lambda: np.zeros(1))
    ratio: np.ndarray = field(default_factory=lambda: np.ones(1))

    @classmethod
    def of(cls, bands: pd.DataFrame, shape: pd.Series) -> Self:
        """From rows [price_band, expected, purchases], summed here, of one policy, one model and the last days.

        ``shape`` is by price_band, rising, as ``shape_of`` has it.
        """
        if shape.empty:
            return cls()
        sums = bands.groupby("price_band")[["expected", "purchases"]].sum().reindex(shape.index, fill_value=0)
        expected, purchases = sums["expected"].to_numpy(np.float64), sums["purchases"].to_numpy(np.float64)
        usual = shape.to_numpy(np.float64)
        mean = (purchases.sum() + PRIOR) / ((expected * usual).sum() + PRIOR)
        ratio = (purchases + PRIOR * mean * usual) / (expected + PRIOR)
        return cls(_middles(shape.index), ratio)

    def at(self, price: np.ndarray) -> np.ndarray:
        """The ratio of listings of a ``price`` [listings]."""
        return np.asarray(
            np.exp(np.interp(np.log(np.maximum(price, 1.0)), self.log_price, np.log(self.ratio)))
        )

    def kept(self, p: np.ndarray, price: np.ndarray) -> np.ndarray:
        """Probabilities ``p`` [pairs] of listings of a ``price`` [pairs], their odds multiplied by the ratio.

        Example:
            >>> Promises(np.array([0.0]), np.array([0.5])).kept(np.array([0.5]), np.array([20.0])).round(3).tolist()
            [0.333]
        """
        odds = p / (1.0 - p) * self.at(price)
        return np.asarray(odds / (1.0 + odds))


def shape_of(bands: pd.DataFrame) -> pd.Series:
    """By price_band, rising: the ratio there to that of what is not dear, at most 1; each model's own mean is left out.

    exp(-fall x dearness), where dearness is the square of the log of the price over the mean one; the fall is the
    likeliest for how the purchases lie over prices. What is cheap is a model's own affair: of what one promised too
    little, the next may promise too much. From rows [model, price_band, expected_before, purchases_before] of one
    policy.

    Example:
        >>> rows = pd.DataFrame({"model": ["a", "a", "b", "b"], "price_band": [0, 9, 0, 9],
        ...     "expected_before": [5e4, 5e4, 5e4, 5e4], "purchases_before": [15_000, 5_000, 75_000, 25_000]})
        >>> shape_of(rows).round(2).tolist()
        [1.0, 0.33]
    """
    sums = bands.groupby("model")[["expected_before", "purchases_before"]].transform("sum")
    level = (sums["purchases_before"] + 1.0) / (sums["expected_before"] + 1.0)
    usual = bands.assign(usual=bands["expected_before"] * level)
    found = usual.groupby("price_band", sort=True)[["usual", "purchases_before"]].sum()
    expected, purchases = found.to_numpy(np.float64).T
    if not expected.sum() > 0:
        return pd.Series(1.0, index=found.index)
    log_price = _middles(found.index)
    above = np.cumsum(expected[::-1])[::-1]
    highest = log_price[above >= min(SEEN_ABOVE, above[0])].max()
    dearness = np.maximum(np.minimum(log_price, highest) - np.average(log_price, weights=expected), 0.0) ** 2

    def loss(fall: float) -> float:
        spread = np.log((expected * np.exp(-fall * dearness)).sum())
        return float(purchases.sum() * spread + fall * (purchases @ dearness) + DEAR_PENALTY / 2 * fall**2)

    fall = minimize_scalar(loss, bounds=(0.0, MOST_FALL), method="bounded", options={"xatol": 1e-6}).x
    return pd.Series(np.exp(-fall * dearness), index=found.index)


def _middles(price_bands: pd.Index) -> np.ndarray:
    """The log of the price in the middle of each band."""
    return np.asarray((price_bands.to_numpy(np.float64) + 0.5) / BANDS_PER_LOG)


@dataclass(frozen=True)
class Record:
    """What came of the promises of every policy and model: by both, and by policy alone for a model that is new."""

    seen: Mapping[tuple[str, str], Promises] = field(default_factory=dict)
    new: Mapping[str, Promises] = field(default_factory=dict)

    @classmethod
    def of(cls, bands: pd.DataFrame | None) -> Self:
        """From rows [policy, model, price_band, expected, purchases, expected_before, purchases_before], the former two
        of the last days and the latter of the weeks up to now; None: nothing is known."""
        if bands is None or bands.empty:
            return cls()
        seen, new = {}, {}
        for policy, rows in bands.groupby("policy", sort=True):
            shape = shape_of(rows)
            new[str(policy)] = Promises.of(rows.iloc[:0], shape)
            for model, own in rows.groupby("model", sort=True):
                if own["expected"].sum() > 0:
                    seen[str(policy), str(model)] = Promises.of(own, shape)
        return cls(seen, new)

    def promises(self, policy: str, model: str) -> Promises:
        """Those of a model, seen or not."""
        return self.seen.get((policy, model)) or self.new.get(policy) or Promises()
