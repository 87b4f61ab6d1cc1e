"""What a query job is given: the SELECT with qualified tables and a guarded result, typed parameters, the job itself.

Pure functions from a SQL file and settings to the REST resources of BigQuery; nothing here sends anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from recsys import schema
from recsys.errors import SqlError
from recsys.settings import Settings
from recsys.warehouse.base import check_columns
from recsys.warehouse.bigquery.names import Address, label
from recsys.warehouse.bigquery.refusals import guards
from recsys.warehouse.dialect import parameter_type, translate
from recsys.warehouse.tables import TableSpec, no_table

GIGABYTE = 10**9


def qualify_tables(sql: str, address: Address, name: str = "query") -> str:
    """Write every table as ```project`.`dataset`.`table```; every other character stays as it is.

    Raises:
        SqlError: the text cannot be parsed, or names a table without a contract.

    Example:
        >>> qualify_tables("SELECT 1 FROM staging.events AS e", Address("my-project", "demo_"))
        'SELECT 1 FROM `my-project`.`demo_staging`.`events` AS e'
    """
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="bigquery") if tree is not None]
    except SqlglotError as error:
        raise SqlError(f"{name}: {error}") from error
    spans: dict[tuple[int, int], str] = {}
    for tree in trees:
        for column in tree.find_all(exp.Column):
            if len(column.parts) > 2 and column.parts[0].name in {t.partition(".")[0] for t in schema.TABLES}:
                raise SqlError(f"{name}: {column.sql('bigquery')}: give the table an alias and use that.")
        ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        for table in tree.find_all(exp.Table):
            full = ".".join(part.name for part in table.parts)
            if "." not in full and full.lower() in ctes:
                continue
            if full not in schema.TABLES:
                raise SqlError(f"{name}: {no_table(full)}.")
            spans[table.parts[0].meta["start"], table.parts[-1].meta["end"] + 1] = address.quoted(full)
    for (start, end), written in sorted(spans.items(), reverse=True):
        sql = sql[:start] + written + sql[end:]
    return sql


def build_statement(spec: TableSpec, address: Address) -> str:
    """Return the SELECT of ``spec``, its columns in the contract's order, raising on a row that breaks the contract.

    BigQuery cannot hold the result of a query to REQUIRED columns or to a key, and a job that fails leaves the old
    partition. So the statement itself refuses: a broken partition is never seen by anyone.

    Raises:
        SqlError: the text cannot be parsed, or names a table without a contract.
    """
    told = guards(schema.table(spec.name))
    columns = ",\n  ".join(
        f"IFNULL(built.{column.name}, ERROR('{told[column.name]}')) AS {column.name}"
        if column.required
        else f"built.{column.name}"
        for column in schema.table(spec.name).columns
    )
    floats = {column.name for column in schema.table(spec.name).columns if column.type == "FLOAT64"}
    # BigQuery groups by a FLOAT64, and refuses to partition by one.
    key = ", ".join(f"CAST(built.{n} AS STRING)" if n in floats else f"built.{n}" for n in spec.grain)
    return (
        f"SELECT\n  {columns}\nFROM (\n{qualify_tables(spec.sql, address, str(spec.path))}\n) AS built\n"
        f"WHERE TRUE\nQUALIFY IF(COUNT(*) OVER (PARTITION BY {key}) = 1, TRUE, ERROR('{told['']}'))"
    )


def query_parameters(params: Mapping[str, object]) -> list[dict[str, Any]]:
    """Return named parameters with their types, as REST QueryParameter resources.

    Raises:
        SqlError: a value has no GoogleSQL type.

    Example:
        >>> query_parameters({"ds": date(2026, 1, 1)})
        [{'name': 'ds', 'parameterType': {'type': 'DATE'}, 'parameterValue': {'value': '2026-01-01'}}]
    """
    return [_parameter(name, value) for name, value in params.items()]


def _parameter(name: str, value: object) -> dict[str, Any]:
    type_ = parameter_type(name, value)
    if isinstance(value, list | tuple):
        inner = type_.removeprefix("ARRAY<").removesuffix(">")
        return {
            "name": name,
            "parameterType": {"type": "ARRAY", "arrayType": {"type": inner}},
            "parameterValue": {"arrayValues": [{"value": _written(element)} for element in value]},
        }
    return {"name": name, "parameterType": {"type": type_}, "parameterValue": {"value": _written(value)}}


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S.%f}+00:00"
    return value.isoformat() if isinstance(value, date) else str(value)


def query_configuration(
    sql: str, params: Mapping[str, object], settings: Settings, labels: Mapping[str, str]
) -> dict[str, Any]:
    """REST JobConfiguration of a query: named parameters, and the ceiling on the bytes it may read."""
    query: dict[str, Any] = {
        "query": sql,
        "useLegacySql": False,
        "maximumBytesBilled": str(int(settings.max_gb * GIGABYTE)),
    }
    if params:
        query |= {"parameterMode": "NAMED", "queryParameters": query_parameters(params)}
    return {"query": query, "labels": {name: label(value) for name, value in labels.items()}}


def partitioning(contract: schema.Table) -> dict[str, Any]:
    """REST TimePartitioning of a table by day; where the day is the partition, queries have to say which."""
    if contract.partition is None:
        return {"type": "DAY", "field": contract.divided}
    return {"type": "DAY", "field": contract.partition, "requirePartitionFilter": True}


def build_configuration(
    spec: TableSpec, ds: date, settings: Settings, labels: Mapping[str, str]
) -> dict[str, Any]:
    """REST JobConfiguration of the query job that replaces the partition ``ds`` of the table of ``spec``.

    Raises:
        SqlError: the text would not mean the same on both engines; names the file.
        ContractError: the SELECT does not return the contract's columns.
    """
    params = {"ds": ds, **{name: getattr(settings, name) for name in spec.params}}
    types = {name: parameter_type(name, value) for name, value in params.items()}
    translated = translate(spec.sql, str(spec.path), types, repeatable=True)
    check_columns(spec, translated.columns)
    address = Address.parse(settings.warehouse)
    used = {name: params[name] for name in translated.params}
    configuration = query_configuration(build_statement(spec, address), used, settings, labels)
    configuration["query"] |= {
        "destinationTable": address.reference(spec.name, ds if spec.partition else None),
        "writeDisposition": "WRITE_TRUNCATE",
        "createDisposition": "CREATE_IF_NEEDED",
    }
    if spec.partition:
        configuration["query"]["timePartitioning"] = partitioning(schema.table(spec.name))
    if spec.cluster:
        configuration["query"]["clustering"] = {"fields": list(spec.cluster)}
    return configuration
