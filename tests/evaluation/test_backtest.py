"""The backtest of a shop: who is judged, out of which shelf, and what the hybrid promised."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np
import pandas as pd
import pytest

from recsys.evaluation import backtest
from recsys.evaluation.compare import HYBRID
from recsys.ranking.shop import ShopData, train_shop
from recsys.ranking.training import make_retrievers
from tests.ranking.test_shop_scorer import SMALL, shop_data

CUT, UNTIL = date(2025, 12, 1), date(2026, 1, 1)
CLOSED_BEFORE, CLOSED_AFTER = ["i03", "i07"], ["i09"]


def closing(data: ShopData) -> ShopData:
    """Two items leave the shelf before the cut, one after it."""
    items = data.items.set_index("item_id")
    items["closed_on"] = pd.Series(pd.NaT, items.index, dtype="datetime64[ns]")
    items.loc[CLOSED_BEFORE, "closed_on"] = pd.Timestamp("2025-11-20")
    items.loc[CLOSED_AFTER, "closed_on"] = pd.Timestamp("2025-12-05")
    return replace(data, items=items.reset_index())


@pytest.fixture(scope="module")
def found() -> backtest.Origin:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backtest, "train_shop", partial(train_shop, recipe=SMALL))
        patch.setattr(backtest, "MOST_PROMISED", 70)
        return backtest.origin_of(closing(shop_data()), CUT, UNTIL, 5, seed=7)


def test_every_retriever_of_the_hybrid_is_judged_by_itself(found: backtest.Origin) -> None:
    judged = set(found.occasion.lists) - {HYBRID}
    assert judged == {backtest.POPULARITY_28D, *make_retrievers("item", 7)}
    assert set(found.about) == set(found.occasion.lists)


def test_no_model_lists_what_was_closed_by_the_cut(found: backtest.Origin) -> None:
    for name, lists in found.occasion.lists.items():
        assert not lists["item_id"].isin(CLOSED_BEFORE).any(), name
        assert lists["item_id"].isin(CLOSED_AFTER).any(), name  # nobody knew on the eve


def test_promises_are_of_customers_of_all_kinds_within_the_horizon(found: backtest.Origin) -> None:
    promised, data = found.promised, shop_data()
    assert promised["user_id"].nunique() == 70
    assert promised.groupby("user_id").size().eq(5).all()
    over = pd.Timestamp(CUT) + pd.Timedelta(days=SMALL.horizon)
    days = data.daily["event_date"]
    bought = data.daily[(days >= pd.Timestamp(CUT)) & (days < over)]
    seen = promised.merge(bought[["user_id", "item_id"]].drop_duplicates().assign(seen=1), how="left")
    np.testing.assert_array_equal(promised["outcome"], seen["seen"].fillna(0))
    assert 0 < promised["outcome"].mean() < 1
    assert promised["p"].between(0, 1).all() and (promised["price"] > 0).all()


def test_customers_are_told_apart_by_what_is_known_of_them(found: backtest.Origin) -> None:
    assert len(found.acquainted) == len(found.occasion.bought)
    assert set(found.acquainted["segment"]) <= {"few", "with history"}  # all of them had bought before
