"""Make the lists of sellers of one shard of the active users."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.jobs import plan_shards
from recsys.jobs.inputs import Range
from recsys.jobs.score import shard_range
from recsys.jobs.sellers_inputs import read_market, read_weights
from recsys.schema import USER_ID, table
from recsys.sellers.factors import Factors
from recsys.sellers.recommend import recommend
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

TABLE = "scoring.seller_lists"
LENGTH = 20
"""Sellers in a list."""


def run(
    settings: Settings,
    ds: date,
    shard: int = 0,
    champion: str | None = None,
    *,
    first_user: str | None = None,
    last_user: str | None = None,
) -> dict[str, object]:
    """Write the part ``shard`` of ``scoring.seller_lists`` for ``ds``: a list per active user of the shard.

    The shard is that of the item lists, as ``plan_shards`` names it, with the ``champion`` that only those need. The
    weights are the newest learned up to ``ds``.

    Raises:
        ModelError: there is no such shard, or the weights are of another version.
        WarehouseError: the features of ``ds`` are missing.
    """
    del champion
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        mine = shard_range(warehouse, settings, ds, shard, (first_user, last_user))
        lists = lists_of(warehouse, settings, ds, mine)
        rows = warehouse.write(TABLE, lists, ds, part=f"{shard:03d}")
    return {"shard": shard, "users": lists[USER_ID].nunique(), "rows": rows}


def everybody(settings: Settings, ds: date) -> Iterator[dict[str, object]]:
    """Make the lists of all shards, one after the other, in place of those that were there; yields their summaries.

    Raises:
        WarehouseError: the features of ``ds`` are missing; the old lists stay.
    """
    with open_warehouse(settings) as warehouse:
        planned = plan_shards.ranges(warehouse, settings, ds)
        warehouse.drop(TABLE, ds)
    for shard, (first, last) in enumerate(planned):
        yield run(settings, ds, shard, first_user=first, last_user=last)


def lists_of(warehouse: Warehouse, settings: Settings, ds: date, users: Range) -> pd.DataFrame:
    """Lists of the active users of a range, as rows of ``scoring.seller_lists``; nothing is written."""
    market = read_market(warehouse, settings, ds, users)
    weights, model = read_weights(warehouse, ds)
    lists = recommend(Factors(market, settings.seed), weights, np.arange(len(market.users)), LENGTH)
    return lists.assign(model=model, ds=ds)[table(TABLE).column_names]


def one(settings: Settings, ds: date, user: str) -> pd.DataFrame:
    """The list of one user of ``ds``, made anew.

    Raises:
        ModelError: the user is not active on that day.
        WarehouseError: the features of ``ds`` are missing.
    """
    with open_warehouse(settings) as warehouse, threadpool_limits(limits=1):
        lists = lists_of(warehouse, settings, ds, (user, user))
        if lists.empty and not warehouse.query(_ACTIVE, {"user": user}, ds=ds).num_rows:
            raise ModelError(
                f"{user!r} was not active up to {ds}, so nothing is known to choose by. List the active users with: "
                "recsys sql 'SELECT user_id FROM features.user_daily', or widen RECSYS_ACTIVE_DAYS."
            )
    return lists


_ACTIVE = "SELECT user_id FROM features.user_daily WHERE ds = @ds AND user_id = @user"
