"""Items regressed on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from recsys.features.interactions import Interactions
from recsys.models.base import NOTHING, Recommender

LARGE = 2_000
"""With more items than this the algebra is done in single precision: half the time and memory."""
MIRROR = 4096


class ItemWeights(Recommender):
    """A score is the user's own row times learned weights, items x items, of the items that were learned.

    A subclass says in ``_input`` what the row is, and learns ``columns`` (places in the catalogue) and ``weights``
    [columns, columns]: from the item of the row to that of the column. Items that were not learned keep no score.
    """

    def _input(self, interactions: Interactions) -> sparse.csr_matrix:
        """What a user's row is: users x items."""
        raise NotImplementedError

    def _prepare(self) -> None:
        self.inputs = self._input(self.history)[:, self.learned["columns"]].astype(np.float32)

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


@dataclass
class EASE(ItemWeights):
    """Embarrassingly shallow autoencoder (Steck, 2019): B = I - P / diag(P) with P = (X'X + reg I)^-1, in closed form.

    The inverse is dense, so only the ``max_items`` items with the most users are learned; the others keep no score.
    Above 2,000 of them it is computed in single precision: 4 bytes x items squared.
    X holds log(1 + weight) when ``log_weights``, else 1 for every item the user has had. With ``half_life_days`` the
    weights are halved for every so many days of age, in learning and in scoring.
    """

    regularization: float = 100.0
    max_items: int = 6000
    log_weights: bool = True
    half_life_days: float | None = None
    name: ClassVar[str] = "ease"

    def _input(self, interactions: Interactions) -> sparse.csr_matrix:
        matrix = interactions.weighted(interactions.decay(self.half_life_days)).astype(np.float64)
        matrix.data = np.log1p(matrix.data) if self.log_weights else np.ones_like(matrix.data)
        return matrix

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        matrix = self._input(interactions)
        kept = most_had(matrix, self.max_items)
        return {"columns": kept, "weights": autoencoder(matrix[:, kept], self.regularization)}


def most_had(matrix: sparse.csr_matrix, most: int) -> np.ndarray:
    """The columns of the ``most`` items that most users have, ascending: int32."""
    users = np.bincount(matrix.indices, minlength=matrix.shape[1])
    return np.sort(np.argsort(-users, kind="stable")[:most]).astype(np.int32)


def precision(items: int) -> type:
    """The type to solve for so many items in."""
    return np.float32 if items > LARGE else np.float64


def autoencoder(inside: sparse.csr_matrix, regularization: float) -> np.ndarray:
    """Weights [items, items] with which each item is best predicted from the others; 0 on the diagonal. float32."""
    inside = inside.astype(precision(inside.shape[1]))
    weights = _inverse_in_place(inside.T @ inside, regularization)
    weights /= -np.diag(weights)[None].copy()
    np.fill_diagonal(weights, 0.0)
    return weights.astype(np.float32, copy=False)


def _inverse_in_place(gram: sparse.csr_matrix, regularization: float) -> np.ndarray:
    """(gram + regularization I)^-1 by Cholesky, in the memory of one dense matrix and in the precision of ``gram``."""
    dense = gram.toarray(order="F")
    dense[np.diag_indices_from(dense)] += regularization
    single = dense.dtype == np.float32
    potrf, potri = (lapack.spotrf, lapack.spotri) if single else (lapack.dpotrf, lapack.dpotri)
    factor, _ = potrf(dense, lower=1, overwrite_a=1, clean=0)
    inverse, _ = potri(factor, lower=1, overwrite_c=1)
    for start in range(0, len(inverse), MIRROR):  # the routine leaves the upper triangle undone
        end = start + MIRROR
        corner = np.tril(inverse[start:end, start:end])
        inverse[start:end, start:end] = corner + np.tril(corner, -1).T
        inverse[start:end, end:] = inverse[end:, start:end].T
    return inverse.T
