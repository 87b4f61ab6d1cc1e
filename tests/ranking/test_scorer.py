"""Probabilities: learned, corrected for sampling, calibrated later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.errors import ModelError
from recsys.features.pairs import PAIR_FEATURES
from recsys.models import store
from recsys.ranking import scorer as module
from recsys.ranking.calibration import Calibration, calibration
from recsys.ranking.champion import load_scorer
from recsys.ranking.platt import SEEN_ABOVE, Platt, log_odds, sigmoid
from recsys.ranking.scorer import PairScorer, calibrated, fit_scorer, remembering
from recsys.ranking.snapshot import Snapshot
from recsys.ranking.training import Examples, gate, in_gate_half, train_scorer
from tests.ranking.test_pipeline import DS, frames

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
    assert sampled.predict(features).mean() == pytest.approx(truth.mean(), rel=0.15)


def test_what_lists_hardly_held_gets_no_weight_but_a_users_own_acts_do() -> None:
    features, purchased, _ = world(60_000, 14)
    rare = np.arange(len(features)) % 250 == 0  # .4 %, and all of them bought
    features[:, 1] = rare
    flood = np.tile(np.array([5, 1, 1], np.float32), (10, 1))
    without = np.tile(np.array([5, 0, 1], np.float32), (10, 1))
    for name, counts in (("is_auction", False), ("seen_carts", True)):
        rng = np.random.default_rng(0)
        scorer = fit_scorer(features, purchased | rare, names=("x", name, "constant"), rng=rng)
        more = scorer.predict(flood) > scorer.predict(without)
        assert more.all() == more.any() == counts


def test_sampling_negatives_by_their_clicks_bends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    features = rng.normal(size=(200_000, 3)).astype(np.float32)
    clicked = rng.random(len(features)) < sigmoid(features[:, 0] - 2.5)
    purchased = clicked & (rng.random(len(features)) < sigmoid(features[:, 1] - 2.0))
    whole = fit(features, purchased, clicked=clicked)
    monkeypatch.setattr(module, "MOST_NEGATIVES", 10_000)
    sampled = fit(features, purchased, clicked=clicked)
    np.testing.assert_allclose(
        sampled.coefficients / sampled.scale, whole.coefficients / whole.scale, atol=0.1
    )


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


def test_pages_that_users_asked_for_teach_what_listings_are_worth_and_not_what_interest_is() -> None:
    rng = np.random.default_rng(8)
    names = ("brand_lift", "x", "constant")
    features = np.column_stack([rng.normal(size=(80_000, 2)), np.ones(80_000)]).astype(np.float32)
    off_list, position = np.arange(80_000) >= 20_000, rng.integers(1, 20, 80_000).astype(float)
    features[~off_list, 1] = 0  # lists never held what differs by it
    interest, x = features[:, 0], features[:, 1]
    wish = -4 + 0.8 * x + np.where(off_list, 1.0, interest) - 0.5 * np.log(position)
    clicked = rng.random(80_000) < sigmoid(wish)
    purchased = clicked & (rng.random(80_000) < 0.3)

    def weights(chosen: np.ndarray, **marks: np.ndarray) -> np.ndarray:
        known = {"clicked": clicked[chosen], "position": position[chosen]} | marks
        scorer = fit_scorer(
            features[chosen], purchased[chosen], names=names, rng=np.random.default_rng(0), **known
        )
        return (scorer.coefficients / scorer.scale)[:2]

    every = np.ones(80_000, bool)
    both, blind = weights(every, off_list=off_list), weights(every)
    assert both[0] / both[1] == pytest.approx(1 / 0.8, abs=0.25)
    assert blind[0] / blind[1] < 0.6, "unmarked, pages on which interest counts nothing hide it"
    lists = weights(~off_list)
    np.testing.assert_array_equal(lists, weights(~off_list, off_list=off_list[~off_list]))
    assert lists[1] == 0 < both[1]


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
    assert found.platt.slope == 1.0
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


def test_it_survives_its_folder_and_refuses_other_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, purchased, _ = world(5_000, 9, offset=-2.0)
    scorer = fit(features, purchased)
    scorer.save(tmp_path / "scorer")
    with monkeypatch.context() as patch:
        patch.setattr(module, "PAIR_FEATURES", NAMES)
        again = load_scorer(tmp_path / "scorer")
    assert isinstance(again, PairScorer)
    assert np.array_equal(scorer.predict(features), again.predict(features))
    with pytest.raises(ModelError, match="'noise'"):
        load_scorer(tmp_path / "scorer")
    store.save(tmp_path / "other", {"x": features}, {"model": "oracle"})
    with pytest.raises(ModelError, match=r"Known scorers: .*pair_scorer"):
        load_scorer(tmp_path / "other")


def test_contributions_add_up_to_the_log_odds() -> None:
    snapshot = Snapshot.from_frames(frames(), DS)
    rows, items = np.arange(len(snapshot.audience)), np.arange(len(snapshot.audience)) * 3
    rng = np.random.default_rng(3)
    features = rng.normal(size=(2_000, len(PAIR_FEATURES))).astype(np.float32)
    purchased = rng.random(2_000) < sigmoid(features[:, 0] + features[:, 9] - 1)
    scorer = fit_scorer(features, purchased, names=PAIR_FEATURES, rng=rng)
    why = scorer.contributions(snapshot.shelf, snapshot.audience, rows, items, {})
    p = scorer.judge(snapshot.shelf, snapshot.audience, rows, items, {}).p_purchase
    assert why.names == PAIR_FEATURES
    np.testing.assert_allclose(sigmoid(why.values.sum(axis=1) + why.base), p, rtol=1e-3)


def test_the_gate_wants_better_than_the_mean_rate() -> None:
    features, purchased, truth = world(20_000, 10)
    scorer = fit(features, purchased)
    gate(scorer, calibration(truth, purchased))
    with pytest.raises(ModelError, match="not lower by more than chance"):
        gate(scorer, calibration(np.full(len(purchased), 0.5), purchased))
    broken = PairScorer(NAMES, scorer.mean, scorer.scale, np.array([np.nan, 0, 0]), 0.0)
    with pytest.raises(ModelError, match="not finite"):
        gate(broken, calibration(truth, purchased))


def test_what_chance_makes_of_calibration_refuses_nothing() -> None:
    rng = np.random.default_rng(12)
    p = np.minimum(0.0013 * rng.lognormal(-1.1, 1.5, 42_000), 0.5)
    half, lost = p / 2, p / 5
    found = [[calibration(said, rng.random(len(p)) < p) for said in (half, lost)] for _ in range(40)]
    scorer = fit(*world(2_000, 10)[:2])

    def refused(fit: Calibration) -> bool:
        try:
            gate(scorer, fit)
        except ModelError:
            return True
        return False

    judged = [[refused(fit) for fit in pair] for pair in found if min(fit.positives for fit in pair) >= 50]
    share = np.mean(judged, axis=0)
    assert share[0] < 0.1
    assert share[1] > 0.9
    assert np.mean([pair[0].ece > 0.5 * pair[0].positives / pair[0].rows for pair in found]) > 0.5


def examples(n: int, seed: int, taste: float) -> Examples:
    """Pairs of 400 users; the first feature moves the log-odds of a purchase by ``taste``, the others are noise."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, len(PAIR_FEATURES))).astype(np.float32)
    purchased = rng.random(n) < sigmoid(-3 + taste * features[:, 0].astype(float))
    return Examples(features, purchased, np.array([f"u{i}" for i in rng.integers(0, 400, n)], object))


def test_what_stood_off_lists_neither_calibrates_nor_judges() -> None:
    def with_pages(seed: int) -> Examples:
        shown, asked = examples(8_000, seed, 1.5), examples(24_000, seed + 50, 1.5)
        asked = replace(asked, purchased=np.random.default_rng(seed).random(24_000) < 0.5)
        parts = [
            replace(part, position=np.ones(len(part.users)), off_list=np.full(len(part.users), off))
            for part, off in ((shown, False), (asked, True))
        ]
        return Examples.join(parts)

    later = with_pages(4)
    scorer, metrics = train_scorer(with_pages(2), later, 0)
    lists = later.listed
    assert len(lists.purchased) == 8_000
    assert metrics["purchases"] == lists.purchased[in_gate_half(lists.users)].sum()
    assert scorer.predict(lists.features).mean() == pytest.approx(lists.purchased.mean(), rel=0.1)


def refused(train: Examples, later: Examples, seed: int, champion: PairScorer | None = None) -> str | None:
    try:
        train_scorer(train, later, seed, champion=champion)
    except ModelError as error:
        return str(error)
    return None


def test_noise_is_refused_and_taste_passes() -> None:
    seeds = range(40)
    noise = [refused(examples(3_000, s, 0.0), examples(4_000, 1_000 + s, 0.0), s) for s in seeds]
    assert sum(text is not None for text in noise) >= 0.95 * len(seeds)
    taste = [refused(examples(3_000, s, 1.0), examples(4_000, 1_000 + s, 1.0), s) for s in seeds[:10]]
    assert taste == [None] * 10


def test_what_is_behind_the_champion_is_refused() -> None:
    later = examples(8_000, 1, 1.5)
    champion, metrics = train_scorer(examples(8_000, 2, 1.5), examples(8_000, 4, 1.5), 0)
    assert metrics["log_loss"] < metrics["prior_log_loss"] - 2 * metrics["noise"]
    assert refused(examples(16_000, 3, 1.5), later, 0, champion) is None
    few = examples(300, 5, 1.5)  # better than nothing, but not than what is there
    assert refused(few, later, 0) is None
    assert "worse than the champion" in str(refused(few, later, 0, champion))


def test_a_champion_is_held_against_days_that_it_has_not_seen() -> None:
    later = replace(examples(8_000, 1, 1.5), day=np.repeat([10, 11], 4_000))
    champion, _ = train_scorer(replace(examples(8_000, 2, 1.5), day=np.repeat([8, 9], 4_000)), later, 0)
    few = replace(examples(300, 5, 1.5), day=np.repeat([8, 9], 150))
    with pytest.raises(ModelError, match="worse than the champion"):
        train_scorer(few, later, 0, champion=champion, champion_saw=10)
    _, metrics = train_scorer(few, later, 0, champion=champion, champion_saw=11)
    assert "champion_log_loss" not in metrics


def test_two_purchases_do_not_compare_it_with_the_champion() -> None:
    later = replace(examples(8_000, 1, 1.5), day=np.repeat([10, 11], 4_000))
    last = np.flatnonzero((later.day == 11) & later.purchased)[2:]
    later.purchased[last] = False
    champion, _ = train_scorer(examples(8_000, 2, 1.5), examples(8_000, 4, 1.5), 0)
    _, metrics = train_scorer(examples(300, 5, 1.5), later, 0, champion=champion, champion_saw=10)
    assert "champion_log_loss" not in metrics


def test_with_no_memory_a_champion_leaves_no_trace() -> None:
    fresh, later = examples(30_000, 3, 1.5), examples(8_000, 1, 1.5)
    wide = examples(3_000, 2, 1.5)
    wide.features[:, 1:] *= 3
    champion, _ = train_scorer(wide, examples(8_000, 4, 1.5), 0)
    alone, _ = train_scorer(fresh, later, 0)
    beside, metrics = train_scorer(fresh, later, 0, champion=champion, memory=0.0)
    after, _ = train_scorer(fresh, later, 0, champion=champion)
    assert metrics["champion_log_loss"] > metrics["log_loss_beside_champion"] - 0.01
    np.testing.assert_array_equal(beside.predict(later.features), alone.predict(later.features))
    assert (after.predict(later.features) != alone.predict(later.features)).any()


def test_chances_that_are_all_alike_have_no_end() -> None:
    p = np.repeat([0.05, 0.01], [20, 980])  # a tenth of what is expected reaches into the lower ones
    found = Platt(offset=-3.0).bounded(log_odds(p) + 3.0, np.zeros(len(p)))
    assert found == Platt(offset=-3.0)


def test_what_passed_learns_from_the_last_days_too() -> None:
    train, later = examples(20_000, 1, 1.0), examples(20_000, 2, 1.0)
    rng = np.random.default_rng(3)
    both = sigmoid(-3 + later.features[:, 0].astype(float) + later.features[:, 1].astype(float))
    later = replace(later, purchased=rng.random(len(both)) < both)
    passed, _ = train_scorer(train, later, 0)
    assert isinstance(passed, PairScorer)
    second = passed.coefficients[1] / passed.coefficients[0]
    assert 0.3 < second < 0.7, "it counts on half of the days"
    assert passed.predict(later.features).mean() == pytest.approx(later.purchased.mean(), rel=0.1)


def test_calibration_knows_nothing_that_the_fit_has_seen() -> None:
    train, later = examples(3_000, 1, 1.0), examples(3_000, 2, 1.0)
    passed, _ = train_scorer(train, later, 0)
    assert isinstance(passed, PairScorer)
    every = Examples.join([train, later])
    raw = fit_scorer(every.features, every.purchased, names=PAIR_FEATURES, rng=np.random.default_rng(0))
    flattered = calibrated(raw, later.features, later.purchased)
    assert passed.platt.slope < flattered.platt.slope


def test_no_more_is_promised_than_was_seen_and_the_order_goes_on() -> None:
    features, purchased, _ = world(60_000, 5)
    later, bought, _ = world(60_000, 6)
    found = calibrated(fit(features, purchased), later, bought)
    p = found.predict(later)
    assert p.mean() == pytest.approx(bought.mean(), rel=1e-3)
    above = p == p.max()
    assert p[above].sum() == pytest.approx(SEEN_ABOVE, rel=0.5)
    beyond = later[:2] * np.array([[3], [6]], np.float32)
    wide = replace(found, low=np.full(3, -99, np.float32), high=np.full(3, 99, np.float32))
    np.testing.assert_allclose(wide.predict(beyond), p.max())
    assert wide.logit(beyond)[1] > wide.logit(beyond)[0] > log_odds(p.max())


def test_lists_are_in_the_order_of_what_is_not_promised_too() -> None:
    snapshot = Snapshot.from_frames(frames(), DS)
    n = len(PAIR_FEATURES)
    weights = 0.05 * np.random.default_rng(4).normal(size=n)
    scorer = PairScorer(PAIR_FEATURES, np.zeros(n), np.ones(n), weights, -4.0)
    items = np.arange(len(snapshot.shelf))
    free = scorer.judge(snapshot.shelf, snapshot.audience, items * 0, items, {})
    most = float(np.median(free.p_purchase))
    bound = replace(scorer, platt=Platt(most=most)).judge(
        snapshot.shelf, snapshot.audience, items * 0, items, {}
    )
    np.testing.assert_array_equal(bound.p_purchase, free.p_purchase)
    np.testing.assert_array_equal(bound.promised, np.minimum(free.p_purchase, most))


def test_the_halves_are_of_whole_users_and_fixed() -> None:
    users = np.array([f"u{i % 1_000}" for i in range(3_000)], object)
    gate_half = in_gate_half(users)
    assert 0.45 < gate_half.mean() < 0.55
    assert (gate_half == np.tile(gate_half[:1_000], 3)).all()
    assert in_gate_half(np.array(["u0", "u1", "u2", "u3"])).tolist() == gate_half[:4].tolist()


def test_the_place_in_the_list_does_not_pass_for_taste() -> None:
    rng = np.random.default_rng(11)
    n = 40_000
    taste, position = rng.normal(size=n), rng.integers(1, 50, n)
    guess = -np.log1p(position) + rng.normal(size=n)  # the old order: it says where, not what
    features = np.column_stack([taste, guess, np.ones(n)]).astype(np.float32)
    clicked = rng.random(n) < sigmoid(1 + 0.8 * taste - 1.2 * np.log1p(position))
    purchased = clicked & (rng.random(n) < 0.1)
    fooled, fair = (fit(features, purchased, clicked=clicked, position=p) for p in (None, position))
    ratio = [abs(s.coefficients[1] / s.coefficients[0]) for s in (fooled, fair)]
    assert ratio[1] < 0.5 * ratio[0]


def test_calibration_by_hand() -> None:
    found = calibration(np.array([0.2, 0.2, 0.8, 0.8]), np.array([0, 1, 1, 1]), bins=2)
    assert found.ece == pytest.approx(0.5 * abs(0.2 - 0.5) + 0.5 * abs(0.8 - 1.0))
    assert found.ece_by_chance == pytest.approx(np.sqrt(2 / np.pi) * 2 * np.sqrt(2 * 0.2 * 0.8) / 4)
    assert found.log_loss == pytest.approx(-(np.log(0.8) + np.log(0.2) + 2 * np.log(0.8)) / 4)
    assert found.prior_log_loss == pytest.approx(-(np.log(0.25) + 3 * np.log(0.75)) / 4)


def test_a_new_scorer_remembers_the_one_before() -> None:
    rng = np.random.default_rng(5)
    names = ("log_price", "rare")
    x = rng.uniform(-2, 2, size=(400, 2)).astype(np.float32)
    ends = np.array([-1.0, 0.0], np.float32), np.array([1.0, 0.0], np.float32)
    new = PairScorer(
        names, np.zeros(2), np.array([2.0, 1.0]), np.array([0.4, 0.0]), -3.0, low=ends[0], high=ends[1]
    )
    before = PairScorer(
        names,
        np.ones(2),
        np.array([1.0, 0.5]),
        np.array([0.3, 0.2]),
        -2.0,
        platt=Platt(0.5, 0.1, 0.0),
        low=np.full(2, -3, np.float32),
        high=np.full(2, 3, np.float32),
    )
    mixed = remembering(new, before, 0.75)
    slope = np.polyfit(x[:, 1], mixed.logit(np.column_stack([np.zeros(400), x[:, 1]]).astype(np.float32)), 1)[
        0
    ]
    assert slope == pytest.approx(0.75 * 0.5 * 0.2 / 0.5, rel=1e-4), (
        "what the new one has not seen is remembered"
    )
    price = mixed.coefficients[0] / mixed.scale[0]
    assert price == pytest.approx(0.25 * 0.4 / 2 / 3 + 0.75 * (0.5 * 0.3 + 0.1)), (
        "a third of the range was seen"
    )
    kept = np.clip(x, -3, 3)
    np.testing.assert_allclose(mixed.logit(x * 100), mixed.logit(np.clip(x * 100, -3, 3)), rtol=1e-5)
    np.testing.assert_allclose(remembering(new, before, 0.0).logit(kept * 0), new.logit(kept * 0), rtol=1e-6)


def test_what_the_last_lists_hardly_held_is_not_drawn_out_over_the_range_of_others() -> None:
    """A week of lists with few auctions, none of them near its end, says nothing of those that end within hours."""
    rng = np.random.default_rng(6)
    names = ("log_price", "ends_soon")
    n = 60_000

    def week(auctions: float) -> tuple[np.ndarray, np.ndarray]:
        held = rng.random(n) < auctions
        features = np.column_stack([rng.normal(3, 1, n), held * rng.uniform(0.02, 1, n)]).astype(np.float32)
        return features, rng.random(n) < sigmoid(-4 + 0.1 * features[:, 0] + 1.0 * features[:, 1])

    many, few = (
        fit_scorer(*week(share), names=names, rng=np.random.default_rng(0)) for share in (0.3, 0.012)
    )
    assert few.high[1] < 0.4 < many.high[1]
    mixed = remembering(few, many)
    steady = np.array([[3.0, 0.0], [3.0, 0.9]], np.float32)
    rise = {
        name: float(np.diff(scorer.logit(steady))[0]) for name, scorer in (("before", many), ("mixed", mixed))
    }
    assert 0.5 < rise["before"] < 1.5
    assert 0 < rise["mixed"] < 1.2 * rise["before"]
