"""Calibration on later days: log-odds stretched, moved, and tilted by price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression

from recsys.errors import ModelError

LEAST_FOR_SLOPE = 100
"""With fewer purchases on the calibration days only the level is calibrated, neither slope nor price."""
PRICE = "log_price"
SEEN_ABOVE, SEEN_SHARE = 5.0, 0.1
"""Expected purchases of the calibration days, or their share if these are fewer, above the highest chance that is
promised: what was hardly seen there is not promised, however far a straight line goes."""
PRIOR = 1.0
"""Penalty on slope and tilt, per standard deviation: both are drawn to 0, the slope by about 1 % at LEAST_FOR_SLOPE."""


@dataclass(frozen=True)
class Platt:
    """calibrated logit = slope x logit + tilt x log price + offset (Platt, 1999, with price as a covariate).

    An error in p is multiplied by the price, and a model that is right on average can still be wrong where things are
    dear; the tilt sets right the deciles of price. ``most`` is the highest probability that is promised: lists
    hold what is judged highest of all candidates, and of what lies beyond all that was seen nothing is known but that
    it is mostly overestimated. The order goes on above it.
    """

    slope: float = 1.0
    tilt: float = 0.0
    offset: float = 0.0
    most: float = 1.0

    def logit(self, raw: np.ndarray, log_price: np.ndarray) -> np.ndarray:
        """Calibrated log-odds, float32 [pairs], of ``raw`` ones."""
        return np.asarray(self.slope * raw + self.tilt * log_price + self.offset, np.float32)

    def bounded(self, raw: np.ndarray, log_price: np.ndarray) -> Platt:
        """The same with ``most`` such that SEEN_ABOVE purchases are expected above it of pairs like these, and moved so
        that as many are expected of all of them as before."""
        logits = self.logit(raw, log_price).astype(np.float64)
        p = np.sort(sigmoid(logits))[::-1]
        above = np.cumsum(p)
        most = float(p[np.searchsorted(above, min(SEEN_ABOVE, SEEN_SHARE * above[-1]))])
        rate = float(p.mean())
        if most <= rate:  # nearly all are judged alike: there is no end to speak of
            return self
        return replace(self, offset=self.offset + level(logits, rate, most), most=most)


def fit_platt(raw: np.ndarray, log_price: np.ndarray, purchased: np.ndarray) -> Platt:
    """Fit on the log-odds ``raw`` and the outcomes of pairs of *later* days than the scorer was trained on.

    With fewer than LEAST_FOR_SLOPE purchases only the level is moved, so that the mean probability is their rate.

    Raises:
        ModelError: these days have no purchase, or the scorer orders them backwards.
    """
    if not 0 < purchased.sum() < len(purchased):
        raise ModelError(
            "The calibration days have no purchase of a listing that was shown. Train on more days."
        )
    raw, log_price = raw.astype(np.float64), log_price.astype(np.float64)
    if purchased.sum() < LEAST_FOR_SLOPE:
        return Platt(offset=level(raw, float(purchased.mean()))).bounded(raw, log_price)
    x = np.column_stack([raw, log_price])
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    weights, constant = logistic((x - mean) / scale, purchased, PRIOR)
    slope, tilt = (float(w) for w in weights / scale)
    if slope <= 0:
        raise ModelError(f"The ranker orders the calibration days backwards (Platt slope {slope:.3f}).")
    return Platt(slope, tilt, float(constant - mean @ (weights / scale))).bounded(raw, log_price)


def log_price_of(names: Sequence[str], features: np.ndarray) -> np.ndarray:
    """The column of log prices, or zeros where the features have none."""
    if PRICE not in names:
        return np.zeros(len(features), np.float32)
    return np.asarray(features[:, list(names).index(PRICE)])


def level(logits: np.ndarray, rate: float, most: float = 1.0) -> float:
    """The shift of ``logits`` at which their mean probability, ``most`` at most, is ``rate``, by bisection."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = np.minimum(sigmoid(logits + middle), most).mean()
        low, high = (middle, high) if mean < rate else (low, middle)
    return (low + high) / 2


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    return np.exp(-np.logaddexp(0, -x))


def log_odds(p: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)), float64; p is kept from 0 and 1.

    Example:
        >>> float(log_odds(np.array([0.5]))[0])
        0.0
    """
    p = np.clip(p.astype(np.float64), 1e-12, 1 - 1e-12)
    return np.asarray(np.log(p) - np.log1p(-p))


def logistic(
    x: np.ndarray, y: np.ndarray, penalty: float, weight: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Weights and intercept of a logistic regression with an L2 ``penalty``; each row counts ``weight`` times."""
    model = LogisticRegression(C=1.0 / penalty, max_iter=500, tol=1e-6)
    model.fit(x, y > 0, sample_weight=weight)
    return model.coef_[0], float(model.intercept_[0])
