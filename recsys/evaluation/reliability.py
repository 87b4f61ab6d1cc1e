"""Predicted against observed: calibration by bin, with intervals over users."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys.evaluation.bootstrap import intervals
from recsys.schema import ITEM_ID, USER_ID

BINS = 10
DRAWS = 400
PROMISED = (USER_ID, ITEM_ID, "p", "price", "outcome")
"""Columns of places, what they promised, and whether they were bought (0 or 1)."""


def reliability(pairs: pd.DataFrame, by: str, seed: int, bins: int = BINS) -> pd.DataFrame:
    """Mean prediction and observed share in ``bins`` bins of equal size, in rising order of column ``by``.

    Args:
        pairs: [user_id, p, outcome, and ``by``]; outcome 0 or 1.
        by: ``p`` for a reliability diagram (Niculescu-Mizil and Caruana 2005), ``price`` for price deciles.
        seed: of the bootstrap of the observed share.
        bins: number of bins; fewer where there are fewer pairs.

    Returns:
        [start, end, pairs, positives, predicted, observed, low, high]: the range of ``by``, counts, means, and the 95 %
        interval of the observed share.
    """
    ordered = pairs.sort_values([by, USER_ID], kind="stable")
    rows = []
    for part in np.array_split(np.arange(len(ordered)), max(1, min(bins, len(ordered)))):
        one = ordered.iloc[part]
        if one.empty:
            continue
        outcome = one["outcome"].to_numpy(np.float64)
        found = intervals(outcome[:, None], seed, users=one[USER_ID].to_numpy(object), draws=DRAWS)
        rows.append(
            {
                "start": float(one[by].iloc[0]),
                "end": float(one[by].iloc[-1]),
                "pairs": len(one),
                "positives": int(outcome.sum()),
                "predicted": float(one["p"].mean()),
                "observed": float(outcome.mean()),
                "low": float(found.low[0]),
                "high": float(found.high[0]),
            }
        )
    columns = ["start", "end", "pairs", "positives", "predicted", "observed", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def expected_calibration_error(bins: pd.DataFrame) -> float:
    """Mean distance of prediction and observation over the bins of ``reliability``, weighted by pairs (Naeini et al.
    2015); 0 for no bins."""
    if bins.empty:
        return 0.0
    return float(np.average((bins["predicted"] - bins["observed"]).abs(), weights=bins["pairs"]))


def calibration_of(promised: pd.DataFrame, seed: int) -> tuple[dict[str, object], float]:
    """Bins of ``promised`` (columns PROMISED) by promise and by price, as JSON has them, and the expected calibration
    error."""
    bins = {
        name: reliability(promised, by, seed) for name, by in (("by_probability", "p"), ("by_price", "price"))
    }
    told: dict[str, object] = {name: frame.to_dict("records") for name, frame in bins.items()}
    return told, expected_calibration_error(bins["by_probability"])
