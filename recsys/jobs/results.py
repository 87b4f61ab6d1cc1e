"""Read out every running experiment: intervals, differences, and what could be wrong with it."""

from __future__ import annotations

from datetime import date

import pandas as pd

from recsys.errors import ExperimentError
from recsys.experiments import checks
from recsys.experiments.definition import load_experiments
from recsys.experiments.readout import read_out
from recsys.jobs import experiment_checks
from recsys.schema import table
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

TABLE, CHECKS = "experiments.results", "experiments.checks"


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Write ``experiments.results`` of ``ds`` from the sufficient statistics of ``experiments.metrics_daily``, and
    ``experiments.checks``.

    Raises:
        ExperimentError: an experiment has run for longer than the windows over its outcomes reach back.
    """
    warehouse = open_warehouse(settings)
    metrics = warehouse.read("experiments.metrics_daily", ds)
    running = [e for e in load_experiments(settings.experiments_dir) if e.serves_on(ds)]
    for experiment in running:
        if (ds - experiment.start).days >= settings.experiment_days:
            raise ExperimentError(
                f"Experiment {experiment.id} started on {experiment.start}, more than {settings.experiment_days} days "
                f"before {ds}. Set its end, or raise RECSYS_EXPERIMENT_DAYS."
            )
    frames = [read_out(e, metrics[metrics["experiment_id"] == e.id]) for e in running]
    frames = [frame for frame in frames if not frame.empty]
    found = [checks.frame(e.id, experiment_checks.of_exposure(warehouse, e, ds)) for e in running]
    rows = pd.concat(frames) if frames else pd.DataFrame(columns=table(TABLE).column_names)
    warehouse.write(TABLE, rows.reindex(columns=table(TABLE).column_names).assign(ds=ds), ds)
    told = pd.concat(found) if found else pd.DataFrame(columns=table(CHECKS).column_names)
    warehouse.write(CHECKS, told.assign(ds=ds), ds)
    invalid = sorted(set(rows.loc[~rows["is_valid"].astype(bool), "experiment_id"])) if len(rows) else []
    return {"rows": len(rows), "invalid": invalid}
