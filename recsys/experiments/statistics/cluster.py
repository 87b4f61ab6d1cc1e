"""Experiments whose unit is a cluster: the clusters were drawn, so the clusters are what there are many or few of.

The estimate is the ratio sum(y) / sum(units) over clusters, whose delta-method variance is the cluster-robust sandwich
of a regression on the arm, with G / (G - 1) for the G clusters of an arm (Liang and Zeger, 1986; Deng, Lu and Qin,
2021, "The Equivalence of the Delta Method and the Cluster-Robust Variance Estimator").
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recsys.errors import ExperimentError
from recsys.experiments.statistics.compare import Comparison, compare
from recsys.experiments.statistics.moments import Floats, Moments

FEW_CLUSTERS = 30
"""With fewer clusters than this in an arm the interval holds the truth less often than it says; permute instead."""
_AT_ONCE = 2_000_000


def sums_by_cluster(clusters: npt.ArrayLike, *columns: npt.ArrayLike) -> tuple[Floats, ...]:
    """Sum columns of units, each of shape (units,), by cluster, each of shape (clusters,), in sorted order of clusters.

    Raises:
        ExperimentError: when the columns differ in length.

    Example:
        >>> sums_by_cluster(["a", "b", "a"], [1.0, 5.0, 2.0], [1.0, 1.0, 1.0])
        (array([3., 5.]), array([2., 1.]))
    """
    names, places = np.unique(np.asarray(clusters), return_inverse=True)
    values = [np.asarray(column, dtype=np.float64) for column in columns]
    for column in values:
        if column.shape != places.shape:
            raise ExperimentError(
                f"{len(places)} clusters and {column.shape} values: give one value per unit."
            )
    return tuple(np.bincount(places, column, len(names)).astype(np.float64) for column in values)


def compare_clusters(
    control: tuple[Floats, ...], treatment: tuple[Floats, ...], *, alpha: float, cuped: bool = False
) -> Comparison | None:
    """Cluster-robust comparison of a per-unit mean, or a ratio, of two arms of clusters.

    Args:
        control: sums by cluster, each of shape (clusters,): numerator and units (or denominator), then the covariate's.
        treatment: the same of the other arm.
        alpha: error probability.
        cuped: adjust by the covariate's sums.

    Returns:
        None with fewer than two clusters in an arm. ``n`` counts clusters, and so do the degrees of freedom.
    """
    found = compare("ratio", Moments.of(*control), Moments.of(*treatment), alpha=alpha, cuped=cuped)
    return found and _named(found, "cluster-robust")


@dataclass(frozen=True)
class Permutation:
    """P-value of a permutation test, over so many re-draws of the clusters' arms."""

    p_value: float
    redraws: int


def permutation_test(
    control: tuple[Floats, Floats],
    treatment: tuple[Floats, Floats],
    *,
    rng: np.random.Generator,
    redraws: int = 5_000,
) -> Permutation | None:
    """Draw the arms of the clusters again and count how often the difference is as far from 0 as it is.

    The difference is studentised, so the test holds its level for few clusters: exactly where the treatment does
    nothing at all, and nearly where only the means agree (Janssen, 1997; Chung and Romano, 2013).

    Args:
        control: numerator and denominator sums by cluster, each of shape (clusters,).
        treatment: the same of the other arm.
        rng: source of the draws.
        redraws: how many; the p-value is never below 1 / (redraws + 1).

    Returns:
        None with fewer than two clusters in an arm, or an empty denominator.
    """
    num, den = (np.concatenate([old, new]) for old, new in zip(control, treatment, strict=True))
    first, total = len(control[0]), len(num)
    if min(first, total - first) < 2 or not (control[1].sum() > 0 and treatment[1].sum() > 0):
        return None
    as_drawn = abs(_studentised(num, den, np.arange(total)[None, :], first)[0])
    passed, left = 0, redraws
    while left > 0:
        count = min(left, max(_AT_ONCE // total, 1))
        orders = rng.permuted(np.tile(np.arange(total), (count, 1)), axis=1)
        passed += int((np.abs(_studentised(num, den, orders, first)) >= as_drawn * (1 - 1e-12)).sum())
        left -= count
    return Permutation((passed + 1) / (redraws + 1), redraws)


def _studentised(num: Floats, den: Floats, orders: npt.NDArray[np.int64], first: int) -> Floats:
    """Difference over its standard error, for every row of ``orders`` whose first places are control's."""
    values, variances = [], []
    for part in (orders[:, :first], orders[:, first:]):
        y, d = num[part], den[part]
        below = d.sum(axis=1)
        ratio = np.divide(y.sum(axis=1), below, out=np.zeros(len(part)), where=below > 0)
        units = part.shape[1]
        spread = ((y - ratio[:, None] * d) ** 2).sum(axis=1) * units / (units - 1)
        values.append(ratio)
        variances.append(np.divide(spread, below**2, out=np.zeros(len(part)), where=below > 0))
    error = np.sqrt(variances[0] + variances[1])
    step = values[1] - values[0]
    return np.divide(step, error, out=np.where(step == 0, 0.0, np.copysign(np.inf, step)), where=error > 0)


def _named(found: Comparison, method: str) -> Comparison:
    return replace(found, method=found.method.replace("delta", method))
