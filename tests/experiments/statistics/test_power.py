"""Plans against statsmodels, against formulas written out, and against experiments played with so many units."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import power_proportions_2indep

from recsys.errors import ExperimentError
from recsys.experiments.statistics import (
    Moments,
    MomentsHistory,
    QuantileHistory,
    Values,
    ValuesHistory,
    always_valid,
    compare,
    compare_clusters,
    compare_quantiles,
    group_sequential,
    minimum_effect,
    power,
    sequential_interval,
    units_needed,
    winsorise,
)
from recsys.experiments.statistics.history import History

RNG = np.random.default_rng(20)
UNITS = 40_000
TASTE = RNG.lognormal(0, 0.8, UNITS)
REVENUE = RNG.lognormal(2, 1.2, UNITS) * (RNG.random(UNITS) < np.minimum(0.3 * TASTE, 1))
BEFORE = 0.5 * REVENUE + RNG.exponential(8, UNITS)
SHOWN = RNG.poisson(5 * TASTE) + 1.0
CLICKS = RNG.binomial(SHOWN.astype(int), np.minimum(0.1 * TASTE, 1)).astype(float)
BOUGHT = (REVENUE > 0).astype(float)
LIFT = 0.3
RUNS = 600
MONTE_CARLO = 3 * math.sqrt(0.8 * 0.2 / RUNS)


@given(st.integers(5, 400), st.integers(5, 400), st.sampled_from([0.01, 0.05, 0.2]))
def test_equal_spread_equals_statsmodels(n0: int, n1: int, alpha: float) -> None:
    """The covariance of arms does not change under a tiny effect on a large mean, which statsmodels takes for granted."""
    past = Moments(1000, np.array([1e7]), np.array([[999.0]]))
    found = power(MomentsHistory("mean", past), 3e-8, n0, n0, alpha=alpha)
    assert found == pytest.approx(TTestIndPower().power(0.3, n0, alpha), rel=1e-6)
    uneven = power(MomentsHistory("mean", past), 3e-8, n0, n1, alpha=alpha)
    assert uneven == pytest.approx(power(MomentsHistory("mean", past), 3e-8, n1, n0, alpha=alpha), rel=1e-6)


@given(st.floats(0.02, 0.5), st.floats(-0.5, 0.8), st.integers(50, 5000))
def test_proportions_equal_statsmodels(share: float, lift: float, units: int) -> None:
    past = Moments(10**6, np.array([share]), np.array([[10**6 * share * (1 - share)]]))
    found = power(MomentsHistory("proportion", past), lift, units, units, alpha=0.05)
    expected = power_proportions_2indep(share * lift, share, units, alpha=0.05, return_results=False)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)  # its variance has units, ours units - 1


def drawn(units: int) -> np.ndarray:
    return RNG.integers(0, UNITS, units)


def rejects_mean(n0: int, n1: int) -> bool:
    return _rejected(
        compare("mean", Moments.of(REVENUE[drawn(n0)]), Moments.of(_more(REVENUE, n1)), alpha=0.05)
    )


def rejects_winsorised(n0: int, n1: int) -> bool:
    arms = winsorise([REVENUE[drawn(n0)], _more(REVENUE, n1)], 0.99)
    return _rejected(compare("mean", *map(Moments.of, arms), alpha=0.05))


def rejects_cuped(n0: int, n1: int) -> bool:
    i, j = drawn(n0), drawn(n1)
    arms = Moments.of(REVENUE[i], BEFORE[i]), Moments.of((1 + LIFT) * REVENUE[j], BEFORE[j])
    return _rejected(compare("mean", *arms, alpha=0.05, cuped=True))


def rejects_proportion(n0: int, n1: int) -> bool:
    gained = BOUGHT.mean() * LIFT / (1 - BOUGHT.mean())
    new = np.maximum(BOUGHT[drawn(n1)], RNG.random(n1) < gained)
    return _rejected(compare("proportion", Moments.of(BOUGHT[drawn(n0)]), Moments.of(new), alpha=0.05))


def rejects_ratio(n0: int, n1: int) -> bool:
    i, j = drawn(n0), drawn(n1)
    arms = Moments.of(CLICKS[i], SHOWN[i]), Moments.of((1 + LIFT) * CLICKS[j], SHOWN[j])
    return _rejected(compare("ratio", *arms, alpha=0.05))


def rejects_quantile(n0: int, n1: int) -> bool:
    arms = Values.of(REVENUE[drawn(n0)]), Values.of(_more(REVENUE, n1))
    return _rejected(compare_quantiles(*arms, 0.9, alpha=0.05, rng=RNG, replicates=1_000))


def clusters(count: int, lift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Sums and units of clusters of 5 to 60 users, who are alike within a cluster."""
    size = RNG.integers(5, 61, count).astype(float)
    return size * RNG.normal(3 * (1 + lift), 0.8, count) + RNG.normal(0, np.sqrt(size)), size


def rejects_clusters(n0: int, n1: int) -> bool:
    return _rejected(compare_clusters(clusters(n0), clusters(n1, LIFT / 2), alpha=0.05))


def _more(values: np.ndarray, units: int) -> np.ndarray:
    return (1 + LIFT) * values[drawn(units)]


def _rejected(found) -> bool:  # type: ignore[no-untyped-def]
    return bool(found.p_value < 0.05)


@pytest.mark.parametrize(
    ("history", "rejects"),
    [
        (MomentsHistory("mean", Moments.of(REVENUE)), rejects_mean),
        (ValuesHistory("mean", (REVENUE,), 0.99), rejects_winsorised),
        (MomentsHistory("mean", Moments.of(REVENUE, BEFORE), cuped=True), rejects_cuped),
        (MomentsHistory("proportion", Moments.of(BOUGHT)), rejects_proportion),
        (MomentsHistory("ratio", Moments.of(CLICKS, SHOWN)), rejects_ratio),
        (QuantileHistory(Values.of(REVENUE), 0.9), rejects_quantile),
    ],
    ids=["mean", "winsorised", "cuped", "proportion", "ratio", "quantile"],
)
def test_the_promised_power_is_met(history, rejects) -> None:  # type: ignore[no-untyped-def]
    plan = units_needed(history, LIFT, alpha=0.05, target=0.8)
    found = np.mean([rejects(plan.control, plan.treatment) for _ in range(RUNS)])
    assert plan.power == pytest.approx(0.8, abs=0.02)
    assert found == pytest.approx(0.8, abs=0.02 + MONTE_CARLO)


def test_the_promised_power_is_met_by_clusters() -> None:
    plan = units_needed(
        MomentsHistory("ratio", Moments.of(*clusters(4_000))), LIFT / 2, alpha=0.05, target=0.8
    )
    found = np.mean([rejects_clusters(plan.control, plan.treatment) for _ in range(RUNS)])
    assert 20 < plan.control < 200
    assert found == pytest.approx(0.8, abs=0.03 + MONTE_CARLO)


@pytest.mark.parametrize("make", [group_sequential, always_valid])
def test_the_promised_power_is_met_with_looks(make) -> None:  # type: ignore[no-untyped-def]
    bounds = make([0.25, 0.5, 0.75, 1.0], alpha=0.05)
    plan = units_needed(
        MomentsHistory("mean", Moments.of(REVENUE)), LIFT, alpha=0.05, target=0.8, looks=bounds
    )
    found = 0
    for _ in range(RUNS):
        old, new = REVENUE[drawn(plan.control)], _more(REVENUE, plan.treatment)
        for fraction, critical in zip(bounds.fractions, bounds.critical, strict=True):
            seen = round(plan.control * fraction)
            one = compare("mean", Moments.of(old[:seen]), Moments.of(new[:seen]), alpha=0.05)
            assert one is not None
            low, high = sequential_interval(one, critical)
            if low > 0 or high < 0:
                found += 1
                break
    assert found / RUNS == pytest.approx(0.8, abs=0.02 + MONTE_CARLO)


def test_cuped_needs_fewer_units_by_the_square_of_the_correlation() -> None:
    past = Moments.of(REVENUE, BEFORE)
    correlation = np.corrcoef(REVENUE, BEFORE)[0, 1]
    plain, adjusted = (
        units_needed(MomentsHistory("mean", past, cuped), 0.02, alpha=0.05, target=0.8).control
        for cuped in (False, True)
    )
    assert adjusted / plain == pytest.approx(1 - correlation**2, rel=0.01)


def test_the_cap_eats_a_part_of_the_effect() -> None:
    plan = units_needed(ValuesHistory("mean", (REVENUE,), 0.99), 0.1, alpha=0.05, target=0.8)
    capped = np.minimum(REVENUE, np.quantile(REVENUE, 0.99)).mean()
    assert 0 < plan.difference < 0.1 * capped


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_minimum_effect_undoes_units_needed(share: float) -> None:
    for history in (
        MomentsHistory("ratio", Moments.of(CLICKS, SHOWN)),
        QuantileHistory(Values.of(SHOWN + CLICKS), 0.5),
    ):
        plan = units_needed(history, 0.1, alpha=0.05, target=0.9, share=share)
        assert plan.treatment / (plan.control + plan.treatment) == pytest.approx(share, abs=0.01)
        found = minimum_effect(history, plan.control, plan.treatment, alpha=0.05, target=0.9)
        assert found.effect == pytest.approx(0.1, rel=0.01)
        assert found.power == pytest.approx(0.9, abs=1e-6)


def test_a_proportion_grows_to_one_at_most() -> None:
    history = MomentsHistory("proportion", Moments.of([1.0] * 9 + [0.0]))
    with pytest.raises(ExperimentError, match="do not even show"):
        minimum_effect(history, 5, 5, alpha=0.05, target=0.8)
    with pytest.raises(ExperimentError, match="cannot change by"):
        power(history, 0.5, 100, 100, alpha=0.05)


def test_one_look_is_no_look() -> None:
    history = MomentsHistory("mean", Moments.of(REVENUE))
    once = power(history, 0.1, 50_000, 50_000, alpha=0.05)
    assert power(history, 0.1, 50_000, 50_000, alpha=0.05, looks=group_sequential([1.0], alpha=0.05)) == (
        pytest.approx(once, abs=1e-4)
    )
    assert power(history, 1e-12, 50_000, 50_000, alpha=0.05) == pytest.approx(0.05, rel=1e-3)
    assert power(history, -0.1, 50_000, 50_000, alpha=0.05) == pytest.approx(
        power(history, 0.1, 50_000, 50_000, alpha=0.05), abs=0.2
    )


def test_plans_that_cannot_be_are_refused() -> None:
    history = MomentsHistory("mean", Moments.of(REVENUE))
    with pytest.raises(ExperimentError, match="effect of 0"):
        units_needed(history, 0, alpha=0.05, target=0.8)
    with pytest.raises(ExperimentError, match="target is 80"):
        units_needed(history, 0.1, alpha=0.05, target=80)
    with pytest.raises(ExperimentError, match="share is 0"):
        units_needed(history, 0.1, alpha=0.05, target=0.8, share=0)
    with pytest.raises(ExperimentError, match="at least two"):
        power(history, 0.1, 1, 100, alpha=0.05)
    with pytest.raises(ExperimentError, match="no spread"):
        power(MomentsHistory("mean", Moments.of(np.ones(9))), 0.1, 10, 10, alpha=0.05)
    with pytest.raises(ExperimentError, match="does not vary"):
        power(QuantileHistory(Values.of(np.zeros(9)), 0.5), 0.1, 10, 10, alpha=0.05)
    with pytest.raises(ExperimentError, match="not winsorised"):
        power(ValuesHistory("proportion", (BOUGHT,), 0.99), 0.1, 10, 10, alpha=0.05)
    with pytest.raises(ExperimentError, match="Even 1e"):
        units_needed(history, 1e-9, alpha=0.05, target=0.8)


@pytest.mark.parametrize(
    ("history", "told"),
    [
        (MomentsHistory("proportion", Moments.of(np.zeros(9))), "value in the past is 0"),
        (MomentsHistory("mean", Moments.of([-1.0, 1.0])), "value in the past is 0"),
        (QuantileHistory(Values.of([0.0, 0.0, 1.0]), 0.5), "value in the past is 0"),
        (MomentsHistory("ratio", Moments.of([1.0, 2.0], [0.0, 0.0])), "denominator has a mean of 0"),
        (ValuesHistory("ratio", (CLICKS, -SHOWN), 0.99), "denominator has a mean of -"),
        (QuantileHistory(Values.of([]), 0.9), "No unit has a value"),
    ],
)
def test_a_past_of_nothing_is_named(history: History, told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        units_needed(history, 0.1, alpha=0.05, target=0.8)
    with pytest.raises(ExperimentError, match=told):
        minimum_effect(history, 100, 100, alpha=0.05, target=0.8)


def test_welch_power_equals_the_noncentral_t() -> None:
    mean, spread = REVENUE.mean(), REVENUE.var(ddof=1)
    errors = spread / 30, (1 + LIFT) ** 2 * spread / 50
    degrees = sum(errors) ** 2 / (errors[0] ** 2 / 29 + errors[1] ** 2 / 49)
    drift = LIFT * mean / math.sqrt(sum(errors))
    bound = stats.t.isf(0.025, degrees)
    expected = stats.nct.sf(bound, degrees, drift) + stats.nct.cdf(-bound, degrees, drift)
    found = power(MomentsHistory("mean", Moments.of(REVENUE)), LIFT, 30, 50, alpha=0.05)
    assert found == pytest.approx(expected, rel=1e-9)
