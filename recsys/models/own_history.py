"""What this user had, again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recsys.features.interactions import Interactions
from recsys.models.base import NOTHING, Recommender


@dataclass
class OwnHistory(Recommender):
    """The user's own items, by how often and how lately: the sum of weights, halved every ``half_life_days``.

    With None it is the plain frequency, a baseline that is hard to beat where people buy again. It knows no rhythm:
    whether something is due again is for the ranker to judge (``own_due``).
    """

    half_life_days: float | None = 180.0
    name: ClassVar[str] = "own_history"

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        return {}

    def _prepare(self) -> None:
        self.own = self.history.weighted(self.history.decay(self.half_life_days))

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(rows), len(self.item_ids)), np.float32)
        scores[rows >= 0] = self.own[rows[rows >= 0]].toarray()
        return np.where(scores > 0, scores, NOTHING)
