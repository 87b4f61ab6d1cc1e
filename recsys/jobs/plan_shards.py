"""Name the shards that scoring is spread over, and the one model that all of them use."""

from __future__ import annotations

from datetime import date

from recsys.errors import WarehouseError
from recsys.jobs.inputs import Range
from recsys.ranking.champion import newest_day
from recsys.settings import Settings
from recsys.warehouse import Warehouse, open_warehouse

USERS = "features.user_daily"
WRITTEN = ("scoring.lists", "scoring.steps", "scoring.seller_lists")
"""What the shards write, a part each."""
MOST_SORTED = 1_000_000
"""Of more users a sample of this size says where the shards begin: one worker has to sort it."""
NOBODY: Range = ("", "")

RANGES = """
WITH sample AS (
  SELECT user_id, NTILE(@shards) OVER (ORDER BY user_id) AS shard
  FROM features.user_daily
  WHERE ds = @ds AND ABS(MOD(FARM_FINGERPRINT(user_id), 1000000)) * (
    SELECT COUNT(*) FROM features.user_daily WHERE ds = @ds
  ) < 1000000 * @most
),

starts AS (
  SELECT shard, MIN(user_id) AS start_user
  FROM sample
  GROUP BY shard
),

bounds AS (
  SELECT IF(shard = 1, '', start_user) AS start_user, LEAD(start_user) OVER (ORDER BY shard) AS next_user
  FROM starts
)

SELECT MIN(users.user_id) AS first_user, MAX(users.user_id) AS last_user
FROM features.user_daily AS users
INNER JOIN bounds
  ON users.user_id >= bounds.start_user AND (bounds.next_user IS NULL OR users.user_id < bounds.next_user)
WHERE users.ds = @ds
GROUP BY bounds.start_user
ORDER BY first_user
"""


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Drop what an earlier run left of the scoring of ``ds``; return {"shards": [options of score.run, ...]}.

    The old parts go first, so that a run with fewer shards leaves none of them behind. The champion is looked up here,
    once, so that one registered meanwhile does not come between two shards of a day.

    Raises:
        ModelError: there is no champion with data up to ``ds``; nothing is dropped.
        WarehouseError: the features of ``ds`` are missing; nothing is dropped.
    """
    champion = newest_day(settings.models_dir, ds).isoformat()
    with open_warehouse(settings) as warehouse:
        planned = ranges(warehouse, settings, ds)
        for table in WRITTEN:
            warehouse.drop(table, ds)
    return {
        "shards": [
            {"shard": shard, "champion": champion, "first_user": first, "last_user": last}
            for shard, (first, last) in enumerate(planned)
        ]
    }


def ranges(warehouse: Warehouse, settings: Settings, ds: date, most: int = MOST_SORTED) -> list[Range]:
    """Divide the active users of ``ds`` into at most ``settings.shards`` ranges of about the same size.

    The ranges ascend, do not overlap, hold every user, and are the same whenever they are asked for. Fewer users than
    shards make a range each; no users make one range that holds nobody, so that the day still gets its empty lists.
    With more than ``most`` users, a sample by fingerprint of about as many decides where the ranges begin.

    Raises:
        WarehouseError: the features of ``ds`` are missing.
    """
    if not warehouse.exists(USERS, ds):
        raise WarehouseError(warehouse.missing(USERS, ds))
    found = warehouse.query(RANGES, {"shards": settings.shards, "most": most}, ds=ds).to_pylist()
    return [(row["first_user"], row["last_user"]) for row in found] or [NOBODY]
