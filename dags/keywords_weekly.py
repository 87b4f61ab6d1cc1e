"""Propose keywords to sellers for every live listing: clean what was searched and typed, learn, choose, publish.

**Reads** `features.*`, `staging.*` of searches, `marketplace.campaign*` (optional: nothing is proposed without) and
`experiments.assignments`, which says to whom nothing is offered.
**Writes** `features.keyword_*`, `features.campaign_history`, `scoring.keyword_*`, `marts.keyword_recommendations` and
`monitoring.keyword_adoption`. Runs on Mondays for the Sunday before.

Each week keeps what it can of the week before: its clusters of keywords, and its lists. Run weeks in their order, and
they give the same bytes again; one that runs before its predecessor starts afresh, and says so in `kept from`.

Triage
- `check_campaigns` failed: a campaign table is broken. Mend the source, then clear the task.
- `keywords_train` says `skipped`: campaigns have not run for three weeks yet, and lists stay empty. `refused`: the new
  ranker predicts clicks worse than one rate for all, by more than chance, and the model before is taken.
- One `keywords_score` shard failed: clear that map index. For another model clear from `keywords_plan` on.
- `check_keyword_lists` failed: nothing was published, last week's keywords are still shown. The log names the rule.
- `check_published_keywords` failed: what is out is not what was checked. Clear `marts.keyword_recommendations`.
- `after` waits: features or assignments of the day have not succeeded yet, or an earlier week of this DAG is under way.
"""

from airflow.sdk import TaskGroup, chain, dag

from recsys_order import after
from recsys_tasks import DEFAULTS, WEEKLY, check, job, sql, wire

CAMPAIGNS = ("marketplace.campaigns", "marketplace.campaign_keywords", "marketplace.campaign_daily")
FEATURES = (
    "features.keyword_demand",
    "features.keyword_engaged",
    "features.campaign_history",
    "features.keyword_items",
)


@dag(schedule=WEEKLY, doc_md=__doc__, tags=["recsys", "weekly", "keywords"], **DEFAULTS)
def keywords_weekly() -> None:
    """Searches and campaigns to published keywords."""
    with TaskGroup("features", prefix_group_id=False) as features:
        wire([sql(table) for table in FEATURES])
    shards = job("keywords_plan", returns="shards")
    chain(
        after("features_daily", "experiment_assignment_daily", earlier_days=28),
        check("campaigns", CAMPAIGNS),
        features,
        check("keyword_features", FEATURES),
        job("keywords_clean"),
        check("keyword_texts", ["scoring.keyword_variants"]),
        job("keywords_train", heavy=True),
        shards,
        job("keywords_score", each=shards.output, heavy=True),
        check("keyword_lists", ["scoring.keyword_lists"]),
        sql("marts.keyword_recommendations"),
        check("published_keywords", ["marts.keyword_recommendations"]),
        sql("monitoring.keyword_adoption"),
    )


keywords_weekly()
