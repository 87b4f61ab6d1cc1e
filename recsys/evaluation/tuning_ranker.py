"""Choosing the sizes of the trees that rank the items of a shop: lists of past evenings, judged by what was bought.

Of one-off listings the ranker is not searched: what its lists hold decides what the next one learns from, and a loss on
old lists says little about new ones (docs/adr/0007).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import pandas as pd

from recsys.errors import ModelError
from recsys.evaluation.backtest import hybrid_lists
from recsys.evaluation.metrics import user_metrics
from recsys.evaluation.split import temporal_split
from recsys.evaluation.tuning import Range, Task, Value
from recsys.models import Recommender
from recsys.ranking.champion import Champion
from recsys.ranking.revenue import Money
from recsys.ranking.shop_data import ShopData
from recsys.ranking.shop_evenings import Evening
from recsys.ranking.shop_scorer import Joined
from recsys.ranking.shop_training import Recipe, boost_values, learn, plan_evenings, replay, too_small
from recsys.ranking.training import fit_retrievers, make_retrievers
from recsys.ranking.tuned import RANKER, Tuned
from recsys.schema import USER_ID

SPACE: dict[str, Range | tuple[Value, ...]] = {
    f"{model}_{size}": where
    for model in ("buys", "orders")
    for size, where in (
        ("trees", Range(60, 500, whole=True)),
        ("leaves", Range(15, 127, whole=True)),
        ("rate", Range(0.01, 0.15)),
        ("least", Range(50, 800, whole=True)),
    )
}
"""What is searched of ``shop_heads.Boosts``: the two models that order a list."""


@dataclass(frozen=True)
class Period:
    """A validation period: what was known on its eve, replayed once for all trials, and what was then bought."""

    eve: date
    known: ShopData
    evenings: list[Evening]
    retrievers: Mapping[str, Recommender]
    bought: pd.DataFrame


def of_ranker(
    data: ShopData,
    parts: Sequence[tuple[date, date]],
    *,
    k: int,
    metric: str,
    money: Money,
    seed: int,
    chosen: Tuned,
    recipe: Recipe | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> Task:
    """The search for the sizes of the ranker's trees, on periods ``parts`` [first, last].

    ``chosen`` are the values in place, the retrievers' too; ``money`` is how much money counts in the lists.

    Raises:
        ModelError: before some period the shop is too small for trees, or nobody known bought anything in one.
    """
    base = (recipe or Recipe()).with_boosts(chosen)
    periods = [_period(data, part, base, seed, chosen, say=say) for part in parts]

    def score(values: Mapping[str, Value], number: int) -> pd.Series:
        period, sizes = periods[number], Tuned({RANKER: dict(values)})
        scorer, _, _ = learn(
            period.evenings, seed, base.with_boosts(sizes), Joined(), lambda message: None
        )  # uncalibrated: the order of a list does not ask for it
        champion = Champion(period.retrievers, scorer, {"ds": str(period.eve)})
        users = pd.Index(period.bought[USER_ID].unique(), dtype=object).sort_values()
        lists = hybrid_lists(champion, period.known, period.eve, users, k=k, money=money)
        return user_metrics(lists, period.bought, k)[metric]

    now = boost_values(base.boosts)
    return Task(RANKER, SPACE, {name: now[name] for name in SPACE}, score, len(periods))


def _period(
    data: ShopData,
    part: tuple[date, date],
    recipe: Recipe,
    seed: int,
    chosen: Tuned,
    *,
    say: Callable[[str], None],
) -> Period:
    first, last = part
    eve = first - timedelta(days=1)
    past = replace(data, daily=data.daily[data.daily["event_date"] < pd.Timestamp(first)]).priced_on(eve)
    bought = temporal_split(data.daily[data.daily["purchases"] > 0], first, last + timedelta(days=1)).bought
    if bought.empty or past.daily.empty:
        raise ModelError(f"No user known before {first} bought anything from {first} to {last}; take others.")
    planned = plan_evenings(past.first_day, eve, recipe)
    why = too_small(past, planned, recipe)
    if why is not None:
        raise ModelError(f"The ranker has no trees to tune before {first}: {why}.")
    evenings = replay(past, seed, planned=planned, recipe=recipe, chosen=chosen, say=say)
    retrievers = fit_retrievers(make_retrievers("item", seed, chosen), past.snapshot(eve).history)
    return Period(eve, past, evenings, retrievers, bought)
