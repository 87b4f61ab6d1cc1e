"""Which partitions are there. BigQuery knows no empty partition, the warehouse does: ``monitoring.builds`` notes each.

One row is added after each build or write and removed by a drop. What a job wrote without being noted is not there: the
task that was killed between the two does its work again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from google.api_core.retry import Retry

from recsys.settings import Settings
from recsys.warehouse.bigquery.client import Connection
from recsys.warehouse.bigquery.names import LEDGER, checked
from recsys.warehouse.bigquery.refusals import is_crowded
from recsys.warehouse.bigquery.statement import query_configuration

COLUMNS = ("table_name", "ds", "part", "row_count", "job_id", "built_at")

CROWDED_SECONDS = 300.0
"""How long a statement is tried again that others which change the ledger stood in the way of."""


@dataclass(frozen=True)
class Entry:
    """One partition (of one part) that is there; ``ds`` is None for a table kept whole, ``part`` "" for no part."""

    table: str
    ds: date | None
    part: str
    rows: int
    job_id: str = ""


class Ledger:
    """The rows of ``monitoring.builds`` of one warehouse."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection = connection
        self.settings = settings
        self._name = connection.address.quoted(LEDGER)

    def entries(self, tables: Iterable[str], ds: date | None = None) -> list[Entry]:
        """Return what is there of ``tables`` (of the day ``ds`` only), by table, day and part."""
        names = ", ".join(f"'{checked(table)}'" for table in tables)
        restriction = f"table_name IN ({names})" + (f" AND ds = DATE '{ds.isoformat()}'" if ds else "")
        reference = self.connection.address.reference(LEDGER)
        found = self.connection.read(reference, COLUMNS, restriction, LEDGER)
        return _newest(found)

    def record(
        self, table: str, ds: date | None, part: str, *, rows: int, job_id: str, built_at: datetime
    ) -> None:
        """Note that a job wrote ``rows`` rows; the same job is noted once, however often this is called."""
        given: dict[str, Any] = {
            "table_name": checked(table),
            **({"ds": ds} if ds else {}),
            "part": part,
            "row_count": rows,
            "job_id": job_id,
            "built_at": built_at,
        }
        self._run(
            f"INSERT INTO {self._name} ({', '.join(given)})\n"
            f"SELECT {', '.join(f'@{name} AS {name}' for name in given)}\n"
            "FROM (SELECT 1 AS one)\n"
            f"WHERE NOT EXISTS (SELECT known.job_id FROM {self._name} AS known WHERE known.job_id = @job_id)",
            given,
        )

    def forget(self, table: str, ds: date | None, part: str | None = None) -> None:
        """Remove the notes on a partition (or one part of it), or with no ``ds`` on the whole table."""
        given: dict[str, Any] = {"table_name": checked(table)}
        given |= {"ds": ds} if ds else {}
        given |= {"part": part} if part is not None else {}
        where = " AND ".join(f"{name} = @{name}" for name in given)
        self._run(f"DELETE FROM {self._name} WHERE {where}", given)

    def _run(self, sql: str, params: Mapping[str, Any]) -> None:
        configuration = query_configuration(sql, params, self.settings, {"table": str(params["table_name"])})
        again = Retry(predicate=_is_crowded, timeout=CROWDED_SECONDS)
        again(lambda: self.connection.query(configuration, LEDGER))()


def _is_crowded(error: BaseException) -> bool:
    return is_crowded(str(error))


def _newest(found: pa.Table) -> list[Entry]:
    """One entry for each table, day and part, with the rows of the newest build."""
    by_age = sorted(found.to_pylist(), key=lambda row: row["built_at"])
    newest = {(row["table_name"], row["ds"], row["part"]): row for row in by_age}
    entries = [Entry(*key, row["row_count"], row["job_id"]) for key, row in newest.items()]
    return sorted(entries, key=lambda entry: (entry.table, entry.ds or date.min, entry.part))
