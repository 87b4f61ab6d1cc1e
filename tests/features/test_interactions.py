"""Ids outside, dense integers inside."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from recsys.errors import ContractError
from recsys.features.interactions import Interactions, day_number


def frame(**changes: object) -> pd.DataFrame:
    columns = {
        "user_id": ["u2", "u1", "u1", "u1"],
        "item_id": ["b", "a", "b", "a"],
        "weight": [1.0, 2.0, 3.0, 4.0],
        "timestamp": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-09"]),
    }
    return pd.DataFrame(columns | changes)


def test_rows_are_users_columns_are_items_weights_are_summed() -> None:
    interactions = Interactions.from_frame(frame())
    assert list(interactions.user_ids) == ["u1", "u2"]
    assert list(interactions.item_ids) == ["a", "b"]
    assert interactions.matrix.toarray().tolist() == [[6.0, 3.0], [0.0, 1.0]]


def test_the_order_of_the_rows_does_not_matter() -> None:
    one, other = (Interactions.from_frame(f) for f in (frame(), frame().iloc[::-1]))
    for name in ("rows", "columns", "weights", "days"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()


def test_a_weight_halves_with_every_half_life() -> None:
    interactions = Interactions.from_frame(frame(), as_of=date(2026, 1, 9))
    assert interactions.weighted(interactions.decay(7.0)).toarray()[0, 0] == pytest.approx(2.0 * 0.5 + 4.0)
    assert interactions.decay(None).tolist() == interactions.weights.tolist()


def test_a_catalogue_that_is_given_is_kept_and_the_rest_left_out() -> None:
    interactions = Interactions.from_frame(frame(), item_ids=["b", "z"])
    assert interactions.matrix.toarray().tolist() == [[3.0, 0.0], [1.0, 0.0]]
    assert interactions.onto(pd.Index(["z", "b"], dtype=object)).matrix.toarray().tolist() == [
        [0.0, 3.0],
        [0.0, 1.0],
    ]


def test_segments_and_categories_follow_the_ids() -> None:
    interactions = Interactions.from_frame(
        frame(), segments={"u2": "north"}, categories={"a": "toys", "b": "books"}
    )
    assert interactions.segments is not None
    assert interactions.categories is not None
    assert interactions.segments.tolist() == ["", "north"]
    assert interactions.categories.tolist() == ["toys", "books"]


def test_unknown_users_have_no_row() -> None:
    assert Interactions.from_frame(frame()).user_rows(["u2", "nobody"]).tolist() == [1, -1]


@pytest.mark.parametrize("column", ["user_id", "item_id", "weight"])
def test_null_is_refused_by_name(column: str) -> None:
    broken = frame()
    broken[column] = broken[column].astype(object)
    broken.loc[1, column] = None
    with pytest.raises(ContractError, match=f"1 NULL in '{column}'"):
        Interactions.from_frame(broken)


def test_a_missing_column_is_refused_by_name() -> None:
    with pytest.raises(ContractError, match="'item_id'"):
        Interactions.from_frame(frame().drop(columns="item_id"))


def test_days_are_counted_from_1970() -> None:
    assert day_number(date(1970, 1, 3)).tolist() == [2]
    assert (
        day_number(pd.Series(pd.to_datetime(["1970-01-02 23:59", None]), dtype="datetime64[us]")).tolist()[0]
        == 1
    )


def test_sequences_are_the_latest_items_oldest_first_whatever_the_order_of_the_rows() -> None:
    for rows in (frame(), frame().iloc[::-1]):
        assert Interactions.from_frame(rows).sequences(2).tolist() == [[1, 0], [-1, 1]]


def test_times_tell_the_order_within_a_day() -> None:
    stamps = pd.to_datetime(["2026-01-01 12:00", "2026-01-01 09:00"])
    rows = pd.DataFrame({"user_id": "u", "item_id": ["a", "b"], "timestamp": stamps})
    assert Interactions.from_frame(rows).sequences(2).tolist() == [[1, 0]]


def test_content_is_laid_along_the_catalogue() -> None:
    content = pd.DataFrame({"item_id": ["z", "a"], "title": ["last", "first"]})
    found = Interactions.from_frame(frame(), content=content).content
    assert found is not None
    assert found["title"].fillna("").tolist() == ["first", ""]
    with pytest.raises(ContractError, match="every item once"):
        Interactions.from_frame(frame(), content=pd.concat([content, content]))
