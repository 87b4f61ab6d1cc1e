"""Comparisons: means, the model to beat, and differences user by user."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ModelError
from recsys.evaluation.compare import Occasion, acquaintance, by_segment, compare, judge, mean_of
from recsys.features.interactions import Interactions
from tests.evaluation.test_metrics import lists


def occasion(name: str, models: dict[str, pd.DataFrame], *rows: tuple[str, str, float, str]) -> Occasion:
    return Occasion(name, models, pd.DataFrame(rows, columns=["user_id", "item_id", "revenue", "segment"]))


@pytest.fixture
def two_days() -> list[Occasion]:
    first = occasion(
        "2026-01-01",
        {"poor": lists(u=["x"]), "good": lists(u=["a"], v=["y"]), "hybrid": lists(u=["a"], v=["b"])},
        ("u", "a", 5.0, "warm"),
        ("v", "b", 7.0, "cold"),
    )
    second = occasion(
        "2026-01-02",
        {"poor": lists(u=["c"]), "good": lists(u=["c"]), "hybrid": lists(u=["c"])},
        ("u", "c", 1.0, "warm"),
    )
    return [first, second]


def test_means_and_paired_differences_by_hand(two_days: list[Occasion]) -> None:
    found = compare(judge(two_days, 1), 1, seed=1)
    assert found.users == 3
    assert found.figures["hybrid"]["ndcg"].value == 1.0
    assert found.figures["good"]["hit_rate"].value == pytest.approx(2 / 3)
    assert found.figures["poor"]["revenue"].value == pytest.approx(1 / 3)
    assert found.against == "good"
    assert set(found.paired) == {"poor", "hybrid"}
    assert found.paired["hybrid"]["revenue"].value == pytest.approx(7 / 3)
    assert found.paired["poor"]["ndcg"].value == pytest.approx(-1 / 3)
    assert found.paired["hybrid"]["ndcg"].low == 0.0  # a draw of u alone has no difference


def test_a_constant_lead_is_sharp_though_the_figures_vary() -> None:
    users = [f"u{n:03d}" for n in range(60)]
    rng = np.random.default_rng(1)
    noise = rng.random(60)
    rows = []
    for model, lead in (("single", 0.0), ("hybrid", 0.05)):
        table = pd.DataFrame({"model": model, "occasion": "d", "user_id": users})
        for metric in ("ndcg", "recall", "hit_rate", "mrr", "map", "revenue"):
            table[metric] = noise + lead
        rows.append(table)
    found = compare(pd.concat(rows, ignore_index=True), 10, seed=2)
    lead = found.paired["hybrid"]["ndcg"]
    assert lead.low == pytest.approx(0.05) and lead.high == pytest.approx(0.05)
    assert found.figures["hybrid"]["ndcg"].low < found.figures["single"]["ndcg"].value


def test_segments_are_judged_by_their_own_purchases(two_days: list[Occasion]) -> None:
    found = by_segment(two_days, 1, seed=1)
    assert found["cold"]["purchases"] == 1 and found["warm"]["users"] == 2
    assert found["cold"]["models"]["good"]["recall@1"] == 0.0  # type: ignore[index]
    assert found["cold"]["models"]["hybrid"]["recall@1"] == 1.0  # type: ignore[index]
    assert found["warm"]["models"]["good"]["recall@1"] == 1.0  # type: ignore[index]


def test_a_segment_has_the_intervals_of_its_own_users(two_days: list[Occasion]) -> None:
    warm = by_segment(two_days, 1, seed=1)["warm"]
    assert warm["intervals"]["good"]["recall@1"] == [1.0, 1.0]  # type: ignore[index]
    users = [f"u{n:02d}" for n in range(40)]
    hits = {user: ["a" if n % 2 else "b"] for n, user in enumerate(users)}
    half = occasion(
        "d", {"good": lists(**hits), "hybrid": lists(**hits)}, *((u, "a", 2.0, "warm") for u in users)
    )
    other = occasion("e", half.lists, ("v", "a", 1.0, "cold"))  # type: ignore[arg-type]
    found = by_segment([half, other], 1, seed=1)["warm"]
    whole = compare(judge([half], 1), 1, seed=1).as_dict()
    assert found["intervals"] == whole["intervals"]
    low, high = found["intervals"]["hybrid"]["revenue@1"]  # type: ignore[index]
    assert low < found["models"]["hybrid"]["revenue@1"] == 1.0 < high  # type: ignore[index]


def test_users_are_told_apart_by_how_many_groups_they_had_to_do_with() -> None:
    had = [("some", f"g{n}") for n in range(4)] + [("many", f"g{n}") for n in range(5)]
    history = Interactions.from_frame(pd.DataFrame([*had, ("some", "g0")], columns=["user_id", "item_id"]))
    bought = pd.DataFrame({"user_id": ["some", "new", "many"], "item_id": "a", "revenue": 1.0})
    assert acquaintance(bought, history)["segment"].tolist() == ["few", "without", "with history"]


def test_the_dictionary_names_k_and_what_is_known_of_the_lists(two_days: list[Occasion]) -> None:
    about = mean_of([{"hybrid": {"coverage": 0.2}}, {"hybrid": {"coverage": 0.4}}])
    nobody = float("nan")  # came to see
    rare = mean_of(
        [{"hybrid": {"seen": nobody, "never": nobody}}, {"hybrid": {"seen": 0.4, "never": nobody}}]
    )
    assert rare == {"hybrid": {"seen": 0.4}}
    told = compare(judge(two_days, 1), 1, seed=1, about_lists=about).as_dict()
    assert told["models"]["hybrid"]["coverage@1"] == pytest.approx(0.3)  # type: ignore[index]
    assert told["models"]["hybrid"]["users"] == 3  # type: ignore[index]
    low, high = told["intervals"]["good"]["ndcg@1"]  # type: ignore[index]
    assert low <= 2 / 3 <= high
    assert told["paired"]["models"]["hybrid"]["ndcg@1"]["difference"] == pytest.approx(1 / 3)  # type: ignore[index]


def test_nothing_to_compare_is_said(two_days: list[Occasion]) -> None:
    judged = judge(two_days, 1)
    with pytest.raises(ModelError, match="beside the hybrid"):
        compare(judged[judged["model"] == "hybrid"], 1, seed=1)
