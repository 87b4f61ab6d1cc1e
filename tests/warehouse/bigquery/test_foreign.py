"""Tables without a contract: any dataset of the project, by validated names and under the ceiling of every query."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import bigquery

from recsys.errors import ContractError, WarehouseError
from recsys.jobs import analyze
from recsys.jobs.any_table import read_any
from recsys.warehouse.bigquery.foreign import read_foreign, select
from recsys.warehouse.bigquery.names import Address, quoted_name
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse
from tests.endpoint import BigQueryEndpoint
from tests.test_injection import FRAGMENTS

DAY = date(2026, 1, 5)
COLUMNS = [("id", "STRING"), ("arm", "STRING"), ("revenue", "FLOAT64"), ("day", "DATE")]


@pytest.fixture
def mydata(production: BigQueryWarehouse, tmp_path: Path) -> BigQueryWarehouse:
    """``mydata.users``: four units on each of two days; ``filtered`` asks for a filter, ``seen`` is a view."""
    client = production.connection.client
    client.create_dataset("mydata")
    days = [DAY] * 4 + [DAY + timedelta(days=1)] * 4
    ids, arms = [f"u{n}" for n in range(8)], ["a", "b"] * 4
    rows = pa.table({"id": ids, "arm": arms, "revenue": [float(n) for n in range(8)], "day": days})
    pq.write_table(rows, tmp_path / "rows.parquet")
    for name, more in (("users", {}), ("filtered", {"requirePartitionFilter": True}), ("whole", None)):
        reference = production.address.foreign(f"mydata.{name}")
        columns = {"fields": [{"name": n, "type": kind} for n, kind in COLUMNS]}
        resource: dict[str, Any] = {"tableReference": reference, "schema": columns}
        if more is not None:
            resource |= {"timePartitioning": {"type": "DAY", "field": "day"}, **more}
        client.create_table(bigquery.Table.from_api_repr(resource))
        load = {"sourceFormat": "PARQUET", "writeDisposition": "WRITE_APPEND", "schema": columns}
        production.connection.load(tmp_path / "rows.parquet", reference, load, {}, name)
    view = bigquery.Table(bigquery.TableReference.from_api_repr(production.address.foreign("mydata.seen")))
    view.view_query = (
        f"SELECT id, arm, revenue FROM `{production.address.project}`.`mydata`.`whole` WHERE revenue > 3"
    )
    client.create_table(view)
    return production


def test_any_table_or_view_of_the_project_is_read(mydata: BigQueryWarehouse) -> None:
    for name, rows in (("users", 8), ("filtered", 8), ("whole", 8), ("seen", 4)):
        assert len(read_any(mydata.settings, f"mydata.{name}")) == rows, name
    found = analyze.run(mydata.settings, "mydata.users", analyze.Question("id", "arm", ("revenue",)))
    assert found.counts == {"a": 4, "b": 4} and found.results[0].difference == pytest.approx(1)


def test_one_day_of_a_table_that_has_days(mydata: BigQueryWarehouse, endpoint: BigQueryEndpoint) -> None:
    for name in ("users", "filtered"):
        frame = read_foreign(mydata, f"mydata.{name}", DAY)
        assert frame is not None and sorted(frame["id"]) == ["u0", "u1", "u2", "u3"]
    assert all(DAY.isoformat() not in one["sql"] for one in endpoint.statements)
    for name in ("whole", "seen"):
        with pytest.raises(
            WarehouseError, match=f"mydata.{name} is not partitioned by a DATE.*Leave --ds out"
        ):
            read_foreign(mydata, f"mydata.{name}", DAY)


def test_all_days_of_a_table_of_ours(mydata: BigQueryWarehouse) -> None:
    for day in (DAY, DAY + timedelta(days=2)):
        rows = [{"experiment_id": "e", "unit": "user", "unit_id": f"u{day.day}", "arm": "a", "policy": "p", "bucket": 1,
                 "started_on": day, "first_assigned_on": day, "ds": day}]  # fmt: skip
        mydata.write("experiments.assignments", pa.Table.from_pylist(rows), day)
    assert read_any(mydata.settings, "experiments.assignments")["unit_id"].tolist() == ["u5", "u7"]


def test_a_table_that_is_not_there(mydata: BigQueryWarehouse) -> None:
    for name in ("mydata.none", "nothing.users"):
        with pytest.raises(ContractError, match=rf"'{name}' is neither a file nor a table.*DATASET\.TABLE"):
            read_any(mydata.settings, name)


@pytest.mark.parametrize(
    "name",
    [
        *FRAGMENTS,
        *(f"mydata.{text}" for text in FRAGMENTS),
        "a.b.c",
        "users",
        "mydata.",
        ".users",
        "mydata.users$20260105",
        "my-data.users",
        "é.users",
    ],
)
def test_a_name_of_other_characters_is_sent_nowhere(
    production: BigQueryWarehouse, endpoint: BigQueryEndpoint, name: str
) -> None:
    before = len(endpoint.requests)
    with pytest.raises(ContractError, match="neither a file nor a table"):
        read_any(production.settings, name)
    with pytest.raises(ContractError, match="is no name of a table"):
        Address("my-project").foreign(name)
    assert len(endpoint.requests) == before


def test_names_of_columns_cannot_end_their_quotes() -> None:
    reference = Address("my-project").foreign("d.t-1")
    assert select(reference, ["a` FROM x --", "b\\"]) == (
        "SELECT `a\\` FROM x --`, `b\\\\` FROM `my-project`.`d`.`t-1`"
    )
    assert quoted_name("plain") == "`plain`"
