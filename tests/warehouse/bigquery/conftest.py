"""A BigQuery endpoint with the tables of the contracts, and both kinds of warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud import bigquery

from recsys import schema
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse
from recsys.warehouse.bigquery.names import LEDGER, PARTED, WHOLE
from recsys.warehouse.bigquery.resources import part_resource, table_resource
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse
from recsys.warehouse.tables import datasets
from tests.endpoint import BigQueryEndpoint
from tests.googlesql import record

PROJECT = "test-project"


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryEndpoint]:
    """An endpoint that clients find by the environment; a request it does not know fails the test."""
    with BigQueryEndpoint(tmp_path / "endpoint") as endpoint:
        for name, value in endpoint.environment(PROJECT).items():
            monkeypatch.setenv(name, value)
        yield endpoint
        record.SENT.extend(endpoint.statements)
        assert not endpoint.violations


@pytest.fixture
def bigquery_settings(tmp_path: Path) -> Settings:
    return Settings.load(
        {},
        warehouse=f"bigquery://{PROJECT}/demo_",
        home=str(tmp_path / "home"),
        files=str(tmp_path / "files"),
    )


@pytest.fixture
def production(endpoint: BigQueryEndpoint, bigquery_settings: Settings) -> Iterator[BigQueryWarehouse]:
    """A warehouse in BigQuery whose tables are made and empty."""
    with BigQueryWarehouse(bigquery_settings) as opened:
        make_tables(opened.connection.client, bigquery_settings)
        yield opened


@pytest.fixture(params=["local", "bigquery"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse of each kind, with the same home."""
    if request.param == "bigquery":
        yield request.getfixturevalue("production")
        return
    settings = Settings.load({}, warehouse=str(tmp_path / "warehouse"), home=str(tmp_path / "home"))
    with open_warehouse(settings) as opened:
        yield opened


def make_tables(client: bigquery.Client, settings: Settings) -> None:
    """What ``recsys migrate`` makes in an empty project."""
    prefix = table_resource(LEDGER, settings)["tableReference"]["datasetId"].removesuffix("monitoring")
    for dataset in datasets():
        client.create_dataset(f"{prefix}{dataset}")
    for table in (LEDGER, *schema.TABLES):
        if table in PARTED:
            client.create_table(bigquery.Table.from_api_repr(part_resource(table, WHOLE, settings)))
        client.create_table(bigquery.Table.from_api_repr(table_resource(table, settings)))
