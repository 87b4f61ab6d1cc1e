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
WHERE actions.event_date < @until AND actions.purchases > 0
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
"""
_GROUPS = (
    "INNER JOIN features.item_group AS groups_ ON groups_.item_id = actions.item_id AND groups_.ds = @newest"
)
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

    Where listings are one-off (``item_unit: group``), a list of groups is judged by the groups that were bought.
    Returns {"models": {name: {"ndcg@k", "recall@k", "revenue@k", "users"}}}, also written to ``json_path``.

    Raises:
        ModelError: staging has no day before ``cut``, or too little to learn from.
    """
    if until <= cut:
        raise ModelError(
            f"The test period from {cut} until {until} is empty; --until is the day after its last."
        )
    data = _read(settings, cut, until)
    with threadpool_limits(limits=1):
        figures = backtest(data, cut, until, k, seed=settings.seed, progress=progress)
    result: dict[str, object] = {"models": figures}
    if json_path is not None:
        json_path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _read(settings: Settings, cut: date, until: date) -> ShopData:
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
        daily = warehouse.query(sql, {"until": until} | (newest if group else {})).to_pandas()
        items = warehouse.query(_CATEGORIES[settings.item_unit], newest).to_pandas()
        users = warehouse.query(_REGIONS, newest).to_pandas()
    daily["event_date"] = pd.to_datetime(daily["event_date"])
    return ShopData(daily, items, users)
