"""Calibration where it matters: by decile of price and by kind of listing, and a gate over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import pandas as pd

from recsys.errors import ModelError

DECILES = 10
LEAST_EXPECTED = 20.0
"""Cells with fewer purchases, expected and observed, than this are not judged."""
TOLERANCE = 0.10
"""A cell may be off by this share of what is observed, and by chance on top."""
FAMILY_ERROR = 0.01
"""Chance that the gate stops a scorer that is within the tolerance in every cell (Bonferroni over the cells)."""
BANDS = (10.0, 30.0, 100.0)
"""Bounds of the price bands, in the marketplace's currency."""
COLUMNS = ["segment", "value", "pairs", "expected", "observed", "error", "noise"]


def price_decile_calibration(
    p: np.ndarray, outcome: np.ndarray, price: np.ndarray, users: np.ndarray | None = None
) -> pd.DataFrame:
    """Expected against observed purchases by decile of ``price``, cheapest first; all arrays [pairs].

    Returns [segment ('price_decile'), value ('1' to '10'), pairs, expected, observed, error, noise, low, high]:
    ``error`` is (expected - observed) / observed, NaN without a purchase; ``noise`` the standard error of ``expected -
    observed``, for whole ``users`` if they are given; ``low`` and ``high`` are the prices of the decile.

    Example:
        >>> frame = price_decile_calibration(np.full(20, 0.5), np.arange(20) % 2, np.arange(20.0))
        >>> frame["error"].abs().max()
        np.float64(0.0)
    """
    edges = np.quantile(price, np.linspace(0, 1, DECILES + 1))
    decile = np.searchsorted(edges[1:-1], price, side="right")
    frame = segment_calibration(p, outcome, {"price_decile": decile + 1}, users)
    place = frame["value"].astype(int).to_numpy()
    frame = frame.assign(low=edges[place - 1], high=edges[place])
    return frame.iloc[np.argsort(place)].reset_index(drop=True)


def segment_calibration(
    p: np.ndarray, outcome: np.ndarray, segments: Mapping[str, np.ndarray], users: np.ndarray | None = None
) -> pd.DataFrame:
    """Expected against observed purchases of every value of every segment: COLUMNS, as above."""
    p, outcome = p.astype(np.float64), outcome > 0
    rows = []
    who = None if users is None else np.unique(users, return_inverse=True)[1]
    for segment, values in segments.items():
        names, code = np.unique(np.asarray(values).astype(str), return_inverse=True)
        pairs = np.bincount(code)
        expected, observed = np.bincount(code, p), np.bincount(code, outcome)
        noise = np.sqrt(np.bincount(code, p * (1 - p)))
        if who is not None:
            noise = np.maximum(noise, _noise_of_users(code, who, p - outcome))
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(observed > 0, (expected - observed) / observed, np.nan)
        columns = (names, pairs, expected, observed.astype(int), error, noise)
        rows += [(segment, *cell) for cell in zip(*columns, strict=True)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _noise_of_users(code: np.ndarray, who: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Standard error of the sum of ``gap`` in each cell, if whole users are drawn by chance."""
    cells = int(code.max()) + 1
    pair, place = np.unique(who.astype(np.int64) * cells + code, return_inverse=True)
    sums = np.bincount(place, gap)
    return np.sqrt(np.bincount(pair % cells, sums**2, cells))


def segments_of(price: np.ndarray, seller_is_new: np.ndarray, category: np.ndarray) -> dict[str, np.ndarray]:
    """The segments that a scorer is judged in."""
    names = np.array([f"up to {bound:g}" for bound in BANDS] + [f"above {BANDS[-1]:g}"], dtype=object)
    return {
        "category": category,
        "price_band": names[np.searchsorted(BANDS, price)],
        "seller": np.where(seller_is_new, "new", "known"),
    }


def calibration_gate(cells: pd.DataFrame) -> None:
    """Refuse a scorer whose expected purchases are off, in some cell, by more than TOLERANCE and chance.

    ``cells``: COLUMNS, of pairs that the scorer has not seen. Cells with fewer than LEAST_EXPECTED purchases, whichever
    of expected and observed is more, are left out.

    Raises:
        ModelError: naming the cell that is furthest off, what was expected and observed, and the standard error.
    """
    judged = cells[cells[["expected", "observed"]].max(axis=1) >= LEAST_EXPECTED]
    if judged.empty:
        return
    bound = NormalDist().inv_cdf(1 - FAMILY_ERROR / (2 * len(judged)))
    gap = (judged["expected"] - judged["observed"]).abs()
    beyond = (gap - TOLERANCE * judged["observed"]) / judged["noise"]
    if beyond.max() <= bound:
        return
    cell = judged.iloc[int(beyond.to_numpy().argmax())]
    raise ModelError(
        f"Gate: in {cell['segment']} {cell['value']} the ranker expects {cell['expected']:.1f} purchases of "
        f"{cell['pairs']} pairs, and {cell['observed']} were made (standard error {cell['noise']:.1f}): off by more "
        f"than {TOLERANCE:.0%} and chance. The old champion stays."
    )
