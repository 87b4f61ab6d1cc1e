"""The best k of many vectors: the same as sorting all of them, and nearly the same for a fraction of the work."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ModelError
from recsys.features.interactions import Interactions
from recsys.models import MODELS, factored, search
from recsys.models.base import NOTHING, Recommender
from recsys.models.lists import Layout, Lists
from recsys.models.search import EVERYWHERE, Filters, nearest, reach_for


def by_sorting(vectors: np.ndarray, users: np.ndarray, k: int, filters: Filters) -> np.ndarray:
    scores = users @ vectors.T
    if filters.allowed is not None:
        scores[:, ~filters.allowed] = NOTHING
    scores[filters.excluded] = NOTHING
    if filters.user_pool is not None and filters.item_pool is not None:
        here = (filters.item_pool == EVERYWHERE) | (filters.item_pool == filters.user_pool[:, None])
        scores[~here] = NOTHING
    scores[~users.any(axis=1)] = NOTHING
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.where(np.take_along_axis(scores, best, axis=1) > NOTHING, best, -1)
    return np.pad(best, ((0, 0), (0, k - best.shape[1])), constant_values=-1)


def some_filters(rng: np.random.Generator, trial: int, n_users: int, n_items: int) -> Filters:
    pairs = rng.integers(0, n_users, 400), rng.integers(0, n_items, 400)
    pools = (rng.integers(0, 3, n_users), rng.integers(-1, 3, n_items)) if trial % 3 else (None, None)
    return Filters(rng.random(n_items) < 0.7 if trial % 2 else None, pairs, *pools)


@pytest.mark.parametrize("values", ["few, with ties", "any"])
@pytest.mark.parametrize("trial", range(12))
def test_exact_is_what_sorting_gives(monkeypatch: pytest.MonkeyPatch, trial: int, values: str) -> None:
    rng = np.random.default_rng(trial)
    for name, low, high in (("BLOCK_WIDTH", 3, 500), ("MOST_HITS", 10, 10_000), ("USERS_AT_ONCE", 1, 70)):
        monkeypatch.setattr(search, name, int(rng.integers(low, high)))
    n, width, n_users, k = (int(rng.integers(1, most)) for most in (2_000, 8, 60, 50))
    vectors, users = (
        rng.integers(-2, 3, (m, width)) if values != "any" else rng.standard_normal((m, width), np.float32)
        for m in (n, n_users)
    )
    vectors, users = vectors.astype(np.float32), users.astype(np.float32)
    filters = some_filters(rng, trial, n_users, n)
    lists = Lists.build(vectors, rng, int(rng.integers(1, 60))) if trial % 4 else Lists.by_length(vectors)
    items, scores = nearest(lists, users, k, filters=filters, threads=2)
    assert np.array_equal(items, by_sorting(vectors, users, k, filters))
    row, place = np.nonzero(items >= 0)
    told = np.einsum("ij,ij->i", users[row], vectors[items[row, place]])
    assert np.allclose(scores[row, place], told, rtol=1e-5, atol=1e-6)
    assert (scores[items < 0] == NOTHING).all()


def clustered(
    rng: np.random.Generator, n: int, n_users: int, width: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    centres = rng.standard_normal((60, width))
    vectors = centres[rng.integers(0, 60, n)] + 0.4 * rng.standard_normal((n, width))
    users = centres[rng.integers(0, 60, n_users)] + 0.4 * rng.standard_normal((n_users, width))
    return vectors.astype(np.float32), users.astype(np.float32)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, exact, strict=True)]))


def work(lists: Lists, users: np.ndarray, reach: float, k: int) -> float:
    """Share of all scores that a search with the final bars would compute."""
    layout, bars = Layout.of(lists), nearest(lists, users, k)[1][:, -1]
    looked = layout.reachable(users, reach) >= bars[:, None]
    return float((looked @ layout.sizes / len(lists)).mean())


def test_a_reach_found_on_some_users_serves_others_with_a_fraction_of_the_work() -> None:
    rng = np.random.default_rng(3)
    vectors, users = clustered(rng, 20_000, 500)
    lists = Lists.build(vectors, rng, 100)
    reach = reach_for(lists, users[:200], 50, 0.98)
    others = users[200:]
    exact = by_sorting(vectors, others, 50, Filters())
    assert recall(nearest(lists, others, 50, reach=reach)[0], exact) >= 0.97
    assert recall(nearest(lists, others, 50, reach=-9.0)[0], exact) < 0.9  # the knob does something
    assert work(lists, others, reach, 50) < 0.25


def test_a_reach_is_measured_under_the_filters() -> None:
    rng = np.random.default_rng(4)
    vectors, users = clustered(rng, 6_000, 300)
    lists = Lists.build(vectors, rng, 60)
    filters = Filters(
        rng.random(6_000) < 0.3, user_pool=np.arange(300) % 2, item_pool=np.arange(6_000) % 3 - 1
    )
    reach = reach_for(lists, users, 20, 0.98, filters=filters)
    exact = by_sorting(vectors, users, 20, filters)
    assert recall(nearest(lists, users, 20, reach=reach, filters=filters)[0], exact) >= 0.98


def test_who_else_is_asked_and_how_many_threads_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    vectors, users = clustered(rng, 5_000, 40)
    lists = Lists.build(vectors, rng, 50)
    together = nearest(lists, users, 10, reach=2.0, threads=3)
    alone = [nearest(lists, users[n : n + 1], 10, reach=2.0) for n in range(40)]
    for part in (0, 1):
        assert np.array_equal(together[part], np.concatenate([one[part] for one in alone]))


def test_listings_come_and_go() -> None:
    rng = np.random.default_rng(6)
    vectors, users = clustered(rng, 3_000, 20)
    lists = Lists.build(vectors[:2_000], rng, 30).with_more(vectors[2_000:])
    assert np.array_equal(nearest(lists, users, 9)[0], by_sorting(vectors, users, 9, Filters()))
    left = np.arange(3_000) % 2 == 0
    assert np.array_equal(
        nearest(lists.keep(left), users, 9)[0], by_sorting(vectors[left], users, 9, Filters())
    )


def test_nothing_known_nothing_allowed_nothing_there() -> None:
    eye = np.eye(3, dtype=np.float32)
    lists = Lists.by_length(eye)
    items, scores = nearest(lists, np.array([[0, 0, 0], [0, 2, 1]]), 5)
    assert items.dtype == np.int64
    assert scores.dtype == np.float32
    assert items.tolist() == [[-1] * 5, [1, 2, 0, -1, -1]]
    assert (nearest(lists, eye, 2, filters=Filters(np.zeros(3, bool)))[0] == -1).all()
    assert nearest(lists, eye[:0], 2)[0].shape == (0, 2)
    assert nearest(lists, eye, 0)[0].shape == (3, 0)
    for empty in (Lists.by_length(eye[:0]), Lists.build(eye[:0], np.random.default_rng(1))):
        assert (nearest(empty, eye, 2)[0] == -1).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"k": -1}, "best -1"),
        ({"users": np.ones((2, 4))}, r"shape \(2, 4\)"),
        ({"users": np.array([[1.0, np.nan, 1.0]])}, "first in row 0"),
        ({"filters": Filters(np.ones(2, bool))}, r"allowed has shape \(2,\)"),
        ({"filters": Filters(user_pool=np.zeros(3))}, "both or neither"),
        ({"filters": Filters(excluded=(np.array([0]), np.array([3])))}, "item 3; there are 3"),
        ({"filters": Filters(excluded=(np.array([-1]), np.array([0])))}, "user -1"),
    ],
)
def test_what_does_not_fit_is_told(change: dict, told: str) -> None:
    eye = np.eye(3, dtype=np.float32)
    with pytest.raises(ModelError, match=told):
        nearest(**({"lists": Lists.by_length(eye), "users": eye, "k": 2} | change))


def test_lists_and_reach_tell_what_does_not_fit() -> None:
    eye, rng = np.eye(3, dtype=np.float32), np.random.default_rng(1)
    with pytest.raises(ModelError, match=r"shape \(3,\)"):
        Lists.build(eye[0], rng)
    with pytest.raises(ModelError, match="make 0 lists"):
        Lists.build(eye, rng, 0)
    with pytest.raises(ModelError, match=r"1\.5"):
        reach_for(Lists.by_length(eye), eye, 2, 1.5)
    with pytest.raises(ModelError, match="Nobody"):
        reach_for(Lists.by_length(eye), np.zeros((2, 3)), 2)


@pytest.mark.parametrize("name", ["als", "bpr"])
def test_a_factor_model_finds_by_search_what_it_finds_by_scoring_all(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    rng = np.random.default_rng(8)
    had = pd.DataFrame({"user_id": rng.integers(0, 40, 600), "item_id": rng.integers(0, 300, 600)}).astype(
        str
    )
    settings = {"als": {"iterations": 3}, "bpr": {"epochs": 3, "fold_in_epochs": 3}}[name]
    model = MODELS[name](factors=8, **settings).fit(Interactions.from_frame(had))
    users = [*had["user_id"].unique()[:20], "nobody"]
    asked = {"k": 15, "candidates": had["item_id"].unique()[:200], "exclude": had}
    scored = model.recommend(users, **asked)
    monkeypatch.setattr(factored, "SEARCHED", 0)
    monkeypatch.setattr(Recommender, "scores", None)  # nothing is scored whole
    pd.testing.assert_frame_equal(model.recommend(users, **asked), scored, rtol=1e-4)
    assert len(model.recommend(users, 10**9)) == 20 * len(model.item_ids)
