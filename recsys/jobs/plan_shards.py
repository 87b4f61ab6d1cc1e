"""Name the shards that scoring is spread over, and the one model that all of them use."""

from __future__ import annotations

from datetime import date

from recsys.ranking.champion import newest_day
from recsys.settings import Settings
from recsys.warehouse import open_warehouse


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Drop what an earlier run left in ``scoring.lists`` of ``ds``; return {"shards": [options of score.run, ...]}.

    The old parts go first, so that a run with fewer shards leaves none of them behind. The champion is looked up here,
    once, so that one registered meanwhile does not come between two shards of a day.

    Raises:
        ModelError: there is no champion with data up to ``ds``; nothing is dropped.
    """
    champion = newest_day(settings.models_dir, ds).isoformat()
    open_warehouse(settings).drop("scoring.lists", ds)
    return {"shards": [{"shard": shard, "champion": champion} for shard in range(settings.shards)]}
