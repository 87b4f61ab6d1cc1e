"""Take a person out of the tables in BigQuery: DELETE and UPDATE with bound values, one table at a time.

Tables demand a filter on their partition, so every statement names all days. A count comes first, which reads the
columns with the ids alone; only a table that holds the person is then changed, and of it BigQuery writes only those
partitions again. Rows that went can be read by time travel until the dataset's window has passed; docs/retention.md
says how long that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from recsys import schema
from recsys.warehouse import erasure
from recsys.warehouse.bigquery import parts
from recsys.warehouse.bigquery.names import PARTED
from recsys.warehouse.bigquery.statement import query_configuration
from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse, job_labels
from recsys.warehouse.eraser import Erased
from recsys.warehouse.erasure import Rule

ALL_DAYS: Mapping[str, object] = {"first": date(1970, 1, 1), "last": date(9999, 12, 31)}
_SHELF = "staging.items"


class BigQueryEraser:
    """The tables that this project builds; ``marketplace.*`` belong to another system and are only looked at."""

    owns_sources = False

    def __init__(self, warehouse: BigQueryWarehouse, user: str) -> None:
        self.warehouse = warehouse
        self.user = user
        self.given = {**erasure.values(user), **ALL_DAYS}

    def source_rows(self) -> dict[str, int]:
        """Rows of ``marketplace.*`` that name the person; an optional table may be absent."""
        found = {}
        for table in schema.SOURCES:
            columns = [name for name in ("user_id", "seller_id") if name in table.column_names]
            if not columns or not self._is_there(table.name):
                continue
            where = " OR ".join(f"{name} = @user" for name in columns)
            days = f"{table.partition} BETWEEN @first AND @last AND " if table.partition else ""
            rows, _ = self._number(table.name, f"SELECT COUNT(*) AS n FROM {{}} WHERE {days}({where})")
            if rows:
                found[table.name] = rows
        return found

    def titles(self) -> set[str]:
        """Titles they wrote, which a report may show."""
        sql = "SELECT DISTINCT title FROM {} WHERE ds BETWEEN @first AND @last AND seller_id = @user"
        return {str(row["title"]) for row in self._rows(_SHELF, sql) if row["title"] is not None}

    def active_days(self) -> list[date]:
        """Days whose totals count the person."""
        sql = "SELECT DISTINCT ds FROM {} WHERE ds BETWEEN @first AND @last AND user_id = @user AND reason IS NULL"
        return sorted(row["ds"] for row in self._rows(erasure.MARK, sql))

    def erase(self, rule: Rule, dry_run: bool) -> Erased:
        """Apply one rule to its table, or to every part of it; the bytes are those that BigQuery read."""
        deleted = changed = read = 0
        targets = self._targets(rule.table)
        given = (
            {**self.given, "texts": self._quoting(targets)} if rule.table == erasure.CHECKS else self.given
        )
        for target in targets:
            sql, bound = erasure.bigquery_count(rule, target, given)
            job = self._run(sql, bound, rule.table)
            row = self.warehouse.connection.rows(job).to_pylist()[0]
            read += int(job.total_bytes_processed or 0)
            deleted += row["deleted"]
            changed += row["changed"]
            if dry_run or not (row["deleted"] or row["changed"]):
                continue
            for sql, bound in erasure.bigquery_statements(rule, target, given):
                read += int(self._run(sql, bound, rule.table).total_bytes_processed or 0)
        return Erased(deleted, changed, read)

    def _quoting(self, targets: list[str]) -> list[str]:
        """What checks have said that names them."""
        said: set[str | None] = set()
        for target in targets:
            sql = f"SELECT DISTINCT message, observed FROM {target} WHERE ds BETWEEN @first AND @last"
            for row in self.warehouse.connection.rows(self._run(sql, ALL_DAYS, erasure.CHECKS)).to_pylist():
                said |= {row["message"], row["observed"]}
        return sorted(erasure.quoting(self.user, said))

    def _targets(self, table: str) -> list[str]:
        address, connection = self.warehouse.address, self.warehouse.connection
        if table in PARTED:
            return [address.quoted(table, part) for part in parts.list_parts(connection, schema.table(table))]
        return [address.quoted(table)] if self._is_there(table) else []

    def _is_there(self, table: str) -> bool:
        return self.warehouse.connection.table(self.warehouse.address.reference(table)) is not None

    def _rows(self, table: str, sql: str) -> list[dict[str, Any]]:
        if not self._is_there(table):
            return []
        text = sql.format(self.warehouse.address.quoted(table))
        return self.warehouse.connection.rows(self._run(text, self._bound(text), table)).to_pylist()

    def _number(self, table: str, sql: str) -> tuple[int, int]:
        text = sql.format(self.warehouse.address.quoted(table))
        job = self._run(text, self._bound(text), table)
        rows = self.warehouse.connection.rows(job).to_pylist()
        return int(rows[0]["n"]), int(job.total_bytes_processed or 0)

    def _bound(self, sql: str) -> dict[str, object]:
        return {name: value for name, value in self.given.items() if f"@{name}" in sql}

    def _run(self, sql: str, bound: Mapping[str, object], table: str) -> Any:
        labels = {**job_labels(None, "forget"), "table": table}
        configuration = query_configuration(sql, bound, self.warehouse.settings, labels)
        return self.warehouse.connection.query(configuration, table)
