"""Moments against numpy on the raw values, for any split and any values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ExperimentError
from recsys.experiments.statistics import Moments

SEEDS = st.integers(0, 2**32 - 1)


def table(seed: int, units: int, columns: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = rng.lognormal(0, 1, (units, columns)) @ rng.normal(0, 1, (columns, columns))
    return mixed + rng.normal(0, 10, columns)


@given(SEEDS, st.integers(2, 60))
def test_equal_numpy(seed: int, units: int) -> None:
    values = table(seed, units)
    found = Moments.of(*values.T)
    assert found.units == units
    assert found.mean == pytest.approx(values.mean(axis=0), rel=1e-9)
    assert found.covariance == pytest.approx(np.cov(values.T), rel=1e-9)


@given(SEEDS, st.integers(2, 60))
def test_from_sums_equal_the_raw_values(seed: int, units: int) -> None:
    values = table(seed, units)
    found = Moments.from_sums(units, values.sum(axis=0), values.T @ values)
    assert found.covariance == pytest.approx(np.cov(values.T), rel=1e-9, abs=1e-10)


@given(SEEDS, st.integers(0, 30), st.integers(0, 30), st.integers(1, 30))
def test_parts_merge_to_the_whole(seed: int, first: int, second: int, third: int) -> None:
    values = table(seed, first + second + third)
    parts = np.split(values, [first, first + second])
    a, b, c = (Moments.of(*part.T) for part in parts)
    whole = Moments.of(*values.T)
    for merged in ((a + b) + c, c + (b + a)):
        assert merged.units == whole.units
        assert merged.mean == pytest.approx(whole.mean, rel=1e-9)
        assert merged.cross == pytest.approx(whole.cross, rel=1e-9, abs=1e-9)


def test_a_constant_column_has_no_variance_left_by_rounding() -> None:
    found = Moments.from_sums(3, [0.3 * 3], [[0.3**2 * 3 + 1e-17]])
    assert found.cross.tolist() == [[0.0]]


def test_scaled_keeps_mean_and_covariance() -> None:
    values = table(1, 40)
    found = Moments.of(*values.T).scaled(1000)
    assert found.units == 1000
    assert found.covariance == pytest.approx(np.cov(values.T))


@settings(max_examples=20)
@given(st.sampled_from([np.nan, np.inf, -np.inf]))
def test_missing_values_are_refused(value: float) -> None:
    with pytest.raises(ExperimentError, match="missing or infinite"):
        Moments.of([1.0, value])
    with pytest.raises(ExperimentError, match="not finite"):
        Moments.from_sums(2, [value], [[1.0]])


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ExperimentError, match="one value per unit"):
        Moments.of([1.0, 2.0], [1.0])
    with pytest.raises(ExperimentError, match="square of products"):
        Moments.from_sums(2, [1.0, 2.0], [[1.0]])
