"""What is counted of a marketplace's lists, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.evaluation.market import filled, seller_kinds, sold_before_seen
from tests.evaluation.test_metrics import lists


def test_a_short_list_is_filled_up_without_a_repeat() -> None:
    found = filled(lists(u=["a"], v=["x", "y", "z"]), lists(u=["b", "a", "c"], v=["x"], w=["d"]), k=3)
    assert found.groupby("user_id")["item_id"].agg(list).to_dict() == {
        "u": ["a", "b", "c"],
        "v": ["x", "y", "z"],
        "w": ["d"],
    }
    assert found["rank"].tolist() == [1, 2, 3, 1, 2, 3, 1]


def test_sold_before_seen_by_hand() -> None:
    hours = {
        name: pd.Timestamp(f"2026-01-02 {hour:02d}:00", tz="UTC") for name, hour in (("u", 9), ("v", 20))
    }
    closed = pd.Series({"a": pd.Timestamp("2026-01-02 12:00", tz="UTC")})
    table = lists(u=["a", "b"], v=["a", "b"], away=["a", "b"])
    assert sold_before_seen(table, pd.Series(hours), closed, k=2) == pytest.approx(1 / 4)  # v's "a" alone
    assert sold_before_seen(table, pd.Series(hours), closed, k=1) == pytest.approx(1 / 2)
    assert np.isnan(sold_before_seen(table, pd.Series(hours).iloc[:0], closed, k=2))  # nobody came


def test_kinds_of_sellers() -> None:
    known = pd.DataFrame(
        {"seller_id": ["old", "idle", "young"], "tenure_days": [400, 400, 10], "sold_90d": [3, 0, 5]}
    )
    found = seller_kinds(known, pd.Index(["young", "old", "idle", "unheard of"]))
    assert found.tolist() == ["new", "established", "unproven", "new"]
