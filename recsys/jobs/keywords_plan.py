"""Name the shards that keyword lists are spread over, and the one model that all of them use."""

from __future__ import annotations

from datetime import date

from recsys.jobs import plan_shards
from recsys.keywords.champion import newest_day
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

TABLE = "scoring.keyword_lists"


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Drop what an earlier run left of ``ds``; return {"shards": [options of keywords_score.run, ...]}.

    As long as there is no keyword model, in a marketplace where nobody advertises or that has only begun to, there is
    one shard without listings: the day gets empty lists.

    Raises:
        WarehouseError: the keyword features of ``ds`` are missing; nothing is dropped.
    """
    day = newest_day(settings.models_dir, ds)
    with open_warehouse(settings) as warehouse:
        planned = plan_shards.ranges(warehouse, settings, ds, of=plan_shards.OF_ITEMS)
        warehouse.drop(TABLE, ds)
    return {
        "shards": [
            {"shard": shard, "champion": day.isoformat(), "first_item": first, "last_item": last}
            for shard, (first, last) in enumerate(planned)
        ]
        if day
        else [{"shard": 0, "champion": "", "first_item": "", "last_item": ""}]
    }
