"""Read any table a person names, and write what was found: for the commands ``recsys experiment ...``."""

from __future__ import annotations

import csv
import gzip
import json
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from recsys import schema
from recsys.errors import ContractError, ExperimentError
from recsys.settings import Settings
from recsys.sources.reader import SourceFile, data_files, open_file
from recsys.warehouse import open_warehouse
from recsys.warehouse.base import require_warehouse

DELIMITERS = ",;\t|"
DAMAGED = (ValueError, OSError, EOFError, zlib.error, pd.errors.ParserWarning)
"""What pandas, Arrow and gzip raise on a damaged file."""


def read_any(settings: Settings, source: str, ds: date | None = None) -> pd.DataFrame:
    """Return all rows of a file, a folder of like files, or a warehouse table (with ``ds``: that day's).

    Raises:
        ContractError: there is no such file or table, the file cannot be read, or two columns have one name.
        WarehouseError: the table has no rows.
    """
    path = Path(source)
    if not path.exists() and source in schema.TABLES:
        with open_warehouse(require_warehouse(settings)) as warehouse:
            return warehouse.read(source, ds).reset_index(drop=True)
    if not path.exists():
        raise ContractError(
            f"{source!r} is neither a file nor a table. Give a CSV or Parquet file, or a "
            "table that `recsys tables` lists."
        )
    file = open_file(path)
    files = [path] if path.is_file() else data_files(path)
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
