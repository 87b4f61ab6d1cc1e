"""What lists of sellers are made and learned from, read from the warehouse."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from recsys.errors import WarehouseError
from recsys.jobs.inputs import Query, Range, range_params, snapshot_queries
from recsys.sellers.market import COHORTS, Market
from recsys.sellers.weights import STATED, Weights
from recsys.settings import Settings
from recsys.warehouse import Warehouse

WEIGHTS = "scoring.seller_weights"
ACTS = "staging.user_seller_daily"
NEEDED = (
    "staging.items",
    "staging.sellers",
    "features.user_daily",
    "features.seller_daily",
    "features.user_seller",
)
COHORT_TABLE = "features.cohort_affinity"
"""Read where it is there."""
TOUCHED_DAYS = 60
EVERYBODY: Range = ("", "\U0010ffff")

LISTINGS = """
SELECT items.item_id, items.seller_id, items.category_id, categories.name AS category_name, items.title, items.brand,
  items.condition, CAST(items.price AS FLOAT64) AS price, DATE(items.listed_at, @timezone) AS listed_on, items.is_live
FROM staging.items AS items
LEFT JOIN staging.item_category AS categories
  ON categories.category_id = items.category_id AND categories.ds = @ds
LEFT JOIN (
  SELECT DISTINCT item_id
  FROM staging.user_item_daily
  WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @days - 1 DAY) AND @ds
    AND views + likes + offers + carts + bids + purchases > 0
) AS touched ON touched.item_id = items.item_id
WHERE items.ds = @ds AND (items.is_live OR touched.item_id IS NOT NULL)
ORDER BY items.item_id
"""
TOUCHED = """
SELECT user_id, item_id,
  SUM((views + 3 * likes + 4 * (offers + carts + bids) + 8 * purchases)
    * POW(0.5, DATE_DIFF(@ds, event_date, DAY) / 30)) AS weight
FROM staging.user_item_daily
WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @days - 1 DAY) AND @ds
  AND user_id BETWEEN @first_user AND @last_user
  AND views + likes + offers + carts + bids + purchases > 0
GROUP BY user_id, item_id
ORDER BY user_id, item_id
"""
TIES = """
SELECT user_id, seller_id, weight, follows, purchases
FROM features.user_seller
WHERE ds = @ds AND (purchases + follows > 0 OR user_id BETWEEN @first_user AND @last_user)
ORDER BY user_id, seller_id
"""
SELLERS = """
SELECT known.seller_id, known.rating, known.cancel_rate, known.tenure_days, own.rating AS own_rating,
  COALESCE(own.rating_count, 0) AS ratings
FROM features.seller_daily AS known
LEFT JOIN staging.sellers AS own ON own.seller_id = known.seller_id AND own.ds = @ds
WHERE known.ds = @ds
ORDER BY known.seller_id
"""
USERS = """
SELECT user_id, gender, birth_year, region
FROM features.user_daily
WHERE ds = @ds AND user_id BETWEEN @first_user AND @last_user
ORDER BY user_id
"""
LATER = """
SELECT DISTINCT user_id, seller_id
FROM staging.user_seller_daily
WHERE ds BETWEEN DATE_SUB(@ds, INTERVAL @days - 1 DAY) AND @ds
  AND event_date >= DATE_SUB(@ds, INTERVAL @days - 1 DAY)
  AND purchases + follows > 0
ORDER BY user_id, seller_id
"""


def market_queries(settings: Settings, users: Range = EVERYBODY) -> dict[str, Query]:
    """What ``read_market`` asks the warehouse, by name of the frame."""
    days, mine = min(TOUCHED_DAYS, settings.history_days), range_params(users)
    asked: dict[str, Query] = {
        "listings": (LISTINGS, {"timezone": settings.timezone, "days": days}),
        "touched": (TOUCHED, {"days": days, **mine}),
        "ties": (TIES, mine),
        "sellers": (SELLERS, {}),
        "users": (USERS, mine),
    }
    cohorts = snapshot_queries(settings).get("cohorts")
    return asked | ({"cohorts": cohorts} if cohorts else {})


def read_market(warehouse: Warehouse, settings: Settings, ds: date, users: Range = EVERYBODY) -> Market:
    """Read an evening as it was known at the end of ``ds``, with the active users of a range.

    Raises:
        WarehouseError: a table of the day is missing.
    """
    for name in NEEDED:
        if not warehouse.exists(name, ds):
            raise WarehouseError(warehouse.missing(name, ds))
    asked = market_queries(settings, users)
    if not warehouse.exists(COHORT_TABLE, ds):
        asked.pop("cohorts", None)
    frames = {name: warehouse.query(sql, params, ds=ds).to_pandas() for name, (sql, params) in asked.items()}
    frames.setdefault("cohorts", pd.DataFrame(columns=list(COHORTS)))
    frames["listings"]["listed_on"] = pd.to_datetime(frames["listings"]["listed_on"])
    return Market.from_frames(frames, ds)


def read_later(warehouse: Warehouse, cut: date, until: date) -> pd.DataFrame:
    """Who followed or bought from whom after ``cut``, up to ``until``: [user_id, seller_id]."""
    return warehouse.query(LATER, {"days": (until - cut).days}, ds=until).to_pandas()


def read_weights(warehouse: Warehouse, ds: date) -> tuple[Weights, str]:
    """The newest weights learned up to ``ds``, and what they are called; the stated ones where there are none.

    Raises:
        ModelError: they are of other factors than today's.
    """
    days = [day for day in warehouse.partitions(WEIGHTS) if day <= ds]
    if not days:
        return STATED, "stated"
    found = Weights.from_frame(warehouse.read(WEIGHTS, days[-1]))
    return found, f"learned {days[-1]}" if found.pairs else "stated"


def evening_before(warehouse: Warehouse, ds: date, most: int, least: int) -> date | None:
    """The oldest day ``least`` to ``most`` days before ``ds`` that has all a market is read from; None for none."""
    days = [ds - timedelta(days=back) for back in range(most, least - 1, -1)]
    return next((day for day in days if all(warehouse.exists(name, day) for name in NEEDED)), None)
