"""Each model: it finds rates that it can see, takes what is missing or absurd, explains itself and survives a reload."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsys.keywords.ranker import MODELS
from recsys.keywords.rankers import calibrate
from recsys.keywords.rankers.base import Examples
from recsys.keywords.rankers.network import Network, QuantisedNetwork, quantise
from recsys.ranking.platt import log_odds, sigmoid

NAMES = ("x", "noise", "sometimes", "never")


def examples(rows: int = 4_000, seed: int = 0) -> tuple[Examples, np.ndarray]:
    """Rates of log-odds -1.5 + x, +1 where ``sometimes`` is not known, of 1 to 30 tries."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 4)).astype(np.float32)
    unknown = rng.random(rows) < 0.3
    features[unknown, 2], features[:, 3] = np.nan, np.nan
    p = sigmoid(-1.5 + features[:, 0].astype(np.float64) + unknown)
    tried = rng.integers(1, 31, rows).astype(np.float64)
    return Examples(features, rng.binomial(tried.astype(int), p).astype(np.float64), tried), p


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    return {name: model.fit(examples()[0], NAMES, seed=3) for name, model in MODELS.items()}


@pytest.mark.parametrize("name", list(MODELS))
def test_it_finds_the_rates(fitted: dict[str, Any], name: str) -> None:
    later, truth = examples(2_000, seed=1)
    found = sigmoid(fitted[name].logit(later.features))
    assert np.corrcoef(log_odds(found), log_odds(truth))[0, 1] > 0.97
    assert np.abs(found - truth).mean() < 0.03


@pytest.mark.parametrize("name", list(MODELS))
def test_what_is_absurd_or_unknown_gets_a_sound_probability(fitted: dict[str, Any], name: str) -> None:
    odd = np.array([[1e9, 0, 0, 0], [-1e9, 0, 0, 0], [np.nan] * 4, [3, 0, 0, 1e9]], np.float32)
    logit = fitted[name].logit(odd)
    assert np.isfinite(logit).all()
    assert logit[1] < logit[0]
    assert logit.max() < 4  # x is held at what was seen: no rate of one


@pytest.mark.parametrize("name", list(MODELS))
def test_contributions_add_up_and_name_the_cause(fitted: dict[str, Any], name: str) -> None:
    later = examples(300, seed=1)[0]
    told = fitted[name].explain(later.features)
    assert told.names == NAMES
    if name != "network_int8":  # explained by the float network of the same weights
        np.testing.assert_allclose(
            told.values.sum(axis=1) + told.base, fitted[name].logit(later.features), atol=1e-4
        )
    size = np.abs(told.values).mean(axis=0)
    assert size[0] > size[2] > 2 * size[1]
    assert size[3] == 0


@pytest.mark.parametrize("name", list(MODELS))
def test_the_same_after_a_reload_and_in_any_batch(fitted: dict[str, Any], name: str) -> None:
    model, later = fitted[name], examples(200, seed=1)[0].features
    again = MODELS[name].from_arrays(model.arrays())
    np.testing.assert_array_equal(again.logit(later), model.logit(later))
    np.testing.assert_array_equal(model.logit(later[:7]), model.logit(later)[:7])
    twin = MODELS[name].fit(examples()[0], NAMES, seed=3)
    np.testing.assert_array_equal(twin.logit(later), model.logit(later))


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("good", [0.0, 1.0])
def test_without_both_outcomes_there_is_one_rate(name: str, good: float) -> None:
    alike = Examples(np.full((3, 4), 1.0, np.float32), np.full(3, 2 * good), np.full(3, 2.0))
    model = MODELS[name].fit(alike, NAMES, seed=1)
    p = sigmoid(model.logit(np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)))
    np.testing.assert_allclose(p, (6 * good + 0.5) / 7, atol=1e-9)
    assert not model.explain(alike.features).values.any()


def test_a_row_counts_as_often_as_it_was_tried() -> None:
    few, _ = examples(300)
    few = Examples(np.sign(few.features), few.good, few.tried)
    many = Examples(np.repeat(few.features, 2, axis=0), np.repeat(few.good, 2), np.repeat(few.tried, 2))
    doubled = Examples(few.features, 2 * few.good, 2 * few.tried)
    logits = [MODELS["logistic"].fit(each, NAMES).logit(few.features) for each in (many, doubled)]
    np.testing.assert_allclose(logits[0], logits[1], atol=2e-3)


def test_coefficients_are_shown_heaviest_first() -> None:
    table = MODELS["logistic"].fit(examples()[0], NAMES).coefficients()
    assert table["feature"].tolist()[:2] == ["x", "sometimes unknown"]
    assert table["weight"].iloc[0] == pytest.approx(1.0, abs=0.05)  # x has a standard deviation of 1


def test_eight_bits_are_near_the_network_and_a_quarter_of_it(fitted: dict[str, Any]) -> None:
    network: Network = fitted["network"]
    small: QuantisedNetwork = network.quantised()
    later = examples(1_000, seed=1)[0].features
    gap = np.abs(small.logit(later) - network.logit(later))
    assert 0 < gap.mean() < 0.05
    bytes_of = [sum(weights.nbytes for weights, _ in each.layers) for each in (network, small)]
    assert bytes_of[1] * 4 == bytes_of[0]
    weights = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    whole, step = quantise(weights)
    assert np.abs(whole * step - weights).max() <= step.max() / 2 + 1e-7


def test_platt_undoes_a_shift_and_isotonic_a_bend() -> None:
    rng = np.random.default_rng(5)
    logit = rng.normal(-1, 1.2, 3_000)
    tried = rng.integers(1, 40, 3_000).astype(np.float64)
    good = rng.binomial(tried.astype(int), sigmoid(0.5 * logit - 1)).astype(np.float64)
    curve = calibrate.calibrated(logit, good, tried, rng)
    assert (curve.slope, curve.offset) == pytest.approx((0.5, -1.0), abs=0.05)
    bent = np.where(logit < -1, -3.0, np.where(logit < 0, -2.9, 0.5))
    good = rng.binomial(tried.astype(int), sigmoid(bent)).astype(np.float64)
    steps = calibrate.calibrated(logit, good, tried, rng)
    assert len(steps.steps)
    assert np.abs(sigmoid(steps(logit)) - sigmoid(bent)).mean() < 0.02
    assert (np.diff(steps(np.sort(logit))) >= 0).all()


def test_with_few_good_ones_only_the_level_moves_and_never_the_order_turns() -> None:
    logit, tried = np.linspace(-3, 0, 50), np.full(50, 10.0)
    few = calibrate.platt(logit, np.full(50, 0.4), tried)
    assert few.slope == 1
    assert np.average(sigmoid(few(logit)), weights=tried) == pytest.approx(20.5 / 501, rel=1e-6)
    backwards = calibrate.platt(logit, tried * sigmoid(-logit - 3), tried)
    assert backwards.slope == 0
    assert calibrate.platt(logit, 0 * tried, 0 * tried)(logit).tolist() == logit.tolist()
