"""Rankers side by side: lists are told apart, nothing of the judged days is learned from, figures mean what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import rankers
from bench.closed_loop import Loop
from bench.contenders import RANKERS, Answer, list_sizes, split
from bench.rankers import judge
from recsys.features.pairs import PAIR_FEATURES
from recsys.ranking.training import Examples
from tests.ranking.test_boosted import world


@pytest.fixture(scope="module")
def pairs() -> Examples:
    made, n = world(40_000, 1), 40_000
    day = np.arange(n) // 4_000
    users = np.array([f"u{(i // 20) % 200:03d}" for i in range(n)])
    price = np.exp(made["features"][:, PAIR_FEATURES.index("log_price")].astype(float))
    columns = (made["features"], made["purchased"], users, made["clicked"], made["position"])
    return Examples(*columns, day, price, users, day > 99)


def test_days_are_learned_from_then_calibrate_then_judge(pairs: Examples) -> None:
    data = split(pairs, 0)
    days = [np.unique(part.day).tolist() for part in (data.learn, data.later, data.test)]
    assert days == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]
    assert list_sizes(data.test).tolist() == [20] * 400


@pytest.mark.parametrize("name", ["logistic", "direct", "click x buy", "lambdamart"])
def test_what_learns_beats_what_does_not(pairs: Examples, name: str) -> None:
    data = split(pairs, 0)
    plain, learned = (judge(RANKERS[ranker](data), data.test, 0) for ranker in ("one rate", name))
    assert learned["log_loss"] < plain["log_loss"]
    assert learned["price_decile_error"] < plain["price_decile_error"]
    assert learned["ndcg@10"][0] > plain["ndcg@10"][2]


def test_a_perfect_order_has_an_ndcg_of_one_and_all_the_money(pairs: Examples) -> None:
    test = split(pairs, 0).test
    truth = test.purchased.astype(float)
    found = judge(Answer(np.clip(truth, 0.01, 0.99), truth, truth * test.price), test, 0)
    assert found["ndcg@10"][0] == pytest.approx(1.0)
    per_list = test.price[test.purchased].sum() / found["lists"]
    assert found["revenue@10"][0] == pytest.approx(per_list)


def test_what_was_shown_is_played_once_and_kept(
    pairs: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = []
    monkeypatch.setattr(rankers, "_played", lambda loop, *_: played.append(loop) or pairs)
    for _ in range(2):
        kept = rankers.shown(Loop(days=2), tmp_path, print)
        assert np.array_equal(kept.features, pairs.features)
        assert np.array_equal(kept.users, pairs.users)
    assert len(played) == 1
    rankers.shown(Loop(days=3), tmp_path, print)
    assert len(played) == 2
