"""A file that was just written, held to its contract by its own statistics and one pass over its key."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys import schema
from recsys.errors import ContractError


def is_source(contract: schema.Table) -> bool:
    """Tell whether the table comes from outside: staging quarantines its doubles, so they may be written."""
    return contract.name.startswith("marketplace.")


def check_file(contract: schema.Table, path: Path, ds: date | None) -> int:
    """Refuse NULL where a value is required, rows of another day, and a key twice; return the rows.

    The file is sorted by its key, so equal keys stand beside each other.

    Raises:
        ContractError: names the table, the column or the key.
    """
    metadata = pq.read_metadata(path)
    for index, column in enumerate(contract.columns):
        found = [
            metadata.row_group(group).column(index).statistics for group in range(metadata.num_row_groups)
        ]
        nulls = sum(statistics.null_count or 0 for statistics in found if statistics is not None)
        if column.required and nulls:
            raise ContractError(
                f"{contract.name}.{column.name}: {nulls} values are NULL; it must not be NULL."
            )
        if column.name == contract.partition and ds:
            days = {day for statistics in found if statistics for day in (statistics.min, statistics.max)}
            _check_day(contract, days, ds)
    if not is_source(contract):
        _check_key(contract, path)
    return metadata.num_rows


def _check_day(contract: schema.Table, days: set[date | None], ds: date) -> None:
    foreign = sorted(day for day in days if day and day != ds)
    if foreign:
        raise ContractError(
            f"{contract.name}: rows of {foreign[0]} in the partition {ds}; {contract.partition} is wrong."
        )


def _check_key(contract: schema.Table, path: Path) -> None:
    key = list(contract.key)
    for rows in _overlapping(path, key):
        pairs = (pc.equal(rows.column(name)[1:], rows.column(name)[:-1]) for name in key)
        twice = reduce(pc.and_, pairs)
        if pc.any(twice).as_py():
            example = rows.slice(1).filter(twice).slice(0, 1).to_pylist()[0]
            told = ", ".join(f"{name} {value!r}" for name, value in example.items())
            raise ContractError(
                f"{contract.name}: the key ({', '.join(key)}) is not unique; two rows have {told}."
            )


def _overlapping(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    """Batches of a file, each with the last row of the one before it."""
    last: list[pa.RecordBatch] = []
    for batch in pq.ParquetFile(path).iter_batches(batch_size=1 << 17, columns=columns):
        yield pa.Table.from_batches([*last, batch])
        last = [batch.slice(batch.num_rows - 1)]
