"""An import as a whole: read, map, type and check every table; only then hand out what is to be written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa

from recsys import schema
from recsys.errors import ContractError
from recsys.schema import Table
from recsys.settings import Settings
from recsys.sources.casts import Raw, Typed, type_table
from recsys.sources.mapping import Skipped, apply_mapping, load_mapping, mapped_name, relation
from recsys.sources.reader import connect, find_tables, open_file
from recsys.sources.rules import check_table

# A silence longer than this parts the days of an export from stray dates such as 1970-01-01.
MAX_SILENCE = timedelta(days=31)
Progress = Callable[[str], None]


@dataclass
class Staged:
    """Tables that passed every check, waiting in a scratch DuckDB. Use it as a context manager."""

    con: duckdb.DuckDBPyConnection
    scratch: tempfile.TemporaryDirectory[str]
    tables: dict[str, Typed] = field(default_factory=dict)
    skipped: Skipped | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the scratch database and its folder."""
        self.con.close()
        self.scratch.cleanup()

    def partitions(self, name: str) -> Iterator[tuple[date | None, pa.Table]]:
        """Yield (day, rows) of a table: one (None, all rows) when it is kept whole.

        Days without a row between two days that have some come as empty partitions: the export covers them, so it
        is known that nothing happened.
        """
        typed = self.tables[name]
        if typed.table.partition is None:
            yield None, self._rows(typed.table, "TRUE", [])
            return
        for day in covered_days(self.days(name)):
            yield day, self._rows(typed.table, f"{typed.table.partition} = ?", [day])

    def days(self, name: str, column: str | None = None, timezone: str = "UTC") -> list[date]:
        """Return the distinct days of a table's partition column, or of a TIMESTAMP column in ``timezone``."""
        typed = self.tables[name]
        day = f"CAST({column} AT TIME ZONE '{timezone}' AS DATE)" if column else typed.table.partition
        rows = self.con.execute(f"SELECT DISTINCT {day} AS day FROM {typed.relation} ORDER BY day").fetchall()
        return [row[0] for row in rows]

    def _rows(self, table: Table, where: str, params: list[object]) -> pa.Table:
        relation = self.tables[table.name].relation
        return self.con.sql(f"SELECT * FROM {relation} WHERE {where}", params=params).to_arrow_table()


def covered_days(days: list[date]) -> list[date]:
    """Return ``days`` with silences of up to 31 days filled in."""
    covered: list[date] = []
    for day in days:
        if covered and day - covered[-1] <= MAX_SILENCE:
            covered += [covered[-1] + timedelta(days=n) for n in range(1, (day - covered[-1]).days)]
        covered.append(day)
    return covered


def main_span(days: list[date]) -> list[date]:
    """Return the longest run of covered days that no silence of more than 31 days interrupts."""
    runs: list[list[date]] = []
    for day in covered_days(days):
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return max(runs, key=len, default=[])


def stage_folder(folder: Path, settings: Settings, progress: Progress) -> Staged:
    """Check a folder that holds one Parquet or CSV file per source table.

    Raises:
        ContractError: the first table that does not fit, with everything that is wrong in it.
    """
    files = find_tables(folder)
    staged = _open(settings)
    try:
        for table in schema.SOURCES:
            if table.name in files:
                file = files[table.name]
                raw = Raw(file.scan(), file.label, file.is_csv)
                typed = type_table(staged.con, table, raw, settings.timezone)
                _accept(staged, typed, settings.timezone, progress)
    except BaseException:
        staged.close()
        raise
    return staged


def stage_mapped(path: Path, mapping_path: Path, settings: Settings, progress: Progress) -> Staged:
    """Check one foreign file, read through a mapping.

    Raises:
        ContractError: the file, the mapping, or a table it makes does not fit; says which and why.
    """
    mapping = load_mapping(mapping_path)
    file = open_file(path)
    staged = _open(settings)
    try:
        staged.skipped = apply_mapping(staged.con, mapping, file)
        _tell_skipped(file.label, staged.skipped, progress)
        for table in schema.SOURCES:
            if table.name in mapping.tables:
                label = f"{mapping_path.name} (table {table.name.removeprefix('marketplace.')})"
                typed = type_table(
                    staged.con, table, Raw(relation(mapped_name(table.name)), label), settings.timezone
                )
                _accept(staged, typed, settings.timezone, progress)
    except BaseException:
        staged.close()
        raise
    return staged


def _open(settings: Settings) -> Staged:
    scratch = tempfile.TemporaryDirectory(prefix="recsys-import-")
    return Staged(connect(Path(scratch.name), settings.memory), scratch)


def _accept(staged: Staged, typed: Typed, timezone: str, progress: Progress) -> None:
    check_table(staged.con, typed, timezone)
    staged.tables[typed.table.name] = typed
    note = f"; not given, so empty or derived: {', '.join(typed.filled)}" if typed.filled else ""
    progress(f"checked {typed.label}: {typed.rows:,} rows{note}")


def _tell_skipped(label: str, skipped: Skipped, progress: Progress) -> None:
    left_out = sum(skipped.by_reason.values())
    progress(f"read {label}: {skipped.rows:,} rows, {skipped.rows - left_out:,} used, {left_out:,} left out")
    for reason, count in skipped.by_reason.items():
        progress(f"  left out {count:,}: {reason}")
    if left_out == skipped.rows:
        raise ContractError(f"{label}: the skip rules leave no row of {skipped.rows:,}; check the mapping.")
