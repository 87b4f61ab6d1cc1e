"""Sum what the effect of use needs, over the units of one experiment."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd

from recsys.experiments.definition import Experiment
from recsys.experiments.metrics import MEASURES, Metric, pick
from recsys.warehouse import Warehouse

_SUMS = """
WITH declared AS (
  SELECT metrics.metric, metrics.num_at, metrics.kind = 'proportion' AS is_proportion, MAX(daily.cap) AS cap
  FROM experiments.metrics AS metrics
  INNER JOIN experiments.metrics_daily AS daily
    ON metrics.experiment_id = daily.experiment_id AND metrics.metric = daily.metric
  WHERE metrics.ds = @ds AND daily.ds = @ds AND metrics.experiment_id = @experiment
    AND metrics.kind IN ('mean', 'proportion') AND daily.scope = 'cumulative' AND daily.segment = 'all'
  GROUP BY metrics.metric, metrics.num_at, is_proportion
),
totals AS (
  SELECT unit_id, arm, scope, [{measures}] AS measures
  FROM experiments.unit_totals
  WHERE ds = @ds AND experiment_id = @experiment AND scope IN ('cumulative', 'before')
),
taken AS (
  SELECT
    declared.metric, declared.is_proportion, declared.cap, since.arm,
    IF(since.measures[SAFE_OFFSET(@use_at)] > 0, 1.0, 0.0) AS d,
    since.measures[SAFE_OFFSET(declared.num_at)] AS num,
    COALESCE(past.measures[SAFE_OFFSET(declared.num_at)], 0.0) AS past_num
  FROM totals AS since
  CROSS JOIN declared
  LEFT JOIN totals AS past ON since.unit_id = past.unit_id AND past.scope = 'before'
  WHERE since.scope = 'cumulative'
),
drawn AS (
  SELECT
    metric, arm, d,
    CASE WHEN is_proportion THEN IF(num > 0, 1.0, 0.0) WHEN cap < num THEN cap ELSE num END AS y,
    CASE WHEN is_proportion THEN IF(past_num > 0, 1.0, 0.0) WHEN cap < past_num THEN cap ELSE past_num END AS x
  FROM taken
)
SELECT
  metric, arm, COUNT(*) AS units, SUM(y) AS y, SUM(d) AS d, SUM(y * d) AS yd, SUM(x) AS x, SUM(y * y) AS yy,
  SUM(y * y * d) AS yyd, SUM(y * x) AS yx, SUM(d * x) AS dx, SUM(y * d * x) AS ydx, SUM(x * x) AS xx
FROM drawn
GROUP BY metric, arm
ORDER BY metric, arm
"""
QUERIES = (_SUMS.format(measures=", ".join(MEASURES)),)


def asked(use: Metric, experiment: Experiment) -> dict[str, Any]:
    """What the query binds besides ``@ds``: the experiment, and where the measure of use stands."""
    return {"experiment": experiment.id, "use_at": use.places[0]}


def sums(warehouse: Warehouse, experiment: Experiment, metrics: dict[str, Metric], ds: date) -> pd.DataFrame:
    """Per metric and arm the sums that ``recsys.experiments.use`` takes, capped as the metric is.

    What was before is capped likewise: any bound of a covariate leaves the estimate right. Only an experiment that
    names a metric under ``use`` is asked for, so no other pays for it.

    Raises:
        ExperimentError: the metric is not declared.
    """
    assert experiment.use is not None
    use = pick(metrics, experiment.use, f"Experiment {experiment.id}")
    return warehouse.query(QUERIES[0], asked(use, experiment), ds=ds).to_pandas()
