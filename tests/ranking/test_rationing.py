"""Rationing keeps to its limits, gives a listing to those who gain most, and takes nothing where nothing is scarce."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ModelError
from recsys.ranking.champion import Champion
from recsys.ranking.rationing import Rationing, ration, rationed
from recsys.ranking.scored import Scored
from recsys.ranking.snapshot import Snapshot
from tests.ranking import test_pipeline as pipeline

snapshot, champion = pipeline.snapshot, pipeline.champion


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_no_listing_is_in_more_lists_than_it_may_and_none_loses_below_it(
    users: int, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, items = np.nonzero(rng.random((users, n)) < 0.6)
    score = rng.random(len(rows)).round(1)
    limit = rng.integers(1, 8, n)
    keep = ration(rows, items, score, limit)
    wanted = np.bincount(items, minlength=n)
    np.testing.assert_array_equal(np.bincount(items[keep], minlength=n), np.minimum(wanted, limit))
    mixed = rng.permutation(len(rows))
    again = ration(rows[mixed], items[mixed], score[mixed], limit)
    np.testing.assert_array_equal(again, keep[mixed])  # the order of the pairs decides nothing


def test_who_has_an_alternative_as_good_gives_way() -> None:
    rows, items = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 2])
    score = np.array([5.0, 4.9, 3.0, 0.5])  # user 0 loses 0.1 without listing 0, user 1 loses 2.5
    assert ration(rows, items, score, np.array([1, 9, 9])).tolist() == [False, True, True, True]


def test_a_list_is_whole_before_exposure_is_rationed() -> None:
    rows, items = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    score = np.concatenate([[30.0, 20.0, 1.0], *[[3.0, 2.0, 1.0]] * 3])
    limit = np.array([1, 1, 4])
    assert np.bincount(rows[ration(rows, items, score, limit)]).tolist() == [3, 1, 1, 1]
    keep = ration(rows, items, score, limit, whole=2)
    assert np.bincount(rows[keep]).tolist() == [3, 2, 2, 2]
    assert (items[keep] == 0).sum() == 4  # the best of what was lost


def test_equal_gains_are_spread_over_the_users() -> None:
    rows, items = np.repeat(np.arange(30), 60), np.tile(np.arange(60), 30)
    keep = ration(rows, items, np.tile(np.linspace(9, 1, 60), 30), np.full(60, 10))
    per_user = np.bincount(rows[keep], minlength=30)
    assert per_user.sum() == 600
    assert 8 <= per_user.min() <= per_user.max() <= 34


def test_a_limit_is_what_sells_a_listing_and_no_less_than_the_least() -> None:
    items = np.array([0, 0, 1, 1])
    p = np.array([0.02, 0.04, 0.9, 0.9])
    rules = Rationing(sales=3.0, seen=0.5, least=10)
    assert rules.limits(items, p, 3).tolist() == [200, 10, np.iinfo(np.int32).max]
    assert rules.limits(items, p, 3, share=0.25).tolist()[:2] == [50, 2]
    assert rules.limits(items, p, 3, stock=np.array([3.0, 1.0, 1.0])).tolist()[:2] == [600, 10]


def test_nothing_scarce_and_nobody_to_ask() -> None:
    rows, items = np.array([0, 1]), np.array([0, 1])
    assert ration(rows, items, np.ones(2), np.full(2, 5)).all()
    assert not len(ration(rows[:0], items[:0], np.ones(0), np.full(2, 5)))


@pytest.mark.parametrize("wrong", [{"sales": 0.0}, {"seen": 1.2}, {"least": 0}])
def test_what_would_hide_everything_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=next(iter(wrong))):
        Rationing(**wrong)  # type: ignore[arg-type]


def test_what_rationing_gives_up_is_told() -> None:
    rows, items = np.repeat(np.arange(3), 3), np.array([0, 1, 2, 0, 3, 4, 0, 5, 6])
    score = np.array([9.0, 2.0, 1.0, 8.0, 7.0, 1.0, 7.0, 1.0, 0.5])
    pool = Scored(rows, items, np.zeros(9, int), score, score, score / 100, score, score / 10, score / 100)
    left, cost = rationed(pool, np.full(7, 1), list_size=1, whole=1)
    assert left.items[left.place == 1].tolist() == [0, 3, 5]
    assert (cost.lists, cost.places, cost.changed) == (3, 3, 2)
    assert (cost.before, cost.after) == (pytest.approx(2.4), pytest.approx(1.7))


def test_lists_of_a_shelf_with_rationing_are_whole_and_cost_little(
    snapshot: Snapshot, champion: Champion
) -> None:
    made = pipeline.ranker(snapshot, champion, rationing=Rationing(sales=0.01, seen=1.0, least=3))
    lists = made.rank(snapshot.audience, pipeline.everyone(snapshot), "hybrid")
    plain = pipeline.ranker(snapshot, champion).rank(snapshot.audience, pipeline.everyone(snapshot), "hybrid")
    assert lists.groupby("user_id").size().eq(15).all()
    first = made.steps.iloc[0]
    assert (first["step"], first["before"] > first["after"] > 0, first["changed"] > 0) == (
        "rationing",
        True,
        True,
    )
    shown, before = (frame[~frame["is_reserve"]]["item_id"].value_counts() for frame in (lists, plain))
    assert (shown > 4).sum() < (before > 4).sum()
    assert len(shown) > len(before)  # more listings are seen at all


def test_a_listing_of_many_pieces_stands_in_more_lists(champion: Champion) -> None:
    def shown(stock: dict[str, int]) -> pd.Series:
        made = pipeline.frames()
        made["items"]["stock"] = made["items"]["item_id"].map(stock)  # none given: one piece
        of_day = Snapshot.from_frames(made, pipeline.DS)
        tight = pipeline.ranker(of_day, champion, rationing=Rationing(sales=0.01, seen=1.0, least=2))
        lists = tight.rank(of_day.audience, pipeline.everyone(of_day), "hybrid")
        return lists["item_id"].value_counts()

    one = shown({})
    scarce = one.index[0]
    assert shown({scarce: 100})[scarce] > one[scarce]
