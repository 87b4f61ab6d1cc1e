"""What a placement is expected to earn, factor by factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.features.shelf import Shelf


@dataclass(frozen=True)
class Money:
    """How price enters the ranking: capped at ``cap``, raised to ``exponent`` (0 ranks by probability alone)."""

    cap: float = 500.0
    exponent: float = 1.0

    def capped(self, price: np.ndarray) -> np.ndarray:
        """min(price, cap)."""
        return np.minimum(price, self.cap)

    def expected(self, p: np.ndarray, amount: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Expected revenue in money: P(purchase) x min(amount, cap) x the share that is ``kept``.

        Example:
            >>> Money(cap=100).expected(np.array([0.1]), np.array([200.0]), np.array([0.05])).tolist()
            [0.5]
        """
        return p * self.capped(amount) * kept

    def score(self, p: np.ndarray, amount: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """What lists are ordered by: the same product with min(amount, cap) raised to ``exponent``."""
        return p * self.capped(amount) ** self.exponent * kept


def kept_share(shelf: Shelf) -> np.ndarray:
    """Share of a sale's price that the platform may expect to keep: take rate x (1 - P(cancel)) x P(available).

    Of each listing, float64 [listings]. P(available) is the chance that the listing is still live when the list is
    seen: a placement of what is gone earns nothing.
    """
    return shelf.take_rate * (1.0 - shelf.p_cancel) * shelf.p_available
