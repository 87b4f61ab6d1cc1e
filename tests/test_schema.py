"""Contracts: keys exist, partitions are dates, unknown tables are named."""

from __future__ import annotations

import pytest

from recsys.errors import ContractError
from recsys.schema import EVENT_TYPES, SOURCES, TABLES, table


@pytest.mark.parametrize("name", list(TABLES))
def test_every_contract_is_sound(name: str) -> None:
    contract = table(name)
    types = {column.name: column.type for column in contract.columns}
    assert len(types) == len(contract.columns), "a column is named twice"
    assert set(contract.key) <= set(types)
    if contract.partition:
        assert types[contract.partition] == "DATE"
    if contract not in SOURCES:
        assert contract.partition == "ds", "a table that we build is partitioned by the data day"


def test_the_source_tables_are_those_of_the_documented_contract() -> None:
    assert [source.name.split(".")[1] for source in SOURCES] == [
        "users",
        "sellers",
        "item_category",
        "items",
        "price_changes",
        "events",
        "campaigns",
        "campaign_keywords",
        "campaign_daily",
    ]
    assert len(EVENT_TYPES) == 10


def test_an_unknown_table_lists_those_of_its_dataset() -> None:
    with pytest.raises(ContractError, match=r"No table 'staging\.evnts'.*staging\.events"):
        table("staging.evnts")
