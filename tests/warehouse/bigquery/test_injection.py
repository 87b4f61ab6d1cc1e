"""SQL injection in BigQuery mode, judged on what is sent: texts are files, values are typed parameters."""

from __future__ import annotations

import dataclasses
import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given

from recsys.errors import ContractError, RecsysError, SettingsError, SqlError, WarehouseError
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse import erasure
from recsys.warehouse.bigquery import statement
from recsys.warehouse.bigquery.names import Address, label, part_name
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse
from recsys.warehouse.tables import load_spec, sql_tables
from tests.endpoint import BigQueryEndpoint
from tests.test_injection import FEW, FRAGMENTS, HOSTILE

DAY = date(2026, 1, 5)
SETTINGS = Settings.load({}, warehouse="bigquery://my-project/demo_", files="/nowhere")
SPECS = [load_spec(SETTINGS.sql_dir, name) for name in sql_tables(SETTINGS.sql_dir)]
TEXTS = ("timezone", "currency", "item_unit")


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("text", FRAGMENTS[:6])
def test_no_setting_and_no_label_changes_the_text_of_a_build(spec, text: str) -> None:
    hostile = object.__new__(Settings)  # settings that no check has looked at
    for field in dataclasses.fields(Settings):
        object.__setattr__(
            hostile, field.name, text if field.name in TEXTS else getattr(SETTINGS, field.name)
        )
    plain = statement.build_configuration(spec, DAY, SETTINGS, {"dag": "d", "task": "t"})
    sent = statement.build_configuration(spec, DAY, hostile, {"dag": text, "task": text, "run": text})
    assert sent["query"]["query"] == plain["query"]["query"]
    assert sent["query"]["destinationTable"] == plain["query"]["destinationTable"]
    given_ = {p["name"]: p for p in sent["query"].get("queryParameters", [])}
    assert set(given_) == {p["name"] for p in plain["query"].get("queryParameters", [])}
    for name in set(given_) & set(TEXTS):
        assert given_[name]["parameterType"] == {"type": "STRING"}
        assert given_[name]["parameterValue"] == {"value": text}
    assert all(re.fullmatch(r"[a-z0-9_-]{0,63}", value) for value in sent["labels"].values())


@FEW
@given(HOSTILE)
def test_a_value_is_a_typed_parameter_whatever_it_holds(text: str) -> None:
    sent = statement.query_parameters({"one": text, "many": [text, "x"]})
    assert sent[0] == {"name": "one", "parameterType": {"type": "STRING"}, "parameterValue": {"value": text}}
    assert sent[1]["parameterValue"]["arrayValues"] == [{"value": text}, {"value": "x"}]
    assert re.fullmatch(r"[a-z0-9_-]{0,63}", label(text))


@FEW
@given(HOSTILE)
def test_a_name_is_one_of_ours_or_refused(text: str) -> None:
    address = Address.parse("bigquery://my-project/demo_")
    for name in (text, f"staging.{text}", f"staging.users{text}"):
        for use in (address.table, address.quoted, lambda n: address.partition(n, DAY)):
            with pytest.raises(ContractError):
                use(name)
        with pytest.raises(SqlError):
            statement.qualify_tables(f"SELECT 1 FROM `{name}`", address)
    with pytest.raises(WarehouseError):
        address.dataset(text)
    with pytest.raises(WarehouseError):
        part_name("scoring.lists", f"'{text}")
    with pytest.raises(SettingsError):
        Address.parse(f"bigquery://my-project/demo-{text}")


@FEW
@given(HOSTILE)
def test_what_forgets_a_person_is_the_same_text_for_everyone(text: str) -> None:
    given_ = {**erasure.values(text), "texts": [text], "first": DAY, "last": DAY}
    plain = {**erasure.values("u1"), "texts": ["u1"], "first": DAY, "last": DAY}
    for rule in erasure.rules():
        if rule.is_source:
            continue
        sent = erasure.bigquery_statements(rule, "`p`.`d`.`t`", given_)
        usual = erasure.bigquery_statements(rule, "`p`.`d`.`t`", plain)
        assert [sql for sql, _ in sent] == [sql for sql, _ in usual]
        assert all(value == text for _, bound in sent for name, value in bound.items() if name == "user")
        sent_local, usual_local = erasure.local_rows(rule, given_), erasure.local_rows(rule, plain)
        assert sent_local[0] == usual_local[0]


@pytest.mark.parametrize("text", FRAGMENTS[:4])
def test_what_is_written_comes_back_and_no_request_holds_it_in_a_statement(
    production: BigQueryWarehouse, endpoint: BigQueryEndpoint, text: str
) -> None:
    users = pd.DataFrame(
        {
            "user_id": [text],
            "registered_at": pd.Timestamp("2025-12-01", tz="UTC"),
            "birth_year": 1990,
            "gender": text,
            "region": text,
        }
    )
    production.write("marketplace.users", users)
    found = production.query(
        "SELECT user_id, @text AS text FROM marketplace.users WHERE user_id = @text OR region IN UNNEST(@more)",
        {"text": text, "more": [text]},
    )
    assert found.to_pylist() == [{"user_id": text, "text": text}]
    assert all(text not in one["sql"] for one in endpoint.statements)


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE staging.users",
        "SELECT 1; DROP TABLE staging.users",
        "EXPORT DATA OPTIONS(uri='x') AS SELECT 1",
    ],
)
def test_a_query_that_is_no_select_is_never_sent(
    production: BigQueryWarehouse, endpoint: BigQueryEndpoint, text: str
) -> None:
    before = len(endpoint.requests)
    with pytest.raises(RecsysError):
        production.query(text)
    assert len(endpoint.requests) == before


def test_no_text_that_becomes_sql_is_a_template() -> None:
    """SQL files and suites hold no Jinja, so nothing of a run can be rendered into them."""
    files = [
        *(PROJECT_ROOT / "include" / "sql").rglob("*.sql"),
        *(PROJECT_ROOT / "expectations").glob("*.sql"),
    ]
    assert len(files) > 30
    assert [
        path.name for path in map(Path, files) if re.search(r"\{\{|\{%", path.read_text(encoding="utf-8"))
    ] == []
