"""Numbers that can be worked out by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from recsys.features.interactions import Interactions
from recsys.models import EASE, ItemKNN, OwnHistory, Popularity


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


def test_ease_is_its_closed_form() -> None:
    x = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1], [1, 0, 0.0]])
    rows, columns = np.nonzero(x)
    frame = pd.DataFrame({"user_id": [f"u{r}" for r in rows], "item_id": [f"i{c}" for c in columns]})
    model = EASE(regularization=2.0, log_weights=False).fit(Interactions.from_frame(frame))
    inverse = np.linalg.inv(x.T @ x + 2.0 * np.eye(3))
    weights = np.eye(3) - inverse / np.diag(inverse)
    np.testing.assert_allclose(model.scores(["u0", "u1", "u2", "u3"]), x @ weights, rtol=1e-5, atol=1e-6)


def test_ease_leaves_rare_items_without_a_score() -> None:
    frame = pd.DataFrame({"user_id": ["u", "v", "v", "w"], "item_id": ["a", "a", "b", "rare"]})
    model = EASE(max_items=2, regularization=1.0).fit(Interactions.from_frame(frame))
    assert set(model.recommend(["v"], 5)["item_id"]) == {"a", "b"}
