"""Probabilities: learned, corrected for sampling, calibrated later."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import ModelError
from recsys.ranking import scorer as module
from recsys.ranking.calibration import calibration
from recsys.ranking.scorer import PairScorer, calibrated, fit_scorer, sigmoid
from recsys.ranking.training import gate

NAMES = ("x", "noise", "constant")


def world(n: int, seed: int, offset: float = -4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = np.column_stack([rng.normal(5, 2, n), rng.normal(size=n), np.ones(n)]).astype(np.float32)
    p = sigmoid(offset + 0.8 * (features[:, 0] - 5))
    return features, rng.random(n) < p, p


def fit(features: np.ndarray, purchased: np.ndarray, **options: object) -> PairScorer:
    return fit_scorer(features, purchased, names=NAMES, rng=np.random.default_rng(0), **options)  # type: ignore[arg-type]


def test_it_recovers_the_true_probabilities() -> None:
    features, purchased, _ = world(60_000, 1)
    later, _, truth = world(20_000, 2)
    predicted = fit(features, purchased).predict(later)
    assert np.corrcoef(predicted, truth)[0, 1] > 0.99
    assert predicted.mean() == pytest.approx(truth.mean(), rel=0.1)


def test_sampling_negatives_does_not_raise_the_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    features, purchased, truth = world(60_000, 1)
    monkeypatch.setattr(module, "MOST_NEGATIVES", 3_000)
    sampled = fit(features, purchased)
    assert sampled.kept < 0.1
    assert sampled.predict(features).mean() == pytest.approx(truth.mean(), rel=0.15)


def test_the_correction_is_the_published_formula() -> None:
    arguments = (NAMES, np.zeros(3), np.ones(3), np.array([1.0, 0.0, 0.0]), 0.3)
    features = np.array([[0.5, 0, 0]], np.float32)
    raw = PairScorer(*arguments).predict(features)[0]
    kept = 0.2
    corrected = PairScorer(*arguments, kept=kept).predict(features)[0]
    assert corrected == pytest.approx(raw / (raw + (1 - raw) / kept), rel=1e-5)


def test_clicks_help_where_purchases_are_few() -> None:
    features, _, _ = world(40_000, 3)
    rng = np.random.default_rng(4)
    wish = 0.8 * (features[:, 0] - 5)
    clicked = rng.random(len(wish)) < sigmoid(-2 + wish)
    purchased = clicked & (rng.random(len(wish)) < 0.02)
    with_clicks = fit(features, purchased, clicked=clicked).predict(features)
    assert np.corrcoef(np.log(with_clicks), wish)[0, 1] > 0.99


def test_later_days_calibrate_the_level() -> None:
    features, purchased, _ = world(60_000, 5)
    later, bought, truth = world(60_000, 6, offset=-5.0)
    scorer = calibrated(fit(features, purchased), later, bought)
    assert scorer.predict(later).mean() == pytest.approx(truth.mean(), rel=0.1)
    assert calibration(scorer.predict(later), bought).ece < 0.002


def test_few_purchases_move_the_level_only() -> None:
    features, purchased, _ = world(60_000, 5)
    scorer = fit(features, purchased)
    later, bought, _ = world(3_000, 6, offset=-5.5)
    assert bought.sum() < 100
    found = calibrated(scorer, later, bought)
    assert found.slope == 1.0
    assert found.predict(later).mean() == pytest.approx(bought.mean(), rel=1e-3)


def test_a_scorer_that_is_backwards_is_refused() -> None:
    features, purchased, _ = world(20_000, 7)
    scorer = fit(features, purchased)
    mirrored = features * np.array([-1, 1, 1], np.float32) + np.array([10, 0, 0], np.float32)
    with pytest.raises(ModelError, match="backwards"):
        calibrated(scorer, mirrored, purchased)


@pytest.mark.parametrize("outcome", [0, 1])
def test_one_outcome_only_is_refused(outcome: int) -> None:
    features, _, _ = world(100, 8)
    with pytest.raises(ModelError, match="Train on more days"):
        fit(features, np.full(100, outcome))


def test_it_survives_its_arrays_and_refuses_other_features() -> None:
    features, purchased, _ = world(5_000, 9, offset=-2.0)
    scorer = fit(features, purchased)
    again = PairScorer.from_arrays(scorer.arrays(), NAMES)
    assert np.array_equal(scorer.predict(features), again.predict(features))
    with pytest.raises(ModelError, match="'y'"):
        PairScorer.from_arrays(scorer.arrays(), ("x", "noise", "y"))


def test_the_gate_wants_better_than_the_mean_rate() -> None:
    features, purchased, truth = world(20_000, 10)
    scorer = fit(features, purchased)
    gate(scorer, calibration(truth, purchased))
    with pytest.raises(ModelError, match="worse than"):
        gate(scorer, calibration(np.full(len(purchased), 0.5), purchased))
    broken = PairScorer(NAMES, scorer.mean, scorer.scale, np.array([np.nan, 0, 0]), 0.0)
    with pytest.raises(ModelError, match="not finite"):
        gate(broken, calibration(truth, purchased))


def test_calibration_by_hand() -> None:
    found = calibration(np.array([0.2, 0.2, 0.8, 0.8]), np.array([0, 1, 1, 1]), bins=2)
    assert found.ece == pytest.approx(0.5 * abs(0.2 - 0.5) + 0.5 * abs(0.8 - 1.0))
    assert found.log_loss == pytest.approx(-(np.log(0.8) + np.log(0.2) + 2 * np.log(0.8)) / 4)
    assert found.prior_log_loss == pytest.approx(-(np.log(0.25) + 3 * np.log(0.75)) / 4)
