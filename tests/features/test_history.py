"""The frames of a past day know nothing of the days after it, and mean what the feature tables mean."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from recsys.features.history import DAILY, frames_as_of
from recsys.ranking.shop import ShopData


def daily(rows: list[tuple[str, str, str, int, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "event_date", "purchases", "revenue"])
    frame["event_date"] = pd.to_datetime(frame["event_date"])
    return frame.assign(views=0, likes=0, carts=0, quantity=frame["purchases"])[list(DAILY)]


ITEMS = pd.DataFrame(
    {
        "item_id": ["a", "b"],
        "seller_id": "s",
        "category_id": "c",
        "price": [1.0, 10.0],
        "take_rate": 1.0,
        "listed_at": pd.to_datetime(["2026-01-01", "2026-01-20"]),
        "closed_on": pd.to_datetime([None, None]),
    }
)
USERS = pd.DataFrame({"user_id": ["u", "v"], "region": ["north", None]})
ROWS = [
    ("u", "a", "2026-01-01", 1, 4.0),
    ("u", "a", "2026-01-11", 2, 6.0),
    ("u", "b", "2026-01-25", 1, 9.0),
    ("v", "b", "2026-01-30", 1, 9.0),
]


def test_later_days_change_nothing() -> None:
    day = date(2026, 1, 15)
    whole, past = (frames_as_of(daily(rows), ITEMS, USERS, day) for rows in (ROWS, ROWS[:2]))
    for name, frame in whole.items():
        pd.testing.assert_frame_equal(frame, past[name])


def test_interactions_count_days_and_decay() -> None:
    row = frames_as_of(daily(ROWS), ITEMS, USERS, date(2026, 1, 31))["interactions"].iloc[0]
    assert (row["user_id"], row["group_id"], row["purchase_days"], row["purchases"]) == ("u", "a", 2, 3)
    assert row["weight"] == pytest.approx(8 * 0.5**1 + 16 * 0.5 ** (20 / 30))
    assert row["revenue"] == 10.0


def test_the_shelf_holds_what_was_listed_by_then() -> None:
    frames = frames_as_of(daily(ROWS), ITEMS, USERS, date(2026, 1, 15))
    assert frames["items"]["item_id"].tolist() == ["a"]
    assert frames["users"]["order_days"].tolist() == [2]


def test_what_was_closed_since_is_on_the_shelf_of_the_day() -> None:
    closed = ITEMS.assign(closed_on=pd.to_datetime(["2026-01-16", None]))
    for day, shelf in ((15, ["a"]), (16, []), (31, ["b"])):
        assert (
            frames_as_of(daily(ROWS), closed, USERS, date(2026, 1, day))["items"]["item_id"].tolist() == shelf
        )


def test_a_past_day_is_priced_by_what_was_paid_until_then() -> None:
    data = ShopData(daily(ROWS), ITEMS, USERS)
    assert data.priced_on(date(2026, 1, 10)).items["price"].tolist() == [4.0, 10.0]
    assert data.priced_on(date(2026, 1, 31)).items["price"].tolist() == [3.5, 9.0]


def test_an_audience_is_kept_even_if_it_never_acted() -> None:
    audience = pd.Index(["u", "stranger"], dtype=object)
    users = frames_as_of(daily(ROWS), ITEMS, USERS, date(2026, 1, 31), audience)["users"]
    assert users["user_id"].tolist() == ["u", "stranger"]
    assert users["is_new"].tolist() == [False, True]
    assert users["order_days"].tolist() == [3, 0]
