"""What the keyword jobs read from the warehouse: the frames that ``recsys.keywords`` takes, as of one day."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from recsys.errors import WarehouseError
from recsys.keywords.catalogue import catalogue
from recsys.keywords.filters import Policy, load_policy
from recsys.keywords.labels import Frames
from recsys.settings import Settings
from recsys.warehouse import Warehouse, order

VARIANTS, PUBLISHED = "scoring.keyword_variants", "marts.keyword_recommendations"
DEMAND, ENGAGED = "features.keyword_demand", "features.keyword_engaged"
HISTORY, ITEMS = "features.campaign_history", "features.keyword_items"
FEATURES = (DEMAND, ENGAGED, HISTORY, ITEMS)
GROUPS = "features.item_group"
STANDS_ON = (
    "staging.user_search_daily",
    "staging.search_item_daily",
    "staging.item_daily",
    "staging.items",
    "staging.item_category",
    "staging.campaigns",
)
WEEK = timedelta(days=7)

_DEMAND = """
SELECT query, category_id, searches_7d, searchers_7d, searches_28d, searchers_28d, clicks_28d, purchases_28d,
  CAST(revenue_28d AS FLOAT64) AS revenue_28d
FROM features.keyword_demand
WHERE ds = @day
ORDER BY query, category_id
"""
_ENGAGED = """
SELECT query, item_id, clicks, purchases
FROM features.keyword_engaged
WHERE ds = @day
ORDER BY query, item_id
"""
_HISTORY = """
SELECT campaign_id, seller_id, item_id, category_id, ad_rate, started_at, ended_at, keyword, origin, impressions,
  clicks, purchases, CAST(revenue AS FLOAT64) AS revenue, CAST(spend AS FLOAT64) AS spend
FROM features.campaign_history
WHERE ds = @day
ORDER BY campaign_id, keyword
"""
_TAUGHT = """
SELECT item_id, seller_id, category_id, parent_category_id, title, brand, size, condition,
  CAST(price AS FLOAT64) AS price, take_rate, shipping_payer, stock, sale_type, listed_at, age_days, views_30d,
  likes_30d, purchases_30d, impressions_30d, live_in_category, is_live
FROM features.keyword_items
WHERE ds = @day AND item_id IN (
  SELECT item_id FROM features.campaign_history WHERE ds = @ds
  UNION DISTINCT
  SELECT item_id FROM features.keyword_engaged WHERE ds = @day
)
ORDER BY item_id
"""
"""The listings that teach: advertised up to the day of training, or reached through a search."""
SHELF = """
SELECT item_id, seller_id, category_id, parent_category_id, title, brand, size, condition,
  CAST(price AS FLOAT64) AS price, take_rate, shipping_payer, stock, sale_type, listed_at, age_days, views_30d,
  likes_30d, purchases_30d, impressions_30d, live_in_category, is_live
FROM features.keyword_items
WHERE ds = @ds AND is_live AND item_id BETWEEN @first_item AND @last_item
ORDER BY item_id
"""
FRAMES = (_DEMAND, _ENGAGED, _HISTORY, _TAUGHT)


def policy_of(settings: Settings) -> Policy:
    """What a keyword may not be: ``include/keywords/policy.yaml``."""
    return load_policy(Path(settings.home) / "include" / "keywords" / "policy.yaml")


def fill(warehouse: Warehouse, days: list[date]) -> list[date]:
    """Build what is missing of the keyword features of ``days``; return the days that have them then, oldest first.

    The groups of listings that they read are built with them.
    A day whose searches were never staged has none. What is built has the bytes that its own week's run gives it.
    """
    tables, found = order((GROUPS, *FEATURES), warehouse.settings.sql_dir), []
    for day in sorted(days):
        if not all(warehouse.exists(table, day) for table in STANDS_ON):
            continue
        for table in tables:
            if not warehouse.exists(table, day):
                warehouse.build(table, day)
        found.append(day)
    return found


def read_variants(warehouse: Warehouse, ds: date) -> pd.DataFrame:
    """[raw, keyword, reason, searchers] of ``ds``.

    Raises:
        WarehouseError: the keywords of the day were not cleaned.
    """
    return warehouse.read(VARIANTS, ds, ["raw", "keyword", "reason", "searchers"])


def read_history(warehouse: Warehouse, ds: date) -> pd.DataFrame:
    """What campaigns brought up to ``ds``, keywords as typed."""
    return warehouse.query(_HISTORY, {"day": ds}, ds=ds).to_pandas()


def read_catalogue(
    warehouse: Warehouse, ds: date, history: pd.DataFrame, variants: pd.DataFrame
) -> pd.DataFrame:
    """What is known of each keyword at the end of ``ds``, see ``recsys.keywords.catalogue``."""
    demand = warehouse.query(_DEMAND, {"day": ds}, ds=ds).to_pandas()
    return catalogue(demand, history, variants, ds, warehouse.settings.timezone)


def read_frames(warehouse: Warehouse, day: date, ds: date, variants: pd.DataFrame) -> Frames:
    """What was known at the end of ``day``, about the listings that teach on ``ds``, in the keywords of ``variants``.

    Raises:
        WarehouseError: a table of the day is missing; names the command that makes it.
    """
    for table in FEATURES:
        if not warehouse.exists(table, day):
            raise WarehouseError(warehouse.missing(table, day))
    demand, engaged, history, items = (
        warehouse.query(sql, {"day": day}, ds=ds).to_pandas() for sql in FRAMES
    )
    return Frames.of(
        day,
        items=items,
        demand=demand,
        history=history,
        engaged=engaged,
        variants=variants,
        timezone=warehouse.settings.timezone,
    )


def read_shelf(warehouse: Warehouse, ds: date, first_item: str, last_item: str) -> pd.DataFrame:
    """The live listings of ``ds`` in a range of ids, both ends included."""
    return warehouse.query(SHELF, {"first_item": first_item, "last_item": last_item}, ds=ds).to_pandas()


def running(history: pd.DataFrame) -> pd.DataFrame:
    """The campaigns that have not ended by the day of ``history``: [campaign_id, item_id, seller_id, ad_rate].

    One per listing, the one that started last; of two at once the one that comes last by id.
    """
    live = history[history["ended_at"].isna()].drop_duplicates("campaign_id")
    newest = live.sort_values(["started_at", "campaign_id"]).drop_duplicates("item_id", keep="last")
    return newest[["campaign_id", "item_id", "seller_id", "ad_rate"]].reset_index(drop=True)
