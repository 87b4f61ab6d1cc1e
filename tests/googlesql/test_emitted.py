"""Every statement that goes to BigQuery is one that Google's analyzer takes. These tests run last of all (conftest)."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from recsys import schema
from recsys.settings import Settings
from recsys.warehouse import erasure
from recsys.warehouse.bigquery import foreign
from recsys.warehouse.bigquery.ledger import Ledger
from recsys.warehouse.bigquery.migrate import BigQueryStore
from recsys.warehouse.bigquery.names import PARTED, Address
from recsys.warehouse.bigquery.resources import view_query
from recsys.warehouse.bigquery.statement import build_configuration, qualify_tables
from recsys.warehouse.dialect import parameter_type
from recsys.warehouse.tables import load_spec
from tests.googlesql import emitted, gate, record, texts
from tests.googlesql.analyzer import GoogleSqlError, analyzer
from tests.sql import fixture

SETTINGS = Settings.load({}, warehouse="bigquery://my-project/demo_", files="/shared")
ADDRESS = Address.parse(SETTINGS.warehouse)
DS = dt.date(2026, 1, 14)
THEIRS = "INSERT INTO shop."
"""What tests send for the marketplace's own system, which keeps its tables elsewhere."""
FOREIGN = "`.`mydata`.`"
"""In a statement over a table without a contract, of which only ``test_foreign_tables`` knows the columns."""
BUILDS = [text.name for text in texts.files()]


def test_builds() -> None:
    record.total("build statements analysed", BUILDS)
    for name in BUILDS:
        query = build_configuration(load_spec(SETTINGS.sql_dir, name), DS, SETTINGS, {})["query"]
        types = tuple((p["name"], p["parameterType"]["type"]) for p in query["queryParameters"])
        assert emitted.fault(query["query"], types, name) is None
        record.done("build statements analysed", name)


def test_views_over_parts() -> None:
    for table in PARTED:
        columns = [(column.name, column.type) for column in schema.table(table).columns]
        assert columns
        assert emitted.fault(view_query(table, ("000", "001", "whole"), ADDRESS), (), table) is None


class Recorder:
    """Stands for a connection: keeps the configurations of jobs and answers none."""

    address: ClassVar[Address] = ADDRESS

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def query(self, configuration: dict[str, Any], name: str) -> None:
        assert name
        self.sent.append(configuration["query"])

    def rows(self, job: None) -> pa.Table:
        assert job is None
        return pa.table({"user_id": [0]})


@pytest.mark.parametrize("ds", [DS, None])
def test_ledger(ds: dt.date | None) -> None:
    recorder = Recorder()
    ledger = Ledger(recorder, SETTINGS)  # type: ignore[arg-type]
    now = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
    ledger.record("staging.users", ds, "", rows=1, job_id="j", built_at=now)
    ledger.forget("staging.users", ds)
    ledger.forget("scoring.lists", ds, "000")
    assert len(recorder.sent) == 3
    for query in recorder.sent:
        types = tuple((p["name"], p["parameterType"]["type"]) for p in query["queryParameters"])
        assert emitted.fault(query["query"], types, None) is None


@pytest.mark.parametrize(
    "rule", [rule for rule in erasure.rules() if not rule.is_source], ids=lambda rule: rule.table
)
def test_erasure(rule: erasure.Rule) -> None:
    given = erasure.values("u1") | {"first": DS, "last": DS}
    target = ADDRESS.quoted(rule.table, "000" if rule.table in PARTED else None)
    sent = [
        *erasure.bigquery_statements(rule, target, given),
        erasure.bigquery_count(rule, target, given),
    ]
    assert len(sent) >= 2
    for sql, bound in sent:
        types = tuple((name, parameter_type(name, value)) for name, value in bound.items())
        assert emitted.fault(sql, types, None) is None


def test_migration_counts_nulls() -> None:
    recorder = Recorder()
    store = BigQueryStore(SimpleNamespace(address=ADDRESS, connection=recorder, settings=SETTINGS))  # type: ignore[arg-type]
    for name in ("staging.users", "marketplace.items", "scoring.lists"):
        store._nulls(schema.table(name), schema.table(name).column_names[:2])
    assert len(recorder.sent) == 3
    for query in recorder.sent:
        assert emitted.fault(query["query"], (), None) is None


def test_statements_in_modules() -> None:
    for text in texts.inline():
        sql = qualify_tables(text.sql, ADDRESS, text.name)
        values = texts.parameters(text, SETTINGS, DS)
        types = tuple((name, parameter_type(name, value)) for name, value in values.items())
        assert emitted.fault(sql, types, None) is None, text.name


def test_foreign_tables() -> None:
    reference = ADDRESS.foreign("mydata.users-1")
    tables = {tuple(reference.values()): {"odd name": "STRING", "day": "DATE"}}
    for day, one_day in ((None, False), ("day", False), ("day", True)):
        sql = foreign.select(reference, ["odd name", "day"], day, one_day=one_day)
        found = analyzer().columns(sql, {"ds": "DATE"}, tables)
        assert FOREIGN in sql and found == [("odd name", "STRING"), ("day", "DATE")]


def test_guards_raise_on_the_reference_engine() -> None:
    """The guard lets good rows through as they are, and no NULL and no key twice."""
    spec = load_spec(SETTINGS.sql_dir, "features.item_group")
    case = fixture.load(fixture.FOLDER / "features.item_group.yaml")
    given = {name: [fixture.complete(name, row, DS) for row in rows] for name, rows in case.given.items()}
    query = build_configuration(spec, case.ds, SETTINGS, {})["query"]["query"]
    sql = query.replace("`my-project`.`demo_staging`.`", "staging.`").replace("`", "")
    values = {"ds": case.ds, "item_unit": "group"}
    plain = analyzer().rows(spec.sql, values, given)
    assert gate.differing(analyzer().rows(sql, values, given), plain) == []
    broken = given | {"staging.items": [*given["staging.items"], given["staging.items"][0]]}
    with pytest.raises(GoogleSqlError, match="key \\(item_id\\) is not unique"):
        analyzer().rows(sql, values, broken)
    missing = given | {"staging.items": [{**given["staging.items"][0], "category_id": None}]}
    with pytest.raises(GoogleSqlError, match=r"features.item_group.group_id: a value is NULL"):
        analyzer().rows(sql, values, missing)


def test_a_statement_for_another_table_is_a_fault() -> None:
    sql = "SELECT user_id FROM `my-project`.`demo_staging`.`users` WHERE ds = @ds"
    assert emitted.fault(sql, (("ds", "DATE"),), None) is None
    assert "is to get" in (emitted.fault(sql, (("ds", "DATE"),), "staging.users") or "")
    assert "Unrecognized name: dss" in (
        emitted.fault(sql.replace("ds =", "dss ="), (("ds", "DATE"),), None) or ""
    )
    assert "is no table" in (emitted.fault(sql.replace("users", "user"), (), None) or "")


def test_what_the_endpoint_was_sent() -> None:
    """Whatever the tests of the warehouse, the operators and the chain have sent until now."""
    kind = "statements sent to the BigQuery endpoint analysed"
    ours = [s for s in record.SENT if not s["sql"].startswith(THEIRS) and FOREIGN not in s["sql"]]
    record.total(kind, (statement["sql"] for statement in ours))
    faults = []
    for statement in ours:
        types = tuple(sorted(statement["types"].items()))
        found = emitted.fault(statement["sql"], types, emitted.made_by(statement["target"]))
        if found:
            faults.append(found)
        else:
            record.done(kind, statement["sql"])
    assert faults == [], "\n\n".join(faults)
