"""The warehouse in a folder: one Parquet file per partition, read by an in-memory DuckDB."""

from __future__ import annotations

import atexit
import shutil
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recsys import schema
from recsys.errors import RecsysError, WarehouseError
from recsys.settings import Settings
from recsys.warehouse import engine, files, frames, ranges, verify
from recsys.warehouse.base import BuildResult, Warehouse, check_columns, wanted_columns
from recsys.warehouse.dialect import parameter_type, translate
from recsys.warehouse.layout import Layout
from recsys.warehouse.tables import remedy

T = TypeVar("T")
ATTEMPTS = 20


class LocalWarehouse(Warehouse):
    """``<root>/<dataset>/<table>/ds=YYYY-MM-DD.parquet`` (``ds=YYYY-MM-DD.<part>.parquet``, ``all.parquet``).

    Without a lock: a partition is replaced by one rename, so any number of processes may read and build at once, and
    of two that write the same partition the later rename stands. Only those that make a partition of what it was
    (``append``, ``rewrite``) take turns, by a lock on the table's folder. A query whose files were replaced meanwhile
    is run again, so it sees one state of each file. A partition in ranges takes several renames, with a mark beside it
    meanwhile: readers wait for it to go, and refuse the partition where the run that made it has died. The engine runs
    on one thread, which makes the bytes of a partition a function of the bytes it was built from; tasks run side by
    side instead.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.root = Path(settings.warehouse)
        self.layout = Layout(self.root)
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
        """Run one SELECT; see ``Warehouse.query``."""
        given = {**(params or {}), **({"ds": ds} if ds else {})}
        translated = translate(sql, name, _types(given))
        bound = {key: given[key] for key in translated.params}

        def run() -> pa.Table:
            with self._session(translated.tables, ds) as connection, engine.sql_errors(name, ds):
                return engine.normalise(connection.sql(translated.sql, params=bound).to_arrow_table())

        return _steadily(run)

    def build(self, table: str, ds: date, refresh: bool = False) -> BuildResult:
        """Replace one partition by its SELECT; see ``Warehouse.build``."""
        started = time.perf_counter()
        spec = self.spec(table)
        contract = schema.table(table)
        path = self.layout.path(contract, ds)
        if spec.snapshot_once and not refresh and path.is_file():
            return BuildResult(table, ds, pq.read_metadata(path).num_rows, str(path), 0.0, built=False)
        self._require_upstream(spec, ds)
        given = {"ds": ds, **self._params(spec)}
        translated = translate(spec.sql, str(spec.path), _types(given), repeatable=True)
        check_columns(spec, translated.columns)
        bound = {key: given[key] for key in translated.params}
        job = engine.Copy(contract, translated.sql, bound, str(spec.path), ds)
        rows = _steadily(lambda: self._build(job, translated.tables, spec.ranges, spec.limits))
        return BuildResult(table, ds, rows, str(path), time.perf_counter() - started, built=True)

    def read(
        self,
        table: str,
        ds: date | None = None,
        columns: Sequence[str] | None = None,
        start: date | None = None,
    ) -> pd.DataFrame:
        """Read partitions or a whole table as pandas; see ``Warehouse.read``."""
        contract = schema.table(table)
        wanted = wanted_columns(contract, columns)
        return frames.to_pandas(contract, _steadily(lambda: self._pieces(contract, ds, start, wanted)))

    def _pieces(
        self, contract: schema.Table, ds: date | None, start: date | None, columns: list[str]
    ) -> pa.Table:
        paths = self._whole(contract, partial(self.layout.files, contract, ds, start))
        if not paths:
            told = f" Looked from {start} on." if start else ""
            raise WarehouseError(self.missing(contract.name, ds) + told)
        before = files.stamps(paths)
        try:
            pieces = [pq.ParquetFile(path).read(columns=columns) for path in paths]
            if self.layout.marks(contract, paths) and files.stamps(paths) != before:
                raise _ReplacedError
            return pa.concat_tables(pieces).select(columns)
        except (OSError, KeyError, pa.ArrowException) as error:
            if files.stamps(paths) != before:
                raise _ReplacedError from error
            raise WarehouseError(
                f"{contract.name}: a file in {paths[0].parent} is damaged or lacks a column of the contract; "
                f"if an earlier version wrote it, run `recsys migrate`, else make it again with "
                f"{remedy(contract.name, ds)}. {error}"
            ) from error

    def write(
        self, table: str, frame: pd.DataFrame | pa.Table, ds: date | None = None, part: str | None = None
    ) -> int:
        """Replace a partition by a frame; see ``Warehouse.write``."""
        contract = schema.table(table)
        path = self.layout.path(contract, ds, part)
        arrow = frames.to_contract(contract, frame, ds)
        rows = self._replace(
            engine.Copy(contract, 'SELECT * FROM "incoming"', {}, table, ds), path, (), arrow
        )
        for other in self.layout.other_form(contract, ds, part):
            other.unlink(missing_ok=True)
        return rows

    def append(self, table: str, more: Callable[[pd.DataFrame], pd.DataFrame], ds: date) -> pd.DataFrame:
        """Add rows to a partition, one caller after the other; see ``Warehouse.append``."""
        contract = schema.table(table)
        there, is_there = frames.arrow_schema(contract).empty_table(), False
        with files.locked(self.layout.folder(contract)):
            if self.exists(table, ds):
                found = _steadily(lambda: self._pieces(contract, ds, None, contract.column_names))
                there, is_there = frames.to_contract(contract, found, ds), True
            rows = frames.to_contract(contract, more(frames.to_pandas(contract, there)), ds)
            if rows.num_rows or not is_there:
                self.write(table, pa.concat_tables([there, rows]), ds)
        return frames.to_pandas(contract, rows)

    def look(self, path: Path, sql: str, bound: Mapping[str, object] | None = None) -> pa.Table:
        """Return the rows of ``sql`` over the one file ``path``, which it sees as the view ``old``.

        ``sql`` is written for the engine and comes from this package; values are bound.
        """

        def run() -> pa.Table:
            with self._session((), None) as connection, engine.sql_errors(path.name, None):
                engine.create_old(connection, path)
                return engine.normalise(connection.sql(sql, params=dict(bound or {})).to_arrow_table())

        return _steadily(run)

    def rewrite(self, table: str, path: Path, sql: str, bound: Mapping[str, object] | None = None) -> int:
        """Replace the file ``path`` of ``table`` by the rows of ``sql`` over it, which sees it as the view ``old``.

        ``sql`` is written for the engine and comes from this package; values are bound. Returns the rows.

        Raises:
            ContractError: the rows are not what the contract asks for; the file stays.
            WarehouseError: could not be written; the file stays.
        """
        contract, ds = schema.table(table), self.layout.day(path)
        job = engine.Copy(contract, sql, bound or {}, f"{table} ({path.name})", ds)

        def run() -> int:
            before = files.stamps([path])
            with files.replacing(path) as aside:
                with self._session((), None) as connection:
                    engine.create_old(connection, path)
                    job.run(connection, aside)
                rows = verify.check_file(contract, aside, ds)
                if files.stamps([path]) != before:
                    raise _ReplacedError
            return rows

        try:
            with files.locked(path.parent):
                return _steadily(run)
        except duckdb.IOException as error:
            raise files.cannot_write(path, error) from error

    def exists(self, table: str, ds: date | None = None) -> bool:
        """Tell whether a table or partition is there."""
        contract = schema.table(table)
        if ds is None and contract.partition:
            return bool(self.partitions(table))
        return bool(self.layout.files(contract, ds))

    def partitions(self, table: str) -> list[date]:
        """List the days a partitioned table has, oldest first."""
        return sorted({day for day, _ in self.layout.dated(schema.table(table))})

    def drop(self, table: str, ds: date | None = None) -> None:
        """Remove a partition with all its parts, or a whole table."""
        contract = schema.table(table)
        paths = self.layout.files(contract, ds)
        for path in (*paths, *self.layout.marks(contract, paths).values()):
            path.unlink(missing_ok=True)

    def location(self, table: str, ds: date | None = None) -> str:
        """Path of a partition or of a table's folder."""
        contract = schema.table(table)
        whole = ds is None and contract.partition is not None
        return str(self.layout.folder(contract) if whole else self.layout.path(contract, ds))

    def _connect(self) -> duckdb.DuckDBPyConnection:
        if self._engine is None:
            self._engine = engine.connect(self.root, self.settings.memory)
            atexit.register(_close, weakref.ref(self))
        return self._engine

    @contextmanager
    def _session(
        self,
        tables: Sequence[str],
        ds: date | None,
        within: Mapping[str, str | None] = MappingProxyType({}),
        visible: Mapping[str, Sequence[Path]] | None = None,
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own that sees ``tables`` as views, so that threads do not see each other's days.

        ``within`` holds the rows of some of them to a condition. ``visible`` are their files, where they are known.

        Raises:
            _ReplacedError: a file was replaced while it was read. The engine opens a file more than once, so it may
                have joined the old one's head to the new one's body, with or without noticing.
        """
        cursor = self._connect().cursor()
        visible = self._visible(tables, ds) if visible is None else visible
        before = files.stamps(path for paths in visible.values() for path in paths)
        failure: Exception | None = None
        try:
            cursor.execute("SET TimeZone = 'UTC'")
            for name, paths in visible.items():
                engine.create_view(cursor, schema.table(name), paths, within.get(name))
            yield cursor
        except (duckdb.Error, RecsysError) as error:
            failure = error
        finally:
            cursor.close()
        if files.stamps(before) != before:
            raise _ReplacedError from failure
        if failure:
            raise failure

    def _visible(self, tables: Sequence[str], ds: date | None) -> dict[str, list[Path]]:
        contracts = map(schema.table, tables)
        return {c.name: self._whole(c, partial(self.layout.visible, c, ds)) for c in contracts}

    def _whole(self, contract: schema.Table, found: Callable[[], list[Path]]) -> list[Path]:
        """What ``found`` lists, with all ranges of a day or none.

        Raises:
            _ReplacedError: ranges are being moved into place.
            WarehouseError: the run that moved them has died.
        """
        paths = found()
        marks = self.layout.marks(contract, paths)
        for day, mark in marks.items():
            by = files.marked(mark)
            if by is not None and files.is_gone(by):
                raise WarehouseError(
                    f"{contract.name} of {day} was left half replaced by a run that was killed; make it again with "
                    f"{remedy(contract.name, day)}."
                )
            if by is not None:
                raise _ReplacedError
        if marks and found() != paths:
            raise _ReplacedError
        return paths

    def _build(
        self, job: engine.Copy, tables: Sequence[str], columns: Sequence[str], limits: Sequence[str]
    ) -> int:
        """Replace a partition by the rows of ``job``: in one file, or in a part for each range of ``columns``."""
        by = {name: ranges.shared(columns, schema.table(name).column_names) for name in tables}
        visible = self._visible(tables, job.ds)
        before = files.stamps(path for found in visible.values() for path in found)
        # What is grouped is what has the first column; of another a copy of every day may be there.
        held = (
            (path, head)
            for head in columns[:1]
            for name in tables
            if by[name] == head
            for path in visible[name]
        )
        spans = ranges.cut(held, ranges.ROWS, limits)
        paths = self.layout.ranges(job.contract, job.ds, len(spans))

        def write(aside: Path, span: ranges.Range) -> int:
            within = {
                name: engine.between(column, span.low, span.high) for name, column in by.items() if column
            }
            with self._session(tables, job.ds, within, visible) as connection:
                job.run(connection, aside)
            return verify.check_file(job.contract, aside, job.ds)

        connection = self._connect()
        if len(spans) > 1:
            engine.keep_blocks(connection)
        mark = self.layout.mark(job.contract, job.ds) if job.contract.partition else None
        try:
            with ExitStack() as stack, ThreadPoolExecutor(min(len(spans), ranges.cores())) as workers:
                asides = [stack.enter_context(files.replacing(path)) for path in paths]
                rows = sum(workers.map(write, asides, spans))
                if files.stamps(before) != before:
                    raise _ReplacedError
                others = [path for path in self.layout.files(job.contract, job.ds) if path not in paths]
                if mark and len(paths) + len(others) > 1:
                    files.mark(mark)
        except duckdb.IOException as error:
            raise files.cannot_write(paths[0], error) from error
        for other in others:
            other.unlink(missing_ok=True)
        if mark:
            mark.unlink(missing_ok=True)
        return rows

    def _replace(
        self, job: engine.Copy, path: Path, tables: Sequence[str], incoming: pa.Table | None = None
    ) -> int:
        """Write the rows of ``job`` aside, check them, and move them to ``path``."""
        try:
            with files.replacing(path) as aside:
                with self._session(tables, job.ds) as connection:
                    if incoming is not None:
                        connection.register("incoming", incoming)
                    job.run(connection, aside)
                return verify.check_file(job.contract, aside, job.ds)
        except duckdb.IOException as error:
            raise files.cannot_write(path, error) from error


class _ReplacedError(Exception):
    """A file was replaced while it was read."""


def _steadily(work: Callable[[], T]) -> T:
    """Do ``work`` over files that stay put: where one was replaced meanwhile, begin again."""
    for attempt in range(ATTEMPTS):
        try:
            return work()
        except _ReplacedError:
            time.sleep(0.02 * attempt)
    raise WarehouseError(
        f"The files it reads were replaced {ATTEMPTS} times while it ran; run it again when they rest."
    )


def _types(params: Mapping[str, object]) -> dict[str, str]:
    return {name: parameter_type(name, value) for name, value in params.items()}


def _close(reference: weakref.ref[LocalWarehouse]) -> None:
    warehouse = reference()
    if warehouse is not None:
        warehouse.close()
