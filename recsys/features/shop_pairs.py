"""A customer of a shop and an item together: own history, retrievers, and how they compare with other candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from recsys.features.shop_audience import ShopAudience
from recsys.features.shop_customers import COUNTED, CUSTOMER, OWN_ITEM
from recsys.features.shop_items import SHOP_ITEM

SHOP_RETRIEVED = (
    "popularity",
    "item_knn",
    "als",
    "ease",
    "ease_recent",
    "basket_ease",
    "user_knn",
    "user_knn_recent",
    "transition",
)
CROSSED = (
    "rank_mean",
    "due_by_item",
    "last_before_order",
    "log_price_gap",
    "log_paid_guess",
    "log_paid_expected",
    "paid_ratio",
    "region_share",
    "item_region_share",
)
RANKED = ("own_decay_90", "own_decay_180", "item_sold_14", "own_paid")
COMPARED = (
    *(f"relative_{name}" for name in SHOP_RETRIEVED),
    "z_mean",
    "z_rank",
    *(f"rank_{name}" for name in RANKED),
    "own_total",
    "own_part",
)
Known = Callable[[str], np.ndarray]
"""A feature that is there already, by name."""
SHOP_FEATURES = (
    *OWN_ITEM,
    *CUSTOMER,
    *SHOP_ITEM,
    *(f"score_{name}" for name in SHOP_RETRIEVED),
    *(f"rank_{name}" for name in SHOP_RETRIEVED),
    *CROSSED,
    *COMPARED,
)


def shop_pair_features(
    audience: ShopAudience, rows: np.ndarray, items: np.ndarray, retrieved: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Features of the pairs (audience row, shelf position): float32 [pairs, SHOP_FEATURES].

    ``rows`` ascend and hold *all* candidates of a customer: ranks and shares are among them. ``retrieved`` is the score
    of each pair by each retriever, -inf where it has none; one that is left out has none for all. NaN is "unknown".
    """
    own, had = audience.bought.find(rows, items)
    own = own.copy()
    own[~had, len(COUNTED) :] = np.nan
    out = np.empty((len(rows), len(SHOP_FEATURES)), np.float32)
    column = {name: place for place, name in enumerate(SHOP_FEATURES)}
    out[:, : len(OWN_ITEM)] = own
    out[:, len(OWN_ITEM) : len(OWN_ITEM) + len(CUSTOMER)] = audience.customers[rows]
    first = len(OWN_ITEM) + len(CUSTOMER)
    out[:, first : first + len(SHOP_ITEM)] = audience.sold[items]
    within = Within(rows)
    nothing = np.full(len(rows), -np.inf, np.float32)
    for name in SHOP_RETRIEVED:
        scores = np.asarray(retrieved.get(name, nothing), np.float32)
        out[:, column[f"rank_{name}"]] = within.rank(scores)
        out[:, column[f"score_{name}"]] = np.where(np.isfinite(scores), scores, 0)

    def known(name: str) -> np.ndarray:
        return out[:, column[name]]

    for name, values in {
        **_crossed(audience, rows, items, known, had),
        **_compared(within, known),
    }.items():
        out[:, column[name]] = values
    return out


class Within:
    """Comparisons among the pairs of one user; ``rows`` ascend."""

    def __init__(self, rows: np.ndarray) -> None:
        self.start = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]])) if len(rows) else rows
        self.count = np.diff(np.concatenate([self.start, [len(rows)]]))
        self.group = np.repeat(np.arange(len(self.start)), self.count)

    def rank(self, values: np.ndarray) -> np.ndarray:
        """Place by falling value, from 0; equal ones in the order they come."""
        order = np.lexsort((-values, self.group))
        place = np.empty(len(values), np.float32)
        place[order] = np.arange(len(values)) - self.start[self.group]
        return place

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum over the user's pairs, float64 [pairs]."""
        if not len(values):
            return values.astype(np.float64)
        return np.add.reduceat(values.astype(np.float64), self.start)[self.group]

    def most(self, values: np.ndarray) -> np.ndarray:
        """The largest of the user's pairs [pairs]."""
        return np.maximum.reduceat(values, self.start)[self.group] if len(values) else values

    def z(self, values: np.ndarray) -> np.ndarray:
        """Standard deviations above the mean of the user's pairs."""
        n = self.count[self.group]
        off = values - self.total(values) / n
        return off / np.sqrt(np.maximum(self.total(off**2) / n, 1e-12))


def _crossed(
    audience: ShopAudience, rows: np.ndarray, items: np.ndarray, known: Known, had: np.ndarray
) -> dict[str, np.ndarray]:
    with np.errstate(invalid="ignore", divide="ignore"):
        guess = known("customer_log_paid") + known("item_log_paid") - np.float32(audience.log_paid)
        own = np.log(np.maximum(known("own_paid_mean"), 0.01))
        region = audience.region_row[rows]
        ranks = [known(f"rank_{name}").astype(np.float64) for name in SHOP_RETRIEVED]
        return {
            "rank_mean": np.mean(ranks, axis=0),
            "due_by_item": known("own_last") / np.maximum(known("item_gap"), 1),
            "last_before_order": known("own_last") - known("customer_last"),
            "log_price_gap": np.log(known("item_price")) - known("customer_log_price"),
            "log_paid_guess": guess,
            "log_paid_expected": np.where(had, own, guess),
            "paid_ratio": known("own_paid_mean") / known("customer_paid"),
            "region_share": audience.region_share[region],
            "item_region_share": audience.item_region_share[region, items],
        }


def _compared(within: Within, known: Known) -> dict[str, np.ndarray]:
    scores = {name: known(f"score_{name}").astype(np.float64) for name in SHOP_RETRIEVED}
    z = np.sum([within.z(values) for values in scores.values()], axis=0)
    own = known("own_decay_90")
    total = within.total(own)
    out = {f"relative_{name}": v / np.maximum(within.most(v), 1e-6) for name, v in scores.items()}
    out |= {f"rank_{name}": within.rank(known(name)) for name in RANKED}
    return out | {
        "z_mean": z,
        "z_rank": within.rank(z),
        "own_total": total,
        "own_part": own / np.maximum(total, 1e-6),
    }
