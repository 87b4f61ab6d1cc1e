"""One cap for all arms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ExperimentError
from recsys.experiments.statistics.winsorise import pooled_cap, winsorise

ARM = st.lists(st.floats(0, 1e6), min_size=1, max_size=40).map(np.array)
QUANTILES = st.sampled_from([0.5, 0.9, 0.99, 1.0])


@given(ARM, ARM, QUANTILES)
def test_the_cap_is_the_smallest_value_that_reaches_the_quantile(
    a: np.ndarray, b: np.ndarray, q: float
) -> None:
    cap, both = pooled_cap([a, b], q), np.concatenate([a, b])
    assert cap in both
    assert (both <= cap).mean() >= q - 1e-12
    assert (both < cap).mean() < q
    assert cap == pooled_cap([b, a], q)


@given(ARM, ARM, QUANTILES)
def test_only_what_is_above_the_cap_changes(a: np.ndarray, b: np.ndarray, q: float) -> None:
    cap = pooled_cap([a, b], q)
    for before, after in zip((a, b), winsorise([a, b], q), strict=True):
        assert (after == np.where(before > cap, cap, before)).all()


def test_weights_stand_for_units_that_are_not_there() -> None:
    a, b = np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0])
    assert pooled_cap([a, b], 0.8, [9.0, 1.0]) == pooled_cap([np.tile(a, 9), b], 0.8)
    assert pooled_cap([a, b], 0.5, [1.0, 1.0]) == pooled_cap([a, b], 0.5)


def test_impossible_caps_are_refused() -> None:
    with pytest.raises(ExperimentError, match="quantile is 99"):
        pooled_cap([np.ones(3)], 99)
    with pytest.raises(ExperimentError, match="No unit"):
        pooled_cap([np.empty(0)], 0.99)
