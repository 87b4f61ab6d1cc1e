"""Build tables from their SQL: one table for a day, or many tables over many days in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from recsys.errors import SettingsError
from recsys.settings import Settings
from recsys.warehouse import BuildResult, open_warehouse, order
from recsys.warehouse.tables import sql_tables


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
    return [name] if "." in name else sql_tables(settings.sql_dir, name)


def _summary(result: BuildResult) -> dict[str, object]:
    return {
        "table": result.table,
        "ds": result.ds.isoformat(),
        "rows": result.rows,
        "path": result.path,
        "seconds": round(result.seconds, 3),
        "built": result.built,
    }
