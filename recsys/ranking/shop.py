"""The hybrid for a shop that sells the same items again: learned by replaying past weeks.

Nothing was shown, so nothing says what was refused. On days a horizon apart before the data day, candidates are
named by retrievers fitted on what was known then, and the outcome is whether the customer bought the item within the
horizon. The last such period calibrates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.features.history import frames_as_of, unit_prices
from recsys.ranking.candidates import Quotas
from recsys.ranking.champion import Champion
from recsys.ranking.judge import Scorer
from recsys.ranking.replay import blank_candidates
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.training import (
    Examples,
    fit_retrievers,
    label_pairs,
    make_retrievers,
    train_scorer,
)
from recsys.schema import ITEM_ID, USER_ID

Progress = Callable[[str], None] | None
KEPT_NEGATIVES = 0.15
CALIBRATION_USERS = 1_500
SHOP_QUOTAS = Quotas(groups=100, per_group=1, categories=3, per_category=20, trending=100, per_seller=100)
HORIZON_DAYS, LEAST_HORIZON_DAYS = 30, 7


@dataclass(frozen=True)
class ShopData:
    """What a shop knows: ``daily`` actions, ``items`` and ``users``, columns as ``history.frames_as_of`` reads them."""

    daily: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame

    @property
    def first_day(self) -> date:
        """The first day with an action."""
        return pd.Timestamp(self.daily["event_date"].min()).date()

    def bought_between(self, after: date, until: date) -> pd.DataFrame:
        """[user_id, item_id] bought after ``after`` and up to ``until``."""
        days = self.daily["event_date"]
        inside = (days > pd.Timestamp(after)) & (days <= pd.Timestamp(until)) & (self.daily["purchases"] > 0)
        return self.daily.loc[inside, [USER_ID, ITEM_ID]]

    def priced_on(self, ds: date) -> ShopData:
        """The same with the prices of a past day: the median paid up to it, the price of today where none was."""
        paid = unit_prices(self.daily[self.daily["event_date"] <= pd.Timestamp(ds)])
        price = self.items[ITEM_ID].map(paid).fillna(self.items["price"])
        return replace(self, items=self.items.assign(price=price))

    def snapshot(self, ds: date, audience: pd.Index | None = None) -> Snapshot:
        """The shop at the end of ``ds``."""
        return Snapshot.from_frames(frames_as_of(self.daily, self.items, self.users, ds, audience), ds)


def train_shop(
    data: ShopData, ds: date, seed: int, progress: Progress = None, champion: Scorer | None = None
) -> Champion:
    """Learn from replays up to ``ds`` and fit the retrievers on all that was known by then.

    The horizon is HORIZON_DAYS, or a quarter of a shorter history. ``champion`` is the scorer in place, if any.

    Raises:
        ModelError: the history is too short, or the gate refused.
    """
    if data.daily.empty or data.items.empty:
        raise ModelError(
            f"No actions or no items are known up to {ds}; build the staging tables up to it first."
        )
    horizon = max(LEAST_HORIZON_DAYS, min(HORIZON_DAYS, (ds - data.first_day).days // 4))
    days = replay_days(data.first_day, ds, horizon)
    later = _replay(data, days[0], horizon, seed, keep=1.0, most_users=CALIBRATION_USERS, progress=progress)
    past = [_replay(data, day, horizon, seed, keep=KEPT_NEGATIVES, progress=progress) for day in days[1:]]
    scorer, metrics = train_scorer(Examples.join(past), later, seed, KEPT_NEGATIVES, champion)
    retrievers = fit_retrievers(make_retrievers("item", seed), data.snapshot(ds).history)
    facts = {
        "ds": str(ds),
        "metrics": metrics,
        "learned_from": "replay",
        "training_days": [str(day) for day in sorted(days[1:])],
        "calibration_days": [str(days[0])],
        "parameters": {"seed": seed, "item_unit": "item", "horizon_days": horizon, "kept": KEPT_NEGATIVES},
    }
    return Champion(retrievers, scorer, facts)


def _replay(
    data: ShopData,
    ds: date,
    horizon: int,
    seed: int,
    *,
    keep: float,
    most_users: int | None = None,
    progress: Progress = None,
) -> Examples:
    """Label the candidates of the evening of ``ds`` by what was bought in the ``horizon`` days after it.

    A share ``keep`` of those not bought is kept; candidates of at most ``most_users`` users, drawn by ``seed``.
    """
    if progress:
        progress(f"Replaying {ds}")
    snapshot, rng = data.priced_on(ds).snapshot(ds), np.random.default_rng((seed, ds.toordinal()))
    retrievers = fit_retrievers(make_retrievers("item", seed), snapshot.history)
    users = np.arange(len(snapshot.audience))
    if most_users is not None and len(users) > most_users:
        users = np.sort(rng.choice(users, most_users, replace=False))
    found = blank_candidates(snapshot, retrievers, users, "item", SHOP_QUOTAS)
    bought = found.are_in(
        snapshot.audience, snapshot.shelf, data.bought_between(ds, ds + timedelta(days=horizon))
    )
    kept = bought | (rng.random(len(bought)) < keep)
    return label_pairs(snapshot, retrievers, found.rows[kept], found.items[kept], purchased=bought[kept])


def replay_days(first: date, ds: date, horizon: int, most: int = 5) -> list[date]:
    """Evenings to replay, newest first: ``horizon`` days apart, all of their outcome known by the end of ``ds``.

    Raises:
        ModelError: when the history is too short for two of them.
    """
    days: list[date] = []
    day = ds - timedelta(days=horizon)
    while len(days) < most and day - timedelta(days=horizon) >= first:
        days.append(day)
        day -= timedelta(days=horizon)
    if len(days) < 2:
        raise ModelError(
            f"The history from {first} to {ds} is too short: learning and calibrating take at least "
            f"{3 * horizon} days of it. Import more, or train later."
        )
    return days
