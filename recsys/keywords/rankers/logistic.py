"""Logistic regression: a coefficient per feature that anyone can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from recsys.keywords.rankers.base import Examples
from recsys.ranking.judge import Contributions
from recsys.ranking.platt import log_odds, logistic

USUAL = (0.005, 0.995)
"""Outliers: values beyond these quantiles of the examples are taken for the quantile; a straight line knows nothing
beyond them."""


@dataclass(frozen=True)
class Scale:
    """How features become inputs of about one size: clipped, unknown ones at the mean, and a mark for each unknown.

    ``low``, ``high``, ``mean`` and ``spread`` are float64 [names]. ``marked`` are the places of the features that were
    unknown in some examples: a column of 0 and 1 each, after the features, so that what is not known may say something.
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    marked: np.ndarray

    @classmethod
    def learn(cls, features: np.ndarray, weight: np.ndarray) -> Scale:
        """From examples [rows, names] that count ``weight`` times; a feature unknown throughout is 0 for all."""
        unknown = np.isnan(features)
        low, high = np.zeros(features.shape[1]), np.zeros(features.shape[1])
        able = ~unknown.all(axis=0)
        if able.any():
            low[able], high[able] = np.nanquantile(features[:, able].astype(np.float64), USUAL, axis=0)
        values = np.clip(np.where(unknown, 0.0, features), low, high)
        seen = np.where(unknown, 0.0, weight[:, None])
        total = np.maximum(seen.sum(axis=0), 1e-12)
        mean = (seen * values).sum(axis=0) / total
        spread = np.sqrt((seen * (values - mean) ** 2).sum(axis=0) / total)
        marked = np.flatnonzero(unknown.any(axis=0) & able)
        return cls(low, high, mean, np.where(spread > 1e-9, spread, 1.0), marked)

    def inputs(self, features: np.ndarray) -> np.ndarray:
        """Inputs [rows, names + marked], float64."""
        unknown = np.isnan(features)
        values = (np.clip(np.where(unknown, 0.0, features), self.low, self.high) - self.mean) / self.spread
        return np.hstack([np.where(unknown, 0.0, values), unknown[:, self.marked].astype(np.float64)])

    def arrays(self) -> dict[str, np.ndarray]:
        """For saving."""
        return {f"scale.{name}": getattr(self, name) for name in _SCALE}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Scale:
        """What was saved."""
        return cls(**{name: arrays[f"scale.{name}"] for name in _SCALE})


_SCALE = ("low", "high", "mean", "spread", "marked")


@dataclass(frozen=True)
class Logistic:
    """logit p = intercept + weights . inputs, the inputs standardised by ``scale``; weights have an L2 penalty.

    A weight is what one standard deviation of its feature adds to the log-odds. With little data the penalty leaves
    little but the intercept: the rate of all.
    """

    kind: ClassVar[str] = "logistic"

    names: tuple[str, ...]
    scale: Scale
    weights: np.ndarray
    intercept: float

    @classmethod
    def fit(
        cls, examples: Examples, names: tuple[str, ...], *, penalty: float = 3.0, seed: int = 0
    ) -> Logistic:
        """Maximum likelihood of the binomials less ``penalty`` / 2 x the squared weights; ``seed`` is not used."""
        scale = Scale.learn(examples.features, examples.tried)
        row, outcome, weight = examples.unfolded()
        width = len(names) + len(scale.marked)
        if not 0 < outcome.sum() < len(outcome):
            return cls(names, scale, np.zeros(width), float(log_odds(np.array([examples.rate()]))[0]))
        weights, intercept = logistic(scale.inputs(examples.features)[row], outcome, penalty, weight)
        return cls(names, scale, weights, intercept)

    def logit(self, features: np.ndarray) -> np.ndarray:
        """See ``base.Model``."""
        # einsum and not @: BLAS rounds the last rows of a matrix otherwise, and a score would depend on its batch.
        return self.intercept + np.einsum("ij,j->i", self.scale.inputs(features), self.weights)

    def explain(self, features: np.ndarray) -> Contributions:
        """What each feature, against its mean, adds; the mark of an unknown one counts with its feature."""
        shares = self.scale.inputs(features) * self.weights
        values = shares[:, : len(self.names)].copy()
        values[:, self.scale.marked] += shares[:, len(self.names) :]
        return Contributions(self.names, values, np.full(len(features), self.intercept))

    def coefficients(self) -> pd.DataFrame:
        """[feature, mean, spread, weight], the heaviest first; weights are per standard deviation."""
        marks = [f"{self.names[place]} unknown" for place in self.scale.marked]
        table = pd.DataFrame(
            {
                "feature": [*self.names, *marks],
                "mean": np.append(self.scale.mean, np.full(len(marks), np.nan)),
                "spread": np.append(self.scale.spread, np.full(len(marks), np.nan)),
                "weight": self.weights,
            }
        )
        return table.sort_values("weight", key=np.abs, ascending=False, kind="stable", ignore_index=True)

    def arrays(self) -> dict[str, np.ndarray]:
        """See ``base.Model``."""
        return self.scale.arrays() | {
            "names": np.array(self.names, dtype=object),
            "weights": self.weights,
            "intercept": np.array(self.intercept),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """See ``base.Model``."""
        scale = Scale.from_arrays(arrays)
        return cls(tuple(arrays["names"]), scale, arrays["weights"], float(arrays["intercept"]))
