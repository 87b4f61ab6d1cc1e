"""Judge the models on days they have not seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.evaluation.backtest import backtest
from recsys.ranking.shop import ShopData
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

_ACTIONS = """
SELECT actions.user_id, {item} AS item_id, actions.event_date, SUM(actions.views) AS views,
  SUM(actions.likes) AS likes, SUM(actions.offers + actions.carts + actions.bids) AS carts,
  SUM(actions.purchases) AS purchases, CAST(SUM(actions.quantity) AS FLOAT64) AS quantity,
  CAST(SUM(actions.revenue) AS FLOAT64) AS revenue
FROM staging.user_item_daily AS actions
{join}
WHERE actions.ds BETWEEN @first AND @last AND actions.event_date < @until AND actions.purchases > 0
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""
_GROUPS = """LEFT JOIN (
  SELECT item_id, group_id FROM features.item_group WHERE ds >= @first AND ds < @until
  QUALIFY ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY ds) = 1
) AS groups_ ON groups_.item_id = actions.item_id"""
_COLD = """
SELECT COUNT(*) AS purchases, COUNTIF(known.item_id IS NULL) AS cold,
  COUNTIF(ever.item_id IS NULL) AS without_group
FROM (
  SELECT DISTINCT user_id, item_id FROM staging.user_item_daily
  WHERE ds BETWEEN @first AND @last AND event_date >= @cut AND event_date < @until AND purchases > 0
) AS bought
LEFT JOIN features.item_group AS known ON known.item_id = bought.item_id AND known.ds = @newest
LEFT JOIN (SELECT DISTINCT item_id FROM features.item_group WHERE ds >= @first AND ds < @until) AS ever
  ON ever.item_id = bought.item_id
"""
_CATEGORIES = {
    "item": "SELECT item_id, category_id FROM staging.items WHERE ds = @newest ORDER BY item_id",
    "group": """SELECT group_id AS item_id, MIN(category_id) AS category_id FROM features.item_group
        WHERE ds = @newest GROUP BY group_id ORDER BY group_id""",
}
_REGIONS = "SELECT user_id, region FROM staging.users WHERE ds = @newest ORDER BY user_id"


def run(
    settings: Settings,
    cut: date,
    until: date,
    k: int = 10,
    *,
    json_path: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, object]:
    """Train on purchases before ``cut``, test on those from ``cut`` up to ``until``; see ``evaluation.backtest``.

    Where listings are one-off (``item_unit: group``), a list of groups is judged by the groups that were bought, each
    listing in the group that it had when it was first known, and listings first known after the cut count as well.
    Returns {"models": {name: {"ndcg@k", "recall@k", "revenue@k", "users"}}}, also written to ``json_path``; by group
    also "listings": {"purchases", "cold", "without_group"} of the test period, pairs of user and listing.

    Raises:
        ModelError: staging has no day before ``cut``, or too little to learn from.
    """
    if until <= cut:
        raise ModelError(
            f"The test period from {cut} until {until} is empty; --until is the day after its last."
        )
    data, listings = _read(settings, cut, until)
    if listings and progress:
        progress(
            f"Judging groups: of {listings['purchases']} listings bought from {cut}, {listings['cold']} were listed "
            f"since, {listings['without_group']} have no group and are left out"
        )
    with threadpool_limits(limits=1):
        figures = backtest(data, cut, until, k, seed=settings.seed, progress=progress)
    result: dict[str, object] = {"models": figures} | ({"listings": listings} if listings else {})
    if json_path is not None:
        json_path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _read(settings: Settings, cut: date, until: date) -> tuple[ShopData, dict[str, int]]:
    """Purchases of the whole history; what names categories and regions is read as of the newest day before ``cut``."""
    group = settings.item_unit == "group"
    with open_warehouse(settings) as warehouse:
        source = "features.item_group" if group else "staging.items"
        days = [day for day in warehouse.partitions(source) if day < cut]
        if not days:
            raise ModelError(f"{source} has no day before {cut}; build the days up to it first.")
        sql = _ACTIONS.format(
            item="groups_.group_id" if group else "actions.item_id", join=_GROUPS if group else ""
        )
        newest = {"newest": days[-1]}
        known = warehouse.partitions("staging.user_item_daily")
        period = {"until": until, "first": min(known + days), "last": max(known + days)}
        daily = warehouse.query(sql, period).to_pandas().dropna(subset="item_id")
        listings = {}
        if group:
            counts = warehouse.query(_COLD, {"cut": cut} | period | newest).to_pandas()
            listings = {name: int(counts[name].iloc[0]) for name in ("purchases", "cold", "without_group")}
        items = warehouse.query(_CATEGORIES[settings.item_unit], newest).to_pandas()
        users = warehouse.query(_REGIONS, newest).to_pandas()
    daily["event_date"] = pd.to_datetime(daily["event_date"])
    return ShopData(daily, items, users), listings
