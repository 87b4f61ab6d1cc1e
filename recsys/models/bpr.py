"""Matrix factorisation by pairwise ranking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse
from scipy.special import expit

from recsys.features.interactions import Interactions
from recsys.models.factored import Factored


@dataclass
class BPR(Factored):
    """Bayesian personalised ranking of a matrix factorisation (Rendle et al., 2009), by mini-batches of Adam.

    Every epoch goes once over what users had, each item against one drawn evenly from all items; a draw that the
    user had as well counts nothing. The last item factor is its bias. Only item factors are kept: a user's factors
    are solved from the history at hand under the same objective, items held still, in ``fold_in_epochs``.
    ``regularization`` is the weight of half the squared norm of the factors of each sample.
    """

    factors: int = 64
    learning_rate: float = 0.002
    regularization: float = 0.01
    epochs: int = 60
    batch_size: int = 4096
    fold_in_epochs: int = 40
    fold_in_rate: float = 0.005
    seed: int = 20260101
    name: ClassVar[str] = "bpr"

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(self.seed)
        n_users, n_items = interactions.matrix.shape
        items = np.zeros((n_items, self.factors + 1), np.float32)
        items[:, :-1] = rng.normal(0, 0.05, (n_items, self.factors))
        users = rng.normal(0, 0.05, (n_users, self.factors)).astype(np.float32)
        self._descend(interactions.matrix, users, items, rng)
        return {"item_factors": items}

    def _prepare(self) -> None:
        matrix = self.history.matrix
        self.user_factors = np.zeros((matrix.shape[0], self.factors), np.float32)
        if matrix.nnz:
            rng = np.random.default_rng(self.seed)
            self._descend(matrix, self.user_factors, self.learned["item_factors"], rng, fold_in=True)

    def _descend(
        self,
        matrix: sparse.csr_matrix,
        users: np.ndarray,
        items: np.ndarray,
        rng: np.random.Generator,
        fold_in: bool = False,
    ) -> None:
        """Improve ``users`` and, unless folding in, ``items`` in place."""
        had = matrix.tocoo()
        keys = had.row.astype(np.int64) * matrix.shape[1] + had.col
        rate = self.fold_in_rate if fold_in else self.learning_rate
        steps = [Adam(users, rate)] if fold_in else [Adam(users, rate), Adam(items, rate)]
        for _ in range(self.fold_in_epochs if fold_in else self.epochs):
            order = rng.permutation(len(keys))
            other = rng.integers(0, matrix.shape[1], len(keys))
            missed = had.row[order].astype(np.int64) * matrix.shape[1] + other
            place = np.minimum(np.searchsorted(keys, missed), len(keys) - 1)
            order, other = order[keys[place] != missed], other[keys[place] != missed]
            for start in range(0, len(order), self.batch_size):
                batch = order[start : start + self.batch_size]
                row, liked, unliked = had.row[batch], had.col[batch], other[start : start + self.batch_size]
                gradients = self._gradients(users[row], items[liked], items[unliked])
                steps[0].step(row, gradients[0])
                if not fold_in:
                    steps[1].step(np.concatenate([liked, unliked]), np.concatenate(gradients[1:]))

    def _gradients(self, user: np.ndarray, liked: np.ndarray, unliked: np.ndarray) -> list[np.ndarray]:
        """Of the loss -log sigmoid(score of liked - score of unliked), by sample, with the penalty."""
        apart = liked - unliked
        slope = -expit(-((user * apart[:, :-1]).sum(axis=1) + apart[:, -1]))[:, None]
        of_item = slope * np.hstack([user, np.ones((len(user), 1), np.float32)])
        return [
            slope * apart[:, :-1] + self.regularization * user,
            of_item + self.regularization * liked,
            -of_item + self.regularization * unliked,
        ]

    def factors_of_users(self, rows: np.ndarray) -> np.ndarray:
        """Factors as solved from the histories, and a 1 that meets the item's bias."""
        return np.hstack([self.user_factors[rows], np.ones((len(rows), 1), np.float32)])

    def factors_of_items(self) -> np.ndarray:
        """Factors as learned, the bias last."""
        return self.learned["item_factors"]

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        factors = self.learned["item_factors"][:, :-1]
        unit = factors / np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-12)
        return unit[columns] @ unit.T


class Adam:
    """Adam (Kingma and Ba, 2015) on the rows of a table that a batch touches; the other rows rest."""

    def __init__(self, table: np.ndarray, rate: float) -> None:
        self.table, self.rate = table, rate
        self.mean, self.square = np.zeros_like(table), np.zeros_like(table)
        self.count = np.zeros((len(table), 1), np.float32)

    def step(self, rows: np.ndarray, gradients: np.ndarray) -> None:
        """Move ``rows`` against the sum of their ``gradients``."""
        touched, place = np.unique(rows, return_inverse=True)
        shape = (len(touched), len(rows))
        sums = sparse.csr_array((np.ones(len(rows), np.float32), (place, np.arange(len(rows)))), shape=shape)
        gradient = sums @ gradients
        self.count[touched] += 1
        mean = self.mean[touched] = 0.9 * self.mean[touched] + np.float32(0.1) * gradient
        square = self.square[touched] = 0.999 * self.square[touched] + np.float32(0.001) * gradient**2
        mean = mean / (1 - np.float32(0.9) ** self.count[touched])
        square = square / (1 - np.float32(0.999) ** self.count[touched])
        self.table[touched] -= self.rate * mean / (np.sqrt(square) + np.float32(1e-8))
