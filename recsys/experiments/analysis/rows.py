"""Two arms given row by row: the comparison that suits their kind."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from recsys.experiments.statistics.compare import Comparison, Kind, compare
from recsys.experiments.statistics.moments import Moments

Floats = npt.NDArray[np.float64]


def compare_rows(
    kind: str,
    control: Floats,
    treatment: Floats,
    *,
    alpha: float,
    cuped: bool = False,
    winsorise: float | None = None,
) -> Comparison | None:
    """Compare two arms, each of shape (units, columns) with the columns of ``statistics.compare``.

    ``winsorise`` is the quantile of both arms together above which the first column (and, under CUPED, the covariate's
    numerator) counts as that quantile. None where an arm has fewer than two units or an empty denominator.
    """
    if winsorise is not None:
        control, treatment = _capped(kind, control, treatment, cuped, winsorise)
    arms = (Moments.of(*rows.T) for rows in (control, treatment))
    return compare(cast("Kind", kind), *arms, alpha=alpha, cuped=cuped)


def _capped(
    kind: str, control: Floats, treatment: Floats, cuped: bool, winsorise: float
) -> tuple[Floats, Floats]:
    first = {"mean": 1, "ratio": 2}.get(kind)
    if first is None:
        return control, treatment
    arms = control.copy(), treatment.copy()
    for column in (0, first) if cuped else (0,):
        cap = np.quantile(np.concatenate([control[:, column], treatment[:, column]]), winsorise)
        for rows in arms:
            np.minimum(rows[:, column], cap, out=rows[:, column])
    return arms
