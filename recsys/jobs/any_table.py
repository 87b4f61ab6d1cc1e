"""Read any table a person names, and write what was found: for the commands ``recsys experiment ...``."""

from __future__ import annotations

import csv
import gzip
import json
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from recsys import schema
from recsys.errors import ContractError, ExperimentError, WarehouseError
from recsys.settings import Settings
from recsys.sources.reader import ENDINGS, SourceFile, data_files, open_file
from recsys.warehouse import open_warehouse
from recsys.warehouse.base import require_warehouse
from recsys.warehouse.layout import Layout

DELIMITERS = ",;\t|"
MOST_NAMES = 30
"""Tables of a warehouse that an error names."""
_NAME = re.compile(r"[A-Za-z0-9_]+\.[A-Za-z0-9_-]+")
DAMAGED = (ValueError, OSError, EOFError, zlib.error, pd.errors.ParserWarning)
"""What pandas, Arrow and gzip raise on a damaged file."""


def read_any(settings: Settings, source: str, ds: date | None = None) -> pd.DataFrame:
    """Return all rows of a file, a folder of like files, or a table (with ``ds``: that day's).

    A table is one of the contracts; without one, in BigQuery any ``dataset.table`` of the project, and in a folder
    what is kept as one of the warehouse's own is: ``<warehouse>/<dataset>/<table>/*.parquet``.

    Raises:
        ContractError: there is no such file or table, the file cannot be read, two columns have one name, or ``ds`` is
            given for what has no days.
        WarehouseError: the table has no rows, or none of that day.
    """
    path = Path(source)
    if path.exists():
        if ds is not None:
            raise ContractError(
                f"--ds {ds} reads a day of a table of the warehouse, and {source} is a file or folder. Leave it out, "
                "and give a file of the rows that are meant."
            )
        return _read_files(path)
    if source in schema.TABLES:
        return _read_table(settings, source, ds)
    is_name = _NAME.fullmatch(source) is not None and not source.lower().endswith(ENDINGS)
    found = _read_foreign(settings, source, ds) if is_name else None
    if found is None:
        raise ContractError(
            f"{source!r} is neither a file nor a table. Give a CSV or Parquet file, or a table that `recsys tables` "
            f"lists{_more_tables(settings)}."
        )
    return found


def _read_table(settings: Settings, source: str, ds: date | None) -> pd.DataFrame:
    """Rows of a table with a contract: of the day, else of all days."""
    is_whole = schema.table(source).partition is None
    if is_whole and ds is not None:
        raise ContractError(f"{source} is kept whole, so there is no day {ds} of it; leave --ds out.")
    with open_warehouse(require_warehouse(settings)) as warehouse:
        if is_whole or ds is not None:
            return warehouse.read(source, ds).reset_index(drop=True)
        days = warehouse.partitions(source)
        if not days:
            raise WarehouseError(warehouse.missing(source))
        return warehouse.read(source, days[-1], start=days[0]).reset_index(drop=True)


def _read_foreign(settings: Settings, source: str, ds: date | None) -> pd.DataFrame | None:
    """Rows of a table without a contract; None where there is none."""
    if settings.is_bigquery:
        from recsys.warehouse.bigquery.foreign import read_foreign  # noqa: PLC0415  (google clients)
        from recsys.warehouse.bigquery.warehouse import BigQueryWarehouse  # noqa: PLC0415

        with BigQueryWarehouse(settings) as warehouse:
            return read_foreign(warehouse, source, ds)
    folder = Path(settings.warehouse).joinpath(*source.split("."))
    if not folder.is_dir():
        return None
    return _read_files(folder, ds)


def _more_tables(settings: Settings) -> str:
    """What else may be named: in BigQuery any table, in a folder those that it has."""
    if settings.is_bigquery:
        return f", or DATASET.TABLE as {settings.warehouse} has it, its prefix not added"
    kept = sorted({f"{p.parts[-3]}.{p.parts[-2]}" for p in Path(settings.warehouse).glob("*/*/*.parquet")})
    more = f" and {len(kept) - MOST_NAMES} more" if len(kept) > MOST_NAMES else ""
    return f"; {settings.warehouse} has {', '.join(kept[:MOST_NAMES]) or 'none yet'}{more}"


def _read_files(path: Path, ds: date | None = None) -> pd.DataFrame:
    """Rows of a file or a folder of like files; with ``ds`` of those that are named by the day."""
    file = open_file(path)
    files = [path] if path.is_file() else data_files(path)
    if ds is not None:
        layout = Layout(path)
        days = {child: day for child in files if (day := layout.day(child))}
        files = [child for child, day in days.items() if day == ds]
        if not files:
            known = f"it has {min(days.values())}..{max(days.values())}" if days else "it has no days"
            raise WarehouseError(
                f"{path} has no file ds={ds}.parquet; {known}. Name another day, or leave --ds out."
            )
    return pd.concat([_read(file, child) for child in files], ignore_index=True)


def _read(file: SourceFile, path: Path) -> pd.DataFrame:
    try:
        frame = _read_csv(path) if file.is_csv else _read_parquet(path)
    except DAMAGED as error:
        reason = str(error).partition("\n")[0]
        raise ContractError(f"{path} cannot be read: {reason.rstrip('.')}. {_remedy(error)}") from error
    frame = frame.rename(columns=lambda name: str(name).strip())
    _refuse_twins(frame.columns, path)
    return frame


def _refuse_twins(names: Iterable[str], path: Path) -> None:
    """Two columns of one name cannot be told apart, nor those that differ in the spaces around it."""
    for name, times in Counter(name.strip() for name in names).items():
        if name and times > 1:
            raise ContractError(
                f"{path} has {times} columns named {name!r}, spaces around a name aside. Rename them, or leave out "
                "those that are not meant."
            )


def _remedy(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "Save it as UTF-8."
    if isinstance(error, pd.errors.ParserError | pd.errors.ParserWarning):
        return "Give every row as many cells as the header, and quote cells that hold the delimiter."
    return "Copy, write or compress the file once more."


def _read_parquet(path: Path) -> pd.DataFrame:
    """All columns, those that pandas saved as its index too."""
    _refuse_twins(pq.read_schema(path).names, path)
    frame = pd.read_parquet(path)
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    return frame.reset_index(named) if named else frame


def _read_csv(path: Path) -> pd.DataFrame:
    """Every value as text; the delimiter is the one that cuts the header into most names."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig") as lines:
        header = next(lines, "")
    names = {mark: next(csv.reader([header], delimiter=mark), []) for mark in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda mark: len(names[mark]))
    _refuse_twins(names[delimiter], path)  # pandas would call the second x.1
    with warnings.catch_warnings():
        warnings.simplefilter(
            "error", pd.errors.ParserWarning
        )  # a row longer than the header would be cut, or shifted
        return pd.read_csv(
            path, sep=delimiter, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
        )


def write_json(record: Mapping[str, object], path: Path) -> None:
    """Write a record as JSON.

    Raises:
        ExperimentError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ExperimentError(f"{path} cannot be written: {error.strerror}.") from error
