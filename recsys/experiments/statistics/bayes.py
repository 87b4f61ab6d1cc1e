"""A Bayesian view beside the tests: how likely each arm is best, and what choosing it is expected to cost.

With a flat prior the posterior of an arm's value is its sampling distribution: Student's t for means and ratios, and
for proportions Beta(1 + x, 1 + n - x). Both figures are integrals over these, computed and not simulated, so a rebuild
gives the same bytes. They do not replace the test: a probability of 0.95 that is read every day is passed by chance far
more often than one time in twenty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from recsys.errors import ExperimentError
from recsys.experiments.statistics.compare import Estimate, Kind
from recsys.experiments.statistics.moments import Floats

_KNOTS = np.concatenate([10.0 ** np.arange(-30, -2), np.linspace(0.01, 0.5, 26)])
"""So far out that a chance of one in a million, under tails as heavy as t's with 3 degrees, keeps its digits."""
_PANEL, _PANEL_WEIGHTS = np.polynomial.legendre.leggauss(12)


@dataclass(frozen=True)
class Posterior:
    """One arm: the probability that it is best, and the expected loss of choosing it, in units of the metric."""

    probability_best: float
    expected_loss: float


def best_arm(
    kind: Kind, arms: Mapping[str, Estimate], *, direction: Literal["up", "down"] = "up"
) -> dict[str, Posterior]:
    """Probability to be best and expected loss E[best] - E[this arm] of every arm.

    Args:
        kind: of the metric; proportions get Beta posteriors.
        arms: each arm's own estimate. An arm without variance stands for a point.
        direction: "up" where more is better.

    Raises:
        ExperimentError: when there is no arm.

    Example:
        >>> a, b = Estimate(1000, 1.0, 0.9, 1.1, 0.0025, 999), Estimate(1000, 1.1, 1.0, 1.2, 0.0025, 999)
        >>> found = best_arm("mean", {"a": a, "b": b})
        >>> round(found["b"].probability_best, 3), round(found["b"].expected_loss, 4)
        (0.921, 0.0025)
    """
    if not arms:
        raise ExperimentError("No arm to choose from; give at least one estimate.")
    posteriors = [_posterior(kind, arm) for arm in arms.values()]
    nodes, weights = _quadrature(posteriors)
    density, worse, better = (
        np.array([getattr(posterior, name)(nodes) for posterior in posteriors])
        for name in (("pdf", "cdf", "sf") if direction == "up" else ("pdf", "sf", "cdf"))
    )
    behind, passed = (
        np.ones_like(density),
        np.zeros_like(density),
    )  # no other, or some other, is better than x
    for other in range(len(posteriors)):
        for place in range(len(posteriors)):
            if place != other:
                passed[place] += behind[place] * better[other]
                behind[place] *= worse[other]
    best = (density * behind) @ weights
    best /= best.sum()
    losses = (worse * passed) @ weights
    return {
        name: Posterior(float(chance), float(loss))
        for name, chance, loss in zip(arms, best, losses, strict=True)
    }


def _posterior(kind: Kind, arm: Estimate) -> Any:
    if kind == "proportion":
        successes = arm.mean * arm.n
        return stats.beta(1 + successes, 1 + arm.n - successes)
    scale = math.sqrt(arm.variance) or max(abs(arm.mean), 1.0) * 1e-9
    if math.isinf(arm.degrees):
        return stats.norm(arm.mean, scale)
    return stats.t(max(arm.degrees, 3.0), arm.mean, scale)  # with less, no expectation is sure to exist


def _quadrature(posteriors: list[Any]) -> tuple[Floats, Floats]:
    """Nodes and weights between the quantiles of all arms, so that the narrowest posterior is still met."""
    knots = np.unique(np.concatenate([f(_KNOTS) for p in posteriors for f in (p.ppf, p.isf)]))
    half = np.diff(knots) / 2
    nodes = (knots[:-1, None] + half[:, None] * (1 + _PANEL)).ravel()
    return nodes, (half[:, None] * _PANEL_WEIGHTS).ravel()
