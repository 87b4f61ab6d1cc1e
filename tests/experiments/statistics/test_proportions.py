"""Proportions against statsmodels, and against likelihoods maximised by brute force."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportions_ztest

from recsys.experiments.statistics import Moments, compare, estimate, proportions

COUNTS = st.integers(2, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
INNER = st.integers(5, 3000).flatmap(lambda n: st.tuples(st.integers(1, n - 1), st.just(n)))


def moments(x: int, n: int) -> Moments:
    return Moments.from_sums(n, [x], [[x]])


@given(INNER, INNER)
def test_p_value_equals_statsmodels(old: tuple[int, int], new: tuple[int, int]) -> None:
    found = compare("proportion", moments(*old), moments(*new), alpha=0.05)
    assert found is not None
    p_value = proportions_ztest([new[0], old[0]], [new[1], old[1]])[1]
    assert found.p_value == pytest.approx(p_value, rel=1e-9)


@given(INNER.filter(lambda pair: pair[1] > 100), INNER.filter(lambda pair: pair[1] > 100))
def test_relative_interval_equals_statsmodels(old: tuple[int, int], new: tuple[int, int]) -> None:
    found = compare("proportion", moments(*old), moments(*new), alpha=0.05)
    assert found is not None and found.relative_low is not None and found.relative_high is not None
    low, high = confint_proportions_2indep(*new, *old, method="score", correction=False, compare="ratio")
    ends = (found.relative_low + 1, found.relative_high + 1)
    assert ends == pytest.approx((low, high), rel=1e-4, abs=1e-4)  # as far as its search goes


def score(old: tuple[int, int], new: tuple[int, int], factor: float, shift: float) -> float:
    """Statistic of p1 = factor p0 + shift, with the likeliest p0 found by bisection of the likelihood's slope."""
    (x0, n0), (x1, n1) = old, new

    def part(count: int, share: float) -> float:
        return count / max(share, 1e-15) if count else 0.0

    def slope(p: float) -> float:
        q = factor * p + shift
        return factor * (part(x1, q) - part(n1 - x1, 1 - q)) + part(x0, p) - part(n0 - x0, 1 - p)

    low, high = max(0.0, -shift / factor), min(1.0, (1 - shift) / factor)
    edge = (high - low) * 1e-13
    if slope(low + edge) <= 0:
        p = low
    elif slope(high - edge) >= 0:
        p = high
    else:
        p = optimize.brentq(slope, low + edge, high - edge, xtol=1e-16, rtol=1e-14)
    q = min(max(factor * p + shift, 0.0), 1.0)
    variance = factor**2 * p * (1 - p) / n0 + q * (1 - q) / n1
    return (x1 / n1 - factor * x0 / n0 - shift) / math.sqrt(variance)


@given(COUNTS, COUNTS, st.sampled_from([0.01, 0.05, 0.2]))
def test_interval_ends_are_the_differences_the_test_just_rejects(
    old: tuple[int, int], new: tuple[int, int], alpha: float
) -> None:
    found = compare("proportion", moments(*old), moments(*new), alpha=alpha)
    assert found is not None
    limit = stats.norm.ppf(1 - alpha / 2)
    assert found.low <= found.difference <= found.high
    for end, bound in ((found.low, limit), (found.high, -limit)):
        if abs(end) < 1 - 1e-8:  # the statistic falls as the difference rises
            assert score(old, new, 1.0, end - 1e-9) > bound > score(old, new, 1.0, end + 1e-9)
    assert (found.p_value < alpha) == (not found.low <= 0 <= found.high)


@given(INNER, COUNTS, st.sampled_from([0.01, 0.05, 0.2]))
def test_relative_ends_are_the_lifts_the_test_just_rejects(
    old: tuple[int, int], new: tuple[int, int], alpha: float
) -> None:
    found = compare("proportion", moments(*old), moments(*new), alpha=alpha)
    assert found is not None and found.relative_low is not None and found.relative_high is not None
    limit = stats.norm.ppf(1 - alpha / 2)
    for lift, bound in ((found.relative_low, limit), (found.relative_high, -limit)):
        if lift > -1:
            times = 1 + lift
            assert score(old, new, times * (1 - 1e-9), 0.0) > bound > score(old, new, times * (1 + 1e-9), 0.0)
    assert (found.p_value < alpha) == (not found.relative_low <= 0 <= found.relative_high)


@given(COUNTS)
def test_one_proportion_equals_statsmodels(counts: tuple[int, int]) -> None:
    found = estimate("proportion", moments(*counts), alpha=0.05)
    low, high = proportion_confint(*counts, method="wilson")
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-12)


def test_no_conversion_still_has_an_interval() -> None:
    found = compare("proportion", moments(0, 1000), moments(0, 1000), alpha=0.05)
    assert found is not None
    assert found.p_value == 1.0 and found.relative is None
    assert -0.005 < found.low < 0 < found.high < 0.005
    some = compare("proportion", moments(5, 1000), moments(0, 1000), alpha=0.05)
    assert some is not None
    assert (some.relative, some.relative_low) == (-1.0, -1.0)


@pytest.mark.parametrize(
    ("x0", "n0", "x1", "n1"),
    [
        (999_999_990, 1_000_000_000, 999_999_980, 1_000_000_000),
        (10, 1_000_000_000, 20, 1_000_000_000),
        (9_999, 10_000, 9_990, 10_000),
        (500_000_000, 1_000_000_000, 500_100_000, 1_000_000_000),
        (1, 2, 99_999_999, 100_000_000),
    ],
)
def test_the_p_value_keeps_its_digits_near_the_ends_and_in_large_arms(
    x0: int, n0: int, x1: int, n1: int
) -> None:
    found, mirrored = (
        proportions.compare(*counts, alpha=0.05) for counts in ((x0, n0, x1, n1), (n0 - x0, n0, n1 - x1, n1))
    )
    with localcontext() as context:
        context.prec = 60
        share = Decimal(x0 + x1) / (n0 + n1)
        error = (share * (1 - share) * (1 / Decimal(n0) + 1 / Decimal(n1))).sqrt()
        z = float((Decimal(x1) / n1 - Decimal(x0) / n0) / error)
    assert found["p_value"] == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-13)
    assert (found["low"], found["high"]) == (-mirrored["high"], -mirrored["low"])
    assert (found["low"] <= 0 <= found["high"]) == (found["p_value"] > 0.05)
    ends = (found["relative_low"], found["relative_high"])
    assert (ends[0] <= 0 <= ends[1]) == (found["p_value"] > 0.05)
    for end in ends:
        assert abs(_z_of_ratio(x0, n0, x1, n1, 1 + end)) == pytest.approx(1.959963984540054, rel=1e-4)


def _z_of_ratio(x0: int, n0: int, x1: int, n1: int, ratio: float) -> float:
    """The score statistic of p1 = ratio p0 with sixty digits."""
    with localcontext() as context:
        context.prec = 60
        r, units = Decimal(ratio), n0 + n1
        b = r * (n1 + x0) + n0 + x1
        p0 = (b - (b * b - 4 * r * units * (x0 + x1)).sqrt()) / (2 * units * r)
        p1 = r * p0
        variance = p1 * (1 - p1) / n1 + r * r * p0 * (1 - p0) / n0
        return float((Decimal(x1) / n1 - r * Decimal(x0) / n0) / variance.sqrt())
