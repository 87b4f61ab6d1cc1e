"""Training draws users by hash: about as many as wanted, the same ones on every day."""

from __future__ import annotations

from datetime import date

import pandas as pd

from recsys.jobs.train import sampled_users


def day(first: int, last: int) -> pd.DataFrame:
    ids = [f"u{n:05d}" for n in range(first, last)]
    return pd.DataFrame({"user_id": ids * 2, "item_id": ["a"] * len(ids) + ["b"] * len(ids)})


def test_few_users_all_stay() -> None:
    outcomes = {date(2026, 1, 1): day(0, 10)}
    assert sampled_users(outcomes, 10) is outcomes


def test_a_user_is_in_on_every_day_or_on_none() -> None:
    outcomes = {date(2026, 1, 1): day(0, 3_000), date(2026, 1, 2): day(1_000, 4_000)}
    first, second = sampled_users(outcomes, 1_000).values()
    everyone = set(first["user_id"]) | set(second["user_id"])
    assert 850 < len(everyone) < 1_150
    shared = {f"u{n:05d}" for n in range(1_000, 3_000)}
    assert set(first["user_id"]) & shared == set(second["user_id"]) & shared
    assert (first.groupby("user_id").size() == 2).all()
