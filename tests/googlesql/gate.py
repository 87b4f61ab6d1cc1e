"""The gate: what Google's analyzer has against a text, and where its rows differ from DuckDB's."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recsys import schema
from recsys.errors import SqlError
from recsys.settings import Settings
from recsys.warehouse.dialect import parameter_type
from recsys.warehouse.frames import ARROW_TYPES, arrow_schema
from recsys.warehouse.layout import Layout
from recsys.warehouse.local import LocalWarehouse
from tests.googlesql import texts
from tests.googlesql.analyzer import GoogleSqlError, Row, analyzer
from tests.googlesql.edges import SCENARIOS, Scenario, World, world
from tests.googlesql.texts import Text
from tests.sql import fixture

DS = dt.date(2026, 1, 14)
FLOAT_TOLERANCE = 1e-12
"""Relative. A sum of FLOAT64s depends on the order of the rows, which SQL leaves open; so do the last bits of LN, EXP
and POW, which each engine takes from its own C library."""
CANCELS = {"std_log_price": 1e-6}
"""Absolute, by column: the square root of a difference of two nearly equal sums, of which few digits are left."""
GOOGLE_NAMES = {arrow: name for name, arrow in ARROW_TYPES.items()}


def fault(text: Text) -> str | None:
    """What Google's analyzer has against a text, as ``file:line: message``; None where it has nothing."""
    values = texts.parameters(text, Settings.load({}), DS)
    types = {name: parameter_type(name, value) for name, value in values.items()}
    try:
        found = analyzer().columns(text.sql, types)
    except GoogleSqlError as error:
        return f"{text.path}:{text.line + (error.line or 1) - 1}: {error.message}"
    if text.table is None:
        return None
    expected = texts.contract_columns(text)
    wrong = [f"returns {name} {kind}" for name, kind in found if (name, kind) not in expected]
    wrong += [f"lacks {name} {kind}" for name, kind in expected if (name, kind) not in found]
    if not wrong and found != expected:
        wrong = [f"has another order: {', '.join(name for name, _ in found)}"]
    return f"{text.path}:{text.line}: the contract of {text.table}: {'; '.join(wrong)}" if wrong else None


def fixture_faults(text: Text) -> list[str]:
    """Where the rows of a text on the reference engine are not those that the fixture of its table promises."""
    case = fixture.load(fixture.FOLDER / f"{text.name}.yaml")
    found = fixture_rows(text)
    told = fixture.differences(case.expected, found, text.name, case.shown)
    return [f"{text.path}:{text.line}: fixture: {line}" for line in told]


def fixture_rows(text: Text) -> list[Row]:
    """Run a text on the reference engine over the fixture of its table."""
    case = fixture.load(fixture.FOLDER / f"{text.name}.yaml")
    content = {
        name: [fixture.complete(name, row, case.ds) for row in rows] for name, rows in case.given.items()
    }
    values = texts.parameters(text, Settings.load({}, **case.settings), case.ds)
    return analyzer().rows(text.sql, values, content)


@dataclass(frozen=True)
class Comparison:
    """How a text did on one world: the rows that GoogleSQL gave, or None where it raised; and what differs."""

    rows: int | None
    differences: list[str]


def compare(text: Text, content: World, folder: Path, ds: dt.date, settings: Settings) -> Comparison:
    """Run a text on both engines: over ``content``, and over the warehouse in ``folder`` that holds the same rows.

    GoogleSQL sees every partition; DuckDB none after ``ds``, as a run of that day has it. A text without ``@ds`` is of
    no day, so DuckDB too sees them all.
    """
    values = texts.parameters(text, settings, ds)
    google: list[Row] | None
    try:
        google = analyzer().rows(text.sql, values, content)
    except GoogleSqlError as error:
        google, told = None, f"GoogleSQL raises {error}"
    try:
        known = ds if "ds" in values else None
        duckdb = warehouse_at(folder).query(text.sql, values, ds=known, name=str(text.path))
    except SqlError as error:
        return Comparison(None, [] if google is None else [f"only DuckDB raises {error}"])
    if google is None:
        return Comparison(None, [f"{told}; DuckDB gives {duckdb.num_rows} rows"])
    return Comparison(len(google), _types(text, values, duckdb) or differing(google, duckdb.to_pylist()))


def _types(text: Text, values: Mapping[str, Any], duckdb: pa.Table) -> list[str]:
    types = {name: parameter_type(name, value) for name, value in values.items()}
    google = _columns(text.sql, tuple(types.items()))
    local = [(field.name, GOOGLE_NAMES.get(field.type, str(field.type))) for field in duckdb.schema]
    return [] if google == local else [f"GoogleSQL's columns are {google}, DuckDB's {local}"]


@cache
def _columns(sql: str, types: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return analyzer().columns(sql, dict(types))


@cache
def warehouse_at(folder: Path) -> LocalWarehouse:
    """The local warehouse in a folder, opened once."""
    return LocalWarehouse(Settings.load({}, warehouse=str(folder)))


def differing(google: Sequence[Row], duckdb: Sequence[Row]) -> list[str]:
    """Say where two sets of rows differ: whichever order they are in, and counting doubles."""
    if len(google) != len(duckdb):
        only = Counter(map(_key, google)) - Counter(map(_key, duckdb))
        extra = Counter(map(_key, duckdb)) - Counter(map(_key, google))
        some = [f"only GoogleSQL has {row}" for row in list(only)[:2]]
        some += [f"only DuckDB has {row}" for row in list(extra)[:2]]
        return [f"GoogleSQL gives {len(google)} rows, DuckDB {len(duckdb)}", *some]
    found = []
    for left, right in zip(sorted(google, key=_key), sorted(duckdb, key=_key), strict=True):
        found += [
            f"{name}: GoogleSQL gives {left[name]!r}, DuckDB {right[name]!r}, in {_key(left)}"
            for name in left
            if not same(left[name], right[name], CANCELS.get(name, 0.0))
        ]
    return found[:10]


def same(left: Any, right: Any, slack: float = 0.0) -> bool:
    """Whether two values are of one type and equal; of FLOAT64s the last bits may differ."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left == right or math.isclose(left, right, rel_tol=FLOAT_TOLERANCE, abs_tol=slack)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def _key(row: Row) -> str:
    """What tells rows apart, without the floats, whose last bits may differ; those only break ties, rounded."""
    exact = {name: value for name, value in row.items() if not isinstance(value, float)}
    rounded = [f"{value:.6g}" for value in row.values() if isinstance(value, float)]
    return f"{exact} {rounded}"


@dataclass(frozen=True)
class Place:
    """The world of a scenario, and the warehouse that holds it."""

    content: World
    folder: Path
    settings: Settings
    keep: TemporaryDirectory[str]


def place(scenario: Scenario) -> Place:
    """The world of one of ``edges.SCENARIOS``, written into a local warehouse once per session."""
    return _place(SCENARIOS.index(scenario))


@cache
def _place(number: int) -> Place:
    scenario = SCENARIOS[number]
    keep: TemporaryDirectory[str] = TemporaryDirectory(prefix="googlesql-")
    folder = Path(keep.name)
    content = world(scenario)
    fill(folder, content)
    return Place(content, folder, Settings.load({}, **scenario.settings), keep)


def fill(folder: Path, content: World) -> None:
    """Write whole rows into a local warehouse, each into its partition: straight to files, as they are many."""
    layout = Layout(folder)
    for name, rows in content.items():
        contract = schema.table(name)
        by_day: dict[dt.date | None, list[Row]] = {}
        for row in rows:
            by_day.setdefault(row[contract.partition] if contract.partition else None, []).append(row)
        for day, mine in by_day.items():
            path = layout.path(contract, day)
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(mine, schema=arrow_schema(contract)), path)
