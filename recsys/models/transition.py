"""What was had before, regressed on what is bought next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from recsys.features.interactions import Interactions
from recsys.models.ease import ItemWeights, autoencoder, most_had, precision


@dataclass
class Transition(ItemWeights):
    """Ridge regression of the purchases of ``ahead_days`` days on what each user had before them.

    A linear item-item model, as those of Choi et al. (2021) for the next items of a session, with weeks in the place
    of the session. Its examples are the users who came back after each of ``origins`` moments, ``ahead_days`` apart,
    the last of which lies ``ahead_days`` before the newest day known; what was had is log(1 + weight), the weights
    halved every ``half_life_days`` up to the moment. Unlike EASE the weights of an item on itself are learned, so it
    knows what is bought again and what is bought once. A moment with less than ``least_days`` of history before it is
    left out; where all are, items are regressed on each other, as EASE does.
    """

    regularization: float = 30.0
    max_items: int = 6000
    ahead_days: int = 28
    origins: int = 3
    half_life_days: float = 90.0
    least_days: int = 45
    name: ClassVar[str] = "transition"

    def _input(self, interactions: Interactions) -> sparse.csr_matrix:
        return np.log1p(interactions.weighted(interactions.decay(self.half_life_days)))

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        kept = most_had(interactions.matrix, self.max_items)
        gram, cross, exact = None, None, precision(len(kept))
        for before, after in self._examples(interactions):
            back = np.flatnonzero(np.diff(after.indptr))
            had, bought = before[back][:, kept].astype(exact), after[back][:, kept].astype(exact)
            gram = had.T @ had if gram is None else gram + had.T @ had
            cross = had.T @ bought if cross is None else cross + had.T @ bought
        if gram is None or cross is None:
            whole = self._input(interactions)[:, kept].astype(np.float64)
            return {"columns": kept, "weights": autoencoder(whole, self.regularization)}
        dense = gram.toarray(order="F")
        dense[np.diag_indices_from(dense)] += self.regularization
        single = exact is np.float32
        potrf, potrs = (lapack.spotrf, lapack.spotrs) if single else (lapack.dpotrf, lapack.dpotrs)
        factor, _ = potrf(dense, lower=1, overwrite_a=1, clean=0)
        weights, _ = potrs(factor, cross.toarray(order="F"), lower=1, overwrite_b=1)
        return {"columns": kept, "weights": np.ascontiguousarray(weights, np.float32)}

    def _examples(self, interactions: Interactions) -> Iterator[tuple[sparse.csr_matrix, sparse.csr_matrix]]:
        """What users had, and what they then bought (0 or 1), for each moment."""
        days = interactions.days.astype(np.int64)
        for origin in range(1, self.origins + 1):
            start = interactions.as_of + 1 - origin * self.ahead_days
            if start - int(days.min()) < self.least_days:
                return
            before = replace(interactions, as_of=start - 1).decay(self.half_life_days)
            had = interactions.weighted(np.where(days < start, before, 0))
            had.eliminate_zeros()
            after = (days >= start) & (days < start + self.ahead_days)
            bought = interactions.weighted(np.where(after, interactions.weights, 0))
            bought.eliminate_zeros()
            bought.data[:] = 1
            yield np.log1p(had), bought
