"""Relevance: whether buyers who search a phrase turn to such an item, told by more than the clicks on ads.

Ads show only what sellers chose and the auction let through; a pair that search judged irrelevant has no click, and no
impression either (the middleman's bias). So what buyers clicked among all results counts too, against listings that
nobody chose, and what the auction never let through although it was searched counts against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from recsys.keywords.catalogue import KEYWORD
from recsys.keywords.features import DEMAND, FEATURES, FIT, Known, pair_features
from recsys.keywords.labels import Week
from recsys.keywords.pairs import Pairs
from recsys.keywords.rankers.base import Examples
from recsys.keywords.rankers.logistic import Logistic
from recsys.schema import CATEGORY_ID, ITEM_ID

NAMES: Final = (*FIT, "keyword_words")
PENALTY: Final = 3.0
STARVED: Final = 10.0
"""Searches without a slot from which an ad counts as judged irrelevant."""
OTHERS: Final = 2
"""Listings drawn from the category, and as many from all, beside each one that was clicked."""
MOST: Final = 50_000
"""Pairs clicked in one week that are learned from."""
_COLUMNS: Final = [FEATURES.index(name) for name in NAMES]
assert set(NAMES) <= set(FIT) | set(DEMAND)


def relevance_inputs(features: np.ndarray) -> np.ndarray:
    """The columns of ``features`` [pairs, FEATURES] that say how item and keyword fit."""
    return features[:, _COLUMNS]


def fit_relevance(weeks: Sequence[Week], known: Sequence[Known], rng: np.random.Generator) -> Logistic:
    """Pairs clicked in the days after an eve against pairs of the same keyword and listings drawn at random, and ads
    that were clicked against ads that had no slot in STARVED searches or more.

    The probability is that of such a draw: it orders pairs, it is no rate of the market.
    """
    parts = [_examples(week, facts, rng) for week, facts in zip(weeks, known, strict=True)]
    parts += [_judged(week, facts) for week, facts in zip(weeks, known, strict=True)]
    features, good = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Logistic.fit(Examples(features, good, np.ones(len(good))), NAMES, penalty=PENALTY)


def _examples(week: Week, known: Known, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    items = week.items.reset_index(drop=True)
    place = pd.Index(items[ITEM_ID]).get_indexer(pd.Index(week.found[ITEM_ID]))
    row = np.flatnonzero(place >= 0)
    row = np.sort(rng.choice(row, min(MOST, len(row)), replace=False))
    if not len(row):
        return np.zeros((0, len(NAMES)), np.float32), np.zeros(0)
    clicked = place[row]
    drawn = [_same_category(items, clicked, rng) for _ in range(OTHERS)]
    drawn += [rng.integers(0, len(items), len(clicked)) for _ in range(OTHERS)]
    everything = np.concatenate([clicked, *drawn])
    pairs = pd.DataFrame(
        {
            ITEM_ID: items[ITEM_ID].to_numpy(object)[everything],
            KEYWORD: np.tile(week.found[KEYWORD].to_numpy(object)[row], 1 + 2 * OTHERS),
        }
    )
    features = pair_features(Pairs.of(pairs, items, week.catalogue), known)
    good = (np.arange(len(everything)) < len(clicked)).astype(np.float64)
    return relevance_inputs(features), good


def _judged(week: Week, known: Known) -> tuple[np.ndarray, np.ndarray]:
    clicked = week.outcomes["clicks"] > 0
    starved = (week.outcomes["impressions"] == 0) & (week.outcomes["searches"] >= STARVED)
    kept = week.outcomes[clicked | starved]
    features = pair_features(Pairs.of(kept, week.items, week.catalogue), known)
    return relevance_inputs(features), clicked[kept.index].to_numpy(np.float64)


def _same_category(items: pd.DataFrame, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each of ``chosen`` a listing of its category, drawn at random."""
    code = pd.factorize(items[CATEGORY_ID])[0]
    order = np.argsort(code, kind="stable")
    first = np.searchsorted(code[order], code[chosen], "left")
    count = np.searchsorted(code[order], code[chosen], "right") - first
    return np.asarray(order[first + (count * rng.random(len(chosen))).astype(np.int64)])
