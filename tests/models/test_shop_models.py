"""What the retrievers of a shop with repeats learn that the others do not."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from recsys.features.interactions import Interactions
from recsys.models import EASE, BasketEASE, Transition, UserKNN

AS_OF = date(2026, 4, 30)


def history(rows: list[tuple[str, str, int]]) -> Interactions:
    """From (user, item, days ago)."""
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "ago"])
    frame["timestamp"] = pd.Timestamp(AS_OF) - pd.to_timedelta(frame["ago"], unit="D")
    return Interactions.from_frame(frame, as_of=AS_OF)


def refills(users: int = 30) -> list[tuple[str, str, int]]:
    """Everybody has a pan and coffee early on; later they buy coffee and filters again, never the pan."""
    rows = []
    for n in range(users):
        rows += [(f"u{n:02d}", item, 100 + n % 5) for item in ("pan", "coffee")]
        rows += [
            (f"u{n:02d}", item, ago) for item in ("coffee", "filters") for ago in (5 + n % 3, 40 + n % 3)
        ]
        rows += [(f"v{n:02d}", "chair", 100), (f"v{n:02d}", "table", 5)]
    return [*rows, ("new", "pan", 3), ("seat", "chair", 3)]


def test_transition_tells_what_is_bought_again_from_what_is_bought_once() -> None:
    model = Transition(regularization=1.0, half_life_days=1000.0).fit(history(refills()))
    best = model.recommend(["new", "seat", "u00"], 2).groupby("user_id")["item_id"].apply(list)
    assert set(best["new"]) == {"coffee", "filters"}
    assert best["seat"][0] == "table"
    assert "pan" not in best["u00"]


def test_transition_recovers_the_ridge_solution() -> None:
    """One origin, raw arithmetic: B = (X'X + reg I)^-1 X'Y over the users who came back."""
    rng = np.random.default_rng(5)
    rows = [
        (f"u{u:02d}", f"i{i}", int(ago)) for u in range(40) for i, ago in enumerate(rng.integers(0, 90, 6))
    ]
    model = Transition(origins=1, regularization=2.0, half_life_days=30.0).fit(history(rows))
    had, bought = np.zeros((40, 6)), np.zeros((40, 6))
    for user, item, ago in rows:
        at = int(user[1:]), int(item[1:])
        if ago < 28:
            bought[at] = 1
        else:
            had[at] = np.log1p(2.0 ** (-(ago - 28) / 30.0))
    back = bought.any(axis=1)
    x, y = had[back], bought[back]
    np.testing.assert_allclose(
        model.learned["weights"], np.linalg.solve(x.T @ x + 2.0 * np.eye(6), x.T @ y), atol=1e-5
    )


def test_transition_of_a_short_history_is_ease() -> None:
    rows = [(u, i, 3) for u, i in (("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "z"))]
    short = Transition(regularization=1.0).fit(history(rows))
    ease = EASE(regularization=1.0, half_life_days=90.0).fit(history(rows))
    np.testing.assert_allclose(short.learned["weights"], ease.learned["weights"], atol=1e-6)


def test_ease_with_a_half_life_follows_what_is_bought_now() -> None:
    rows = [(f"old{n}", i, 300) for n in range(10) for i in ("a", "b")]
    rows += [(f"now{n}", i, 5) for n in range(4) for i in ("a", "c")]
    known = history([*rows, ("me", "a", 5)])
    best = {
        days: EASE(regularization=1.0, half_life_days=days)
        .fit(known)
        .recommend(["me"], 2)
        .set_index("item_id")["score"]
        for days in (None, 30.0)
    }
    assert best[None]["b"] > best[None]["c"]
    assert best[30.0]["c"] > best[30.0]["b"]


def test_baskets_say_what_goes_with_the_last_one() -> None:
    rows = []
    for n in range(12):
        rows += [(f"u{n:02d}", item, 60) for item in ("tea", "cup")] + [
            (f"u{n:02d}", i, 10) for i in ("nail", "saw")
        ]
    rows += [("me", "tea", 80), ("me", "nail", 1)]
    basket = BasketEASE(regularization=1.0).fit(history(rows))
    scores = dict(zip(basket.item_ids, basket.scores(["me"])[0], strict=True))
    assert scores["saw"] > scores["cup"] > 0
    similar = basket.similar_items(["nail"], 1)["other_item_id"].tolist()
    assert similar == ["saw"]


def test_neighbours_are_those_with_rare_things_in_common_and_never_oneself() -> None:
    rows = [(f"u{n:02d}", "common", 10) for n in range(20)]
    rows += [(f"u{n:02d}", "rare", 10) for n in range(3)] + [("u01", "next", 10), ("u02", "next", 50)]
    rows += [(f"u{n:02d}", "other", 10) for n in range(8, 20)] + [("u00", "own", 10)]
    model = UserKNN(neighbours=2).fit(history(rows))
    assert model.recommend(["u00"], 9)["item_id"].tolist() == [
        "common",
        "rare",
        "next",
    ]  # no "other", no "own"
    recent = UserKNN(neighbours=2, window_days=30).fit(history(rows))
    scores = [dict(zip(m.item_ids, m.scores(["u00"])[0], strict=True)) for m in (model, recent)]
    assert scores[1]["next"] / scores[1]["rare"] < scores[0]["next"] / scores[0]["rare"]
