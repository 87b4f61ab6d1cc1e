"""Calibration on later days than a model was trained on: Platt's two numbers, or a rising step function."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from sklearn.isotonic import IsotonicRegression

from recsys.ranking.calibration import log_losses
from recsys.ranking.platt import log_odds, logistic, sigmoid

LEAST_FOR_SLOPE = 50
"""With fewer good ones, only the level is moved."""
LEAST_FOR_STEPS = 500
"""With fewer good ones, steps are not tried."""
PRIOR = 1.0


@dataclass(frozen=True)
class Curve:
    """From the log-odds of a model to calibrated ones.

    Platt (1999): slope x logit + offset, where ``steps`` is empty. Isotonic (Zadrozny and Elkan, 2002): log-odds
    interpolated between ``at`` and ``steps``, both rising, and flat beyond them.
    """

    slope: float = 1.0
    offset: float = 0.0
    at: np.ndarray = field(default_factory=lambda: np.zeros(0))
    steps: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __call__(self, logit: np.ndarray) -> np.ndarray:
        """Calibrated log-odds: float64."""
        if len(self.steps):
            return np.interp(logit, self.at, self.steps)
        return self.slope * logit + self.offset

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """For saving."""
        numbers = np.array([self.slope, self.offset])
        return {f"{name}.numbers": numbers, f"{name}.at": self.at, f"{name}.steps": self.steps}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], name: str) -> Curve:
        """What was saved."""
        slope, offset = (float(x) for x in arrays[f"{name}.numbers"])
        return cls(slope, offset, arrays[f"{name}.at"], arrays[f"{name}.steps"])


def platt(logit: np.ndarray, good: np.ndarray, tried: np.ndarray) -> Curve:
    """Two numbers by maximum likelihood; with fewer than LEAST_FOR_SLOPE good or bad ones the level alone.

    A model that orders the days backwards gets slope 0: the rate of all, and no order.
    """
    if tried.sum() <= 0:
        return Curve()
    rate = float((good.sum() + 0.5) / (tried.sum() + 1))
    if min(good.sum(), (tried - good).sum()) < LEAST_FOR_SLOPE:
        return Curve(offset=_weighted_level(logit, tried, rate))
    mean = float(np.average(logit, weights=tried))
    spread = float(np.sqrt(np.average((logit - mean) ** 2, weights=tried)))
    if spread < 1e-9:
        return Curve(0.0, float(log_odds(np.array([rate]))[0]))
    x = np.tile((logit - mean) / spread, 2)[:, None]
    outcome = np.repeat([1.0, 0.0], len(logit))
    weight = np.concatenate([good, tried - good])
    slopes, constant = logistic(x[weight > 0], outcome[weight > 0], PRIOR, weight[weight > 0])
    slope = max(float(slopes[0]) / spread, 0.0)
    if slope == 0.0:
        return Curve(0.0, float(log_odds(np.array([rate]))[0]))
    return Curve(slope, constant - slope * mean)


def _weighted_level(logit: np.ndarray, tried: np.ndarray, rate: float) -> float:
    """The shift at which the mean probability of all that was tried is ``rate``."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        below = np.average(sigmoid(logit + middle), weights=tried) < rate
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2


def isotonic(logit: np.ndarray, good: np.ndarray, tried: np.ndarray) -> Curve:
    """The rising step function of least squared error, its ends drawn in from 0 and 1 by half a trial."""
    kept = tried > 0
    model = IsotonicRegression(out_of_bounds="clip")
    model.fit(logit[kept], good[kept] / tried[kept], sample_weight=tried[kept])
    at = np.asarray(model.X_thresholds_, np.float64)
    edge = 0.5 / tried.sum()
    return Curve(at=at, steps=log_odds(np.clip(model.y_thresholds_, edge, 1 - edge)))


def calibrated(logit: np.ndarray, good: np.ndarray, tried: np.ndarray, rng: np.random.Generator) -> Curve:
    """Platt, or isotonic where that has the lower log-loss on the halves it was not fitted to (cross-fitting)."""
    if min(good.sum(), (tried - good).sum()) < LEAST_FOR_STEPS:
        return platt(logit, good, tried)
    half = rng.random(len(logit)) < 0.5
    losses = [0.0, 0.0]
    for part in (half, ~half):
        for number, fit in enumerate((platt, isotonic)):
            curve = fit(logit[~part], good[~part], tried[~part])
            losses[number] += total_loss(sigmoid(curve(logit[part])), good[part], tried[part])
    return (platt if losses[0] <= losses[1] else isotonic)(logit, good, tried)


def total_loss(p: np.ndarray, good: np.ndarray, tried: np.ndarray) -> float:
    """The log-loss of all that was tried, added up."""
    ones = np.ones(len(p))
    return float((good * log_losses(p, ones) + (tried - good) * log_losses(p, 0 * ones)).sum())
