"""Which columns and partitions a SELECT reads, and how many bytes that is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys import schema
from recsys.errors import SqlError, WarehouseError
from recsys.settings import Settings
from recsys.warehouse.frames import arrow_schema
from recsys.warehouse.layout import Layout
from recsys.warehouse.local import LocalWarehouse
from recsys.warehouse.scan import Read, bytes_billed, bytes_by_table, bytes_read, scan
from recsys.warehouse.sizes import FileSizes

DS = date(2026, 1, 14)
DAYS = [date(2026, 1, day) for day in range(10, 19)]
PARAMS = {"ds": DS, "timezone": "UTC", "days": 3}


def one(sql: str, **more: object) -> Read:
    (read,) = scan(sql, PARAMS | more)
    return read


def kept(read: Read) -> list[int]:
    return [day.day for day in DAYS if read.holds(day)]


@pytest.mark.parametrize(
    ("where", "days"),
    [
        ("ds = @ds", [14]),
        ("@ds = ds", [14]),
        ("ds = '2026-01-12'", [12]),
        ("ds IN (@ds, DATE '2026-01-10')", [10, 14]),
        ("ds BETWEEN DATE_SUB(@ds, INTERVAL @days - 1 DAY) AND @ds", [12, 13, 14]),
        ("ds > DATE_SUB(@ds, INTERVAL 2 DAY) AND ds <= @ds AND region = 'north'", [13, 14]),
        ("(ds = @ds OR ds = DATE_SUB(@ds, INTERVAL 1 DAY))", [13, 14]),
        ("@ds >= ds AND DATE '2026-01-13' < ds", [14]),
    ],
)
def test_a_filter_of_constants_prunes(where: str, days: list[int]) -> None:
    read = one(f"SELECT user_id FROM staging.users WHERE {where}")
    assert kept(read) == days
    assert read.is_bounded


@pytest.mark.parametrize(
    "where",
    [
        "TRUE",
        "ds <> @ds",
        "ds = @ds OR region = 'north'",
        "NOT ds < @ds",
        "DATE_ADD(ds, INTERVAL 1 DAY) = @ds",
        "ds = DATE(registered_at, @timezone)",
        "ds = (SELECT MAX(report_date) FROM marketplace.campaign_daily WHERE report_date = @ds)",
        "ds IN (SELECT report_date FROM marketplace.campaign_daily WHERE report_date = @ds)",
        "EXTRACT(DAY FROM ds) = 14",
        "ds IS NOT NULL",
    ],
)
def test_anything_else_reads_every_partition(where: str) -> None:
    read = next(
        r for r in scan(f"SELECT user_id FROM staging.users WHERE {where}", PARAMS) if "users" in r.table.name
    )
    assert kept(read) == [day.day for day in DAYS]
    assert not read.is_bounded


def test_a_value_from_a_join_does_not_prune() -> None:
    read = one(
        """WITH day AS (SELECT @ds AS last) SELECT users.user_id FROM staging.users AS users
        INNER JOIN day ON users.ds = day.last"""
    )
    assert not read.is_bounded


def test_a_filter_outside_a_subquery_does_not_reach_in() -> None:
    assert not one("SELECT user_id FROM (SELECT user_id, ds FROM staging.users) WHERE ds = @ds").is_bounded
    assert one("SELECT user_id FROM (SELECT user_id, ds FROM staging.users WHERE ds = @ds)").is_bounded


@pytest.mark.parametrize(
    ("join", "condition", "left", "right"),
    [
        ("INNER", "a.ds = @ds AND b.ds = @ds", True, True),
        ("LEFT", "a.ds = @ds AND b.ds = @ds", False, True),
        ("RIGHT", "a.ds = @ds AND b.ds = @ds", True, False),
        ("FULL", "a.ds = @ds AND b.ds = @ds", False, False),
    ],
)
def test_a_join_condition_prunes_only_what_it_can_drop(
    join: str, condition: str, left: bool, right: bool
) -> None:
    reads = scan(
        f"SELECT a.user_id FROM staging.users AS a {join} JOIN staging.sellers AS b "
        f"ON a.user_id = b.seller_id AND {condition}",
        PARAMS,
    )
    assert {read.table.name: read.is_bounded for read in reads} == {
        "staging.users": left,
        "staging.sellers": right,
    }


def test_where_prunes_behind_an_outer_join_unless_null_passes() -> None:
    joined = (
        "SELECT a.user_id FROM staging.users AS a LEFT JOIN marketplace.items AS b ON a.user_id = b.seller_id"
    )
    reads = scan(f"{joined} WHERE a.ds = @ds AND b.closed_at > TIMESTAMP(@ds, @timezone)", PARAMS)
    assert all(read.is_bounded for read in reads)
    items = scan(f"{joined} WHERE a.ds = @ds AND b.closed_at IS NULL", PARAMS)[1]
    assert items.table.name == "marketplace.items"
    assert not items.is_bounded, "IS NULL may speak of the row that the join made up"


def test_a_divided_table_has_a_partition_of_null() -> None:
    read = one(
        """SELECT item_id FROM marketplace.items
        WHERE closed_at IS NULL OR closed_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL 1 DAY), @timezone)"""
    )
    assert kept(read) == [13, 14, 15, 16, 17, 18]
    assert read.holds(None)
    assert not one("SELECT item_id FROM marketplace.items WHERE closed_at < TIMESTAMP(@ds, @timezone)").holds(
        None
    )


def test_a_day_in_another_zone_touches_two_partitions() -> None:
    read = one(
        """SELECT item_id FROM marketplace.items WHERE closed_at >= TIMESTAMP(@ds, @timezone)
        AND closed_at < TIMESTAMP(DATE_ADD(@ds, INTERVAL 1 DAY), @timezone)""",
        timezone="America/New_York",
    )
    assert kept(read) == [14, 15]


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT COUNT(*) AS n FROM marketplace.users", []),
        (
            "SELECT * EXCEPT (gender, region) FROM marketplace.users",
            ["birth_year", "registered_at", "user_id"],
        ),
        ("WITH a AS (SELECT * FROM marketplace.users) SELECT region FROM a", ["region"]),
        (
            "WITH a AS (SELECT * FROM marketplace.users), b AS (SELECT *, 1 AS one FROM a) SELECT one FROM b",
            [],
        ),
        (
            "SELECT region FROM marketplace.users WHERE gender = 'f' ORDER BY birth_year",
            ["birth_year", "gender", "region"],
        ),
        ("SELECT DISTINCT region FROM marketplace.users", ["region"]),
        (
            "WITH a AS (SELECT DISTINCT user_id, region FROM marketplace.users) SELECT region FROM a",
            ["region", "user_id"],
        ),
        (
            "SELECT u.region FROM marketplace.users AS u QUALIFY ROW_NUMBER() OVER (ORDER BY u.user_id) = 1",
            ["region", "user_id"],
        ),
    ],
)
def test_only_columns_that_are_used_are_read(sql: str, columns: list[str]) -> None:
    assert list(one(sql).columns) == columns


def test_names_may_be_those_of_a_project() -> None:
    contract = schema.table("staging.users")
    (read,) = scan("SELECT region FROM `p-1.demo_staging.users`", tables={"p-1.demo_staging.users": contract})
    assert read.table == contract
    with pytest.raises(SqlError, match="there is no table staging"):
        scan("SELECT region FROM staging.users", tables={})
    with pytest.raises(SqlError, match="no SELECT"):
        scan("DELETE FROM staging.users WHERE TRUE")


@pytest.fixture
def warehouse(tmp_path: Path) -> LocalWarehouse:
    return LocalWarehouse(Settings.load({}, warehouse=str(tmp_path)))


def put(warehouse: LocalWarehouse, name: str, rows: list[dict[str, object]], day: date | None = None) -> None:
    warehouse.write(name, pa.Table.from_pylist(rows, schema=arrow_schema(schema.table(name))), day)


def at(day: int) -> datetime:
    return datetime(2026, 1, day, 10, tzinfo=UTC)


def test_bytes_are_bigquerys_logical_bytes(warehouse: LocalWarehouse) -> None:
    known = {"registered_at": at(1), "ds": DS}
    put(
        warehouse,
        "staging.users",
        [
            {"user_id": "u1", "birth_year": 1990, "region": "Zürich", **known},
            {"user_id": "u22", "birth_year": None, "region": None, **known},
        ],
        DS,
    )
    sizes = FileSizes(Layout(warehouse.root))

    def read(columns: str) -> int:
        return bytes_read(scan(f"SELECT {columns} FROM staging.users", PARAMS), sizes)

    assert read("user_id") == (2 + 2) + (2 + 3)
    assert read("region") == 2 + 7, "ü is two bytes; NULL is none"
    assert read("birth_year") == 8
    assert read("registered_at") == read("ds") == 16
    assert read("COUNT(*) AS n") == 0


def test_bytes_of_a_divided_table_follow_its_filter(warehouse: LocalWarehouse) -> None:
    usual = {"seller_id": "s", "category_id": "c", "price": Decimal(1), "take_rate": 0.1, "stock": 1}
    usual |= {"sale_type": "fixed", "listed_at": at(1)}
    closed = [None, None, at(10), at(13), at(14)]
    put(
        warehouse,
        "marketplace.items",
        [usual | {"item_id": f"i{n}", "closed_at": c} for n, c in enumerate(closed)],
    )
    sizes = FileSizes(Layout(warehouse.root))

    def read(where: str) -> int:
        return bytes_read(scan(f"SELECT item_id FROM marketplace.items WHERE {where}", PARAMS), sizes)

    assert read("TRUE") == 5 * 4
    assert read("closed_at IS NULL") == 2 * 4
    assert read("closed_at >= TIMESTAMP(DATE_SUB(@ds, INTERVAL 1 DAY), @timezone)") == 2 * 4 + 2 * 8
    assert read("closed_at < TIMESTAMP(@ds, @timezone)") == 2 * 4 + 2 * 8
    assert read("closed_at < TIMESTAMP '2026-01-01 00:00:00 UTC'") == 0


def test_only_partitions_that_are_left_count_and_each_once(warehouse: LocalWarehouse) -> None:
    for day in (12, 13, 14):
        rows = [{"seller_id": f"s{n}", "registered_at": at(1), "ds": date(2026, 1, day)} for n in range(day)]
        put(warehouse, "staging.sellers", rows, date(2026, 1, day))
    sizes = FileSizes(Layout(warehouse.root))
    today = "(SELECT COUNT(registered_at) FROM staging.sellers WHERE ds = @ds)"
    both = "(SELECT COUNT(registered_at) FROM staging.sellers WHERE ds >= DATE_SUB(@ds, INTERVAL 1 DAY))"
    assert bytes_read(scan(f"SELECT {today} AS n", PARAMS), sizes) == 14 * 16
    assert bytes_read(scan(f"SELECT {both} AS n", PARAMS), sizes) == 27 * 16
    assert bytes_read(scan(f"SELECT {today} AS n, {both} AS m", PARAMS), sizes) == 27 * 16
    rewritten = [{"seller_id": "s", "registered_at": at(1), "ds": DS}]
    put(warehouse, "staging.sellers", rewritten, DS)
    assert bytes_read(scan(f"SELECT {today} AS n", PARAMS), sizes) == 16, "a replaced file is measured again"


def test_an_absent_table_is_nothing_and_billing_has_a_floor(warehouse: LocalWarehouse) -> None:
    sizes = FileSizes(Layout(warehouse.root))
    by_table = bytes_by_table(scan("SELECT * FROM marketplace.price_changes", PARAMS), sizes)
    assert by_table == {"marketplace.price_changes": 0}
    assert bytes_billed(by_table) == 10 * 2**20
    assert bytes_billed({"a": 1, "b": 30 * 2**20 + 1}) == 41 * 2**20


def test_a_file_that_lacks_a_column_is_named(warehouse: LocalWarehouse) -> None:
    contract = schema.table("staging.sellers")
    path = Layout(warehouse.root).path(contract, DS)
    path.parent.mkdir(parents=True)
    rows = [{"registered_at": at(1), "ds": DS}]
    pq.write_table(
        pa.Table.from_pylist(rows, schema=arrow_schema(contract)).drop(["seller_id", "rating"]), path
    )
    for column in ("seller_id", "rating"):
        with pytest.raises(WarehouseError, match=rf"{path.name}.*lacks a column.*recsys migrate"):
            bytes_read(
                scan(f"SELECT {column} FROM staging.sellers", PARAMS), FileSizes(Layout(warehouse.root))
            )
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(WarehouseError, match="damaged"):
        bytes_read(
            scan("SELECT registered_at FROM staging.sellers", PARAMS), FileSizes(Layout(warehouse.root))
        )


def test_nulls_are_counted_where_the_footer_does_not_tell(warehouse: LocalWarehouse) -> None:
    contract = schema.table("staging.sellers")
    path = Layout(warehouse.root).path(contract, DS)
    path.parent.mkdir(parents=True)
    rows = [
        {"seller_id": f"s{n}", "registered_at": at(1), "rating": r, "ds": DS}
        for n, r in enumerate((None, 4.5))
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(contract)), path, write_statistics=False)
    assert (
        bytes_read(scan("SELECT rating FROM staging.sellers", PARAMS), FileSizes(Layout(warehouse.root))) == 8
    )
