"""Check the sources, then build staging and features of one data day.

**Reads** `marketplace.*`. **Writes** `staging.*`, `features.*` and `monitoring.check_results`, partition ds.

Triage
- `check_sources` failed: the data of the day is broken or late. The log names table, rule and rows, and
  `monitoring.check_results` keeps them (`make run` builds Data Docs at its end, no DAG does). Mend the source, then
  clear the task: nothing downstream has changed.
- Snapshots (`staging.items`, `.users`, `.sellers`, `.campaigns`) are kept when a day runs again. After mending one of
  their sources: `recsys build staging.items staging.campaigns --ds D --refresh`, then clear from `check_sources` on.
- `check_features` warns `window_is_complete`: an earlier day was never built, so the windows lack it. A failed day does
  not stop the days after it. Once it is mended, run them again too, in order:
  `airflow backfill create --dag-id features_daily --from-date D --to-date LAST --reprocess-behavior completed`.
- A table failed: the log names the SQL file. Running it again replaces the same partition with the same bytes.
- `check_features` failed: the day's features are written and wrong, and scoring of the day waits. Mend, then clear
  from the table on.
- `after` waits: an earlier day is still being computed, and windows read earlier days.
"""

from airflow.sdk import TaskGroup, dag

from recsys.schema import FEATURES, SOURCES, STAGING
from recsys_order import after
from recsys_tasks import DAILY, DEFAULTS, check, sql, wire


@dag(schedule=DAILY, doc_md=__doc__, tags=["recsys", "daily", "features"], **DEFAULTS)
def features_daily() -> None:
    """Sources to features."""
    with TaskGroup("staging", prefix_group_id=False) as staging:
        raw = [sql(table.name) for table in STAGING]
    with TaskGroup("features", prefix_group_id=False) as features:
        daily = [sql(table.name) for table in FEATURES]
    wire(raw + daily)
    after(earlier_days=90) >> check("sources", [table.name for table in SOURCES]) >> staging
    features >> check("features", [table.name for table in FEATURES])


features_daily()
