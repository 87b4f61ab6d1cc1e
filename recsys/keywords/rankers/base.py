"""The contract of a model, and the examples it learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np

from recsys.ranking.judge import Contributions


@dataclass(frozen=True)
class Examples:
    """``good`` out of ``tried`` by row, both float64 [rows], with ``features`` float32 [rows, names], NaN for unknown.

    A row counts as often as it was tried: the likelihood is that of a binomial.
    """

    features: np.ndarray
    good: np.ndarray
    tried: np.ndarray

    def __len__(self) -> int:
        return len(self.good)

    def rate(self) -> float:
        """The share of good ones of all, with half a good one and half a bad one added (Jeffreys): in (0, 1)."""
        return float((self.good.sum() + 0.5) / (self.tried.sum() + 1.0))

    def where(self, kept: np.ndarray) -> Examples:
        """Some of the rows."""
        return Examples(self.features[kept], self.good[kept], self.tried[kept])

    def unfolded(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, outcome (0 or 1) and weight for models that know no binomials: each [at most 2 x rows]."""
        bad = self.tried - self.good
        good, failed = np.flatnonzero(self.good > 0), np.flatnonzero(bad > 0)
        outcome = np.concatenate([np.ones(len(good)), np.zeros(len(failed))])
        weight = np.concatenate([self.good[good], bad[failed]])
        return np.concatenate([good, failed]), outcome, weight


class Model(Protocol):
    """P(good) of rows of features, as log-odds."""

    kind: ClassVar[str]
    names: tuple[str, ...]

    def logit(self, features: np.ndarray) -> np.ndarray:
        """Log-odds, float64 [rows], of ``features`` [rows, names] with NaN where something is not known."""

    def explain(self, features: np.ndarray) -> Contributions:
        """What each feature adds to the log-odds; with the base they sum to ``logit``."""

    def arrays(self) -> dict[str, np.ndarray]:
        """For saving."""

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """What was saved."""


def nothing(names: tuple[str, ...], rows: int, level: float) -> Contributions:
    """The contributions of features that a model does not look at."""
    return Contributions(names, np.zeros((rows, len(names))), np.full(rows, level))
