"""REST resources of the tables, from their contracts and SQL headers; pure. ``recsys migrate`` makes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recsys import schema
from recsys.settings import Settings
from recsys.warehouse.bigquery.names import LEDGER, PARTED, WHOLE, Address
from recsys.warehouse.bigquery.statement import partitioning
from recsys.warehouse.tables import load_spec, remedy, sql_path

LEDGER_COLUMNS = (
    schema.Column("table_name", "STRING"),
    schema.Column("ds", "DATE"),
    schema.Column("part", "STRING"),
    schema.Column("row_count", "INT64"),
    schema.Column("job_id", "STRING"),
    schema.Column("built_at", "TIMESTAMP"),
)


def table_resource(table: str, settings: Settings) -> dict[str, Any]:
    """REST Table of ``table``: a partitioned and clustered table, or the view of one that is written in parts."""
    if table == LEDGER:
        return ledger_resource(settings)
    if table in PARTED:
        return view_resource(table, (WHOLE,), settings)
    return _table(table, settings, None)


def part_resource(table: str, part: str, settings: Settings) -> dict[str, Any]:
    """REST Table of one part of a table that is written in parts."""
    return _table(table, settings, part)


def view_resource(table: str, parts: Iterable[str], settings: Settings) -> dict[str, Any]:
    """REST Table of the view over ``parts`` of ``table``."""
    address = Address.parse(settings.warehouse)
    return {
        "tableReference": address.reference(table),
        "description": _purpose(table, settings),
        "view": {"query": view_query(table, parts, address), "useLegacySql": False},
    }


def view_query(table: str, parts: Iterable[str], address: Address) -> str:
    """Return the rows of every part; the columns are plain, so that a filter on the partition reaches the tables."""
    columns = ", ".join(schema.table(table).column_names)
    return "\nUNION ALL\n".join(
        f"SELECT {columns} FROM {address.quoted(table, part)}" for part in sorted(parts)
    )


def fields(contract: schema.Table) -> list[dict[str, str]]:
    """REST schema of a contract. NULLABLE throughout: BigQuery cannot truncate REQUIRED columns from a query."""
    return [
        {"name": column.name, "type": column.type, "mode": "NULLABLE", "description": _told(contract, column)}
        for column in contract.columns
    ]


def _told(contract: schema.Table, column: schema.Column) -> str:
    told = ["Names the partition."] if column.name == contract.partition else []
    told += ["Part of the key."] if column.name in contract.key else []
    return " ".join([*told, "Never NULL." if column.required else "May be NULL."])


def clustering(table: str, settings: Settings) -> dict[str, list[str]] | None:
    """REST Clustering: what the SQL header says; of a table without one, the first columns of its key."""
    contract = schema.table(table)
    if sql_path(settings.sql_dir, table).is_file():
        columns = list(load_spec(settings.sql_dir, table).cluster)
    elif table == "marketplace.events":
        columns = ["event_type", "user_id"]
    elif table == "experiments.assignments":  # a shard of scoring reads a range of users
        columns = ["unit_id", "experiment_id"]
    else:
        columns = [name for name in contract.key if name != contract.partition]
    return {"fields": columns[:4]} if columns else None


def _table(table: str, settings: Settings, part: str | None) -> dict[str, Any]:
    contract = schema.table(table)
    resource: dict[str, Any] = {
        "tableReference": Address.parse(settings.warehouse).reference(table, part=part),
        "description": _purpose(table, settings),
        "schema": {"fields": fields(contract)},
    }
    if contract.partition or contract.divided:
        resource["timePartitioning"] = {"type": "DAY", "field": contract.partition or contract.divided}
        resource["requirePartitionFilter"] = contract.partition is not None
    if found := clustering(table, settings):
        resource["clustering"] = found
    return resource


def load_configuration(table: str, settings: Settings, part: str | None) -> dict[str, Any]:
    """REST JobConfigurationLoad of a Parquet file that replaces a table or a partition, but for its destination."""
    contract = schema.table(table)
    load: dict[str, Any] = {
        "sourceFormat": "PARQUET",
        "schema": {"fields": fields(contract)},
        "writeDisposition": "WRITE_TRUNCATE",
        "createDisposition": "CREATE_IF_NEEDED",
    }
    if contract.partition or contract.divided:
        load["timePartitioning"] = partitioning(contract)
    if found := clustering(table, settings):
        load["clustering"] = found
    return load


def ledger_resource(settings: Settings) -> dict[str, Any]:
    """REST Table of the ledger."""
    return {
        "tableReference": Address.parse(settings.warehouse).reference(LEDGER),
        "description": "Which partitions are there: one row per build or write. An empty partition is there too.",
        "schema": {
            "fields": [{"name": c.name, "type": c.type, "mode": "NULLABLE"} for c in LEDGER_COLUMNS],
        },
        "clustering": {"fields": ["table_name", "ds"]},
    }


def _purpose(table: str, settings: Settings) -> str:
    if sql_path(settings.sql_dir, table).is_file():
        return load_spec(settings.sql_dir, table).purpose
    return f"Written by {remedy(table)}."
