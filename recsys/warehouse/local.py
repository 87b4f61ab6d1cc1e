"""The warehouse in a folder: one Parquet file per partition, read by an in-memory DuckDB."""

from __future__ import annotations

import atexit
import re
import shutil
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys import schema
from recsys.errors import ContractError, WarehouseError
from recsys.settings import Settings
from recsys.warehouse import engine, files, frames
from recsys.warehouse.base import BuildResult, Warehouse
from recsys.warehouse.dialect import parameter_type, translate

WHOLE = "all.parquet"
_PART = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FILE = re.compile(r"^ds=(\d{4}-\d{2}-\d{2})(?:\.([A-Za-z0-9_-]{1,64}))?\.parquet$")


class LocalWarehouse(Warehouse):
    """``<root>/<dataset>/<table>/ds=YYYY-MM-DD.parquet`` (``ds=YYYY-MM-DD.<part>.parquet``, ``all.parquet``).

    No lock anywhere: a partition is replaced by one rename, so any number of processes may read and build at once, and
    of two that write the same partition the later rename stands. The engine runs on one thread, which makes the bytes
    of a partition a function of the bytes it was built from; tasks run side by side instead.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.root = Path(settings.warehouse)
        self._engine: duckdb.DuckDBPyConnection | None = None

    def close(self) -> None:
        """Close the engine and remove its spill folder."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
            shutil.rmtree(engine.spill_dir(self.root), ignore_errors=True)

    def query(
        self,
        sql: str,
        params: Mapping[str, object] | None = None,
        ds: date | None = None,
        name: str = "query",
    ) -> pa.Table:
        given = {**(params or {}), **({"ds": ds} if ds else {})}
        translated = translate(sql, name, _types(given))
        bound = {key: given[key] for key in translated.params}
        with self._session(translated.tables, ds) as connection, engine.sql_errors(name, ds):
            return engine.normalise(connection.sql(translated.sql, params=bound).to_arrow_table())

    def build(self, table: str, ds: date, refresh: bool = False) -> BuildResult:
        started = time.perf_counter()
        spec = self.spec(table)
        contract = schema.table(table)
        path = self._path(contract, ds)
        if spec.snapshot_once and not refresh and path.is_file():
            return BuildResult(table, ds, pq.read_metadata(path).num_rows, str(path), 0.0, built=False)
        self._require_sources(spec)
        given = {"ds": ds, **self._params(spec)}
        translated = translate(spec.sql, str(spec.path), _types(given), repeatable=True)
        bound = {key: given[key] for key in translated.params}
        with self._session(translated.tables, ds) as connection:
            rows = self._replace(connection, contract, path, translated.sql, bound, str(spec.path), ds)
        return BuildResult(table, ds, rows, str(path), time.perf_counter() - started, built=True)

    def read(
        self,
        table: str,
        ds: date | None = None,
        columns: Sequence[str] | None = None,
        start: date | None = None,
    ) -> pd.DataFrame:
        contract = schema.table(table)
        unknown = [name for name in columns or () if name not in contract.column_names]
        if unknown:
            raise ContractError(
                f"{table} has no column {', '.join(unknown)}. It has {', '.join(contract.column_names)}."
            )
        paths = self._files(contract, ds, start)
        if not paths:
            raise WarehouseError(self.missing(table, ds) + (f" (looked from {start} on)" if start else ""))
        wanted = list(columns) if columns else contract.column_names
        try:
            pieces = [pq.read_table(path, columns=wanted, partitioning=None) for path in paths]
        except (OSError, pa.ArrowInvalid) as error:
            raise WarehouseError(
                f"{table}: cannot read {paths[0].parent}: {error}. {self.missing(table, ds)}"
            ) from error
        return frames.to_pandas(contract, pa.concat_tables(pieces).select(wanted))

    def write(
        self, table: str, frame: pd.DataFrame | pa.Table, ds: date | None = None, part: str | None = None
    ) -> int:
        contract = schema.table(table)
        path = self._path(contract, ds, part)
        arrow = frames.to_contract(contract, frame, ds)
        with self._session((), ds) as connection:
            connection.register("incoming", arrow)
            return self._replace(connection, contract, path, 'SELECT * FROM "incoming"', {}, table, ds)

    def exists(self, table: str, ds: date | None = None) -> bool:
        contract = schema.table(table)
        if ds is None and contract.partition:
            return bool(self.partitions(table))
        return bool(self._files(contract, ds, None))

    def partitions(self, table: str) -> list[date]:
        return sorted({day for day, _ in self._dated(schema.table(table))})

    def drop(self, table: str, ds: date | None = None) -> None:
        contract = schema.table(table)
        for path in self._files(contract, ds, None):
            path.unlink(missing_ok=True)

    def location(self, table: str, ds: date | None = None) -> str:
        contract = schema.table(table)
        return str(self._path(contract, ds) if ds or not contract.partition else self._folder(contract))

    # -- files ---------------------------------------------------------------------------------------------------

    def _folder(self, contract: schema.Table) -> Path:
        return self.root.joinpath(*contract.name.split("."))

    def _path(self, contract: schema.Table, ds: date | None, part: str | None = None) -> Path:
        if contract.partition is None:
            if part is not None:
                raise WarehouseError(f"{contract.name} is kept whole; it has no parts.")
            return self._folder(contract) / WHOLE
        if ds is None:
            raise WarehouseError(f"{contract.name} is partitioned by {contract.partition}; say which day.")
        if part is not None and not _PART.fullmatch(part):
            raise WarehouseError(
                f"{contract.name}: part {part!r} may have letters, digits, '_' and '-' only."
            )
        return self._folder(contract) / (
            f"ds={ds.isoformat()}.parquet" if part is None else f"ds={ds}.{part}.parquet"
        )

    def _dated(self, contract: schema.Table) -> list[tuple[date, Path]]:
        """Partition files with their day, in order of day, then part."""
        folder = self._folder(contract)
        found = []
        for path in folder.iterdir() if folder.is_dir() else ():
            match = _FILE.match(path.name)
            if match:
                found.append((date.fromisoformat(match[1]), path))
        return sorted(found)

    def _files(self, contract: schema.Table, ds: date | None, start: date | None) -> list[Path]:
        if contract.partition is None:
            path = self._folder(contract) / WHOLE
            return [path] if path.is_file() else []
        if ds is None:
            raise WarehouseError(f"{contract.name} is partitioned by {contract.partition}; say which day.")
        return [path for day, path in self._dated(contract) if (start or ds) <= day <= ds]

    def _visible(self, contract: schema.Table, ds: date | None) -> list[Path]:
        if contract.partition is None:
            return self._files(contract, None, None)
        hide_after = None if contract.name.startswith("marketplace.") else ds
        return [path for day, path in self._dated(contract) if hide_after is None or day <= hide_after]

    # -- engine --------------------------------------------------------------------------------------------------

    def _connect(self) -> duckdb.DuckDBPyConnection:
        if self._engine is None:
            self._engine = engine.connect(self.root, self.settings.memory)
            atexit.register(_close, weakref.ref(self))
        return self._engine

    @contextmanager
    def _session(self, tables: Sequence[str], ds: date | None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own that sees ``tables`` as views, so that threads do not see each other's days."""
        cursor = self._connect().cursor()
        try:
            cursor.execute("SET TimeZone = 'UTC'")
            for name in tables:
                contract = schema.table(name)
                cursor.execute(engine.view_sql(contract, self._visible(contract, ds)))
            yield cursor
        finally:
            cursor.close()

    def _replace(
        self,
        connection: duckdb.DuckDBPyConnection,
        contract: schema.Table,
        path: Path,
        sql: str,
        bound: Mapping[str, object],
        name: str,
        ds: date | None,
    ) -> int:
        try:
            with files.replacing(path) as aside:
                with engine.sql_errors(name, ds):
                    engine.copy(connection, contract, sql, bound, aside)
                engine.check_file(connection, contract, aside, ds)
                return pq.read_metadata(aside).num_rows
        except duckdb.IOException as error:
            raise files.cannot_write(path, error) from error


def _types(params: Mapping[str, object]) -> dict[str, str]:
    return {name: parameter_type(name, value) for name, value in params.items()}


def _close(reference: weakref.ref[LocalWarehouse]) -> None:
    warehouse = reference()
    if warehouse is not None:
        warehouse.close()
