"""What the demo shows beside the arms: keywords for the seller of one listing, and sellers for one buyer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pandas as pd
from rich.console import Console

from recsys.jobs import keywords_item, sellers_look
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

PLACES = 5
"""Keywords and sellers of a list that are shown."""

KEYWORDS = """
SELECT lists.*, items.title, CAST(items.price AS FLOAT64) AS price
FROM marts.keyword_recommendations AS lists
INNER JOIN staging.items AS items ON items.item_id = lists.item_id AND items.ds = @ds
WHERE lists.ds = @ds AND lists.item_id = (
  SELECT item_id
  FROM marts.keyword_recommendations
  WHERE ds = @ds
  GROUP BY item_id
  ORDER BY COUNT(campaign_id) = 0, SUM(marginal_profit) DESC, item_id
  LIMIT 1
)
ORDER BY lists.rank
"""
"""The set that promises most, of an advertised listing if there is one."""
SELLERS = """
SELECT *
FROM marts.seller_recommendations
WHERE ds = @ds AND user_id = (
  SELECT user_id
  FROM marts.seller_recommendations
  WHERE ds = @ds AND rank <= @places
  GROUP BY user_id
  ORDER BY COUNT(DISTINCT REGEXP_EXTRACT(reason, r'[a-z]+')) DESC, user_id
  LIMIT 1
)
ORDER BY rank
"""
"""The list of a buyer in whose first places most kinds of reason are given: its first small letters tell it."""


def print_examples(settings: Settings, ds: date, console: Console) -> None:
    """Print what was published on ``ds`` for one listing and for one buyer, or that nothing was."""
    with open_warehouse(settings) as warehouse:
        keywords = _published(warehouse, "marts.keyword_recommendations", KEYWORDS, ds, {})
        sellers = _published(warehouse, "marts.seller_recommendations", SELLERS, ds, {"places": PLACES})
    console.print()
    if keywords.empty:
        console.print(
            "Keywords: none are published. A ranker needs ads of four weeks, and to beat one rate for all."
        )
    else:
        first = keywords.iloc[0]
        console.print(
            f"Keywords for the seller of {first['title']!r} ({first['price']:.2f} {settings.currency})",
            highlight=False,
            markup=False,
        )
        keywords_item.print_list(keywords, settings.currency, console, PLACES)
    console.print()
    if sellers.empty:
        console.print("Sellers: no list is published.")
    else:
        console.print(f"Sellers for the buyer {sellers['user_id'].iloc[0]}", highlight=False, markup=False)
        sellers_look.print_list(sellers, PLACES, console)


def _published(
    warehouse: Warehouse, table: str, sql: str, ds: date, params: Mapping[str, object]
) -> pd.DataFrame:
    if not warehouse.exists(table, ds):
        return pd.DataFrame()
    return warehouse.query(sql, params, ds=ds).to_pandas()
