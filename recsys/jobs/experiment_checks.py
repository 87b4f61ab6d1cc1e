"""Count what the checks of an experiment need: who was exposed first, when and in which arm, and who wrongly."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd

from recsys.experiments.checks import (
    ALL,
    DAY,
    Check,
    exposed_before_assigned,
    missing_days,
    sample_ratios,
    two_arms,
)
from recsys.experiments.definition import Experiment
from recsys.settings import Settings
from recsys.warehouse import Warehouse

EXPOSURES = "experiments.exposures"
_FIRST = """
WITH firsts AS (
  SELECT unit_id, arm, DATE(first_exposed_at, @timezone) AS exposed_on
  FROM experiments.exposures
  WHERE ds BETWEEN @first AND @ds AND experiment_id = @experiment
  QUALIFY ROW_NUMBER() OVER (PARTITION BY unit_id ORDER BY first_exposed_at, arm) = 1
)
SELECT arm, exposed_on, COUNT(*) AS units FROM firsts GROUP BY arm, exposed_on ORDER BY exposed_on, arm
"""
_IN_TWO = """
WITH exposed AS (
  SELECT unit_id, arm FROM experiments.exposures
  WHERE ds BETWEEN @first AND @ds AND experiment_id = @experiment
),
both AS (
  SELECT unit_id, arm FROM exposed
  UNION ALL
  SELECT unit_id, arm FROM experiments.assignments
  WHERE ds = @day AND experiment_id = @experiment AND unit_id IN (SELECT unit_id FROM exposed)
),
moved AS (SELECT unit_id FROM both GROUP BY unit_id HAVING COUNT(DISTINCT arm) > 1)
SELECT COUNT(*) AS units FROM moved
"""
_EARLY = """
WITH exposed AS (
  SELECT unit_id, MIN(DATE(first_exposed_at, @timezone)) AS exposed_on FROM experiments.exposures
  WHERE ds BETWEEN @first AND @ds AND experiment_id = @experiment
  GROUP BY unit_id
),
assigned AS (
  SELECT unit_id, COALESCE(first_assigned_on, ds) AS assigned_on FROM experiments.assignments
  WHERE ds = @day AND experiment_id = @experiment
)
SELECT COUNT(*) AS units
FROM exposed
LEFT JOIN assigned ON exposed.unit_id = assigned.unit_id
WHERE assigned.assigned_on IS NULL OR exposed.exposed_on < DATE_ADD(assigned.assigned_on, INTERVAL @lead DAY)
"""


QUERIES = (_FIRST, _IN_TWO, _EARLY)


def asked(experiment: Experiment, settings: Settings) -> dict[str, Any]:
    """What every query binds besides ``@ds`` and ``@day``, the evening of the last assignment that may be exposed.

    ``lead`` is how many days after its assignment a unit is exposed at the earliest: lists of an arm are served from
    the day after, while a campaign is offered what its arm offers when it begins.
    """
    lead = 0 if experiment.unit == "campaign" else 1
    return {
        "first": experiment.start,
        "experiment": experiment.id,
        "timezone": settings.timezone,
        "lead": lead,
    }


def of_exposure(warehouse: Warehouse, experiment: Experiment, ds: date) -> list[Check]:
    """Sample ratio over all and by day of first exposure, units in two arms, exposure before assignment, missing days.

    A day's sample ratio counts whom that day exposed for the first time: who comes back is an outcome.
    """
    given = asked(experiment, warehouse.settings)
    # Nobody is assigned after the evening before the end; whoever is exposed later, was assigned by then.
    evening = ds - timedelta(days=int(given["lead"]))
    given["day"] = evening if experiment.end is None else min(evening, experiment.end - timedelta(days=1))

    def ask(sql: str) -> pd.DataFrame:
        return warehouse.query(sql, given, ds=ds).to_pandas()

    firsts = ask(_FIRST)
    exposed = int(firsts["units"].sum())
    total = firsts.assign(segment=ALL, segment_value=ALL)
    by_day = firsts.assign(segment=DAY, segment_value=firsts["exposed_on"].astype(str))
    return [
        *sample_ratios(experiment, pd.concat([total, by_day])),
        two_arms(exposed, int(ask(_IN_TWO)["units"].iloc[0])),
        exposed_before_assigned(exposed, int(ask(_EARLY)["units"].iloc[0])),
        missing_days(experiment, ds, warehouse.partitions(EXPOSURES)),
    ]
