"""The live listings of a day as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from recsys.schema import CATEGORY_ID, GROUP_ID, ITEM_ID, SELLER_ID

ITEM_FEATURES = (
    "log_price",
    "popularity_1d",
    "popularity_7d",
    "popularity_30d",
    "click_rate",
    "purchase_rate",
    "price_percentile",
    "log_age",
    "is_new",
    "is_auction",
    "bid_count",
    "ends_soon",
    "rating",
    "cancel_rate",
    "ships_within_days",
    "is_verified",
    "sell_through",
    "trend",
    "seasonal_index",
    "level",
    "brand_level",
    "condition_level",
    "appeal",
    "seller_appeal",
)
"""What is known of a listing alone. ``level``: log price against the mean of its category on the shelf;
``brand_level``: the same against its brand's mean level too, ``condition_level`` against its condition's as well;
``appeal``: how much more often, as a log, a listing is opened than others of its category at its places in lists;
``seller_appeal``: the same of all listings of its seller."""
LEVEL_WEIGHT = 20.0
"""Listings at the mean that a brand's level is drawn to it by."""

DEFAULTS: dict[str, float] = {
    "take_rate": 0.1,
    "age_days": 0.0,
    "is_new": 0.0,
    "popularity_1d": 0.0,
    "popularity_7d": 0.0,
    "popularity_30d": 0.0,
    "click_rate": 0.0,
    "purchase_rate": 0.0,
    "price_percentile": 0.5,
    "is_auction": 0.0,
    "bid_count": 0.0,
    "hours_left": np.inf,
    "rating": 4.0,
    "cancel_rate": 0.0,
    "ships_within_days": 3.0,
    "is_verified": 0.0,
    "sell_through": 0.0,
    "trend": 1.0,
    "seasonal_index": 1.0,
    "p_available": 1.0,
    "seller_days": np.inf,
    "appeal": 0.0,
    "seller_appeal": 0.0,
    "stock": 1.0,
}
"""What stands in for a column or value that a shop does not have."""


@dataclass(frozen=True)
class Shelf:
    """Live listings sorted by item_id; ``*_code`` index into the id tables, -1 for none.

    ``price``, ``take_rate``, ``p_cancel`` and ``p_available`` are the audited factors of revenue, ``features`` is
    float32 [listings, ITEM_FEATURES], ``seller_days`` how long ago the seller registered, ``stock`` how many pieces
    there are. ``category_names`` and ``brand_names`` are what people call them, by code, "" where there is no name.
    """

    item_ids: pd.Index
    group_ids: pd.Index
    seller_ids: pd.Index
    category_ids: pd.Index
    brands: pd.Index
    group_code: np.ndarray
    seller_code: np.ndarray
    category_code: np.ndarray
    brand_code: np.ndarray
    price: np.ndarray
    take_rate: np.ndarray
    p_cancel: np.ndarray
    features: np.ndarray
    category_names: np.ndarray
    brand_names: np.ndarray
    p_available: np.ndarray
    seller_days: np.ndarray
    stock: np.ndarray

    @classmethod
    def from_frame(cls, items: pd.DataFrame) -> Shelf:
        """Read item_id, group_id, seller_id, category_id, price; if there brand, condition, category_name, DEFAULTS."""
        items = items.sort_values(ITEM_ID, kind="stable", ignore_index=True)
        number = {name: _column(items, name, default) for name, default in DEFAULTS.items()}
        codes = {name: pd.factorize(items[name], sort=True) for name in (GROUP_ID, SELLER_ID, CATEGORY_ID)}
        brand = _text(items, "brand")
        brand_code, brands = pd.factorize(brand.str.lower() if brand.notna().any() else brand, sort=True)
        condition_code = pd.factorize(_text(items, "condition"), sort=True)[0]
        price = items["price"].to_numpy(np.float64)
        return cls(
            item_ids=pd.Index(items[ITEM_ID], dtype=object),
            group_ids=pd.Index(codes[GROUP_ID][1], dtype=object),
            seller_ids=pd.Index(codes[SELLER_ID][1], dtype=object),
            category_ids=pd.Index(codes[CATEGORY_ID][1], dtype=object),
            brands=pd.Index(brands, dtype=object),
            group_code=codes[GROUP_ID][0].astype(np.int32),
            seller_code=codes[SELLER_ID][0].astype(np.int32),
            category_code=codes[CATEGORY_ID][0].astype(np.int32),
            brand_code=brand_code.astype(np.int32),
            price=price,
            take_rate=number["take_rate"].astype(np.float64),
            p_cancel=np.clip(number["cancel_rate"], 0.0, 1.0).astype(np.float64),
            features=_features(
                price,
                number,
                {
                    **{name: code for name, (code, _) in codes.items()},
                    "brand": brand_code,
                    "condition": condition_code,
                },
            ),
            category_names=_names(items, "category_name", codes[CATEGORY_ID][0], len(codes[CATEGORY_ID][1])),
            brand_names=_names(items, "brand", brand_code, len(brands)),
            p_available=np.clip(number["p_available"], 0.0, 1.0).astype(np.float64),
            seller_days=number["seller_days"].astype(np.float64),
            stock=number["stock"].astype(np.float64),
        )

    def __len__(self) -> int:
        return len(self.item_ids)

    def item_feature(self, name: str) -> np.ndarray:
        """One column of ``features``."""
        return self.features[:, ITEM_FEATURES.index(name)]

    @cached_property
    def category_share(self) -> np.ndarray:
        """Share of the listings that lie in each category: float64 [categories]."""
        return _share(self.category_code, len(self.category_ids))

    @cached_property
    def brand_share(self) -> np.ndarray:
        """Share of the listings, those without a brand counted too, that are of each brand: float64 [brands]."""
        return _share(self.brand_code, len(self.brands))


def _share(codes: np.ndarray, n_codes: int) -> np.ndarray:
    return np.bincount(codes[codes >= 0], minlength=n_codes) / max(len(codes), 1)


def _column(frame: pd.DataFrame, name: str, default: float) -> np.ndarray:
    if name not in frame:
        return np.full(len(frame), default)
    return frame[name].astype("float64").fillna(default).to_numpy()


def _text(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[name] if name in frame else pd.Series(None, index=frame.index, dtype=object)


def _names(items: pd.DataFrame, column: str, codes: np.ndarray, n_codes: int) -> np.ndarray:
    """The name of each code as its first listing writes it."""
    names = np.full(n_codes, "", dtype=object)
    if column in items:
        known = np.flatnonzero((codes >= 0) & items[column].notna().to_numpy())[::-1]
        names[codes[known]] = items[column].to_numpy(object)[known]
    return names


def _features(price: np.ndarray, number: dict[str, np.ndarray], codes: dict[str, np.ndarray]) -> np.ndarray:
    derived = {
        "log_price": np.log(np.maximum(price, 0.01)),
        "log_age": np.log1p(np.maximum(number["age_days"], 0)),
        "ends_soon": np.exp(-np.maximum(number["hours_left"], 0) / 24),
        "click_rate": np.log(number["click_rate"] + 1e-4),
        "purchase_rate": np.log(number["purchase_rate"] + 1e-4),
        "trend": np.log(np.maximum(number["trend"], 0.01)),
    }
    for name in ("popularity_1d", "popularity_7d", "popularity_30d", "bid_count"):
        derived[name] = np.log1p(np.maximum(number[name], 0))
    category = codes[CATEGORY_ID]
    derived["level"] = derived["log_price"] - _mean_of(category, derived["log_price"])
    derived["brand_level"] = derived["level"] - _mean_of(codes["brand"], derived["level"], LEVEL_WEIGHT)
    derived["condition_level"] = derived["brand_level"] - _mean_of(
        codes["condition"], derived["brand_level"], LEVEL_WEIGHT
    )
    columns = [derived[name] if name in derived else number[name] for name in ITEM_FEATURES]
    return np.column_stack(columns).astype(np.float32)


def _mean_of(codes: np.ndarray, values: np.ndarray, prior: float = 0.0) -> np.ndarray:
    """The mean of ``values`` over those of the same code, as if ``prior`` more stood at 0; 0 for a code of -1."""
    inside = codes >= 0
    sums = np.bincount(codes[inside], values[inside])
    means = sums / (np.bincount(codes[inside]) + prior)
    return np.where(inside, means[codes] if len(means) else 0.0, 0.0)


def lift(
    count: np.ndarray,
    total: np.ndarray,
    of_shelf: np.ndarray,
    code: np.ndarray,
    *,
    weight: float,
    prior: np.ndarray | float = 1.0,
) -> np.ndarray:
    """Log of a user's share of interest in what a listing is, over its share of the shelf; 0 for a code of -1.

    Args:
        count: interest of the user in the listing's code [pairs].
        total: interest of the user in all [pairs].
        of_shelf: share of the shelf of each code [codes].
        code: of the listing [pairs].
        weight: interest at ``prior`` that the user's own is drawn to it by.
        prior: the same ratio (no log) of who is alike, which a user of whom little is known is drawn to.
    """
    usual = np.append(of_shelf, 1.0)[code]
    drawn = (count / np.maximum(usual, 1e-9) + weight * prior) / (total + weight)
    return np.where(code >= 0, np.log(drawn), 0.0)
