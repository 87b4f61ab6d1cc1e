"""What a translation tells: tables, parameters, columns with their types."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from recsys.errors import SqlError
from recsys.warehouse import Warehouse
from recsys.warehouse.dialect import parameter_type, translate


def test_tables_parameters_and_columns() -> None:
    translated = translate(
        """WITH events AS (SELECT user_id, amount FROM staging.events WHERE ds = @ds)
        SELECT u.user_id, SUM(e.amount) AS spend, COUNT(*) AS n, AVG(@w) AS w, MAX(e.amount) / 2.0 AS half
        FROM events AS e JOIN marketplace.users AS u USING (user_id) GROUP BY u.user_id""",
        params={"ds": "DATE", "w": "FLOAT64", "unused": "INT64"},
    )
    assert translated.tables == ("marketplace.users", "staging.events")
    assert translated.params == ("ds", "w")
    assert translated.columns == (
        ("user_id", "STRING"),
        ("spend", "NUMERIC"),
        ("n", "INT64"),
        ("w", "FLOAT64"),
        ("half", "NUMERIC"),
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "BOOL"),
        (3, "INT64"),
        (0.5, "FLOAT64"),
        (Decimal("1.5"), "NUMERIC"),
        ("x", "STRING"),
        (dt.date(2026, 1, 5), "DATE"),
        (dt.datetime(2026, 1, 5, tzinfo=dt.UTC), "TIMESTAMP"),
        (["a", "b"], "ARRAY<STRING>"),
    ],
)
def test_parameters_are_bound_with_their_type(warehouse: Warehouse, value: object, expected: str) -> None:
    assert parameter_type("p", value) == expected
    assert warehouse.query("SELECT @p AS p", {"p": value}).column("p")[0].as_py() == value


def test_a_parameter_is_never_pasted(warehouse: Warehouse) -> None:
    text = "'; DROP TABLE x; -- \" ` \\ 日本 🎌 \n @p"
    assert warehouse.query("SELECT @p AS p, LENGTH(@p) AS n", {"p": text}).to_pylist() == [
        {"p": text, "n": len(text)}
    ]


def test_a_list_parameter_in_unnest(warehouse: Warehouse) -> None:
    sql = "SELECT x FROM UNNEST(['a', 'b', 'c']) AS x WHERE x IN UNNEST(@ids) ORDER BY x"
    assert warehouse.query(sql, {"ids": ["c", "a"]}).column("x").to_pylist() == ["a", "c"]


def test_a_parameter_without_a_type_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(SqlError, match="@p is None"):
        warehouse.query("SELECT @p AS p", {"p": None})


def test_engine_errors_name_the_text_and_the_day(warehouse: Warehouse) -> None:
    with pytest.raises(SqlError, match=r"^shelf\.sql for 2026-01-05: .*bad INT64 value: x"):
        warehouse.query(
            "SELECT CAST(x AS INT64) AS n FROM UNNEST(['x']) x", ds=dt.date(2026, 1, 5), name="shelf.sql"
        )
