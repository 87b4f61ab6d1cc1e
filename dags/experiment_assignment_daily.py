"""Put every active user into an arm of each running experiment.

**Reads** `features.user_daily` and `include/experiments/*.yaml`. **Writes** `experiments.assignments`.

Triage
- `assign` failed on a definition: the log names the YAML file and the field.
- `after` waits: `features_daily` of the day has not succeeded yet.
"""

from airflow.sdk import dag

from recsys_order import after
from recsys_tasks import DAILY, DEFAULTS, job


@dag(schedule=DAILY, doc_md=__doc__, tags=["recsys", "daily", "experiments"], **DEFAULTS)
def experiment_assignment_daily() -> None:
    """Active users to arms."""
    after("features_daily") >> job("assign")


experiment_assignment_daily()
