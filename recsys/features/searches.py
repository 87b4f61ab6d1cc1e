"""What users searched for, seen from one shelf: a wish they had before any listing was shown to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.features.shelf import Shelf, lift
from recsys.features.tables import PairTable
from recsys.schema import USER_ID

SEARCH_POINTS = 3.0
"""Searches, spread as the shelf is, that a user's own are drawn to it by."""


@dataclass(frozen=True)
class Searches:
    """Decayed searches by (user, category) and by (user, brand); ``total`` [users]: all that lead to a category."""

    by_category: PairTable
    by_brand: PairTable
    total: np.ndarray

    @classmethod
    def build(cls, shelf: Shelf, user_ids: pd.Index, searches: pd.DataFrame | None) -> Searches:
        """Read features.user_search_affinity: [user_id, topic, topic_id, searches]; None: nobody searched."""
        if searches is None:
            searches = pd.DataFrame({USER_ID: [], "topic": [], "topic_id": [], "searches": []})
        rows = user_ids.get_indexer(pd.Index(searches[USER_ID], dtype=object))
        count = searches["searches"].to_numpy(np.float64)

        def of(topic: str, ids: pd.Index) -> PairTable:
            mine = (searches["topic"] == topic).to_numpy(bool)
            places = ids.get_indexer(pd.Index(searches["topic_id"][mine], dtype=object))
            return PairTable.build(rows[mine], places, count[mine][:, None], max(1, len(ids)))

        counted = (rows >= 0) & (searches["topic"] == "category").to_numpy(bool)
        total = np.bincount(rows[counted], count[counted], len(user_ids)).astype(np.float32)
        return cls(of("category", shelf.category_ids), of("brand", shelf.brands), total)

    def category_lift(self, shelf: Shelf, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Log of the share that a listing's category has of a user's searches, over its share of the shelf: [pairs]."""
        category = shelf.category_code[items]
        count = self.by_category.find(rows, category)[0][:, 0]
        return lift(count, self.total[rows], shelf.category_share, category, weight=SEARCH_POINTS)

    def brand(self, shelf: Shelf, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Log of one more than the searches that name a listing's brand: [pairs]."""
        return np.log1p(self.by_brand.find(rows, shelf.brand_code[items])[0][:, 0])
