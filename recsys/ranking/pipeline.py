"""Candidates, scores, money, order: the one function that makes lists, in batch and online."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.experiments.definition import POLICIES
from recsys.features.audience import Audience
from recsys.features.pairs import pair_features
from recsys.features.shelf import ITEM_FEATURES, Shelf
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
from recsys.ranking.revenue import Money

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
        p_purchase, price, price_capped, take_rate, p_cancel, expected_revenue, propensity, model], rank from 1.
        ``score`` is what the list is ordered by: expected revenue with the price raised to ``money.exponent``, or for
        popularity the share of recent demand.

        Raises:
            ModelError: for an unknown policy.
        """
        if policy not in POLICIES:
            raise ModelError(f"No policy {policy!r}. Known policies: {', '.join(POLICIES)}.")
        parts = [self._rank_batch(audience, batch, policy) for batch in self._batches(users)]
        return pd.concat(parts, ignore_index=True) if parts else self._frame(audience, _nothing(), policy)

    def _batches(self, users: np.ndarray) -> Iterator[np.ndarray]:
        size = min(BATCH_USERS, max(1, BATCH_CELLS // len(self.champion.catalogue)))
        for start in range(0, len(users), size):
            yield users[start : start + size]

    def _rank_batch(self, audience: Audience, users: np.ndarray, policy: str) -> pd.DataFrame:
        ids = audience.user_ids[users]
        scores = {name: model.scores(ids) for name, model in self.champion.retrievers.items()}
        for table in scores.values():
            table[:, self.group_of_column < 0] = -np.inf
        if policy == "popularity":
            found = popular_candidates(self.shelf, audience, users, self.trending, self.item_unit)
        else:
            found = hybrid_candidates(
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
        return self._frame(audience, self._order(audience, users, found, scores, policy), policy)

    def _order(
        self,
        audience: Audience,
        users: np.ndarray,
        found: Candidates,
        scores: Mapping[str, np.ndarray],
        policy: str,
    ) -> Ordered:
        place = np.searchsorted(users, found.rows)
        column = self.column_of_group[self.shelf.group_code[found.items]]
        retrieved = {
            name: np.where(column >= 0, table[place, column], -np.inf) for name, table in scores.items()
        }
        p = self.champion.scorer.predict(
            pair_features(self.shelf, audience, found.rows, found.items, retrieved)
        )
        items = found.items
        shelf = self.shelf
        factors = (p, shelf.price[items], shelf.take_rate[items], shelf.p_cancel[items])
        earned = self.money.expected(*factors)
        score = found.share.astype(np.float64) if policy == "popularity" else self.money.score(*factors)
        order = np.lexsort((items, -earned if policy == "popularity" else items, -score, found.rows))
        rows = found.rows[order]
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows) + 1
        keep = order[rank <= self.list_size + self.reserve_size]
        rank = rank[rank <= self.list_size + self.reserve_size]
        return Ordered(
            found.rows[keep], items[keep], found.source[keep], rank, score[keep], p[keep], earned[keep]
        )

    def _frame(self, audience: Audience, ordered: Ordered, policy: str) -> pd.DataFrame:
        shelf, items = self.shelf, ordered.items
        price = shelf.price[items]
        return pd.DataFrame(
            {
                "user_id": audience.user_ids.to_numpy(object)[ordered.rows],
                "rank": ordered.rank,
                "item_id": shelf.item_ids.to_numpy(object)[items],
                "is_reserve": ordered.rank > self.list_size,
                "policy": policy,
                "source": np.array(SOURCES, dtype=object)[ordered.source],
                "seller_id": shelf.seller_ids.to_numpy(object)[shelf.seller_code[items]],
                "category_id": shelf.category_ids.to_numpy(object)[shelf.category_code[items]],
                "group_id": shelf.group_ids.to_numpy(object)[shelf.group_code[items]],
                "score": ordered.score,
                "p_purchase": ordered.p,
                "price": price,
                "price_capped": self.money.capped(price),
                "take_rate": shelf.take_rate[items],
                "p_cancel": shelf.p_cancel[items],
                "expected_revenue": ordered.earned,
                "propensity": 1.0,
                "model": self.champion.label,
            }
        )

    def _quality(self) -> np.ndarray:
        scorer, shelf = self.champion.scorer, self.shelf
        first = scorer.names.index(ITEM_FEATURES[0])
        part = slice(first, first + len(ITEM_FEATURES))
        logit = ((shelf.features - scorer.mean[part]) / scorer.scale[part]) @ scorer.coefficients[part]
        ones = np.ones(len(shelf))
        money = self.money.score(ones, shelf.price, shelf.take_rate, shelf.p_cancel)
        return np.asarray(scorer.slope * logit + np.log(np.maximum(money, 1e-9)))


@dataclass(frozen=True)
class Ordered:
    """Placements in list order: audience row, shelf position, source code, rank, and the numbers behind the rank."""

    rows: np.ndarray
    items: np.ndarray
    source: np.ndarray
    rank: np.ndarray
    score: np.ndarray
    p: np.ndarray
    earned: np.ndarray


def _nothing() -> Ordered:
    none = np.empty(0, np.int64)
    return Ordered(none, none, none, none, none.astype(float), none.astype(float), none.astype(float))
