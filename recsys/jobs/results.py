"""Read out every running experiment: intervals, differences, sample-ratio check."""

from __future__ import annotations

from datetime import date

import pandas as pd

from recsys.experiments.definition import load_experiments
from recsys.experiments.readout import read_out
from recsys.schema import table
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

TABLE = "experiments.results"


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Write ``experiments.results`` of ``ds`` from the sufficient statistics of ``experiments.metrics_daily``."""
    warehouse = open_warehouse(settings)
    metrics = warehouse.read("experiments.metrics_daily", ds)
    frames = [
        read_out(experiment, metrics[metrics["experiment_id"] == experiment.id])
        for experiment in load_experiments(settings.experiments_dir)
        if experiment.serves_on(ds)
    ]
    frames = [frame for frame in frames if not frame.empty]
    rows = pd.concat(frames) if frames else pd.DataFrame(columns=table(TABLE).column_names)
    warehouse.write(TABLE, rows.assign(ds=ds), ds)
    invalid = sorted(set(rows.loc[~rows["is_valid"].astype(bool), "experiment_id"])) if len(rows) else []
    return {"rows": len(rows), "invalid": invalid}
