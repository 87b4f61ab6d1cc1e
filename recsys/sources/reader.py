"""Find the files of an import and make each one a DuckDB view, typed by nothing yet."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from recsys import schema
from recsys.errors import ContractError
from recsys.warehouse import engine

CSV_ENDINGS = (".csv", ".csv.gz", ".tsv")
ENDINGS = (".parquet", *CSV_ENDINGS)
SHORT_NAMES = {table.name.removeprefix("marketplace."): table for table in schema.SOURCES}


@dataclass(frozen=True)
class SourceFile:
    """One file, or one folder of like files, that holds the rows of one table."""

    path: Path
    is_csv: bool

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.path.name

    def scan(self) -> str:
        """Return the DuckDB table function that reads it, every CSV value as text, in file order."""
        target = engine.file_name(self.path)
        if self.path.is_dir():
            target = f"[{', '.join(engine.file_name(child) for child in data_files(self.path))}]"
        if not self.is_csv:
            return f"read_parquet({target}, hive_partitioning = false)"
        delimiter = "'\t'" if self.path.suffix.lower() == ".tsv" else "','"
        return (
            f"read_csv({target}, delim = {delimiter}, header = true, all_varchar = true, quote = '\"', "
            "escape = '\"', nullstr = '', hive_partitioning = false)"
        )


def quote_text(text: str) -> str:
    """Write ``text`` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """Write ``name`` as an SQL identifier, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def connect(scratch: Path, memory: str) -> duckdb.DuckDBPyConnection:
    """Open the warehouse's engine for an import: all cores, file order kept, spilling to ``scratch``."""
    connection = engine.connect(scratch, memory)
    connection.execute(f"SET threads = {os.cpu_count() or 1}")
    return connection


def data_files(folder: Path) -> list[Path]:
    """Files of a folder that have the ending of a table, in any case, by name."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name.lower().endswith(ENDINGS))


def open_file(path: Path) -> SourceFile:
    """Recognise one file, or one folder of files, by its ending.

    Raises:
        ContractError: when it is absent, of another kind, or a folder that mixes kinds.
    """
    if not path.exists():
        raise ContractError(
            f"{path} does not exist. Give a folder of Parquet or CSV files, or one such file."
        )
    if path.is_file():
        if not path.name.lower().endswith(ENDINGS):
            raise ContractError(
                f"{path} is no data file that can be read; it has to end in {', '.join(ENDINGS)}."
            )
        return SourceFile(path, path.name.lower().endswith(CSV_ENDINGS))
    kinds = {child.name.lower().endswith(CSV_ENDINGS) for child in data_files(path)}
    if len(kinds) != 1:
        raise ContractError(f"{path} has to hold Parquet files only or CSV files only, and at least one.")
    return SourceFile(path, kinds.pop())


def find_tables(folder: Path) -> dict[str, SourceFile]:
    """Return table name -> its file, for a folder that holds one file (or folder of files) per source table.

    Raises:
        ContractError: when a required table has no file, has two, or a data file belongs to no table.
    """
    found: dict[str, SourceFile] = {}
    unknown = []
    for path in sorted(folder.iterdir()):
        short = path.name.partition(".")[0]
        if path.is_file() and not path.name.lower().endswith(ENDINGS):
            continue
        if short not in SHORT_NAMES:
            if path.is_file():
                unknown.append(path.name)
            continue
        name = SHORT_NAMES[short].name
        if name in found:
            raise ContractError(
                f"{folder} has two files for table {short}: {found[name].label} and {path.name}. Keep one."
            )
        found[name] = open_file(path)
    missing = [t.name for t in schema.SOURCES if not t.optional and t.name not in found]
    if missing or unknown:
        raise ContractError(_folder_problem(folder, missing, unknown))
    return found


def _folder_problem(folder: Path, missing: list[str], unknown: list[str]) -> str:
    lines = []
    for name in missing:
        short = name.removeprefix("marketplace.")
        columns = ", ".join(schema.table(name).column_names)
        lines.append(
            f"table {short} is missing: expected {short}.parquet or {short}.csv with columns {columns}"
        )
    for file in unknown:
        guess = suggestion(file.partition(".")[0], SHORT_NAMES)
        lines.append(f"{file} is no source table{guess}; rename it or move it out of the folder")
    return (
        f"{folder} cannot be imported:\n  "
        + "\n  ".join(lines)
        + f"\nSource tables: {', '.join(SHORT_NAMES)}."
    )


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ' (did you mean x?)' when a known name is close to ``name``, else nothing."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.7)
    return f" (did you mean {close[0]!r}?)" if close else ""


def describe(con: duckdb.DuckDBPyConnection, relation: str, label: str) -> dict[str, str]:
    """Return column -> DuckDB type of a relation.

    Raises:
        ContractError: when the file cannot be read; carries the reader's own first line.
    """
    try:
        rows = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise ContractError(f"{label} cannot be read: {first_line(error)}") from error
    return {row[0]: row[1] for row in rows}


def first_line(error: Exception) -> str:
    """Return the first non-empty line of an error's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
