"""What a query job is given: qualified tables, guards, typed parameters, the job's configuration."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from recsys import schema
from recsys.errors import ContractError, SqlError
from recsys.settings import Settings
from recsys.warehouse.bigquery.names import Address
from recsys.warehouse.bigquery.refusals import guards
from recsys.warehouse.bigquery.statement import (
    build_configuration,
    build_statement,
    qualify_tables,
    query_configuration,
    query_parameters,
)
from recsys.warehouse.dialect import translate
from recsys.warehouse.tables import load_spec, parse_spec, sql_tables
from tests.warehouse.conftest import USERS_SQL

DAY = dt.date(2026, 1, 5)
ADDRESS = Address("my-project", "demo_")
SETTINGS = Settings.load({}, warehouse=str(ADDRESS))
EVENTS = "`my-project`.`demo_staging`.`events`"
LABELS = {"dag": "features_daily", "task": "staging.users", "ds": "2026-01-05"}
ALL = sql_tables(SETTINGS.sql_dir)


@pytest.mark.parametrize(
    ("written", "qualified"),
    [
        ("SELECT 1 FROM staging.events", f"SELECT 1 FROM {EVENTS}"),
        ("SELECT e.x FROM `staging.events` e", f"SELECT e.x FROM {EVENTS} e"),
        ("SELECT 1 FROM `staging` . events", f"SELECT 1 FROM {EVENTS}"),
        (
            "SELECT 'staging.events' AS \"é\" -- staging.events\nFROM/**/staging.events",
            f"SELECT 'staging.events' AS \"é\" -- staging.events\nFROM/**/{EVENTS}",
        ),
        (
            "WITH events AS (SELECT * FROM staging.events) SELECT * FROM events, EVENTS AS b",
            f"WITH events AS (SELECT * FROM {EVENTS}) SELECT * FROM events, EVENTS AS b",
        ),
        (
            "SELECT (SELECT MAX(ds) FROM staging.events) FROM staging.events JOIN staging.events AS b USING (ds)",
            f"SELECT (SELECT MAX(ds) FROM {EVENTS}) FROM {EVENTS} JOIN {EVENTS} AS b USING (ds)",
        ),
        ("SELECT events.ds FROM staging.events", f"SELECT events.ds FROM {EVENTS}"),
        ("SELECT x FROM UNNEST([1]) AS x", "SELECT x FROM UNNEST([1]) AS x"),
    ],
)
def test_tables_are_qualified_and_nothing_else_changes(written: str, qualified: str) -> None:
    assert qualify_tables(written, ADDRESS) == qualified


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT 1 FROM staging.nothing", "there is no table staging.nothing"),
        ("SELECT 1 FROM STAGING.EVENTS", "there is no table STAGING.EVENTS"),
        ("SELECT 1 FROM `other-project.staging.events`", "there is no table other-project.staging.events"),
        ("SELECT 1 FROM staging.INFORMATION_SCHEMA.TABLES", "there is no table"),
        ("SELECT staging.events.ds FROM staging.events", "give the table an alias"),
        ("SELECT (", "Line 1"),
    ],
)
def test_what_is_no_table_of_the_contracts_is_refused(sql: str, told: str) -> None:
    with pytest.raises(SqlError, match=told):
        qualify_tables(sql, ADDRESS)


@pytest.mark.parametrize("table", ALL)
def test_the_file_is_in_the_statement_as_it_is_written(table: str) -> None:
    spec = load_spec(SETTINGS.sql_dir, table)
    statement = build_statement(spec, ADDRESS)
    assert spec.sql in statement.replace("`my-project`.`demo_", "").replace("`.`", ".").replace("`", "")


@pytest.mark.parametrize("table", ALL)
def test_the_statement_returns_the_contract_in_its_order(table: str) -> None:
    spec = load_spec(SETTINGS.sql_dir, table)
    given = {"ds": "DATE", **{name: _type(getattr(SETTINGS, name)) for name in spec.params}}
    local = build_statement(spec, ADDRESS).replace("`my-project`.`demo_", "`")
    returned = translate(local, table, given, repeatable=True).columns
    assert list(returned) == [(column.name, column.type) for column in schema.table(table).columns]


def _type(value: object) -> str:
    return {int: "INT64", float: "FLOAT64", str: "STRING"}[type(value)]


def test_guards_name_the_table_and_the_column() -> None:
    told = guards(schema.table("features.user_category_affinity"))
    assert "region" not in told
    assert told["share"] == "features.user_category_affinity.share: a value is NULL; it must not be NULL."
    assert told[""] == "features.user_category_affinity: the key (user_id, category_id) is not unique."


def test_parameters_have_types() -> None:
    moment = dt.datetime(2026, 1, 5, 1, 2, 3, 4, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    given = {
        "ds": DAY,
        "n": 3,
        "x": 0.1,
        "ok": True,
        "price": Decimal("9.50"),
        "at": moment,
        "text": "'); DROP TABLE x; -- é",
        "many": ["a", "b"],
    }
    assert [
        (p["name"], p["parameterType"]["type"], p["parameterValue"]) for p in query_parameters(given)
    ] == [
        ("ds", "DATE", {"value": "2026-01-05"}),
        ("n", "INT64", {"value": "3"}),
        ("x", "FLOAT64", {"value": "0.1"}),
        ("ok", "BOOL", {"value": "true"}),
        ("price", "NUMERIC", {"value": "9.50"}),
        ("at", "TIMESTAMP", {"value": "2026-01-05 00:02:03.000004+00:00"}),
        ("text", "STRING", {"value": "'); DROP TABLE x; -- é"}),
        ("many", "ARRAY", {"arrayValues": [{"value": "a"}, {"value": "b"}]}),
    ]
    assert query_parameters(given)[-1]["parameterType"]["arrayType"] == {"type": "STRING"}


@pytest.mark.parametrize("value", [None, [], object()])
def test_a_value_without_a_type_is_refused(value: object) -> None:
    with pytest.raises(SqlError, match="@x is"):
        query_parameters({"x": value})


def test_a_query_has_a_ceiling_and_labels() -> None:
    settings = replace(SETTINGS, max_gb=1.5)
    assert query_configuration("SELECT 1", {}, settings, {"task": "Check Sources"}) == {
        "query": {"query": "SELECT 1", "useLegacySql": False, "maximumBytesBilled": "1500000000"},
        "labels": {"task": "check-sources"},
    }


def test_the_job_replaces_one_partition() -> None:
    spec = load_spec(SETTINGS.sql_dir, "features.user_daily")
    configuration = build_configuration(spec, DAY, SETTINGS, LABELS)
    query = configuration["query"]
    assert query.pop("query") == build_statement(spec, ADDRESS)
    parameters = {p["name"]: p["parameterType"]["type"] for p in query.pop("queryParameters")}
    assert parameters == {"active_days": "INT64", "ds": "DATE", "timezone": "STRING"}
    assert query == {
        "useLegacySql": False,
        "parameterMode": "NAMED",
        "maximumBytesBilled": "500000000000",
        "destinationTable": {
            "projectId": "my-project",
            "datasetId": "demo_features",
            "tableId": "user_daily$20260105",
        },
        "writeDisposition": "WRITE_TRUNCATE",
        "createDisposition": "CREATE_IF_NEEDED",
        "timePartitioning": {"type": "DAY", "field": "ds", "requirePartitionFilter": True},
        "clustering": {"fields": list(spec.cluster)},
    }
    assert configuration["labels"] == {"dag": "features_daily", "task": "staging-users", "ds": "2026-01-05"}


def test_values_of_settings_are_never_in_the_text() -> None:
    spec = parse_spec(
        USERS_SQL.replace("-- upstream", "-- params: timezone\n-- upstream")
        + "WHERE DATE(registered_at, @timezone) <= @ds\n",
        "staging.users",
        Path("users.sql"),
    )
    settings = replace(SETTINGS, timezone="Europe/Paris")
    configuration = build_configuration(spec, DAY, settings, LABELS)
    assert "Europe/Paris" in str(configuration["query"]["queryParameters"])
    assert "Europe/Paris" not in configuration["query"]["query"]
    assert "2026-01-05" not in configuration["query"]["query"]


@pytest.mark.parametrize(
    ("replaced", "by", "error", "told"),
    [
        ("gender, ", "", ContractError, "lacks gender"),
        ("region, @ds", "ANY_VALUE(region) AS region, @ds", SqlError, "MIN, MAX"),
        ("@ds AS ds", "'2026-01-05' AS ds", ContractError, "expected DATE"),
        ("@ds AS ds", "@day AS ds", SqlError, "@day"),
    ],
)
def test_what_is_refused_locally_is_refused_before_it_is_sent(
    replaced: str, by: str, error: type[Exception], told: str
) -> None:
    spec = parse_spec(USERS_SQL.replace(replaced, by), "staging.users", Path("users.sql"))
    with pytest.raises(error, match=told):
        build_configuration(spec, DAY, SETTINGS, LABELS)
