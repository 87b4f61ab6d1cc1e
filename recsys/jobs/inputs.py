"""What training and scoring read from the warehouse."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from recsys.errors import WarehouseError
from recsys.ranking.shop import ShopData
from recsys.ranking.snapshot import Snapshot
from recsys.settings import Settings
from recsys.warehouse import Warehouse

TOUCHED_DAYS = 14
DEMAND_DAYS = 7
FEATURE_TABLES = tuple(
    f"features.{name}"
    for name in (
        "item_group",
        "item_daily",
        "user_daily",
        "interactions",
        "user_category_affinity",
        "seller_daily",
        "category_trend",
    )
)
"""What ``read_snapshot`` needs the partition of."""
COHORTS, SEARCHES, PROMISES = (
    "features.cohort_affinity",
    "features.user_search_affinity",
    "marts.list_calibration",
)
"""Read where they are there: a day that was built without has no cohorts nor searches, and takes the ranker at its
word."""
PROMISE_DAYS, SHAPE_DAYS = 3, 28
"""How far back promises of a model count, and those of all models for where, by price, they are kept worst."""

_ITEMS = """
SELECT items.item_id, items.group_id, items.seller_id, items.category_id, CAST(items.price AS FLOAT64) AS price,
  items.take_rate, items.age_days, items.is_new, items.popularity_1d, items.popularity_7d, items.popularity_30d,
  items.click_rate, items.purchase_rate, items.price_percentile, items.is_auction, items.bid_count, items.hours_left,
  items.p_available, items.appeal, sellers.tenure_days AS seller_days, sellers.appeal AS seller_appeal,
  sellers.rating, sellers.cancel_rate, sellers.ships_within_days, sellers.is_verified, sellers.sell_through,
  trend.trend, trend.seasonal_index, listings.brand, listings.condition, listings.stock,
  categories.name AS category_name
FROM features.item_daily AS items
LEFT JOIN staging.items AS listings ON listings.item_id = items.item_id AND listings.ds = @ds
LEFT JOIN features.seller_daily AS sellers ON sellers.seller_id = items.seller_id AND sellers.ds = @ds
LEFT JOIN features.category_trend AS trend ON trend.category_id = items.category_id AND trend.ds = @ds
LEFT JOIN staging.item_category AS categories ON categories.category_id = items.category_id AND categories.ds = @ds
WHERE items.ds = @ds
ORDER BY items.item_id
"""
_USERS = """
SELECT user_id, region, gender, birth_year, is_new, days_since_active, days_since_purchase, views_7d, views_30d,
  likes_30d, purchases_7d, purchases_90d, mean_log_price, CAST(spend_7d AS FLOAT64) AS spend_7d,
  CAST(spend_30d AS FLOAT64) AS spend_30d,
  purchase_power
FROM features.user_daily
WHERE ds = @ds AND {users}
ORDER BY user_id
"""
_MINE = "user_id BETWEEN @first_user AND @last_user"
"""A range of the column that the tables are clustered by, between constants: BigQuery reads its blocks alone."""
ALL_USERS = 1_000_000
DRAWN = "ABS(MOD(FARM_FINGERPRINT(CONCAT('train:', user_id)), 1000000)) < @most"
"""So many of a million users, the same ones on every day: what a training learns from in a large marketplace."""
_INTERACTIONS = """
SELECT user_id, group_id, weight, purchases, purchase_days, first_date, last_date, last_purchase_date,
  CAST(revenue AS FLOAT64) AS revenue
FROM features.interactions
WHERE ds = @ds AND {users}
ORDER BY user_id, group_id
"""
_AFFINITY = """
SELECT user_id, category_id, affinity
FROM features.user_category_affinity
WHERE ds = @ds AND {users}
ORDER BY user_id, category_id
"""
_SEARCHES = """
SELECT user_id, topic, topic_id, searches
FROM features.user_search_affinity
WHERE ds = @ds AND {users}
ORDER BY user_id, topic, topic_id
"""
_COHORTS = """
SELECT cohort, category_id, share, drawn
FROM features.cohort_affinity
WHERE ds = @ds
ORDER BY cohort, category_id
"""
_PROMISES = """
SELECT policy, model, price_band,
  SUM(IF(ds > DATE_SUB(@ds, INTERVAL @days DAY), expected, 0)) AS expected,
  SUM(IF(ds > DATE_SUB(@ds, INTERVAL @days DAY), purchases, 0)) AS purchases,
  SUM(expected) AS expected_before, SUM(purchases) AS purchases_before
FROM marts.list_calibration
WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @shape_days - 1 DAY) AND @ds
GROUP BY policy, model, price_band
ORDER BY policy, model, price_band
"""
_TOUCHED = """
SELECT touched.user_id, touched.item_id, touched.views, touched.likes, touched.carts, touched.purchases,
  touched.last_date, groups_.group_id, groups_.category_id, groups_.seller_id, CAST(groups_.price AS FLOAT64) AS price
FROM (
  SELECT user_id, item_id, SUM(views) AS views, SUM(likes) AS likes, SUM(carts) AS carts,
    SUM(purchases) AS purchases, MAX(event_date) AS last_date
  FROM (
    SELECT user_id, item_id, views, likes, offers + carts + bids AS carts, purchases, event_date
    FROM staging.user_item_daily
    WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @days - 1 DAY) AND @ds AND {users}
      AND views + likes + offers + carts + bids + purchases > 0
    UNION ALL
    SELECT user_id, item_id, 0 AS views, 0 AS likes, 0 AS carts, purchases, event_date
    FROM staging.user_item_daily
    WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days DAY) AND DATE_SUB(@ds, INTERVAL @days DAY) AND {users}
      AND purchases > 0
  )
  GROUP BY user_id, item_id
) AS touched
LEFT JOIN features.item_group AS groups_ ON groups_.item_id = touched.item_id AND groups_.ds = @ds
ORDER BY touched.user_id, touched.item_id
"""
_DEMAND = """
SELECT COALESCE(users.region, '') AS region, actions.item_id, actions.event_date AS timestamp,
  CAST(SUM(actions.views + 3 * actions.likes + 4 * (actions.offers + actions.carts + actions.bids)
    + 8 * actions.purchases) AS FLOAT64) AS weight
FROM staging.user_item_daily AS actions
INNER JOIN features.item_daily AS items ON items.item_id = actions.item_id AND items.ds = @ds
LEFT JOIN staging.users AS users ON users.user_id = actions.user_id AND users.ds = @ds
WHERE actions.ds BETWEEN DATE_SUB(@ds, INTERVAL @days - 1 DAY) AND @ds
  AND actions.event_date >= DATE_SUB(@ds, INTERVAL @days - 1 DAY)
GROUP BY 1, actions.item_id, actions.event_date
ORDER BY 1, actions.item_id, actions.event_date
"""
_BRANDS = """
SELECT groups_.group_id, MIN(items.brand) AS brand
FROM features.item_group AS groups_
INNER JOIN staging.items AS items ON items.item_id = groups_.item_id AND items.ds = @ds
WHERE groups_.ds = @ds AND items.brand IS NOT NULL
GROUP BY groups_.group_id
ORDER BY groups_.group_id
"""


_ACTIONS = """
SELECT user_id, item_id, event_date, SUM(views) AS views, SUM(likes) AS likes, SUM(offers + carts + bids) AS carts,
  SUM(purchases) AS purchases, CAST(SUM(quantity) AS FLOAT64) AS quantity, CAST(SUM(revenue) AS FLOAT64) AS revenue
FROM staging.user_item_daily
WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @history_days DAY) AND @ds
  AND views + likes + offers + carts + bids + purchases > 0
GROUP BY user_id, item_id, event_date
ORDER BY user_id, item_id, event_date
"""
_SHOP_ITEMS = """
SELECT item_id, seller_id, category_id, CAST(price AS FLOAT64) AS price, take_rate,
  DATE(listed_at, @timezone) AS listed_at,
  IF(is_live, NULL, LEAST(COALESCE(DATE(COALESCE(closed_at, auction_ends_at), @timezone), @ds), @ds)) AS closed_on
FROM staging.items
WHERE ds = @ds
ORDER BY item_id
"""
_REGIONS = "SELECT user_id, region FROM staging.users WHERE ds = @ds ORDER BY user_id"


Query = tuple[str, dict[str, object]]
"""A SELECT and its parameters but @ds."""
Range = tuple[str, str]
"""The first and the last of the users meant, in binary order of their ids as UTF-8."""


def range_params(users: Range) -> dict[str, object]:
    """The parameters of a filter on a range of users."""
    return {"first_user": users[0], "last_user": users[1]}


def snapshot_queries(
    settings: Settings, users: Range | None = None, most: int = ALL_USERS
) -> dict[str, Query]:
    """What ``read_snapshot`` asks the warehouse, by name of the frame."""
    own: dict[str, object] = range_params(users) if users else {}
    mine = [_MINE] if users else []
    if most < ALL_USERS:
        mine.append(DRAWN)
        own["most"] = most

    def of_mine(sql: str, **params: object) -> Query:
        return sql.format(users=" AND ".join(mine) or "TRUE"), own | params

    if settings.item_unit == "item":
        return {"users": of_mine(_USERS), **shop_queries(settings)}
    return {
        "items": (_ITEMS, {}),
        "users": of_mine(_USERS),
        "interactions": of_mine(_INTERACTIONS),
        "affinity": of_mine(_AFFINITY),
        "touched": of_mine(
            _TOUCHED, days=min(TOUCHED_DAYS, settings.history_days + 1), history_days=settings.history_days
        ),
        "cohorts": (_COHORTS, {}),
        "searches": of_mine(_SEARCHES),
        "promises": (_PROMISES, {"days": PROMISE_DAYS, "shape_days": SHAPE_DAYS}),
        "demand": (_DEMAND, {"days": DEMAND_DAYS}),
        "brands": (_BRANDS, {}),
    }


def shop_queries(settings: Settings) -> dict[str, Query]:
    """What ``read_shop`` asks the warehouse, by name of the frame."""
    return {
        "shop actions": (_ACTIONS, {"history_days": settings.history_days}),
        "shop items": (_SHOP_ITEMS, {"timezone": settings.timezone}),
        "shop users": (_REGIONS, {}),
    }


def read_snapshot(
    warehouse: Warehouse,
    settings: Settings,
    ds: date,
    users: Range | None = None,
    *,
    most: int = ALL_USERS,
) -> Snapshot:
    """Read the marketplace as it was known at the end of ``ds``, with the active users of a range (None: all).

    With ``most`` below a million only so many of a million users, see DRAWN, are read. A shop that restocks is read
    from its history, for scoring as for training.

    Raises:
        WarehouseError: the features of ``ds`` are missing.
    """
    for name in FEATURE_TABLES:
        if not warehouse.exists(name, ds):
            raise WarehouseError(warehouse.missing(name, ds))
    queries = snapshot_queries(settings, users, most)
    if settings.item_unit == "item":
        audience = pd.Index(_frame(warehouse, queries["users"], ds)["user_id"], dtype=object)
        return read_shop(warehouse, settings, ds).snapshot(ds, audience)
    for table, name in ((COHORTS, "cohorts"), (SEARCHES, "searches"), (PROMISES, "promises")):
        if not warehouse.exists(table, ds):
            del queries[name]
    frames = {name: _frame(warehouse, query, ds) for name, query in queries.items()}
    return Snapshot.from_frames(frames, ds)


def read_shop(warehouse: Warehouse, settings: Settings, ds: date) -> ShopData:
    """Read the history of a shop as it was known at the end of ``ds``: actions, items live or closed, users."""
    queries = shop_queries(settings)
    actions, users = (_frame(warehouse, queries[f"shop {name}"], ds) for name in ("actions", "users"))
    actions["event_date"] = pd.to_datetime(actions["event_date"])
    return ShopData(actions, read_shop_items(warehouse, settings, ds), users)


def read_shop_items(warehouse: Warehouse, settings: Settings, ds: date) -> pd.DataFrame:
    """The items of a shop as known at the end of ``ds``, live or closed; columns as of ``history.frames_as_of``."""
    items = _frame(warehouse, shop_queries(settings)["shop items"], ds)
    return items.assign(**{name: pd.to_datetime(items[name]) for name in ("listed_at", "closed_on")})


def _frame(warehouse: Warehouse, query: Query, ds: date) -> pd.DataFrame:
    sql, params = query
    return warehouse.query(sql, params, ds=ds).to_pandas()


def has_features(warehouse: Warehouse, ds: date) -> bool:
    """Whether every feature table that ``read_snapshot`` needs has the partition ``ds``."""
    return all(warehouse.exists(name, ds) for name in FEATURE_TABLES)


def days_back(ds: date, days: int) -> list[date]:
    """The ``days`` days that end with ``ds``, oldest first."""
    return [ds - timedelta(days=back) for back in range(days - 1, -1, -1)]
