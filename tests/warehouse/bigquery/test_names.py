"""Which project, dataset, table and partition a name means; what is no name is refused."""

from __future__ import annotations

from datetime import date

import pytest

from recsys.errors import ContractError, SettingsError, WarehouseError
from recsys.warehouse.bigquery.names import Address, label

ADDRESS = Address("my-project", "demo_")


@pytest.mark.parametrize(
    ("url", "project", "dataset"),
    [
        ("bigquery://my-project/demo_", "my-project", "demo_staging"),
        ("bigquery://my-project/", "my-project", "staging"),
        ("bigquery://my-project", "my-project", "staging"),
        ("bigquery://example.com:my-project/x", "example.com:my-project", "xstaging"),
    ],
)
def test_an_address_names_project_and_prefix(url: str, project: str, dataset: str) -> None:
    address = Address.parse(url)
    assert (address.project, address.dataset("staging")) == (project, dataset)


@pytest.mark.parametrize(
    "url",
    [
        "bigquery://",
        "bigquery://My Project/x",
        "bigquery://my-project/demo.",
        "bigquery://my-project/a/b",
        "bigquery://my-project/x`; DROP TABLE y; --",
        "bigquery://my-project`/x",
        "s3://my-project/x",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="write it as bigquery://PROJECT/PREFIX"):
        Address.parse(url)


def test_tables_partitions_and_parts() -> None:
    day = date(2026, 1, 5)
    assert ADDRESS.table("staging.events") == "my-project.demo_staging.events"
    assert ADDRESS.table("staging.events", day) == "my-project.demo_staging.events$20260105"
    assert ADDRESS.partition("staging.events", date(987, 1, 5)) == "events$09870105"
    assert ADDRESS.partition("scoring.lists", day, "003") == "lists__003$20260105"
    assert ADDRESS.quoted("scoring.lists", "003") == "`my-project`.`demo_scoring`.`lists__003`"
    assert str(ADDRESS) == "bigquery://my-project/demo_"


@pytest.mark.parametrize("table", ["staging.nothing", "staging.events$20260105", "x`.y", "events"])
def test_only_tables_with_a_contract_have_a_name(table: str) -> None:
    with pytest.raises(ContractError, match="No table"):
        ADDRESS.table(table)


@pytest.mark.parametrize("part", ["", "a b", "x`", "a.b", "a$20260101", "x" * 65])
def test_a_part_that_is_no_name_is_refused(part: str) -> None:
    with pytest.raises(WarehouseError, match=r"letters, digits, '_' and '-' only"):
        ADDRESS.table("scoring.lists", part=part)


def test_most_tables_have_no_parts() -> None:
    with pytest.raises(WarehouseError, match=r"staging\.events is written whole"):
        ADDRESS.table("staging.events", part="003")


def test_a_dataset_without_tables() -> None:
    with pytest.raises(WarehouseError, match="No tables belong to a dataset 'other'"):
        ADDRESS.dataset("other")


@pytest.mark.parametrize(
    ("text", "made"),
    [("staging.events", "staging-events"), ("Été 5", "-t--5"), ("x" * 80, "x" * 63), ("", "")],
)
def test_labels_have_only_what_bigquery_allows(text: str, made: str) -> None:
    assert label(text) == made
