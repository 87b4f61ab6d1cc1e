"""A marketplace of any size as the frames that ranking reads, without a warehouse: what users did is drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.market import DAY, LAST_DAY, NEVER, Market, second

GROUPS_PER_USER, TOUCHED_PER_USER, CATEGORIES_PER_USER, SEARCHES_PER_USER = 30, 15, 6, 4
CONDITIONS = ("new", "good", "fair", "worn")
COUNTS = ("views_7d", "views_30d", "likes_30d", "purchases_7d", "purchases_90d", "spend_7d", "spend_30d")


def market_frames(market: Market, seed: int) -> dict[str, pd.DataFrame]:
    """The frames that ``Snapshot.from_frames`` reads, of the live listings and the active users of ``market``."""
    rng = np.random.default_rng(seed)
    listings = market.listings
    live = np.flatnonzero(listings.closed == NEVER)
    leaf, brand, price = listings.leaf[live], listings.brand[live], listings.price[live]
    band = np.minimum(np.log2(price).astype(int), 9)
    called = {"leaf": names("c", leaf.max() + 1), "brand": names("brand ", brand.max() + 1)}
    code = (leaf * 500 + brand + 1) * 10 + band
    groups, group = np.unique(code, return_inverse=True)
    group_ids = names("g", len(groups))
    items = pd.DataFrame(
        {
            "item_id": names("i", len(live)),
            "group_id": group_ids[group],
            "seller_id": names("u", market.size.users)[market.sellers.user[listings.seller[live]]],
            "category_id": called["leaf"][leaf],
            "brand": np.where(brand >= 0, called["brand"][brand], None),
            "price": price,
            "age_days": (second(LAST_DAY) + DAY - listings.listed[live]) / DAY,
            "popularity_7d": rng.poisson(listings.appeal[live]),
            "popularity_30d": rng.poisson(4 * listings.appeal[live]),
            "click_rate": rng.beta(2, 10, len(live)),
            "purchase_rate": rng.beta(1, 60, len(live)),
            "is_auction": listings.auction[live].astype(float),
            "cancel_rate": rng.beta(1, 20, len(live)),
        }
    )
    items["condition"] = np.array(CONDITIONS, object)[rng.integers(0, len(CONDITIONS), len(live))]
    items["appeal"] = rng.normal(0, 0.2, len(live))
    items["seller_appeal"] = rng.normal(0, 0.3, market.size.users)[market.sellers.user[listings.seller[live]]]
    brands = pd.DataFrame({"group_id": group_ids, "brand": names("brand ", 500)[(groups // 10) % 500]})
    demand = pd.DataFrame(
        {"region": "", "item_id": items["item_id"], "weight": items["popularity_7d"] + 1.0}
    ).assign(timestamp=pd.Timestamp(LAST_DAY))
    return {"items": items, "brands": brands, "demand": demand} | _people(market, items, leaf, rng)


def names(prefix: str, count: int) -> np.ndarray:
    """Ids that sort as they are numbered."""
    return np.array([f"{prefix}{n:07d}" for n in range(count)], dtype=object)


def _people(
    market: Market, items: pd.DataFrame, leaf: np.ndarray, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    ids = names("u", market.size.users)
    users = _users(market, ids, rng)
    dates = pd.Timestamp(LAST_DAY) - pd.to_timedelta(np.arange(90), unit="D")

    def drawn(per_user: int, column: str) -> pd.DataFrame:
        owner = np.repeat(np.arange(len(ids)), per_user)
        item = liked(leaf, market.users.favourites[owner, rng.integers(0, 3, len(owner))], rng)
        pairs = pd.DataFrame({"user_id": ids[owner], column: items[column].to_numpy(object)[item]})
        return pairs.drop_duplicates(ignore_index=True)

    own = drawn(GROUPS_PER_USER, "group_id")
    days = rng.poisson(0.3, len(own))
    own = own.assign(weight=rng.exponential(3, len(own)), purchases=days, purchase_days=days)
    own["revenue"] = 20.0 * days
    for name in ("first_date", "last_date", "last_purchase_date"):
        own[name] = dates[rng.integers(0, 90, len(own))]
    touched = drawn(TOUCHED_PER_USER, "item_id")
    touched = touched.assign(views=rng.poisson(0.8, len(touched)), likes=0, carts=0, purchases=0)
    touched["last_date"] = dates[rng.integers(0, 14, len(touched))]
    affinity = drawn(CATEGORIES_PER_USER, "category_id")
    affinity["affinity"] = rng.exponential(3, len(affinity))
    by_topic = {
        "category": drawn(SEARCHES_PER_USER, "category_id"),
        "brand": drawn(SEARCHES_PER_USER, "brand").dropna(),
    }
    searches = pd.concat(
        [part.set_axis(["user_id", "topic_id"], axis=1).assign(topic=name) for name, part in by_topic.items()]
    )
    searches["searches"] = rng.exponential(2, len(searches))
    return {
        "users": users,
        "interactions": own,
        "touched": touched,
        "affinity": affinity,
        "searches": searches,
    }


def _users(market: Market, ids: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    n = len(ids)
    users = pd.DataFrame({"user_id": ids, "region": market.users.region[:n].astype(str)})
    for name in COUNTS:
        users[name] = rng.poisson(market.users.activity[:n] * 3)
    users = users.assign(is_new=False, days_since_active=rng.exponential(5, n), purchase_power=40.0)
    return users.assign(days_since_purchase=rng.exponential(40, n), mean_log_price=rng.normal(3, 0.7, n))


def liked(leaf: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A live listing of each ``wanted`` leaf, drawn; any listing where the leaf has none."""
    order = np.argsort(leaf, kind="stable")
    starts = np.searchsorted(leaf[order], [wanted, wanted + 1])
    spread = np.maximum(starts[1] - starts[0], 1)
    return order[np.minimum(starts[0] + rng.integers(0, 2**31, len(wanted)) % spread, len(leaf) - 1)]
