"""What a query would read, asked of BigQuery itself: a dry run checks the text and is free."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, cast

from google.cloud.bigquery.job import QueryJobConfig

from recsys.warehouse.bigquery import statement
from recsys.warehouse.bigquery.client import mended_by_people
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse, job_labels
from recsys.warehouse.dialect import parameter_type, translate


def bytes_of_query(
    warehouse: BigQueryWarehouse, sql: str, params: Mapping[str, object], ds: date, name: str
) -> int:
    """Bytes that one SELECT of a day would read, as ``Warehouse.query`` would send it.

    Raises:
        RecsysError: BigQuery refuses the text; says why.
    """
    given = {**params, "ds": ds}
    used = translate(sql, name, {key: parameter_type(key, value) for key, value in given.items()}).params
    text = statement.qualify_tables(sql, warehouse.address, name)
    bound = {key: given[key] for key in used}
    return _ask(
        warehouse, statement.query_configuration(text, bound, warehouse.settings, job_labels(ds)), name
    )


def bytes_of_build(warehouse: BigQueryWarehouse, table: str, ds: date) -> int:
    """Bytes that the job which builds a partition would read: the statement as it is sent, with its guards.

    Raises:
        RecsysError: BigQuery refuses the job; says why.
    """
    spec = warehouse.spec(table)
    configuration = statement.build_configuration(spec, ds, warehouse.settings, job_labels(ds, table))
    return _ask(warehouse, configuration, str(spec.path))


def _ask(warehouse: BigQueryWarehouse, configuration: Mapping[str, Any], name: str) -> int:
    """Send a dry run, without the ceiling: what is over it is to be seen, not refused."""
    query = {key: value for key, value in configuration["query"].items() if key != "maximumBytesBilled"}
    resource = {**configuration, "query": query, "dryRun": True}
    connection = warehouse.connection
    with mended_by_people(name):
        job = connection.client.query(
            query["query"],
            job_config=cast(QueryJobConfig, QueryJobConfig.from_api_repr(resource)),
            location=connection.location,
        )
    return int(job.total_bytes_processed or 0)
