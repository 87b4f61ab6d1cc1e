"""Items that are like what the user had, by what is written about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.errors import ModelError
from recsys.features.content import content_matrix, content_queries, reduced, sentence_vectors
from recsys.features.interactions import Interactions
from recsys.models.base import NOTHING, Recommender
from recsys.models.store import as_sparse, of_sparse


@dataclass
class ContentBased(Recommender):
    """Content-based filtering (Lops, de Gemmis and Semeraro, 2011) on title, category, brand, condition and price.

    It needs nobody to have had an item, so it reaches a listing that is minutes old: name such items in the
    catalogue (``item_ids`` of ``Interactions.from_frame``) and give their ``content``. ``text`` chooses how: TF-IDF
    reduced by a singular value decomposition to ``factors`` directions (latent semantic analysis, Deerwester et al.,
    1990; 0 leaves it whole), BM25 (Robertson and Zaragoza, 2009), or a sentence-embedding model that
    ``embedding_model`` names, for the titles, beside TF-IDF for the rest. The user is the sum of the items had,
    halved with every ``half_life_days`` of age; the score is the cosine, with BM25 the mean match.
    """

    text: Literal["tfidf", "bm25", "embedding"] = "tfidf"
    factors: int = 128
    embedding_model: str = ""
    title_weight: float = 1.0
    category_weight: float = 1.0
    brand_weight: float = 0.5
    condition_weight: float = 0.1
    price_weight: float = 0.3
    half_life_days: float | None = 30.0
    seed: int = 20260101
    name: ClassVar[str] = "content_based"

    @property
    def _weights(self) -> dict[str, float]:
        fields = ("title", "category", "brand", "condition", "price")
        return {field: getattr(self, f"{field}_weight") for field in fields}

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        content = interactions.content
        if content is None:
            raise ModelError(
                f"Model {self.name!r} has to know the items: give Interactions.from_frame(..., content=frame) with "
                "item_id and any of title, category, brand, condition, price."
            )
        if self.text == "bm25":
            items = content_matrix(content, self._weights, "bm25")
            return of_sparse("items", items) | of_sparse("queries", content_queries(content, self._weights))
        return {"vectors": _unit(self._vectors(content))}

    def _vectors(self, content: pd.DataFrame) -> np.ndarray:
        if self.text == "embedding":
            if not self.embedding_model:
                raise ModelError('text="embedding" needs embedding_model: the name or folder of the model.')
            titles = np.sqrt(self.title_weight) * sentence_vectors(content["title"], self.embedding_model)
            rest = content_matrix(content.drop(columns="title"), self._weights)
            return np.hstack([titles, reduced(rest, self.factors, self.seed)])
        matrix = content_matrix(content, self._weights)
        return reduced(matrix, self.factors, self.seed) if self.factors else matrix.toarray()

    def _prepare(self) -> None:
        self.weights = self.history.weighted(self.history.decay(self.half_life_days))
        if self.text == "bm25":
            n_items = len(self.item_ids)
            self.items = sparse.csr_array(_matrix(self.learned, "items", n_items).T)
            self.queries = _matrix(self.learned, "queries", n_items)

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        scores = np.full((len(rows), len(self.item_ids)), NOTHING, np.float32)
        scores[rows >= 0] = self._match(self.weights[rows[rows >= 0]])
        return scores

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        ones = (np.ones(len(columns), np.float32), (np.arange(len(columns)), columns))
        return self._match(sparse.csr_matrix(ones, shape=(len(columns), len(self.item_ids))))

    def _match(self, weights: sparse.csr_matrix) -> np.ndarray:
        if self.text == "bm25":
            total = np.maximum(np.asarray(weights.sum(axis=1)), 1e-12)
            scores = (sparse.csr_array(weights) @ self.queries @ self.items).toarray() / total
            return np.where(scores > 0, scores, NOTHING).astype(np.float32)
        vectors = self.learned["vectors"]
        profile = _unit(weights @ vectors)
        scores = profile @ vectors.T
        scores[:, ~vectors.any(axis=1)] = NOTHING
        scores[~profile.any(axis=1)] = NOTHING
        return scores


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors, np.float32), where=length > 1e-12)


def _matrix(arrays: dict[str, np.ndarray], name: str, n_rows: int) -> sparse.csr_array:
    width = max(int(arrays[f"{which}.indices"].max(initial=0)) for which in ("items", "queries")) + 1
    return as_sparse(name, arrays, (n_rows, width))
