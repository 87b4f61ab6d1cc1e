"""The backtest never reads the period that it tests on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np
import pandas as pd
import pytest

from recsys.evaluation import backtest
from recsys.ranking.revenue import Money
from recsys.ranking.shop import ShopData, train_shop
from recsys.ranking.training import make_retrievers
from tests.ranking.test_shop_scorer import SMALL, shop_data

CUT, UNTIL = date(2025, 12, 1), date(2026, 1, 1)


def lists_of(data: ShopData) -> dict[str, pd.DataFrame]:
    found = backtest.origin_of(data, CUT, UNTIL, 5, seed=7, money=Money(exponent=0.2))
    return dict(found.occasion.lists)


def changed(data: ShopData, rows: pd.Series) -> ShopData:
    """The same customers on the same days, but other things bought, for other money, in another order."""
    daily = data.daily.copy()
    daily.loc[rows, "item_id"] = "i39"
    daily.loc[rows, "revenue"] = daily.loc[rows, "revenue"] * 1e5 + 1e6
    daily.loc[rows, "quantity"] = 1e6
    daily = daily.drop_duplicates(["user_id", "item_id", "event_date"])
    return replace(data, daily=daily.iloc[np.random.default_rng(1).permutation(len(daily))])


def test_every_list_stays_when_all_of_the_test_period_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest, "train_shop", partial(train_shop, recipe=SMALL))
    data = shop_data()
    tested = data.daily["event_date"] >= pd.Timestamp(CUT)
    assert tested.sum() > 100
    before = lists_of(data)
    assert set(before) == {backtest.POPULARITY_28D, *make_retrievers("item", 7), "hybrid"}
    after = lists_of(changed(data, tested))
    eve = lists_of(changed(data, data.daily["event_date"] == data.daily["event_date"][~tested].max()))
    for name, lists in before.items():
        pd.testing.assert_frame_equal(lists, after[name], check_exact=True)
        assert not lists.equals(eve[name]), (
            f"{name} does not see the eve of the cut, so this test could not fail"
        )
