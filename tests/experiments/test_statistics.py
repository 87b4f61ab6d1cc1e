"""Statistics from sufficient statistics, held against scipy on the raw values and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recsys.experiments.statistics import (
    interval,
    mean_sample,
    ratio_sample,
    sample_ratio_p_value,
    welch_difference,
)

RNG = np.random.default_rng(7)


def sample_of(values: np.ndarray) -> object:
    return mean_sample(len(values), float(values.sum()), float((values**2).sum()))


def test_welch_equals_scipy() -> None:
    a, b = RNG.lognormal(1, 1, 500), RNG.lognormal(1.2, 1.5, 300)
    lift = welch_difference(sample_of(a), sample_of(b), 0.05)  # type: ignore[arg-type]
    expected = stats.ttest_ind(a, b, equal_var=False)
    ci = expected.confidence_interval(0.95)
    assert lift.value == pytest.approx(a.mean() - b.mean())
    assert (lift.low, lift.high) == pytest.approx((ci.low, ci.high))
    assert lift.p_value == pytest.approx(expected.pvalue)


def test_mean_interval_equals_scipy() -> None:
    a = RNG.normal(3, 2, 50)
    own = interval(sample_of(a), 0.1)  # type: ignore[arg-type]
    ci = stats.ttest_1samp(a, 0).confidence_interval(0.9)
    assert (own.low, own.high) == pytest.approx((ci.low, ci.high))


def test_delta_method_covers_the_true_ratio() -> None:
    covered = 0
    for _ in range(400):
        shown = RNG.poisson(8, 400) + 1
        rate = RNG.beta(2, 18, 400)  # users differ, so clicks within a user are not independent
        clicks = RNG.binomial(shown, rate)
        sums = (clicks.sum(), shown.sum(), (clicks**2).sum(), (shown**2).sum(), (clicks * shown).sum())
        sample = ratio_sample(400, *map(float, sums))
        assert sample is not None
        ci = interval(sample, 0.05)
        covered += ci.low <= 0.1 <= ci.high
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize("units", [0, 1])
def test_too_few_units_have_no_interval(units: int) -> None:
    assert mean_sample(units, 1.0, 1.0) is None
    assert ratio_sample(units, 1, 1, 1, 1, 1) is None


def test_ratio_without_denominator_is_none() -> None:
    assert ratio_sample(10, 0, 0, 0, 0, 0) is None


def test_constant_values_have_a_point_interval() -> None:
    sample = mean_sample(4, 8.0, 16.0)
    assert sample is not None
    assert interval(sample, 0.05).low == interval(sample, 0.05).high == 2.0


def test_sample_ratio_is_held_against_configured_weights() -> None:
    assert sample_ratio_p_value({"a": 500, "b": 500}, {"a": 0.5, "b": 0.5}) == pytest.approx(1.0)
    assert sample_ratio_p_value({"a": 500, "b": 500}, {"a": 0.4, "b": 0.6}) < 1e-6  # type: ignore[operator]
    assert sample_ratio_p_value({"a": 100}, {"a": 0.5, "b": 0.5}) < 1e-6  # type: ignore[operator]


def test_sample_ratio_drops_arms_without_weight() -> None:
    two = sample_ratio_p_value({"a": 530, "b": 470}, {"a": 0.5, "b": 0.5})
    with_empty = sample_ratio_p_value({"a": 530, "b": 470}, {"a": 0.5, "b": 0.5, "c": 0.0})
    assert two == with_empty
    assert sample_ratio_p_value({"a": 530, "b": 470, "c": 1}, {"a": 0.5, "b": 0.5, "c": 0.0}) == 0.0
    assert sample_ratio_p_value({}, {"a": 0.5, "b": 0.5}) is None
