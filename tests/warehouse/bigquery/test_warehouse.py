"""The contract of a warehouse, held by the local one and by the one in BigQuery alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from recsys import schema
from recsys.errors import ContractError, SqlError, WarehouseError
from recsys.warehouse import Warehouse, frames, open_warehouse
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse
from tests.warehouse.conftest import DAY, USERS_SQL, users
from tests.warehouse.test_local import events, exposures

NEXT = DAY + dt.timedelta(days=1)
LISTS = "scoring.lists"


@pytest.fixture
def put_sql(either: Warehouse) -> Callable[[str, str], Path]:
    """Write the SQL file of a table."""

    def put(table: str, text: str) -> Path:
        path = either.settings.sql_dir / f"{table.replace('.', '/')}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return put


def lists(*users_: str) -> pa.Table:
    """A list of one item for each user, with every column of the contract."""
    blank = {
        "STRING": "x",
        "INT64": 1,
        "FLOAT64": 0.5,
        "NUMERIC": Decimal("9.5"),
        "BOOL": False,
        "DATE": DAY,
    }
    contract = schema.table(LISTS)
    rows = [{c.name: blank[c.type] for c in contract.columns} | {"user_id": user} for user in users_]
    return pa.Table.from_pylist(rows, schema=frames.arrow_schema(contract))


def test_what_is_written_is_read_in_order_and_typed(either: Warehouse) -> None:
    assert either.write("marketplace.events", events(DAY, "b", "é", "a", "Z"), DAY) == 4
    frame = either.read("marketplace.events", DAY)
    assert frame["event_id"].tolist() == ["Z", "a", "b", "é"]
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        **dict.fromkeys(["event_id", "user_id", "session_id", "event_type", "item_id", "seller_id"], "str"),
        **dict.fromkeys(["query", "surface", "device", "request_id"], "str"),
        **dict.fromkeys(["amount", "quantity", "position", "propensity"], "float64"),
        "event_ts": "datetime64[us, UTC]",
        "ingested_at": "datetime64[us, UTC]",
        "event_date": "datetime64[s]",
    }
    assert list(frame.columns) == schema.table("marketplace.events").column_names
    some = either.read("marketplace.events", DAY, columns=["amount", "event_id"])
    assert list(some.columns) == ["amount", "event_id"]
    assert some["event_id"].tolist() == ["Z", "a", "b", "é"]


def test_types_of_a_query(either: Warehouse) -> None:
    either.write("marketplace.events", events(DAY, "b", "a"), DAY)
    arrow = either.query(
        """
        SELECT event_id, amount, amount * 2.5 AS more, event_date, event_ts, quantity, amount > 1 AS is_dear,
          CAST(amount AS FLOAT64) AS x, COUNT(*) OVER () AS n, @text AS text
        FROM marketplace.events WHERE event_date = @ds AND event_id IN UNNEST(@ids) ORDER BY event_id DESC
        """,
        {"text": "it's `é`", "ids": ["a", "b", "c"]},
        ds=DAY,
    )
    assert arrow.schema.types == [
        pa.string(),
        frames.NUMERIC,
        frames.NUMERIC,
        pa.date32(),
        frames.TIMESTAMP,
        pa.int64(),
        pa.bool_(),
        pa.float64(),
        pa.int64(),
        pa.string(),
    ]
    assert arrow.column("event_id").to_pylist() == ["b", "a"]
    assert arrow.slice(1).to_pylist() == [
        {
            "event_id": "a",
            "amount": Decimal("1.250000000"),
            "more": Decimal("3.125000000"),
            "event_date": DAY,
            "event_ts": dt.datetime(2026, 1, 5, tzinfo=dt.UTC),
            "quantity": None,
            "is_dear": True,
            "x": 1.25,
            "n": 2,
            "text": "it's `é`",
        }
    ]


def test_a_query_of_no_rows_has_its_types(either: Warehouse) -> None:
    arrow = either.query(
        "SELECT event_id, amount, event_ts FROM marketplace.events WHERE event_date = @ds", ds=DAY
    )
    assert arrow.num_rows == 0
    assert arrow.schema.types == [pa.string(), frames.NUMERIC, frames.TIMESTAMP]


def test_an_empty_partition_is_there(either: Warehouse) -> None:
    assert not either.exists("experiments.exposures", DAY)
    assert either.write("experiments.exposures", exposures(), DAY) == 0
    assert either.exists("experiments.exposures", DAY)
    assert either.exists("experiments.exposures")
    frame = either.read("experiments.exposures", DAY)
    assert len(frame) == 0
    assert str(frame["first_exposed_at"].dtype) == "datetime64[us, UTC]"
    assert either.partitions("experiments.exposures") == [DAY]


@pytest.mark.parametrize("table", ["experiments.exposures", "marketplace.events"])
def test_partitions_ranges_and_drop(either: Warehouse, table: str) -> None:
    key, day = ("unit_id", "ds") if table == "experiments.exposures" else ("event_id", "event_date")
    for ds in (NEXT, DAY):
        frame = exposures("v", "u") if key == "unit_id" else events(ds, "v", "u")
        assert either.write(table, frame, ds) == 2
    assert either.partitions(table) == [DAY, NEXT]
    both = either.read(table, NEXT, columns=[key, day], start=DAY - dt.timedelta(days=9))
    assert both[day].dt.date.tolist() == [DAY, DAY, NEXT, NEXT]
    assert both[key].tolist() == ["u", "v", "u", "v"]
    either.drop(table, DAY)
    either.drop(table, DAY)
    assert either.partitions(table) == [NEXT]
    assert either.exists(table, NEXT)
    assert not either.exists(table, DAY)
    with pytest.raises(WarehouseError, match=f"{table} has no partition 2026-01-05"):
        either.read(table, DAY)
    either.drop(table, NEXT)
    assert not either.exists(table)


def test_a_partition_is_replaced_and_no_other(either: Warehouse) -> None:
    for ds in (DAY, NEXT):
        either.write("experiments.exposures", exposures("old", "gone"), ds)
    either.write("experiments.exposures", exposures("new"), DAY)
    assert either.read("experiments.exposures", DAY)["unit_id"].tolist() == ["new"]
    assert either.read("experiments.exposures", NEXT)["unit_id"].tolist() == ["gone", "old"]


def test_rows_are_added_to_what_is_there(either: Warehouse) -> None:
    name, seen = "experiments.exposures", []

    def more(*units: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
        return lambda rows: seen.append(rows["unit_id"].tolist()) or exposures(*units)

    assert either.append(name, more(), DAY).empty
    assert either.exists(name, DAY)
    assert either.append(name, more("c", "b"), DAY)["unit_id"].tolist() == ["c", "b"]
    either.append(name, more("a"), DAY)
    assert either.append(name, more(), DAY).empty
    assert either.read(name, DAY)["unit_id"].tolist() == ["a", "b", "c"]
    assert seen == [[], [], ["b", "c"], ["a", "b", "c"]]
    with pytest.raises(ContractError, match="another ds"):
        either.append(name, lambda rows: exposures("d").assign(ds=NEXT), DAY)
    either.drop(name, DAY)
    either.append(name, lambda rows: exposures("e"), DAY)
    assert either.read(name, DAY)["unit_id"].tolist() == ["e"]


def test_rows_added_at_once_all_stay_and_follow_each_other(either: Warehouse) -> None:
    name = "experiments.exposures"

    def add(_: int) -> None:
        with open_warehouse(either.settings) as warehouse:
            warehouse.append(name, lambda rows: exposures(f"u{len(rows)}"), DAY)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert either.read(name, DAY)["unit_id"].tolist() == ["u0", "u1", "u2", "u3"]


def test_parts_are_one_partition(either: Warehouse) -> None:
    def stored() -> list[str]:
        sql = f"SELECT user_id FROM {LISTS} WHERE ds = @ds ORDER BY user_id"
        found = either.query(sql, ds=DAY).column("user_id").to_pylist()
        assert sorted(either.read(LISTS, DAY)["user_id"]) == found
        return found

    either.write(LISTS, lists("b", "z"), DAY, part="001")
    either.write(LISTS, lists("c", "a"), DAY, part="000")
    assert either.read(LISTS, DAY)["user_id"].tolist() == ["a", "c", "b", "z"]
    assert stored() == ["a", "b", "c", "z"]
    either.write(LISTS, lists("d"), DAY, part="001")
    assert stored() == ["a", "c", "d"]
    either.write(LISTS, lists("e"), DAY)
    assert stored() == ["e"]
    either.write(LISTS, lists("f"), DAY, part="000")
    assert stored() == ["f"]
    assert either.partitions(LISTS) == [DAY]
    either.drop(LISTS, DAY)
    assert not either.exists(LISTS, DAY)
    assert stored_rows(either) == 0


@pytest.mark.parametrize("how", ["drop", "write the whole"])
def test_parts_that_a_killed_task_did_not_note_go_too(production: BigQueryWarehouse, how: str) -> None:
    for part in ("000", "001"):
        production.write(LISTS, lists(f"u{part}"), DAY, part=part)
    production.ledger.forget(LISTS, DAY, "001")
    if how == "drop":
        production.drop(LISTS, DAY)
    else:
        production.write(LISTS, lists("w"), DAY)
    left = production.query(f"SELECT user_id FROM {LISTS} WHERE ds = @ds", ds=DAY).column("user_id")
    assert left.to_pylist() == ([] if how == "drop" else ["w"])


def stored_rows(warehouse: Warehouse) -> int:
    sql = f"SELECT COUNT(*) AS n FROM {LISTS} WHERE ds >= DATE '2026-01-01'"
    return warehouse.query(sql).column("n")[0].as_py()


@pytest.mark.parametrize("part", ["", "a/b", "..", "a.b", "x" * 65, "a`b"])
def test_a_part_is_a_plain_name(either: Warehouse, part: str) -> None:
    with pytest.raises(WarehouseError, match="letters, digits"):
        either.write(LISTS, lists("b"), DAY, part=part)


def test_a_table_kept_whole(either: Warehouse) -> None:
    assert not either.exists("marketplace.users")
    with pytest.raises(WarehouseError, match=r"marketplace\.users is empty"):
        either.read("marketplace.users")
    either.write("marketplace.users", users("b", "a"))
    assert either.exists("marketplace.users")
    assert either.read("marketplace.users")["user_id"].tolist() == ["a", "b"]
    either.write("marketplace.users", users())
    assert either.exists("marketplace.users")
    assert len(either.read("marketplace.users")) == 0
    either.drop("marketplace.users")
    either.drop("marketplace.users")
    assert not either.exists("marketplace.users")
    with pytest.raises(WarehouseError, match="no parts"):
        either.write("marketplace.users", users("a"), part="000")


def test_a_source_keeps_its_doubles(either: Warehouse) -> None:
    twice = pd.concat([events(DAY, "a"), events(DAY, "a").assign(amount=1.0)])
    assert either.write("marketplace.events", twice, DAY) == 2
    assert either.read("marketplace.events", DAY)["amount"].tolist() == [1.0, 1.25]


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (exposures("u", "u"), r"the key \(experiment_id, unit_id\) is not unique"),
        (exposures("u").assign(arm=None), r"experiments\.exposures\.arm: 1 of 1 values are NULL"),
        (exposures("u").assign(ds=NEXT), "another ds than the partition 2026-01-05"),
        (exposures("u").drop(columns="arm"), "columns missing arm"),
        (exposures("u").assign(impressions="3"), r"exposures\.impressions: expected INT64"),
    ],
)
def test_frames_that_are_not_the_contract_are_not_written(
    either: Warehouse, frame: pd.DataFrame, told: str
) -> None:
    either.write("experiments.exposures", exposures("old"), DAY)
    with pytest.raises(ContractError, match=told):
        either.write("experiments.exposures", frame, DAY)
    assert either.read("experiments.exposures", DAY)["unit_id"].tolist() == ["old"]


def test_a_day_is_needed_and_is_a_date(either: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="say which day"):
        either.read("experiments.exposures")
    with pytest.raises(WarehouseError, match=r"give a datetime\.date"):
        either.write("experiments.exposures", exposures("u"), dt.datetime(2026, 1, 5))


@pytest.mark.parametrize(
    "name", ["staging.nothing", "../escape", "staging.events; DROP TABLE x", "a`b.c", ""]
)
def test_only_tables_with_a_contract_have_a_name(either: Warehouse, name: str) -> None:
    for call in (either.read, either.exists, either.partitions, either.drop, either.location):
        with pytest.raises(ContractError, match="Known tables"):
            call(name)


def test_an_unknown_column_is_named(either: Warehouse) -> None:
    with pytest.raises(ContractError, match=r"no column nothing\. It has user_id"):
        either.read("marketplace.users", columns=["nothing"])


def test_odd_text_survives(either: Warehouse) -> None:
    odd = ["'; DROP TABLE users; --", 'a"b', "line\nbreak", "日本 🎌", "\\", "%_", "@ds", "`x`", "a\tb"]
    either.write("marketplace.users", users(*odd))
    assert sorted(either.read("marketplace.users")["user_id"]) == sorted(odd)
    for text in odd:
        found = either.query("SELECT user_id FROM marketplace.users WHERE user_id = @id", {"id": text})
        assert found["user_id"].to_pylist() == [text]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT RAND() AS x", "mine: RAND"),
        ("SELECT user FROM marketplace.users", "mine: .*user"),
        ("SELECT 1 AS x FROM staging.nothing", "mine: there is no table"),
        ("SELECT DIV(1, 0) AS x", "mine: .*[Dd]ivision by zero"),
        ("SELECT @x AS x", "mine: .*@x"),
    ],
)
def test_a_query_that_cannot_run_names_its_text(either: Warehouse, sql: str, told: str) -> None:
    with pytest.raises(SqlError, match=told):
        either.query(sql, name="mine")


def test_build_fills_the_contract(either: Warehouse, put_sql: Callable[[str, str], Path]) -> None:
    put_sql("staging.users", USERS_SQL)
    either.write("marketplace.users", users("b", "a"))
    for _ in range(2):
        result = either.build("staging.users", DAY)
        assert (result.table, result.ds, result.rows, result.built) == ("staging.users", DAY, 2, True)
    assert either.partitions("staging.users") == [DAY]
    assert either.read("staging.users", DAY)["user_id"].tolist() == ["a", "b"]
    either.write("marketplace.users", users())
    assert either.build("staging.users", NEXT).rows == 0
    assert either.exists("staging.users", NEXT)


def test_a_build_is_right_when_later_partitions_are_there(
    either: Warehouse, put_sql: Callable[[str, str], Path]
) -> None:
    put_sql("staging.users", USERS_SQL)
    either.write("marketplace.users", users("a"))
    for ds in (NEXT, DAY):
        either.build("staging.users", ds)
    assert either.read("staging.users", NEXT, columns=["user_id"], start=DAY)["user_id"].tolist() == [
        "a",
        "a",
    ]


def test_a_snapshot_is_taken_once(either: Warehouse, put_sql: Callable[[str, str], Path]) -> None:
    put_sql("staging.users", USERS_SQL.replace("SELECT", "-- snapshot: once\nSELECT", 1))
    either.write("marketplace.users", users("a"))
    assert either.build("staging.users", DAY).built
    either.write("marketplace.users", users("a", "b"))
    kept = either.build("staging.users", DAY)
    assert (kept.built, kept.rows) == (False, 1)
    assert either.build("staging.users", DAY, refresh=True).rows == 2
    assert either.build("staging.users", DAY).rows == 2


def test_build_without_what_it_reads(either: Warehouse, put_sql: Callable[[str, str], Path]) -> None:
    put_sql("staging.users", USERS_SQL)
    put_sql("features.user_daily", USERS_SQL.replace("marketplace.users", "staging.users"))
    with pytest.raises(WarehouseError, match=r"staging\.users needs marketplace\.users\. .*recsys import"):
        either.build("staging.users", DAY)
    put_sql("staging.sellers", SELLERS_SQL)
    with pytest.raises(
        WarehouseError,
        match=r"staging\.sellers of 2026-01-05 needs staging\.users of that day, which is not there\. "
        r"Make it with `recsys build staging\.users --ds 2026-01-05`",
    ):
        either.build("staging.sellers", DAY)
    assert not either.exists("staging.sellers", DAY)


SELLERS_SQL = """-- Sellers made of users.
-- grain: seller_id
-- partition: ds
-- upstream: staging.users
SELECT user_id AS seller_id, registered_at, 0.5 AS rating, 1 AS rating_count, TRUE AS is_verified,
  1 AS ships_within_days, @ds AS ds
FROM staging.users
WHERE ds = @ds
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "registered_at,",
            "IF(user_id = 'b', NULL, registered_at) AS registered_at,",
            r"staging\.users\.registered_at: .*NULL; it must not be NULL",
        ),
        (
            "SELECT user_id,",
            "SELECT 'same' AS user_id,",
            r"staging\.users: the key \(user_id\) is not unique",
        ),
        ("@ds AS ds", "DATE_ADD(@ds, INTERVAL 1 DAY) AS ds", "rows of .*partition"),
        ("birth_year,", "DIV(1, birth_year - 1990) AS birth_year,", r"users\.sql.*[Dd]ivision by zero"),
        ("birth_year,", "", "lacks birth_year INT64"),
        (
            "birth_year,",
            "CAST(birth_year AS STRING) AS birth_year,",
            "has birth_year as STRING, expected INT64",
        ),
    ],
)
def test_rows_that_are_not_the_contract_are_never_published(
    either: Warehouse, put_sql: Callable[[str, str], Path], old: str, new: str, told: str
) -> None:
    put_sql("staging.users", USERS_SQL)
    either.write("marketplace.users", users("a", "b"))
    either.build("staging.users", DAY)
    put_sql("staging.users", USERS_SQL.replace(old, new))
    with pytest.raises((ContractError, SqlError), match=told):
        either.build("staging.users", DAY)
    assert either.read("staging.users", DAY)["birth_year"].tolist() == [1990.0, 1990.0]
    with pytest.raises((ContractError, SqlError), match=told):
        either.build("staging.users", NEXT)
    assert not either.exists("staging.users", NEXT)
