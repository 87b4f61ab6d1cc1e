"""Daily looks: the sequential designs hold their error on skewed revenue with zeros, the fixed test does not."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.experiments.statistics.peeking import rejections


def revenue(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.lognormal(1, 1, shape) * (rng.random(shape) < 0.2)


def test_designs_hold_their_error_and_peeking_breaks_it() -> None:
    found = rejections(np.random.default_rng(3), revenue, runs=2_000, looks=14, units=250)
    assert found.fixed == pytest.approx(0.05, abs=3 * found.error)
    assert found.peeking > 0.15
    assert set(found.sequential) == {"obrien_fleming", "pocock", "power", "always_valid"}
    for share in found.sequential.values():
        assert share <= 0.05 + 3 * found.error


def test_designs_hold_their_error_on_totals_that_grow() -> None:
    found = rejections(np.random.default_rng(6), revenue, runs=1_000, looks=10, units=60, accrue=True)
    assert found.peeking > 0.15
    for share in found.sequential.values():
        assert share <= 0.05 + 3 * found.error


def test_designs_find_what_is_there() -> None:
    found = rejections(np.random.default_rng(4), revenue, runs=200, looks=5, units=800, lift=0.4)
    assert min(found.sequential.values()) > 0.7
    assert found.sequential["obrien_fleming"] <= found.peeking


def test_no_value_at_all_rejects_nothing() -> None:
    found = rejections(np.random.default_rng(5), lambda _, shape: np.zeros(shape), runs=3, looks=2, units=4)
    assert found.peeking == 0.0
