"""Keywords for one listing, as of now: one that was published, or one that was put up a minute ago."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from recsys.errors import KeywordError
from recsys.jobs.keywords_inputs import DEMAND, read_shelf
from recsys.jobs.keywords_score import propose, read_market, read_previous, set_rules
from recsys.keywords.champion import newest_model
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

AS_LISTED = """
SELECT item_id, seller_id, category_id, title, brand, size, condition, CAST(price AS FLOAT64) AS price, take_rate,
  shipping_payer, stock, sale_type, listed_at
FROM marketplace.items
WHERE item_id = @item AND closed_at IS NULL
"""
PARENT = """
SELECT parent_id
FROM marketplace.item_category
WHERE category_id = @category
"""
LIVE_THERE = """
SELECT COUNT(*) AS listings
FROM features.keyword_items
WHERE ds = @ds AND is_live AND category_id = @category AND item_id != @item
"""
NOTHING_YET = ("age_days", "views_30d", "likes_30d", "purchases_30d", "impressions_30d")


def run(
    settings: Settings,
    item: str,
    ds: date | None = None,
    *,
    ad_rate: float | None = None,
    budget: float | None = None,
) -> pd.DataFrame:
    """The set of keywords for ``item``, best first: columns of ``marts.keyword_recommendations`` without ds.

    What is known of keywords is of ``ds``, by default the newest day that has them, up to a week ago. With ``ds`` a
    listing that was live then is taken as it was then. Without, and where it was not live, it is taken from the source
    table, at the price and with the words that it has now, and has to be for sale: a minute old is old enough; only
    views, likes and age are those of the day. ``ad_rate`` (a share of the price) and ``budget`` (money) stand for
    those of a campaign to come.

    Raises:
        KeywordError: no such listing is open, no keyword model or features, or a rate or budget that means nothing.
    """
    if ad_rate is not None and not 0 < ad_rate < 1:
        raise KeywordError(f"The ad rate is {ad_rate}; give a share of the price, above 0 and below 1.")
    if budget is not None and not budget > 0:
        raise KeywordError(f"The budget is {budget}; give money, more than 0.")
    with open_warehouse(settings) as warehouse:
        day = ds or max(warehouse.partitions(DEMAND), default=None)
        if day is None:
            raise KeywordError("No keyword features yet. Run `airflow dags test keywords_weekly DAY` first.")
        model, market = newest_model(settings.models_dir, day), read_market(warehouse, day)
        shelf = read_shelf(warehouse, day, item, item)
        if ds is None or shelf.empty:
            shelf = _as_it_is(warehouse, item, day, shelf)
        previous = read_previous(warehouse, day, item, item)
    shelf["budget"] = float("nan") if budget is None else budget
    return propose(model, market, shelf, set_rules(settings), previous, ad_rate=ad_rate)


def _as_it_is(warehouse: Warehouse, item: str, day: date, shelf: pd.DataFrame) -> pd.DataFrame:
    """What the listing says of itself now, and what ``shelf`` knew of it on ``day``: nothing if it is newer."""
    found = warehouse.query(AS_LISTED, {"item": item}).to_pandas()
    if found.empty:
        raise KeywordError(f"No open listing {item!r}. Give the item_id of one that is for sale.")
    category = found["category_id"].iloc[0]
    parents = warehouse.query(PARENT, {"category": category}).column("parent_id").to_pylist()
    there = warehouse.query(LIVE_THERE, {"category": category, "item": item}, ds=day).column("listings")
    known = {
        "parent_category_id": parents[0] if parents and parents[0] else category,
        "live_in_category": 1 + there[0].as_py(),
        "is_live": True,
    }
    since = dict.fromkeys(NOTHING_YET, 0) if shelf.empty else shelf[list(NOTHING_YET)].iloc[0].to_dict()
    return found.assign(**known, **since)


def print_list(rows: pd.DataFrame, currency: str, console: Console, places: int | None = None) -> None:
    """Print a set as a table, with its reasons: all, or the first ``places``."""
    if rows.empty:
        console.print("No keyword is expected to earn more than its fee at this ad rate and budget.")
        return
    first = rows.iloc[0]
    console.print(
        f"{first['item_id']} at an ad rate of {first['ad_rate']:.1%}: {rows['marginal_profit'].sum():.2f} {currency} "
        f"of profit a week to be expected from {len(rows)} keywords ({first['model']})",
        highlight=False,
    )
    table = Table("keyword", "profit alone", "adds", "why", box=None)
    for row in rows.head(places or len(rows)).to_dict("records"):
        table.add_row(
            str(row["keyword"]),
            f"{row['expected_profit']:.2f}",
            f"{row['marginal_profit']:.2f}",
            str(row["reason"]),
        )
    console.print(table)
    if places and places < len(rows):
        console.print(f"and {len(rows) - places} more", highlight=False)


def write_json(rows: pd.DataFrame, path: Path) -> None:
    """Write a set as a list of objects."""
    path.write_text(rows.to_json(orient="records", force_ascii=False, indent=1) + "\n", encoding="utf-8")
