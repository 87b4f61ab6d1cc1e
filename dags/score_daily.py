"""Score every active user and publish their list for the day after the data day.

**Reads** `features.*`, `experiments.assignments`, the champion. **Writes** `marts.list_calibration` (what earlier lists
promised and what came of it), `scoring.lists` and `scoring.steps`, then `marts.recommendations`. Users are spread over
shards, each a range of user ids: one mapped task each. Beside them, on the same shards and with checks of their own,
lists of sellers worth following: `scoring.seller_lists`, then `marts.seller_recommendations`.

Triage
- One `score` shard failed: clear that map index; the others keep their part of the partition, and it takes the model
  and the users that `plan_shards` named for all of them. For another model, or after `features.user_daily` was built
  again, clear from `plan_shards` on.
- `plan_shards` finds no champion: run `train_weekly` for a day up to this one.
- `check_lists` failed: nothing was published, yesterday's lists are still served. The log names the rule and some rows.
- `check_published` failed: the lists are out, and are not those that were checked. Clear `marts.recommendations`.
- `sellers_score`, `check_seller_lists` or `check_seller_published` failed: the same for lists of sellers. The lists of
  items do not wait for them.
- `after` waits: features or assignments of the day have not succeeded yet, a `train_weekly` run of the day or an
  earlier day of this DAG is queued or running. If that training hangs or its DAG is paused, mark it failed: the
  champion before is taken.
"""

from airflow.sdk import chain, dag

from recsys_order import after
from recsys_tasks import DAILY, DEFAULTS, check, job, sql


@dag(schedule=DAILY, doc_md=__doc__, tags=["recsys", "daily", "scoring"], **DEFAULTS)
def score_daily() -> None:
    """Features and champion to published lists."""
    shards = job("plan_shards", returns="shards")
    chain(
        after("features_daily", "experiment_assignment_daily", unfinished=("train_weekly",), earlier_days=3),
        sql("marts.list_calibration"),
        shards,
        job("score", each=shards.output, heavy=True),
        check("lists", ["scoring.lists"]),
        sql("marts.recommendations"),
        check("published", ["marts.recommendations"]),
    )
    chain(
        shards,
        job("sellers_score", each=shards.output),
        check("seller_lists", ["scoring.seller_lists"]),
        sql("marts.seller_recommendations"),
        check("seller_published", ["marts.seller_recommendations"]),
    )


score_daily()
