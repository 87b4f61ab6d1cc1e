"""No event is lost: what arrives is either an event or rejected with its reason, on the day it arrived."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recsys import schema
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse
from tests.sql.fixture import Row, put, rows_of

DS = date(2026, 1, 14)
CHAIN = (
    "staging.users",
    "staging.items",
    "staging.arrivals",
    "staging.events",
    "staging.rejected_events",
    "staging.user_item_daily",
)
REASONS = {
    "missing_key",
    "unknown_type",
    "future",
    "late",
    "unknown_user",
    "unknown_item",
    "bad_amount",
    "duplicate",
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def event(event_id: str, when: str, known: str | None = None, **columns: Any) -> Row:
    return {
        "event_id": event_id,
        "event_ts": at(when),
        "ingested_at": at(known or when),
        "user_id": "u1",
        "item_id": "i1",
        **columns,
    }


def arrive(folder: Path, events: list[Row], days: list[date], **settings: Any) -> Warehouse:
    """A warehouse with user u1, item i1 and ``events``, staged for ``days`` in that order."""
    warehouse = open_warehouse(Settings.load({}, warehouse=str(folder), **settings))
    put(warehouse, "marketplace.users", [{"user_id": "u1"}], DS)
    put(warehouse, "marketplace.items", [{"item_id": "i1"}], DS)
    put(warehouse, "marketplace.events", events, DS)
    for day in days:
        for table in CHAIN:
            warehouse.build(table, day)
    return warehouse


def ids(warehouse: Warehouse, table: str, day: date) -> list[str]:
    return [row["event_id"] for row in rows_of(warehouse, table, day)]


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("UTC", "2026-03-30 00:00:00"),
        ("Asia/Tokyo", "2026-03-29 15:00:00"),
        ("Europe/Paris", "2026-03-29 22:00:00"),  # the day the clocks go forward has 23 hours
        ("America/New_York", "2026-03-30 04:00:00"),
    ],
)
def test_a_day_ends_at_the_marketplaces_midnight(zone: str, midnight: str, tmp_path: Path) -> None:
    day = date(2026, 3, 29)
    last = (at(midnight) - timedelta(microseconds=1)).isoformat(" ")[:26]
    warehouse = arrive(
        tmp_path,
        [event("last", last), event("first", midnight)],
        [day, day + timedelta(days=1)],
        timezone=zone,
    )
    assert ids(warehouse, "staging.events", day) == ["last"]
    assert ids(warehouse, "staging.events", day + timedelta(days=1)) == ["first"]
    assert rows_of(warehouse, "staging.events", day)[0]["event_date"] == day


def test_a_late_event_lands_on_the_day_it_arrived_with_its_own_date(tmp_path: Path) -> None:
    days = [DS - timedelta(days=n) for n in (2, 1, 0)]
    warehouse = arrive(tmp_path, [event("slow", "2026-01-12 23:59", "2026-01-14 00:00")], days)
    assert [ids(warehouse, "staging.events", day) for day in days] == [[], [], ["slow"]]
    row = rows_of(warehouse, "staging.user_item_daily", DS)[0]
    assert (row["event_date"], row["views"]) == (date(2026, 1, 12), 1)


@pytest.mark.parametrize(("late_days", "reason"), [(0, "late"), (1, "late"), (2, None), (5, None)])
def test_late_days_is_a_setting(late_days: int, reason: str | None, tmp_path: Path) -> None:
    warehouse = arrive(
        tmp_path, [event("e", "2026-01-12 10:00", "2026-01-14 10:00")], [DS], late_days=late_days
    )
    assert [row["reason"] for row in rows_of(warehouse, "staging.arrivals", DS)] == [reason]


def test_a_copy_on_a_later_day_is_a_duplicate_whatever_day_is_built_first(tmp_path: Path) -> None:
    copies = [event("e", "2026-01-12 10:00", f"2026-01-{day} 10:00") for day in (12, 13, 14)]
    days = [DS - timedelta(days=n) for n in (2, 1, 0)]
    forward = arrive(tmp_path / "forward", copies, days)
    backward = arrive(tmp_path / "backward", copies[::-1], days[::-1])
    for day in days:
        assert rows_of(forward, "staging.arrivals", day) == rows_of(backward, "staging.arrivals", day)
    assert [ids(forward, "staging.events", day) for day in days] == [["e"], [], []]


def test_a_mended_copy_on_a_later_day_counts(tmp_path: Path) -> None:
    events = [
        event("e", "2026-01-13 10:00", event_type="purchase", amount=Decimal("-1")),
        event("e", "2026-01-13 10:00", "2026-01-14 10:00", event_type="purchase", amount=Decimal(1)),
    ]
    warehouse = arrive(tmp_path, events, [DS - timedelta(days=1), DS])
    assert ids(warehouse, "staging.rejected_events", DS - timedelta(days=1)) == ["e"]
    assert ids(warehouse, "staging.events", DS) == ["e"]


def test_copies_that_differ_give_the_same_choice_in_any_order(tmp_path: Path) -> None:
    copies = [event("e", "2026-01-14 10:00", device=device) for device in ("tv", "phone", None, "web")]
    chosen = []
    for n in range(4):
        random.Random(n).shuffle(copies)
        chosen.append(rows_of(arrive(tmp_path / str(n), copies, [DS]), "staging.events", DS))
    assert all(rows == chosen[0] for rows in chosen)


def test_nothing_is_lost(tmp_path: Path) -> None:
    """Random events, good and bad: what arrived on a day = events + rejected of that day, each with one reason."""
    rng = random.Random(7)
    events = []
    for number in range(400):
        event_id = number if number < 250 else rng.randrange(250)  # the rest are copies
        happened = at("2026-01-16 12:00") - timedelta(hours=event_id * 37 % 150)
        known = max(happened, at("2026-01-11 12:00")) + timedelta(hours=rng.choice([0, 0, 1, 30, 80, -40]))
        events.append(
            {
                "event_id": f"e{event_id}",
                "event_ts": happened,
                "ingested_at": known,
                "user_id": rng.choice(["u1", "u1", "u1", "u9", None, ""]),
                "item_id": rng.choice(["i1", "i1", "i1", "i9", None]),
                "event_type": rng.choice([*schema.EVENT_TYPES, "dance"]),
                "amount": rng.choice([None, Decimal(5), Decimal(5), Decimal(-1), Decimal("2e9")]),
                "quantity": rng.choice([None, 1, 0]),
            }
        )
    days = [date(2026, 1, 10) + timedelta(days=n) for n in range(9)]
    warehouse = arrive(tmp_path, events, days)
    seen: set[str] = set()
    reasons: set[str] = set()
    for day in days:
        arrived = [row for row in events if row["ingested_at"].date() == day]
        good, bad = (rows_of(warehouse, f"staging.{name}", day) for name in ("events", "rejected_events"))
        assert len(good) + len(bad) == len(arrived)
        assert not seen & {row["event_id"] for row in good}, "an event counts once, over all days"
        seen |= {row["event_id"] for row in good}
        reasons |= {row["reason"] for row in bad}
    assert seen
    assert reasons == REASONS


def test_text_and_ids_pass_through_unharmed(tmp_path: Path) -> None:
    title = "It's \"new\"\n\t100% — 花瓶 🏺 \\ 'x'; DROP TABLE items; --"
    item, user = "i'1\"; SELECT @ds --%_`", "ユーザー\n1"
    warehouse = open_warehouse(Settings.load({}, warehouse=str(tmp_path)))
    put(warehouse, "marketplace.item_category", [{"category_id": "c1"}], DS)
    put(warehouse, "marketplace.users", [{"user_id": user}], DS)
    put(warehouse, "marketplace.items", [{"item_id": item, "title": title, "brand": title}], DS)
    put(
        warehouse,
        "marketplace.events",
        [{**event("e", "2026-01-14 10:00"), "user_id": user, "item_id": item}],
        DS,
    )
    for table in (*CHAIN, "staging.item_category", "features.item_group", "features.interactions"):
        warehouse.build(table, DS)
    assert [(row["item_id"], row["title"]) for row in rows_of(warehouse, "staging.items", DS)] == [
        (item, title)
    ]
    assert [(row["user_id"], row["item_id"]) for row in rows_of(warehouse, "staging.events", DS)] == [
        (user, item)
    ]
    assert [row["user_id"] for row in rows_of(warehouse, "features.interactions", DS)] == [user]


def test_a_snapshot_keeps_what_was_known_that_day(tmp_path: Path) -> None:
    warehouse = arrive(tmp_path, [], [DS])
    put(warehouse, "marketplace.users", [{"user_id": "u1", "region": "moved"}, {"user_id": "u2"}], DS)
    assert not warehouse.build("staging.users", DS).built
    assert [row["region"] for row in rows_of(warehouse, "staging.users", DS)] == [None]
