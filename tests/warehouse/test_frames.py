"""Frames at the door: what is converted and what is refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys import schema
from recsys.errors import ContractError
from recsys.warehouse.frames import to_contract, to_pandas

DAY = dt.date(2026, 1, 5)
TABLE = schema.Table(
    "staging.sample",
    (
        schema.Column("id", "STRING", required=True),
        schema.Column("n", "INT64"),
        schema.Column("x", "FLOAT64"),
        schema.Column("money", "NUMERIC"),
        schema.Column("flag", "BOOL"),
        schema.Column("day", "DATE"),
        schema.Column("at", "TIMESTAMP"),
        schema.Column("ds", "DATE", required=True),
    ),
    ("id",),
    "ds",
)
AT = dt.datetime(2026, 1, 5, 10, tzinfo=dt.UTC)


def sample(**changes: object) -> pd.DataFrame:
    row = {"id": ["a"], "n": [1], "x": [0.5], "money": [1.5], "flag": [True], "day": [DAY], "at": [AT]}
    return pd.DataFrame({**row, **changes})


def converted(column: str, values: object) -> list[object]:
    return to_contract(TABLE, sample(**{column: values}), DAY).column(column).to_pylist()


def test_a_plain_frame_and_its_day() -> None:
    arrow = to_contract(TABLE, sample(), DAY)
    assert arrow.to_pylist() == [
        {
            "id": "a",
            "n": 1,
            "x": 0.5,
            "money": Decimal("1.500000000"),
            "flag": True,
            "day": DAY,
            "at": AT,
            "ds": DAY,
        }
    ]


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("n", [1.0], 1),
        ("n", np.array([1], dtype="int8"), 1),
        ("n", pd.array([None], dtype="Int64"), None),
        ("n", [float("nan")], None),
        ("n", [None], None),
        ("x", [1], 1.0),
        ("x", [Decimal("0.5")], 0.5),
        ("x", [float("nan")], None),
        ("x", np.array([0.5], dtype="float32"), 0.5),
        ("money", [19.99], Decimal("19.990000000")),
        ("money", [0.1 + 0.2], Decimal("0.300000000")),
        ("money", [7], Decimal("7.000000000")),
        ("money", [Decimal("1.1234567895")], Decimal("1.123456790")),
        ("money", [Decimal("2.5")], Decimal("2.500000000")),
        ("money", [1234567.125], Decimal("1234567.125000000")),
        ("flag", np.array([False]), False),
        ("flag", [None], None),
        ("day", [pd.Timestamp("2026-01-04")], DAY - dt.timedelta(days=1)),
        ("day", np.array(["2026-01-04"], dtype="datetime64[s]"), DAY - dt.timedelta(days=1)),
        ("at", [pd.Timestamp("2026-01-05 11:00", tz="Europe/Paris")], AT),
        ("id", pd.Categorical(["b"]), "b"),
        ("id", pd.Series(["日本"], dtype="string"), "日本"),
    ],
)
def test_converted(column: str, values: object, expected: object) -> None:
    assert converted(column, values) == [expected]


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("id", [1], r"staging\.sample\.id: expected STRING, found int64.*astype\(str\)"),
        ("id", [None], "1 of 1 values are NULL"),
        ("n", ["1"], r"\.n: expected INT64, found .*write whole numbers"),
        ("n", [1.5], "no whole numbers"),
        ("n", [True], "write whole numbers"),
        ("n", [float("inf")], r"\.n: expected INT64"),
        ("x", ["0.5"], "write numbers"),
        ("x", [float("inf")], "infinite"),
        ("money", [float("inf")], "infinite"),
        ("money", ["1.5"], r"\.money: expected NUMERIC"),
        ("money", [1e300], r"\.money: expected NUMERIC"),
        ("flag", [1], "True or False"),
        ("day", ["2026-01-05"], "write dates"),
        ("day", [pd.Timestamp("2026-01-05 10:00")], r"\.day: expected DATE"),
        ("at", [pd.Timestamp("2026-01-05 10:00")], r"tz_localize\('UTC'\)"),
        ("at", ["2026-01-05"], "write times with a zone"),
        ("x", [[1]], r"\.x: expected FLOAT64"),
    ],
)
def test_refused(column: str, values: object, told: str) -> None:
    with pytest.raises(ContractError, match=told):
        to_contract(TABLE, sample(**{column: values}), DAY)


def test_values_of_mixed_types_are_named() -> None:
    with pytest.raises(ContractError, match=r"staging\.sample\.id: values of mixed"):
        to_contract(TABLE, pd.concat([sample(), sample(id=[1])]), DAY)


def test_columns_missing_unknown_or_twice() -> None:
    with pytest.raises(ContractError, match=r"missing n; unknown m\. Expected id, n, x"):
        to_contract(TABLE, sample().rename(columns={"n": "m"}), DAY)
    with pytest.raises(ContractError, match="given twice: n"):
        to_contract(TABLE, pd.concat([sample(), sample()[["n"]]], axis=1), DAY)


def test_rows_of_another_day() -> None:
    frame = pd.concat([sample(ds=[DAY]), sample(id=["b"], ds=[DAY + dt.timedelta(days=1)])])
    with pytest.raises(ContractError, match="1 of 2 rows have another ds than the partition 2026-01-05"):
        to_contract(TABLE, frame, DAY)


def test_to_pandas_types_do_not_depend_on_the_values() -> None:
    for rows in (sample(), sample(n=[None], money=[None], flag=[None], x=[None], day=[None], at=[None])):
        frame = to_pandas(TABLE, to_contract(TABLE, rows, DAY))
        assert [str(kind) for kind in frame.dtypes] == [
            "str",
            "float64",
            "float64",
            "float64",
            "boolean",
            "datetime64[s]",
            "datetime64[us, UTC]",
            "datetime64[s]",
        ]


def test_to_pandas_without_a_contract() -> None:
    arrow = pa.table({"n": [1, 2], "m": [1, None]})
    assert [str(kind) for kind in to_pandas(None, arrow).dtypes] == ["int64", "float64"]
