"""Matrix factorisation of implicit feedback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from recsys.features.interactions import Interactions
from recsys.models.factored import Factored


@dataclass
class ALS(Factored):
    """Alternating least squares (Hu, Koren and Volinsky, 2008), computed by ``implicit``.

    Only item factors are learned for keeps. A user's factors are solved from the history at hand, exactly, so a
    weekly model follows what a user did yesterday. Confidence is ``alpha`` x log(1 + weight).
    """

    factors: int = 64
    regularization: float = 0.05
    alpha: float = 2.0
    iterations: int = 15
    seed: int = 20260101
    name: ClassVar[str] = "als"

    def _model(self) -> AlternatingLeastSquares:
        with threadpool_limits(limits=1):  # or implicit warns of BLAS threads beside its own
            return AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                alpha=self.alpha,
                iterations=self.iterations,
                num_threads=1,
                random_state=self.seed,
            )

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        model = self._model()
        model.fit(np.log1p(interactions.matrix), show_progress=False)
        return {"item_factors": model.item_factors}

    def _prepare(self) -> None:
        model = self._model()
        model.item_factors = self.learned["item_factors"]
        n_users = len(self.history.user_ids)
        self.user_factors = model.recalculate_user(np.arange(n_users), np.log1p(self.history.matrix))

    def factors_of_users(self, rows: np.ndarray) -> np.ndarray:
        """Factors as solved from the histories."""
        return np.asarray(self.user_factors[rows])

    def factors_of_items(self) -> np.ndarray:
        """Factors as learned."""
        return self.learned["item_factors"]

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        factors = self.learned["item_factors"]
        unit = factors / np.maximum(np.linalg.norm(factors, axis=1, keepdims=True), 1e-12)
        return unit[columns] @ unit.T
