"""What each model's lists would have been worth: train before a day, judge on what customers bought from then on.

Protocol: all models see the actions before ``cut`` and nothing else. Test customers are those who bought before it and
again from ``cut`` up to ``until``. Each gets ``k`` items, repeats allowed. The hybrid is the very pipeline that makes
the published lists, ordered by P(purchase); its ranker is trained by replaying months before the cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.evaluation.metrics import ranking_metrics
from recsys.evaluation.split import temporal_split
from recsys.features.history import unit_prices
from recsys.models import ALS, EASE, ItemKNN, OwnHistory, Popularity, Recommender
from recsys.ranking.pipeline import Ranker
from recsys.ranking.revenue import Money
from recsys.ranking.shop import SHOP_QUOTAS, ShopData, train_shop
from recsys.schema import ITEM_ID, RANK, USER_ID

HYBRID = "hybrid"


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
    progress: Callable[[str], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Figures by model name: {"ndcg@k", "recall@k", "revenue@k", "users"}.

    Args:
        data: actions and items; only purchases count. Prices of items are read from the actions before ``cut``.
        cut: first day of the test period.
        until: the day after its last.
        k: length of the lists.
        seed: of ALS and of the sampling of negatives.
        progress: told what is going on.

    Raises:
        ModelError: no customer of the training period bought in the test period, or the history is too short.
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
    figures = {}
    for model in baselines(seed):
        say(f"Fitting {model.name}")
        lists = model.fit(history).recommend(list(users), k)
        figures[model.name] = ranking_metrics(lists, split.bought, k).as_dict(k)
    lists = _hybrid_lists(known, last, pd.Index(users), k=k, seed=seed, say=say)
    figures[HYBRID] = ranking_metrics(lists, split.bought, k).as_dict(k)
    return figures


def _hybrid_lists(
    known: ShopData, last: date, users: pd.Index, *, k: int, seed: int, say: Callable[[str], None]
) -> pd.DataFrame:
    champion = train_shop(known, last, seed, say)
    say("Ranking with the hybrid")
    snapshot = known.snapshot(last, users)
    ranker = Ranker(
        champion.with_history(snapshot.history),
        snapshot.shelf,
        snapshot.trending,
        money=Money(exponent=0.0),
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
