from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import ExperimentError
from recsys.experiments.simulation import Setting, lift_as_tested, lifted, play, resample

POPULATION = np.random.default_rng(0).lognormal(1, 1, (3000, 1))
ONES = (np.arange(1000) % 5 == 0).astype(float)[:, None]


def test_an_a_a_is_rejected_as_often_as_alpha_says_and_covers_no_difference() -> None:
    played = play(resample(POPULATION), Setting("mean", (400, 400), alpha=0.1), 800, np.random.default_rng(1))
    assert played.runs == 800
    assert abs(played.rejected - 0.1) < 3 * played.monte_carlo_error(0.1)
    assert played.coverage(0.0) == pytest.approx(1 - played.rejected)
    assert played.ks_p_value > 0.001
    assert played.coverage(10.0) == 0 and played.relative_coverage(10.0) == 0


def test_a_lift_is_found_more_often_and_covered_where_it_is() -> None:
    setting = Setting("mean", (400, 400), effect=0.3)
    played = play(resample(POPULATION), setting, 300, np.random.default_rng(2))
    assert played.rejected > 0.5
    assert played.coverage(0.3 * POPULATION.mean()) > 0.9
    assert played.relative_coverage(0.3) > 0.9
    assert played.ks_p_value < 1e-6


def test_a_covariate_that_tells_all_takes_the_noise_away() -> None:
    both = np.column_stack([POPULATION, POPULATION])
    rng = np.random.default_rng(3)
    plain = play(resample(POPULATION), Setting("mean", (300, 300)), 50, rng)
    adjusted = play(resample(both), Setting("mean", (300, 300), cuped=True), 50, rng)
    assert adjusted.width < 0.01 * plain.width


def test_winsorising_narrows_a_heavy_tail_and_stays_honest() -> None:
    heavy = np.random.default_rng(4).lognormal(0, 2.5, (5000, 1))
    plain = play(resample(heavy), Setting("mean", (500, 500)), 300, np.random.default_rng(5))
    capped = play(resample(heavy), Setting("mean", (500, 500), winsorise=0.98), 300, np.random.default_rng(5))
    assert capped.width < 0.7 * plain.width
    assert capped.rejected < 0.09


@pytest.mark.parametrize("effect", [-0.5, 0.5])
def test_a_lift_moves_the_mean_by_what_it_says(effect: float) -> None:
    rng = np.random.default_rng(6)
    shares = [lifted(ONES, "proportion", effect, 0.2, rng).mean() for _ in range(200)]
    assert np.mean(shares) == pytest.approx(0.2 * (1 + effect), rel=0.02)
    assert set(np.unique(lifted(ONES, "proportion", effect, 0.2, rng))) == {0.0, 1.0}
    ratio = lifted(np.column_stack([ONES, ONES + 1]), "ratio", effect, 0.0, rng)
    np.testing.assert_allclose(ratio, np.column_stack([ONES * (1 + effect), ONES + 1]))
    assert lifted(ONES, "mean", 0.0, 0.0, rng) is ONES


@pytest.mark.parametrize("kind", ["mean", "ratio"])
def test_a_winsorised_lift_is_covered_where_the_cap_leaves_it(kind: str) -> None:
    rows = np.column_stack([POPULATION, 1 + np.arange(len(POPULATION)) % 3])[:, : 1 + (kind == "ratio")]
    setting = Setting(kind, (800, 700), effect=0.5, winsorise=0.9)
    lift = lift_as_tested(rows, setting)
    assert 0.3 < lift < 0.45
    played = play(resample(rows), setting, 500, np.random.default_rng(9))
    assert abs(played.relative_coverage(lift) - 0.95) < 3.5 * played.monte_carlo_error(0.95)
    assert played.relative_coverage(0.5) < 0.85


def test_a_lift_is_tested_as_it_was_given_where_nothing_is_capped() -> None:
    assert lift_as_tested(POPULATION, Setting("mean", (9, 9), 0.5)) == 0.5
    assert lift_as_tested(ONES, Setting("proportion", (9, 9), 0.5, winsorise=0.9)) == 0.5
    assert lift_as_tested(POPULATION, Setting("mean", (9, 9), 0.0, winsorise=0.9)) == 0.0
    with pytest.raises(ExperimentError, match="Its winsorised value is 0"):
        lift_as_tested(ONES, Setting("mean", (9, 9), 0.5, winsorise=0.5))


def test_what_cannot_be_played_says_so() -> None:
    rng = np.random.default_rng(7)
    with pytest.raises(ExperimentError, match=r"A proportion of 0\.6 cannot change by"):
        lifted(ONES, "proportion", 0.7, 0.6, rng)
    with pytest.raises(ExperimentError, match="1 units cannot be drawn from"):
        resample(POPULATION[:1])
    with pytest.raises(ExperimentError, match="None of 3 runs of 4 units"):
        play(resample(np.zeros((5, 2))), Setting("ratio", (2, 2)), 3, rng)


def test_the_same_seed_plays_the_same() -> None:
    setting = Setting("mean", (50, 60))
    one, other = (play(resample(POPULATION), setting, 5, np.random.default_rng(8)) for _ in range(2))
    np.testing.assert_array_equal(one.p_values, other.p_values)
