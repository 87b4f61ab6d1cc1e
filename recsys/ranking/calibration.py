"""How well probabilities match outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """How well probabilities match outcomes: log-loss, that of the mean outcome alone, expected calibration error."""

    log_loss: float
    prior_log_loss: float
    ece: float
    rows: int
    positives: int


def calibration(p: np.ndarray, outcome: np.ndarray, bins: int = 10) -> Calibration:
    """Compare predicted probabilities with 0/1 outcomes; the ECE uses ``bins`` bins of equal size.

    Example:
        >>> calibration(np.array([0.5, 0.5]), np.array([0, 1])).ece
        0.0
    """
    p = np.clip(p.astype(np.float64), 1e-9, 1 - 1e-9)
    base = np.clip(outcome.mean(), 1e-9, 1 - 1e-9)
    ece = sum(
        len(part) / len(p) * abs(p[part].mean() - outcome[part].mean())
        for part in np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
    )
    return Calibration(
        log_loss=_log_loss(p, outcome),
        prior_log_loss=_log_loss(np.full(len(p), base), outcome),
        ece=float(ece),
        rows=len(p),
        positives=int(outcome.sum()),
    )


def _log_loss(p: np.ndarray, outcome: np.ndarray) -> float:
    return float(-np.mean(np.where(outcome > 0, np.log(p), np.log1p(-p))))
