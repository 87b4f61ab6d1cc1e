"""The sample ratio is held against configured weights."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recsys.experiments.statistics import sample_ratio_p_value


@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(0.05, 0.95))
def test_two_arms_equal_the_square_of_a_z(a: int, b: int, weight: float) -> None:
    found = sample_ratio_p_value({"a": a, "b": b}, {"a": weight, "b": 1 - weight})
    z = (a - (a + b) * weight) / ((a + b) * weight * (1 - weight)) ** 0.5
    assert found == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)


def test_arms_without_weight_are_dropped() -> None:
    two = sample_ratio_p_value({"a": 530, "b": 470}, {"a": 0.5, "b": 0.5})
    with_empty = sample_ratio_p_value({"a": 530, "b": 470}, {"a": 0.5, "b": 0.5, "c": 0.0})
    assert two == with_empty


def test_a_unit_where_none_belongs_is_a_mismatch() -> None:
    assert sample_ratio_p_value({"a": 530, "b": 470, "c": 1}, {"a": 0.5, "b": 0.5, "c": 0.0}) == 0.0
    assert sample_ratio_p_value({"a": 530, "b": 470, "c": 1}, {"a": 0.5, "b": 0.5}) == 0.0


def test_an_arm_without_units_counts_as_empty() -> None:
    found = sample_ratio_p_value({"a": 100}, {"a": 0.5, "b": 0.5})
    assert found is not None and found < 1e-6


def test_nothing_to_compare_is_none() -> None:
    assert sample_ratio_p_value({}, {"a": 0.5, "b": 0.5}) is None
    assert sample_ratio_p_value({"a": 3}, {"a": 1.0}) is None
