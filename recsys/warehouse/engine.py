"""DuckDB as the local warehouse uses it: connecting, views over files, copying out, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType

from recsys import schema
from recsys.errors import SettingsError, SqlError, WarehouseError
from recsys.warehouse import files, frames
from recsys.warehouse.dialect import MACROS
from recsys.warehouse.functions import farm_fingerprints
from recsys.warehouse.verify import is_source

DUCKDB_TYPES = {
    "STRING": "VARCHAR",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38, 9)",
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMPTZ",
}
SPILL = "_spill"
GUESSES = "statistics_propagation,join_order,build_side_probe_side"
"""Optimizers that look at how many rows and NULLs the visible files hold. Off: a plan, and with it the order in which
floats are added and the encoding of a file, follows from the SQL text and the rows alone, not from which other
partitions happen to be there."""
_DAMAGED = ("No magic bytes", "too small to be a Parquet file", "schema mismatch")


def spill_dir(root: Path) -> Path:
    """Folder this process's engine spills to when a build outgrows its memory."""
    return root / SPILL / files.owner()


def connect(root: Path, memory: str) -> duckdb.DuckDBPyConnection:
    """Open an in-memory engine: one thread, UTC, spilling below ``root``, with the functions DuckDB lacks."""
    for left in (root / SPILL).glob("*~*~*"):
        if files.is_gone(left.name):
            _remove(left)
    if root.is_dir():  # DuckDB makes the last folder of the path and no other
        with suppress(OSError):
            (root / SPILL).mkdir(exist_ok=True)
    connection = duckdb.connect(
        config={"threads": 1, "preserve_insertion_order": True, "temp_directory": str(spill_dir(root))}
    )
    try:
        connection.execute(f"SET memory_limit = {quoted(memory)}")
    except duckdb.Error as error:
        raise SettingsError(f"RECSYS_MEMORY is {memory!r}; write it like 4GB.") from error
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET disabled_optimizers = {quoted(GUESSES)}")
    _register(connection, "farm_fingerprint", farm_fingerprints, "BIGINT")
    _register(connection, "unicode_lower", lambda texts: [text.lower() for text in texts], "VARCHAR")
    _register(connection, "unicode_upper", lambda texts: [text.upper() for text in texts], "VARCHAR")
    for macro in MACROS:
        connection.execute(f"CREATE MACRO {macro}")
    return connection


def keep_blocks(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep the blocks that a build is done with for the next; fresh ones cost a tenth of a large build's time.

    This reserves as many addresses as the machine has memory, which are given back when the engine is closed: a process
    with two such engines may be refused a fork. So it is not for every engine.
    """
    connection.execute("SET block_allocator_memory = '50%'")


def _register(
    connection: duckdb.DuckDBPyConnection, name: str, function: Callable[[list[str]], Iterable], returns: str
) -> None:
    """Make a function of one text known to the engine, given for many texts at once; NULL gives NULL."""
    types: dict[str, Any] = {"BIGINT": pa.int64(), "VARCHAR": pa.string()}

    def over(texts: pa.ChunkedArray) -> pa.Array:
        given: list[Any] = texts.to_pylist()
        found = function([text for text in given if text is not None] if texts.null_count else given)
        if texts.null_count:
            values = iter(found)
            found = [None if text is None else next(values) for text in given]
        return pa.array(found, types[returns])

    connection.create_function(
        name,
        over,
        ["VARCHAR"],
        returns,
        type=PythonUDFType.ARROW,
        null_handling=FunctionNullHandling.SPECIAL,
    )


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    folder.rmdir()


def quoted(text: str) -> str:
    """Write ``text`` as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def file_name(path: Path | str) -> str:
    """Write the path of a file to be read as a SQL string literal, in which ``*``, ``?`` and ``[`` are no pattern.

    Example:
        >>> file_name("it's [new]*.parquet")
        "'it''s [[]new][*].parquet'"
    """
    return quoted("".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path)))


def create_view(
    connection: duckdb.DuckDBPyConnection,
    contract: schema.Table,
    paths: Sequence[Path],
    within: str | None = None,
) -> None:
    """Define the view of a table over its files; over none it has the contract's columns and no row.

    ``within`` is a condition that its rows are held to.

    Raises:
        WarehouseError: a file is damaged, or lacks a column that the contract has by now.
    """
    if paths:
        listed = ", ".join(file_name(path) for path in paths)
        columns = ", ".join(f'"{name}"' for name in contract.column_names)
        body = f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = false)"
        body += f" WHERE {within}" if within else ""
    else:
        empty = (
            f'CAST(NULL AS {DUCKDB_TYPES[column.type]}) AS "{column.name}"' for column in contract.columns
        )
        body = f"SELECT {', '.join(empty)} LIMIT 0"
    try:
        connection.execute(f'CREATE OR REPLACE TEMP VIEW "{contract.name}" AS {body}')
    except duckdb.Error as error:
        raise WarehouseError(
            f"{contract.name}: a file in {paths[0].parent} is damaged or lacks a column of the contract; "
            f"if an earlier version wrote it, run `recsys migrate`, else build or import it again. {error}"
        ) from error


def between(column: str, low: str | None, high: str | None) -> str | None:
    r"""Condition that a text column lies from ``low`` up to, without, ``high``; None where neither limits it.

    Example:
        >>> between("user_id", "a", "c")
        '"user_id" >= \'a\' AND "user_id" < \'c\''
    """
    limits = [(">=", low), ("<", high)]
    return " AND ".join(f'"{column}" {sign} {quoted(at)}' for sign, at in limits if at is not None) or None


def create_old(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Define the view ``old`` over one file with all its columns, contract or not.

    Raises:
        WarehouseError: the file is damaged.
    """
    try:
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW old AS SELECT * FROM read_parquet([{file_name(path)}], "
            "hive_partitioning = false)"
        )
    except duckdb.Error as error:
        raise WarehouseError(f"{path} is damaged; build or import it again. {error}") from error


@dataclass(frozen=True)
class Copy:
    """One write: the rows of ``sql`` as the columns of ``contract``; ``name`` and ``ds`` are for its errors."""

    contract: schema.Table
    sql: str
    bound: Mapping[str, object]
    name: str
    ds: date | None

    def run(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        """Write to ``path``, sorted by the key: the same rows are always the same bytes.

        A source table may hold a key twice (staging quarantines it), so its remaining columns break the tie.
        """
        contract = self.contract
        columns = ", ".join(
            f'CAST("{c.name}" AS {DUCKDB_TYPES[c.type]}) AS "{c.name}"' for c in contract.columns
        )
        rest = [n for n in contract.column_names if n not in contract.key] if is_source(contract) else []
        by = ", ".join(f'"{name}" NULLS FIRST' for name in (*contract.key, *rest))
        with sql_errors(self.name, self.ds, writing=True):
            connection.execute(
                f"COPY (SELECT {columns} FROM ({self.sql}) ORDER BY {by}) TO {quoted(str(path))} "
                "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880, USE_TMP_FILE false)",
                dict(self.bound),
            )


def normalise(arrow: pa.Table) -> pa.Table:
    """Bring a result to BigQuery's types: every integer INT64, every decimal NUMERIC, every time TIMESTAMP in UTC."""
    columns = [arrow.column(field.name).cast(_bigquery_type(field.type)) for field in arrow.schema]
    return pa.table(columns, names=arrow.column_names)


def _bigquery_type(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(type_) or (pa.types.is_decimal(type_) and type_.scale == 0):
        return pa.int64()
    if pa.types.is_decimal(type_):
        return frames.NUMERIC
    if pa.types.is_timestamp(type_) and type_.tz is not None:
        return frames.TIMESTAMP
    return type_


@contextmanager
def sql_errors(name: str, ds: date | None, writing: bool = False) -> Iterator[None]:
    """Turn what the engine raises into an error that names the text and the day; when ``writing``, I/O errors pass."""
    try:
        yield
    except duckdb.IOException as error:
        if writing:
            raise
        raise WarehouseError(f"{name}{f' for {ds}' if ds else ''}: the disk refused: {error}") from error
    except duckdb.OutOfMemoryException as error:
        raise WarehouseError(
            f"{name}{f' for {ds}' if ds else ''}: out of memory; raise RECSYS_MEMORY. {_told(error)}"
        ) from error
    except duckdb.Error as error:
        if any(sign in str(error) for sign in _DAMAGED):
            raise WarehouseError(
                f"{name}: a file it reads is damaged; build or import it again. {error}"
            ) from error
        raise SqlError(f"{name}{f' for {ds}' if ds else ''}: {_told(error)}") from error


def _told(error: duckdb.Error) -> str:
    """The engine's message on one line, without the place in a text that nobody wrote."""
    return " ".join(str(error).partition("\nLINE ")[0].split())
