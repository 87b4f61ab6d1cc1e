"""Look into a warehouse: which tables there are, what one of them holds, the rows of a query."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import date
from decimal import Decimal

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from recsys import schema
from recsys.errors import ContractError
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse
from recsys.warehouse.tables import datasets, load_spec, no_table, remedy, sql_path

MOST_COLUMNS = 10
"""A wider table that does not fit the terminal is printed row below row."""
ROWS = 100


def print_tables(settings: Settings, name: str | None, console: Console) -> None:
    """Print every table (those of the dataset ``name``) with its days and purpose, or all about the table ``name``.

    Raises:
        ContractError: no such table or dataset.
    """
    if name in schema.TABLES:
        _print_table(open_warehouse(settings), schema.table(name), console)
        return
    if name is not None and name not in datasets():
        raise ContractError(no_table(name))
    listed = [table for table in schema.TABLES if name is None or table.startswith(f"{name}.")]
    width = max(map(len, listed))
    warehouse = open_warehouse(settings)
    for table in listed:
        _say(console, f"{table:<{width}}  {_days(warehouse, schema.table(table))}", style="bold")
        _say(console, f"  {_purpose(settings, table).partition('. ')[0].removesuffix('.')}.")
    _say(console, "\n`recsys tables NAME` lists the columns of one.")


def _print_table(warehouse: Warehouse, table: schema.Table, console: Console) -> None:
    _say(console, table.name, style="bold")
    _say(console, f"  {_purpose(warehouse.settings, table.name)}")
    _say(console, f"  made by: {remedy(table.name)}")
    within = f", within one {table.partition}" if table.partition else ""
    _say(console, f"  key: {', '.join(table.key)}{within}")
    _say(console, f"  days: {_days(warehouse, table)}")
    _say(console, "  columns:")
    width = max(map(len, table.column_names))
    for column in table.columns:
        required = "required" if column.required else ""
        _say(console, f"    {column.name:<{width}}  {column.type:<9}  {required}".rstrip())


def _purpose(settings: Settings, table: str) -> str:
    if sql_path(settings.sql_dir, table).is_file():
        return load_spec(settings.sql_dir, table).purpose
    optional = " It may be left out." if schema.table(table).optional else ""
    return f"Written by {remedy(table)}.{optional}"


def _days(warehouse: Warehouse, table: schema.Table) -> str:
    if table.partition is None:
        return "kept whole" if warehouse.exists(table.name) else "none"
    days = warehouse.partitions(table.name)
    if not days:
        return "none"
    return f"{days[0]}..{days[-1]} ({len(days)} {'day' if len(days) == 1 else 'days'})"


def print_rows(
    settings: Settings,
    query: str,
    ds: date | None,
    console: Console,
    *,
    limit: int | None = None,
    as_csv: bool = False,
) -> None:
    """Run a SELECT and print its rows: as a table, row below row where that is too wide, or ``as_csv``.

    Every setting is bound as a parameter, as in the SELECTs under include/sql.

    Raises:
        RecsysError: whatever ``Warehouse.query`` raises.
    """
    given = {f.name: getattr(settings, f.name) for f in fields(settings)}
    with open_warehouse(settings) as warehouse:
        result = warehouse.query(query, given, ds=ds)
    shown = limit if limit is not None else result.num_rows if as_csv else ROWS
    rows = [[_plain(value) for value in row.values()] for row in result.slice(0, shown).to_pylist()]
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(result.column_names)
        writer.writerows(rows)
        return
    if len(result.column_names) > MOST_COLUMNS and _width(result.column_names, rows) > console.width:
        _print_below(result.column_names, rows, console)
    else:
        grid = RichTable()
        for name in result.column_names:
            grid.add_column(Text(name))
        for row in rows:
            grid.add_row(*map(Text, row))
        console.print(grid)
    console.print(f"{len(rows):,} of {result.num_rows:,} rows")


def _print_below(names: Sequence[str], rows: Iterable[Sequence[str]], console: Console) -> None:
    width = max(map(cell_len, names))
    for number, row in enumerate(rows, start=1):
        _say(console, f"row {number}", style="bold")
        for name, value in zip(names, row, strict=True):
            _say(console, f"  {name + ':':<{width + 1}} {value}".rstrip())


def _width(names: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Cells a grid of these columns takes, with its lines."""
    columns = zip(names, *rows, strict=True)
    return 1 + sum(3 + max(map(cell_len, column)) for column in columns)


def _plain(value: object) -> str:
    """A value as a person writes it: nothing for NULL, 9.5 for 9.500000000."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text
    if isinstance(value, list):
        return f"[{', '.join('NULL' if inner is None else _plain(inner) for inner in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_plain(inner)}' for name, inner in value.items())}}}"
    return str(value)


def _say(console: Console, line: str, style: str | None = None) -> None:
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
