"""Items regressed on what else lay in the same basket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from recsys.features.interactions import Interactions
from recsys.models.ease import ItemWeights, autoencoder, most_had


@dataclass
class BasketEASE(ItemWeights):
    """EASE (Steck, 2019) over baskets, what a user had on one day, instead of users; old baskets count less.

    A user is scored by the last baskets: what lies ``recent_days`` before the last one counts half. So it says what
    goes with what was bought just now, where EASE says what goes with everything a user ever had.
    """

    regularization: float = 60.0
    max_items: int = 6000
    half_life_days: float = 180.0
    recent_days: float = 14.0
    name: ClassVar[str] = "basket_ease"

    def _input(self, interactions: Interactions) -> sparse.csr_matrix:
        last = np.full(len(interactions.user_ids), np.iinfo(np.int32).min, np.int64)
        np.maximum.at(last, interactions.rows, interactions.days)
        before = last[interactions.rows] - interactions.days
        return interactions.weighted(interactions.weights * np.exp2(-before / self.recent_days))

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        key = interactions.rows.astype(np.int64) * 2**32 + interactions.days
        basket = np.unique(key, return_inverse=True)[1]
        shape = (int(basket.max()) + 1, len(interactions.item_ids))
        weights = np.sqrt(interactions.decay(self.half_life_days).astype(np.float64))
        baskets = sparse.coo_matrix((weights, (basket, interactions.columns)), shape=shape).tocsr()
        kept = most_had(interactions.matrix, self.max_items)
        return {"columns": kept, "weights": autoencoder(baskets[:, kept], self.regularization)}
