"""A foreign file read through a mapping: what is used, what is left out, and how a bad mapping is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from recsys.errors import ContractError
from recsys.jobs import load
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

SALES = """receipt,code,customer,price,at
r1,A1,7,2.50,2026-01-03 10:00:00
r2,A1,,2.50,2026-01-03 11:00:00
r3,POST,7,9.00,2026-01-03 12:00:00
r4,B2,8,4.00,2026-01-04 10:00:00
"""
MAPPING: dict[str, Any] = {
    "settings": {"item_unit": "item", "currency": "GBP"},
    "skip": [
        {"reason": "no product", "where": "NOT REGEXP_CONTAINS(code, r'^[A-Z][0-9]$')"},
        {"reason": "no customer", "where": "customer IS NULL"},
    ],
    "with": {"lines": "SELECT *, CAST(price AS NUMERIC) AS amount, CAST(at AS TIMESTAMP) AS ts FROM source"},
    "tables": {
        "users": "SELECT customer AS user_id, MIN(ts) AS registered_at FROM lines GROUP BY customer",
        "sellers": "SELECT 'shop' AS seller_id, MIN(ts) AS registered_at FROM lines",
        "item_category": "SELECT 'all' AS category_id, 'All' AS name, 1 AS level",
        "items": """
            SELECT code AS item_id, 'shop' AS seller_id, 'all' AS category_id, MAX(amount) AS price, 1.0 AS take_rate,
                100 AS stock, 'fixed' AS sale_type, MIN(ts) AS listed_at
            FROM lines GROUP BY code""",
        "events": """
            SELECT CONCAT(receipt, '-', CAST(row_number AS STRING)) AS event_id, ts AS event_ts, customer AS user_id,
                'purchase' AS event_type, code AS item_id, amount, 1 AS quantity
            FROM lines""",
    },
}


def run(tmp_path: Path, sales: str = SALES, **changes: Any) -> tuple[dict[str, object], list[str], Settings]:
    (tmp_path / "sales.csv").write_text(sales, encoding="utf-8")
    (tmp_path / "m.yaml").write_text(
        yaml.safe_dump({**MAPPING, **changes}, sort_keys=False), encoding="utf-8"
    )
    settings = Settings.load({}, warehouse=str(tmp_path / "warehouse"))
    told: list[str] = []
    summary = load.run(
        settings, tmp_path / "sales.csv", tmp_path / "m.yaml", progress=told.append, history=False
    )
    return summary, told, settings


def test_every_row_is_used_or_counted(tmp_path: Path) -> None:
    summary, told, settings = run(tmp_path)
    assert summary["skipped"] == {"no product": 1, "no customer": 1}
    assert "read sales.csv: 4 rows, 2 used, 2 left out" in told
    assert "  left out 1: no customer" in told
    with open_warehouse(settings) as warehouse:
        events = warehouse.query(
            "SELECT event_id, amount FROM marketplace.events ORDER BY event_id"
        ).to_pylist()
    assert [(event["event_id"], float(event["amount"])) for event in events] == [("r1-1", 2.5), ("r4-4", 4.0)]
    assert Settings.load({}, warehouse=settings.warehouse).currency == "GBP"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tabels": {}}, ["unknown keys: tabels", "Known: description, settings, skip, with, tables"]),
        ({"tables": {**MAPPING["tables"], "orders": "SELECT 1"}}, ["unknown tables: marketplace.orders"]),
        ({"tables": {"users": "SELECT 1"}}, ["maps no marketplace.sellers, marketplace.item_category"]),
        ({"skip": [{"where": "TRUE"}]}, ["'skip'", "a reason and a where"]),
        ({"skip": [{"reason": "all", "where": "TRUE"}]}, ["leave no row of 4"]),
        ({"with": {"lines": "SELECT nothing FROM source"}}, ["m.yaml, with: lines", "nothing"]),
        ({"with": {"lines": "SELEC 1"}}, ["m.yaml, with: lines"]),
        ({"with": {"lines": "SELECT * FROM elsewhere"}}, ["m.yaml, with: lines", "elsewhere"]),
    ],
)
def test_a_bad_mapping_is_told(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ContractError) as error:
        run(tmp_path, **changes)
    for word in words:
        assert word in str(error.value)


def test_a_value_that_cannot_be_cast_names_the_step(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"m\.yaml, with: lines: .*cheap"):
        run(tmp_path, SALES.replace("4.00", "cheap"))


def test_a_mapped_table_is_held_to_its_contract(tmp_path: Path) -> None:
    tables = {**MAPPING["tables"], "users": "SELECT 1 AS user_id, MIN(ts) AS registered_at FROM lines"}
    with pytest.raises(ContractError, match=r"m.yaml \(table users\).*\n.*'user_id': expected STRING"):
        run(tmp_path, tables=tables)


def test_a_file_without_a_mapping_is_told_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(SALES, encoding="utf-8")
    with pytest.raises(ContractError, match="--mapping"):
        load.run(Settings.load({}, warehouse=str(tmp_path / "w")), tmp_path / "sales.csv")
    with pytest.raises(ContractError, match=r"no\.yaml does not exist"):
        load.run(
            Settings.load({}, warehouse=str(tmp_path / "w")), tmp_path / "sales.csv", tmp_path / "no.yaml"
        )
