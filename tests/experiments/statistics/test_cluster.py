"""Cluster-robust figures against a regression by statsmodels, permutations against all that there are."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ExperimentError
from recsys.experiments.statistics import (
    Moments,
    compare,
    compare_clusters,
    permutation_test,
    sums_by_cluster,
)

SEEDS = st.integers(0, 2**32 - 1)


def arm(rng: np.random.Generator, clusters: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of units, and their values: units of a cluster are alike."""
    names = np.repeat(np.arange(clusters), rng.integers(2, 40, clusters))
    return names, rng.normal(5, spread, clusters)[names] + rng.normal(0, 2, len(names))


def sums(names: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, ...]:
    return sums_by_cluster(names, values, np.ones(len(values)))


@settings(max_examples=30)
@given(SEEDS, st.integers(3, 20), st.integers(3, 20))
def test_equal_a_regression_with_clustered_errors(seed: int, g0: int, g1: int) -> None:
    rng = np.random.default_rng(seed)
    (names0, old), (names1, new) = arm(rng, g0), arm(rng, g1)
    found = compare_clusters(sums(names0, old), sums(names1, new), alpha=0.05)
    assert found is not None
    assert found.difference == pytest.approx(new.mean() - old.mean(), rel=1e-9, abs=1e-9)
    variance = 0.0
    for names, values, groups in ((names0, old, g0), (names1, new, g1)):
        fit = sm.OLS(values, np.ones(len(values))).fit(
            cov_type="cluster", cov_kwds={"groups": names, "use_correction": False}
        )
        variance += fit.bse[0] ** 2 * groups / (groups - 1)
    assert found.variance == pytest.approx(variance, rel=1e-9)
    assert (found.n, found.method) == (g1, "cluster-robust, fieller")


def test_intervals_cover_where_those_of_units_do_not() -> None:
    rng, covered, naive = np.random.default_rng(31), 0, 0
    for _ in range(400):
        (names0, old), (names1, new) = arm(rng, 40), arm(rng, 40)
        found = compare_clusters(sums(names0, old), sums(names1, new), alpha=0.05)
        units = compare("mean", Moments.of(old), Moments.of(new), alpha=0.05)
        assert found is not None and units is not None
        covered += found.low <= 0 <= found.high
        naive += units.low <= 0 <= units.high
    assert 0.92 <= covered / 400 <= 0.98
    assert naive / 400 < 0.75


def test_a_covariate_takes_away_what_clusters_always_had() -> None:
    rng = np.random.default_rng(32)
    arms = []
    for _ in range(2):
        level, size = rng.normal(5, 2, 30), rng.integers(10, 30, 30).astype(float)
        before, after = (size * (level + rng.normal(0, 0.3, 30)) for _ in range(2))
        arms.append((after, size, before, size))
    plain = compare_clusters(*arms, alpha=0.05)
    adjusted = compare_clusters(*arms, alpha=0.05, cuped=True)
    assert plain is not None and adjusted is not None
    assert adjusted.variance < plain.variance / 5
    assert adjusted.method == "cluster-robust cuped, fieller"


def test_permutations_equal_all_there_are() -> None:
    rng = np.random.default_rng(33)
    num, den = rng.normal(10, 3, 8), rng.integers(5, 9, 8).astype(float)
    num[4:] += 4

    def studentised(first: tuple[int, ...]) -> float:
        parts = [np.array(first), np.array([place for place in range(8) if place not in first])]
        found = compare("ratio", *(Moments.of(num[part], den[part]) for part in parts), alpha=0.05)
        assert found is not None
        return abs(found.difference) / math.sqrt(found.variance)

    drawn = studentised((0, 1, 2, 3))
    expected = np.mean([studentised(first) >= drawn - 1e-9 for first in itertools.combinations(range(8), 4)])
    found = permutation_test((num[:4], den[:4]), (num[4:], den[4:]), rng=rng, redraws=20_000)
    assert found is not None
    assert found.p_value == pytest.approx(expected, abs=0.012)


def test_permutations_hold_their_level_with_few_clusters_of_unlike_size() -> None:
    rng, rejected = np.random.default_rng(34), 0
    for _ in range(300):
        den = rng.lognormal(3, 1, 12)
        num = den * rng.lognormal(0, 0.5, 12)
        found = permutation_test((num[:6], den[:6]), (num[6:], den[6:]), rng=rng, redraws=199)
        assert found is not None
        rejected += found.p_value <= 0.05
    assert rejected / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_too_few_clusters_have_no_result() -> None:
    one, two = (np.ones(1), np.ones(1)), (np.ones(2), np.ones(2))
    rng = np.random.default_rng(1)
    assert compare_clusters(one, two, alpha=0.05) is None
    assert permutation_test(one, two, rng=rng) is None
    assert permutation_test((np.ones(2), np.zeros(2)), two, rng=rng) is None
    same = permutation_test(two, two, rng=rng, redraws=9)
    assert same is not None and same.p_value == 1.0


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ExperimentError, match="one value per unit"):
        sums_by_cluster(["a", "b"], [1.0])
