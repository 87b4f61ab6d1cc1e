"""The effect of use against two-stage least squares, against the test it inverts, and against a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.sandbox.regression.gmm import IV2SLS

from recsys.errors import ExperimentError
from recsys.experiments.statistics import Moments, compare, effect_of_use

SEEDS = st.integers(0, 2**32 - 1)
Arm = tuple[np.ndarray, np.ndarray, np.ndarray]


def arm(rng: np.random.Generator, n: int, offered: bool, *, always: float = 0.0, reach: float = 0.4) -> Arm:
    """Outcome, use and a covariate: skill raises both the outcome and the will to use what is offered."""
    skill = rng.normal(0, 1, n)
    will = rng.random(n)
    eager = 1 / (1 + np.exp(-1.5 * skill)) * 2 * reach
    use = ((will < eager) & offered) | (will < always)
    outcome = 5 + 2 * skill + rng.normal(0, 1, n) + 1.0 * use
    return outcome, use.astype(float), skill + rng.normal(0, 0.5, n)


def moments(rows: Arm, covariate: bool = False) -> Moments:
    outcome, use, known = rows
    return Moments.of(outcome, use, outcome * use, *([known] if covariate else []))


@settings(max_examples=25)
@given(SEEDS, st.integers(60, 400), st.integers(60, 400))
def test_equals_two_stage_least_squares(seed: int, n0: int, n1: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = arm(rng, n0, False, always=0.1), arm(rng, n1, True, always=0.1)
    found = effect_of_use("mean", moments(old), moments(new), alpha=0.05)
    assert found is not None
    y, d = (np.concatenate([old[k], new[k]]) for k in (0, 1))
    z = np.repeat([0.0, 1.0], [n0, n1])
    fit = IV2SLS(y, np.column_stack([np.ones(n0 + n1), d]), np.column_stack([np.ones(n0 + n1), z])).fit()
    assert found.effect.value == pytest.approx(fit.params[1], rel=1e-8)
    # Its variance, written out: that of the residuals of each arm, over the share of compliers.
    residual = y - found.effect.value * d
    variance = sum(residual[z == k].var(ddof=1) / (z == k).sum() for k in (0, 1)) / found.compliers**2
    degrees = compare("mean", *(Moments.of(residual[z == k]) for k in (0, 1)), alpha=0.05).degrees
    assert found.delta.high - found.delta.value == pytest.approx(
        stats.t.isf(0.025, degrees) * math.sqrt(variance), rel=1e-8
    )


@settings(max_examples=25)
@given(SEEDS)
def test_the_interval_holds_just_the_effects_that_no_test_rejects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = arm(rng, 300, False), arm(rng, 200, True)
    found = effect_of_use("mean", moments(old), moments(new), alpha=0.05)
    assert found is not None and found.effect.low is not None
    degrees = compare(
        "mean", *(Moments.of(rows[0] - found.effect.value * rows[1]) for rows in (old, new)), alpha=0.05
    ).degrees
    for end in (found.effect.low, found.effect.high):
        at = compare("mean", *(Moments.of(rows[0] - end * rows[1]) for rows in (old, new)), alpha=0.05)
        assert abs(at.difference) / math.sqrt(at.variance) == pytest.approx(
            stats.t.isf(0.025, degrees), rel=1e-7
        )


@settings(max_examples=25)
@given(SEEDS)
def test_naive_is_the_difference_of_the_two_kinds_of_units(seed: int) -> None:
    new = arm(np.random.default_rng(seed), 500, True)
    found = effect_of_use(
        "mean", moments(arm(np.random.default_rng(1), 500, False)), moments(new), alpha=0.05
    )
    used, outcome = new[1] == 1, new[0]
    assert found is not None
    assert found.naive.value == pytest.approx(outcome[used].mean() - outcome[~used].mean(), rel=1e-9)
    error = math.sqrt(outcome[used].var() / used.sum() + outcome[~used].var() / (~used).sum())
    assert found.naive.high - found.naive.value == pytest.approx(stats.norm.isf(0.025) * error, rel=0.01)


@pytest.mark.parametrize("cuped", [False, True])
def test_holds_the_truth_where_the_naive_comparison_never_does(cuped: bool) -> None:
    rng, runs, held, naive, widths = np.random.default_rng(5), 400, 0, 0, []
    for _ in range(runs):
        old, new = (moments(arm(rng, 400, offered), cuped) for offered in (False, True))
        found = effect_of_use("mean", old, new, alpha=0.05, cuped=cuped)
        assert found is not None and found.effect.low is not None
        held += found.effect.holds(1.0)
        naive += found.naive.holds(1.0)
        widths.append(found.effect.high - found.effect.low)
    assert 0.925 <= held / runs <= 0.975
    assert naive == 0
    assert np.median(widths) < (1.6 if cuped else 2.2)


def test_a_covariate_that_varies_between_the_arms_alone_changes_nothing() -> None:
    rng = np.random.default_rng(12)
    old, new = arm(rng, 50, False), arm(rng, 60, True)
    plain = effect_of_use("mean", moments(old), moments(new), alpha=0.05)
    constant = [(*rows[:2], np.full(len(rows[0]), level)) for rows, level in ((old, 0.0), (new, 1.0))]
    found = effect_of_use("mean", *(moments(rows, True) for rows in constant), alpha=0.05, cuped=True)
    assert found.effect == plain.effect
    assert found.compliers == plain.compliers > 0


def test_values_of_any_size_have_the_same_interval() -> None:
    rng = np.random.default_rng(13)
    arms = arm(rng, 8, False, always=0.2), arm(rng, 30, True, reach=0.5)
    plain, tiny = (
        effect_of_use("mean", *(moments((rows[0] * size, *rows[1:])) for rows in arms), alpha=0.05)
        for size in (1.0, 2.0**-300)
    )
    assert tiny.delta.high * 2.0**300 == pytest.approx(plain.delta.high, rel=1e-9)


def test_a_weak_offer_gives_no_bounds_but_no_lie() -> None:
    rng = np.random.default_rng(8)
    old, new = arm(rng, 60, False), arm(rng, 60, True, reach=0.02)
    new[1][:] = 0.0
    new[1][0] = 1.0
    found = effect_of_use("mean", moments(old), moments(new), alpha=0.05)
    assert found is not None
    assert found.weak
    assert (found.effect.low, found.effect.high) == (None, None)
    assert found.effect.holds(1e9)
    assert found.delta.low is not None


def test_relative_to_what_compliers_had_without_use() -> None:
    rng = np.random.default_rng(11)
    n = 200_000
    old, new = arm(rng, n, False, always=0.1), arm(rng, n, True, always=0.1)
    found = effect_of_use("mean", moments(old), moments(new), alpha=0.05)
    assert found.effect.value == pytest.approx(1.0, abs=0.06)
    # Compliers are above the mean of 5 in skill: they would do better without the offer too.
    again = np.random.default_rng(9)
    skill, will = again.normal(0, 1, n), again.random(n)
    complying = 5 + 2 * skill[(will >= 0.1) & (will < 0.8 / (1 + np.exp(-1.5 * skill)))].mean()
    assert complying > 5.5
    assert found.baseline == pytest.approx(complying, abs=0.06)
    assert found.relative.value == pytest.approx(found.effect.value / found.baseline)
    assert found.relative.holds(1 / complying)


def test_a_share_is_tested_by_the_score_test() -> None:
    rng = np.random.default_rng(4)
    use = (rng.random(500) < 0.5).astype(float)
    old, new = (rng.random(500) < 0.2).astype(float), (rng.random(500) < 0.2 + 0.1 * use).astype(float)
    found = effect_of_use(
        "proportion", Moments.of(old, 0 * old, 0 * old), Moments.of(new, use, new * use), alpha=0.05
    )
    assert found.offer.method.startswith("score")


def test_an_offer_that_nobody_takes_shows_the_offer_only() -> None:
    rng = np.random.default_rng(6)
    old, new = arm(rng, 50, False), arm(rng, 50, False)
    found = effect_of_use("mean", moments(old), moments(new), alpha=0.05)
    assert found.effect is None and found.naive is None and found.baseline is None
    assert found.offer.difference == pytest.approx(new[0].mean() - old[0].mean())


@pytest.mark.parametrize(
    ("columns", "cuped", "message"),
    [
        (([1.0, 2.0],), False, "outcome, use, outcome x use"),
        (([1.0, 2.0], [0.0, 2.0], [0.0, 4.0]), False, "not made of 0 and 1"),
        (([1.0, 2.0], [0.0, 1.0], [0.0, 2.0]), True, "and covariate"),
    ],
)
def test_other_columns_are_refused(columns: tuple[list[float], ...], cuped: bool, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        effect_of_use("mean", Moments.of(*columns), Moments.of(*columns), alpha=0.05, cuped=cuped)
    assert effect_of_use("mean", *[Moments.of([1.0], [0.0], [0.0])] * 2, alpha=0.05) is None
