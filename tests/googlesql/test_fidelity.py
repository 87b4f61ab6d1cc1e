"""Where the two engines part: each row of the table in docs/sql.md, on DuckDB alone, on GoogleSQL, and here."""

from __future__ import annotations

import datetime as dt
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlglot

from recsys.errors import SqlError
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse.dialect import translate
from recsys.warehouse.local import LocalWarehouse
from tests.googlesql.analyzer import GoogleSqlError, analyzer
from tests.googlesql.gate import GOOGLE_NAMES
from tests.warehouse.dialect.test_values import queries, values

PAGE = (PROJECT_ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
LATE = "TIMESTAMP '2026-01-05 23:30:00+00'"
MOMENT = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
SESSION_ZONE = "Asia/Tokyo"
ERROR = "error"


@dataclass(frozen=True)
class Case:
    """One construct: the value ``plain`` of DuckDB, word for word, and of GoogleSQL; or what is told by a refusal."""

    sql: str
    plain: Any = ERROR
    google: Any = None
    refusal: str = ""


def one(expression: str, plain: Any, google: Any) -> Case:
    return Case(f"SELECT {expression} AS x", plain, google)


SILENT = {
    "UNNEST ... WITH OFFSET": Case("SELECT o AS x FROM UNNEST(['a']) AS e WITH OFFSET AS o", 1, 0),
    "EXTRACT(DAYOFWEEK ...) of a Monday": one("EXTRACT(DAYOFWEEK FROM DATE '2026-01-05')", 1, 2),
    "TIMESTAMP_DIFF(..., HOUR) from 00:59 to 01:01": one(
        "TIMESTAMP_DIFF(TIMESTAMP '2026-01-05 01:01:00+00', TIMESTAMP '2026-01-05 00:59:00+00', HOUR)", 1, 0
    ),
    "CAST(x AS NUMERIC)": one("CAST(CAST('1.123456789' AS NUMERIC) AS FLOAT64)", 1.123, 1.123456789),
    "1 / 0": Case("SELECT 1 / d AS x FROM UNNEST([0]) AS d", math.inf, ERROR),
    "a[OFFSET(10)] past the end": Case("SELECT a[OFFSET(10)] AS x FROM (SELECT [1, 2] AS a)", None, ERROR),
    "SUBSTR('abc', 0, 2)": one("SUBSTR('abc', 0, 2)", "a", "ab"),
    "CAST(1.0 AS STRING)": one("CAST(1.0 AS STRING)", "1.0", "1"),
    "CORR of one pair": Case("SELECT CORR(a, b) AS x FROM (SELECT 1.0 AS a, 2.0 AS b)", math.nan, None),
    "DATE_ADD": one(
        "DATE_ADD(DATE '2026-01-05', INTERVAL 1 DAY)", dt.datetime(2026, 1, 6), dt.date(2026, 1, 6)
    ),
    "DATE_TRUNC(..., ISOWEEK)": one(
        "DATE_TRUNC(DATE '2026-01-07', ISOWEEK)", dt.datetime(2026, 1, 5), dt.date(2026, 1, 5)
    ),
    "SUM of INT64": Case("SELECT SUM(n) AS x FROM UNNEST([1, 2]) AS n", pa.decimal128(38, 0), 3),
    "APPROX_TOP_COUNT": Case(
        "SELECT APPROX_TOP_COUNT(n, 1) AS x FROM UNNEST(['a', 'a', 'b']) AS n",
        ["a"],
        refusal="write COUNT(*) with ORDER BY and LIMIT",
    ),
    "DATE(ts)": one(f"DATE({LATE})", dt.date(2026, 1, 6), dt.date(2026, 1, 5)),
    "TIMESTAMP_TRUNC": one(f"TIMESTAMP_TRUNC({LATE}, DAY)", MOMENT + dt.timedelta(hours=15), MOMENT),
    "FORMAT_TIMESTAMP": one(f"FORMAT_TIMESTAMP('%H:%M', {LATE})", "08:30", "23:30"),
    "PARTITION BY, CLUSTER BY, require_partition_filter": Case(
        "CREATE TABLE x PARTITION BY ds CLUSTER BY x OPTIONS (require_partition_filter = TRUE) "
        "AS SELECT 1 AS x, DATE '2026-01-05' AS ds",
        1,
        refusal="starts with CREATE; write one SELECT",
    ),
}
LOUD = {
    "FARM_FINGERPRINT": one("FARM_FINGERPRINT('1footrue')", ERROR, -1541654101129638711),
    "ARRAY_AGG(... LIMIT n)": Case(
        "SELECT ARRAY_AGG(n ORDER BY n LIMIT 1)[OFFSET(0)] AS x FROM UNNEST([2, 1]) AS n", ERROR, 1
    ),
    "STRING_AGG(... LIMIT n)": Case(
        "SELECT STRING_AGG(n, ',' ORDER BY n LIMIT 1) AS x FROM UNNEST(['b', 'a']) AS n", ERROR, "a"
    ),
    "EXTRACT(ISOWEEK ...)": one("EXTRACT(ISOWEEK FROM DATE '2026-01-05')", ERROR, 2),
    "BYTE_LENGTH": one("BYTE_LENGTH('日本')", ERROR, 6),
    "IEEE_DIVIDE": Case("SELECT IEEE_DIVIDE(1, 0) AS x", refusal="write SAFE_DIVIDE"),
    "HLL_COUNT": Case("SELECT HLL_COUNT.INIT('a') AS x", refusal="write COUNT(DISTINCT x)"),
    "MERGE": Case(
        "MERGE staging.users AS t USING staging.users AS s ON t.user_id = s.user_id "
        "WHEN NOT MATCHED THEN INSERT ROW",
        refusal="starts with MERGE; write one SELECT",
    ),
    "DECLARE": Case("DECLARE x INT64 DEFAULT 1", refusal="starts with DECLARE; write one SELECT"),
    "ASSERT": Case("ASSERT 1 = 1 AS 'x'", refusal="starts with ASSERT; write one SELECT"),
}
CASES = SILENT | LOUD
REWRITTEN = {name: case for name, case in CASES.items() if not case.refusal}
REFUSED = {name: case for name, case in CASES.items() if case.refusal}


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalWarehouse]:
    """A local warehouse on a machine that keeps another zone than UTC."""
    monkeypatch.setenv("TZ", SESSION_ZONE)
    time.tzset()
    with LocalWarehouse(Settings.load({}, warehouse=str(tmp_path))) as opened:
        yield opened
    monkeypatch.undo()
    time.tzset()


def word_for_word(sql: str) -> Any:
    """The value ``x`` that DuckDB gives of what sqlglot makes of the text; a type where that is what differs."""
    try:
        connection = duckdb.connect()
        connection.execute(f"SET TimeZone = '{SESSION_ZONE}'")
        found = connection.sql(sqlglot.transpile(sql, read="bigquery", write="duckdb")[0])
        if found is None:  # a statement that made a table and said nothing of what it dropped
            return 1
        column = found.to_arrow_table().column(0)
    except (duckdb.Error, sqlglot.errors.SqlglotError):
        return ERROR
    return column.type if column.type == pa.decimal128(38, 0) else column[0].as_py()


def test_the_page_has_every_case() -> None:
    table = PAGE.split("## Where the two engines part")[1].split("These do fail when run")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    here = {re.sub(r"[`|]", "", row[0]).strip(): row[-1].strip(" |") for row in rows}
    assert set(here) == set(SILENT)
    assert {name for name, told in here.items() if told == "refused"} == set(SILENT) & set(REFUSED)
    loud = PAGE.split("These do fail when run: ")[1].split("\n\n")[0].replace("\n", " ")
    rewritten, refused = loud.split("which are rewritten, and ")
    assert set(re.findall(r"`([^`]+)`", rewritten)) == set(LOUD) & set(REWRITTEN)
    assert set(re.findall(r"`([^`]+)`", refused)) == set(LOUD) & set(REFUSED)


@pytest.mark.parametrize("name", CASES)
def test_word_for_word_it_differs(name: str) -> None:
    """The table is no folklore: without the layer DuckDB gives this, and GoogleSQL gives something else."""
    found = word_for_word(CASES[name].sql)
    expected = CASES[name].plain
    assert type(found) is type(expected)
    assert found == (pytest.approx(expected, nan_ok=True) if isinstance(expected, float) else expected)
    if name in REWRITTEN:
        assert (type(found), found) != (type(CASES[name].google), CASES[name].google)
    assert (found == ERROR) == (name in LOUD)


@pytest.mark.parametrize("name", REWRITTEN)
def test_rewritten_to_what_googlesql_gives(name: str, warehouse: LocalWarehouse) -> None:
    case = REWRITTEN[name]
    if case.google == ERROR:
        with pytest.raises(GoogleSqlError):
            analyzer().rows(case.sql)
        with pytest.raises(SqlError):
            warehouse.query(case.sql)
        return
    google, found = analyzer().rows(case.sql), warehouse.query(case.sql)
    assert google == found.to_pylist() == [{"x": case.google}]
    assert type(found.column(0)[0].as_py()) is type(case.google)
    assert analyzer().columns(case.sql) == [("x", GOOGLE_NAMES[found.schema.types[0]])]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name_with_a_remedy(name: str) -> None:
    case = REFUSED[name]
    with pytest.raises(SqlError) as caught:
        translate(case.sql, "include/sql/staging/x.sql")
    assert str(caught.value).startswith("include/sql/staging/x.sql: ")
    assert case.refusal in str(caught.value)


ALIKE = "QUALIFY, SAFE_DIVIDE, COUNTIF, DATE_DIFF, DATE_SUB, STRUCT(, * EXCEPT, * REPLACE, GENERATE_DATE_ARRAY, WITH RECURSIVE"


@pytest.mark.parametrize("word", ALIKE.split(", "))
def test_what_is_the_same_on_both_is_held_to_it(word: str) -> None:
    """These pass as they are; both engines give the values and rows that are written down for them."""
    assert any(word in text for text, _ in values() + queries())
