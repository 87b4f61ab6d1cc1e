"""The same work with the tool one would pick without this project, in the same run, for comparison."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from bench.machine import Task
from recsys.settings import Settings

POINTS = {"views": 1, "likes": 3, "offers": 4, "carts": 4, "bids": 4, "purchases": 8}
LIST = 100


def comparisons(settings: Settings, ds: date) -> list[Task]:
    """One task per comparison, one after the other."""
    first, second = "interactions in pandas", "top 100 groups by implicit"
    return [
        Task(first, interactions_in_pandas, (settings, ds)),
        Task(second, groups_by_implicit, (settings, ds), (first,)),
    ]


def interactions_in_pandas(settings: Settings, ds: date) -> int:
    """features.interactions from the same files with pandas; refuses a result that differs."""
    root = Path(settings.warehouse)
    start = ds - timedelta(days=settings.history_days - 1)
    days = [start + timedelta(days=n) for n in range(settings.history_days)]
    columns = ["user_id", "item_id", "event_date", "quantity", "revenue", *POINTS]
    files = [root / "staging" / "user_item_daily" / f"ds={day}.parquet" for day in days]
    actions = pd.concat(
        [pd.read_parquet(f, columns=columns) for f in files if f.is_file()], ignore_index=True
    )
    actions["event_date"] = pd.to_datetime(actions["event_date"])
    actions = actions[
        (actions["event_date"] >= pd.Timestamp(start)) & (actions[list(POINTS)].sum(axis=1) > 0)
    ]
    groups = pd.read_parquet(_file(root, "features", "item_group", ds), columns=["item_id", "group_id"])
    actions = actions.merge(groups, on="item_id")
    age = (pd.Timestamp(ds) - actions["event_date"]).dt.days
    actions["weight"] = sum(actions[name] * points for name, points in POINTS.items()) * 0.5 ** (age / 30)
    actions["revenue"] = actions["revenue"].astype("float64")
    sums = ["weight", "views", "likes", "purchases", "quantity", "revenue"]
    result = actions.groupby(["user_id", "group_id"])[sums].sum()
    result["first_date"] = actions.groupby(["user_id", "group_id"])["event_date"].min()
    result["last_date"] = actions.groupby(["user_id", "group_id"])["event_date"].max()
    built = pd.read_parquet(_file(root, "features", "interactions", ds), columns=["weight"])
    if len(built) != len(result) or not np.isclose(built["weight"].sum(), result["weight"].sum()):
        raise ValueError("pandas and the SQL disagree about features.interactions")
    return len(result)


def groups_by_implicit(settings: Settings, ds: date) -> int:
    """Factorise users by groups and take each user's best groups: no listings, no filters, no money."""
    from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415

    path = _file(Path(settings.warehouse), "features", "interactions", ds)
    frame = pd.read_parquet(path, columns=["user_id", "group_id", "weight"])
    users, groups = (pd.factorize(frame[name]) for name in ("user_id", "group_id"))
    matrix = sparse.csr_matrix((np.log1p(frame["weight"]).astype(np.float32), (users[0], groups[0])))
    model = AlternatingLeastSquares(factors=64, iterations=15, random_state=settings.seed, num_threads=2)
    model.fit(matrix, show_progress=False)
    ids, _ = model.recommend(np.arange(matrix.shape[0]), matrix, N=LIST, filter_already_liked_items=False)
    return int(ids.size)


def _file(root: Path, dataset: str, table: str, ds: date) -> Path:
    return root / dataset / table / f"ds={ds}.parquet"
