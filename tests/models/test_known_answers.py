"""Numbers that can be worked out by hand."""

from __future__ import annotations

import sys
from datetime import date
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ModelError
from recsys.features.interactions import Interactions
from recsys.models import (
    BPR,
    EASE,
    GFCF,
    ContentBased,
    ItemKNN,
    OwnHistory,
    Popularity,
    SASRec,
    Trending,
    TwoTower,
    ease,
)
from recsys.models.neural import AVAILABLE, require_torch, windows


def test_popularity_shrinks_a_region_towards_everywhere_and_forgets() -> None:
    frame = pd.DataFrame(
        {
            "user_id": ["n1", "n2", "s1"],
            "item_id": ["kite", "kite", "boat"],
            "weight": [2.0, 1.0, 2.0],
            "timestamp": pd.to_datetime(["2026-01-08", "2026-01-01", "2026-01-08"]),
        }
    )
    regions = {"n1": "north", "n2": "north", "s1": "south"}
    interactions = Interactions.from_frame(frame, as_of=date(2026, 1, 8), segments=regions)
    model = Popularity(half_life_days=7, prior=1.5).fit(interactions)
    # Decayed: kite 2 + 0.5, boat 2; everywhere kite 2.5/4.5. North: (2.5 + 1.5 * 2.5/4.5) / (2.5 + 1.5).
    north = model.recommend(["n1"], 2).set_index("item_id")["score"]
    assert north["kite"] == pytest.approx((2.5 + 1.5 * 2.5 / 4.5) / 4.0)
    assert north["boat"] == pytest.approx(1.5 * 2.0 / 4.5 / 4.0)
    assert model.recommend(["s1"], 1)["item_id"].tolist() == ["boat"]
    assert model.recommend(["stranger"], 2)["score"].tolist() == pytest.approx([2.5 / 4.5, 2.0 / 4.5])


def test_own_history_is_the_decayed_sum() -> None:
    frame = pd.DataFrame(
        {
            "user_id": "u",
            "item_id": ["often", "often", "lately"],
            "timestamp": pd.to_datetime(["2026-01-01", "2026-01-11", "2026-01-21"]),
        }
    )
    model = OwnHistory(half_life_days=10).fit(Interactions.from_frame(frame, as_of=date(2026, 1, 21)))
    assert model.recommend(["u"], 2).set_index("item_id")["score"].to_dict() == {"lately": 1.0, "often": 0.75}
    plain = OwnHistory(half_life_days=None).fit(Interactions.from_frame(frame))
    assert plain.recommend(["u"], 1)["score"].tolist() == [2.0]


def test_item_knn_cosine() -> None:
    matrix = pd.DataFrame({"user_id": ["u", "u", "v", "w"], "item_id": ["a", "b", "a", "c"]})
    model = ItemKNN(neighbours=5, distance="cosine").fit(Interactions.from_frame(matrix))
    # a has users u, v; b has u: cosine 1 / sqrt(2 * 1). v has only a, so its weights sum to 1.
    scores = model.recommend(["v"], 3).set_index("item_id")["score"]
    assert scores["b"] == pytest.approx(1 / np.sqrt(2), rel=1e-5)
    assert scores["a"] == pytest.approx(1.0, rel=1e-5)
    assert "c" not in scores


def test_item_knn_counts_choosy_users_more_with_tfidf() -> None:
    # x is shared with a by a user of two items, y by a user of four.
    pairs = {"choosy": "ax", "eager": "ayzw", "fan": "a"}
    frame = pd.DataFrame(
        [(u, i) for u, items in pairs.items() for i in items], columns=["user_id", "item_id"]
    )
    interactions = Interactions.from_frame(frame)
    similar = {
        distance: ItemKNN(distance=distance)
        .fit(interactions)
        .similar_items(["a"], 4)
        .set_index("other_item_id")
        for distance in ("cosine", "tfidf")
    }
    assert similar["cosine"]["score"]["x"] == pytest.approx(similar["cosine"]["score"]["y"])
    assert similar["tfidf"]["score"]["x"] > similar["tfidf"]["score"]["y"]


def test_item_knn_may_look_from_the_candidate() -> None:
    # hit is near to everything; of its own neighbours a is the nearest, while b's only neighbour is hit.
    had = {"u1": ["hit", "a"], "u2": ["hit", "a"], "u3": ["hit", "b"]}
    frame = pd.DataFrame([(u, i) for u, items in had.items() for i in items], columns=["user_id", "item_id"])
    fan = Interactions.from_frame(pd.DataFrame({"user_id": ["fan"], "item_id": ["hit"]}))
    for side, reached in (("history", {"hit", "a"}), ("candidate", {"hit", "a", "b"})):
        model = ItemKNN(neighbours=1, distance="cosine", neighbours_of=side)  # type: ignore[arg-type]
        model = model.fit(Interactions.from_frame(frame)).with_history(fan)
        assert set(model.recommend(["fan"], 3)["item_id"]) == reached
        assert model.similar_items(["b"], 1)["other_item_id"].tolist() == ["hit"]


def test_trending_is_the_growth_over_the_usual_in_standard_deviations() -> None:
    days = {
        "kite": ["2026-01-10"] * 6,
        "boat": ["2026-01-01"] * 3 + ["2026-01-10"] * 2,
        "sled": ["2026-01-01"],
    }
    rows = [(item, day) for item, listed in days.items() for day in listed]
    frame = pd.DataFrame(rows, columns=["item_id", "timestamp"]).assign(user_id="u")
    frame["timestamp"] = pd.to_datetime(frame["timestamp"])
    model = Trending(window_days=3, baseline_days=28, prior=4.0).fit(Interactions.from_frame(frame))
    scores = model.recommend(["anybody"], 3).set_index("item_id")["score"].to_dict()
    # The usual: boat 3/4, sled 1/4, kite 0. Of 8 now, boat was to have 6 and had 2: it falls, and is not named.
    assert scores == {"kite": pytest.approx(6 / np.sqrt(4.0))}


def test_gf_cf_is_its_closed_form() -> None:
    x = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 0, 1.0]])
    rows, columns = np.nonzero(x)
    frame = pd.DataFrame({"user_id": [f"u{r}" for r in rows], "item_id": [f"i{c}" for c in columns]})
    model = GFCF(factors=2, alpha=0.3).fit(Interactions.from_frame(frame))
    items = np.diag(x.sum(axis=0) ** -0.5)
    normal = np.diag(x.sum(axis=1) ** -0.5) @ x @ items
    right = np.linalg.svd(normal)[2][:2]
    expected = x @ (normal.T @ normal + 0.3 * items @ right.T @ right @ np.linalg.inv(items))
    np.testing.assert_allclose(model.scores(["u0", "u1", "u2", "u3"]), expected, rtol=1e-4, atol=1e-5)


def test_the_gradients_of_bpr_are_those_of_its_loss() -> None:
    rng = np.random.default_rng(3)
    user, liked, unliked = rng.normal(size=(1, 3)), rng.normal(size=(1, 4)), rng.normal(size=(1, 4))
    model = BPR(factors=3, regularization=0.1)

    def loss() -> float:
        apart = liked - unliked
        margin = float((user * apart[:, :-1]).sum() + apart[0, -1])
        return float(np.log1p(np.exp(-margin)) + 0.05 * sum((a**2).sum() for a in (user, liked, unliked)))

    for values, gradient in zip((user, liked, unliked), model._gradients(user, liked, unliked), strict=True):
        for place in range(values.shape[1]):
            before = loss()
            values[0, place] += 1e-6
            assert (loss() - before) / 1e-6 == pytest.approx(gradient[0, place], abs=1e-4)
            values[0, place] -= 1e-6


LISTINGS = pd.DataFrame(
    {
        "item_id": ["had", "same_words", "same_brand", "other", "bare"],
        "title": ["red wool coat", "wool coat", "blue boots", "steel bike", None],
        "brand": ["Acme", None, "Acme", "Velo", None],
        "price": [50.0, 55.0, 45.0, 900.0, None],
    }
)


@pytest.mark.parametrize("text", ["tfidf", "bm25"])
@pytest.mark.parametrize("factors", [0, 4])
def test_content_reaches_what_nobody_has_had(text: str, factors: int) -> None:
    one = pd.DataFrame({"user_id": ["u"], "item_id": ["had"]})
    interactions = Interactions.from_frame(one, item_ids=LISTINGS["item_id"], content=LISTINGS)
    model = ContentBased(text=text, factors=factors).fit(interactions)  # type: ignore[arg-type]
    found = model.recommend(["u"], 5, exclude=one)["item_id"].tolist()
    assert found[:2] == ["same_words", "same_brand"]
    assert "bare" not in found
    assert model.similar_items(["had"], 1)["other_item_id"].tolist() == ["same_words"]


def test_content_without_content_says_what_to_give() -> None:
    with pytest.raises(ModelError, match=r"content=frame"):
        ContentBased().fit(Interactions.from_frame(pd.DataFrame({"user_id": ["u"], "item_id": ["a"]})))


def test_content_may_come_from_an_embedding_model(monkeypatch: pytest.MonkeyPatch) -> None:
    class Embedder:
        def __init__(self, name: str) -> None:
            assert name == "my/model"

        def encode(self, texts: list[str], normalize_embeddings: bool) -> np.ndarray:
            return np.array([[1.0, 0.0] if "coat" in text else [0.0, 1.0] for text in texts])

    package = ModuleType("sentence_transformers")
    package.SentenceTransformer = Embedder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    interactions = Interactions.from_frame(
        pd.DataFrame({"user_id": ["u"], "item_id": ["had"]}), item_ids=LISTINGS["item_id"], content=LISTINGS
    )
    model = ContentBased(text="embedding", embedding_model="my/model").fit(interactions)
    assert model.similar_items(["had"], 1)["other_item_id"].tolist() == ["same_words"]
    with pytest.raises(ModelError, match="embedding_model"):
        ContentBased(text="embedding").fit(interactions)


def test_long_histories_are_cut_into_pieces_that_share_an_item() -> None:
    sequences = np.array([[0, 1, 2, 3, 4, 5], [-1, -1, -1, -1, -1, 9], [-1, -1, 6, 7, 8, 9]])
    assert windows(sequences, 3).tolist() == [[2, 3, 4, 5], [6, 7, 8, 9], [-1, 0, 1, 2]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    if AVAILABLE:
        require_torch().set_num_threads(1)


@pytest.mark.skipif(not AVAILABLE, reason="PyTorch is not installed: pip install -r requirements-neural.txt")
@pytest.mark.parametrize(
    "model",
    [
        SASRec(factors=16, length=5, epochs=60, patience=0, learning_rate=0.01),
        TwoTower(factors=16, length=5, epochs=60, patience=0, learning_rate=0.01, dropout=0.0),
    ],
    ids=lambda model: model.name,
)
def test_the_next_item_of_a_round_dance_is_known(model: SASRec | TwoTower) -> None:
    # Everybody goes round a..h, starting anywhere: only the order tells what comes next.
    ring = "abcdefgh"
    rows = [
        (f"u{user}", ring[(user + step) % 8], pd.Timestamp("2026-01-01") + pd.Timedelta(minutes=step))
        for user in range(32)
        for step in range(6)
    ]
    model.fit(Interactions.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])))
    best = model.recommend([f"u{user}" for user in range(8)], 1)
    assert best["item_id"].tolist() == [ring[(user + 6) % 8] for user in range(8)]


@pytest.mark.skipif(not AVAILABLE, reason="PyTorch is not installed: pip install -r requirements-neural.txt")
def test_two_towers_reach_what_nobody_has_had() -> None:
    rng = np.random.default_rng(5)
    items = [f"{taste}{number}" for taste in "ab" for number in range(6)]
    content = pd.DataFrame(
        {"item_id": items, "title": ["wool coat" if i[0] == "a" else "bike" for i in items]}
    )
    rows = [(f"u{u}", f"{'ab'[u % 2]}{i}") for u in range(40) for i in rng.permutation(5)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    model = TwoTower(factors=8, length=5, epochs=20, patience=0, learning_rate=0.01)
    model.fit(Interactions.from_frame(frame, item_ids=items, content=content))
    best = model.recommend(["u0", "u1"], 1, candidates=["a5", "b5"])
    assert best["item_id"].tolist() == ["a5", "b5"]


def test_ease_is_its_closed_form() -> None:
    x = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1], [1, 0, 0.0]])
    rows, columns = np.nonzero(x)
    frame = pd.DataFrame({"user_id": [f"u{r}" for r in rows], "item_id": [f"i{c}" for c in columns]})
    model = EASE(regularization=2.0, log_weights=False).fit(Interactions.from_frame(frame))
    inverse = np.linalg.inv(x.T @ x + 2.0 * np.eye(3))
    weights = np.eye(3) - inverse / np.diag(inverse)
    np.testing.assert_allclose(model.scores(["u0", "u1", "u2", "u3"]), x @ weights, rtol=1e-5, atol=1e-6)


def test_the_large_form_of_ease_is_the_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"user_id": rng.integers(0, 60, 900), "item_id": rng.integers(0, 40, 900)}).astype(
        str
    )
    interactions = Interactions.from_frame(frame)
    small = EASE(regularization=20.0).fit(interactions).learned["weights"]
    monkeypatch.setattr(ease, "LARGE", 10)
    monkeypatch.setattr(ease, "MIRROR", 16)
    large = EASE(regularization=20.0).fit(interactions).learned["weights"]
    np.testing.assert_allclose(large, small, rtol=1e-3, atol=1e-5)


def test_ease_leaves_rare_items_without_a_score() -> None:
    frame = pd.DataFrame({"user_id": ["u", "v", "v", "w"], "item_id": ["a", "a", "b", "rare"]})
    model = EASE(max_items=2, regularization=1.0).fit(Interactions.from_frame(frame))
    assert set(model.recommend(["v"], 5)["item_id"]) == {"a", "b"}
