"""Candidates, scores, money, order: the one function that makes lists, in batch and online."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.experiments.definition import POLICIES
from recsys.features.audience import Audience
from recsys.features.shelf import Shelf
from recsys.features.tables import Members
from recsys.ranking.candidates import (
    SOURCES,
    Candidates,
    Quotas,
    Trending,
    hybrid_candidates,
    popular_candidates,
)
from recsys.ranking.champion import Champion
from recsys.ranking.judge import Judged
from recsys.ranking.revenue import Money
from recsys.ranking.scored import Scored

BATCH_CELLS = 6_000_000
BATCH_USERS = 1_000


@dataclass
class Ranker:
    """Everything needed to make lists from one shelf. ``champion`` knows the histories of the users asked for.

    ``list_size`` places are shown; ``reserve_size`` more are kept for when some are sold by then.
    """

    champion: Champion
    shelf: Shelf
    trending: Trending
    money: Money = field(default_factory=Money)
    quotas: Quotas = field(default_factory=Quotas)
    item_unit: str = "group"
    list_size: int = 50
    reserve_size: int = 50

    def __post_init__(self) -> None:
        """Order the listings of each group and category by what they would earn from a user nothing is known of."""
        shelf, quality, most = self.shelf, self._quality(), self.quotas.per_seller
        self.by_group = Members.build(
            shelf.group_code, quality, len(shelf.group_ids), shelf.seller_code, most
        )
        self.by_category = Members.build(
            shelf.category_code, quality, len(shelf.category_ids), shelf.seller_code, most
        )
        self.column_of_group = self.champion.catalogue.get_indexer(shelf.group_ids)
        self.group_of_column = shelf.group_ids.get_indexer(self.champion.catalogue)

    def rank(self, audience: Audience, users: np.ndarray, policy: str) -> pd.DataFrame:
        """Lists of the ``users`` (ascending audience rows) by ``policy``.

        Returns [user_id, rank, item_id, is_reserve, policy, source, seller_id, category_id, group_id, score,
        p_purchase, price, price_capped, take_rate, p_cancel, expected_revenue, propensity, model, p_click,
        p_available, slot, reason, reason_item], rank from 1.
        ``score`` is what the list is ordered by: expected revenue with the price raised to ``money.exponent``, or for
        popularity the share of recent demand.

        Raises:
            ModelError: for an unknown policy.
        """
        if policy not in POLICIES:
            raise ModelError(f"No policy {policy!r}. Known policies: {', '.join(POLICIES)}.")
        pool = Scored.join([self._score(audience, batch, policy) for batch in self._batches(users)])
        return self._frame(audience, self._arrange(pool), policy)

    def _batches(self, users: np.ndarray) -> Iterator[np.ndarray]:
        size = min(BATCH_USERS, max(1, BATCH_CELLS // len(self.champion.catalogue)))
        for start in range(0, len(users), size):
            yield users[start : start + size]

    def _score(self, audience: Audience, users: np.ndarray, policy: str) -> Scored:
        """Name candidates, judge them, and keep the best of each user."""
        ids = audience.user_ids[users]
        scores = {name: model.scores(ids) for name, model in self.champion.retrievers.items()}
        for table in scores.values():
            table[:, self.group_of_column < 0] = -np.inf
        found = self._candidates(audience, users, scores, policy)
        place = np.searchsorted(users, found.rows)
        column = self.column_of_group[self.shelf.group_code[found.items]]
        retrieved = {
            name: np.where(column >= 0, table[place, column], -np.inf) for name, table in scores.items()
        }
        judged = self.champion.scorer.judge(self.shelf, audience, found.rows, found.items, retrieved)
        return self._value(found, judged, policy)

    def _candidates(
        self, audience: Audience, users: np.ndarray, scores: Mapping[str, np.ndarray], policy: str
    ) -> Candidates:
        if policy == "popularity":
            return popular_candidates(self.shelf, audience, users, self.trending, self.item_unit)
        return hybrid_candidates(
            self.shelf,
            audience,
            users,
            group_scores=scores,
            by_group=self.by_group,
            by_category=self.by_category,
            shelf_trending=self.trending,
            quotas=self.quotas,
            item_unit=self.item_unit,
            groups=self.group_of_column,
        )

    def _value(self, found: Candidates, judged: Judged, policy: str) -> Scored:
        """What each candidate is worth, best first; as many of each user as a list and its reserve hold."""
        shelf, items, p = self.shelf, found.items, judged.p_purchase
        amount = shelf.price[items] if judged.amount is None else judged.amount
        factors = (p, amount, shelf.take_rate[items], shelf.p_cancel[items])
        earned = self.money.expected(*factors)
        likely = p if judged.order is None else judged.order
        score = found.share.astype(np.float64)
        if policy != "popularity":
            score = self.money.score(likely, *factors[1:])
        order = np.lexsort((items, -earned if policy == "popularity" else items, -score, found.rows))
        click = np.full(len(p), np.nan) if judged.p_click is None else judged.p_click
        pool = Scored(found.rows, items, found.source, score, click, p, amount, earned).take(order)
        return pool.take(pool.place <= self.list_size + self.reserve_size)

    def _arrange(self, pool: Scored) -> Scored:
        """The lists, in order, out of the pools of all users at hand."""
        return pool

    def _frame(self, audience: Audience, lists: Scored, policy: str) -> pd.DataFrame:
        shelf, items, rank = self.shelf, lists.items, lists.place
        price = shelf.price[items]
        return pd.DataFrame(
            {
                "user_id": audience.user_ids.to_numpy(object)[lists.rows],
                "rank": rank,
                "item_id": shelf.item_ids.to_numpy(object)[items],
                "is_reserve": rank > self.list_size,
                "policy": policy,
                "source": np.array(SOURCES, dtype=object)[lists.source],
                "seller_id": shelf.seller_ids.to_numpy(object)[shelf.seller_code[items]],
                "category_id": shelf.category_ids.to_numpy(object)[shelf.category_code[items]],
                "group_id": shelf.group_ids.to_numpy(object)[shelf.group_code[items]],
                "score": lists.score,
                "p_purchase": lists.p,
                "price": price,
                "price_capped": self.money.capped(lists.amount),
                "take_rate": shelf.take_rate[items],
                "p_cancel": shelf.p_cancel[items],
                "expected_revenue": lists.earned,
                "propensity": 1.0,
                "model": self.champion.label,
                "p_click": lists.p_click,
                "p_available": 1.0,
                "slot": np.where(rank > self.list_size, "reserve", "ranked"),
                "reason": None,
                "reason_item": None,
            }
        )

    def _quality(self) -> np.ndarray:
        """Log of what a listing would earn from a user nothing is known of, up to a constant."""
        shelf = self.shelf
        ones = np.ones(len(shelf))
        money = self.money.score(ones, shelf.price, shelf.take_rate, shelf.p_cancel)
        return np.asarray(self.champion.scorer.quality(shelf) + np.log(np.maximum(money, 1e-9)))
