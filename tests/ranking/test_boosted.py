"""Boosted trees: the truth is recovered, bits are their own, and every number can be taken apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import ModelError
from recsys.features.pairs import PAIR_FEATURES
from recsys.features.shelf import ITEM_FEATURES
from recsys.ranking import boosted as module
from recsys.ranking.boosted import BoostedScorer, Growth, fit_boosted, product_gradients
from recsys.ranking.champion import load_scorer
from recsys.ranking.platt import log_odds, sigmoid
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.training import Examples, _preferred, train_scorer
from tests.ranking.test_pipeline import DS, frames

WIDTH = len(PAIR_FEATURES)
PRICE = PAIR_FEATURES.index("log_price")
QUICK = Growth(rounds=60, least_in_leaf=100)


def world(n: int, seed: int) -> dict[str, np.ndarray]:
    """The ends of the first feature draw clicks; low prices and the second sell; what stands lower is opened less."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, WIDTH)).astype(np.float32)
    position = rng.integers(1, 40, n)
    wish = sigmoid(-1.5 + 3.5 * (np.abs(features[:, 0]) > 0.7))
    opens = wish * position**-0.5
    buys = sigmoid(-2.0 - 1.0 * features[:, PRICE].astype(float) + 0.5 * features[:, 1].astype(float))
    clicked = rng.random(n) < opens
    return {
        "features": features,
        "position": position.astype(float),
        "clicked": clicked,
        "purchased": clicked & (rng.random(n) < buys),
        "opens": opens,
        "buys": buys,
        "wish": wish,
    }


def fit(market: dict[str, np.ndarray], seed: int = 0) -> BoostedScorer:
    late = np.arange(len(market["features"])) >= 0.8 * len(market["features"])
    return fit_boosted(
        market["features"],
        market["purchased"],
        market["clicked"],
        position=market["position"],
        late=late,
        names=PAIR_FEATURES,
        seed=seed,
        growth=QUICK,
    )


@pytest.fixture(scope="module")
def market() -> dict[str, np.ndarray]:
    return world(90_000, 1)


@pytest.fixture(scope="module")
def scorer(market: dict[str, np.ndarray]) -> BoostedScorer:
    later = world(20_000, 2)
    return fit(market).calibrated(later["features"], later["purchased"])


def test_it_recovers_what_draws_and_what_sells(scorer: BoostedScorer) -> None:
    test = world(10_000, 3)
    p = scorer.predict(test["features"])
    truth = log_odds(test["wish"] * test["buys"])
    assert np.corrcoef(log_odds(p), truth)[0, 1] > 0.95
    assert p.mean() == pytest.approx((test["opens"] * test["buys"]).mean(), rel=0.1)
    assert scorer.click(test["features"]).mean() == pytest.approx(test["opens"].mean(), rel=0.15)


def test_few_negatives_change_no_level(
    market: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_NEGATIVES", 5_000)
    sampled = fit(market)
    assert sampled.kept < 0.3
    test = world(10_000, 3)
    truth = test["opens"] * test["buys"]
    assert sampled.predict(test["features"]).mean() == pytest.approx(truth.mean(), rel=0.2)
    untouched = replace(sampled, kept=1.0).predict(test["features"])
    assert untouched.mean() > 1.5 * truth.mean()


def test_bits_are_the_same_alone_again_and_from_disk(scorer: BoostedScorer, tmp_path: Path) -> None:
    features = world(500, 4)["features"]
    p = scorer.predict(features)
    assert np.array_equal(p, np.concatenate([scorer.predict(row[None]) for row in features]))
    scorer.save(tmp_path / "a")
    loaded = load_scorer(tmp_path / "a")
    assert isinstance(loaded, BoostedScorer)
    assert np.array_equal(p, loaded.predict(features))
    loaded.save(tmp_path / "b")
    for name in ("arrays.npz", "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_same_pairs_grow_the_same_trees(market: dict[str, np.ndarray]) -> None:
    part = {name: values[:12_000] for name, values in market.items()}
    assert fit(part).models == fit(part).models


def test_other_features_are_refused(
    scorer: BoostedScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer.save(tmp_path / "a")
    monkeypatch.setattr(module, "PAIR_FEATURES", (*PAIR_FEATURES, "mood"))
    with pytest.raises(ModelError, match="mood"):
        load_scorer(tmp_path / "a")


def test_contributions_add_up_to_the_log_odds(scorer: BoostedScorer) -> None:
    snapshot = Snapshot.from_frames(frames(), DS)
    rows, items = np.arange(len(snapshot.audience)), np.arange(len(snapshot.audience)) * 3
    why = scorer.contributions(snapshot.shelf, snapshot.audience, rows, items, {})
    judged = scorer.judge(snapshot.shelf, snapshot.audience, rows, items, {})
    np.testing.assert_allclose(sigmoid(why.values.sum(axis=1) + why.base), judged.p_purchase, rtol=1e-6)
    assert judged.p_click is not None
    assert (judged.p_click >= judged.p_purchase).all()
    price = scorer.explain(world(2_000, 5)["features"]).values[:, PRICE]
    assert np.corrcoef(price, world(2_000, 5)["features"][:, PRICE])[0, 1] < -0.9


def test_quality_orders_listings_by_what_is_known_of_them(scorer: BoostedScorer) -> None:
    shelf = Snapshot.from_frames(frames(), DS).shelf
    price = ITEM_FEATURES.index("log_price")
    cheap, dear = shelf.features.copy(), shelf.features.copy()
    cheap[:, price], dear[:, price] = -1.0, 1.0
    better = scorer.quality(replace(shelf, features=cheap)) - scorer.quality(replace(shelf, features=dear))
    assert (better > 0.5).all()


def test_nothing_to_judge_is_no_error(scorer: BoostedScorer) -> None:
    none = np.empty((0, WIDTH), np.float32)
    assert scorer.predict(none).shape == (0,)
    assert scorer.explain(none).values.shape == (0, WIDTH)


def test_gradients_are_those_of_the_loss_over_all_pairs() -> None:
    rng = np.random.default_rng(6)
    raw, click, outcome = rng.normal(size=50), rng.random(50), rng.random(50) < 0.3

    def loss(raw: np.ndarray) -> np.ndarray:
        p = click * sigmoid(raw)
        return -np.where(outcome, np.log(p), np.log1p(-p))

    slope, curve = product_gradients(raw, click, outcome)
    np.testing.assert_allclose(slope, (loss(raw + 1e-5) - loss(raw - 1e-5)) / 2e-5, rtol=1e-4, atol=1e-7)
    p, q = click * sigmoid(raw), sigmoid(raw)
    bought, not_bought = (product_gradients(raw, click, np.full(50, y))[0] for y in (True, False))
    np.testing.assert_allclose(p * bought + (1 - p) * not_bought, 0, atol=1e-12)
    np.testing.assert_allclose(curve, p * bought**2 + (1 - p) * not_bought**2, rtol=1e-9)
    assert (q > 0).all()


def test_too_little_to_grow_trees_on_is_said() -> None:
    few = world(300, 7)
    with pytest.raises(ModelError, match="100 purchases"):
        fit(few)


def test_training_keeps_the_trees_where_they_are_ahead(market: dict[str, np.ndarray]) -> None:
    def shown(seed: int, bent: bool) -> Examples:
        made = world(16_000, seed)
        features = made["features"]
        if not bent:  # a straight line is the truth
            p = sigmoid(-2.5 + 0.5 * features[:, :12].sum(axis=1, dtype=float))
            made["clicked"] = np.random.default_rng(seed).random(len(p)) < p
            made["purchased"] = made["clicked"] & (np.random.default_rng(seed + 1).random(len(p)) < 0.9)
        users = np.array([f"u{i % 700}" for i in range(len(features))], object)
        day = np.arange(len(features)) * 5 // len(features)
        return Examples(features, made["purchased"], users, made["clicked"], np.ones(len(features)), day=day)

    for bent, kind in ((True, "boosted"), (False, "pair_scorer")):
        kept, metrics = train_scorer(shown(11, bent), shown(12, bent), 0)
        assert kept.kind == kind
        assert {"pair_scorer_calibration_loss", "boosted_calibration_loss"} <= set(metrics)


def test_a_champion_of_trees_is_met_too(scorer: BoostedScorer) -> None:
    made = world(12_000, 21)
    users = np.array([f"u{i % 700}" for i in range(12_000)], object)
    later = Examples(made["features"], made["purchased"], users)
    few = Examples(made["features"][:900], made["purchased"][:900], users[:900])
    with pytest.raises(ModelError, match="worse than the champion"):
        train_scorer(few, later, 0, champion=scorer)


def test_trees_have_to_be_ahead_by_more_than_chance() -> None:
    rng = np.random.default_rng(8)
    users = np.array([f"u{i % 500}" for i in range(20_000)], object)
    line = rng.exponential(0.1, len(users))
    chance, lead = line + rng.normal(-1e-4, 0.05, len(users)), line - rng.exponential(0.01, len(users))
    assert _preferred({"pair_scorer": line, "boosted": chance}, users) == "pair_scorer"
    assert _preferred({"pair_scorer": line, "boosted": lead}, users) == "boosted"
    assert _preferred({"boosted": line}, users) == "boosted", "the only one that could be calibrated"
