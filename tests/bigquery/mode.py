"""Two warehouses side by side: one in a folder, one in BigQuery, and what differs between them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recsys import schema
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse
from recsys.warehouse.frames import arrow_schema
from tests.endpoint import BigQueryEndpoint

PROJECT = "test-project"
URL = f"bigquery://{PROJECT}/demo_"


@contextmanager
def environ(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while; what else was changed meanwhile is put back too."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def in_bigquery(endpoint: BigQueryEndpoint) -> Iterator[None]:
    """Send every client to the endpoint."""
    with environ(endpoint.environment(PROJECT)):
        yield


def cloud(files: Path, **overrides: object) -> Settings:
    """Settings of the warehouse in BigQuery."""
    return Settings.load({}, warehouse=URL, files=str(files), **overrides)


def local(folder: Path, **overrides: object) -> Settings:
    """Settings of the warehouse in a folder."""
    return Settings.load({}, warehouse=str(folder), **overrides)


def as_environment(settings: Settings) -> dict[str, str]:
    """What a task has to see to work on this warehouse."""
    return {
        "RECSYS_WAREHOUSE": settings.warehouse,
        "RECSYS_FILES": settings.files,
        "RECSYS_SHARDS": str(settings.shards),
    }


def rows(warehouse: Warehouse, table: schema.Table) -> pa.Table:
    """All rows of a table, exact, in the order of its key and then of every other column."""
    where = f" WHERE {table.partition} >= DATE '2000-01-01'" if table.partition else ""
    found = warehouse.query(f"SELECT {', '.join(table.column_names)} FROM {table.name}{where}")
    by = dict.fromkeys((*table.key, *table.column_names))
    return found.cast(arrow_schema(table)).take(pc.sort_indices(found, [(name, "ascending") for name in by]))


def partitions(warehouse: Warehouse, table: schema.Table) -> list[date] | bool:
    """Days of a partitioned table; of another whether it is there."""
    return warehouse.partitions(table.name) if table.partition else warehouse.exists(table.name)


def differences(one: Settings, other: Settings) -> tuple[list[str], dict[str, int]]:
    """What is not the same in two warehouses, every bit of every FLOAT64 included; and the rows of each table."""
    told, compared = [], {}
    with open_warehouse(one) as left, open_warehouse(other) as right:
        for table in schema.TABLES.values():
            there = partitions(left, table), partitions(right, table)
            if there[0] != there[1]:
                told.append(f"{table.name}: partitions {there[0]} and {there[1]}")
            found = rows(left, table), rows(right, table)
            compared[table.name] = found[0].num_rows
            if not found[0].equals(found[1]):
                told.append(f"{table.name}: {_difference(*found)}")
    return told, compared


def _difference(left: pa.Table, right: pa.Table) -> str:
    if left.num_rows != right.num_rows:
        return f"{left.num_rows} and {right.num_rows} rows"
    for name in left.column_names:
        a, b = left.column(name), right.column(name)
        if not a.equals(b):
            place = next(
                n for n, (x, y) in enumerate(zip(a.to_pylist(), b.to_pylist(), strict=True)) if x != y
            )
            return f"{name} of row {place} is {a[place].as_py()!r} and {b[place].as_py()!r}"
    return "schemas differ"
