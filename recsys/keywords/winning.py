"""The chance that a campaign has the slot when its keyword is searched."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from recsys.keywords.features import FIT, FIT_COLUMNS
from recsys.keywords.pairs import Pairs
from recsys.keywords.rankers.base import Examples
from recsys.keywords.rankers.logistic import Logistic

OWN: Final = ("log_ad_rate", "log_rate_ratio", "log_campaigns", "log_searches", "click_logit")
NAMES: Final = (*OWN, *FIT)
PENALTY: Final = 10.0
MOST_SEARCHES: Final = 50.0
"""Searches that one campaign and keyword counts for at most: they are not independent draws."""


def win_features(
    pairs: Pairs, ad_rate: np.ndarray, click_logit: np.ndarray, features: np.ndarray
) -> np.ndarray:
    """NAMES of each pair at its rate: float32 [pairs, names]; the ratio to the others' mean is NaN without others.

    How item and keyword fit is in there twice, beside the click too: an auction that goes by quality gives no slot to
    what does not fit, so the chance of a click is known of what fits alone, and that of the slot tells the rest.
    """
    usual = pairs.of_keyword("mean_ad_rate")
    rate = np.log(np.maximum(ad_rate, 1e-4))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(usual > 0, rate - np.log(np.where(usual > 0, usual, 1.0)), np.nan)
    searches = np.log1p(pairs.of_keyword("searches_28d"))
    competing = np.log1p(pairs.of_keyword("campaigns"))
    own = np.column_stack([rate, ratio, competing, searches, click_logit])
    return np.hstack([own, features[:, FIT_COLUMNS]]).astype(np.float32)


def fit_winning(features: np.ndarray, outcomes: pd.DataFrame) -> Logistic:
    """Logistic regression of impressions out of searches; the penalty shrinks it to the rate of all.

    A campaign that had the slot more often than its keyword was searched in one category counts as always having it.
    """
    searches = outcomes["searches"].to_numpy(np.float64)
    won = np.minimum(outcomes["impressions"].to_numpy(np.float64), searches)
    scale = np.minimum(1.0, MOST_SEARCHES / np.maximum(searches, 1e-9))
    some = searches > 0
    return Logistic.fit(Examples(features, won * scale, searches * scale).where(some), NAMES, penalty=PENALTY)
