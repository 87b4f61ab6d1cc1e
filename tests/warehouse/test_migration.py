"""Which change of a contract is safe, which is refused, and what a refusal says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from recsys import schema
from recsys.schema import Column, Table
from recsys.warehouse.migration import (
    ADD,
    CLUSTER,
    CREATE,
    KEEP,
    RELAX,
    REPARTITION,
    REQUIRE,
    RETYPE,
    TIGHTEN,
    VIEW,
    Held,
    compare,
    compare_record,
    contract_record,
    read_record,
    record_text,
)

TABLE = schema.table("staging.users")
SOURCE = schema.table("marketplace.users")
HELD = Held({c.name: c.type for c in TABLE.columns}, key=TABLE.key, partition="ds", is_partitioned=True)


def with_columns(table: Table, *columns: Column) -> Table:
    return replace(table, columns=(*table.columns, *columns))


def without(held: Held, *names: str) -> Held:
    return replace(held, columns={n: t for n, t in held.columns.items() if n not in names})


def test_nothing_changes_where_nothing_differs() -> None:
    assert compare(TABLE, HELD, ("user_id",)) == ()


@pytest.mark.parametrize(
    ("wanted", "held", "kind", "told"),
    [
        (TABLE, None, CREATE, "staging.users: is not there; it is created"),
        (TABLE, without(HELD, "region"), ADD, "region: is new .STRING.; it is added, NULL"),
        (TABLE, replace(HELD, required=frozenset({"gender"})), RELAX, "gender: may be NULL"),
        (TABLE, replace(HELD, columns={**HELD.columns, "old": "STRING"}), KEEP, "old: is no longer in the"),
    ],
)
def test_a_safe_change_asks_for_nothing(wanted: Table, held: Held | None, kind: str, told: str) -> None:
    (change,) = compare(wanted, held)
    assert (change.kind, change.is_safe) == (kind, True)
    assert re.search(told, str(change))


@pytest.mark.parametrize(
    ("wanted", "held", "kind", "told"),
    [
        (
            with_columns(TABLE, Column("tier", "STRING", True)),
            HELD,
            REQUIRE,
            r"tier: is new and required.*Take the '!' off.*recsys build staging\.users --ds FIRST --until LAST.*put",
        ),
        (
            TABLE,
            replace(HELD, columns={**HELD.columns, "birth_year": "STRING"}),
            RETYPE,
            r"birth_year: is STRING, the contract says INT64.*another name.*recsys migrate --replace staging\.users",
        ),
        (
            TABLE,
            replace(HELD, nulls={"user_id": 7}),
            REQUIRE,
            r"user_id: is required.*7 rows hold NULL.*Fill",
        ),
        (
            TABLE,
            replace(HELD, partition="day"),
            REPARTITION,
            r"divided by day, the contract by ds.*--replace staging\.users",
        ),
        (TABLE, replace(HELD, partition=None, is_partitioned=False), REPARTITION, "divided by nothing"),
        (
            TABLE,
            replace(HELD, key=("user_id", "ds")),
            "rekey",
            r"key \(user_id, ds\), the contract \(user_id\)",
        ),
        (
            SOURCE,
            Held(
                {
                    "user_id": "INT64",
                    "registered_at": "TIMESTAMP",
                    "birth_year": "INT64",
                    "gender": "STRING",
                    "region": "STRING",
                }
            ),
            RETYPE,
            "user_id: is INT64.*It is a source: change it where it is filled",
        ),
        (
            SOURCE,
            Held(
                {
                    "user_id": "STRING",
                    "registered_at": "TIMESTAMP",
                    "birth_year": "INT64",
                    "gender": "STRING",
                },
                is_foreign_view=True,
            ),
            VIEW,
            r"lacks this STRING column\. Add CAST\(NULL AS STRING\) AS region to its SELECT",
        ),
    ],
)
def test_a_refused_change_says_what_to_do(wanted: Table, held: Held, kind: str, told: str) -> None:
    (change,) = compare(wanted, held)
    assert (change.kind, change.is_safe) == (kind, False)
    assert re.search(told, str(change))


def test_another_clustering_is_safe() -> None:
    (change,) = compare(TABLE, replace(HELD, cluster=("region",)), ("user_id",))
    assert (change.kind, change.is_safe) == (CLUSTER, True)
    assert "clustered by region; from now on by user_id" in change.told


def test_a_record_is_read_back_as_it_was_written(tmp_path) -> None:
    path = tmp_path / "contracts.json"
    path.write_text(record_text(3, schema.TABLES.values()), encoding="utf-8")
    version, recorded = read_record(path)
    assert version == 3
    assert compare_record(recorded, schema.TABLES.values()) == []
    assert set(contract_record(schema.TABLES.values())) == set(recorded)


def test_a_column_that_becomes_required_is_looked_through_first(tmp_path) -> None:
    path = tmp_path / "contracts.json"
    path.write_text(record_text(1, [TABLE]), encoding="utf-8")
    stricter = replace(TABLE, columns=tuple(replace(c, required=True) for c in TABLE.columns))
    found = compare_record(read_record(path)[1], [stricter])
    assert {c.column for c in found if c.kind == TIGHTEN} == {"birth_year", "gender", "region"}
    assert all(c.is_safe for c in found)


def test_a_table_without_a_contract_any_more_stays(tmp_path) -> None:
    path = tmp_path / "contracts.json"
    path.write_text(record_text(1, [TABLE, SOURCE]), encoding="utf-8")
    (change,) = compare_record(read_record(path)[1], [SOURCE])
    assert (change.table, change.kind) == (TABLE.name, KEEP)
