"""How rows reach a table: the checks of a write, the split over partitions, the one step that publishes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.endpoint.cells import arrow_schema, normal_field, sql_type
from tests.endpoint.engine import Engine, Plan
from tests.endpoint.errors import ApiError, invalid
from tests.endpoint.store import WHOLE, Store, Table, parts_of, split

PARTITIONING = ("timePartitioning", "clustering")


class Writer:
    """Writes of query and load jobs."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self.store = store
        self.engine = engine

    def destination(
        self, config: dict[str, Any], fields: list[dict[str, Any]] | None
    ) -> tuple[Table, str | None]:
        """The table that a job writes to, made if it may be; refuses another shape than it has."""
        reference = config["destinationTable"]
        name, part = split(reference["tableId"])
        project, dataset = reference["projectId"], reference["datasetId"]
        self.store.dataset(project, dataset)
        with self.store.lock:
            table = self.store.tables.get((project, dataset, name))
            if table is None:
                if config.get("createDisposition") == "CREATE_NEVER" or fields is None:
                    self.store.table(project, dataset, name)
                resource = {key: config[key] for key in PARTITIONING if config.get(key)}
                if resource.get("timePartitioning", {}).get("requirePartitionFilter"):
                    resource["requirePartitionFilter"] = (
                        True  # older field, the one that a job's resource has
                    )
                table = self.store.create(
                    project, dataset, name, {**resource, "schema": {"fields": fields or []}}
                )
        if table.query is not None:
            raise invalid(f"Cannot write to the view {table.full}")
        if part is not None and table.divider is None:
            raise invalid(
                f"The table {table.full} is not partitioned; {reference['tableId']} names no partition"
            )
        for key in PARTITIONING:
            self._same_layout(table, key, config.get(key))
        return table, part

    @staticmethod
    def _same_layout(table: Table, key: str, given: dict[str, Any] | None) -> None:
        known = table.resource.get(key) or {}
        fields = ("type", "field") if key == "timePartitioning" else ("fields",)
        if given and any(given.get(name) != known.get(name) for name in fields):
            raise invalid(
                f"Incompatible table partitioning specification: {table.full} has {key} {known}, the job has {given}"
            )

    @staticmethod
    def check_fields(table: Table, fields: list[dict[str, Any]], is_query: bool) -> None:
        """Rows have to have the columns of the table, in their order, of their types; a query's are NULLABLE."""
        wanted = [(f["name"], sql_type(f)) for f in table.fields]
        found = [(f["name"], sql_type(f)) for f in fields]
        if wanted != found:
            differ = [f"{a} -> {b}" for a, b in zip(wanted, found, strict=False) if a != b]
            raise invalid(
                f"Provided Schema does not match Table {table.full}: {'; '.join(differ)} "
                f"({len(wanted)} columns, given {len(found)})"
            )
        for known, one in zip(table.fields, fields, strict=True):
            if is_query and known.get("mode") == "REQUIRED":
                raise invalid(
                    f"Provided Schema does not match Table {table.full}. Field {known['name']} has changed mode "
                    "from REQUIRED to NULLABLE"
                )
            if not is_query and one.get("mode", "NULLABLE") != known.get("mode", "NULLABLE"):
                raise invalid(
                    f"Provided Schema does not match Table {table.full}. Field {known['name']} has changed mode"
                )

    def write_query(self, plan: Plan, config: dict[str, Any]) -> int:
        """Rows of a query into its destination table or partition."""
        fields = plan.fields
        if plan.unsure:
            _, fields = self.engine.fetch(plan)
        table, part = self.destination(config, fields)
        self.check_fields(table, fields, is_query=True)
        path = self.store.new_file(table)
        self.engine.copy(plan, table, table.fields, path)
        return self._publish(table, part, path, config.get("writeDisposition", "WRITE_EMPTY"))

    def write_file(self, path: Path, config: dict[str, Any]) -> int:
        """Rows of a Parquet file into the destination of a load job."""
        if config.get("sourceFormat") != "PARQUET":
            raise invalid(f"Loads of {config.get('sourceFormat', 'CSV')} are not served here: PARQUET")
        if not config.get("schema"):
            raise invalid("A load without a schema is not served here: give schema")
        fields = [normal_field(one) for one in config["schema"]["fields"]]
        table, part = self.destination(config, fields)
        self.check_fields(table, fields, is_query=False)
        try:
            arrow = pq.read_table(path)
        except pa.ArrowException as error:
            raise invalid(f"Error while reading data, error message: {error}") from error
        arrow = self._typed(table, arrow, fields)
        made = self.store.new_file(table)
        self.engine.copy_arrow(arrow, table, made)
        return self._publish(table, part, made, config.get("writeDisposition", "WRITE_APPEND"))

    @staticmethod
    def _typed(table: Table, arrow: pa.Table, fields: list[dict[str, Any]]) -> pa.Table:
        unknown = [name for name in arrow.column_names if name not in {f["name"] for f in fields}]
        if unknown:
            raise invalid(f"No such field in the schema of {table.full}: {', '.join(unknown)}")
        columns = []
        for one, wanted in zip(fields, arrow_schema(fields), strict=True):
            if one["name"] not in arrow.column_names:
                column = pa.nulls(arrow.num_rows, wanted.type)
            else:
                column = arrow.column(one["name"])
                if column.type != wanted.type:
                    raise invalid(
                        f"Parquet column '{one['name']}' has type {column.type} which does not match the target "
                        f"type {wanted.type}"
                    )
            if one.get("mode") == "REQUIRED" and column.null_count:
                raise invalid(f"Required field {one['name']} cannot be null")
            columns.append(column)
        return pa.table(columns, schema=arrow_schema(fields))

    def insert(self, plan: Plan, table: Table, columns: list[str] | None) -> int:
        """Rows of a SELECT added to a table; columns that are not named are NULL."""
        arrow, _ = self.engine.fetch(plan)
        names = columns or [f["name"] for f in table.fields]
        if len(names) != arrow.num_columns:
            raise invalid("Inserted row has wrong column count", "invalidQuery")
        arrow = arrow.rename_columns(names)
        wanted = {f["name"]: f for f in table.fields}
        for name in names:
            if name not in wanted:
                raise invalid(f"Column {name} is not present in table {table.full}", "invalidQuery")
        for f in table.fields:
            if f["name"] not in names:
                arrow = arrow.append_column(f["name"], pa.nulls(arrow.num_rows))
            if f.get("mode") == "REQUIRED" and arrow.column(f["name"]).null_count:
                raise invalid(f"Required field {f['name']} cannot be null")
        path = self.store.new_file(table)
        self.engine.copy_arrow(arrow, table, path)
        with table.lock:
            self._publish(table, None, path, "WRITE_APPEND")
        return arrow.num_rows

    def delete(self, keep: Plan, table: Table) -> int:
        """Keep only the rows of a SELECT; files that lose nothing stay as they are."""
        with table.lock:
            before, old = table.rows(), set(table.pieces)
            path = self.store.new_file(table)
            self.engine.copy(keep, table, table.fields, path)
            arrow = pq.ParquetFile(path).read()
            removed = before - arrow.num_rows
            if removed:
                pieces = {part: (file,) for part, file in self._split(table, path)}
                changed = [p for p in old if _rows(pieces.get(p, ())) != _rows(table.pieces[p])]
                table.pieces = {part: paths for part, paths in pieces.items() if _rows(paths)}
                self.store.count(table, iter(changed))
            return removed

    def update(self, new: Plan, changed: Plan, table: Table) -> int:
        """Put the rows of a SELECT in place of all rows; only partitions with a row of ``changed`` are written."""
        with table.lock:
            arrow, _ = self.engine.fetch(changed)
            if arrow.num_rows:
                path = self.store.new_file(table)
                self.engine.copy(new, table, table.fields, path)
                parts = set(parts_of(arrow.column(table.divider))) if table.divider else {WHOLE}
                made = {part: (file,) for part, file in self._split(table, path) if part in parts}
                table.pieces = {**table.pieces, **made}
                self.store.count(table, iter(sorted(made)))
            return int(arrow.num_rows)

    def _publish(self, table: Table, part: str | None, path: Path, disposition: str) -> int:
        """Put a file in place: of one partition, or split over those its rows fall into."""
        rows = pq.read_metadata(path).num_rows
        with table.lock:
            if part is not None:
                self._check_part(table, part, path)
                pieces = {part: (path,)}
            else:
                pieces = {name: (file,) for name, file in self._split(table, path)}
            current = dict(table.pieces)
            if disposition == "WRITE_EMPTY" and _rows(current.get(part, ()) if part else table.files()):
                raise ApiError(409, "duplicate", f"Already Exists: Table {table.full}")
            if disposition == "WRITE_TRUNCATE":
                current = {} if part is None else {k: v for k, v in current.items() if k != part}
            for name, paths in pieces.items():
                if rows:  # an empty partition is no partition
                    current[name] = (*current.get(name, ()), *paths)
            table.pieces = current
            self.store.count(table, iter([part] if part is not None else pieces or [WHOLE]))
        return rows

    @staticmethod
    def _check_part(table: Table, part: str, path: Path) -> None:
        column = pq.ParquetFile(path).read(columns=[table.divider]).column(0)
        foreign = sorted(set(parts_of(column)) - {part})
        if foreign:
            raise invalid(
                f"Some rows belong to different partitions rather than destination partition {table.full}${part}: "
                f"{', '.join(foreign[:3])}"
            )

    def _split(self, table: Table, path: Path) -> list[tuple[str, Path]]:
        if table.divider is None:
            return [(WHOLE, path)]
        arrow = pq.ParquetFile(path).read()
        parts = pa.array(parts_of(arrow.column(table.divider)), pa.string())
        found = []
        for part in sorted(set(parts.to_pylist())):
            file = self.store.new_file(table)
            pq.write_table(arrow.filter(pc.equal(parts, part)), file)
            found.append((part, file))
        return found


def _rows(paths: Any) -> int:
    return sum(pq.read_metadata(path).num_rows for path in paths)
