"""Items regressed on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from recsys.features.interactions import Interactions
from recsys.models.base import NOTHING, Recommender

LARGE = 10_000
MIRROR = 4096


@dataclass
class EASE(Recommender):
    """Embarrassingly shallow autoencoder (Steck, 2019): B = I - P / diag(P) with P = (X'X + reg I)^-1, in closed form.

    The inverse is dense, so only the ``max_items`` items with the most users are learned; the others keep no score.
    Above 10,000 of them it is computed in place, in single precision: 4 bytes x items squared.
    X holds log(1 + weight) when ``log_weights``, else 1 for every item the user has had.
    """

    regularization: float = 100.0
    max_items: int = 6000
    log_weights: bool = True
    name: ClassVar[str] = "ease"

    def _input(self, interactions: Interactions) -> object:
        matrix = interactions.matrix.astype(np.float64)
        matrix.data = np.log1p(matrix.data) if self.log_weights else np.ones_like(matrix.data)
        return matrix

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        matrix = self._input(interactions)
        users = np.bincount(matrix.indices, minlength=matrix.shape[1])  # type: ignore[attr-defined]
        kept = np.sort(np.argsort(-users, kind="stable")[: self.max_items])
        inside = matrix[:, kept]  # type: ignore[index]
        if len(kept) > LARGE:
            inside = inside.astype(np.float32)
            weights = _inverse_in_place(inside.T @ inside, self.regularization)
            weights /= -np.diag(weights)[None].copy()
        else:
            gram = np.asarray((inside.T @ inside).todense())
            gram[np.diag_indices_from(gram)] += self.regularization
            inverse = np.linalg.inv(gram)
            weights = -inverse / np.diag(inverse)[None]
        np.fill_diagonal(weights, 0.0)
        return {"columns": kept.astype(np.int32), "weights": weights.astype(np.float32, copy=False)}

    def _prepare(self) -> None:
        self.inputs = self._input(self.history)[:, self.learned["columns"]].astype(np.float32)  # type: ignore[index]

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        scores = np.full((len(rows), len(self.item_ids)), NOTHING, np.float32)
        known = np.flatnonzero(rows >= 0)
        scores[np.ix_(known, self.learned["columns"])] = self.inputs[rows[known]] @ self.learned["weights"]
        return scores

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        scores = np.full((len(columns), len(self.item_ids)), NOTHING, np.float32)
        place = np.full(len(self.item_ids), -1)
        place[self.learned["columns"]] = np.arange(len(self.learned["columns"]))
        known = np.flatnonzero(place[columns] >= 0)
        scores[np.ix_(known, self.learned["columns"])] = self.learned["weights"][place[columns[known]]]
        return scores


def _inverse_in_place(gram: sparse.csr_matrix, regularization: float) -> np.ndarray:
    """(gram + regularization I)^-1 by Cholesky, in the memory of one dense matrix."""
    dense = gram.toarray(order="F")
    dense[np.diag_indices_from(dense)] += regularization
    factor, _ = lapack.spotrf(dense, lower=1, overwrite_a=1, clean=0)
    inverse, _ = lapack.spotri(factor, lower=1, overwrite_c=1)
    for start in range(0, len(inverse), MIRROR):  # the routine leaves the upper triangle undone
        end = start + MIRROR
        corner = np.tril(inverse[start:end, start:end])
        inverse[start:end, start:end] = corner + np.tril(corner, -1).T
        inverse[start:end, end:] = inverse[end:, start:end].T
    return inverse.T
