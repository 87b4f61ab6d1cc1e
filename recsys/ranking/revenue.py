"""What a placement is expected to earn, factor by factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Money:
    """How price enters the ranking: capped at ``cap``, raised to ``exponent`` (0 ranks by probability alone)."""

    cap: float = 500.0
    exponent: float = 1.0

    def capped(self, price: np.ndarray) -> np.ndarray:
        """min(price, cap)."""
        return np.minimum(price, self.cap)

    def expected(
        self, p: np.ndarray, price: np.ndarray, take_rate: np.ndarray, p_cancel: np.ndarray
    ) -> np.ndarray:
        """Expected revenue in money: P(purchase) x min(price, cap) x take rate x (1 - P(cancel)).

        Example:
            >>> Money(cap=100).expected(np.array([0.1]), np.array([200.0]), np.array([0.1]), np.array([0.5])).tolist()
            [0.5]
        """
        return p * self.capped(price) * take_rate * (1.0 - p_cancel)

    def score(
        self, p: np.ndarray, price: np.ndarray, take_rate: np.ndarray, p_cancel: np.ndarray
    ) -> np.ndarray:
        """What lists are ordered by: the same product with min(price, cap) raised to ``exponent``."""
        return p * self.capped(price) ** self.exponent * take_rate * (1.0 - p_cancel)
