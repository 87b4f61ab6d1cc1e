"""P-values of several arms and metrics, adjusted for how many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from recsys.experiments.statistics.moments import Floats


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted after Holm (1979): any false rejection has a chance of at most alpha, whatever depends on what.

    None (nothing was compared) stays None and does not count.

    Example:
        >>> holm([0.01, None, 0.04, 0.03])
        [0.03, None, 0.06, 0.06]
    """
    return _over_known(p_values, _holm)


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted after Benjamini and Hochberg (1995): on average at most a share alpha of rejections is false.

    It asks for independent or positively dependent tests, as metrics of one experiment mostly are. None stays None.

    Example:
        >>> benjamini_hochberg([0.01, None, 0.04, 0.03])
        [0.03, None, 0.04, 0.04]
    """
    return _over_known(p_values, stats.false_discovery_control)


def _holm(p_values: Floats) -> Floats:
    order = np.argsort(p_values, kind="stable")
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def _over_known(p_values: Sequence[float | None], adjust: Callable[[Floats], Floats]) -> list[float | None]:
    known = [place for place, value in enumerate(p_values) if value is not None and not np.isnan(value)]
    adjusted: list[float | None] = [None] * len(p_values)
    if known:
        values = adjust(np.array([p_values[place] for place in known], dtype=np.float64))
        for place, value in zip(known, values.tolist(), strict=True):
            adjusted[place] = value
    return adjusted
