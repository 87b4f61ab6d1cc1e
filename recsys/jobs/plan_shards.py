"""Name the shards that scoring is spread over, and the one model that all of them use."""

from __future__ import annotations

from collections.abc import Mapping
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
  SELECT {id} AS unit, NTILE(@shards) OVER (ORDER BY {id}) AS shard
  FROM {table}
  WHERE ds = @ds AND {where} AND ABS(MOD(FARM_FINGERPRINT({id}), 1000000)) * (
    SELECT COUNT(*) FROM {table} WHERE ds = @ds AND {where}
  ) < 1000000 * @most
),

starts AS (
  SELECT shard, MIN(unit) AS start_unit
  FROM sample
  GROUP BY shard
),

bounds AS (
  SELECT IF(shard = 1, '', start_unit) AS start_unit, LEAD(start_unit) OVER (ORDER BY shard) AS next_unit
  FROM starts
)

SELECT MIN(units.{id}) AS first_unit, MAX(units.{id}) AS last_unit
FROM {table} AS units
INNER JOIN bounds
  ON units.{id} >= bounds.start_unit AND (bounds.next_unit IS NULL OR units.{id} < bounds.next_unit)
WHERE units.ds = @ds AND {where}
GROUP BY bounds.start_unit
ORDER BY first_unit
"""
OF_USERS = {"id": "user_id", "table": USERS, "where": "TRUE"}
OF_ITEMS = {"id": "item_id", "table": "features.keyword_items", "where": "is_live"}
"""What is divided: texts of the program, never input."""


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


def ranges(
    warehouse: Warehouse,
    settings: Settings,
    ds: date,
    most: int = MOST_SORTED,
    of: Mapping[str, str] = OF_USERS,
) -> list[Range]:
    """Divide the active users of ``ds``, or ``of`` what else, into at most ``settings.shards`` ranges of like size.

    The ranges ascend, do not overlap, hold every user, and are the same whenever they are asked for. Fewer users than
    shards make a range each; no users make one range that holds nobody, so that the day still gets its empty lists.
    With more than ``most`` users, a sample by fingerprint of about as many decides where the ranges begin.

    Raises:
        WarehouseError: the features of ``ds`` are missing.
    """
    if not warehouse.exists(of["table"], ds):
        raise WarehouseError(warehouse.missing(of["table"], ds))
    sql = RANGES.format(**of)
    found = warehouse.query(sql, {"shards": settings.shards, "most": most}, ds=ds).to_pylist()
    return [(row["first_unit"], row["last_unit"]) for row in found] or [NOBODY]
