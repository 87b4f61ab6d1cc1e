"""Name the shards that scoring is spread over."""

from __future__ import annotations

from datetime import date

from recsys.settings import Settings
from recsys.warehouse import open_warehouse


def run(settings: Settings, ds: date) -> dict[str, object]:
    """Drop what an earlier run left in ``scoring.lists`` of ``ds`` and return {"shards": [0, 1, ...]}.

    The old parts go first, so that a run with fewer shards leaves none of them behind.
    """
    open_warehouse(settings).drop("scoring.lists", ds)
    return {"shards": list(range(settings.shards))}
