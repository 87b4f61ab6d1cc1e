"""One cap for all arms: money has a heavy tail, and a cap of its own per arm would hide or make a difference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.errors import ExperimentError
from recsys.experiments.statistics.moments import Floats


def pooled_cap(arms: Sequence[Floats], quantile: float, weights: Sequence[float] | None = None) -> float:
    """Quantile of the values of all arms together, each of shape (units,): the smallest value that reaches it.

    Args:
        arms: values of each arm.
        quantile: share of the units that stay below the cap or on it.
        weights: how much a unit of each arm counts; all the same without.

    Raises:
        ExperimentError: the quantile is not in (0, 1], or there is no value.

    Example:
        >>> pooled_cap([np.array([0.0, 1.0, 2.0]), np.array([3.0, 90.0])], 0.8)
        3.0
    """
    if not 0 < quantile <= 1:
        raise ExperimentError(
            f"The winsorisation quantile is {quantile}; it has to lie in 0..1, usually 0.99 or more."
        )
    values = np.concatenate(list(arms))
    if not len(values):
        raise ExperimentError("No unit to winsorise; give at least one value.")
    if weights is None:
        return float(np.quantile(values, quantile, method="inverted_cdf"))
    share = np.concatenate([np.full(len(arm), weight) for arm, weight in zip(arms, weights, strict=True)])
    return float(np.quantile(values, quantile, method="inverted_cdf", weights=share))


def winsorise(arms: Sequence[Floats], quantile: float) -> list[Floats]:
    """Set all values above the pooled cap to it (Dixon, 1960, after C. P. Winsor), at the upper end only."""
    cap = pooled_cap(arms, quantile)
    return [np.minimum(arm, cap) for arm in arms]
