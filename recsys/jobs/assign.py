"""Bucket and record the units of every running experiment."""

from __future__ import annotations

from datetime import date

import pandas as pd

from recsys.experiments.assignment import assign
from recsys.experiments.definition import load_experiments
from recsys.schema import USER_ID, table
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

TABLE = "experiments.assignments"


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Write ``experiments.assignments`` of ``ds``: one row per running experiment and active user.

    An arm depends on the salt and the id alone, so a user keeps it for as long as the experiment runs, whichever
    day is run first. The day of first assignment is the smallest ``ds``.
    """
    warehouse = open_warehouse(settings)
    units = warehouse.read("features.user_daily", ds, columns=[USER_ID])[USER_ID].sort_values().tolist()
    running = [e for e in load_experiments(settings.experiments_dir) if e.is_assigned_on(ds)]
    frames = []
    for experiment in running:
        arms, buckets = assign(experiment, units)
        frames.append(
            pd.DataFrame(
                {
                    "experiment_id": experiment.id,
                    "unit_id": units,
                    "arm": arms,
                    "policy": [experiment.policies[arm] for arm in arms],
                    "bucket": buckets,
                    "started_on": experiment.start,
                    "ds": ds,
                }
            )
        )
    rows = pd.concat(frames) if frames else pd.DataFrame(columns=table(TABLE).column_names)
    warehouse.write(TABLE, rows, ds)
    return {"experiments": [experiment.id for experiment in running], "units": len(units), "rows": len(rows)}
