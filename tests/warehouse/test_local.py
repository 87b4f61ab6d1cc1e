"""Reading, writing and querying a local warehouse."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.errors import ContractError, SettingsError, SqlError, WarehouseError
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse
from tests.warehouse.conftest import DAY, USERS_SQL, users

NEXT = DAY + dt.timedelta(days=1)


def exposures(*units: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "experiment_id": "e",
            "unit_id": list(units),
            "arm": "control",
            "first_exposed_at": pd.Timestamp("2026-01-05 10:00", tz="UTC"),
            "impressions": 3,
        }
    )


def events(ds: dt.date, *ids: str) -> pd.DataFrame:
    frame = pd.DataFrame({"event_id": list(ids), "event_type": "view", "amount": 1.25})
    for column in ("event_ts", "ingested_at"):
        frame[column] = pd.Timestamp(ds, tz="UTC")
    for column in (
        "user_id",
        "session_id",
        "item_id",
        "seller_id",
        "query",
        "surface",
        "device",
        "request_id",
    ):
        frame[column] = None
    return frame.assign(quantity=None, position=None, propensity=None)


def test_another_kind_of_warehouse_is_a_clear_error() -> None:
    with pytest.raises(WarehouseError, match=r"s3://p/x.*set it to a folder"):
        open_warehouse(Settings.load({}, warehouse="s3://p/x"))


def test_memory_that_is_no_size(tmp_path: Path) -> None:
    warehouse = open_warehouse(Settings.load({"RECSYS_MEMORY": "much"}, warehouse=str(tmp_path)))
    with pytest.raises(SettingsError, match="RECSYS_MEMORY is 'much'"):
        warehouse.query("SELECT 1 AS x")


def test_a_process_with_many_warehouses_can_fork(tmp_path: Path) -> None:
    opened = []
    for number in range(4):
        warehouse = open_warehouse(Settings(warehouse=str(tmp_path / f"w{number}")))
        warehouse.query("SELECT 1 AS one")
        opened.append(warehouse)
    # What runs before the program is what makes Python fork rather than start the program at once.
    subprocess.run([sys.executable, "-c", ""], check=True, preexec_fn=os.getpid)
    assert len(opened) == 4


def test_types_that_come_out(warehouse: Warehouse) -> None:
    warehouse.write("marketplace.events", events(DAY, "b", "a"), DAY)
    frame = warehouse.read("marketplace.events", DAY)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "event_id": "str",
        "event_ts": "datetime64[us, UTC]",
        "event_date": "datetime64[s]",
        "ingested_at": "datetime64[us, UTC]",
        "user_id": "str",
        "session_id": "str",
        "event_type": "str",
        "item_id": "str",
        "seller_id": "str",
        "query": "str",
        "amount": "float64",
        "quantity": "float64",
        "surface": "str",
        "device": "str",
        "request_id": "str",
        "position": "float64",
        "propensity": "float64",
    }
    assert frame["event_id"].tolist() == ["a", "b"]
    assert frame["event_date"].dt.date.tolist() == [DAY, DAY]
    arrow = warehouse.query("SELECT amount, event_date, COUNT(*) AS n FROM marketplace.events GROUP BY 1, 2")
    assert arrow.to_pylist() == [{"amount": Decimal("1.250000000"), "event_date": DAY, "n": 2}]


def test_read_write_read_is_the_same_file(warehouse: Warehouse) -> None:
    warehouse.write("marketplace.events", events(DAY, "b", "a"), DAY)
    path = Path(warehouse.location("marketplace.events", DAY))
    before = path.read_bytes()
    warehouse.write("marketplace.events", warehouse.read("marketplace.events", DAY), DAY)
    assert path.read_bytes() == before


def test_arrow_is_written_too(warehouse: Warehouse) -> None:
    table = pa.Table.from_pandas(exposures("u"), preserve_index=False)
    assert warehouse.write("experiments.exposures", table, DAY) == 1


def test_an_empty_partition_is_there(warehouse: Warehouse) -> None:
    assert not warehouse.exists("experiments.exposures", DAY)
    warehouse.write("experiments.exposures", exposures(), DAY)
    assert warehouse.exists("experiments.exposures", DAY)
    frame = warehouse.read("experiments.exposures", DAY)
    assert len(frame) == 0
    assert str(frame["first_exposed_at"].dtype) == "datetime64[us, UTC]"


def test_partitions_ranges_and_drop(warehouse: Warehouse) -> None:
    for ds in (NEXT, DAY):
        warehouse.write("experiments.exposures", exposures("u", "v"), ds)
    assert warehouse.partitions("experiments.exposures") == [DAY, NEXT]
    assert warehouse.exists("experiments.exposures")
    both = warehouse.read(
        "experiments.exposures", NEXT, columns=["unit_id", "ds"], start=DAY - dt.timedelta(days=9)
    )
    assert both["ds"].dt.date.tolist() == [DAY, DAY, NEXT, NEXT]
    assert list(both.columns) == ["unit_id", "ds"]
    warehouse.drop("experiments.exposures", DAY)
    warehouse.drop("experiments.exposures", DAY)
    assert warehouse.partitions("experiments.exposures") == [NEXT]


def test_parts_are_one_partition(warehouse: Warehouse) -> None:
    warehouse.write("experiments.exposures", exposures("b"), DAY, part="001")
    warehouse.write("experiments.exposures", exposures("a"), DAY, part="000")
    assert warehouse.read("experiments.exposures", DAY)["unit_id"].tolist() == ["a", "b"]
    warehouse.write("experiments.exposures", exposures("c"), DAY, part="001")
    assert warehouse.read("experiments.exposures", DAY)["unit_id"].tolist() == ["a", "c"]
    warehouse.write("experiments.exposures", exposures("d"), DAY)
    assert warehouse.read("experiments.exposures", DAY)["unit_id"].tolist() == ["d"]
    warehouse.write("experiments.exposures", exposures("e"), DAY, part="000")
    assert warehouse.read("experiments.exposures", DAY)["unit_id"].tolist() == ["e"]
    warehouse.drop("experiments.exposures", DAY)
    assert not warehouse.exists("experiments.exposures", DAY)


@pytest.mark.parametrize("part", ["", "a/b", "..", "a.b", "x" * 65])
def test_a_part_is_a_plain_name(warehouse: Warehouse, part: str) -> None:
    with pytest.raises(WarehouseError, match="letters, digits"):
        warehouse.write("experiments.exposures", exposures("b"), DAY, part=part)


@pytest.mark.parametrize(
    "name", ["staging.nothing", "../escape", "staging/events", "staging.events; DROP TABLE x", ""]
)
def test_only_tables_with_a_contract_have_a_path(warehouse: Warehouse, name: str) -> None:
    for call in (warehouse.read, warehouse.exists, warehouse.partitions, warehouse.drop, warehouse.location):
        with pytest.raises(ContractError, match="Known tables"):
            call(name)


def test_a_day_is_needed_and_is_a_date(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="say which day"):
        warehouse.read("experiments.exposures")
    with pytest.raises(WarehouseError, match=r"give a datetime\.date"):
        warehouse.write("experiments.exposures", exposures("u"), dt.datetime(2026, 1, 5))


@pytest.mark.parametrize(
    ("table", "remedy"),
    [
        ("features.user_daily", "`recsys build features.user_daily --ds 2026-01-05`"),
        ("scoring.lists", "`recsys score --ds 2026-01-05`"),
        ("marketplace.events", "`recsys import DIR` or `recsys simulate --ds 2026-01-05`"),
    ],
)
def test_a_missing_partition_names_the_command(warehouse: Warehouse, table: str, remedy: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        warehouse.read(table, DAY)
    assert remedy in str(caught.value)
    assert f"{table} has no partition 2026-01-05" in str(caught.value)
    assert "ds=2026-01-05.parquet" in str(caught.value)


def test_an_unknown_column_is_named(warehouse: Warehouse) -> None:
    with pytest.raises(ContractError, match=r"no column nothing\. It has user_id"):
        warehouse.read("marketplace.users", columns=["nothing"])


def test_a_damaged_file_is_named(warehouse: Warehouse) -> None:
    warehouse.write("marketplace.users", users("a"))
    Path(warehouse.location("marketplace.users")).write_bytes(b"half a fi")
    with pytest.raises(WarehouseError, match=r"is damaged or lacks a column.*recsys import DIR"):
        warehouse.read("marketplace.users")
    with pytest.raises(WarehouseError, match=r"is damaged or lacks a column.*build or import it again"):
        warehouse.query("SELECT user_id FROM marketplace.users")


def test_a_file_of_an_older_contract_is_named(warehouse: Warehouse) -> None:
    warehouse.write("marketplace.users", users("a"))
    path = warehouse.location("marketplace.users")
    pq.write_table(pq.read_table(path).drop_columns("region"), path)
    with pytest.raises(WarehouseError, match="lacks a column"):
        warehouse.read("marketplace.users")
    with pytest.raises(WarehouseError, match="lacks a column"):
        warehouse.query("SELECT user_id FROM marketplace.users")


def test_a_query_for_a_day_sees_no_later_partition(warehouse: Warehouse) -> None:
    for ds in (DAY, NEXT):
        warehouse.write("experiments.exposures", exposures("u"), ds)
        warehouse.write("marketplace.events", events(ds, f"e-{ds}"), ds)
    count = "SELECT COUNT(*) AS n FROM "
    assert warehouse.query(count + "experiments.exposures", ds=DAY)["n"].to_pylist() == [1]
    assert warehouse.query(count + "experiments.exposures")["n"].to_pylist() == [2]
    assert warehouse.query(count + "marketplace.events", ds=DAY)["n"].to_pylist() == [2]


def test_a_table_that_is_not_there_is_empty_in_a_query(warehouse: Warehouse) -> None:
    table = warehouse.query(
        "SELECT u.*, m.registered_at FROM features.user_daily AS u LEFT JOIN marketplace.users AS m USING (user_id)"
    )
    assert table.num_rows == 0
    assert table.schema.field("spend_7d").type == pa.decimal128(38, 9)


def test_odd_text_survives(warehouse: Warehouse) -> None:
    odd = ["'; DROP TABLE users; --", 'a"b', "line\nbreak", "日本 🎌", "\\", "%_", "@ds", "`x`", "a\tb"]
    warehouse.write("marketplace.users", users(*odd))
    assert sorted(warehouse.read("marketplace.users")["user_id"]) == sorted(odd)
    for text in odd:
        found = warehouse.query("SELECT user_id FROM marketplace.users WHERE user_id = @id", {"id": text})
        assert found["user_id"].to_pylist() == [text]


def test_a_folder_with_a_quote(tmp_path: Path) -> None:
    with open_warehouse(Settings.load({}, warehouse=str(tmp_path / "it's here"))) as warehouse:
        warehouse.write("marketplace.users", users("a"))
        assert warehouse.query("SELECT COUNT(*) AS n FROM marketplace.users")["n"].to_pylist() == [1]


def test_build_fills_the_contract(
    settings: Settings, warehouse: Warehouse, put_sql: Callable[[str, str], Path]
) -> None:
    put_sql("staging.users", USERS_SQL)
    warehouse.write("marketplace.users", users("b", "a"))
    result = warehouse.build("staging.users", DAY)
    assert (result.table, result.ds, result.rows, result.built) == ("staging.users", DAY, 2, True)
    assert (
        pq.read_schema(result.path).names
        == warehouse.spec("staging.users")
        .sql.split("SELECT ")[1]
        .split(" AS")[0]
        .replace("@ds", "ds")
        .replace(",", "")
        .split()
    )
    assert warehouse.read("staging.users", DAY)["user_id"].tolist() == ["a", "b"]


def test_build_binds_declared_settings(warehouse: Warehouse, put_sql: Callable[[str, str], Path]) -> None:
    text = USERS_SQL.replace("SELECT", "-- params: history_days, timezone\nSELECT", 1)
    put_sql(
        "staging.users",
        text.replace("birth_year", "@history_days AS birth_year").replace("region", "@timezone AS region"),
    )
    warehouse.write("marketplace.users", users("a"))
    warehouse.build("staging.users", DAY)
    frame = warehouse.read("staging.users", DAY)
    assert frame[["birth_year", "region"]].to_numpy().tolist() == [[90.0, "UTC"]]
    put_sql("staging.users", USERS_SQL.replace("birth_year", "@late_days AS birth_year"))
    with pytest.raises(SqlError, match="-- params: late_days"):
        warehouse.build("staging.users", DAY)


def test_a_snapshot_is_taken_once(warehouse: Warehouse, put_sql: Callable[[str, str], Path]) -> None:
    put_sql("staging.users", USERS_SQL.replace("SELECT", "-- snapshot: once\nSELECT", 1))
    warehouse.write("marketplace.users", users("a"))
    assert warehouse.build("staging.users", DAY).built
    warehouse.write("marketplace.users", users("a", "b"))
    kept = warehouse.build("staging.users", DAY)
    assert (kept.built, kept.rows) == (False, 1)
    assert warehouse.build("staging.users", DAY, refresh=True).rows == 2


def test_build_without_its_source(warehouse: Warehouse, put_sql: Callable[[str, str], Path]) -> None:
    put_sql("staging.users", USERS_SQL)
    with pytest.raises(WarehouseError) as caught:
        warehouse.build("staging.users", DAY)
    for told in ("staging.users needs marketplace.users", "all.parquet", "recsys import", "recsys simulate"):
        assert told in str(caught.value)
    with pytest.raises(SqlError, match=r"features\.user_daily has no SQL file; expected .*user_daily\.sql"):
        warehouse.build("features.user_daily", DAY)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("birth_year,", "", "lacks birth_year INT64"),
        ("birth_year,", "birth_year, 1 AS more,", "has more, which the contract does not know"),
        (
            "birth_year,",
            "CAST(birth_year AS STRING) AS birth_year,",
            "has birth_year as STRING, expected INT64",
        ),
    ],
)
def test_a_select_that_is_not_the_contract(
    warehouse: Warehouse, put_sql: Callable[[str, str], Path], old: str, new: str, told: str
) -> None:
    put_sql("staging.users", USERS_SQL.replace(old, new))
    warehouse.write("marketplace.users", users("a"))
    with pytest.raises(ContractError, match=told):
        warehouse.build("staging.users", DAY)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "registered_at,",
            "IF(user_id = 'b', NULL, registered_at) AS registered_at,",
            "registered_at: 1 values are NULL",
        ),
        (
            "@ds AS ds",
            "DATE_ADD(@ds, INTERVAL 1 DAY) AS ds",
            "rows of 2026-01-06 in the partition 2026-01-05",
        ),
        ("birth_year,", "1 / (birth_year - 1990) AS birth_year,", "FLOAT64"),
        (
            "birth_year,",
            "DIV(1, birth_year - 1990) AS birth_year,",
            r"users\.sql for 2026-01-05: .*[Dd]ivision by zero",
        ),
    ],
)
def test_rows_that_are_not_the_contract(
    warehouse: Warehouse, put_sql: Callable[[str, str], Path], old: str, new: str, told: str
) -> None:
    put_sql("staging.users", USERS_SQL.replace(old, new))
    warehouse.write("marketplace.users", users("a", "b"))
    with pytest.raises((ContractError, SqlError), match=told):
        warehouse.build("staging.users", DAY)
    assert not warehouse.exists("staging.users", DAY)


def test_a_window_over_many_partitions_opens_fast(warehouse: Warehouse) -> None:
    first = dt.date(2025, 1, 1)
    warehouse.write("experiments.exposures", exposures("u"), first)
    source = Path(warehouse.location("experiments.exposures", first))
    for day in range(1, 400):
        source.with_name(f"ds={first + dt.timedelta(days=day)}.parquet").hardlink_to(source)
    started = dt.datetime.now()
    warehouse.query("SELECT COUNT(*) AS n FROM experiments.exposures", ds=dt.date(2026, 12, 31))
    assert (dt.datetime.now() - started).total_seconds() < 2
