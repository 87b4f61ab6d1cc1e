"""What each model's lists would have been worth: train before a day, judge on what customers bought from then on.

Protocol: all models see the actions before ``cut`` and nothing else. Test customers are those who bought before it and
again from ``cut`` up to ``until``. Each gets ``k`` items, repeats allowed. The hybrid is the very pipeline that makes
the published lists; its ranker is trained by replaying months before the cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.evaluation.beyond import about_lists
from recsys.evaluation.compare import HYBRID, SEGMENT, Occasion, compare, judge
from recsys.evaluation.split import temporal_split
from recsys.features.history import unit_prices
from recsys.models import ALS, EASE, ItemKNN, OwnHistory, Popularity, Recommender
from recsys.ranking.champion import Champion
from recsys.ranking.pipeline import Ranker
from recsys.ranking.revenue import Money
from recsys.ranking.shop import SHOP_QUOTAS, ShopData, train_shop
from recsys.ranking.tuned import UNTUNED, Tuned
from recsys.schema import ITEM_ID, RANK, USER_ID

BY_CHANCE = Money(exponent=0.0)


def baselines(seed: int) -> list[Recommender]:
    """The single models that the hybrid has to beat."""
    return [Popularity(half_life_days=None, window_days=28), ItemKNN(), ALS(seed=seed), EASE(), OwnHistory()]


def backtest(
    data: ShopData,
    cut: date,
    until: date,
    k: int,
    *,
    seed: int,
    money: Money = BY_CHANCE,
    progress: Callable[[str], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Figures by model name: {"ndcg@k", "recall@k", "revenue@k", "users"}, and the other metrics.

    Args:
        data: actions and items; only purchases count. Prices of items are read from the actions before ``cut``.
        cut: first day of the test period.
        until: the day after its last.
        k: length of the lists.
        seed: of ALS, of the trees and of the sampling of negatives.
        money: how much money counts in the order of the hybrid's lists; by default not at all.
        progress: told what is going on.

    Raises:
        ModelError: no customer of the training period bought in the test period, or the history is too short.
    """
    occasion, about = occasion_of(data, cut, until, k, seed=seed, money=money, progress=progress)
    return compare(judge([occasion], k), k, seed, about_lists=about).models()


def occasion_of(
    data: ShopData,
    cut: date,
    until: date,
    k: int,
    *,
    seed: int,
    money: Money = BY_CHANCE,
    chosen: Tuned = UNTUNED,
    progress: Callable[[str], None] | None = None,
) -> tuple[Occasion, dict[str, dict[str, float]]]:
    """Every model's lists of the eve of ``cut``, what was then bought, and coverage and the like by model.

    A purchase is ``again`` where the customer had bought the item before the cut, ``cold`` where nobody had, else
    ``new``. See ``backtest`` for the arguments and errors.
    """
    say = progress or (lambda message: None)
    split = temporal_split(data.daily[data.daily["purchases"] > 0], cut, until)
    if split.bought.empty:
        raise ModelError(
            f"No customer known before {cut} bought anything from {cut} to {until}; choose other days."
        )
    known = replace(data, daily=split.train, items=_items_before(data.items, split.train))
    last = cut - timedelta(days=1)
    users = np.sort(split.bought[USER_ID].unique().astype(object))
    history = known.snapshot(last).history
    lists = {}
    for model in baselines(seed):
        say(f"Fitting {model.name}")
        lists[model.name] = model.fit(history).recommend(list(users), k)
    champion = train_shop(known, last, seed, say, chosen=chosen)
    say("Ranking with the hybrid")
    lists[HYBRID] = hybrid_lists(champion, known, last, pd.Index(users), k=k, money=money)
    bought = split.bought.assign(**{SEGMENT: _segments(split.bought, split.train)})
    return Occasion(str(cut), lists, bought), _about(lists, known, split.train, k)


def _segments(bought: pd.DataFrame, train: pd.DataFrame) -> np.ndarray:
    mine = pd.MultiIndex.from_frame(bought[[USER_ID, ITEM_ID]]).isin(
        pd.MultiIndex.from_frame(train[[USER_ID, ITEM_ID]])
    )
    known = bought[ITEM_ID].isin(train[ITEM_ID].unique()).to_numpy()
    return np.where(mine, "again", np.where(known, "new", "cold"))


def _about(
    lists: Mapping[str, pd.DataFrame], known: ShopData, train: pd.DataFrame, k: int
) -> dict[str, dict[str, float]]:
    """Coverage, Gini, novelty and diversity of the test customers' lists over the items sold before the cut."""
    items = pd.Index(known.items[ITEM_ID])
    customers = train.groupby(ITEM_ID)[USER_ID].nunique()
    traits = known.items.set_index(ITEM_ID)[["category_id"]]
    traits["price_band"] = np.floor(np.log2(known.items["price"].to_numpy(float).clip(min=0.01)))
    return {
        name: about_lists(
            frame, items, known_to=customers, users=train[USER_ID].nunique(), traits=traits, k=k
        )
        for name, frame in lists.items()
    }


def hybrid_lists(
    champion: Champion, known: ShopData, last: date, users: pd.Index, *, k: int, money: Money
) -> pd.DataFrame:
    """[user_id, item_id, rank]: ``k`` places for each of ``users``, by what was ``known`` on the evening ``last``."""
    snapshot = known.snapshot(last, users)
    ranker = Ranker(
        champion.with_history(snapshot.history),
        snapshot.shelf,
        snapshot.trending,
        money=money,
        quotas=SHOP_QUOTAS,
        item_unit="item",
        list_size=k,
        reserve_size=0,
    )
    return ranker.rank(snapshot.audience, np.arange(len(users)), HYBRID)[[USER_ID, ITEM_ID, RANK]]


def _items_before(items: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """Items sold before the cut, with their median price and first day *then*, so that nothing later leaks in."""
    unit = unit_prices(train)
    first = train.groupby(ITEM_ID)["event_date"].min()
    sold = items[items[ITEM_ID].isin(unit.index)]
    return sold.assign(
        price=sold[ITEM_ID].map(unit),
        listed_at=sold[ITEM_ID].map(first),
        closed_on=pd.Series(pd.NaT, sold.index, dtype="datetime64[ns]"),
        take_rate=1.0,
        seller_id="",
    )
