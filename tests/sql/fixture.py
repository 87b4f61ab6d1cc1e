"""Fixtures of SQL files: rows in, rows out, written as small tables a person can check.

A fixture is a YAML file named after its table::

    ds: 2026-01-14
    settings: {history_days: 30}          # optional
    given:                                # one table per upstream table
      staging.users: |
        user_id | registered_at
        u1      | d-3 10:00
    expect: |                             # rows of the partition ds, sorted by key
      user_id | tenure_days
      u1      | 3
    not_shown: [ds]                       # contract columns that are left out of ``expect``

An empty cell is NULL. ``d``, ``d-3``, ``d+1`` are days around ds, and ``d-3 10:00`` a time in UTC. A FLOAT64 may be
a sum like ``8 * 0.5 ** (3 / 30)``. A wide table may lie on its side: with ``column`` as first heading, each line is a
column and each further heading names a row. Columns left out of ``given`` get the value of ``default``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from recsys import schema
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from recsys.warehouse.frames import arrow_schema

FOLDER = Path(__file__).parent / "fixtures"
Row = dict[str, Any]

_DAY = re.compile(r"^d([+-]\d+)?(?: (\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?$")
_USUAL: dict[str, Any] = {
    "seller_id": "s1",
    "category_id": "c1",
    "sale_type": "fixed",
    "event_type": "view",
    "price": Decimal(10),
    "take_rate": 0.1,
    "stock": 1,
    "is_live": True,
    "level": 1,
}
_ZERO: dict[str, Any] = {"STRING": "-", "INT64": 0, "FLOAT64": 0.0, "NUMERIC": Decimal(0), "BOOL": False}


@dataclass(frozen=True)
class Fixture:
    """One fixture, read: typed rows by upstream table, and typed rows expected."""

    table: str
    ds: date
    settings: dict[str, Any]
    given: dict[str, list[Row]]
    expected: list[Row]
    not_shown: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[str]:
        """Columns that the fixture states, in contract order."""
        stated = {name for row in self.expected for name in row}
        return [name for name in schema.table(self.table).column_names if name in stated]


def load(path: Path) -> Fixture:
    """Read one fixture file."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    table, ds = path.stem, content["ds"]
    return Fixture(
        table=table,
        ds=ds,
        settings=content.get("settings", {}),
        given={name: parse_rows(name, text, ds) for name, text in content["given"].items()},
        expected=parse_rows(table, content["expect"], ds),
        not_shown=content.get("not_shown", []),
    )


def parse_rows(table: str, text: str, ds: date) -> list[Row]:
    """Read a text table into rows of the contract's types; columns it does not name stay out."""
    types = {column.name: column.type for column in schema.table(table).columns}
    lines = [
        [cell.strip() for cell in re.split(r"(?:^|(?<=\s))\|(?=\s|$)", line)]
        for line in text.splitlines()
        if line.strip()
    ]
    if lines and lines[0][0] == "column":
        lines = [list(column) for column in zip(*lines, strict=True)]
        lines[0][0] = ""
        lines = [line[1:] for line in lines]
    header, *body = lines
    unknown = set(header) - set(types)
    assert not unknown, f"{table} has no column {sorted(unknown)}"
    return [
        {name: parse_cell(cell, types[name], ds) for name, cell in zip(header, line, strict=True)}
        for line in body
    ]


def parse_cell(text: str, type_: str, ds: date) -> Any:
    """Read one cell as a value of a BigQuery type."""
    if text == "":
        return None
    return _PARSERS[type_](text) if type_ in _PARSERS else parse_time(text, type_, ds)


def _calculate(text: str) -> float:
    return float(eval(text, {"ln": math.log, "exp": math.exp, "sqrt": math.sqrt, "__builtins__": {}}))


_PARSERS: dict[str, Callable[[str], Any]] = {
    "STRING": str,
    "INT64": int,
    "FLOAT64": _calculate,
    "NUMERIC": Decimal,
    "BOOL": {"true": True, "false": False}.__getitem__,
}


def parse_time(text: str, type_: str, ds: date) -> date | datetime:
    """Read ``d-3``, ``d-3 10:00``, or ISO."""
    relative = _DAY.match(text)
    if relative:
        day = ds + timedelta(days=int(relative[1] or 0))
        text = f"{day.isoformat()} {relative[2]}" if relative[2] else day.isoformat()
    if type_ == "DATE":
        return date.fromisoformat(text)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def complete(table: str, row: Mapping[str, Any], ds: date) -> Row:
    """Fill in the columns that a fixture does not state."""
    contract = schema.table(table)
    full: Row = {}
    for column in contract.columns:
        full[column.name] = row[column.name] if column.name in row else default(contract, column, full, ds)
    return full


def default(contract: schema.Table, column: schema.Column, row: Row, ds: date) -> Any:
    """What an unstated column holds: NULL where allowed, else something unremarkable."""
    noon = datetime.combine(ds, time(12), UTC)
    told: dict[str, Any] = {
        "listed_at": noon - timedelta(days=10),
        "registered_at": noon - timedelta(days=100),
    }
    if "event_ts" in row:
        told |= {"event_date": row["event_ts"].date(), "ingested_at": row["event_ts"]}
    if column.name in told:
        return told[column.name]
    if not column.required:
        return None
    return _USUAL.get(column.name, {"DATE": ds, "TIMESTAMP": noon, **_ZERO}.get(column.type))


def build(fixture: Fixture, folder: Path) -> list[Row]:
    """Write the given rows into a warehouse under ``folder``, build the table, return its rows."""
    settings = Settings.load({}, warehouse=str(folder), **fixture.settings)
    with open_warehouse(settings) as warehouse:
        for table, rows in fixture.given.items():
            put(warehouse, table, rows, fixture.ds)
        warehouse.build(fixture.table, fixture.ds)
        return rows_of(warehouse, fixture.table, fixture.ds)


def put(warehouse: Any, table: str, rows: list[Row], ds: date) -> None:
    """Write ``rows``, completed, each into its partition; no rows make an empty partition ``ds``."""
    contract = schema.table(table)
    full = [complete(table, row, ds) for row in rows]
    days = (
        sorted({row[contract.partition] for row in full} | ({ds} if not full else set()))
        if contract.partition
        else [None]
    )
    for day in days:
        mine = [row for row in full if day is None or row[contract.partition] == day]
        warehouse.write(table, pa.Table.from_pylist(mine, schema=arrow_schema(contract)), day)


def rows_of(warehouse: Any, table: str, ds: date) -> list[Row]:
    """Rows of one partition as Python values, sorted by key."""
    contract = schema.table(table)
    rows: list[Row] = warehouse.query(f"SELECT * FROM {table} WHERE ds = @ds", ds=ds).to_pylist()
    return sorted(rows, key=lambda row: tuple(str(row[name]) for name in contract.key))


def differences(expected: list[Row], actual: list[Row], table: str, columns: list[str]) -> list[str]:
    """Say in words where two sets of rows differ; floats may differ by 1e-6 of their size."""
    key = schema.table(table).key

    def keyed(rows: list[Row]) -> dict[tuple[Any, ...], Row]:
        return {tuple(row[name] for name in key): row for row in rows}

    want, got = keyed(expected), keyed(actual)
    found = [f"missing row {k}" for k in want.keys() - got.keys()]
    found += [f"unexpected row {k}: { {c: got[k][c] for c in columns} }" for k in got.keys() - want.keys()]
    for k in want.keys() & got.keys():
        for column in columns:
            a, b = want[k][column], got[k][column]
            same = (
                math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
                if isinstance(a, float) and b is not None
                else a == b
            )
            if not same:
                found.append(f"row {k}: {column} is {b!r}, expected {a!r}")
    return sorted(found)
