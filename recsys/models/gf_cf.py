"""A graph filter in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from recsys.features.interactions import Interactions
from recsys.models.base import NOTHING, Recommender


@dataclass
class GFCF(Recommender):
    """GF-CF: a linear and an ideal low-pass filter on the item graph (Shen et al., "How Powerful is Graph Convolution
    for Recommendation?", CIKM 2021). Nothing is trained.

    With X = Du^-1/2 R Di^-1/2 of the binary R (users x items) and V its ``factors`` leading right singular vectors,
    a history r scores r (X'X + ``alpha`` Di^-1/2 V V' Di^1/2). Neither product is formed: r X' X runs through the
    sparse X, so that memory grows with the interactions, not with items squared. X is kept with the model: who had
    what together, without ids. The paper takes alpha 0.3, and 0 for Amazon-Book.
    """

    factors: int = 256
    alpha: float = 0.3
    iterations: int = 8
    seed: int = 20260101
    name: ClassVar[str] = "gf_cf"

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        binary = _binary(interactions)
        users = np.asarray(binary.sum(axis=1)).ravel()
        items = np.asarray(binary.sum(axis=0)).ravel()
        normal = sparse.diags_array(_power(users, -0.5)) @ binary @ sparse.diags_array(_power(items, -0.5))
        normal = sparse.csr_array(normal[users > 0], dtype=np.float32)
        factors = min(self.factors, *normal.shape) if self.alpha else 0
        right = np.empty((0, normal.shape[1]), np.float32)
        if factors:
            _, _, right = randomized_svd(normal, factors, n_iter=self.iterations, random_state=self.seed)
        return {
            "degree": items.astype(np.float32),
            "right": np.ascontiguousarray(right, np.float32),
            "data": normal.data,
            "indices": normal.indices,
            "indptr": normal.indptr,
        }

    def _prepare(self) -> None:
        parts = (self.learned["data"], self.learned["indices"], self.learned["indptr"])
        self.normal = sparse.csr_array(parts, shape=(len(parts[2]) - 1, len(self.item_ids)))
        self.items_by_user = sparse.csr_array(self.normal.T)
        self.binary = _binary(self.history)
        degree = self.learned["degree"]
        self.into = np.ascontiguousarray((self.learned["right"] * _power(degree, -0.5)).T)
        self.out_of = np.float32(self.alpha) * self.learned["right"] * np.sqrt(degree)

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        scores = np.full((len(rows), len(self.item_ids)), NOTHING, np.float32)
        scores[rows >= 0] = self._filter(self.binary[rows[rows >= 0]])
        scores[:, self.learned["degree"] == 0] = NOTHING
        return scores

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        single = sparse.csr_array(
            (np.ones(len(columns), np.float32), (np.arange(len(columns)), columns)),
            shape=(len(columns), len(self.item_ids)),
        )
        scores = self._filter(single)
        return np.where(self.learned["degree"] > 0, scores, NOTHING)

    def _filter(self, signal: sparse.csr_array) -> np.ndarray:
        """The filtered signals, dense float32 [signals, items]."""
        scores = ((signal @ self.items_by_user) @ self.normal).toarray().astype(np.float32)
        return scores + (signal @ self.into) @ self.out_of if len(self.out_of) else scores


def _binary(interactions: Interactions) -> sparse.csr_array:
    matrix = sparse.csr_array(interactions.matrix)
    matrix.data = np.ones_like(matrix.data, np.float32)
    return matrix


def _power(degree: np.ndarray, exponent: float) -> np.ndarray:
    """Degrees to a negative power, 0 for a node without edges."""
    return np.where(degree > 0, np.maximum(degree, 1) ** exponent, 0).astype(np.float32)
