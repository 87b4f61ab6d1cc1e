"""Every comparison against an independent one: scipy and statsmodels on raw values, or formulas written out by hand."""

from __future__ import annotations

import math
import operator
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from recsys.errors import ExperimentError
from recsys.experiments.statistics import Comparison, Moments, compare, estimate, winsorise

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(3, 80)
ALPHAS = st.sampled_from([0.01, 0.05, 0.2])
CLOSE = 1e-9


def revenue(rng: np.random.Generator, units: int) -> np.ndarray:
    """Skewed values with zeros; the first two differ, so that a variance exists."""
    values = rng.lognormal(1, 1, units) * (rng.random(units) < 0.6)
    values[:2] = rng.lognormal(1, 1, 2)
    return values


def columns(seed: int, units: int) -> tuple[np.ndarray, ...]:
    """Numerator, denominator and the two of before, all of them correlated."""
    rng = np.random.default_rng(seed)
    taste = rng.lognormal(0, 0.5, units)
    den, cov_den = rng.poisson(4 * taste) + 1.0, rng.poisson(4 * taste) + 1.0
    return revenue(rng, units) * den * taste, den, revenue(rng, units) * cov_den * taste, cov_den


@given(SEEDS, SIZES, SIZES, ALPHAS)
def test_means_equal_scipy_and_statsmodels(seed: int, n0: int, n1: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    old, new = revenue(rng, n0), 1.1 * revenue(rng, n1)
    found = compare("mean", Moments.of(old), Moments.of(new), alpha=alpha)
    test = stats.ttest_ind(new, old, equal_var=False)
    low, high = CompareMeans(DescrStatsW(new), DescrStatsW(old)).tconfint_diff(alpha, usevar="unequal")
    assert found is not None
    assert found.p_value == pytest.approx(test.pvalue, rel=CLOSE)
    assert found.degrees == pytest.approx(test.df, rel=CLOSE)
    assert (found.low, found.high) == pytest.approx((low, high), rel=CLOSE, abs=CLOSE * new.mean())
    assert (found.n, found.mean) == (n1, pytest.approx(new.mean()))


@given(SEEDS, SIZES, ALPHAS)
def test_one_mean_equals_scipy(seed: int, units: int, alpha: float) -> None:
    values = revenue(np.random.default_rng(seed), units)
    found = estimate("mean", Moments.of(values), alpha=alpha)
    expected = stats.ttest_1samp(values, 0).confidence_interval(1 - alpha)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=CLOSE, abs=CLOSE)


def influence(num: np.ndarray, den: np.ndarray) -> tuple[float, np.ndarray]:
    """A ratio of sums, and what each unit does to it."""
    ratio = num.sum() / den.sum()
    return ratio, (num - ratio * den) / den.mean()


@given(SEEDS, SIZES, SIZES, ALPHAS)
def test_ratios_equal_welch_on_the_influences(seed: int, n0: int, n1: int, alpha: float) -> None:
    old, new = columns(seed, n0)[:2], columns(seed + 1, n1)[:2]
    found = compare("ratio", Moments.of(*old), Moments.of(*new), alpha=alpha)
    (r0, e0), (r1, e1) = influence(*old), influence(*new)
    test = stats.ttest_ind(r1 + e1, r0 + e0, equal_var=False)
    ci = test.confidence_interval(1 - alpha)
    assert found is not None
    assert found.difference == pytest.approx(r1 - r0, rel=CLOSE, abs=CLOSE * r0)
    assert found.p_value == pytest.approx(test.pvalue, rel=CLOSE)
    assert (found.low, found.high) == pytest.approx((ci.low, ci.high), rel=CLOSE, abs=CLOSE * r0)
    assert found.method == "delta, fieller"


def test_the_ratio_covers_the_truth_where_users_differ() -> None:
    rng, covered = np.random.default_rng(13), 0
    for _ in range(400):
        shown = rng.poisson(8, 400) + 1
        clicks = rng.binomial(shown, rng.beta(2, 18, 400))  # clicks of one user are not independent
        found = estimate("ratio", Moments.of(clicks, shown), alpha=0.05)
        assert found is not None
        covered += found.low <= 0.1 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


Pair = tuple[np.ndarray, np.ndarray]


def cuped_by_hand(old: Pair, new: Pair, both: Pair | None = None) -> Pair:
    """Values (first of each pair) minus theta times the covariate, theta the slope over ``both`` arms together."""
    values, covariate = both or (np.concatenate(columns) for columns in zip(old, new, strict=True))
    theta = np.cov(values, covariate)[0, 1] / covariate.var(ddof=1)
    return old[0] - theta * old[1], new[0] - theta * new[1]


def assert_equals_welch(found: Comparison | None, old: np.ndarray, new: np.ndarray, scale: float) -> None:
    test = stats.ttest_ind(new, old, equal_var=False)
    ci = test.confidence_interval(0.95)
    assert found is not None
    expected = (new.mean() - old.mean(), ci.low, ci.high)
    assert (found.difference, found.low, found.high) == pytest.approx(expected, rel=CLOSE, abs=CLOSE * scale)
    assert found.p_value == pytest.approx(test.pvalue, rel=CLOSE * 100, abs=CLOSE)  # far tails take digits


@given(SEEDS, SIZES, SIZES)
def test_cuped_means_equal_welch_on_adjusted_values(seed: int, n0: int, n1: int) -> None:
    (y0, _, x0, _), (y1, _, x1, _) = columns(seed, n0), columns(seed + 1, n1)
    found = compare("mean", Moments.of(y0, x0), Moments.of(y1, x1), alpha=0.05, cuped=True)
    assert_equals_welch(found, *cuped_by_hand((y0, x0), (y1, x1)), scale=y0.mean() + y1.mean())
    assert found is not None and found.mean == pytest.approx(y1.mean())


def test_cuped_equals_the_adjustment_that_regression_makes_without_the_arm() -> None:
    (y0, _, x0, _), (y1, _, x1, _) = columns(5, 60), columns(6, 20)
    theta = stats.linregress(np.append(x0, x1), np.append(y0, y1)).slope
    found = compare("mean", Moments.of(y0, x0), Moments.of(y1, x1), alpha=0.05, cuped=True)
    assert_equals_welch(found, y0 - theta * x0, y1 - theta * x1, scale=y0.mean() + y1.mean())


def test_a_small_arm_does_not_fit_its_own_chance() -> None:
    rng, runs, passed = np.random.default_rng(17), 3000, 0
    for _ in range(runs):
        before = rng.normal(10, 3, 1010)
        after = 0.5 * before + rng.normal(0, 3, 1010)
        arms = [Moments.of(after[cut], before[cut]) for cut in (slice(1000), slice(1000, 1010))]
        found = compare("mean", *arms, alpha=0.05, cuped=True)
        passed += found is not None and found.p_value < 0.05
    assert passed / runs == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / runs))


def test_a_covariate_that_only_tells_the_arms_apart_is_left_out() -> None:
    y0, y1 = (revenue(np.random.default_rng(seed), 30) for seed in (1, 2))
    plain = compare("mean", Moments.of(y0), Moments.of(y1), alpha=0.05)
    flat = [Moments.of(y, np.full(30, at)) for y, at in ((y0, 1.0), (y1, 2.0))]
    found = compare("mean", *flat, alpha=0.05, cuped=True)
    assert plain is not None and found is not None
    assert (found.difference, found.p_value) == pytest.approx((plain.difference, plain.p_value), rel=1e-12)


@given(SEEDS, SIZES, SIZES)
def test_cuped_ratios_equal_cuped_means_of_the_influences(seed: int, n0: int, n1: int) -> None:
    old, new = columns(seed, n0), columns(seed + 1, n1)
    found = compare("ratio", Moments.of(*old), Moments.of(*new), alpha=0.05, cuped=True)
    pairs = []
    for arm in (old, new):
        (r, e), (rx, ex) = influence(*arm[:2]), influence(*arm[2:])
        pairs.append((r + e, rx + ex))
    num, den, cov_num, cov_den = (np.concatenate(parts) for parts in zip(old, new, strict=True))
    both = influence(num, den)[1], influence(cov_num, cov_den)[1]
    assert_equals_welch(found, *cuped_by_hand(*pairs, both), scale=pairs[0][0].mean() + pairs[1][0].mean())


Exact = list[Fraction]


def exact(values: np.ndarray) -> Exact:
    return [Fraction(float(value)) for value in values]


def centred_sum(first: Exact, second: Exact) -> Fraction:
    return sum(map(operator.mul, first, second), Fraction(0)) - sum(first) * sum(second) / len(first)


def exact_influence(num: Exact, den: Exact) -> Exact:
    """A ratio of sums plus what each unit does to it."""
    ratio, below = sum(num) / sum(den), sum(den) / len(den)
    return [ratio + (over - ratio * under) / below for over, under in zip(num, den, strict=True)]


def assert_equals_exact_cuped(
    found: Comparison | None, old: tuple[Exact, Exact], new: tuple[Exact, Exact], both: tuple[Exact, Exact]
) -> None:
    """Welch's test of values less theta times the covariate, in fractions; only the tail of t is a float."""
    values, covariate = both
    theta = centred_sum(values, covariate) / centred_sum(covariate, covariate)
    arms = [[y - theta * x for y, x in zip(*arm, strict=True)] for arm in (old, new)]
    parts = [centred_sum(arm, arm) / (len(arm) - 1) / len(arm) for arm in arms]
    variance = sum(parts, Fraction(0))
    degrees = variance**2 / sum(part**2 / (len(arm) - 1) for part, arm in zip(parts, arms, strict=True))
    difference = sum(arms[1]) / len(arms[1]) - sum(arms[0]) / len(arms[0])
    p_value = special.betainc(float(degrees) / 2, 0.5, float(degrees / (degrees + difference**2 / variance)))
    scale = math.sqrt(variance)
    assert found is not None
    assert found.difference == pytest.approx(float(difference), rel=CLOSE, abs=CLOSE * scale)
    assert found.variance == pytest.approx(float(variance), rel=CLOSE, abs=0)
    assert found.degrees == pytest.approx(float(degrees), rel=CLOSE)
    assert found.p_value == pytest.approx(p_value, rel=CLOSE, abs=0)
    margin = float(special.stdtrit(found.degrees, 0.975)) * scale
    ends = float(difference) - margin, float(difference) + margin
    assert (found.low, found.high) == pytest.approx(ends, rel=CLOSE, abs=CLOSE * scale)


LIFTS = st.sampled_from([1.0, 1.1, 3.0, 20.0])
"""Up to differences of many standard errors, so that p-values far out are met too."""


@settings(max_examples=60)
@given(SEEDS, SIZES, SIZES, LIFTS)
def test_cuped_means_equal_exact_fractions(seed: int, n0: int, n1: int, lift: float) -> None:
    (y0, _, x0, _), (y1, _, x1, _) = columns(seed, n0), columns(seed + 1, n1)
    y1 = lift * y1
    found = compare("mean", Moments.of(y0, x0), Moments.of(y1, x1), alpha=0.05, cuped=True)
    old, new = (exact(y0), exact(x0)), (exact(y1), exact(x1))
    assert_equals_exact_cuped(found, old, new, (old[0] + new[0], old[1] + new[1]))


@settings(max_examples=60)
@given(SEEDS, SIZES, SIZES, LIFTS)
def test_cuped_ratios_equal_exact_fractions(seed: int, n0: int, n1: int, lift: float) -> None:
    before, after = columns(seed, n0), columns(seed + 1, n1)
    after = (lift * after[0], *after[1:])
    found = compare("ratio", Moments.of(*before), Moments.of(*after), alpha=0.05, cuped=True)
    old, new = ([exact(column) for column in arm] for arm in (before, after))
    both = [first + second for first, second in zip(old, new, strict=True)]
    pairs = [(exact_influence(*arm[:2]), exact_influence(*arm[2:])) for arm in (old, new, both)]
    assert_equals_exact_cuped(found, *pairs)


@given(SEEDS, SIZES, SIZES)
def test_a_far_tail_of_the_adjusted_test_keeps_its_digits(seed: int, n0: int, n1: int) -> None:
    """Small spreads beside a large difference, down to p-values of 1e-100 and less."""
    rng, arms = np.random.default_rng(seed), []
    for at, units in ((10.0, n0), (14.0, n1)):
        before = rng.normal(10, 1, units)
        arms.append((at + 0.8 * before + rng.normal(0, 0.3, units), before))
    found = compare("mean", *(Moments.of(*arm) for arm in arms), alpha=0.05, cuped=True)
    old, new = ((exact(values), exact(before)) for values, before in arms)
    assert_equals_exact_cuped(found, old, new, (old[0] + new[0], old[1] + new[1]))


@given(SEEDS, SIZES, SIZES, ALPHAS, st.booleans())
def test_relative_and_absolute_interval_exclude_nothing_together(
    seed: int, n0: int, n1: int, alpha: float, cuped: bool
) -> None:
    (y0, _, x0, _), (y1, _, x1, _) = columns(seed, n0), columns(seed + 1, n1)
    found = compare("mean", Moments.of(y0, x0), Moments.of(y1, x1), alpha=alpha, cuped=cuped)
    assert found is not None and found.relative is not None
    if found.relative_low is not None and found.relative_high is not None:
        assert (found.low <= 0 <= found.high) == (found.relative_low <= 0 <= found.relative_high)
        assert found.relative_low <= found.relative <= found.relative_high


@given(SEEDS, st.integers(30, 80), st.integers(30, 80))
def test_fieller_ends_are_the_ratios_the_test_just_rejects(seed: int, n0: int, n1: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = rng.normal(10, 3, n0), rng.normal(11, 3, n1)
    found = compare("mean", Moments.of(old), Moments.of(new), alpha=0.05)
    assert found is not None
    critical = stats.t.ppf(0.975, found.degrees)
    for lift in (found.relative_low, found.relative_high):
        assert lift is not None
        gap = new.mean() - (1 + lift) * old.mean()
        error = math.sqrt(new.var(ddof=1) / n1 + (1 + lift) ** 2 * old.var(ddof=1) / n0)
        assert abs(gap) / error == pytest.approx(critical, rel=CLOSE)


def test_fieller_keeps_its_digits_where_the_spread_is_small() -> None:
    """Against the quadratic in exact fractions: values of mean 1e6 and spread 1e-3."""
    rng = np.random.default_rng(31)
    old, new = (Moments.of(1e6 + at + 1e-3 * rng.normal(size=50)) for at in (0.0, 1e-3))
    found = compare("mean", old, new, alpha=0.05)
    assert found is not None
    level, other = Fraction(float(old.mean[0])), Fraction(float(new.mean[0]))
    v0, v1 = (Fraction(float(arm.cross[0, 0])) / 49 / 50 for arm in (old, new))
    square = Fraction(float(stats.t.ppf(0.975, found.degrees))) ** 2
    a, b, c = level**2 - square * v0, level * other, other**2 - square * v1
    root = Decimal.sqrt(Decimal((b * b - a * c).numerator) / Decimal((b * b - a * c).denominator))
    ends = [float((b + sign * Fraction(root)) / a - 1) for sign in (-1, 1)]
    assert found.relative == pytest.approx(float(other / level - 1), rel=1e-9)
    assert [found.relative_low, found.relative_high] == pytest.approx(ends, rel=1e-6)


def test_the_adjusted_relative_lift_covers_the_truth() -> None:
    rng, covered, narrower = np.random.default_rng(11), 0, 0
    for _ in range(500):
        taste = rng.gamma(4, 1, 400)
        before, after = rng.poisson(2 * taste), rng.poisson(2 * taste).astype(float)
        after[200:] = rng.poisson(2.2 * taste[200:])
        arms = [Moments.of(after[cut], before[cut]) for cut in (slice(200), slice(200, 400))]
        found = compare("mean", *arms, alpha=0.05, cuped=True)
        plain = compare("mean", *arms, alpha=0.05)
        assert found is not None and found.relative_low is not None and found.relative_high is not None
        assert plain is not None and plain.relative_low is not None and plain.relative_high is not None
        covered += found.relative_low <= 0.1 <= found.relative_high
        narrower += found.relative_high - found.relative_low < plain.relative_high - plain.relative_low
    assert 0.93 <= covered / 500 <= 0.97
    assert narrower > 490


def test_no_ratio_is_bounded_where_control_may_be_nothing() -> None:
    found = compare("mean", Moments.of([-5.0, 6.0, 0.1]), Moments.of([1.0, 2.0, 3.0]), alpha=0.05)
    assert found is not None
    assert found.relative is not None
    assert found.relative_low is None and found.relative_high is None
    zero = compare("mean", Moments.of([-1.0, 1.0]), Moments.of([1.0, 2.0]), alpha=0.05)
    assert zero is not None and zero.relative is None


def test_constant_values_have_a_point_interval() -> None:
    same = compare("mean", Moments.of([2.0, 2.0]), Moments.of([2.0, 2.0, 2.0]), alpha=0.05)
    other = compare("mean", Moments.of([2.0, 2.0]), Moments.of([3.0, 3.0]), alpha=0.05)
    assert same is not None and other is not None
    assert (same.low, same.high, same.p_value) == (0.0, 0.0, 1.0)
    assert (other.low, other.high, other.p_value, other.relative_low) == (1.0, 1.0, 0.0, 0.5)


def test_a_constant_differs_from_itself_by_rounding_alone() -> None:
    old, new = (Moments.from_sums(n, [sum([0.1] * n)], [[sum([0.1 * 0.1] * n)]]) for n in (3, 10))
    assert old.mean[0] != new.mean[0]
    found = compare("mean", old, new, alpha=0.05)
    assert found is not None
    assert (found.difference, found.p_value, found.low, found.high) == (0.0, 1.0, 0.0, 0.0)


def assert_no_difference(found: Comparison | None) -> None:
    assert found is not None
    assert (found.difference, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


@given(SEEDS, st.floats(1e-3, 1e6), st.integers(2, 3000), st.integers(2, 3000))
def test_a_constant_metric_shows_nothing(seed: int, value: float, n0: int, n1: int) -> None:
    arms = [Moments.of(np.full(units, value)) for units in (n0, n1)]
    assert_no_difference(compare("mean", *arms, alpha=0.05))
    rng = np.random.default_rng(seed)
    beside = [Moments.of(np.full(units, value), rng.lognormal(0, 1, units)) for units in (n0, n1)]
    assert_no_difference(compare("mean", *beside, alpha=0.05, cuped=True))


@given(SEEDS, st.floats(1e-3, 1e3), st.integers(2, 3000), st.integers(2, 3000), st.booleans())
def test_a_constant_share_of_the_denominator_shows_nothing(
    seed: int, share: float, n0: int, n1: int, cuped: bool
) -> None:
    rng, arms = np.random.default_rng(seed), []
    for units in (n0, n1):
        den, before = rng.lognormal(3, 1, units), rng.poisson(3, units) + 1.0
        arms.append(Moments.of(share * den, den, rng.lognormal(0, 1, units), before))
    assert_no_difference(compare("ratio", *arms, alpha=0.05, cuped=cuped))


def test_a_constant_share_of_many_units_shows_nothing() -> None:
    rng, arms = np.random.default_rng(23), []
    for units in (300_000, 20_000):
        den = rng.poisson(20, units) + 1.0
        arms.append(Moments.of(0.05 * den, den))
    assert_no_difference(compare("ratio", *arms, alpha=0.05))


def test_a_metric_that_winsorising_makes_constant_shows_nothing() -> None:
    rng = np.random.default_rng(24)
    arms = [np.where(rng.random(units) < 0.1, 50.0, 9.99) for units in (37, 1000)]
    assert_no_difference(compare("mean", *map(Moments.of, winsorise(arms, 0.8)), alpha=0.05))


def test_a_small_spread_on_a_large_mean_is_no_rounding() -> None:
    rng = np.random.default_rng(25)
    old, new = 1e9 + rng.normal(0, 100, 200), 1e9 + rng.normal(60, 100, 200)
    test = stats.ttest_ind(new, old, equal_var=False)
    for kind, beside in (("mean", ()), ("ratio", (np.ones(200),))):
        found = compare(kind, Moments.of(old, *beside), Moments.of(new, *beside), alpha=0.05)
        assert found is not None and found.p_value == pytest.approx(test.pvalue, rel=1e-6)


def test_four_columns_serve_every_kind() -> None:
    rng = np.random.default_rng(3)
    old, new = ((rng.random(50) < 0.4, np.ones(50), rng.random(50) < 0.4, np.ones(50)) for _ in range(2))
    for kind, needed in (("mean", (0, 2)), ("proportion", (0, 2)), ("ratio", (0, 1, 2, 3))):
        for cuped in (False, True):
            wide = compare(kind, Moments.of(*old), Moments.of(*new), alpha=0.05, cuped=cuped)
            narrow = [Moments.of(*(arm[place] for place in needed)) for arm in (old, new)]
            assert wide == compare(kind, *narrow, alpha=0.05, cuped=cuped)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_too_few_units_have_no_comparison(values: list[float]) -> None:
    few = Moments.of(values, values)
    assert compare("ratio", few, Moments.of([1, 2], [1, 2]), alpha=0.05) is None
    assert estimate("ratio", few, alpha=0.05) is None


def test_an_empty_denominator_has_no_ratio() -> None:
    empty = Moments.of([0.0, 0.0], [0.0, 0.0])
    assert compare("ratio", empty, Moments.of([1, 2], [1, 2]), alpha=0.05) is None


def test_an_empty_covariate_changes_nothing() -> None:
    (y0, d0, *_), (y1, d1, *_) = columns(1, 30), columns(2, 30)
    none = np.zeros(30)
    plain = compare("ratio", Moments.of(y0, d0), Moments.of(y1, d1), alpha=0.05)
    found = compare(
        "ratio", Moments.of(y0, d0, none, none), Moments.of(y1, d1, none, none), alpha=0.05, cuped=True
    )
    assert plain is not None and found is not None
    assert found.low == plain.low and found.p_value == plain.p_value


def test_what_cannot_be_compared_is_named() -> None:
    one, two = Moments.of([1.0, 0.0]), Moments.of([1.0, 0.0], [1.0, 2.0])
    with pytest.raises(ExperimentError, match="1 columns do not suit kind 'ratio'"):
        compare("ratio", one, one, alpha=0.05)
    with pytest.raises(ExperimentError, match="give both the same"):
        compare("mean", one, two, alpha=0.05)
    with pytest.raises(ExperimentError, match="needs a covariate"):
        compare("mean", one, one, alpha=0.05, cuped=True)
    with pytest.raises(ExperimentError, match="not made of 0 and 1"):
        compare("proportion", Moments.of([1.0, 2.0]), one, alpha=0.05)
    with pytest.raises(ExperimentError, match="alpha is 5"):
        compare("mean", one, one, alpha=5)


def arms_of_few(rng: np.random.Generator, sizes: tuple[int, int], rate: float) -> list[Moments]:
    """Two arms alike of units that convert at ``rate``; the covariate is what they did before."""
    made = []
    for units in sizes:
        taste = rng.beta(0.5, 0.5 / rate - 0.5, units)
        made.append(Moments.of(*((rng.random(units) < taste).astype(float) for _ in range(2))))
    return made


def test_a_rare_conversion_is_tested_without_its_covariate() -> None:
    rng, runs, alpha = np.random.default_rng(5), 1_500, 0.05
    pairs = [arms_of_few(rng, (2_000, 200), 0.01) for _ in range(runs)]
    found = [compare("proportion", *pair, alpha=alpha, cuped=True) for pair in pairs]
    plain = [compare("proportion", *pair, alpha=alpha) for pair in pairs]
    assert found == plain
    rejected = np.mean([one is not None and one.p_value < alpha for one in found])
    assert rejected < alpha + 3 * (alpha * (1 - alpha) / runs) ** 0.5
    many = compare("proportion", *arms_of_few(rng, (20_000, 20_000), 0.01), alpha=alpha, cuped=True)
    assert many is not None and many.method == "welch cuped, fieller"
