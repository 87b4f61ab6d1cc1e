"""Measure the running experiments: who was exposed, what they did, metrics by arm, intervals.

**Reads** `staging.events`, `experiments.assignments`. **Writes** `experiments.exposures`, `user_outcomes_daily`,
`metrics_daily`, `results`, `checks` and `decisions`.

Triage
- `decide` gives the verdict `invalid`: a check in `experiments.checks` blocks, and its message says what to look for.
  Do not decide; look for lost impressions or a changed definition.
- `after` waits: events or assignments of the day are not finished, or an earlier day of this DAG: metrics add up.
"""

from airflow.sdk import TaskGroup, dag

from recsys_order import after
from recsys_tasks import DAILY, DEFAULTS, job, sql, wire

TABLES = ("experiments.exposures", "experiments.user_outcomes_daily", "experiments.metrics_daily")


@dag(schedule=DAILY, doc_md=__doc__, tags=["recsys", "daily", "experiments"], **DEFAULTS)
def experiment_metrics_daily() -> None:
    """Events to results."""
    with TaskGroup("tables", prefix_group_id=False) as tables:
        wire([sql(table) for table in TABLES])
    (
        after("features_daily", "experiment_assignment_daily", earlier_days=90)
        >> tables
        >> job("results")
        >> job("decide")
    )


experiment_metrics_daily()
