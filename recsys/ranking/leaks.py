"""A watch for features that know the outcome."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from recsys.errors import ModelError

TOO_GOOD = 0.995
"""No honest feature alone orders purchases this well: the area under its ROC curve. What customers who only restock
bought before comes near it (.98)."""
LEAST_PURCHASES = 30
MOST_OTHERS = 50_000


def refuse_leaks(names: Sequence[str], features: np.ndarray, purchased: np.ndarray) -> None:
    """Refuse ``features`` [pairs, names] of which one alone tells the ``purchased`` pairs from the others.

    It needs LEAST_PURCHASES purchases, and looks at MOST_OTHERS evenly spaced others. NaN counts as the lowest value.

    Raises:
        ModelError: naming the feature and its area under the curve, when that is above TOO_GOOD, or below 1 - TOO_GOOD.
    """
    bought, others = np.flatnonzero(purchased > 0), np.flatnonzero(~(purchased > 0))
    if len(bought) < LEAST_PURCHASES or not len(others):
        return
    others = others[:: max(1, len(others) // MOST_OTHERS)]
    for place, name in enumerate(names):
        column = features[:, place]
        known = np.where(np.isnan(column), -np.inf, column)
        area = _area(known[bought], known[others])
        if max(area, 1 - area) > TOO_GOOD:
            raise ModelError(
                f"The feature {name} alone orders purchases with an area under the curve of {area:.3f}, as only what "
                "happened afterwards could. Its SELECT reads a day that was not known yet; correct it and build again."
            )


def differing(names: Sequence[str], one: np.ndarray, other: np.ndarray) -> list[str]:
    """The features that are not the same in two tables [pairs, names] of the same pairs.

    Built once from a warehouse cut off at a day and once from one that goes on, every feature has to be the same.
    """
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return [name for name, all_same in zip(names, same.all(axis=0), strict=True) if not all_same]


def _area(high: np.ndarray, low: np.ndarray) -> float:
    """Area under the ROC curve by rank sums (Mann and Whitney, 1947), ties counting half."""
    ranks = rankdata(np.concatenate([high, low]))
    return float((ranks[: len(high)].sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low)))
