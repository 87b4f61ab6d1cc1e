"""How well probabilities match outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """How well probabilities match outcomes: log-loss, that of the mean outcome alone, expected calibration error.

    ``noise`` is the standard error of the difference of the two log-losses.
    """

    log_loss: float
    prior_log_loss: float
    noise: float
    ece: float
    rows: int
    positives: int


def calibration(p: np.ndarray, outcome: np.ndarray, bins: int = 10) -> Calibration:
    """Compare predicted probabilities with 0/1 outcomes; the ECE uses ``bins`` bins of equal size.

    Example:
        >>> calibration(np.array([0.5, 0.5]), np.array([0, 1]), bins=1).ece
        0.0
    """
    p = np.clip(p.astype(np.float64), 1e-9, 1 - 1e-9)
    base = np.clip(outcome.mean(), 1e-9, 1 - 1e-9)
    losses, prior_losses = _log_losses(p, outcome), _log_losses(np.full(len(p), base), outcome)
    ece = sum(
        len(part) / len(p) * abs(p[part].mean() - outcome[part].mean())
        for part in np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
    )
    return Calibration(
        log_loss=float(losses.mean()),
        prior_log_loss=float(prior_losses.mean()),
        noise=float((losses - prior_losses).std() / np.sqrt(len(p))),
        ece=float(ece),
        rows=len(p),
        positives=int(outcome.sum()),
    )


def _log_losses(p: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    return -np.where(outcome > 0, np.log(p), np.log1p(-p))
