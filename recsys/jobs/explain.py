"""Why a user was shown what they were shown: reasons, factors of the money, and what moved the ranker."""

from __future__ import annotations

import json
import math
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys.errors import ContractError, ModelError, WarehouseError
from recsys.jobs.inputs import read_snapshot
from recsys.jobs.score import make_ranker
from recsys.ranking.judge import Contributions
from recsys.reports.placements import FACTORS
from recsys.schema import ITEM_ID
from recsys.settings import Settings, parse_ds
from recsys.warehouse import Warehouse, open_warehouse

TABLE = "marts.recommendations"
CLOSE = 1e-4
"""Relative difference from which a probability that is computed again counts as another one."""

_LIST = """
SELECT lists.rank, lists.item_id, lists.is_reserve, lists.policy, lists.experiment_id, lists.arm, lists.source,
  lists.seller_id, lists.group_id, lists.score, lists.p_purchase, lists.p_click,
  COALESCE(lists.p_judged, lists.p_purchase) AS p_judged, CAST(lists.price AS FLOAT64) AS price,
  CAST(lists.price_capped AS FLOAT64) AS price_capped, lists.take_rate, lists.p_cancel, lists.p_available,
  lists.expected_revenue, lists.propensity, lists.slot, lists.reason, lists.reason_item, lists.model, items.title,
  categories.name AS category, others.title AS reason_title
FROM marts.recommendations AS lists
LEFT JOIN staging.items AS items ON items.item_id = lists.item_id AND items.ds = @ds
LEFT JOIN staging.items AS others ON others.item_id = lists.reason_item AND others.ds = @ds
LEFT JOIN staging.item_category AS categories ON categories.category_id = lists.category_id AND categories.ds = @ds
WHERE lists.ds = @ds AND lists.user_id = @user
ORDER BY lists.rank
"""
_KNOWN = "SELECT user_id FROM staging.users WHERE ds = @ds AND user_id = @user"
_ACTIVE = "SELECT user_id FROM features.user_daily WHERE ds = @ds AND user_id = @user"


def run(settings: Settings, ds: date, user: str, json_path: Path | None = None) -> dict[str, Any]:
    """Explain every place of the list that was published for ``user`` on ``ds``; also written to ``json_path``.

    The contributions are computed again from the features of ``ds`` by the model that made the list; where that model
    is gone, ``contributions_missing`` says so and the rest is told.

    Raises:
        WarehouseError: no lists were published on ``ds``, or its features are missing.
        ContractError: the user has no list that day; the message says why and what to do.
    """
    with open_warehouse(settings) as warehouse:
        if not warehouse.exists(TABLE, ds):
            raise WarehouseError(_no_day(warehouse, ds))
        placed = warehouse.query(_LIST, {"user": user}, ds=ds).to_pandas()
        if placed.empty:
            raise ContractError(_no_list(warehouse, settings, ds, user))
        missing, why, again = "", None, np.full(len(placed), np.nan)
        try:
            why, again = _contributions(warehouse, settings, ds, user, placed)
        except ModelError as error:
            missing = str(error)
    told = _told(settings, ds, user, placed, why=why, again=again) | {"contributions_missing": missing}
    if json_path is not None:
        json_path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return told


def _contributions(
    warehouse: Warehouse, settings: Settings, ds: date, user: str, placed: pd.DataFrame
) -> tuple[Contributions, np.ndarray]:
    """Contributions, and what the ranker says a purchase's probability is, of each place; computed anew among all
    candidates of the user."""
    snapshot = read_snapshot(warehouse, settings, ds, (user, user))
    ranker = make_ranker(settings, snapshot, parse_ds(str(placed["model"].iloc[0]).partition("@")[2]))
    shelf, audience, champion = snapshot.shelf, snapshot.audience, ranker.champion
    items = shelf.item_ids.get_indexer(pd.Index(placed[ITEM_ID], dtype=object))
    if len(audience) != 1:
        raise ModelError(f"The features of {ds} were built again without user {user!r}.")
    found, retrieved = ranker.candidates_of(audience, 0, str(placed["policy"].iloc[0]))
    pairs = (shelf, audience, found.rows, found.items, retrieved)
    judged, why = champion.scorer.judge(*pairs), champion.scorer.contributions(*pairs)
    order = np.argsort(found.items)
    place = order[np.minimum(np.searchsorted(found.items, items, sorter=order), len(order) - 1)]
    gone = found.items[place] != items
    if gone.any():
        raise ModelError(
            f"{gone.sum()} of its places are no candidates any more: the features of {ds} have changed."
        )
    return Contributions(why.names, why.values[place], why.base[place]), judged.promised[place]


def _told(
    settings: Settings,
    ds: date,
    user: str,
    placed: pd.DataFrame,
    *,
    why: Contributions | None,
    again: np.ndarray,
) -> dict[str, Any]:
    places = []
    for n, row in enumerate(placed.to_dict("records")):
        place = {
            name: _plain(row[name])
            for name in (
                *("rank", "item_id", "title", "category", "seller_id", "group_id", "is_reserve"),
                *("slot", "source", "reason", "reason_item", "reason_title"),
            )
        }
        place["factors"] = {name: _plain(row[name]) for name in FACTORS}
        place["p_recomputed"] = _plain(again[n])
        place["log_odds_base"] = None if why is None else float(why.base[n])
        place["contributions"] = (
            {} if why is None else dict(zip(why.names, map(float, why.values[n]), strict=True))
        )
        places.append(place)
    first = placed.iloc[0]
    return {
        "user": user,
        "ds": str(ds),
        "served_on": str(ds + timedelta(days=1)),
        "currency": settings.currency,
        **{name: _plain(first[name]) for name in ("policy", "experiment_id", "arm", "model")},
        "differs": _differs(ds, placed["p_judged"].to_numpy(), again),
        "places": places,
    }


def _differs(ds: date, stored: np.ndarray, again: np.ndarray) -> str:
    """A sentence where the probabilities are no longer those of the list."""
    off = np.abs(again - stored) > CLOSE * stored
    if not off.any():
        return ""
    return (
        f"{int(off.sum())} of {len(off)} probabilities are not those of the list: the features of {ds} or the model "
        "changed since it was made. The factors are those of the list, the contributions those of today."
    )


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _no_day(warehouse: Warehouse, ds: date) -> str:
    days = warehouse.partitions(TABLE)
    known = f" Lists are there from {days[0]} to {days[-1]}." if days else ""
    return f"No lists were published on {ds}.{known} Make them with `recsys score --ds {ds}`."


def _no_list(warehouse: Warehouse, settings: Settings, ds: date, user: str) -> str:
    """Why ``user`` has no list on a day that has lists."""
    if not warehouse.query(_KNOWN, {"user": user}, ds=ds).num_rows:
        return (
            f"No user {user!r} was known on {ds}, so there is no list. Check the id, or ask for a day after they "
            "registered."
        )
    if not warehouse.query(_ACTIVE, {"user": user}, ds=ds).num_rows:
        return (
            f"User {user!r} has no list of {ds}: they neither acted nor registered in the {settings.active_days} days "
            "up to it. Set RECSYS_ACTIVE_DAYS higher to serve them, and build and score the day again."
        )
    return (
        f"User {user!r} was active on {ds}, but their list is not among those published: the features were built "
        f"again since, or nothing live was left to show. Score the day again with `recsys score --ds {ds}`."
    )
