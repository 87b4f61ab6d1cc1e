"""The users to be scored as arrays, seen from one shelf."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from recsys.features.cohort import Cohorts
from recsys.features.interactions import day_number
from recsys.features.memory import Memory
from recsys.features.searches import Searches
from recsys.features.shelf import Shelf
from recsys.features.tables import PairTable
from recsys.schema import CATEGORY_ID, GROUP_ID, ITEM_ID, USER_ID

USER_FEATURES = (
    "user_is_new",
    "user_recency",
    "user_purchase_recency",
    "user_views_7d",
    "user_views_30d",
    "user_likes_30d",
    "user_purchases_7d",
    "user_purchases_90d",
    "user_spend_7d",
    "user_spend_30d",
    "user_power",
)
FEW = 5
"""A user who had to do with fewer groups than this is known a little; with none, not at all."""
TIER_WEIGHT = 5.0
"""Points of interest at the mean level that a user's tier is drawn to it by; a view is one."""
OWN = ("purchase_days", "first_day", "last_day", "weight", "revenue")
"""What is kept of a user and a group; days count since 1970."""
TOUCHED = ("views", "likes", "carts", "purchases", "last_day")
"""What is kept of a user and a live listing."""


@dataclass(frozen=True)
class Audience:
    """Users, row by row; ``as_of`` is the day that ages are counted to.

    ``seller_code`` is the user's own code among the shelf's sellers, -1 for none. ``own`` holds OWN by
    (user, group), ``touched`` TOUCHED by (user, listing), ``memory`` the same with what is sold by now,
    ``category_share`` and ``brand_share`` the user's decayed interest, summing to at most 1. ``order_days`` counts the
    days a user bought something, ``variety`` the groups they had to do with. ``cohorts`` says what people alike
    care for, ``searches`` what users searched for.
    """

    user_ids: pd.Index
    regions: np.ndarray
    features: np.ndarray
    log_price: np.ndarray
    log_price_known: np.ndarray
    tier: np.ndarray
    seller_code: np.ndarray
    order_days: np.ndarray
    variety: np.ndarray
    category_share: PairTable
    brand_share: PairTable
    category_points: np.ndarray
    brand_points: np.ndarray
    cohorts: Cohorts
    searches: Searches
    own: PairTable
    touched: PairTable
    memory: Memory
    as_of: int

    @classmethod
    def from_frames(
        cls,
        shelf: Shelf,
        *,
        users: pd.DataFrame,
        interactions: pd.DataFrame,
        touched: pd.DataFrame,
        affinity: pd.DataFrame,
        brand_of_group: pd.DataFrame,
        as_of: int,
        cohorts: pd.DataFrame | None = None,
        searches: pd.DataFrame | None = None,
    ) -> Audience:
        """Read ``users`` (features.user_daily), their ``interactions`` (features.interactions), ``affinity``
        (features.user_category_affinity), what they ``touched`` lately ([user_id, item_id, *TOUCHED counts,
        last_date]; ``Memory.build`` says what else), ``brand_of_group`` ([group_id, brand]), ``cohorts``
        (features.cohort_affinity) and ``searches`` (features.user_search_affinity)."""
        users = users.sort_values(USER_ID, kind="stable", ignore_index=True)
        ids = pd.Index(users[USER_ID], dtype=object)
        rows = ids.get_indexer(pd.Index(interactions[USER_ID]))
        mean = users["mean_log_price"].astype("float64")
        category_share, category_points = _share(
            ids, affinity[USER_ID], affinity[CATEGORY_ID], affinity["affinity"], shelf.category_ids
        )
        brand_share, brand_points = _brand_share(ids, interactions, brand_of_group, shelf)
        return cls(
            user_ids=ids,
            regions=users["region"].astype(object).where(users["region"].notna(), "").to_numpy(object),
            features=_user_features(users),
            log_price=mean.fillna(mean.mean() if mean.notna().any() else 0.0).to_numpy(np.float32),
            log_price_known=mean.notna().to_numpy(np.float32),
            tier=_tier(shelf, rows, interactions, len(ids)),
            seller_code=shelf.seller_ids.get_indexer(ids),
            order_days=_order_days(users, rows, interactions),
            variety=np.bincount(rows[rows >= 0], minlength=len(ids)).astype(np.float32),
            category_share=category_share,
            brand_share=brand_share,
            category_points=category_points,
            brand_points=brand_points,
            cohorts=Cohorts.build(shelf, users, cohorts, (date(1970, 1, 1) + timedelta(days=as_of)).year),
            searches=Searches.build(shelf, ids, searches),
            own=PairTable.build(
                rows,
                shelf.group_ids.get_indexer(pd.Index(interactions[GROUP_ID])),
                _own(interactions),
                len(shelf.group_ids),
            ),
            touched=PairTable.build(
                ids.get_indexer(pd.Index(touched[USER_ID])),
                shelf.item_ids.get_indexer(pd.Index(touched[ITEM_ID])),
                _touched(touched),
                len(shelf),
            ),
            memory=Memory.build(shelf, ids, touched, brand_of_group),
            as_of=as_of,
        )

    def __len__(self) -> int:
        return len(self.user_ids)


def _user_features(users: pd.DataFrame) -> np.ndarray:
    def decay(name: str, days: float) -> np.ndarray:
        return np.exp(-users[name].astype("float64").fillna(np.inf).to_numpy() / days)

    def log_of(name: str) -> np.ndarray:
        if name not in users:  # a shop keeps no account of it
            return np.zeros(len(users))
        return np.log1p(users[name].astype("float64").fillna(0.0).to_numpy())

    counts = [log_of(name.removeprefix("user_")) for name in USER_FEATURES[3:-1]]
    first = [
        users["is_new"].to_numpy(np.float64),
        decay("days_since_active", 7),
        decay("days_since_purchase", 30),
    ]
    return np.column_stack([*first, *counts, log_of("purchase_power")]).astype(np.float32)


def _tier(shelf: Shelf, rows: np.ndarray, interactions: pd.DataFrame, users: int) -> np.ndarray:
    """Mean price level, within its category, of what each user had to do with; groups not on the shelf are left out."""
    listings = np.bincount(shelf.group_code, minlength=len(shelf.group_ids))
    total = np.bincount(shelf.group_code, shelf.item_feature("level"), len(shelf.group_ids))
    group = shelf.group_ids.get_indexer(pd.Index(interactions[GROUP_ID]))
    keep = (rows >= 0) & (group >= 0)
    row, weight = rows[keep], interactions["weight"].to_numpy(np.float64)[keep]
    level = (total / np.maximum(listings, 1))[group[keep]]
    known = np.bincount(row, weight, users) + TIER_WEIGHT
    return np.asarray(np.bincount(row, weight * level, users) / known, np.float32)


def _order_days(users: pd.DataFrame, rows: np.ndarray, interactions: pd.DataFrame) -> np.ndarray:
    """Days with a purchase: given, or at least the most days any one group was bought on."""
    if "order_days" in users:
        return users["order_days"].to_numpy(np.float32)
    most = np.zeros(len(users), np.float32)
    np.maximum.at(most, rows[rows >= 0], interactions["purchase_days"].to_numpy(np.float32)[rows >= 0])
    return most


def _own(interactions: pd.DataFrame) -> np.ndarray:
    last = interactions["last_purchase_date"]
    days = {
        "first_day": day_number(interactions["first_date"]),
        "last_day": day_number(last.where(last.notna(), interactions["last_date"])),
    }
    columns = [days[n] if n in days else interactions[n].to_numpy(np.float64) for n in OWN]
    return np.column_stack(columns).astype(np.float32)


def _touched(touched: pd.DataFrame) -> np.ndarray:
    columns = [touched[name].to_numpy(np.float32) for name in TOUCHED[:-1]]
    return np.column_stack([*columns, day_number(touched["last_date"]).astype(np.float32)])


def _share(
    ids: pd.Index, users: pd.Series, keys: pd.Series, weights: pd.Series, columns: pd.Index
) -> tuple[PairTable, np.ndarray]:
    """Weights as shares of all of the user's weight, keys that are not on the shelf included; and that whole weight."""
    rows, places = ids.get_indexer(pd.Index(users)), columns.get_indexer(pd.Index(keys))
    weight = weights.to_numpy(np.float64)
    total = np.bincount(rows[rows >= 0], weight[rows >= 0], len(ids))
    keep = (rows >= 0) & (places >= 0)
    pairs, inverse = np.unique(rows[keep].astype(np.int64) * len(columns) + places[keep], return_inverse=True)
    share = np.bincount(inverse, weight[keep] / np.maximum(total[rows[keep]], 1e-12), len(pairs))
    width = max(1, len(columns))
    table = PairTable.build(pairs // width, pairs % width, share[:, None], width)
    return table, total.astype(np.float32)


def _brand_share(
    ids: pd.Index, interactions: pd.DataFrame, brand_of_group: pd.DataFrame, shelf: Shelf
) -> tuple[PairTable, np.ndarray]:
    brands = brand_of_group.dropna().drop_duplicates(GROUP_ID).set_index(GROUP_ID)["brand"]
    brand = brands.reindex(pd.Index(interactions[GROUP_ID])).to_numpy(object)
    known = pd.notna(brand)
    kept = interactions[known]
    return _share(
        ids,
        kept[USER_ID],
        pd.Series(brand[known]).str.lower() if known.any() else kept[GROUP_ID],
        kept["weight"],
        shelf.brands,
    )
