"""What lists promised against what came of it: odds of a purchase set right by what earlier lists of a model earned.

A ranker is calibrated on lists that the ranker before it made. Its own lists hold what it thinks highest of, and so,
more often than not, what it overestimates (Smith and Winkler, "The optimizer's curse", Management Science 52, 2006).
That shows only once they have been seen, in ``marts.list_calibration``. By how much a model overestimates says nothing
of the next: a new one is taken at its word on its first day. At which prices it does so more than at others, as where
little is sold, is much the same for all of them, and is learned from all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd

BANDS_PER_LOG = 3.0
"""Price bands to a unit of the natural logarithm, as include/sql/marts/list_calibration.sql has them."""
PRIOR = 20.0
"""Purchases by which a band's ratio is drawn to what mean ratio and price let expect, and the mean ratio to 1."""
SHAPE_PRIOR = 10.0
"""Purchases by which a band of all models is drawn to the mean."""


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

        ``shape`` is by price_band, rising: the ratio there to the mean ratio, as ``shape_of`` has it.
        """
        if shape.empty:
            return cls()
        sums = bands.groupby("price_band")[["expected", "purchases"]].sum().reindex(shape.index, fill_value=0)
        expected, purchases = sums["expected"].to_numpy(np.float64), sums["purchases"].to_numpy(np.float64)
        usual = shape.to_numpy(np.float64)
        mean = (purchases.sum() + PRIOR) / ((expected * usual).sum() + PRIOR)
        ratio = (purchases + PRIOR * mean * usual) / (expected + PRIOR)
        return cls((shape.index.to_numpy(np.float64) + 0.5) / BANDS_PER_LOG, ratio)

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
    """By price_band, rising: purchases per purchase expected there, each model's own mean ratio taken out.

    From rows [model, price_band, expected_before, purchases_before] of one policy.

    Example:
        >>> rows = pd.DataFrame({"model": ["a", "a", "b", "b"], "price_band": [0, 9, 0, 9],
        ...     "expected_before": [5e4, 5e4, 5e4, 5e4], "purchases_before": [15_000, 5_000, 75_000, 25_000]})
        >>> shape_of(rows).round(2).tolist()
        [1.5, 0.5]
    """
    sums = bands.groupby("model")[["expected_before", "purchases_before"]].transform("sum")
    level = (sums["purchases_before"] + 1.0) / (sums["expected_before"] + 1.0)
    usual = bands.assign(usual=bands["expected_before"] * level)
    found = usual.groupby("price_band", sort=True)[["usual", "purchases_before"]].sum()
    return (found["purchases_before"] + SHAPE_PRIOR) / (found["usual"] + SHAPE_PRIOR)


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
