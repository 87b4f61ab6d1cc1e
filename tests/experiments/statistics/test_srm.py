"""The sample ratio is held against configured weights."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

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


@given(st.lists(st.tuples(st.integers(1, 3000), st.floats(0.1, 10)), min_size=3, max_size=7))
def test_several_arms_equal_scipy_and_pearsons_sum(arms: list[tuple[int, float]]) -> None:
    assert_equals_pearson([count for count, _ in arms], [weight for _, weight in arms])


@given(st.integers(0, 2**32 - 1), st.lists(st.floats(0.05, 1), min_size=3, max_size=7), st.integers(1, 10**6))
def test_arms_that_were_drawn_by_their_weights_equal_scipy(
    seed: int, weights: list[float], units: int
) -> None:
    drawn = np.random.default_rng(seed).multinomial(units, np.array(weights) / sum(weights))
    assert_equals_pearson(drawn.tolist(), weights)


def assert_equals_pearson(counts: list[int], weights: list[float]) -> None:
    """The sum in exact fractions; its tail from the incomplete gamma function and from scipy's own test."""
    names = [f"arm {place}" for place in range(len(counts))]
    found = sample_ratio_p_value(
        dict(zip(names, counts, strict=True)), {**dict(zip(names, weights, strict=True)), "none": 0.0}
    )
    total = sum(map(Fraction, weights))
    expected = [sum(counts) * Fraction(weight) / total for weight in weights]
    pearson = sum((count - e) ** 2 / e for count, e in zip(counts, expected, strict=True))
    by_hand = special.gammaincc((len(counts) - 1) / 2, float(pearson) / 2)
    shares = np.array(weights) / math.fsum(weights)
    by_scipy = stats.chisquare(counts, sum(counts) * shares).pvalue
    assert found == pytest.approx(by_hand, rel=1e-9, abs=1e-290)
    assert found == pytest.approx(by_scipy, rel=1e-9, abs=1e-290)
