"""How large the tables of a local warehouse would be in BigQuery, by column and partition.

BigQuery counts logical bytes: 8 for INT64, FLOAT64, DATE and TIMESTAMP, 16 for NUMERIC, 1 for BOOL, 2 and the UTF-8
length for STRING, none for NULL (cloud.google.com/bigquery/pricing, "Data size calculation"). Fixed sizes follow from
the row and NULL counts in a Parquet file's footer; only the lengths of strings are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from recsys import schema
from recsys.errors import WarehouseError
from recsys.warehouse.engine import file_name
from recsys.warehouse.layout import Layout

WIDTHS = {"INT64": 8, "FLOAT64": 8, "DATE": 8, "TIMESTAMP": 8, "NUMERIC": 16, "BOOL": 1}
STRING_OVERHEAD = 2
ByDay = dict[date | None, int]


class FileSizes:
    """Sizes measured from the files of a local warehouse, each column of a file once for as long as this lives."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[tuple[Path, int, str], ByDay] = {}
        self._engine = duckdb.connect(config={"threads": 1})
        self._engine.execute("SET TimeZone = 'UTC'")

    def days(self, table: schema.Table) -> list[date | None]:
        """Partitions there are; of a table kept whole and not divided the one None, if there is a file."""
        if table.partition:
            return list(dict.fromkeys(day for day, _ in self._layout.dated(table)))
        paths = self._layout.files(table, None)
        if table.divided and paths:
            return list(self._measured(table, paths, [table.divided])[0])
        return [None] if paths else []

    def total(self, table: schema.Table, wanted: Mapping[str, Iterable[date | None]]) -> int:
        """Logical bytes of columns, each in the partitions named with it."""
        days = {column: set(named) for column, named in wanted.items()}
        if not table.partition:
            paths = self._layout.files(table, None)
            measured = self._measured(table, paths, list(days)) if paths else []
            return sum(
                size
                for column, by_day in zip(days, measured, strict=bool(paths))
                for day, size in by_day.items()
                if day in days[column]
            )
        total = 0
        dated = self._layout.dated(table)
        for column, named in days.items():
            paths = [path for day, path in dated if day in named]
            total += sum(sum(by_day.values()) for by_day in self._lengths(table, column, paths))
        return total

    def _lengths(self, table: schema.Table, column: str, paths: Sequence[Path]) -> list[ByDay]:
        """Size of one column of each file of a partitioned table."""
        keys = [(path, path.stat().st_mtime_ns, column) for path in paths]
        new = [path for path, key in zip(paths, keys, strict=True) if key not in self._known]
        type_ = _type(table, column)
        measure: Callable[[Sequence[Path]], list[int]] = (
            (lambda files: self._strings(column, files))
            if type_ == "STRING"
            else (lambda files: [WIDTHS[type_] * _filled(path, column) for path in files])
        )
        found = dict(zip(new, measure(new), strict=True)) if new else {}
        for key in keys:
            if key not in self._known:
                self._known[key] = {None: found[key[0]]}
        return [self._known[key] for key in keys]

    def _strings(self, column: str, paths: Sequence[Path]) -> list[int]:
        listed = ", ".join(file_name(path) for path in paths)
        rows = self._rows(
            f"""SELECT filename, {_bytes(column, "STRING")} FROM read_parquet([{listed}], hive_partitioning = false,
            filename = true) GROUP BY filename""",
            paths[0],
        )
        sizes = {Path(name): int(size) for name, size in rows}
        return [sizes.get(path, 0) for path in paths]

    def _measured(self, table: schema.Table, paths: Sequence[Path], columns: Sequence[str]) -> list[ByDay]:
        """Sizes of columns of a table kept whole, by the day that divides it."""
        path = paths[0]
        stamp = path.stat().st_mtime_ns
        new = [name for name in columns if (path, stamp, name) not in self._known]
        if new:
            day = f'CAST("{table.divided}" AS DATE)' if table.divided else "CAST(NULL AS DATE)"
            summed = ", ".join(_bytes(name, _type(table, name)) for name in new)
            rows = self._rows(
                f"SELECT {day}, {summed} FROM read_parquet({file_name(path)}) GROUP BY 1 ORDER BY 1", path
            )
            for place, name in enumerate(new, start=1):
                self._known[(path, stamp, name)] = {row[0]: int(row[place]) for row in rows}
        return [self._known[(path, stamp, name)] for name in columns]

    def _rows(self, sql: str, path: Path) -> list[tuple[Any, ...]]:
        try:
            return self._engine.execute(sql).fetchall()
        except duckdb.Error as error:
            raise _unreadable(path, error) from error


def _type(table: schema.Table, column: str) -> str:
    return next(c.type for c in table.columns if c.name == column)


def _bytes(column: str, type_: str) -> str:
    if type_ == "STRING":
        return f'COALESCE(SUM(strlen("{column}") + {STRING_OVERHEAD}), 0)'
    return f'COUNT("{column}") * {WIDTHS[type_]}'


def _unreadable(path: Path, why: object) -> WarehouseError:
    told = str(why).splitlines()[0]
    return WarehouseError(
        f"{path}: the file is damaged or lacks a column of the contract; `recsys migrate` adds columns. {told}"
    )


def _filled(path: Path, column: str) -> int:
    """Values of a column that are not NULL, from the footer where it says so."""
    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    place = footer.schema.to_arrow_schema().get_field_index(column)
    if place < 0:
        raise _unreadable(path, f"It has no {column}.")
    filled = 0
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        statistics = group.column(place).statistics
        if statistics is None or statistics.null_count is None:
            values = pq.ParquetFile(path).read(columns=[column]).column(0)
            return len(values) - int(values.null_count)
        filled += group.num_rows - statistics.null_count
    return filled


class Repeated:
    """Tables as they would be after a longer history of the same traffic.

    Partitions of the last ``period`` days up to ``last`` are repeated backwards until there are ``length`` days. Tables
    without partitions keep their size: they grow with the audience and the catalogue, not with time.
    """

    def __init__(self, sizes: FileSizes, last: date, period: int, length: int) -> None:
        self._sizes, self._last, self._period, self._length = sizes, last, period, length

    def days(self, table: schema.Table) -> list[date | None]:
        """Partitions there are, with those of the earlier days."""
        found: list[date | None] = []
        for day in self._sizes.days(table):
            age = -1 if day is None else (self._last - day).days
            if day is None or age < 0:
                found.append(day)
            elif age < self._period:
                found += [day - timedelta(days=back) for back in range(0, self._length - age, self._period)]
        return found

    def total(self, table: schema.Table, wanted: Mapping[str, Iterable[date | None]]) -> int:
        """Logical bytes of columns, each in the partitions named with it."""
        total = 0
        for column, days in wanted.items():
            times = Counter(self._measured(day) for day in days)
            for level in range(1, max(times.values(), default=0) + 1):
                total += self._sizes.total(table, {column: [day for day, n in times.items() if n >= level]})
        return total

    def _measured(self, day: date | None) -> date | None:
        if day is None or day > self._last:
            return day
        age = (self._last - day).days
        return self._last - timedelta(days=age % self._period)
