"""Tables as BigQuery is told of them."""

from __future__ import annotations

import pytest

from recsys import schema
from recsys.settings import Settings
from recsys.warehouse.bigquery.names import LEDGER, PARTED, Address
from recsys.warehouse.bigquery.resources import (
    load_configuration,
    part_resource,
    table_resource,
    view_query,
    view_resource,
)
from recsys.warehouse.dialect import translate
from recsys.warehouse.tables import load_spec, sql_tables

SETTINGS = Settings.load({}, warehouse="bigquery://my-project/demo_")


def test_a_table_is_partitioned_and_clustered() -> None:
    resource = table_resource("features.user_daily", SETTINGS)
    assert resource["tableReference"] == {
        "projectId": "my-project",
        "datasetId": "demo_features",
        "tableId": "user_daily",
    }
    assert resource["timePartitioning"] == {"type": "DAY", "field": "ds"}
    assert resource["requirePartitionFilter"] is True
    assert resource["clustering"] == {"fields": ["user_id"]}
    fields = {field["name"]: field for field in resource["schema"]["fields"]}
    assert list(fields) == schema.table("features.user_daily").column_names
    assert fields["user_id"]["description"] == "Part of the key. Never NULL."
    assert fields["region"]["description"] == "May be NULL."
    assert fields["ds"] == {
        "name": "ds",
        "type": "DATE",
        "mode": "NULLABLE",
        "description": "Names the partition. Never NULL.",
    }


@pytest.mark.parametrize("name", sorted(schema.TABLES))
def test_every_partitioned_table_asks_for_its_filter(name: str) -> None:
    contract = schema.table(name)
    resource = part_resource(name, "whole", SETTINGS) if name in PARTED else table_resource(name, SETTINGS)
    assert resource.get("requirePartitionFilter", False) is (contract.partition is not None)
    assert resource.get("timePartitioning", {}).get("field") == (contract.partition or contract.divided)
    columns = resource["clustering"]["fields"]
    assert 1 <= len(columns) <= 4
    assert set(columns) <= set(contract.column_names) - {contract.partition}
    kinds = {column.name: column.type for column in contract.columns}
    assert not [column for column in columns if kinds[column] == "FLOAT64"]


@pytest.mark.parametrize("name", sql_tables(SETTINGS.sql_dir))
def test_a_load_and_a_build_agree_on_the_table(name: str) -> None:
    """BigQuery refuses a job whose partitioning or clustering is not the table's."""
    spec = load_spec(SETTINGS.sql_dir, name)
    made, loaded = table_resource(name, SETTINGS), load_configuration(name, SETTINGS, None)
    assert made["clustering"]["fields"] == loaded["clustering"]["fields"] == list(spec.cluster)
    assert loaded["timePartitioning"]["field"] == made["timePartitioning"]["field"]
    assert loaded["schema"] == made["schema"]


def test_a_table_kept_whole_has_no_partitions() -> None:
    resource = table_resource("marketplace.users", SETTINGS)
    assert "timePartitioning" not in resource
    assert "requirePartitionFilter" not in resource
    assert "timePartitioning" not in load_configuration("marketplace.users", SETTINGS, None)


def test_a_table_kept_whole_may_be_divided_by_a_time() -> None:
    resource = table_resource("marketplace.items", SETTINGS)
    assert resource["timePartitioning"] == {"type": "DAY", "field": "closed_at"}
    assert resource["requirePartitionFilter"] is False
    loaded = load_configuration("marketplace.items", SETTINGS, None)
    assert loaded["timePartitioning"] == resource["timePartitioning"]


def test_a_parted_table_is_a_view_over_its_parts() -> None:
    resource = view_resource("scoring.lists", ("001", "000"), SETTINGS)
    assert resource["tableReference"]["tableId"] == "lists"
    assert resource["view"]["useLegacySql"] is False
    query = resource["view"]["query"]
    assert query == view_query("scoring.lists", ["000", "001"], Address("my-project", "demo_"))
    assert query.index("`lists__000`") < query.index("`lists__001`")
    assert "schema" not in resource
    assert "`lists__whole`" in table_resource("scoring.lists", SETTINGS)["view"]["query"]


def test_the_view_has_the_columns_of_the_contract() -> None:
    query = view_query("scoring.lists", ["000", "001"], Address("my-project", ""))
    contract = schema.table("scoring.lists")
    shape = {f"lists__00{n}": {c.name: c.type for c in contract.columns} for n in (0, 1)}
    local = query.replace("`my-project`.`scoring`.", "")
    returned = translate(local, "view", foreign=shape).columns
    assert list(returned) == [(column.name, column.type) for column in contract.columns]


def test_the_ledger_has_no_contract_and_a_table() -> None:
    assert LEDGER not in schema.TABLES
    resource = table_resource(LEDGER, SETTINGS)
    assert resource["tableReference"]["tableId"] == "builds"
    assert [field["name"] for field in resource["schema"]["fields"]] == [
        "table_name",
        "ds",
        "part",
        "row_count",
        "job_id",
        "built_at",
    ]
