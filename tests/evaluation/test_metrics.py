"""Metrics worked out by hand."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from math import log2

import pandas as pd
import pytest

from recsys.errors import ModelError
from recsys.evaluation.metrics import ranking_metrics, user_metrics
from recsys.evaluation.split import slices, temporal_split


def lists(**by_user: list[str]) -> pd.DataFrame:
    rows = [
        (user, item, place) for user, items in by_user.items() for place, item in enumerate(items, start=1)
    ]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "rank"])


def bought(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "item_id", "revenue"])


def test_two_users_by_hand() -> None:
    found = ranking_metrics(
        lists(u=["a", "b", "c"], v=["x", "y", "z"]),
        bought(
            ("u", "b", 5.0),
            ("u", "q", 1.0),
            ("v", "x", 2.0),
            ("v", "y", 3.0),
            ("v", "z", 4.0),
            ("v", "w", 9.0),
        ),
        k=3,
    )
    u_ndcg = (1 / log2(3)) / (1 / log2(2) + 1 / log2(3))
    assert found.ndcg == pytest.approx((u_ndcg + 1.0) / 2)
    assert found.recall == pytest.approx((1 / 2 + 3 / 3) / 2)
    assert found.revenue == pytest.approx((5.0 + 9.0) / 2)
    assert found.users == 2


def test_places_behind_k_do_not_count_and_a_user_without_a_list_counts_as_zero() -> None:
    found = ranking_metrics(lists(u=["a", "b"]), bought(("u", "b", 5.0), ("missing", "a", 1.0)), k=1)
    assert (found.ndcg, found.recall, found.revenue, found.users) == (0.0, 0.0, 0.0, 2)


def test_a_perfect_list_scores_one_however_much_was_bought() -> None:
    many = [("u", f"i{n}", 1.0) for n in range(20)]
    found = ranking_metrics(lists(u=[f"i{n}" for n in range(10)]), bought(*many), k=10)
    assert found.ndcg == pytest.approx(1.0)
    assert found.recall == pytest.approx(1.0)


def test_nobody_bought() -> None:
    assert ranking_metrics(lists(u=["a"]), bought(), k=5).users == 0


def test_as_dict_names_k() -> None:
    assert set(ranking_metrics(lists(u=["a"]), bought(("u", "a", 1.0)), 7).as_dict(7)) == {
        "ndcg@7",
        "recall@7",
        "revenue@7",
        "users",
    }


def test_the_cut_is_the_first_test_day_and_until_is_outside() -> None:
    days = ["2026-01-01", "2026-01-09", "2026-01-10", "2026-01-10", "2026-01-12", "2026-01-13"]
    daily = pd.DataFrame(
        {
            "user_id": ["u", "u", "u", "new", "u", "u"],
            "item_id": ["a", "b", "a", "a", "a", "c"],
            "event_date": pd.to_datetime(days),
            "revenue": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        }
    )
    split = temporal_split(daily, date(2026, 1, 10), date(2026, 1, 13))
    assert split.train["item_id"].tolist() == ["a", "b"]
    assert split.bought.to_dict("records") == [{"user_id": "u", "item_id": "a", "revenue": 8.0}]


def test_reciprocal_rank_average_precision_and_hits_by_hand() -> None:
    found = user_metrics(
        lists(u=["a", "b", "c", "d"], v=["x", "y"], w=["p", "q"]),
        bought(("u", "b", 5.0), ("u", "d", 1.0), ("u", "q", 1.0), ("v", "x", 2.0), ("w", "none", 1.0)),
        k=4,
    )
    assert found["mrr"].tolist() == [0.5, 1.0, 0.0]
    assert found["map"].tolist() == pytest.approx([(1 / 2 + 2 / 4) / 3, 1.0, 0.0])
    assert found["hit_rate"].tolist() == [1.0, 1.0, 0.0]
    assert found["revenue"].tolist() == [6.0, 2.0, 0.0]


def test_average_precision_of_a_full_list_is_one_however_much_was_bought() -> None:
    many = [("u", f"i{n}", 1.0) for n in range(20)]
    found = user_metrics(lists(u=[f"i{n}" for n in range(10)]), bought(*many), k=10)
    assert found["map"].tolist() == pytest.approx([1.0])


def test_the_order_of_rows_does_not_matter() -> None:
    table, wanted = (
        lists(u=["a", "b", "c"], v=["b", "a"]),
        bought(("u", "c", 1.0), ("u", "a", 2.0), ("v", "a", 3.0)),
    )
    expected = user_metrics(table, wanted, 3)
    pd.testing.assert_frame_equal(
        user_metrics(table.sample(frac=1, random_state=1), wanted.sample(frac=1, random_state=2), 3), expected
    )


def test_rolling_origins_cover_the_period_and_nothing_else() -> None:
    found = slices(date(2011, 11, 1), date(2011, 12, 10), 3)
    assert found[0][0] == date(2011, 11, 1) and found[-1][1] == date(2011, 12, 10)
    assert [(end - start).days for start, end in found] == [13, 13, 13]
    assert all(one[1] == other[0] for one, other in pairwise(found))
    assert slices(date(2026, 1, 1), date(2026, 1, 2), 1) == [(date(2026, 1, 1), date(2026, 1, 2))]
    with pytest.raises(ModelError, match="take 1 to 2"):
        slices(date(2026, 1, 1), date(2026, 1, 3), 3)
    with pytest.raises(ModelError, match="is empty"):
        slices(date(2026, 1, 1), date(2026, 1, 1), 1)
