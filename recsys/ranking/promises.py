"""What lists promised against what came of it: odds of a purchase set right by what earlier lists of a model earned.

A ranker is calibrated on lists that the ranker before it made. Its own lists hold what it thinks highest of, and so,
more often than not, what it overestimates (Smith and Winkler, "The optimizer's curse", Management Science 52, 2006).
That shows only once they have been seen, in ``marts.list_calibration``. What one model overestimates another does not:
a new one is taken at its word on its first day.
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
"""Purchases that a band's ratio is drawn to the mean ratio by, and the mean ratio to 1."""


@dataclass(frozen=True)
class Promises:
    """Purchases that happened per purchase expected, by price; of nothing known, 1 everywhere.

    ``log_price`` [bands] are the middles of the bands, rising; between them the log of the ``ratio`` is drawn straight.
    """

    log_price: np.ndarray = field(default_factory=lambda: np.zeros(1))
    ratio: np.ndarray = field(default_factory=lambda: np.ones(1))

    @classmethod
    def of(cls, bands: pd.DataFrame) -> Self:
        """From rows [price_band, expected, purchases], summed here, of one policy, one model and the last days."""
        if bands.empty:
            return cls()
        sums = bands.groupby("price_band", sort=True)[["expected", "purchases"]].sum()
        expected, purchases = sums["expected"].to_numpy(np.float64), sums["purchases"].to_numpy(np.float64)
        mean = (purchases.sum() + PRIOR) / (expected.sum() + PRIOR)
        ratio = (purchases + PRIOR * mean) / (expected + PRIOR)
        return cls((sums.index.to_numpy(np.float64) + 0.5) / BANDS_PER_LOG, ratio)

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


def promises_of(bands: pd.DataFrame | None) -> Mapping[tuple[str, str], Promises]:
    """By policy and model, from rows [policy, model, price_band, expected, purchases]; None: nothing is known."""
    if bands is None:
        return {}
    groups = bands.groupby(["policy", "model"], sort=True)
    return {(str(policy), str(model)): Promises.of(rows) for (policy, model), rows in groups}
