"""Bootstrap intervals of means, whole users drawn with replacement; several metrics at once, no loop over draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from recsys.errors import ModelError

DRAWS = 2_000
CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Intervals:
    """Means and the ends of their intervals, float64 [metrics] each."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def intervals(
    values: np.ndarray,
    seed: int,
    *,
    users: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    confidence: float = 0.95,
    draws: int = DRAWS,
    method: str = "bca",
) -> Intervals:
    """Bootstrap intervals of the mean of each column of ``values`` [rows, metrics]; users are drawn, not rows.

    ``percentile`` takes the quantiles of the drawn means; ``bca`` corrects them for bias and skew (Efron 1987, with
    the jackknife over users as its acceleration), which matters for revenue. Where a column never varies both ends are
    the mean itself.

    Args:
        values: one row per user and occasion.
        seed: of the draws; the same seed draws the same users, whatever the values.
        users: user of each row; None: every row is a user of its own.
        weights: weight of each row in the mean; None: 1.
        confidence: share of such intervals that hold the truth, approximately.
        draws: bootstrap draws.
        method: ``bca`` or ``percentile``.

    Raises:
        ModelError: no rows, or an unknown method.

    Example:
        >>> found = intervals(np.array([[0.0], [1.0], [1.0], [2.0]]), seed=1)
        >>> float(found.value[0]), bool(found.low[0] < 1.0 < found.high[0])
        (1.0, True)
    """
    if method not in ("bca", "percentile"):
        raise ModelError(f"No bootstrap method {method!r}. Known: bca, percentile.")
    if not len(values):
        raise ModelError("An interval needs at least one user; none was judged.")
    sums, counts = _by_user(np.asarray(values, np.float64), users, weights)
    value = sums.sum(axis=0) / counts.sum()
    drawn = _draw(sums, counts, draws, np.random.default_rng(seed))
    tail = (1.0 - confidence) / 2.0
    levels = np.tile([[tail], [1.0 - tail]], (1, len(value)))
    if method == "bca":
        levels = _corrected(levels, value, drawn, sums, counts)
    drawn.sort(axis=0)
    low, high = (_quantile(drawn, level) for level in levels)
    flat = drawn[0] == drawn[-1]
    return Intervals(value, np.where(flat, value, low), np.where(flat, value, high))


def _by_user(
    values: np.ndarray, users: np.ndarray | None, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted sums [users, metrics] and weights [users]."""
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    weighted = values * weight[:, None]
    if users is None:
        return weighted, weight
    codes = pd.factorize(users)[0]
    n = int(codes.max()) + 1
    sums = np.column_stack([np.bincount(codes, column, n) for column in weighted.T])
    return sums, np.bincount(codes, weight, n)


def _draw(sums: np.ndarray, counts: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Means of ``draws`` samples of as many users, [draws, metrics]."""
    n, parts = len(counts), []
    size = max(1, CELLS_AT_ONCE // n)
    even = np.full(n, 1.0 / n)
    for start in range(0, draws, size):
        times = rng.multinomial(n, even, size=min(size, draws - start)).astype(np.float64)
        parts.append((times @ sums) / np.maximum(times @ counts, 1e-300)[:, None])
    return np.concatenate(parts)


def _corrected(
    levels: np.ndarray, value: np.ndarray, drawn: np.ndarray, sums: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """The quantiles of ``drawn`` to take instead of ``levels`` [2, metrics], by Efron 1987, equations 3.9 and 4.4."""
    n = len(counts)
    if n < 2:
        return levels
    below = ((drawn < value).sum(axis=0) + 0.5 * (drawn == value).sum(axis=0)) / len(drawn)
    bias = norm.ppf(np.clip(below, 0.5 / len(drawn), 1.0 - 0.5 / len(drawn)))
    rest = np.maximum(counts.sum() - counts, 1e-300)[:, None]
    without = (sums.sum(axis=0) - sums) / rest
    off = without.mean(axis=0) - without
    spread = (off**2).sum(axis=0)
    skew = (off**3).sum(axis=0) / np.maximum(6.0 * spread**1.5, 1e-300)
    z = norm.ppf(levels) + bias
    return np.asarray(norm.cdf(bias + z / (1.0 - skew * z)))


def _quantile(ordered: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The quantile ``levels[j]`` of each ordered column j, linear between draws."""
    place = np.clip(levels, 0.0, 1.0) * (len(ordered) - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, len(ordered) - 1)
    columns = np.arange(ordered.shape[1])
    return ordered[low, columns] + (place - low) * (ordered[high, columns] - ordered[low, columns])
