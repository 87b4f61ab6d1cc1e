"""Score every active user and publish their list for the day after the data day.

**Reads** `features.*`, `experiments.assignments`, the champion. **Writes** `scoring.lists`, then
`marts.recommendations`. Users are spread over shards: one mapped task each.

Triage
- One `score` shard failed: clear that map index; the others keep their part of the partition.
- `score` finds no champion: run `train_weekly` for a day up to this one.
- `check_lists` failed: nothing was published, yesterday's lists are still served. The log names the rule and some rows.
- `after` waits: features or assignments of the day have not succeeded yet.
"""

from airflow.sdk import chain, dag

from recsys_order import after
from recsys_tasks import DAILY, DEFAULTS, check, job, sql


@dag(schedule=DAILY, doc_md=__doc__, tags=["recsys", "daily", "scoring"], **DEFAULTS)
def score_daily() -> None:
    """Features and champion to published lists."""
    shards = job("plan_shards", returns="shards")
    chain(
        after("features_daily", "experiment_assignment_daily"),
        shards,
        job("score", shard=shards.output),
        check("lists", ["scoring.lists"]),
        sql("marts.recommendations"),
    )


score_daily()
