"""Items bought by users alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from recsys.features.interactions import Interactions
from recsys.models.base import NOTHING, Recommender

CELLS_AT_ONCE = 4_000_000
"""Likenesses computed at a time: 16 MB of them."""


@dataclass
class UserKNN(Recommender):
    """User-based nearest neighbours (Resnick et al., 1994; Herlocker et al., 1999, for the shrinkage).

    Users are alike by the cosine of log(1 + weight) times the rarity of the item; ``shrinkage`` is added to the length
    of each user, so that short histories are no near neighbours by luck. A score is the mean over the ``neighbours``
    nearest, weighted by likeness, of what they had: of the last ``window_days`` days, each item once, or with None
    of all days, halved every ``half_life_days``. Only the rarity of items is learned. The neighbours are the users of
    the history at hand, so a copy without users holds none, and ``with_history`` has to be given everybody.
    """

    neighbours: int = 100
    window_days: int | None = None
    half_life_days: float = 90.0
    shrinkage: float = 1.0
    name: ClassVar[str] = "user_knn"

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        matrix = interactions.matrix
        users = np.bincount(matrix.indices, minlength=matrix.shape[1])
        rarity = np.log(np.maximum(len(interactions.user_ids) / (users + 1.0), 1.0))
        return {"rarity": rarity.astype(np.float32)}

    def _prepare(self) -> None:
        self.profiles = self._profiles(self.history)
        self.had = self._had(self.history)

    def _profiles(self, history: Interactions) -> sparse.csr_matrix:
        """Users x items; the product of two rows is the likeness of two users."""
        rare = np.log1p(history.matrix) @ sparse.diags(self.learned["rarity"])
        length = np.sqrt(np.asarray(rare.multiply(rare).sum(axis=1)).ravel()) + self.shrinkage
        return (sparse.diags(1 / length) @ rare).tocsr().astype(np.float32)

    def _had(self, history: Interactions) -> sparse.csr_matrix:
        """What neighbours count for: users x items."""
        if self.window_days is None:
            return history.weighted(history.decay(self.half_life_days))
        age = history.as_of - history.days.astype(np.int64)
        recent = history.weighted(np.where(age < self.window_days, history.weights, 0))
        recent.eliminate_zeros()
        recent.data[:] = 1
        return recent

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(rows), len(self.item_ids)), np.float32)
        known = np.flatnonzero(rows >= 0)
        size = max(1, CELLS_AT_ONCE // max(1, self.profiles.shape[0]))
        for start in range(0, len(known), size):
            part = known[start : start + size]
            scores[part] = (self._near(rows[part]) @ self.had).toarray()
        return np.where(scores > 0, scores, NOTHING)

    def _near(self, rows: np.ndarray) -> sparse.csr_matrix:
        """Likeness of the nearest users to each of ``rows``, summing to 1: [rows, users]."""
        alike = (self.profiles[rows] @ self.profiles.T).toarray()
        alike[np.arange(len(rows)), rows] = 0
        if alike.shape[1] > self.neighbours:
            bound = np.partition(alike, -self.neighbours, axis=1)[:, -self.neighbours]
            alike[alike < bound[:, None]] = 0
        near = sparse.csr_matrix(alike)
        total = np.asarray(near.sum(axis=1)).ravel()
        return (sparse.diags(1 / np.maximum(total, 1e-6)) @ near).tocsr().astype(np.float32)

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        """Cosine of the items over the profiles of the users at hand."""
        items = self.profiles.T.tocsr()
        length = np.sqrt(np.asarray(items.multiply(items).sum(axis=1)).ravel())
        unit = sparse.diags(1 / np.maximum(length, 1e-12)) @ items
        scores = (unit.tocsr()[columns] @ unit.T).toarray().astype(np.float32)
        return np.where(scores > 0, scores, NOTHING)
