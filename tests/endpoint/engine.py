"""Statements over the stored tables: the project's own translation of GoogleSQL, run by DuckDB.

What BigQuery enforces and DuckDB does not is enforced here: filters on partitions, and the bytes a query may read.
BigQuery promises no order of the rows of a table. Files are kept sorted (by the key of the contract that a table is
named after, then by every other column), so that sums of FLOAT64 add up in the same order as in a local warehouse.
"""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from recsys import schema
from recsys.errors import SqlError
from recsys.warehouse import engine
from recsys.warehouse.dialect import translate
from recsys.warehouse.scan import Read, scan
from tests.endpoint.cells import arrow_schema, duckdb_columns, field, type_of_arrow
from tests.endpoint.errors import ApiError, invalid
from tests.endpoint.store import Store, Table
from tests.endpoint.text import Mapped, map_tables

FOREIGN = "foreign"
PART = re.compile(r"__[A-Za-z0-9_]+$")
FAR = dt.date(9999, 1, 1)
LONG_AGO = dt.date(1, 1, 2)
MEBIBYTE = 1 << 20
Params: TypeAlias = tuple[Mapping[str, str], Mapping[str, Any]]
"""GoogleSQL types and values of the parameters of a query."""
NO_PARAMS: Params = ({}, {})


@dataclass(frozen=True)
class Plan:
    """A SELECT that may run: its translation, the tables it reads, the bytes of it, the fields it returns."""

    mapped: Mapped
    sql: str
    bound: dict[str, Any]
    bytes: int
    billed: int
    fields: list[dict[str, Any]]
    unsure: tuple[str, ...]
    """Columns whose type only the run tells."""


class Engine:
    """One DuckDB for all statements, a cursor for each."""

    def __init__(self, store: Store, folder: Path, memory: str = "2GB") -> None:
        self.store = store
        self.folder = folder
        self.connection = engine.connect(folder, memory)
        self._lock = threading.Lock()

    def close(self) -> None:
        self.connection.close()

    def plan(
        self,
        sql: str,
        project: str,
        params: Params = NO_PARAMS,
        *,
        default: str | None = None,
        enforce: bool = True,
    ) -> Plan:
        """Translate one SELECT and hold it to what BigQuery enforces before it runs."""
        types, values = params
        mapped = map_tables(sql, self.store, project, default)
        reads = self._reads(mapped, values) if enforce else ()
        shapes = {name: shape(table) for name, table in mapped.tables.items()}
        try:
            translated = translate(mapped.sql, "query", types, foreign=shapes)
        except SqlError as error:
            raise invalid(str(error), "invalidQuery") from error
        bound = {name: values[name] for name in translated.params}
        known = [(n, t if t in engine.DUCKDB_TYPES else "STRING") for n, t in translated.columns]
        unsure = tuple(name for name, kind in translated.columns if kind not in engine.DUCKDB_TYPES)
        sizes = self._sizes(reads)
        billed = sum(max(size, 10 * MEBIBYTE) for size in sizes.values())
        return Plan(
            mapped, translated.sql, bound, sum(sizes.values()), billed, [field(*one) for one in known], unsure
        )

    def fetch(self, plan: Plan) -> tuple[pa.Table, list[dict[str, Any]]]:
        """Rows of a SELECT in its own order, with their fields."""
        with self._cursor(plan.mapped) as cursor:
            arrow = engine.normalise(cursor.sql(plan.sql, params=plan.bound).to_arrow_table())
        found = [(f.name, type_of_arrow(f.type)) for f in arrow.schema]
        fields = [
            field(name, kind) if name in plan.unsure else known
            for (name, kind), known in zip(found, plan.fields, strict=True)
        ]
        return arrow.cast(arrow_schema(fields)), fields

    def copy(self, plan: Plan, table: Table, fields: list[dict[str, Any]], path: Path) -> None:
        """Rows of a SELECT as a file of ``table``, sorted."""
        with self._cursor(plan.mapped) as cursor:
            cursor.execute(_copy(f"({plan.sql})", table, fields, path), plan.bound)

    def copy_arrow(self, arrow: pa.Table, table: Table, path: Path) -> None:
        """Rows that were sent, or fetched, as a file of ``table``, sorted."""
        with self._cursor(Mapped("", {})) as cursor:
            cursor.register("incoming", arrow)
            cursor.execute(_copy('"incoming"', table, table.fields, path))

    def _cursor(self, mapped: Mapped) -> _Cursor:
        with self._lock:
            cursor = self.connection.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        for name, table in mapped.tables.items():
            self._view(cursor, name, table)
        return _Cursor(cursor)

    def _view(self, cursor: duckdb.DuckDBPyConnection, name: str, table: Table) -> None:
        if table.query is None:
            cursor.execute(f'CREATE OR REPLACE TEMP VIEW "{FOREIGN}.{name}" AS {_from_files(table)}')
            return
        inner = map_tables(table.query, self.store, table.project, table.dataset)
        for below, one in inner.tables.items():
            self._view(cursor, below, one)
        shapes = {below: shape(one) for below, one in inner.tables.items()}
        body = translate(inner.sql, table.full, {}, foreign=shapes).sql
        cursor.execute(f'CREATE OR REPLACE TEMP VIEW "{FOREIGN}.{name}" AS {body}')

    def _reads(self, mapped: Mapped, values: Mapping[str, Any]) -> tuple[Read, ...]:
        """What is read; refuses a table whose filter is missing."""
        contracts = {name: self.contract(table) for name, table in mapped.tables.items()}
        try:
            reads = scan(mapped.sql, values, contracts)
        except SqlError as error:
            raise invalid(str(error), "invalidQuery") from error
        for read in reads:
            table = self._by_contract(read.table)
            if self._needs_filter(table) and read.holds(LONG_AGO) and read.holds(FAR):
                raise invalid(
                    f"Cannot query over table '{table.full}' without a filter over column(s) "
                    f"'{self._divider(table)}' that can be used for partition elimination",
                    "invalidQuery",
                )
        return reads

    def contract(self, table: Table) -> schema.Table:
        """A table as a contract; a view is partitioned as the tables below it."""
        if table.query is None:
            return table.contract
        below = [self.contract(one) for one in self.below(table)]
        partitions = {one.partition for one in below}
        columns = table.contract.columns
        partition = partitions.pop() if len(partitions) == 1 else None
        return schema.Table(table.contract.name, columns, (), partition)

    def below(self, view: Table) -> list[Table]:
        """The tables that a view names."""
        return list(map_tables(view.query or "", self.store, view.project, view.dataset).tables.values())

    def _by_contract(self, contract: schema.Table) -> Table:
        dataset, _, name = contract.name.partition(".")
        return next(t for k, t in self.store.tables.items() if k[1:] == (dataset, name))

    def _needs_filter(self, table: Table) -> bool:
        if table.query is None:
            return bool(table.resource.get("requirePartitionFilter"))
        return any(self._needs_filter(one) for one in self.below(table))

    def _divider(self, table: Table) -> str | None:
        return table.divider if table.query is None else self.contract(table).partition

    def _sizes(self, reads: tuple[Read, ...]) -> dict[str, int]:
        """Logical bytes that a query reads of each table; a column read twice over a partition counts once."""
        wanted: dict[str, dict[str, set[dt.date | None]]] = {}
        tables: dict[str, Table] = {}
        for read in reads:
            for table in self._bases(self._by_contract(read.table)):
                tables[table.full] = table
                days = {day for day in table.days() if read.holds(day)}
                columns = wanted.setdefault(table.full, {})
                for column in read.columns:
                    columns.setdefault(column, set()).update(days)
        return {
            full: sum(tables[full].size({column}, days) for column, days in columns.items())
            for full, columns in wanted.items()
        }

    def _bases(self, table: Table) -> list[Table]:
        if table.query is None:
            return [table]
        return [base for one in self.below(table) for base in self._bases(one)]


class _Cursor:
    """A DuckDB cursor that closes itself and turns what the engine raises into an error of the query."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self.cursor = cursor

    def __enter__(self) -> duckdb.DuckDBPyConnection:
        return self.cursor

    def __exit__(self, kind: Any, error: BaseException | None, tb: Any) -> None:
        self.cursor.close()
        if isinstance(error, duckdb.Error):
            raise ApiError(400, "invalidQuery", " ".join(str(error).split())) from error


def shape(table: Table) -> dict[str, str]:
    """Column -> GoogleSQL type, in order."""
    return {column.name: column.type for column in table.contract.columns}


def _copy(source: str, table: Table, fields: list[dict[str, Any]], path: Path) -> str:
    by = ", ".join(f'"{name}" NULLS FIRST' for name in order_of(table, [f["name"] for f in fields]))
    return (
        f"COPY (SELECT {duckdb_columns(fields)} FROM {source} ORDER BY {by}) TO {engine.quoted(str(path))} "
        "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
    )


def _from_files(table: Table) -> str:
    paths = table.files()
    if not paths:
        empty = (
            f'CAST(NULL AS {engine.DUCKDB_TYPES[kind]}) AS "{name}"' for name, kind in shape(table).items()
        )
        return f"SELECT {', '.join(empty)} LIMIT 0"
    listed = ", ".join(engine.quoted(str(path)) for path in paths)
    if not table.evolved:
        columns = ", ".join(f'"{f["name"]}"' for f in table.fields)
        return f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = false)"
    held = {name for path in paths for name in pq.read_schema(path).names}
    columns = ", ".join(
        f'"{name}"' if name in held else f'CAST(NULL AS {engine.DUCKDB_TYPES[kind]}) AS "{name}"'
        for name, kind in shape(table).items()
    )
    return f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = false, union_by_name = true)"


def order_of(table: Table, names: list[str]) -> list[str]:
    """Columns that the files of a table are sorted by."""
    bare = PART.sub("", table.name)
    key = next(
        (
            contract.key
            for contract in schema.TABLES.values()
            if contract.name.partition(".")[2] == bare
            and table.dataset.endswith(contract.name.partition(".")[0])
        ),
        (),
    )
    first = [name for name in key if name in names]
    return [*first, *(name for name in names if name not in first)]
