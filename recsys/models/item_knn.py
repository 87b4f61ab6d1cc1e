"""Items bought by the same users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight, normalize
from scipy import sparse

from recsys.features.interactions import Interactions
from recsys.models.base import NOTHING, Recommender


@dataclass
class ItemKNN(Recommender):
    """Item-based nearest neighbours (Deshpande and Karypis, 2004), computed by ``implicit``.

    A score is the sum of the similarities to what the user has had, each weighted by the square root of how much,
    divided by the sum of these weights: comparable between users with long and short histories. ``distance`` says
    how users are weighted within an item: all alike (cosine), the choosy ones more (TF-IDF, then cosine), or the
    choosy ones more and popular items damped (BM25). ``neighbours_of`` says whose nearest items count: those of each
    item in the history (as in that paper), or those of the candidate (Sarwar et al., 2001).
    """

    neighbours: int = 100
    distance: Literal["cosine", "bm25", "tfidf"] = "bm25"
    neighbours_of: Literal["history", "candidate"] = "history"
    name: ClassVar[str] = "item_knn"

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        items = np.sqrt(interactions.matrix).astype(np.float64).T
        weighted = _weighted(items, self.distance)
        model = ItemItemRecommender(K=self.neighbours + 1, num_threads=1)
        model.fit(weighted.T.tocsr(), show_progress=False)
        similar = model.similarity.tocsr().astype(np.float32)
        similar.sort_indices()
        return {"data": similar.data, "indices": similar.indices, "indptr": similar.indptr}

    def _prepare(self) -> None:
        parts = (self.learned["data"], self.learned["indices"], self.learned["indptr"])
        n = len(self.item_ids)
        self.nearest = sparse.csr_matrix(parts, shape=(n, n))
        self.similar = self.nearest if self.neighbours_of == "history" else self.nearest.T.tocsr()
        weights = np.sqrt(self.history.matrix)
        total = np.asarray(weights.sum(axis=1)).ravel()
        self.weights = sparse.diags(1 / np.maximum(total, 1e-12)).dot(weights).tocsr().astype(np.float32)

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(rows), len(self.item_ids)), np.float32)
        scores[rows >= 0] = (self.weights[rows[rows >= 0]] @ self.similar).toarray()
        return np.where(scores > 0, scores, NOTHING)

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        scores = self.nearest[columns].toarray()
        return np.where(scores > 0, scores, NOTHING)


def _weighted(items: sparse.csr_matrix, distance: str) -> sparse.csr_matrix:
    """Items x users, weighted so that the inner product of two rows is their similarity."""
    if distance == "bm25":
        return bm25_weight(items, K1=1.2, B=0.75)
    if distance == "tfidf":
        rarity = np.log1p(
            items.shape[0] / np.maximum(np.bincount(items.tocsr().indices, minlength=items.shape[1]), 1)
        )
        return normalize(items @ sparse.diags(rarity))
    return normalize(items)
