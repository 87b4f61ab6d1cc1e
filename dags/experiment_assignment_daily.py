"""Put every eligible unit into an arm of each running experiment, and record the day on which it joined.

**Reads** `features.user_daily`, or the table that a definition names, of every day since the start, and
`include/experiments/*.yaml`. **Writes** `experiments.assignments`. Any day can be run again, alone and in any order.

Triage
- `assign` failed on a definition: the log names the YAML file and every field that is wrong.
- `assign` tells `days_missing`: a day of the table above was never built, and a unit may have joined on it. Build it
  and run again.
- `assign` tells `outlived`: an experiment serves for longer than `RECSYS_EXPERIMENT_DAYS`. Set its end.
- `after` waits: `features_daily` of the day has not succeeded yet.
"""

from airflow.sdk import dag

from recsys_order import after
from recsys_tasks import DAILY, DEFAULTS, job


@dag(schedule=DAILY, doc_md=__doc__, tags=["recsys", "daily", "experiments"], **DEFAULTS)
def experiment_assignment_daily() -> None:
    """Eligible units to arms."""
    after("features_daily") >> job("assign")


experiment_assignment_daily()
