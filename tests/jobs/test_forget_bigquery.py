"""Forgetting a person in BigQuery: bound statements over our tables, none over the marketplace's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recsys import schema
from recsys.errors import WarehouseError
from recsys.jobs import forget, migrate
from recsys.settings import Settings
from recsys.warehouse import frames
from recsys.warehouse.bigquery.eraser import BigQueryEraser
from recsys.warehouse.bigquery.names import PARTED
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse
from recsys.warehouse.eraser import Erased
from recsys.warehouse.erasure import FORGOTTEN, REMOVED, Rule, rules
from tests.endpoint import BigQueryEndpoint

PROJECT = "test-project"
DAYS = [date(2026, 1, 5), date(2026, 1, 6)]
AT = datetime(2026, 2, 1, 12, tzinfo=UTC)
USER = "o'neil`; DROP TABLE staging.users; --"
"""An id as hostile as they come: it is a value, and nothing else."""
MOMENT = datetime(2026, 1, 5, 12, tzinfo=UTC)
BLANK = {
    "STRING": "x",
    "INT64": 1,
    "FLOAT64": 0.5,
    "NUMERIC": Decimal("9.5"),
    "BOOL": True,
    "TIMESTAMP": MOMENT,
}
OURS = [rule.table for rule in rules() if not rule.is_source]


@pytest.fixture
def settings(endpoint: BigQueryEndpoint, tmp_path: Path) -> Settings:
    made = Settings.load({}, warehouse=f"bigquery://{PROJECT}/demo_", files=str(tmp_path / "files"))
    migrate.run(made)
    return made


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[BigQueryWarehouse]:
    """Every table that may name a person holds them as buyer and as seller, and someone else, on two days."""
    with BigQueryWarehouse(settings) as opened:
        for name in OURS:
            for day in DAYS:
                if name in PARTED:
                    for part in ("000", "001"):
                        opened.write(name, rows(name, day, part), day, part=part)
                else:
                    opened.write(name, rows(name, day), day)
        for name in ("staging.item_daily", "staging.search_daily"):
            for day in DAYS:
                opened.build(name, day)
        yield opened


def rows(name: str, day: date, part: str = "") -> pa.Table:
    contract = schema.table(name)
    made = []
    for number, (owner, seller) in enumerate([(USER, "else"), ("else", USER), ("other", "else")]):
        row = {c.name: BLANK.get(c.type, day) for c in contract.columns}
        named = {"user_id": owner, "unit_id": owner, "seller_id": seller, contract.partition: day}
        if name == "monitoring.check_results":
            named |= {
                "message": f"for example {owner + ' / i'!r}. Do.",
                "observed": None,
                "check_id": f"c{number}",
            }
        named |= {"reason": None} if name == "staging.arrivals" else {}
        named |= {"event_type": "purchase"} if name != "staging.rejected_events" else {}
        row |= {column: value for column, value in named.items() if column in row}
        unique = {"event_id", "item_id", "campaign_id"} - {*named} if "user_id" not in contract.key else set()
        row |= {column: f"{column}{number}" for column in unique & set(row)}
        if "seller_id" in contract.key:
            row["seller_id"] = owner
        made.append(row | ({"query": "only theirs" if owner == USER else "shoes"} if "query" in row else {}))
    if part:
        made = made[:2] if part == "000" else made[2:]
    return pa.Table.from_pylist(made, schema=frames.arrow_schema(contract))


def texts(warehouse: BigQueryWarehouse, name: str) -> set[str]:
    day = schema.table(name).partition
    found = warehouse.query(f"SELECT * FROM {name} WHERE {day} >= DATE '2026-01-01'", name=name)
    columns = [c for c in found.columns if pa.types.is_string(c.type)]
    return {value for column in columns for value in pc.unique(column).to_pylist() if value}


def names_of(warehouse: BigQueryWarehouse) -> list[str]:
    return [name for name in OURS if any("neil" in text for text in texts(warehouse, name))]


def test_no_table_names_the_person_afterwards(
    settings: Settings, endpoint: BigQueryEndpoint, warehouse: BigQueryWarehouse
) -> None:
    assert names_of(warehouse) == OURS
    before = len(endpoint.jobs)
    done = forget.run(settings, USER, at=AT)
    assert names_of(warehouse) == []
    jobs = [job.configuration["query"] for job in endpoint.jobs[before:]]
    changes = [
        job for job in jobs if job["query"].startswith(("DELETE", "UPDATE")) and "builds" not in job["query"]
    ]
    assert len(changes) >= len(OURS)
    for job in changes:
        assert "neil" not in job["query"], "the id is bound, never written into a statement"
        assert "BETWEEN @first AND @last" in job["query"]
        assert int(job["maximumBytesBilled"]) == 500 * 10**9
        types = {p["name"]: p["parameterType"]["type"] for p in job["queryParameters"]}
        assert types["first"] == types["last"] == "DATE"
        assert set(types.values()) <= {"DATE", "STRING", "ARRAY"}
        assert "demo_marketplace" not in job["query"]
    with warehouse:
        kept = warehouse.read("staging.items", DAYS[0])
        assert sorted(kept["seller_id"]) == ["else", "else", FORGOTTEN]
        assert kept.loc[kept["seller_id"] == FORGOTTEN, "title"].isna().all()
        assert sorted(warehouse.read("scoring.lists", DAYS[1])["user_id"]) == ["else", "other"]
        said = warehouse.read("monitoring.check_results", DAYS[0])["message"].tolist()
        assert said.count(REMOVED) == 1 and len(said) == 3
        assert "only theirs" not in texts(warehouse, "staging.search_daily")
        assert "shoes" in texts(warehouse, "staging.search_daily")
    assert done["partitions rebuilt"] == 2 * len(DAYS)


def test_twice_is_once_and_a_dry_run_counts(
    settings: Settings, endpoint: BigQueryEndpoint, warehouse: BigQueryWarehouse
) -> None:
    told: list[str] = []
    planned = forget.run(settings, USER, at=AT, dry_run=True, tell=told.append)
    assert names_of(warehouse) == OURS
    assert any("bytes read" in line for line in told), "a dry run says what it cost to look"
    done = forget.run(settings, USER, at=AT)
    assert (done["rows removed"], done["rows anonymised"]) == (
        planned["rows removed"],
        planned["rows anonymised"],
    )
    written = dict(endpoint.writes)
    again = forget.run(settings, USER, at=AT)
    assert (again["rows removed"], again["rows anonymised"]) == (0, 0)
    assert dict(endpoint.writes) == written, "no partition is written again when nothing is left"


def test_only_partitions_that_hold_the_person_are_written(
    settings: Settings, endpoint: BigQueryEndpoint, warehouse: BigQueryWarehouse
) -> None:
    later = date(2026, 1, 7)
    table = rows("staging.user_item_daily", later)
    others = table.filter(pc.not_equal(table.column("user_id"), USER))
    warehouse.write("staging.user_item_daily", others, later)
    before = endpoint.writes[("demo_staging.user_item_daily", "20260107")]
    forget.run(settings, USER, at=AT)
    assert endpoint.writes[("demo_staging.user_item_daily", "20260107")] == before
    assert endpoint.writes[("demo_staging.user_item_daily", "20260106")] > 1


def test_what_the_marketplace_still_holds_stops_it(
    settings: Settings, endpoint: BigQueryEndpoint, warehouse: BigQueryWarehouse
) -> None:
    contract = schema.table("marketplace.users")
    person = {"user_id": USER, "registered_at": MOMENT}
    warehouse.write(contract.name, pa.Table.from_pylist([person], schema=frames.arrow_schema(contract)))
    written = dict(endpoint.writes)
    with pytest.raises(WarehouseError, match=r"marketplace\.users \(1 rows\).*--keep-source"):
        forget.run(settings, USER, at=AT)
    assert names_of(warehouse) == OURS
    assert dict(endpoint.writes) == written
    told: list[str] = []
    forget.run(settings, USER, at=AT, keep_source=True, tell=told.append)
    assert any("comes back with the next day" in line for line in told)
    assert names_of(warehouse) == []
    assert len(warehouse.read("marketplace.users")) == 1, "what belongs to another system is not touched"


def test_cut_off_anywhere_it_is_finished_by_running_it_again(
    settings: Settings, warehouse: BigQueryWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase, seen = BigQueryEraser.erase, []

    def dies(self: BigQueryEraser, rule: Rule, dry_run: bool) -> Erased:
        seen.append(rule)
        if len(seen) == len(OURS):
            raise KeyboardInterrupt
        return erase(self, rule, dry_run)

    with monkeypatch.context() as patched:
        patched.setattr(BigQueryEraser, "erase", dies)
        with pytest.raises(KeyboardInterrupt):
            forget.run(settings, USER, at=AT)
    assert "staging.arrivals" in names_of(warehouse), "the last to go, so that the days are still known"
    forget.run(settings, USER, at=AT)
    assert names_of(warehouse) == []
    assert "only theirs" not in texts(warehouse, "staging.search_daily")
