"""Bucket and record the units of every running experiment."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from recsys import schema
from recsys.errors import WarehouseError
from recsys.experiments.assignment import arms_of
from recsys.experiments.definition import Experiment, check_metrics, load_experiments
from recsys.experiments.enrolment import eligibility_table, first_day, queries
from recsys.experiments.metrics import load_metrics
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse
from recsys.warehouse.frames import arrow_schema

TABLE = "experiments.assignments"


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Write ``experiments.assignments`` of ``ds``: one row per running experiment and unit that takes part.

    An arm depends on the salt and the id alone, so a unit keeps it for as long as the experiment runs, whichever day is
    run first. ``first_assigned_on`` is the first data day on which the unit was eligible and let in.

    Returns:
        What was written, and ``days_missing``: days since the start of which an eligibility table has no partition, so
        that a unit may have joined later than it should. Build them and run the day again. ``outlived``: experiments
        that serve for longer than the setting ``experiment_days``, before which nothing is looked back on.

    Raises:
        ExperimentError: a definition is wrong.
        WarehouseError: the eligibility table of ``ds`` is missing.
    """
    running = [e for e in load_experiments(settings.experiments_dir) if e.is_assigned_on(ds)]
    if running:
        check_metrics(running, load_metrics(settings.metrics_path))
    with open_warehouse(settings) as warehouse:
        missing = {day.isoformat() for one in running for day in _missing_days(warehouse, settings, one, ds)}
        parts = [_rows(warehouse, settings, experiment, ds) for experiment in running]
        empty = arrow_schema(schema.table(TABLE)).empty_table()
        rows = warehouse.write(TABLE, pa.concat_tables([empty, *parts]), ds)
    longest = timedelta(days=settings.experiment_days)
    return {
        "experiments": [one.id for one in running],
        "rows": rows,
        "days_missing": sorted(missing),
        "outlived": [one.id for one in running if ds - first_day(one) > longest],
    }


def _rows(warehouse: Warehouse, settings: Settings, experiment: Experiment, ds: date) -> pa.Table:
    """Rows of one experiment, in the columns of the contract."""
    found = pa.concat_tables(
        [
            warehouse.query(query.sql, query.params, ds=ds, name=f"units of {experiment.id}")
            for query in queries(experiment, ds, settings)
        ]
    )
    arms = arms_of(experiment, found.column("bucket").to_numpy())
    policies = experiment.policies
    same: dict[str, Any] = {
        "experiment_id": experiment.id,
        "started_on": experiment.start,
        "ds": ds,
        "unit": experiment.unit,
    }
    columns: dict[str, Any] = {
        **{name: found.column(name) for name in found.column_names},
        **{name: pa.repeat(pa.scalar(value), found.num_rows) for name, value in same.items()},
        "arm": pa.array(arms, pa.string()),
        "policy": pa.array((policies[arm] for arm in arms), pa.string()),
    }
    wanted = arrow_schema(schema.table(TABLE))
    return pa.table({name: columns[name] for name in wanted.names}, schema=wanted)


def _missing_days(warehouse: Warehouse, settings: Settings, experiment: Experiment, ds: date) -> list[date]:
    """Days since the start, of those that are looked back on, of which the eligibility table has no partition.

    Raises:
        WarehouseError: the table, or its partition ``ds``, is missing.
    """
    name = eligibility_table(experiment)
    if not warehouse.exists(name, ds):
        raise WarehouseError(warehouse.missing(name, ds))
    there = set(warehouse.partitions(name))
    first = max(first_day(experiment), ds - timedelta(days=settings.experiment_days))
    since = (first + timedelta(days=n) for n in range((ds - first).days))
    return [day for day in since if day not in there]
