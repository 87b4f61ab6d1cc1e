"""Models whose score is an inner product, so that a large catalogue can be searched and need not be scored whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.models.base import NOTHING, Recommender, listed
from recsys.models.lists import Lists
from recsys.models.search import Filters, nearest
from recsys.schema import USER_ID

SEARCHED = 50_000
"""Items from which on ``recommend`` searches."""


@dataclass
class Factored(Recommender):
    """A recommender with a vector for each user and each item."""

    @abstractmethod
    def factors_of_users(self, rows: np.ndarray) -> np.ndarray:
        """Vectors of the users in ``rows`` (none is -1): float32 [users, width]."""

    @abstractmethod
    def factors_of_items(self) -> np.ndarray:
        """Vectors of all items: float32 [items, width]."""

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        scores = np.full((len(rows), len(self.item_ids)), NOTHING, np.float32)
        known = self.known(rows)
        scores[known] = self.factors_of_users(rows[known]) @ self.factors_of_items().T
        return scores

    def known(self, rows: np.ndarray) -> np.ndarray:
        """Which of ``rows`` are users with something to score by, bool [users]."""
        return rows >= 0

    def recommend(
        self,
        user_ids: Sequence[str],
        k: int,
        candidates: Sequence[str] | None = None,
        exclude: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """As ``Recommender.recommend``; the same lists out of a large catalogue, found without scoring all of it."""
        if len(self.item_ids) < SEARCHED or not len(user_ids):
            return super().recommend(user_ids, k, candidates, exclude)
        rows = self.history.user_rows(user_ids)
        known = self.known(rows)
        items = self.factors_of_items()
        users = np.zeros((len(rows), items.shape[1]), np.float32)
        users[known] = self.factors_of_users(rows[known])
        allowed = None if candidates is None else np.asarray(self.item_ids.isin(list(candidates)))
        filters = Filters(allowed, self.banned(user_ids, exclude))
        found = nearest(Lists.by_length(items), users, min(k, len(items)), filters=filters)
        return listed(*found, list(user_ids), self.item_ids, USER_ID)
