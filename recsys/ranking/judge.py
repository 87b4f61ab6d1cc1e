"""What every ranker has in common: it judges pairs of a user and a listing, and can say why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np

from recsys.errors import ModelError
from recsys.features.audience import Audience
from recsys.features.shelf import Shelf


@dataclass(frozen=True)
class Judged:
    """What a scorer thinks of pairs, float64 [pairs] each.

    Attributes:
        p_purchase: calibrated probability that the user buys the listing once it is shown.
        p_click: that the user opens it; None where nothing was learned from clicks.
        amount: money the user is expected to pay if they buy; None where that is the price.
        order: what stands for p_purchase in the order of a list where that is sharper than the probability: positive,
            its proportions meant within one user only; None for p_purchase. Expected money is always by p_purchase.
        most: the highest probability that is promised; the order goes on above it.
    """

    p_purchase: np.ndarray
    p_click: np.ndarray | None = None
    amount: np.ndarray | None = None
    order: np.ndarray | None = None
    most: float = 1.0

    @property
    def promised(self) -> np.ndarray:
        """``p_purchase``, ``most`` where it lies above."""
        return np.minimum(self.p_purchase, self.most)


@dataclass(frozen=True)
class Contributions:
    """Why pairs are judged as they are: ``values`` [pairs, names] add up, with ``base`` [pairs], to the log-odds."""

    names: tuple[str, ...]
    values: np.ndarray
    base: np.ndarray


def refuse_other_features(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """Refuse a scorer that was trained on ``names`` where this version computes ``expected``.

    Raises:
        ModelError: they are not the same, in the same order; it names those that differ.
    """
    if names != expected:
        odd = sorted(set(names) ^ set(expected))
        raise ModelError(f"The ranker was trained on other features (differing: {odd}). Train again.")


class Scorer(Protocol):
    """A ranker. Pairs are (audience row, shelf position), ``rows`` ascending; bits do not depend on the batch.

    ``retrieved`` holds the score of each pair by each retriever, -inf where it has none.
    """

    kind: ClassVar[str]

    def judge(
        self,
        shelf: Shelf,
        audience: Audience,
        rows: np.ndarray,
        items: np.ndarray,
        retrieved: Mapping[str, np.ndarray],
    ) -> Judged:
        """Judge the pairs."""

    def contributions(
        self,
        shelf: Shelf,
        audience: Audience,
        rows: np.ndarray,
        items: np.ndarray,
        retrieved: Mapping[str, np.ndarray],
    ) -> Contributions:
        """Take the log-odds of a purchase of the pairs apart."""

    def quality(self, shelf: Shelf) -> np.ndarray:
        """Log-odds, up to a constant, that a user nothing is known of buys each listing: float64 [listings]."""

    def save(self, folder: Path) -> None:
        """Write the scorer into ``folder``, its ``kind`` as "model" in the manifest."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a scorer back.

        Raises:
            ModelError: the folder is damaged, or it was trained on other features than this version computes.
        """
