"""Replayed evenings of a shop: what would have been named for whom, and what they bought in the days after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from recsys.features.shop_pairs import SHOP_FEATURES, shop_pair_features
from recsys.features.tables import Members
from recsys.models import Recommender
from recsys.ranking.candidates import Candidates, Quotas, hybrid_candidates
from recsys.ranking.segments import listed_as
from recsys.ranking.shop_scorer import of_shop
from recsys.ranking.snapshot import Snapshot
from recsys.schema import ITEM_ID, USER_ID

USERS_AT_ONCE = 500
NEVER = np.inf


@dataclass(frozen=True)
class Outcome:
    """What each customer bought after an evening, one row per customer and item: days until, and money paid.

    ``rows`` are audience rows, ``items`` shelf positions (the number of listings for what is not on the shelf).
    """

    rows: np.ndarray
    items: np.ndarray
    days: np.ndarray
    paid: np.ndarray
    listings: int

    @classmethod
    def of(cls, snapshot: Snapshot, bought: pd.DataFrame) -> Outcome:
        """Read ``bought`` [user_id, item_id, days, revenue]; customers outside of the audience are left out."""
        shelf, audience = snapshot.shelf, snapshot.audience
        rows = audience.user_ids.get_indexer(pd.Index(bought[USER_ID], dtype=object)).astype(np.int64)
        items = shelf.item_ids.get_indexer(pd.Index(bought[ITEM_ID], dtype=object)).astype(np.int64)
        items = np.where(items < 0, len(shelf), items)
        keys = rows * (len(shelf) + 1) + items
        frame = pd.DataFrame({"days": bought["days"].to_numpy(), "paid": bought["revenue"].to_numpy(float)})
        found = frame[rows >= 0].groupby(keys[rows >= 0]).agg(days=("days", "min"), paid=("paid", "sum"))
        key = found.index.to_numpy(np.int64)
        return cls(
            key // (len(shelf) + 1),
            key % (len(shelf) + 1),
            found["days"].to_numpy(np.float64),
            found["paid"].to_numpy(np.float64),
            len(shelf),
        )

    def find(self, rows: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Days until each pair was bought (inf for never) and what was paid, both [pairs]."""
        if not len(self.rows):
            return np.full(len(rows), NEVER), np.zeros(len(rows))
        known = self.rows * (self.listings + 1) + self.items
        key = rows * (self.listings + 1) + items
        place = np.minimum(np.searchsorted(known, key), len(known) - 1)
        hit = known[place] == key
        return np.where(hit, self.days[place], NEVER), np.where(hit, self.paid[place], 0.0)

    def distinct(self, users: int, horizon: float) -> np.ndarray:
        """How many items each customer bought within ``horizon`` days: [users]."""
        return np.bincount(self.rows[self.days <= horizon], minlength=users)


@dataclass(frozen=True)
class Evening:
    """Candidates of one evening with what became of them; ``known`` days of the outcome are known.

    Attributes:
        ds: the evening.
        known: days.
        features: float32 [pairs, SHOP_FEATURES].
        rows: audience row of each pair, ascending.
        days: until it was bought, inf for never.
        paid: for it.
        outcome: of all items, candidates or not.
        customers: float32 [users, CUSTOMER].
        user_ids: ids of the users.
        price, category, seller_is_new: of the item of each pair.
    """

    ds: date
    known: int
    features: np.ndarray
    rows: np.ndarray
    days: np.ndarray
    paid: np.ndarray
    outcome: Outcome
    customers: np.ndarray
    user_ids: pd.Index
    price: np.ndarray
    category: np.ndarray
    seller_is_new: np.ndarray

    def wanted(self, horizon: float) -> np.ndarray:
        """Distinct items bought within ``horizon`` days by the user of each pair."""
        return self.outcome.distinct(len(self.user_ids), horizon)[self.rows]


def replay_evening(
    snapshot: Snapshot,
    retrievers: Mapping[str, Recommender],
    outcome: Outcome,
    users: np.ndarray,
    *,
    known: int,
    keep: float,
    rng: np.random.Generator,
    quotas: Quotas,
) -> Evening:
    """Name and describe the candidates of ``users`` (ascending rows); a share ``keep`` of those not bought is kept."""
    audience = of_shop(snapshot.audience)
    features = [np.empty((0, len(SHOP_FEATURES)), np.float32)]
    rows, items = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for found, retrieved in _batches(snapshot, retrievers, users, quotas):
        table = shop_pair_features(audience, found.rows, found.items, retrieved)
        bought = np.isfinite(outcome.find(found.rows, found.items)[0])
        kept = bought | (rng.random(len(bought)) < keep)
        features.append(table[kept])
        rows.append(found.rows[kept])
        items.append(found.items[kept])
    row, item = np.concatenate(rows), np.concatenate(items)
    days, paid = outcome.find(row, item)
    return Evening(
        snapshot.ds,
        known,
        np.concatenate(features),
        row,
        days,
        paid,
        outcome,
        audience.customers,
        audience.user_ids,
        **listed_as(snapshot.shelf, item),
    )


def _batches(
    snapshot: Snapshot, retrievers: Mapping[str, Recommender], users: np.ndarray, quotas: Quotas
) -> Iterator[tuple[Candidates, dict[str, np.ndarray]]]:
    """Candidates of a few hundred users at a time, with the score of each by each retriever."""
    shelf, audience = snapshot.shelf, snapshot.audience
    same = np.zeros(len(shelf))  # a group is one item, so that there is nothing to choose within it
    by_group = Members.build(shelf.group_code, same, len(shelf.group_ids), shelf.seller_code, len(shelf))
    by_category = Members.build(
        shelf.category_code, same, len(shelf.category_ids), shelf.seller_code, len(shelf)
    )
    column = next(iter(retrievers.values())).item_ids.get_indexer(shelf.group_ids)
    for start in range(0, len(users), USERS_AT_ONCE):
        batch = users[start : start + USERS_AT_ONCE]
        scores = {}
        for name, model in retrievers.items():
            table = model.scores(audience.user_ids[batch])
            scores[name] = np.where(column >= 0, table[:, column], np.float32(-np.inf))
        found = hybrid_candidates(
            shelf,
            audience,
            batch,
            group_scores=scores,
            by_group=by_group,
            by_category=by_category,
            shelf_trending=snapshot.trending,
            quotas=quotas,
            item_unit="item",
        )
        place, group = np.searchsorted(batch, found.rows), shelf.group_code[found.items]
        yield found, {name: table[place, group] for name, table in scores.items()}
