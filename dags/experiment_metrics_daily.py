"""Measure the running experiments: who was exposed, what they did, metrics by arm, intervals.

**Reads** `staging.*`, `marts.recommendations`, `experiments.assignments`, `include/experiments/*.yaml` and
`include/metrics.yaml`. **Writes** `experiments.metrics`, `exposures`, `unit_daily`, `unit_totals`, `metrics_daily`,
`value_counts`, `results`, `checks` and `decisions`.

Days may be run in any order, and give the same rows: `fill` builds exposures and unit days of earlier days that no run
has built yet. What is there it leaves alone, so after mending the data of earlier days run those days again first,
oldest first.

Triage
- `declare` failed: the log names the experiment or metric, the field, and what is allowed.
- `fill` failed: an earlier day has events but lacks something else; the log names it and the command that makes it.
- `decide` gives the verdict `invalid`: a check in `experiments.checks` blocks, and its message says what to look for.
  Do not decide; look for lost impressions or a changed definition.
- `after` waits: features or assignments of the day are not finished, features, assignments or lists of an earlier day
  are under way, or an earlier day of this DAG is running.
"""

from airflow.sdk import TaskGroup, dag

from recsys_order import after
from recsys_tasks import DAILY, DEFAULTS, job, sql, wire

DAYS = ("experiments.exposures", "experiments.unit_daily")
READ_OUTS = ("experiments.unit_totals", "experiments.metrics_daily", "experiments.value_counts")


@dag(schedule=DAILY, doc_md=__doc__, tags=["recsys", "daily", "experiments"], **DEFAULTS)
def experiment_metrics_daily() -> None:
    """Events to results."""
    with TaskGroup("days", prefix_group_id=False) as days:
        of_day = [sql(table) for table in DAYS]
    with TaskGroup("read_outs", prefix_group_id=False) as read_outs:
        of_all = [sql(table) for table in READ_OUTS]
    wire(of_day + of_all)
    made = ("features_daily", "experiment_assignment_daily")
    waited = after(*made, earlier_days=90, earlier=(*made, "score_daily"))
    waited >> job("declare") >> days >> job("fill") >> read_outs >> job("results") >> job("decide")


experiment_metrics_daily()
