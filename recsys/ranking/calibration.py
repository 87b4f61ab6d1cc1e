"""How well probabilities match outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """How well probabilities match outcomes: log-loss, that of one rate for all, expected calibration error.

    ``noise`` is the standard error of the difference of the two log-losses; ``ece_by_chance`` the calibration error to
    expect if every probability were right, since outcomes scatter about them.
    """

    log_loss: float
    prior_log_loss: float
    noise: float
    ece: float
    ece_by_chance: float
    rows: int
    positives: int


def calibration(
    p: np.ndarray,
    outcome: np.ndarray,
    bins: int = 10,
    *,
    rate: float | None = None,
    users: np.ndarray | None = None,
) -> Calibration:
    """Compare predicted probabilities with 0/1 outcomes; the ECE uses ``bins`` bins of equal size.

    The one rate for all is ``rate``, or the mean outcome. With ``users`` (one per row) the noise allows for pairs of
    one user being alike.

    Example:
        >>> calibration(np.array([0.5, 0.5]), np.array([0, 1]), bins=1).ece
        0.0
    """
    p = np.clip(p.astype(np.float64), 1e-9, 1 - 1e-9)
    base = outcome.mean() if rate is None else rate
    losses, prior_losses = log_losses(p, outcome), log_losses(np.full(len(p), base), outcome)
    parts = np.array_split(np.argsort(p, kind="stable"), min(bins, len(p)))
    ece = sum(len(part) / len(p) * abs(p[part].mean() - outcome[part].mean()) for part in parts)
    scatter = sum(np.sqrt((p[part] * (1 - p[part])).sum()) for part in parts)  # of the sum of each bin
    return Calibration(
        log_loss=float(losses.mean()),
        prior_log_loss=float(prior_losses.mean()),
        noise=standard_error(losses - prior_losses, users),
        ece=float(ece),
        ece_by_chance=float(np.sqrt(2 / np.pi) * scatter / len(p)),  # mean distance of a normal from its mean
        rows=len(p),
        positives=int(outcome.sum()),
    )


def standard_error(differences: np.ndarray, users: np.ndarray | None = None) -> float:
    """Standard error of the mean of ``differences``; with ``users``, of whole users drawn by chance.

    Example:
        >>> standard_error(np.array([1.0, 1.0, -1.0, -1.0]))
        0.5
    """
    off = differences - differences.mean()
    if users is not None:
        off = np.bincount(np.unique(users, return_inverse=True)[1], weights=off)
    return float(np.sqrt((off**2).sum()) / len(differences))


def log_losses(p: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Log-loss of each probability."""
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return -np.where(outcome > 0, np.log(p), np.log1p(-p))
