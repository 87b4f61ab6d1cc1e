"""What each model's lists would have been worth: train before a day, judge on what customers bought from then on.

Protocol: all models see the actions before ``cut`` and nothing else. Test customers are those who bought before it and
again from ``cut`` up to ``until``. Each gets ``k`` items out of those on the shelf on the eve, repeats allowed. The
hybrid is the very pipeline that makes the published lists; its ranker is trained by replaying months before the cut,
and each of its retrievers is judged by itself, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.evaluation.beyond import about_lists
from recsys.evaluation.compare import HYBRID, SEGMENT, Occasion, acquaintance, compare, judge
from recsys.evaluation.reliability import PROMISED
from recsys.evaluation.split import temporal_split
from recsys.features.history import unit_prices
from recsys.models import Popularity
from recsys.ranking.champion import Champion
from recsys.ranking.pipeline import Ranker
from recsys.ranking.revenue import Money
from recsys.ranking.shop import SHOP_QUOTAS, ShopData, train_shop
from recsys.ranking.tuned import UNTUNED, Tuned
from recsys.schema import ITEM_ID, RANK, USER_ID

BY_CHANCE = Money(exponent=0.0)
POPULARITY_28D = "popularity_28d"
"""What was bought most in four weeks: judged beside the retrievers of the hybrid, as what a shop has anyway."""
MOST_PROMISED = 1_500
"""Customers whose promises are held against what they bought; of more, so many are drawn."""


@dataclass(frozen=True)
class Origin:
    """One part of the test period.

    Attributes:
        occasion: every model's lists of its eve, and what was then bought: ``again`` where the customer had bought the
            item before, ``cold`` where nobody had, else ``new``.
        acquainted: the same purchases by what was known of the customer; see ``compare.acquaintance``.
        about: coverage and the like by model.
        promised: columns PROMISED, places of the hybrid's lists for customers of all kinds, most of whom do not come
            back, and whether the item was bought within the horizon of its probability. Empty where the part ends
            before the horizon.
    """

    occasion: Occasion
    acquainted: pd.DataFrame
    about: dict[str, dict[str, float]]
    promised: pd.DataFrame


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
        data: actions and items; only purchases count. Prices of items are read from the actions before ``cut``, and
            of their closing days (``closed_on``, may be absent) those before it are known.
        cut: first day of the test period.
        until: the day after its last.
        k: length of the lists.
        seed: of ALS, of the trees and of the sampling of negatives.
        money: how much money counts in the order of the hybrid's lists; by default not at all.
        progress: told what is going on.

    Raises:
        ModelError: no customer of the training period bought in the test period, or the history is too short.
    """
    found = origin_of(data, cut, until, k, seed=seed, money=money, progress=progress)
    return compare(judge([found.occasion], k), k, seed, about_lists=found.about).models()


def origin_of(
    data: ShopData,
    cut: date,
    until: date,
    k: int,
    *,
    seed: int,
    money: Money = BY_CHANCE,
    chosen: Tuned = UNTUNED,
    progress: Callable[[str], None] | None = None,
) -> Origin:
    """Every model's lists of the eve of ``cut``, and what became of them; see ``backtest`` for arguments and errors.

    A retriever of the hybrid that is judged by itself is the very one that names candidates.
    """
    say = progress or (lambda message: None)
    split = temporal_split(data.daily[data.daily["purchases"] > 0], cut, until)
    if split.bought.empty:
        raise ModelError(
            f"No customer known before {cut} bought anything from {cut} to {until}; choose other days."
        )
    known = replace(data, daily=split.train, items=_items_before(data.items, split.train, cut))
    last = cut - timedelta(days=1)
    users = np.sort(split.bought[USER_ID].unique().astype(object))
    champion = train_shop(known, last, seed, say, chosen=chosen)
    say("Judging the single models")
    snapshot = known.snapshot(last)
    recent = Popularity(half_life_days=None, window_days=28).fit(snapshot.history)
    lists = {
        name: model.recommend(list(users), k, candidates=snapshot.shelf.item_ids)
        for name, model in {POPULARITY_28D: recent, **champion.retrievers}.items()
    }
    say("Ranking with the hybrid")
    lists[HYBRID] = hybrid_lists(champion, known, last, pd.Index(users), k=k, money=money)
    bought = split.bought.assign(**{SEGMENT: _segments(split.bought, split.train)})
    return Origin(
        Occasion(str(cut), lists, bought),
        acquaintance(split.bought, snapshot.history),
        _about(lists, known, split.train, snapshot.shelf.item_ids, k),
        _promised(champion, known, data, (last, until), seed=seed, k=k, money=money),
    )


def _promised(
    champion: Champion,
    known: ShopData,
    data: ShopData,
    days: tuple[date, date],
    *,
    seed: int,
    k: int,
    money: Money,
) -> pd.DataFrame:
    """See ``Origin.promised``; ``days`` are the eve and the day after the last of the part."""
    last, until = days
    parameters = champion.facts["parameters"]
    assert isinstance(parameters, dict)
    over = last + timedelta(days=parameters["horizon_days"])
    if over >= until:
        return pd.DataFrame(columns=list(PROMISED))
    users = np.sort(known.daily[USER_ID].unique().astype(object))
    if len(users) > MOST_PROMISED:
        users = np.sort(np.random.default_rng(seed).choice(users, MOST_PROMISED, replace=False))
    placed = _ranked(champion, known, last, pd.Index(users), k=k, money=money)
    bought = pd.MultiIndex.from_frame(data.bought_between(last, over))
    outcome = pd.MultiIndex.from_frame(placed[[USER_ID, ITEM_ID]]).isin(bought).astype(np.int64)
    return placed.assign(p=placed["p_purchase"], outcome=outcome)[list(PROMISED)]


def _segments(bought: pd.DataFrame, train: pd.DataFrame) -> np.ndarray:
    mine = pd.MultiIndex.from_frame(bought[[USER_ID, ITEM_ID]]).isin(
        pd.MultiIndex.from_frame(train[[USER_ID, ITEM_ID]])
    )
    known = bought[ITEM_ID].isin(train[ITEM_ID].unique()).to_numpy()
    return np.where(mine, "again", np.where(known, "new", "cold"))


def _about(
    lists: Mapping[str, pd.DataFrame], known: ShopData, train: pd.DataFrame, shelf: pd.Index, k: int
) -> dict[str, dict[str, float]]:
    """Coverage, Gini, novelty and diversity of the test customers' lists over the ``shelf`` of the eve."""
    customers = train.groupby(ITEM_ID)[USER_ID].nunique()
    traits = known.items.set_index(ITEM_ID)[["category_id"]]
    traits["price_band"] = np.floor(np.log2(known.items["price"].to_numpy(float).clip(min=0.01)))
    return {
        name: about_lists(
            frame, shelf, known_to=customers, users=train[USER_ID].nunique(), traits=traits, k=k
        )
        for name, frame in lists.items()
    }


def hybrid_lists(
    champion: Champion, known: ShopData, last: date, users: pd.Index, *, k: int, money: Money
) -> pd.DataFrame:
    """[user_id, item_id, rank]: ``k`` places for each of ``users``, by what was ``known`` on the evening ``last``."""
    return _ranked(champion, known, last, users, k=k, money=money)[[USER_ID, ITEM_ID, RANK]]


def _ranked(
    champion: Champion, known: ShopData, last: date, users: pd.Index, *, k: int, money: Money
) -> pd.DataFrame:
    """The same with all columns of ``Ranker.rank``."""
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
    return ranker.rank(snapshot.audience, np.arange(len(users)), HYBRID)


def _items_before(items: pd.DataFrame, train: pd.DataFrame, cut: date) -> pd.DataFrame:
    """Items sold before the cut as they were known *then*, so that nothing later leaks in: median price, first day on
    which one was sold, and of closing days those that had come."""
    unit = unit_prices(train)
    first = train.groupby(ITEM_ID)["event_date"].min()
    sold = items[items[ITEM_ID].isin(unit.index)]
    closed = sold["closed_on"] if "closed_on" in sold else pd.Series(pd.NaT, sold.index)
    closed = pd.to_datetime(closed)
    return sold.assign(
        price=sold[ITEM_ID].map(unit),
        listed_at=sold[ITEM_ID].map(first),
        closed_on=closed.where(closed < pd.Timestamp(cut)),
        take_rate=1.0,
        seller_id="",
    )
