"""What each policy truly earns on a played day, as only the synthetic marketplace knows."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd

from recsys.experiments.definition import POLICIES
from recsys.jobs import simulate
from recsys.jobs.inputs import read_snapshot
from recsys.jobs.score import make_ranker, rank_users
from recsys.settings import Settings
from recsys.warehouse import open_warehouse

TABLE = "synthetic.truth"
FIGURES = ["users", "rpu", "rpu_error", "conversion", "ctr", "replications"]


def run(settings: Settings, ds: date, replications: int = 30) -> dict[str, object]:
    """Write ``synthetic.truth`` of ``ds``: the day played for each policy alone, from the same morning.

    Each policy makes the lists of every active user from what was known the evening before, as its arm did for its
    half. The policies meet the same visitors and moods, so their difference is sharper than either figure.
    """
    evening = ds - timedelta(days=1)
    with open_warehouse(settings) as warehouse:
        snapshot = read_snapshot(warehouse, settings, evening)
        ranker = make_ranker(settings, snapshot)
        lists = {policy: rank_users(ranker, snapshot, None, policy) for policy in POLICIES}
        truths = simulate.truth(settings, ds, lists, replications)
        rows = pd.DataFrame(truths).T[FIGURES].rename_axis("policy").reset_index()
        warehouse.write(TABLE, rows.assign(replications=replications, ds=ds), ds)
    return {policy: round(float(figures["rpu"]), 4) for policy, figures in truths.items()}
