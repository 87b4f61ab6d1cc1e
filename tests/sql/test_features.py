"""What the fixtures are too small to show: bounds, young marketplaces, shops, zones, and days built again later."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse
from tests.sql.fixture import Row, put, rows_of

DS = date(2026, 1, 14)


def warehouse_with(folder: Path, given: dict[str, list[Row]], **settings: Any) -> Warehouse:
    warehouse = open_warehouse(Settings.load({}, warehouse=str(folder), **settings))
    for table, rows in given.items():
        put(warehouse, table, rows, DS)
        if rows and not warehouse.exists(table, DS):  # a day on which nothing happened
            put(warehouse, table, [], DS)
    return warehouse


def built(folder: Path, table: str, given: dict[str, list[Row]], **settings: Any) -> list[Row]:
    warehouse = warehouse_with(folder, given, **settings)
    warehouse.build(table, DS)
    return rows_of(warehouse, table, DS)


def ago(days: int) -> date:
    return DS - timedelta(days=days)


def test_in_a_shop_the_group_is_the_item(tmp_path: Path) -> None:
    given = {
        "staging.items": [{"item_id": "i1", "brand": "a"}, {"item_id": "i2", "brand": "a"}],
        "staging.item_category": [],
    }
    rows = built(tmp_path, "features.item_group", given, item_unit="item")
    assert [row["group_id"] for row in rows] == ["i1", "i2"]


@pytest.mark.parametrize(
    ("price", "band"),
    [("0.01", 0), ("4.99", 0), ("5", 1), ("10", 2), ("639.99", 7), ("640", 8), ("1279.99", 8), ("1280", 9)],
)
def test_a_price_band_begins_at_its_lower_price(price: str, band: int, tmp_path: Path) -> None:
    given = {"staging.items": [{"item_id": "i1", "price": Decimal(price)}], "staging.item_category": []}
    assert built(tmp_path, "features.item_group", given)[0]["price_band"] == band


def test_users_count_through_their_heaviest_groups_only(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"user_id": user, "group_id": f"g{number:02}", "weight": float(100 - number), "views": 1}
        for user in ("u1", "u2")
        for number in range(30)
    ]
    pairs = built(tmp_path, "features.item_cooccurrence", {"features.interactions": rows})
    assert {row["group_id"] for row in pairs} == {f"g{number:02}" for number in range(20)}
    assert len(pairs) == 20 * 19


def test_a_group_keeps_its_fifty_nearest_in_order(tmp_path: Path) -> None:
    """70 groups, each bought together with 'hub' by its own two users: all equally near, so ids decide."""
    rows: list[Row] = []
    for number in range(70):
        for user in (f"u{number}a", f"u{number}b"):
            rows += [
                {"user_id": user, "group_id": group, "purchases": 1} for group in ("hub", f"g{number:02}")
            ]
    pairs = built(tmp_path, "features.item_cooccurrence", {"features.interactions": rows})
    of_hub = sorted((row["rank"], row["other_group_id"]) for row in pairs if row["group_id"] == "hub")
    assert of_hub == [(number + 1, f"g{number:02}") for number in range(50)]


@pytest.mark.parametrize(
    ("age", "trend", "seasonal"), [(0, 1.0, 1.0), (5, 1.0, 1.0), (6, 1.0, (14 + 3) / (2 + 3))]
)
def test_a_young_marketplace_is_as_usual(age: int, trend: float, seasonal: float, tmp_path: Path) -> None:
    given = {
        "features.item_group": [{"item_id": "i1", "category_id": "x"}],
        "staging.item_daily": [{"item_id": "i1", "event_date": ago(age), "ds": ago(age), "purchases": 14}],
    }
    row = built(tmp_path, "features.category_trend", given)[0]
    assert (row["trend"], row["seasonal_index"]) == pytest.approx((trend, seasonal))


def test_even_sales_have_neither_trend_nor_season(tmp_path: Path) -> None:
    for days in (8, 13, 20, 35):
        given = {
            "features.item_group": [{"item_id": "i1", "category_id": "x"}],
            "staging.item_daily": [
                {"item_id": "i1", "event_date": ago(n), "ds": ago(n), "purchases": 10} for n in range(days)
            ],
        }
        row = built(tmp_path / str(days), "features.category_trend", given)[0]
        assert (row["trend"], row["seasonal_index"]) == pytest.approx((1.0, 1.0))


def test_a_shop_that_logs_no_views_has_rates_within_one(tmp_path: Path) -> None:
    given = {
        "staging.items": [{"item_id": "i1"}, {"item_id": "i2"}],
        "features.item_group": [{"item_id": "i1"}, {"item_id": "i2"}],
        "staging.item_daily": [{"item_id": "i1", "event_date": DS, "purchases": 40}],
        "staging.item_shown_daily": [],
    }
    for row in built(tmp_path, "features.item_daily", given):
        assert 0 <= row["purchase_rate"] <= 1
        assert row["click_rate"] == 0


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 23), ("Asia/Tokyo", 8), ("America/New_York", 18)])
def test_hours_are_the_marketplaces(zone: str, hour: int, tmp_path: Path) -> None:
    given = {
        "staging.users": [{"user_id": "u1"}],
        "features.item_group": [],
        "staging.user_item_daily": [
            {
                "user_id": "u1",
                "item_id": "i1",
                "event_date": DS,
                "last_ts": datetime(2026, 1, 13, 23, 30, tzinfo=UTC),
            }
        ],
    }
    assert built(tmp_path, "features.user_daily", given, timezone=zone)[0]["top_hour"] == hour


def test_weekdays_run_from_monday_to_sunday(tmp_path: Path) -> None:
    given = {
        "staging.users": [{"user_id": f"u{n}"} for n in range(80)],
        "features.item_group": [],
        "staging.user_item_daily": [
            {"user_id": f"u{n}", "item_id": "i1", "event_date": ago(n), "ds": ago(n)} for n in range(80)
        ],
    }
    for row in built(tmp_path, "features.user_daily", given):
        day = ago(int(row["user_id"][1:]))
        assert row["top_weekday"] == day.isoweekday()
        assert row["weekend_share"] == (day.isoweekday() >= 6)


@pytest.mark.parametrize(
    ("active_days", "users"), [(7, ["u0"]), (8, ["u0", "u7"]), (120, ["u0", "u119", "u7"])]
)
def test_active_days_decides_who_gets_a_row(active_days: int, users: list[str], tmp_path: Path) -> None:
    given = {
        "staging.users": [
            {"user_id": f"u{n}", "registered_at": datetime(2020, 1, 1, tzinfo=UTC)} for n in (0, 7, 119, 120)
        ],
        "features.item_group": [],
        "staging.user_item_daily": [
            {"user_id": f"u{n}", "item_id": "i1", "event_date": ago(n), "ds": ago(n)}
            for n in (0, 7, 119, 120)
        ],
    }
    rows = built(tmp_path, "features.user_daily", given, active_days=active_days)
    assert [row["user_id"] for row in rows] == users


def test_the_shelf_of_a_past_day_does_not_know_the_future(tmp_path: Path) -> None:
    """Taken on the evening itself, or a week later from sources that have moved on: the same shelf."""
    listed, sold = datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 1, 16, tzinfo=UTC)
    then: list[Row] = [{"item_id": "i1", "listed_at": listed}, {"item_id": "i2", "listed_at": listed}]
    later: list[Row] = [
        {"item_id": "i1", "listed_at": listed, "stock": 0, "closed_at": sold, "close_reason": "sold"},
        {"item_id": "i2", "listed_at": listed},
        {"item_id": "i3", "listed_at": sold},
    ]
    cheaper: list[Row] = [{"item_id": "i2", "changed_at": sold, "price": 1}]
    evening = built(tmp_path / "a", "staging.items", {"marketplace.items": then})
    afterwards = built(
        tmp_path / "b", "staging.items", {"marketplace.items": later, "marketplace.price_changes": cheaper}
    )
    assert evening == afterwards


def test_a_window_reads_nothing_that_became_known_later(tmp_path: Path) -> None:
    """Rows of a later partition that carry an earlier date leave the features of ds as they were."""
    rows: list[Row] = [{"user_id": "u1", "item_id": "i1", "event_date": DS, "views": 1, "ds": DS}]
    known_later: list[Row] = [
        {"user_id": "u1", "item_id": "i1", "event_date": DS, "views": 9, "ds": DS + timedelta(days=1)}
    ]
    groups: list[Row] = [{"item_id": "i1", "group_id": "A"}]
    given = {"features.item_group": groups, "staging.user_item_daily": rows}
    before = built(tmp_path / "a", "features.interactions", given)
    after = built(
        tmp_path / "b", "features.interactions", {**given, "staging.user_item_daily": rows + known_later}
    )
    assert before == after
    assert before[0]["views"] == 1
