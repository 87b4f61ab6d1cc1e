"""The files of a local warehouse as a migration sees them: what their footers say, and columns added to them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recsys import schema
from recsys.errors import WarehouseError
from recsys.warehouse import engine, frames
from recsys.warehouse.layout import Layout
from recsys.warehouse.local import LocalWarehouse
from recsys.warehouse.migration import Held

_NAMES = {type_: name for name, type_ in frames.ARROW_TYPES.items()}


def all_files(layout: Layout, contract: schema.Table) -> list[Path]:
    """Every file of a table, whether the contract of today divides it by day or not."""
    return sorted(path for path in layout.folder(contract).glob("*.parquet") if path.is_file())


def held(layout: Layout, contract: schema.Table, before: Held | None = None) -> Held | None:
    """Read what the files of ``contract`` hold; ``before`` tells what no file does: the key and the partition column.

    A column that one file lacks counts as absent, and one of two types as of none.

    Raises:
        WarehouseError: a file is damaged; names it.
    """
    paths = all_files(layout, contract)
    if not paths:
        return None
    types: dict[str, set[str]] = {}
    seen: dict[str, int] = {}
    nulls: dict[str, int] = {}
    for path in paths:
        footer = _footer(path)
        for field in footer.schema.to_arrow_schema():
            types.setdefault(field.name, set()).add(_NAMES.get(field.type, str(field.type)))
            seen[field.name] = seen.get(field.name, 0) + 1
        _count_nulls(footer, {c.name for c in contract.columns if c.required}, nulls)
    whole = {name: " and ".join(sorted(found)) for name, found in types.items() if seen[name] == len(paths)}
    divided = {path.name != "all.parquet" for path in paths}
    return Held(
        columns=whole,
        nulls=nulls,
        key=before.key if before else None,
        partition=before.partition if before else None,
        is_partitioned=divided.pop() if len(divided) == 1 else None,
    )


def _footer(path: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise WarehouseError(f"{path} is damaged: {error} Remove it and build or import it again.") from error


def _count_nulls(footer: pq.FileMetaData, required: set[str], nulls: dict[str, int]) -> None:
    for number in range(footer.num_columns):
        name = footer.schema.column(number).path
        if name not in required:
            continue
        groups = (footer.row_group(group).column(number) for group in range(footer.num_row_groups))
        found = sum((g.statistics.null_count or 0) for g in groups if g.is_stats_set and g.statistics)
        nulls[name] = nulls.get(name, 0) + found


def add_columns(warehouse: LocalWarehouse, contract: schema.Table, names: Iterable[str]) -> int:
    """Rewrite the files of a table that lack one of ``names``, with NULL in it; return how many were.

    Each file is replaced in one step and has the bytes that a build of these rows would give. Killed half way, it is
    run again: what is done is not done twice.
    """
    wanted, done = set(names), 0
    for path in all_files(warehouse.layout, contract):
        missing = [
            column
            for column in contract.columns
            if column.name in wanted and column.name not in _footer(path).schema.to_arrow_schema().names
        ]
        if missing:
            empty = (f'CAST(NULL AS {engine.DUCKDB_TYPES[c.type]}) AS "{c.name}"' for c in missing)
            warehouse.rewrite(contract.name, path, f"SELECT *, {', '.join(empty)} FROM old")
            done += 1
    return done
