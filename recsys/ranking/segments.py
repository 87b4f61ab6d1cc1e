"""Calibration where it matters: by decile of price and by kind of listing, and a gate over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import pandas as pd

from recsys.errors import ModelError
from recsys.features.shelf import Shelf

DECILES, THIRDS = 10, 3
LEAST_EXPECTED = 20.0
"""Cells with fewer purchases, expected and observed, than this are not judged."""
TOLERANCE = 0.10
"""A cell may be off by this share of what is observed, and by chance on top."""
FAMILY_ERROR = 0.01
"""Chance that the gate stops a scorer that is within the tolerance in every cell (Bonferroni over the cells)."""
BANDS = (10.0, 30.0, 100.0)
"""Bounds of the price bands, in the marketplace's currency."""
NEW_SELLER_DAYS = 30
COLUMNS = ["segment", "value", "pairs", "expected", "observed", "error", "noise"]


def price_decile_calibration(
    p: np.ndarray,
    outcome: np.ndarray,
    price: np.ndarray,
    users: np.ndarray | None = None,
    *,
    parts: int = DECILES,
) -> pd.DataFrame:
    """Expected against observed purchases by decile of ``price``, cheapest first; all arrays [pairs].

    Returns [segment ('price_decile'), value ('1' to '10'), pairs, expected, observed, error, noise, low, high]:
    ``error`` is (expected - observed) / observed, NaN without a purchase; ``noise`` the standard error of ``expected -
    observed``, for whole ``users`` if they are given; ``low`` and ``high`` are the prices of the decile. With THIRDS
    ``parts`` it is the same by third ('price_third').

    Example:
        >>> frame = price_decile_calibration(np.full(20, 0.5), np.arange(20) % 2, np.arange(20.0))
        >>> frame["error"].abs().max()
        np.float64(0.0)
    """
    edges = np.quantile(price, np.linspace(0, 1, parts + 1))
    part = np.searchsorted(edges[1:-1], price, side="right")
    name = "price_decile" if parts == DECILES else "price_third"
    frame = segment_calibration(p, outcome, {name: part + 1}, users)
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


def listed_as(shelf: Shelf, items: np.ndarray) -> dict[str, np.ndarray]:
    """Price, category and ``seller_is_new`` of the listings at shelf positions ``items``, by name."""
    return {
        "price": shelf.price[items],
        "category": shelf.category_ids.to_numpy(object)[shelf.category_code[items]],
        "seller_is_new": shelf.seller_days[items] < NEW_SELLER_DAYS,
    }


def segments_of(price: np.ndarray, seller_is_new: np.ndarray, category: np.ndarray) -> dict[str, np.ndarray]:
    """The segments that a scorer is judged in."""
    names = np.array([f"up to {bound:g}" for bound in BANDS] + [f"above {BANDS[-1]:g}"], dtype=object)
    return {
        "category": category,
        "price_band": names[np.searchsorted(BANDS, price)],
        "seller": np.where(seller_is_new, "new", "known"),
    }


def judge_segments(
    p: np.ndarray,
    outcome: np.ndarray,
    users: np.ndarray,
    *,
    price: np.ndarray,
    category: np.ndarray,
    seller_is_new: np.ndarray,
    may_refuse: bool = True,
) -> dict[str, float]:
    """The gate over price and segments of pairs that the scorer has not seen; all arrays [pairs].

    Where the mean decile of price has fewer than LEAST_EXPECTED purchases, thirds are judged.

    Returns:
        For the manifest: ``price_decile_error``, the mean error of the deciles; ``cells_judged``, how many were held to
        the gate, and ``price_cells_judged``, how many of those by price: none unless it ``may_refuse``.

    Raises:
        ModelError: a cell is off, see ``calibration_gate``.
    """
    deciles = price_decile_calibration(p, outcome, price, users)
    by_price = deciles
    if deciles["observed"].sum() < DECILES * LEAST_EXPECTED:
        by_price = price_decile_calibration(p, outcome, price, users, parts=THIRDS)
    kinds = segment_calibration(p, outcome, segments_of(price, seller_is_new, category), users)
    cells = large_enough(pd.concat([by_price[COLUMNS], kinds], ignore_index=True))
    judged = cells if may_refuse else cells.iloc[:0]
    calibration_gate(judged)
    error = (deciles["expected"] - deciles["observed"]).abs().sum() / max(deciles["observed"].sum(), 1)
    return {
        "price_decile_error": float(error),
        "cells_judged": float(len(judged)),
        "price_cells_judged": float(judged["segment"].isin(by_price["segment"]).sum()),
    }


def large_enough(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells with LEAST_EXPECTED purchases, whichever of expected and observed is more."""
    return cells[cells[["expected", "observed"]].max(axis=1) >= LEAST_EXPECTED]


def calibration_gate(cells: pd.DataFrame) -> None:
    """Refuse a scorer whose expected purchases are off, in some cell, by more than TOLERANCE and chance.

    ``cells``: COLUMNS, of pairs that the scorer has not seen; those that are not ``large_enough`` are left out.

    Raises:
        ModelError: naming the cell that is furthest off, what was expected and observed, and the standard error.
    """
    judged = large_enough(cells)
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
