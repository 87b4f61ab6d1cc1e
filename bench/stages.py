"""The stages of the measured day, each a list of tasks as the DAGs have them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from bench.generate import HISTORY, SEED, all_days, write_catalogue, write_events
from bench.machine import Task
from bench.market import LAST_DAY, SIZES, make_market
from recsys import schema
from recsys.settings import Settings
from recsys.warehouse import open_warehouse
from recsys.warehouse.tables import load_spec

TABLES = [table.name for table in (*schema.STAGING, *schema.FEATURES)]
TRAINING_DAYS = 4
"""Days before the measured one whose features are built, so that training has outcomes to learn from."""
CHUNK = 6


def generation(settings: Settings, size: str) -> list[Task]:
    """Source tables, then what staging keeps of every day before the measured one."""
    days = all_days()
    catalogue = Task("catalogue", make_catalogue, (settings, size))
    events = [
        Task(f"events {days[n]}..", make_events, (settings, size, days[n : n + CHUNK]))
        for n in range(0, len(days), CHUNK)
    ]
    past = [day for day in days if day < LAST_DAY]
    history = [
        Task(
            f"staging {past[n]}..",
            build_days,
            (settings, HISTORY, past[n : n + CHUNK]),
            ("catalogue", f"events {days[n]}..", *([f"events {days[n - CHUNK]}.."] if n else [])),
        )
        for n in range(0, len(past), CHUNK)
    ]
    return [catalogue, *events, *history]


def features(settings: Settings, ds: date) -> list[Task]:
    """Staging and features of one day, each table as soon as those it reads are there."""
    return [_table(settings, name, ds, TABLES) for name in TABLES]


def days_before(ds: date) -> list[date]:
    """The days before ``ds`` whose features training reads."""
    return [ds - timedelta(days=back) for back in range(TRAINING_DAYS, 0, -1)]


def earlier_features(settings: Settings, days: Sequence[date]) -> list[Task]:
    """The features of ``days``, and what they read that the history does not hold yet."""
    names = [table.name for table in schema.FEATURES]
    read = {upstream for name in names for upstream in load_spec(settings.sql_dir, name).upstream}
    names += sorted(name for name in read if name.startswith("staging.") and name not in HISTORY)
    tasks = []
    for ds in days:
        for task in (_table(settings, name, ds, names) for name in names):
            needs = tuple(f"{name} {ds}" for name in task.needs)
            tasks.append(Task(f"{task.name} {ds}", task.call, task.args, needs))
    return tasks


def training(settings: Settings, ds: date) -> list[Task]:
    """One champion."""
    return [Task("train", run_job, (settings, "train", ds))]


def scoring(settings: Settings, ds: date) -> list[Task]:
    """Arms, shards, a list for every active user, and their publication."""
    shards = [
        Task(
            f"score {shard:03d}",
            run_job,
            (settings, "score", ds, ("shard", shard)),
            ("assign", "plan_shards"),
        )
        for shard in range(settings.shards)
    ]
    publish = Task(
        "marts.recommendations",
        build_days,
        (settings, ["marts.recommendations"], [ds]),
        tuple(task.name for task in shards),
    )
    return [
        Task("assign", run_job, (settings, "assign", ds)),
        Task("plan_shards", run_job, (settings, "plan_shards", ds)),
        *shards,
        publish,
    ]


def checks(settings: Settings, ds: date) -> list[Task]:
    """The checks that stand between the steps of the DAGs, here after them; a broken critical rule fails the bench."""
    return [
        Task(f"check {stage}", run_job, (settings, "check", ds, ("stage", stage)))
        for stage in ("sources", "features", "lists", "published")
    ]


def make_catalogue(settings: Settings, size: str) -> int:
    """Write every source table but the events."""
    market = make_market(SIZES[size], SEED)
    write_catalogue(settings, market)
    return len(market.users.region) + len(market.listings.leaf)


def make_events(settings: Settings, size: str, days: Sequence[date]) -> int:
    """Write the events of ``days``."""
    return write_events(settings, make_market(SIZES[size], SEED), days)


def build_days(settings: Settings, tables: Sequence[str], days: Sequence[date]) -> int:
    """Build ``tables`` for each of ``days``; return the rows."""
    with open_warehouse(settings) as warehouse:
        return sum(warehouse.build(table, day).rows for day in days for table in tables)


def run_job(settings: Settings, name: str, ds: date, *options: tuple[str, object]) -> int:
    """Run ``recsys.jobs.<name>``; return the rows (pairs learned from, rules checked) that its summary tells."""
    summary = importlib.import_module(f"recsys.jobs.{name}").run(settings, ds, **dict(options))
    return int(next((summary[key] for key in ("rows", "pairs", "checks") if key in summary), 0))


def forget(settings: Settings, tables: Sequence[str], days: Sequence[date]) -> None:
    """Drop partitions, so that they are built and not kept."""
    with open_warehouse(settings) as warehouse:
        for table in tables:
            for day in days:
                warehouse.drop(table, day)


def folder(root: Path, size: str) -> Path:
    """Where the warehouse of a size lies."""
    return root / size


def _table(settings: Settings, name: str, ds: date, among: Sequence[str]) -> Task:
    upstream = load_spec(settings.sql_dir, name).upstream
    return Task(name, build_days, (settings, [name], [ds]), tuple(n for n in upstream if n in among))
