"""The SELECT that names who is in an experiment on a day, and since when.

A unit joins on the first data day on which it is eligible and the ramp has let it in, and stays to the end: whether it
would be eligible later on may follow from what its arm did to it. That day comes from the eligibility table of every
day since the start, never from assignments made before, so each day can be made again, alone and in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from recsys.experiments.assignment import BUCKET_SQL, draws
from recsys.experiments.definition import Experiment
from recsys.experiments.eligibility import TABLES_OF, Condition
from recsys.settings import Settings

UNITS = """
SELECT unit_id, first_assigned_on, {bucket} AS bucket
FROM ({eligible}) AS eligible
WHERE {drawn}
ORDER BY unit_id
"""
DRAW = """ABS(MOD(FARM_FINGERPRINT(CONCAT(@draw{n}_salt, ':', unit_id)), 10000))
  BETWEEN @draw{n}_first AND @draw{n}_last"""

DAILY = """
SELECT {unit} AS unit_id, MIN(ds) AS first_assigned_on
FROM {table}
WHERE ds BETWEEN GREATEST(@first, DATE_SUB(@ds, INTERVAL @experiment_days DAY)) AND @ds AND {where}
GROUP BY {unit}
"""
CAMPAIGNS = """
SELECT campaign_id AS unit_id, MIN(ds) AS first_assigned_on
FROM staging.campaigns
WHERE ds BETWEEN GREATEST(@first, DATE_SUB(@ds, INTERVAL @experiment_days DAY)) AND @ds
  AND (ended_at IS NULL OR ended_at >= TIMESTAMP(ds, @timezone))
  AND {where}
GROUP BY 1
"""
CLUSTERS = """
SELECT CONCAT(categories.category_id, '|', regions.region) AS unit_id, MIN(categories.ds) AS first_assigned_on
FROM staging.item_category AS categories
INNER JOIN (
  SELECT DISTINCT ds, region
  FROM staging.users
  WHERE ds BETWEEN GREATEST(@first, DATE_SUB(@ds, INTERVAL @experiment_days DAY)) AND @ds AND region IS NOT NULL
) AS regions ON categories.ds = regions.ds
WHERE
  categories.ds BETWEEN GREATEST(@first, DATE_SUB(@ds, INTERVAL @experiment_days DAY)) AND @ds
  AND {where}
GROUP BY 1
"""
ELIGIBLE = {"campaign": CAMPAIGNS, "cluster": CLUSTERS}
"""By unit; the others have a row per unit and day in the table that is asked."""
EVERYBODY = {"cluster": "parent_id IS NULL"}
"""Who is eligible where a definition does not say: every unit, and of the categories the top of the tree."""


@dataclass(frozen=True)
class Query:
    """A text in GoogleSQL and what it binds besides ``@ds``; its columns are unit_id, first_assigned_on, bucket."""

    sql: str
    params: dict[str, object]


def eligibility_table(experiment: Experiment) -> str:
    """Table that says who is eligible."""
    stated = experiment.eligibility
    return stated.table if stated is not None else TABLES_OF[experiment.unit][0]


def first_day(experiment: Experiment) -> date:
    """First data day on which a unit can join: the day before the lists of the start are served."""
    return experiment.start - timedelta(days=1)


def queries(experiment: Experiment, ds: date, settings: Settings) -> Iterator[Query]:
    """One query per step of the ramp that has begun by ``ds``; no unit is in two of them.

    Of ``settings`` it takes the time zone, in which campaigns end, and the most days that an experiment
    runs: further back nothing is read, so the cost of a day does not grow with an experiment that nobody ends.
    """
    before = 0
    for step in experiment.steps:
        first = step.day - timedelta(days=1)
        if first <= ds:
            yield _query(experiment, first, (before, step.buckets - 1), settings)
        before = step.buckets


def _query(experiment: Experiment, first: date, ramp: tuple[int, int], settings: Settings) -> Query:
    """Those whose ramp bucket is in ``ramp``, who can join from ``first`` on."""
    stated, unit = experiment.eligibility, experiment.unit
    condition = Condition.parse(stated.where, stated.table) if stated is not None else None
    params: dict[str, object] = {
        "salt": experiment.salt,
        "first": first,
        "experiment_days": settings.experiment_days,
    }
    params |= condition.params if condition is not None else {}
    params |= {"timezone": settings.timezone} if unit == "campaign" else {}
    asked = list(draws(experiment, ramp))
    for n, (salt, first_bucket, last_bucket) in enumerate(asked):
        params |= {f"draw{n}_salt": salt, f"draw{n}_first": first_bucket, f"draw{n}_last": last_bucket}
    eligible = ELIGIBLE.get(unit, DAILY).format(
        unit=f"{unit}_id",
        table=eligibility_table(experiment),
        where=condition.sql if condition is not None else EVERYBODY.get(unit, "TRUE"),
    )
    drawn = " AND ".join(DRAW.format(n=n) for n in range(len(asked)))
    sql = UNITS.format(bucket=BUCKET_SQL, eligible=eligible, drawn=drawn or "TRUE")
    return Query(sql, params)
