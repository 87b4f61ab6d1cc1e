"""Build tables from their SQL: one table for a day, or many tables over many days in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from recsys import schema
from recsys.errors import ContractError, SettingsError, did_you_mean
from recsys.settings import Settings
from recsys.warehouse import BuildResult, open_warehouse, order
from recsys.warehouse.tables import datasets, load_spec, no_table, sql_tables


def run(settings: Settings, ds: date, table: str | None = None, refresh: bool = False) -> dict[str, object]:
    """Build ``table`` for ``ds``; return its name, day, rows, path, seconds, and whether it was built or kept.

    Raises:
        SettingsError: no table named.
        RecsysError: whatever ``Warehouse.build`` raises.
    """
    if not table:
        raise SettingsError("Name the table to build, like staging.events.")
    with open_warehouse(settings) as warehouse:
        return _summary(warehouse.build(table, ds, refresh=refresh))


def history(
    settings: Settings,
    start: date,
    end: date,
    tables: Sequence[str],
    *,
    progress: Callable[[BuildResult], None] | None = None,
    refresh: bool = False,
) -> dict[str, object]:
    """Build ``tables`` for every day of ``start..end``, day by day, each day in the order the tables read each other.

    ``tables`` may name a whole dataset, like ``staging``. One process and one engine for all of it. ``progress`` is
    called after every partition.

    Raises:
        SettingsError: ``end`` is before ``start``.
        ContractError: no such table or dataset; nothing was built.
        RecsysError: whatever ``Warehouse.build`` raises; the days before are kept, a rerun gives the same bytes.
    """
    if end < start:
        raise SettingsError(f"The last day {end} is before the first day {start}.")
    named = [name for table in tables for name in _expand(settings, table)]
    ordered = order(named, settings.sql_dir)
    rows = 0
    seconds = 0.0
    days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    with open_warehouse(settings) as warehouse:
        for day in days:
            for table in ordered:
                result = warehouse.build(table, day, refresh=refresh)
                rows += result.rows
                seconds += result.seconds
                if progress:
                    progress(result)
    return {"tables": ordered, "days": len(days), "rows": rows, "seconds": round(seconds, 3)}


def _expand(settings: Settings, name: str) -> list[str]:
    if "." in name:
        if name not in schema.TABLES:
            raise ContractError(no_table(name))
        load_spec(settings.sql_dir, name)
        return [name]
    found = sql_tables(settings.sql_dir, name)
    if not found:
        known = [dataset for dataset in datasets() if sql_tables(settings.sql_dir, dataset)]
        near = [table for table in schema.TABLES if table.partition(".")[2] == name]
        raise ContractError(
            f"There is no dataset {name} to build; there are {', '.join(known)}.{did_you_mean(near)}"
        )
    return found


def _summary(result: BuildResult) -> dict[str, object]:
    return {
        "table": result.table,
        "ds": result.ds.isoformat(),
        "rows": result.rows,
        "path": result.path,
        "seconds": round(result.seconds, 3),
        "built": result.built,
    }
