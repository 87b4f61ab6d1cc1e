"""Bounds against published ones, against an integral written out by hand, and against simulated experiments."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from recsys.errors import ExperimentError
from recsys.experiments.statistics import Moments, compare
from recsys.experiments.statistics.sequential import (
    accrued_information,
    always_valid,
    always_valid_critical,
    always_valid_p_value,
    crossing,
    error_spent,
    group_sequential,
    sequential_interval,
)

FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)
FRACTIONS = st.lists(st.integers(1, 100), min_size=1, max_size=8, unique=True).map(
    lambda parts: [part / 100 for part in sorted(parts)]
)
SPENDINGS = st.sampled_from(["obrien_fleming", "pocock", "power"])


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        # Reboussin, DeMets, Kim and Lan (2000), programs for Lan-DeMets bounds; five equal looks, two-sided 0.05.
        ("obrien_fleming", (4.8769, 3.3569, 2.6803, 2.2898, 2.0310)),
        ("pocock", (2.4380, 2.4268, 2.4101, 2.3966, 2.3859)),
    ],
)
def test_bounds_are_those_published(spending: str, published: tuple[float, ...]) -> None:
    found = group_sequential(FIVE, alpha=0.05, spending=spending)  # type: ignore[arg-type]
    assert found.critical == pytest.approx(published, abs=2e-4)


@settings(max_examples=30)
@given(st.floats(0.05, 0.95), SPENDINGS, st.sampled_from([0.01, 0.05, 0.1]))
def test_two_looks_equal_an_integral_written_out(first: float, spending: str, alpha: float) -> None:
    found = group_sequential([first, 1.0], alpha=alpha, spending=spending)  # type: ignore[arg-type]
    one, two = found.critical
    assume(math.isfinite(one))
    tie, loose = math.sqrt(first), math.sqrt(1 - first)

    def inside(z: float) -> float:
        return stats.norm.pdf(z) * (
            stats.norm.cdf((two - tie * z) / loose) - stats.norm.cdf((-two - tie * z) / loose)
        )

    kept, _ = integrate.quad(inside, -one, one, epsabs=1e-14, epsrel=1e-13, limit=200)
    assert 2 * stats.norm.sf(one) == pytest.approx(found.spent[0], rel=1e-9)
    assert kept == pytest.approx(1 - alpha, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(FRACTIONS, SPENDINGS, st.sampled_from([0.01, 0.05, 0.1]))
def test_the_error_over_all_looks_is_what_is_spent(
    fractions: list[float], spending: str, alpha: float
) -> None:
    found = group_sequential(fractions, alpha=alpha, spending=spending)  # type: ignore[arg-type]
    upper, lower = crossing(fractions, found.critical)
    assert (upper + lower).cumsum() == pytest.approx(found.spent, rel=1e-9, abs=1e-12)
    assert found.spent[-1] <= alpha * (1 + 1e-12)
    assert list(found.spent) == sorted(found.spent)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock", "power"])
def test_spending_ends_at_alpha(spending: str) -> None:
    for fraction in (1.0, 1.3):
        assert error_spent(fraction, alpha=0.05, spending=spending) == pytest.approx(0.05)  # type: ignore[arg-type]


def test_one_look_is_the_fixed_test() -> None:
    assert group_sequential([1.0], alpha=0.05).critical[0] == pytest.approx(stats.norm.isf(0.025), rel=1e-9)
    upper, lower = crossing([1.0], [1.96], 2.8)
    assert (upper[0], lower[0]) == pytest.approx((stats.norm.sf(1.96 - 2.8), stats.norm.sf(1.96 + 2.8)))


def test_looks_past_the_plan_have_nothing_left_to_spend() -> None:
    found = group_sequential([0.5, 1.0, 1.2], alpha=0.05)
    assert math.isinf(found.critical[2])


def test_a_look_that_comes_too_early_cannot_reject() -> None:
    found = group_sequential([1 / 90, 1.0], alpha=0.05)
    assert math.isinf(found.critical[0])
    assert found.critical[1] == pytest.approx(1.96, abs=1e-3)


def test_power_equals_simulated_walks() -> None:
    rng = np.random.default_rng(5)
    bounds = np.array(group_sequential(FIVE, alpha=0.05, spending="pocock").critical)
    steps = rng.normal(2.8 * 0.2, math.sqrt(0.2), (200_000, 5)).cumsum(axis=1)
    z = steps / np.sqrt(FIVE)
    stopped = (np.abs(z) >= bounds).argmax(axis=1)[(np.abs(z) >= bounds).any(axis=1)]
    upper, lower = crossing(FIVE, bounds.tolist(), 2.8)
    assert upper + lower == pytest.approx(np.bincount(stopped, minlength=5) / 200_000, abs=0.004)


def test_calendar_time_may_be_spent_while_information_comes_otherwise() -> None:
    rng = np.random.default_rng(6)
    information = (100.0, 700.0, 1000.0)
    found = group_sequential([1 / 3, 2 / 3, 1.0], alpha=0.05, spending="pocock", information=information)
    steps = rng.normal(0, np.sqrt(np.diff(information, prepend=0)), (400_000, 3)).cumsum(axis=1)
    z = np.abs(steps / np.sqrt(information))
    assert (z >= found.critical).any(axis=1).mean() == pytest.approx(0.05, abs=0.0011)


def test_totals_that_grow_break_bounds_made_for_single_values() -> None:
    days = [(day + 1) / 14 for day in range(14)]
    squares = accrued_information(days)
    for spending in ("obrien_fleming", "pocock", "power"):
        single = group_sequential(days, alpha=0.05, spending=spending)  # type: ignore[arg-type]
        grown = group_sequential(days, alpha=0.05, spending=spending, information=squares)  # type: ignore[arg-type]
        assert sum(side.sum() for side in crossing(squares, single.critical)) > 0.06
        assert sum(side.sum() for side in crossing(squares, grown.critical)) == pytest.approx(0.05)
        assert (
            sum(side.sum() for side in crossing(days, grown.critical)) < 0.05
        )  # closer ties only spend less
        cubes = accrued_information(days, order=3)
        steady = group_sequential(days, alpha=0.05, spending=spending, information=cubes)  # type: ignore[arg-type]
        assert sum(side.sum() for side in crossing(squares, steady.critical)) < 0.05
        assert sum(side.sum() for side in crossing(cubes, grown.critical)) > 0.055


def test_a_long_plan_may_be_looked_at_every_day() -> None:
    days = [(day + 1) / 200 for day in range(200)]
    squares = accrued_information(days)
    found = group_sequential(days, alpha=0.05, information=squares)
    assert sum(side.sum() for side in crossing(squares, found.critical)) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ([], "increase"),
        ([0.0, 1.0], "increase"),
        ([0.5, 0.5], "increase"),
        ([0.5, math.nan], "increase"),
        ([0.5, 0.50001], "nearer"),
    ],
)
def test_impossible_looks_are_refused(fractions: list[float], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        group_sequential(fractions, alpha=0.05)


def test_unknown_spending_is_refused() -> None:
    with pytest.raises(ExperimentError, match="obrien_fleming"):
        error_spent(0.5, alpha=0.05, spending="all")  # type: ignore[arg-type]
    with pytest.raises(ExperimentError, match="rho 0"):
        error_spent(0.5, alpha=0.05, spending="power", rho=0)


def test_the_mixture_is_the_average_likelihood_ratio() -> None:
    """The bound solves: likelihood ratio averaged over effects drawn from the mixture equals 1 / alpha."""
    rho, fraction, alpha = 5.0, 0.4, 0.05
    z = always_valid_critical(fraction, alpha=alpha, rho=rho)
    effects = np.linspace(-60, 60, 200_001)  # in units of the standard error at fraction 1
    observed = z * math.sqrt(fraction)
    ratio = np.exp(effects * observed - effects**2 * fraction / 2) * stats.norm.pdf(
        effects, 0, math.sqrt(rho)
    )
    assert np.trapezoid(ratio, effects) == pytest.approx(1 / alpha, rel=1e-6)


def log_mixture(z: float, information: float, rho: float) -> float:
    """Log of the likelihood ratio averaged over effects from N(0, rho), by the trapezoidal rule about its peak.

    The rule is exact to rounding for what falls off like a normal density.
    """
    precision = information + 1 / rho
    peak, width = z * math.sqrt(information) / precision, 1 / math.sqrt(precision)
    steps = np.linspace(-12, 12, 241)
    effects = peak + width * steps
    log_ratio = effects * z * math.sqrt(information) - effects**2 * information / 2
    log_terms = log_ratio - effects**2 / (2 * rho) - 0.5 * math.log(2 * math.pi * rho)
    top = log_terms.max()
    return float(top + math.log(math.fsum(np.exp(log_terms - top)) * width * 0.1))


ALPHAS = st.floats(1e-4, 0.3)
INFORMATION = st.floats(1e-3, 5)
MIXTURES = st.floats(-3, 3).map(lambda power: 10**power)


@given(INFORMATION, ALPHAS, MIXTURES)
def test_the_always_valid_bound_is_where_the_mixture_reaches_one_over_alpha(
    fraction: float, alpha: float, rho: float
) -> None:
    bound = optimize.brentq(
        lambda z: log_mixture(z, fraction, rho) + math.log(alpha), 0.0, 1e5, xtol=1e-14, rtol=1e-14
    )
    assert always_valid_critical(fraction, alpha=alpha, rho=rho) == pytest.approx(bound, rel=1e-9, abs=0)


def narrowest(alpha: float) -> float:
    """The mixture whose bound at fraction 1 is least: there the mixture's ratio, at the bound, is flat in rho.

    By its derivative, z^2 / (1 + rho)^2 = 1 / (1 + rho), so z^2 = 1 + rho.
    """
    return float(
        optimize.brentq(
            lambda rho: log_mixture(math.sqrt(1 + rho), 1.0, rho) + math.log(alpha),
            1e-3,
            1e3,
            xtol=1e-14,
            rtol=1e-14,
        )
    )


@settings(max_examples=50)
@given(INFORMATION, ALPHAS)
def test_the_bound_without_a_mixture_takes_the_narrowest(fraction: float, alpha: float) -> None:
    rho = narrowest(alpha)
    bound = optimize.brentq(
        lambda z: log_mixture(z, fraction, rho) + math.log(alpha), 0.0, 1e5, xtol=1e-14, rtol=1e-14
    )
    assert always_valid_critical(fraction, alpha=alpha) == pytest.approx(bound, rel=1e-9, abs=0)
    least = optimize.minimize_scalar(
        lambda power: always_valid_critical(1.0, alpha=alpha, rho=math.exp(power)), bounds=(-6, 6)
    )
    assert least.fun == pytest.approx(always_valid_critical(1.0, alpha=alpha), rel=1e-9)


@given(st.floats(0, 30), INFORMATION, ALPHAS, st.none() | MIXTURES)
def test_the_always_valid_p_value_is_one_over_the_mixture(
    z: float, fraction: float, alpha: float, rho: float | None
) -> None:
    ratio = log_mixture(z, fraction, narrowest(alpha) if rho is None else rho)
    found = always_valid_p_value(z, fraction, alpha=alpha, rho=rho)
    assert found == pytest.approx(min(1.0, math.exp(-ratio)), rel=1e-9, abs=0)


@settings(max_examples=25)
@given(st.floats(0.05, 0.95), st.floats(0.01, 0.2), MIXTURES)
def test_two_always_valid_looks_spend_what_an_integral_says(first: float, alpha: float, rho: float) -> None:
    found = always_valid([first, 1.0], alpha=alpha, rho=rho)
    one, two = found.critical
    tie, loose = math.sqrt(first), math.sqrt(1 - first)

    def outside(z: float) -> float:
        return stats.norm.pdf(z) * (
            stats.norm.sf((two - tie * z) / loose) + stats.norm.sf((two + tie * z) / loose)
        )

    edge = min(one, 9.0)
    later, _ = integrate.quad(outside, -edge, edge, epsabs=1e-17, epsrel=1e-12, limit=200)
    spent = 2 * stats.norm.sf(one), 2 * stats.norm.sf(one) + later
    assert found.spent == pytest.approx(spent, rel=1e-9, abs=1e-15)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(2, 40), st.floats(1.5, 8))
def test_repeated_intervals_equal_the_tail_written_out(seed: int, n0: int, n1: int, critical: float) -> None:
    """The t quantile whose tail is the normal's, found as a root in place of the inverse."""
    rng = np.random.default_rng(seed)
    old, new = rng.lognormal(0, 1, n0), rng.lognormal(0, 1, n1)
    found = compare("mean", Moments.of(old), Moments.of(new), alpha=0.05)
    assert found is not None
    tail = math.erfc(critical / math.sqrt(2)) / 2
    degrees = stats.ttest_ind(new, old, equal_var=False).df
    root = optimize.brentq(
        lambda log: math.log(max(stats.t.sf(math.exp(log), degrees), 1e-300) / tail), -1, 60, xtol=1e-14
    )
    error = math.sqrt(old.var(ddof=1) / n0 + new.var(ddof=1) / n1)
    low, high = sequential_interval(found, critical)
    assert (high - low) / 2 == pytest.approx(math.exp(root) * error, rel=1e-9)
    assert (high + low) / 2 == pytest.approx(new.mean() - old.mean(), rel=1e-9, abs=1e-9 * (high - low))


def test_the_interval_is_narrowest_at_the_planned_end() -> None:
    best = always_valid_critical(1.0, alpha=0.05)
    assert all(best <= always_valid_critical(1.0, alpha=0.05, rho=rho) for rho in np.geomspace(0.1, 100, 50))


@given(st.floats(0, 8), st.floats(0.01, 3), st.sampled_from([0.01, 0.05]))
def test_always_valid_p_value_and_bound_agree(z: float, fraction: float, alpha: float) -> None:
    critical = always_valid_critical(fraction, alpha=alpha)
    assert always_valid_p_value(critical, fraction, alpha=alpha) == pytest.approx(alpha)
    assert (always_valid_p_value(z, fraction, alpha=alpha) < alpha) == (z > critical)


def test_repeated_intervals_follow_the_bound() -> None:
    rng = np.random.default_rng(2)
    found = compare("mean", Moments.of(rng.normal(size=9)), Moments.of(rng.normal(size=9)), alpha=0.05)
    assert found is not None
    low, high = sequential_interval(found, float(stats.norm.isf(0.025)))
    assert (low, high) == pytest.approx((found.low, found.high))
    wide = sequential_interval(found, 2.5)
    assert wide[0] < low < high < wide[1]
    assert sequential_interval(found, math.inf) == (-math.inf, math.inf)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf])
def test_no_information_has_no_sequence(value: float) -> None:
    with pytest.raises(ExperimentError, match="above 0"):
        always_valid_critical(value, alpha=0.05)


def test_crossing_from_a_point_on_is_what_the_earlier_looks_left_open() -> None:
    """Over all values at half time that stay within the first bound, the chance given each adds up to the whole."""
    first, last, drift = 2.2, 2.1, 2.5
    upper, lower = crossing([0.5, 1.0], [first, last], drift)
    inside = np.linspace(-first, first, 2001) * 0.5**0.5
    weights = stats.norm.pdf(inside, drift * 0.5, 0.5**0.5) * (inside[1] - inside[0])
    weights[[0, -1]] /= 2
    given = [crossing([1.0], [last], drift, since=(0.5, b)) for b in inside]
    assert weights @ [float(up[0]) for up, _ in given] == pytest.approx(upper[1], abs=1e-4)
    assert weights @ [float(low[0]) for _, low in given] == pytest.approx(lower[1], abs=1e-4)
    with pytest.raises(ExperimentError, match="have to come after"):
        crossing([0.5, 1.0], [first, last], since=(0.5, 0.0))
