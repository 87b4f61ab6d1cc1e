"""The ranges of the table in docs/synthetic.md."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.synthetic.tables import source_tables
from tests.synthetic.lived import Lived


@pytest.fixture(scope="module")
def items(lived: Lived) -> pd.DataFrame:
    return source_tables(lived.state)["marketplace.items"]


def count(lived: Lived, kind: str) -> int:
    return int((lived.good["event_type"] == kind).sum())


def share_of_top_fifth(values: pd.Series) -> float:
    return float(values.nlargest(len(values) // 5).sum() / values.sum())


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        ("view", "impression", 0.03, 0.10),
        ("cart", "view", 0.05, 0.18),
        ("purchase", "view", 0.008, 0.05),
        ("purchase", "cart", 0.2, 0.5),
        ("like", "view", 0.1, 0.35),
        ("cancel", "purchase", 0.02, 0.12),
    ],
)
def test_the_funnel(lived: Lived, part: str, whole: str, low: float, high: float) -> None:
    assert low < count(lived, part) / count(lived, whole) < high


def test_daily_conversion_of_active_users(lived: Lived) -> None:
    days = lived.good.groupby("event_date")["user_id"].nunique()
    buyers = lived.good[lived.good["event_type"] == "purchase"].groupby("event_date")["user_id"].nunique()
    assert 0.03 < (buyers / days).mean() < 0.08
    assert 0.2 < (days / lived.state.n_users).mean() < 0.5


def test_prices_are_heavy_tailed_but_not_absurd(items: pd.DataFrame) -> None:
    assert 14 < items["price"].median() < 24
    assert 1.5 * items["price"].median() < items["price"].mean() < 3 * items["price"].median()
    assert 0.8 < np.log(items["price"]).std() < 1.2
    assert 150 < items["price"].quantile(0.99) < 500
    assert items["price"].max() <= 1_500


def test_most_listings_get_few_views_and_a_few_get_most(lived: Lived, items: pd.DataFrame) -> None:
    begun = items[(items["listed_at"] >= lived.events["event_ts"].min()) & items["closed_at"].notna()]
    views = lived.good[lived.good["event_type"] == "view"]["item_id"].value_counts()
    views = views.reindex(begun["item_id"]).fillna(0)
    assert (views <= 5).mean() > 0.6
    assert views.nlargest(len(views) // 10).sum() > 0.4 * views.sum()


def test_part_of_the_listings_sell(lived: Lived, items: pd.DataFrame) -> None:
    """Auctions that ended; fixed prices after two weeks and more on the shelf."""
    first = pd.Timestamp(lived.config.first_day, tz="UTC")
    begun = items[items["listed_at"] >= first]
    auctions = begun[(begun["sale_type"] == "auction") & begun["closed_at"].notna()]
    assert 0.15 < (auctions["close_reason"] == "sold").mean() < 0.5
    old = begun[(begun["sale_type"] == "fixed") & (begun["listed_at"] < first + pd.Timedelta(days=10))]
    assert 0.1 < (old["close_reason"] == "sold").mean() < 0.4


def test_activity_spending_and_selling_are_unequal(lived: Lived, items: pd.DataFrame) -> None:
    users = source_tables(lived.state)["marketplace.users"]["user_id"]
    events = lived.good["user_id"].value_counts().reindex(users).fillna(0)
    assert 0.5 < share_of_top_fifth(events) < 0.8
    spent = lived.good[lived.good["event_type"] == "purchase"].groupby("user_id")["amount"].sum()
    assert share_of_top_fifth(spent.reindex(users).fillna(0)) > 0.7
    assert 0.5 < share_of_top_fifth(items["seller_id"].value_counts()) < 0.85


def test_clicks_fall_with_the_position_as_a_power_law(lived: Lived) -> None:
    on_page = lived.good[lived.good["surface"] == "recommendation"]
    shown = on_page[on_page["event_type"] == "impression"]["position"].value_counts().sort_index().loc[1:15]
    clicked = on_page[on_page["event_type"] == "view"]["position"].value_counts().reindex(shown.index)
    slope = np.polyfit(np.log(shown.index.astype(float)), np.log(clicked / shown), 1, w=np.sqrt(clicked))[0]
    assert -0.8 < slope < -0.3


def test_offers_are_below_the_price_and_some_are_taken(lived: Lived) -> None:
    offers = lived.good[lived.good["event_type"] == "offer"]
    bought = lived.good[lived.good["event_type"] == "purchase"]
    pairs = set(zip(bought["user_id"], bought["item_id"], bought["amount"], strict=True))
    taken = [
        pair in pairs for pair in zip(offers["user_id"], offers["item_id"], offers["amount"], strict=True)
    ]
    assert 0.2 < np.mean(taken) < 0.6


def test_a_weekend_is_busier_and_seasons_turn(lived: Lived) -> None:
    views = lived.good[lived.good["event_type"] == "view"]
    by_day = views.groupby("event_date").size().iloc[3:]
    weekend = by_day.index.dayofweek >= 5
    assert by_day[weekend].mean() > 1.05 * by_day[~weekend].mean()
