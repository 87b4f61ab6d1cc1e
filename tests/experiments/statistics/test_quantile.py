"""Quantiles against numpy, and their bootstrap against one that really resamples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recsys.errors import ExperimentError
from recsys.experiments.statistics.quantile import Values, compare_quantiles

QUANTILES = st.sampled_from([0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), QUANTILES)
def test_quantiles_equal_numpy(values: list[float], q: float) -> None:
    assert Values.of(values).quantile(q) == pytest.approx(np.quantile(values, q), rel=1e-9, abs=1e-9)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.5]), st.integers(0, 5)), min_size=1, max_size=9),
    QUANTILES,
)
def test_counts_serve_as_values_do(rows: list[tuple[float, int]], q: float) -> None:
    values, counts = zip(*rows, strict=True)
    if sum(counts):
        found = Values.from_counts(values, counts)
        assert found.units == sum(counts)
        assert found.quantile(q) == pytest.approx(np.quantile(np.repeat(values, counts), q))


@pytest.mark.parametrize("q", [0.05, 0.5, 0.9])
def test_it_resamples_without_resampling(q: float) -> None:
    rng = np.random.default_rng(8)
    values = rng.lognormal(0, 1, 301)
    found = Values.of(values).resampled(q, rng, 4_000)
    resampled = np.quantile(rng.choice(values, (4_000, 301)), q, axis=1)
    assert stats.ks_2samp(found, resampled).pvalue > 0.001
    assert found.std() == pytest.approx(resampled.std(), rel=0.08)


@pytest.mark.parametrize(("q", "units"), [(0.5, 400), (0.9, 1_000)])
def test_replicates_spread_as_quantiles_of_samples_do(q: float, units: int) -> None:
    rng = np.random.default_rng(10)
    samples = [Values.of(rng.lognormal(3, 1, units)) for _ in range(2_500)]
    found = np.mean([sample.replicates(q, rng, 200).var(ddof=1) for sample in samples])
    rough = np.mean([sample.resampled(q, rng, 200).var(ddof=1) for sample in samples])
    true = np.concatenate(
        [np.quantile(rng.lognormal(3, 1, (1_000, units)), q, axis=1) for _ in range(20)]
    ).var()
    assert abs(found - true) < 0.6 * abs(rough - true)
    assert found == pytest.approx(true, rel=0.04)


def test_lumps_stay_where_they_are() -> None:
    values = Values.of(np.random.default_rng(11).poisson(4, 4_001))
    assert set(values.replicates(0.5, np.random.default_rng(12))) <= set(values.values)


def test_the_interval_covers_and_the_test_holds_its_level() -> None:
    rng, covered, rejected = np.random.default_rng(9), 0, 0
    true = np.exp(stats.norm.ppf(0.9)) * 0.2
    for _ in range(400):
        old, new = rng.lognormal(0, 1, 400), 1.2 * rng.lognormal(0, 1, 300)
        found = compare_quantiles(Values.of(old), Values.of(new), 0.9, alpha=0.05, rng=rng, replicates=1_000)
        same = compare_quantiles(
            Values.of(old), Values.of(new / 1.2), 0.9, alpha=0.05, rng=rng, replicates=1_000
        )
        assert found is not None and same is not None
        covered += found.low <= true <= found.high
        rejected += same.p_value < 0.05
    assert 0.92 <= covered / 400 <= 0.98
    assert 0.02 <= rejected / 400 <= 0.08


def test_relative_lift_has_its_interval() -> None:
    rng = np.random.default_rng(10)
    old, new = Values.of(rng.lognormal(0, 1, 2_000)), Values.of(1.3 * rng.lognormal(0, 1, 2_000))
    found = compare_quantiles(old, new, 0.5, alpha=0.05, rng=rng)
    assert found is not None and found.relative_low is not None and found.relative_high is not None
    assert found.relative_low < 0.3 < found.relative_high
    assert found.relative == pytest.approx(new.quantile(0.5) / old.quantile(0.5) - 1)
    assert (found.low > 0) == (found.relative_low > 0)


def test_the_same_seed_gives_the_same_result() -> None:
    arms = Values.of([1.0, 2.0, 5.0]), Values.of([2.0, 2.0, 9.0])
    first, again = (compare_quantiles(*arms, 0.5, alpha=0.05, rng=np.random.default_rng(1)) for _ in range(2))
    assert first == again


def test_most_zeros_have_no_relative_lift() -> None:
    arms = Values.of([0.0] * 9 + [1.0]), Values.of([0.0] * 9 + [2.0])
    found = compare_quantiles(*arms, 0.5, alpha=0.05, rng=np.random.default_rng(1))
    assert found is not None
    assert (found.difference, found.p_value, found.relative) == (0.0, 1.0, None)


def test_what_cannot_be_compared_is_named() -> None:
    rng = np.random.default_rng(1)
    assert compare_quantiles(Values.of([1.0]), Values.of([1.0, 2.0]), 0.5, alpha=0.05, rng=rng) is None
    with pytest.raises(ExperimentError, match="quantile is 90"):
        compare_quantiles(Values.of([1.0, 2.0]), Values.of([1.0, 2.0]), 90, alpha=0.05, rng=rng)
    with pytest.raises(ExperimentError, match="missing or infinite"):
        Values.of([1.0, np.nan])
    with pytest.raises(ExperimentError, match="-1 units"):
        Values.from_counts([1.0], [-1])
    for nothing in (Values.of([]), Values.from_counts([1.0], [0])):
        for ask in (
            lambda values: values.quantile(0.9),
            lambda values: values.replicates(0.9, rng),
            lambda values: values.standard_error(0.9, 100),
        ):
            with pytest.raises(ExperimentError, match="No unit has a value"):
                ask(nothing)
