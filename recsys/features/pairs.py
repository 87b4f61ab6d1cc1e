"""What is known of a user and a listing together: one row of numbers per pair."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recsys.features.audience import USER_FEATURES, Audience
from recsys.features.shelf import ITEM_FEATURES, Shelf, lift

RETRIEVED = ("popularity", "item_knn", "als", "ease", "own_history")
CROSSED = (
    "category_share",
    "brand_share",
    "category_known",
    "category_lift",
    "brand_lift",
    "category_searched",
    "brand_searched",
    "price_gap",
    "price_distance",
    "tier_gap",
    "tier_over",
    "tier_under",
    "power_gap",
    "own_days",
    "own_share",
    "own_recency",
    "own_due",
    "own_weight",
    "own_spend",
    "own_odds",
    "variety",
    "seen",
    "seen_views",
    "seen_likes",
    "seen_carts",
    "seen_recency",
)
LIFT_POINTS = 8.0
"""Points of interest, spread as the user's cohort has it or else as the shelf is, that a user's interest is drawn to it
by; a view is one."""
PAIR_FEATURES = (*RETRIEVED, *CROSSED, *ITEM_FEATURES, *USER_FEATURES)


def pair_features(
    shelf: Shelf, audience: Audience, rows: np.ndarray, items: np.ndarray, retrieved: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Features of the pairs (audience row, shelf position): float32 [pairs, PAIR_FEATURES].

    ``retrieved`` holds the score of each pair by each retriever, -inf where it has none; a retriever that is left
    out scores 0 for all.
    """
    out = np.zeros((len(rows), len(PAIR_FEATURES)), np.float32)
    for place, name in enumerate(RETRIEVED):
        if name in retrieved:
            out[:, place] = _squash(name, retrieved[name])
    first = len(RETRIEVED)
    crossed = _crossed(shelf, audience, rows, items)
    for place, name in enumerate(CROSSED):
        out[:, first + place] = crossed[name]
    first += len(CROSSED)
    out[:, first : first + len(ITEM_FEATURES)] = shelf.features[items]
    out[:, first + len(ITEM_FEATURES) :] = audience.features[rows]
    return out


def _squash(name: str, scores: np.ndarray) -> np.ndarray:
    known = np.where(np.isfinite(scores), scores, 0)
    if name == "popularity":
        return np.log(np.maximum(known, 0) + 1e-6)
    return np.log1p(np.maximum(known, 0)) if name in {"own_history", "item_knn"} else known


def _crossed(shelf: Shelf, audience: Audience, rows: np.ndarray, items: np.ndarray) -> dict[str, np.ndarray]:
    category = audience.category_share.find(rows, shelf.category_code[items])[0][:, 0]
    brand = audience.brand_share.find(rows, shelf.brand_code[items])[0][:, 0]
    gap = (shelf.item_feature("log_price")[items] - audience.log_price[rows]) * audience.log_price_known[rows]
    tier_gap = shelf.item_feature("level")[items] - audience.tier[rows]
    power = audience.features[rows, USER_FEATURES.index("user_power")]
    own, _ = audience.own.find(rows, shelf.group_code[items])
    days, first, last, weight, spend = own.T
    orders = audience.order_days[rows]
    seen, was_seen = audience.touched.find(rows, items)
    bought = days > 0
    age = np.maximum(audience.as_of - last, 0)
    rhythm = (last - first) / np.maximum(days - 1, 1)
    return {
        "category_share": np.sqrt(category),
        "brand_share": np.sqrt(brand),
        "category_known": category > 0,
        "category_lift": lift(
            category * audience.category_points[rows],
            audience.category_points[rows],
            shelf.category_share,
            shelf.category_code[items],
            weight=LIFT_POINTS,
            prior=audience.cohorts.lift(shelf, rows, items),
        ),
        "brand_lift": lift(
            brand * audience.brand_points[rows],
            audience.brand_points[rows],
            shelf.brand_share,
            shelf.brand_code[items],
            weight=LIFT_POINTS,
        ),
        "category_searched": audience.searches.category_lift(shelf, rows, items),
        "brand_searched": audience.searches.brand(shelf, rows, items),
        "price_gap": gap,
        "price_distance": np.abs(gap),
        "tier_gap": tier_gap,
        "tier_over": np.maximum(tier_gap, 0) ** 2,
        "tier_under": np.minimum(tier_gap, 0) ** 2,
        "power_gap": np.where(power > 0, shelf.item_feature("log_price")[items] - power, 0),
        "own_days": np.log1p(days),
        "own_share": (days + 0.5) / (orders + 5),
        "own_recency": np.where(bought, np.exp2(-age / 30), 0),
        "own_due": np.where(days > 1, np.clip(age / np.maximum(rhythm, 1), 0, 3), 0),
        "own_weight": np.log1p(weight),
        "own_spend": np.log1p(spend),
        "own_odds": np.log((days + 0.3) / (orders + 3)),
        "variety": np.log1p(audience.variety[rows]),
        "seen": was_seen,
        "seen_views": np.log1p(seen[:, 0]),
        "seen_likes": np.log1p(seen[:, 1]),
        "seen_carts": np.log1p(seen[:, 2]),
        "seen_recency": np.where(was_seen, np.exp2(-np.maximum(audience.as_of - seen[:, 4], 0) / 3), 0),
    }
