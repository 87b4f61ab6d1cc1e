"""The hybrid for a shop that sells the same items again: learned by replaying past weeks.

Nothing was shown, so nothing says what was refused. On evenings before the data day candidates are named by retrievers
fitted on what was known then, and the outcome is what the customer bought in the weeks after. A shop with enough of
both history and customers learns boosted trees (``shop_training``), a smaller one a logistic regression.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial

import numpy as np

from recsys.errors import ModelError
from recsys.ranking.champion import Champion
from recsys.ranking.judge import Scorer
from recsys.ranking.replay import blank_candidates
from recsys.ranking.shop_data import ShopData
from recsys.ranking.shop_training import (
    SHOP_QUOTAS,
    Progress,
    Recipe,
    plan_evenings,
    too_small,
    train_boosted,
)
from recsys.ranking.training import (
    Examples,
    fit_retrievers,
    label_pairs,
    make_retrievers,
    ranker_parameters,
    train_scorer,
)
from recsys.ranking.tuned import UNTUNED, Tuned

KEPT_NEGATIVES = 0.15
CALIBRATION_USERS = 1_500
DEFAULT = Recipe()
HORIZON_DAYS, LEAST_HORIZON_DAYS = 30, 7

__all__ = ["SHOP_QUOTAS", "ShopData", "replay_days", "train_shop"]


def train_shop(
    data: ShopData,
    ds: date,
    seed: int,
    progress: Progress = None,
    champion: Scorer | None = None,
    *,
    recipe: Recipe = DEFAULT,
    chosen: Tuned = UNTUNED,
) -> Champion:
    """Learn from replays up to ``ds`` and fit the retrievers on all that was known by then.

    The ranker is ``ShopScorer``, in a small shop ``PairScorer``; the facts say which, and why. ``champion`` is the
    scorer in place, if any; two logistic regressions are compared. (Boosted trees are not: those in place have learned
    from the very days that judge.) Retrievers and trees have the values that ``recsys tune`` has ``chosen``.

    Raises:
        ModelError: the history is too short, or the gate refused.
    """
    if data.daily.empty or data.items.empty:
        raise ModelError(
            f"No actions or no items are known up to {ds}; build the staging tables up to it first."
        )
    recipe = recipe.with_boosts(chosen)
    planned = plan_evenings(data.first_day, ds, recipe)
    why = too_small(data, planned, recipe)
    learned: tuple[Scorer, dict[str, object]]
    if why is None:
        learned = train_boosted(data, seed, planned=planned, recipe=recipe, chosen=chosen, progress=progress)
    else:
        if progress:
            progress(f"The ranker is a logistic regression: {why}")
        learned = _train_logistic(data, ds, seed, progress=progress, champion=champion, chosen=chosen)
    scorer, facts = learned
    retrievers = fit_retrievers(make_retrievers("item", seed, chosen), data.snapshot(ds).history)
    kind = {"ranker": scorer.kind} | ({} if why is None else {"because": why})
    return Champion(retrievers, scorer, {**facts, "ds": str(ds), "learned_from": "replay", **kind})


def _train_logistic(
    data: ShopData,
    ds: date,
    seed: int,
    *,
    progress: Progress,
    champion: Scorer | None,
    chosen: Tuned,
) -> tuple[Scorer, dict[str, object]]:
    """A logistic regression; the horizon is HORIZON_DAYS, or a quarter of a shorter history."""
    horizon = max(LEAST_HORIZON_DAYS, min(HORIZON_DAYS, (ds - data.first_day).days // 4))
    days = replay_days(data.first_day, ds, horizon)
    replayed = partial(_replay, data, horizon=horizon, seed=seed, chosen=chosen, progress=progress)
    later = replayed(days[0], keep=1.0, most_users=CALIBRATION_USERS)
    past = [replayed(day, keep=KEPT_NEGATIVES) for day in days[1:]]
    scorer, metrics = train_scorer(Examples.join(past), later, seed, kept=KEPT_NEGATIVES, champion=champion)
    return scorer, {
        "metrics": metrics,
        "training_days": [str(day) for day in sorted(days[1:])],
        "calibration_days": [str(days[0])],
        "parameters": {
            "seed": seed,
            "item_unit": "item",
            "horizon_days": horizon,
            "kept": KEPT_NEGATIVES,
            "ranker": ranker_parameters(scorer),
        },
    }


def _replay(
    data: ShopData,
    ds: date,
    *,
    horizon: int,
    seed: int,
    keep: float,
    chosen: Tuned,
    most_users: int | None = None,
    progress: Progress = None,
) -> Examples:
    """Label the candidates of the evening of ``ds`` by what was bought in the ``horizon`` days after it.

    A share ``keep`` of those not bought is kept; candidates of at most ``most_users`` users, drawn by ``seed``.
    """
    if progress:
        progress(f"Replaying {ds}")
    snapshot, rng = data.priced_on(ds).snapshot(ds), np.random.default_rng((seed, ds.toordinal()))
    retrievers = fit_retrievers(make_retrievers("item", seed, chosen), snapshot.history)
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
