"""The marketplace that is measured is a valid one, and the same bytes every time."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from bench.generate import SEED, write_catalogue, write_events
from bench.market import LAST_DAY, Market, Size, make_market
from recsys.schema import SOURCES
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

TINY = Size("tiny", users=300, listings=2_000, events=90_000)
DAYS = [LAST_DAY - timedelta(days=back) for back in (1, 0)]


def _write(root: Path) -> tuple[Settings, Market]:
    settings = Settings.load({}, warehouse=str(root))
    market = make_market(TINY, SEED)
    write_catalogue(settings, market)
    write_events(settings, market, DAYS)
    return settings, market


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Market]:
    return _write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def warehouse(tiny: tuple[Settings, Market]) -> Warehouse:
    return open_warehouse(tiny[0])


def test_every_source_table_is_there_and_keeps_its_contract(warehouse: Warehouse) -> None:
    for table in SOURCES:
        if not table.name.startswith("marketplace.campaign"):
            rows = warehouse.read(table.name, LAST_DAY if table.partition else None)
            assert len(rows) > 0
            assert list(rows.columns) == table.column_names


def test_the_shelf_has_the_size_asked_for(warehouse: Warehouse) -> None:
    items = warehouse.read("marketplace.items")
    assert items["closed_at"].isna().sum() == TINY.listings


def test_a_listing_is_sold_once_at_the_time_it_closes_and_not_to_its_seller(warehouse: Warehouse) -> None:
    events = warehouse.read("marketplace.events", DAYS[-1], start=DAYS[0])
    sold = events[events["event_type"] == "purchase"].drop_duplicates("event_id")
    sold = sold.merge(warehouse.read("marketplace.items"), on="item_id", suffixes=("", "_of_item"))
    assert len(sold) > 0
    assert sold["item_id"].is_unique
    assert (sold["event_ts"] == sold["closed_at"]).all()
    assert (sold["close_reason"] == "sold").all()
    assert (sold["user_id"] != sold["seller_id_of_item"]).all()


def test_staging_accepts_nearly_all_of_a_day(tiny: tuple[Settings, Market]) -> None:
    warehouse = open_warehouse(tiny[0])
    for table in ("staging.users", "staging.items", "staging.arrivals"):
        warehouse.build(table, LAST_DAY)
    reasons = warehouse.read("staging.arrivals", LAST_DAY)["reason"]
    assert reasons.isna().mean() > 0.99
    assert set(reasons.dropna()) <= {"duplicate", "unknown_item", "late"}


def test_the_same_seed_gives_the_same_bytes(tiny: tuple[Settings, Market], tmp_path: Path) -> None:
    again, _ = _write(tmp_path / "again")
    first = Path(tiny[0].warehouse)
    files = sorted(path.relative_to(first) for path in (first / "marketplace").rglob("*.parquet"))
    assert len(files) == 5 + len(DAYS)
    for file in files:
        digests = {
            hashlib.sha256((root / file).read_bytes()).hexdigest() for root in (first, Path(again.warehouse))
        }
        assert len(digests) == 1, file
