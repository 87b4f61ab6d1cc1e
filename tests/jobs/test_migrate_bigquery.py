"""Datasets and tables in BigQuery: made, patched, or left alone with a word on what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from recsys import schema
from recsys.errors import ContractError
from recsys.jobs import migrate
from recsys.schema import Column
from recsys.settings import Settings
from recsys.warehouse import frames
from recsys.warehouse.bigquery.names import LEDGER, PARTED
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse
from tests.endpoint import BigQueryEndpoint
from tests.jobs.contracts import change_contract

PROJECT, DAY = "test-project", date(2026, 1, 5)
USERS = "staging.users"


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryEndpoint]:
    with BigQueryEndpoint(tmp_path / "endpoint") as endpoint:
        for name, value in endpoint.environment(PROJECT).items():
            monkeypatch.setenv(name, value)
        yield endpoint
        assert not endpoint.violations


@pytest.fixture
def settings(endpoint: BigQueryEndpoint, tmp_path: Path) -> Settings:
    return Settings.load({}, warehouse=f"bigquery://{PROJECT}/demo_", files=str(tmp_path / "files"))


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[BigQueryWarehouse]:
    with BigQueryWarehouse(settings) as opened:
        yield opened


def changed(endpoint: BigQueryEndpoint) -> list[str]:
    """Methods of the requests so far that change something."""
    reading = {
        "tables.get",
        "tables.list",
        "datasets.list",
        "datasets.get",
        "jobs.getQueryResults",
        "jobs.get",
    }
    return [request.method for request in endpoint.requests if request.method not in reading]


def users(contract: schema.Table, *ids: str) -> pa.Table:
    rows = [{"user_id": id_, "registered_at": None, "ds": DAY} for id_ in ids]
    table = pa.Table.from_pylist(rows, schema=frames.arrow_schema(contract))
    place = table.column_names.index("registered_at")
    moments = pa.array([DAY] * len(ids), pa.date32()).cast(pa.timestamp("us")).cast(frames.TIMESTAMP)
    return table.set_column(place, "registered_at", moments)


def test_an_empty_project_gets_every_dataset_and_table_and_then_nothing(
    settings: Settings, endpoint: BigQueryEndpoint, warehouse: BigQueryWarehouse
) -> None:
    told: list[str] = []
    planned = migrate.run(settings, dry_run=True, tell=told.append)
    assert changed(endpoint) == []
    assert planned["changes"] == len(told) == len(schema.TABLES) + 9
    assert "demo_staging: is not there; it is created" in told
    migrate.run(settings)
    client = warehouse.connection.client
    made = {
        f"{dataset.dataset_id.removeprefix('demo_')}.{table.table_id}": table.table_type
        for dataset in client.list_datasets()
        for table in client.list_tables(dataset)
    }
    wholes = {f"{name}__whole" for name in PARTED}
    assert set(made) == {*schema.TABLES, LEDGER, *wholes}
    assert {name for name, kind in made.items() if kind == "VIEW"} == set(PARTED)
    assert {d.location for d in (client.get_dataset(d.dataset_id) for d in client.list_datasets())} == {"EU"}
    before = len(changed(endpoint))
    assert migrate.run(settings)["changes"] == 0
    assert len(changed(endpoint)) == before


def test_a_column_put_last_is_added_and_old_rows_hold_null(
    settings: Settings, warehouse: BigQueryWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.run(settings)
    warehouse.write(USERS, users(schema.table(USERS), "a"), DAY)
    lists = schema.table("scoring.lists")
    for name in (USERS, lists.name, "monitoring.check_results"):
        columns = (*schema.table(name).columns, Column("tier", "STRING"))
        change_contract(monkeypatch, name, columns=columns)
    assert migrate.run(settings)["changes"] == 3
    assert warehouse.read(USERS, DAY)["tier"].isna().all()
    later = date(2026, 1, 6)
    rows = users(schema.table(USERS), "b").set_column(5, "ds", pa.array([later], pa.date32()))
    warehouse.write(USERS, rows.set_column(6, "tier", pa.array(["gold"])), later)
    read = warehouse.query(f"SELECT user_id, tier FROM {USERS} WHERE ds >= DATE '2026-01-01' ORDER BY 1")
    assert read.to_pylist() == [{"user_id": "a", "tier": None}, {"user_id": "b", "tier": "gold"}]
    empty = warehouse.query("SELECT COUNT(tier) AS n FROM scoring.lists WHERE ds = @ds", ds=DAY)
    assert empty.to_pylist() == [{"n": 0}], "the view over the parts shows the column too"
    assert migrate.run(settings)["changes"] == 0


def test_clustering_is_patched(
    settings: Settings, warehouse: BigQueryWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.run(settings)
    reference = warehouse.address.reference(USERS)
    table = warehouse.connection.table(reference)
    assert table is not None and table.clustering_fields == ["user_id"]
    table.clustering_fields = ["region"]
    warehouse.connection.client.update_table(table, ["clustering_fields"])
    told: list[str] = []
    migrate.run(settings, tell=told.append)
    assert f"{USERS}: is clustered by region; from now on by user_id" in told
    table = warehouse.connection.table(reference)
    assert table is not None and table.clustering_fields == ["user_id"]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (lambda t: (*t.columns, Column("tier", "STRING", True)), "tier: is new and required"),
        (
            lambda t: (Column("tier", "STRING"), *t.columns),
            r"another order.*Write them in recsys/schema\.py as: user_id",
        ),
        (
            lambda t: tuple(replace(c, type="STRING") if c.name == "birth_year" else c for c in t.columns),
            "is INT64",
        ),
        (
            lambda t: tuple(c for c in t.columns if c.name != "gender"),
            r"gender: is no longer.*`ALTER TABLE demo_staging\.users DROP COLUMN gender`",
        ),
        (
            lambda t: tuple(replace(c, required=True) for c in t.columns),
            "gender: is required.*2 rows hold NULL",
        ),
    ],
    ids=["required", "order", "type", "gone", "tighten"],
)
def test_a_refused_change_sends_nothing_until_the_table_is_made_anew(
    *,
    settings: Settings,
    endpoint: BigQueryEndpoint,
    warehouse: BigQueryWarehouse,
    monkeypatch: pytest.MonkeyPatch,
    columns,
    told: str,
) -> None:
    migrate.run(settings)
    warehouse.write(USERS, users(schema.table(USERS), "a", "b"), DAY)
    change_contract(monkeypatch, USERS, columns=columns(schema.table(USERS)))
    with pytest.raises(ContractError, match=rf"nothing was changed(.|\n)*{told}"):
        migrate.run(settings)
    assert not {"tables.patch", "tables.update", "tables.delete"} & set(changed(endpoint))
    assert warehouse.exists(USERS, DAY)
    migrate.run(settings, replace=[USERS])
    assert not warehouse.exists(USERS, DAY)
    table = warehouse.connection.table(warehouse.address.reference(USERS))
    assert table is not None
    assert [f.name for f in table.schema] == schema.table(USERS).column_names


def test_a_view_of_the_marketplace_is_never_touched(
    settings: Settings, endpoint: BigQueryEndpoint, warehouse: BigQueryWarehouse
) -> None:
    migrate.run(settings)
    client = warehouse.connection.client
    from google.cloud import bigquery

    reference = bigquery.TableReference.from_api_repr(warehouse.address.reference("marketplace.users"))
    client.delete_table(reference)
    view = bigquery.Table(reference)
    view.view_query = (
        "SELECT user_id, registered_at, birth_year, gender FROM `test-project.demo_staging.users` "
        "WHERE ds = DATE '2026-01-05'"
    )
    client.create_table(view)
    before = len(changed(endpoint))
    with pytest.raises(
        ContractError, match=r"marketplace\.users\.region.*Add CAST\(NULL AS STRING\) AS region"
    ):
        migrate.run(settings)
    assert len(changed(endpoint)) == before


def test_a_migration_that_was_cut_off_is_finished_by_running_it_again(
    settings: Settings, endpoint: BigQueryEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recsys.warehouse.bigquery.migrate import BigQueryStore

    apply, done = BigQueryStore.apply, []

    def dies(self: BigQueryStore, table: schema.Table, changes) -> str:
        done.append(table.name)
        if len(done) == 12:
            raise KeyboardInterrupt
        return apply(self, table, changes)

    with monkeypatch.context() as patched:
        patched.setattr(BigQueryStore, "apply", dies)
        with pytest.raises(KeyboardInterrupt):
            migrate.run(settings)
    assert migrate.run(settings)["changes"] == len(schema.TABLES) - 11
    assert migrate.run(settings)["changes"] == 0
