"""Every query names the partitions it reads, and raw events are read by staging alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import pytest

from recsys.experiments.assignment import BUCKET_SQL
from recsys.experiments.metrics import MEASURES
from recsys.jobs import backtest, inputs, plan_shards
from recsys.settings import PROJECT_ROOT, Settings
from recsys.warehouse.scan import scan

EVENTS = "marketplace.events"
MAY_READ_EVENTS = {
    "include/sql/staging/arrivals.sql": "staging, the one reader of raw events",
    "expectations/marketplace.events.sql": "the check of the source itself, one day",
    "recsys/jobs/simulate.py": "the simulator, which is the source",
}
PLUMBING = ("recsys/warehouse/", "recsys/sources/")
"""Rooms whose SQL works on one file or one partition of any table; tests of the warehouses hold it to that."""
FILLS = {
    "recsys/jobs/inputs.py": [{"users": "TRUE"}, {"users": inputs._MINE}],
    "recsys/jobs/backtest.py": [
        {"item": "actions.item_id", "join": ""},
        {"item": "groups_.group_id", "join": backtest._GROUPS},
    ],
    "recsys/jobs/plan_shards.py": [plan_shards.OF_USERS, plan_shards.OF_ITEMS],
    "recsys/jobs/experiment_use.py": [{"measures": ", ".join(MEASURES)}],
    "recsys/experiments/enrolment.py": [
        {
            "unit": "user_id",
            "table": "features.user_daily",
            "where": "TRUE",
            "bucket": BUCKET_SQL,
            "eligible": "SELECT user_id AS unit_id, ds AS first_assigned_on FROM features.user_daily WHERE ds = @ds",
            "drawn": "TRUE",
        }
    ],
}
"""What the ``{placeholders}`` of a module's texts are filled with."""
DAY = date(2026, 3, 31)
OWN = {
    "ds": DAY,
    "day": DAY,
    "newest": DAY,
    "cut": DAY,
    "until": DAY,
    "first": date(2026, 1, 1),
    "last": DAY,
    "start": datetime(2026, 3, 31, tzinfo=UTC),
    "days": 7,
    "oldest": 13,
    "latest": 2,
    "most_pairs": 1_000_000,
    "lists": "recommendation",
    "shape_days": 28,
    "ranks": 8,
    "most": 1000,
    "item": "i1",
    "category": "c1",
    "first_item": "i1",
    "last_item": "i9",
    "first_user": "u1",
    "last_user": "u2",
}
"""Parameters that jobs work out themselves; the others are settings."""
PARAMETERS = OWN | {f.name: f.default for f in fields(Settings) if f.name not in OWN}


def faults(sql: str, place: str) -> list[str]:
    """What is wrong with the reads of a query: a table without a filter that prunes, or raw events read elsewhere."""
    found = []
    for read in scan(sql, PARAMETERS):
        name, divider = read.table.name, read.table.partition or read.table.divided
        if divider and not read.is_bounded:
            found.append(
                f"{place} reads all partitions of {name}: compare {divider} with constants or parameters"
            )
        if name == EVENTS and place not in MAY_READ_EVENTS:
            found.append(f"{place} reads {EVENTS}; read staging.events, or what staging makes of it")
    return found


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Place and text of every query: the SQL files, the checks, and the SQL in the modules."""
    files = [*PROJECT_ROOT.glob("include/sql/*/*.sql"), *PROJECT_ROOT.glob("expectations/*.sql")]
    found = [
        (str(path.relative_to(PROJECT_ROOT)), path.read_text(encoding="utf-8")) for path in sorted(files)
    ]
    for path in modules():
        place = str(path.relative_to(PROJECT_ROOT))
        for text in inline(path.read_text(encoding="utf-8")):
            found += [(place, text.format(**fill)) for fill in FILLS.get(place, [{}])]
    return tuple(dict.fromkeys(found))


def modules() -> Iterator[Path]:
    for path in sorted(PROJECT_ROOT.glob("recsys/**/*.py")):
        if not str(path.relative_to(PROJECT_ROOT)).startswith(PLUMBING):
            yield path


def inline(source: str) -> Iterator[str]:
    """Literals of a module that are SELECTs over a table."""
    tree = ast.parse(source)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in parts else None
        if isinstance(text, str) and re.match(r"\s*(WITH|SELECT)\b[\s\S]*\bFROM\b", text):
            yield text


def made_up(source: str) -> Iterator[str]:
    """F-strings of a module that make a SELECT: their text cannot be judged."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr) and re.match(r"f['\"]+\s*(WITH|SELECT)\b", ast.unparse(node)):
            yield ast.unparse(node)


@pytest.mark.parametrize("place", sorted({place for place, _ in texts()}))
def test_every_query_prunes_and_leaves_raw_events_alone(place: str) -> None:
    assert [fault for where, sql in texts() if where == place for fault in faults(sql, place)] == []


def test_all_queries_are_found() -> None:
    places = [place for place, _ in texts()]
    assert len([place for place in places if place.startswith("include/")]) >= 22
    assert len([place for place in places if place.startswith("expectations/")]) >= 19
    assert {f"recsys/jobs/{name}.py" for name in ("inputs", "score", "train", "report", "backtest")} <= set(
        places
    )
    assert len([place for place in places if place == "recsys/jobs/inputs.py"]) >= 12


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_no_module_makes_up_a_select(path: Path) -> None:
    """Values enter as parameters, so there is no need for an f-string; one could not be judged here."""
    assert list(made_up(path.read_text(encoding="utf-8"))) == []


def test_every_exception_is_one() -> None:
    reading = {place for place, sql in texts() if any(r.table.name == EVENTS for r in scan(sql, PARAMETERS))}
    assert reading == set(MAY_READ_EVENTS)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT user_id FROM staging.events", "all partitions of staging.events"),
        ("SELECT user_id FROM staging.events WHERE ds <= @ds", "all partitions of staging.events"),
        ("SELECT user_id FROM staging.events WHERE event_date = @ds", "all partitions of staging.events"),
        ("SELECT user_id FROM staging.events WHERE ds = @ds OR user_id = 'u1'", "all partitions"),
        ("SELECT user_id FROM staging.events WHERE DATE_ADD(ds, INTERVAL 1 DAY) = @ds", "all partitions"),
        (
            "SELECT e.user_id FROM staging.events AS e LEFT JOIN staging.users AS u ON e.ds = @ds AND u.ds = @ds",
            "all partitions of staging.events",
        ),
        (
            "SELECT a.user_id FROM staging.users AS a INNER JOIN staging.events AS b ON a.ds = b.ds WHERE a.ds = @ds",
            "all partitions of staging.events",
        ),
        (
            "SELECT user_id FROM staging.events WHERE ds = (SELECT MAX(ds) FROM staging.users WHERE ds = @ds)",
            "all partitions of staging.events",
        ),
        (
            "WITH a AS (SELECT * FROM staging.users) SELECT * FROM a WHERE ds = @ds",
            "all partitions of staging.users",
        ),
        (
            "SELECT 1 AS n FROM staging.users WHERE ds = @ds AND user_id IN (SELECT user_id FROM features.user_daily)",
            "all partitions of features.user_daily",
        ),
        (
            "SELECT user_id FROM staging.users WHERE ds = @ds UNION ALL SELECT user_id FROM staging.users",
            "all partitions of staging.users",
        ),
        ("SELECT item_id FROM marketplace.items", "all partitions of marketplace.items: compare closed_at"),
        (
            """WITH day AS (SELECT TIMESTAMP(@ds, @timezone) AS start) SELECT items.item_id
            FROM marketplace.items AS items
            INNER JOIN day ON items.closed_at IS NULL OR items.closed_at >= day.start""",
            "all partitions of marketplace.items",
        ),
        (
            "SELECT item_id FROM marketplace.price_changes WHERE changed_at < TIMESTAMP(@ds, @timezone)",
            "changed_at",
        ),
        ("SELECT user_id FROM marketplace.events WHERE event_date = @ds", "reads marketplace.events"),
    ],
)
def test_a_bad_query_is_caught(sql: str, told: str) -> None:
    found = faults(sql, "include/sql/features/planted.sql")
    assert len(found) == 1
    assert told in found[0]


def test_a_bad_module_is_caught() -> None:
    source = '''
BAD = """
SELECT user_id FROM staging.users
"""
def ask(table):
    """Does not ask SELECT user_id FROM staging.users."""
    return f"SELECT * FROM {table}", f"made {table}: SELECT * FROM it"
'''
    (text,) = inline(source)
    assert faults(text, "recsys/jobs/planted.py")
    assert len(list(made_up(source))) == 1
