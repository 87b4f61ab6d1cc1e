"""What cannot be kept equal is refused by name, with what to write instead."""

from __future__ import annotations

import pytest

from recsys.errors import SqlError
from recsys.warehouse.dialect import translate

CLOCK = "time enters as @ds"
EVENTS = "FROM marketplace.events"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (f"SELECT CURRENT_DATE() AS d {EVENTS}", CLOCK),
        (f"SELECT CURRENT_TIMESTAMP() AS d {EVENTS}", CLOCK),
        (f"SELECT RAND() AS r {EVENTS}", "FARM_FINGERPRINT"),
        (f"SELECT GENERATE_UUID() AS r {EVENTS}", "FARM_FINGERPRINT"),
        (f"SELECT APPROX_COUNT_DISTINCT(user_id) AS n {EVENTS}", "COUNT(DISTINCT x)"),
        (f"SELECT APPROX_QUANTILES(amount, 4) AS n {EVENTS}", "PERCENTILE_CONT"),
        (f"SELECT APPROX_TOP_COUNT(user_id, 3) AS n {EVENTS}", "ORDER BY and LIMIT"),
        (f"SELECT HLL_COUNT.INIT(user_id) AS n {EVENTS}", "COUNT(DISTINCT x)"),
        (f"SELECT ANY_VALUE(user_id) AS n {EVENTS}", "MIN, MAX"),
        (f"SELECT MAX_BY(user_id, event_ts) AS n {EVENTS}", "ties"),
        (f"SELECT ARRAY_AGG(user_id LIMIT 2) AS n {EVENTS}", "add ORDER BY"),
        (f"SELECT STRING_AGG(user_id, ',' LIMIT 2) AS n {EVENTS}", "add ORDER BY"),
        (f"SELECT ROW_NUMBER() OVER (PARTITION BY user_id) AS n {EVENTS}", "add ORDER BY"),
        ("SELECT IEEE_DIVIDE(1, 0) AS x", "SAFE_DIVIDE"),
        ("SELECT SAFE.LN(0.0) AS x", "IF(x > 0, LN(x), NULL)"),
        ("SELECT ROUND(1.005, 2) AS x", "ROUND(CAST(x AS NUMERIC), n)"),
        ("SELECT DATE '2026-01-05' + 1 AS x", "DATE_ADD"),
        (f"SELECT ingested_at - event_ts AS x {EVENTS}", "TIMESTAMP_DIFF"),
        (f"SELECT CAST(event_ts AS STRING) AS x {EVENTS}", "FORMAT_TIMESTAMP"),
        (f"SELECT DATETIME(event_ts) AS x {EVENTS}", "DATETIME has no zone"),
        ("SELECT PARSE_DATE('%d/%m/%Y', '05/01/2026') AS x", "CAST(x AS DATE)"),
        ("SELECT FORMAT('%d', 1) AS x", "CONCAT and CAST"),
        ("SELECT FORMAT_DATE('%c', DATE '2026-01-05') AS x", "is not kept equal; use"),
        ("SELECT TO_JSON_STRING(1) AS x", ": TO_JSON_STRING: keep JSON out"),
        (f"SELECT JSON_VALUE(query, '$.a') AS x {EVENTS}", ": JSON_VALUE: keep JSON out of the tables"),
        (
            f"SELECT JSON_EXTRACT_SCALAR(query, '$.a[0]') AS x {EVENTS}",
            ": JSON_EXTRACT_SCALAR: keep JSON out",
        ),
        ("SELECT JSON_OBJECT('a', 1) AS x", ": JSON_OBJECT: keep JSON out"),
        ("SELECT SOUNDEX('x') AS x", "SOUNDEX"),
        ("SELECT REVERSE('x') AS x", "REVERSE"),
        ("SELECT EXTRACT(WEEK FROM DATE '2026-01-05') AS x", "ISOWEEK"),
        (f"SELECT user_id {EVENTS} TABLESAMPLE SYSTEM (10 PERCENT)", "SAMPLE"),
        (f"SELECT * {EVENTS} FOR SYSTEM_TIME AS OF TIMESTAMP '2026-01-05'", "not kept equal"),
        (
            f"SELECT * FROM (SELECT user_id, quantity {EVENTS}) PIVOT (SUM(quantity) FOR user_id IN ('a'))",
            "IF",
        ),
        ("SELECT ARRAY(SELECT 1) AS x", "ARRAY_AGG"),
        ("SELECT AS STRUCT 1 AS x", "SELECT AS"),
        ("DECLARE x INT64 DEFAULT 1", "write one SELECT"),
        ("SELECT 1 AS x; SELECT 2 AS y", "2 statements"),
        ("ASSERT 1 = 1 AS 'x'", "write one SELECT"),
        (
            "MERGE staging.users t USING staging.users s ON t.user_id = s.user_id WHEN NOT MATCHED THEN INSERT ROW",
            "write one SELECT",
        ),
        ("CREATE TABLE staging.x PARTITION BY ds AS SELECT 1 AS ds", "write one SELECT"),
        ("DELETE FROM staging.users WHERE TRUE", "write one SELECT"),
        ("", "0 statements"),
        ("SELECT (", "Line 1"),
        ("SELEC 1", "starts with SELEC"),
        (f"SELECT nothing {EVENTS}", "'nothing' could not be resolved"),
        (
            f"SELECT e.user_ids {EVENTS} AS e",
            "'user_ids' could not be resolved. Did you mean user_id? marketplace",
        ),
        (f"SELECT nothing {EVENTS}", "marketplace.events has event_id, event_ts,"),
        (f"SELECT e.user_id {EVENTS} AS v", "there is no table 'e' in FROM"),
        (f"SELECT user_id {EVENTS}, marketplace.users", "marketplace.events and marketplace.users have it"),
        (f"WITH a AS (SELECT 1 AS cost {EVENTS}) SELECT costs FROM a", "Did you mean cost?"),
        (
            "SELECT 1 AS x FROM staging.nothing",
            "there is no table staging.nothing; `recsys tables` lists them",
        ),
        ("SELECT 1 AS x FROM staging.event", "Did you mean staging.events or marketplace.events?"),
        ("SELECT 1 AS x FROM recommendations", "Did you mean marts.recommendations?"),
        ("SELECT 1 AS x FROM nowhere", "the datasets are marketplace, staging,"),
        ("SELECT 1 AS x FROM `project.staging.events`", "there is no table"),
        (f"SELECT user_id = quantity AS x {EVENTS}", "mixes types"),
        (f"SELECT event_date < event_ts AS x {EVENTS}", "mixes types"),
        (f"SELECT user_id IN (1, 2) AS x {EVENTS}", "mixes types"),
        (f"SELECT COALESCE(user_id, 0) AS x {EVENTS}", "mixes types"),
        (f"SELECT IF(quantity, 1, 2) AS x {EVENTS}", "has to be BOOL"),
        (f"SELECT SUM(quantity > 1) AS x {EVENTS}", "COUNTIF a BOOL"),
        (f"SELECT CONCAT(user_id, quantity) AS x {EVENTS}", "has to be STRING"),
        (f"SELECT ROW_NUMBER() OVER (PARTITION BY propensity ORDER BY user_id) AS x {EVENTS}", "FLOAT64"),
        (f"SELECT user_id, seller_id AS user_id {EVENTS}", "two columns called user_id"),
        (f"SELECT @other AS x {EVENTS}", "-- params: other"),
        (f"SELECT @ds AS x {EVENTS}", "pass --ds DAY"),
    ],
)
def test_refused_with_a_remedy(sql: str, told: str) -> None:
    with pytest.raises(SqlError) as caught:
        translate(sql, "include/sql/staging/events.sql")
    assert str(caught.value).startswith("include/sql/staging/events.sql: ")
    assert told in str(caught.value)


def test_limit_needs_an_order_only_where_rows_are_kept() -> None:
    sql = "SELECT user_id FROM marketplace.users LIMIT 5"
    translate(sql)
    with pytest.raises(SqlError, match="LIMIT without ORDER BY"):
        translate(sql, repeatable=True)
    translate("SELECT user_id FROM marketplace.users ORDER BY user_id LIMIT 5", repeatable=True)


def test_division_by_zero_names_safe_divide(warehouse) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SqlError, match="SAFE_DIVIDE"):
        warehouse.query("SELECT 1 / x AS y FROM UNNEST([1, 0]) AS x")
    with pytest.raises(SqlError, match="floating point"):
        warehouse.query("SELECT LN(x) AS y FROM UNNEST([1, 0]) AS x")


def test_a_bad_literal_is_one_line(warehouse) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SqlError, match="2026-13-01") as caught:
        warehouse.query("SELECT CAST('2026-13-01' AS DATE) AS d")
    assert "\n" not in str(caught.value)


def test_a_guard_keeps_the_error_away(warehouse) -> None:  # type: ignore[no-untyped-def]
    sql = """SELECT IF(x > 0, LN(x), NULL) AS l, IF(x <> 0, 1 / x, NULL) AS d, SAFE_DIVIDE(NUMERIC '1', x) AS s
        FROM UNNEST([1, 0]) AS x ORDER BY x DESC"""
    rows = warehouse.query(sql).to_pylist()
    assert [tuple(row.values()) for row in rows] == [(0.0, 1.0, 1), (None, None, None)]
