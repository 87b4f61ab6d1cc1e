"""Tables and views of the project that have no contract: a person's own, read as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import pandas as pd
from google.cloud import bigquery

from recsys.errors import ContractError, WarehouseError
from recsys.warehouse import frames
from recsys.warehouse.bigquery.names import quoted_name
from recsys.warehouse.bigquery.statement import query_configuration
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse, job_labels

FIRST_DAY = date(1970, 1, 1)
"""Read from this day on, where a table is not read without a filter on its days."""
NESTED = ("RECORD", "STRUCT")


def read_foreign(warehouse: BigQueryWarehouse, table: str, ds: date | None = None) -> pd.DataFrame | None:
    """Return the rows of ``dataset.table``, named as in BigQuery, without the warehouse's prefix; None if absent.

    Columns that hold records or arrays are left out. ``ds`` keeps one day of a table partitioned by a DATE. A query
    reads it, since a view can be read in no other way; its ceiling on bytes is that of every query.

    Raises:
        ContractError: the name has other characters than a name may have, or no column is left.
        WarehouseError: ``ds`` is given, and the table is not partitioned by a DATE.
        RecsysError: what BigQuery refuses.
    """
    reference = warehouse.address.foreign(table)
    found = warehouse.connection.table(reference)
    if found is None:
        return None
    columns = [f.name for f in found.schema if f.field_type not in NESTED and f.mode != "REPEATED"]
    if not columns:
        raise ContractError(
            f"{table} has no column that is neither a record nor an array; make a view that has."
        )
    day = _day_column(found)
    if ds is not None and day is None:
        raise WarehouseError(
            f"{table} is not partitioned by a DATE, so {ds} cannot be read of it. Leave --ds out, or make a view of "
            "that day."
        )
    is_filtered = ds is not None or bool(found.require_partition_filter)
    sql = select(reference, columns, day if is_filtered else None, one_day=ds is not None)
    params = {"ds": ds or FIRST_DAY} if is_filtered and day is not None else {}
    configuration = query_configuration(sql, params, warehouse.settings, job_labels(ds))
    return frames.to_pandas(None, warehouse.connection.rows(warehouse.connection.query(configuration, table)))


def select(
    reference: Mapping[str, str], columns: Sequence[str], day: str | None = None, *, one_day: bool = False
) -> str:
    """Write a SELECT of ``columns``: with ``day``, of the day ``@ds`` or from it on.

    Example:
        >>> select({"projectId": "my-project", "datasetId": "d", "tableId": "t"}, ["x"], "ds", one_day=True)
        'SELECT `x` FROM `my-project`.`d`.`t` WHERE `ds` = @ds'
    """
    where = "" if day is None else f" WHERE {quoted_name(day)} {'=' if one_day else '>='} @ds"
    path = ".".join(map(quoted_name, reference.values()))
    return f"SELECT {', '.join(map(quoted_name, columns))} FROM {path}{where}"


def _day_column(table: bigquery.Table) -> str | None:
    """The DATE that a table is partitioned by."""
    field = table.time_partitioning.field if table.time_partitioning else None
    return next((f.name for f in table.schema if f.name == field and f.field_type == "DATE"), None)
