"""Calibration by price and segment: counted by hand, silent by chance, loud when it is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.errors import ModelError
from recsys.features.pairs import PAIR_FEATURES
from recsys.ranking.platt import sigmoid
from recsys.ranking.segments import (
    calibration_gate,
    judge_segments,
    price_decile_calibration,
    segment_calibration,
    segments_of,
)
from recsys.ranking.training import Examples, train_scorer


def market(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """True chance of a purchase, whether, price, user."""
    rng = np.random.default_rng(seed)
    price = np.exp(rng.normal(3, 1, n))
    p = 0.02 * price**-0.3 * np.exp(rng.normal(0, 0.5, n))
    return p, rng.random(n) < p, price, rng.integers(0, 500, n)


def test_a_decile_by_hand() -> None:
    price = np.repeat(np.arange(1.0, 11.0), 4)
    p, bought = np.full(40, 0.25), np.tile([1, 0, 0, 0], 10)
    bought[:2] = 1  # twice as often in the cheapest
    frame = price_decile_calibration(p, bought, price)
    assert frame["pairs"].tolist() == [4] * 10
    assert frame["observed"].tolist() == [2] + [1] * 9
    assert frame["error"].tolist() == [-0.5] + [0.0] * 9
    assert frame["noise"].tolist() == pytest.approx([np.sqrt(4 * 0.25 * 0.75)] * 10)
    assert frame["low"].is_monotonic_increasing


def test_purchases_of_one_user_are_no_independent_proof() -> None:
    p, bought, users = np.full(100, 0.1), np.zeros(100), np.repeat(np.arange(10), 10)
    bought[:10] = 1
    alone = segment_calibration(p, bought, {"all": np.zeros(100)})["noise"][0]
    assert alone == pytest.approx(3.0)
    together = segment_calibration(p, bought, {"all": np.zeros(100)}, users)["noise"][0]
    assert together == pytest.approx(np.sqrt(9**2 + 9 * 1**2))


def test_the_truth_passes_and_what_is_off_for_dear_things_does_not() -> None:
    stopped = 0
    for seed in range(10):
        p, bought, price, users = market(20_000, seed)
        try:
            calibration_gate(price_decile_calibration(p, bought, price, users))
        except ModelError:
            stopped += 1
    assert stopped <= 1
    p, bought, price, users = market(400_000, 99)
    tilted = p * np.where(price > np.quantile(price, 0.8), 1.6, 1.0)
    with pytest.raises(ModelError, match=r"price_decile [0-9]+ the ranker expects .*standard error"):
        calibration_gate(price_decile_calibration(tilted, bought, price, users))


def test_a_segment_is_caught_and_a_small_one_is_left_alone() -> None:
    p, bought, price, users = market(200_000, 5)
    category = np.where(np.arange(len(p)) % 4 == 0, "boats", "books")
    cells = segments_of(price, price < 0, category)
    wrong = np.where(category == "boats", 2 * p, p)
    calibration_gate(segment_calibration(p, bought, cells, users))
    with pytest.raises(ModelError, match="category boats"):
        calibration_gate(segment_calibration(wrong, bought, cells, users))
    few = slice(0, 2_000)
    calibration_gate(
        segment_calibration(wrong[few], bought[few], {k: v[few] for k, v in cells.items()}, users[few])
    )


def test_segments_by_hand() -> None:
    found = segments_of(
        np.array([5.0, 50.0, 500.0]), np.array([True, False, False]), np.array(["a", "b", "b"])
    )
    assert found["price_band"].tolist() == ["up to 10", "up to 100", "above 100"]
    assert found["seller"].tolist() == ["new", "known", "known"]


def listed(n: int, seed: int) -> dict[str, np.ndarray]:
    """Price, a category in four and a seller in ten, by chance."""
    rng = np.random.default_rng(seed)
    category = np.where(rng.random(n) < 0.25, "boats", "books").astype(object)
    return {"price": np.exp(rng.normal(3, 1, n)), "category": category, "seller_is_new": rng.random(n) < 0.1}


def shown(n: int, seed: int, boats: float) -> Examples:
    """Pairs of 400 users in which boats, which no feature knows of, sell ``boats`` times as often as the features say."""
    rng = np.random.default_rng(seed)
    about = listed(n, seed)
    features = rng.normal(size=(n, len(PAIR_FEATURES))).astype(np.float32)
    p = sigmoid(-3 + features[:, 0].astype(float)) * np.where(about["category"] == "boats", boats, 1.0)
    users = np.array([f"u{i}" for i in rng.integers(0, 400, n)], object)
    return Examples(features, rng.random(n) < p, users, position=np.ones(n), **about)


def test_training_refuses_a_ranker_that_is_off_in_one_category() -> None:
    _, metrics = train_scorer(shown(20_000, 1, 1.0), shown(20_000, 2, 1.0), 0)
    assert (metrics["price_cells_judged"], metrics["cells_judged"]) == (10, 10 + 2 + 4 + 2)
    with pytest.raises(ModelError, match="Gate: in category boats the ranker expects"):
        train_scorer(shown(20_000, 1, 0.2), shown(20_000, 2, 0.2), 0)


def test_pairs_that_were_not_shown_are_described_and_refuse_nothing() -> None:
    train, later = (replace(shown(20_000, seed, 0.2), position=None) for seed in (1, 2))
    _, metrics = train_scorer(train, later, 0)
    assert metrics["price_decile_error"] > 0
    assert metrics["cells_judged"] == metrics["price_cells_judged"] == 0


def test_few_purchases_are_judged_by_thirds_of_price_and_fewer_not_at_all() -> None:
    p, about = np.full(4_000, 0.03), listed(4_000, 3)
    bought, users = np.arange(4_000) % 33 == 0, np.arange(4_000)
    found = judge_segments(p, bought, users, **about)  # type: ignore[arg-type]
    assert found["price_cells_judged"] == 3
    dear = about["price"] > np.quantile(about["price"], 2 / 3)
    with pytest.raises(ModelError, match="price_third 3"):
        judge_segments(np.where(dear, 3 * p, p), bought, users, **about)  # type: ignore[arg-type]
    few = {name: values[:400] for name, values in about.items()}
    nothing = judge_segments(p[:400], bought[:400], users[:400], **few)  # type: ignore[arg-type]
    assert nothing["cells_judged"] == 0
