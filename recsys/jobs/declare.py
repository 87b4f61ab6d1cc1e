"""Write down the metrics that each running experiment is read by: what SQL needs to know of the YAML files."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from recsys.errors import ExperimentError
from recsys.experiments.definition import Experiment, check_metrics, load_experiments
from recsys.experiments.metrics import Metric, load_metrics
from recsys.schema import table
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

TABLE = "experiments.metrics"


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Write ``experiments.metrics`` of ``ds``: of every experiment that is read out on ``ds``, all metrics of its unit.

    Raises:
        ExperimentError: an experiment names a metric or a segment that there is none of, or a covariate from further
            back than the daily aggregates are read; names the file's experiment, the value and what is allowed.
    """
    metrics = load_metrics(settings.metrics_path)
    running = [
        e for e in load_experiments(settings.experiments_dir) if e.is_read_out_on(ds, settings.late_days)
    ]
    rows = [row for experiment in running for row in declared(experiment, metrics, settings.history_days)]
    frame = pd.DataFrame(rows, columns=[c for c in table(TABLE).column_names if c != "ds"])
    with open_warehouse(settings) as warehouse:
        warehouse.write(TABLE, frame.assign(ds=ds), ds)
    return {"experiments": [experiment.id for experiment in running], "rows": len(rows)}


def declared(
    experiment: Experiment, metrics: dict[str, Metric], history_days: int
) -> list[dict[str, object]]:
    """Return the rows of one experiment, without their ``ds``. ``segments`` is like ``,region,gender,``."""
    check_metrics([experiment], metrics)
    days = experiment.covariate_days
    if days > history_days:
        raise ExperimentError(
            f"Experiment {experiment.id}: covariate_days is {days}, more than the {history_days} days before an "
            "experiment that are read. Lower it, or raise RECSYS_HISTORY_DAYS."
        )
    return [
        {
            "experiment_id": experiment.id,
            "metric": metric.name,
            "unit": experiment.unit,
            "kind": metric.kind,
            "numerator": metric.numerator,
            "denominator": metric.denominator,
            "winsorise": experiment.winsorise if metric.is_capped else None,
            "started_on": experiment.start,
            "covariate_from": experiment.start - timedelta(days=days) if days else None,
            "segments": f",{','.join(experiment.segments)}," if experiment.segments else None,
            "num_at": metric.places[0],
            "den_at": metric.places[1],
            "ended_on": experiment.end,
        }
        for metric in metrics.values()
        if metric.suits(experiment.unit)
    ]
