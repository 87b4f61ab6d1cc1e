"""Several retrievers, one list with provenance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.errors import KeywordError
from recsys.keywords.retrieve import Retrieval, union

NAN = np.nan


def table() -> pd.DataFrame:
    rows = [
        ("coat", "c1", 5, 0.9),
        ("coat", "c2", 5, 0.1),
        ("red coat", "c2", 3, 1.0),
        ("boots", "c3", 7, 1.0),
    ]
    return pd.DataFrame(rows, columns=["keyword", "category_id", "searchers_28d", "share"])


def listing() -> pd.DataFrame:
    rows = [("i1", "c1", "p", "Red coat"), ("i2", "c2", "p", "A coat"), ("i3", "c3", "q", "hat")]
    frame = pd.DataFrame(rows, columns=["item_id", "category_id", "parent_category_id", "title"])
    return frame.assign(brand=None, size=None, condition="good", price=10.0)


ENGAGED = pd.DataFrame({"keyword": ["coat"], "item_id": ["i2"], "clicks": [1], "purchases": [0]})


def test_a_keyword_is_told_once_with_all_who_named_it() -> None:
    found = {
        "graph": (
            np.array([[4, 2, -1], [-1, -1, -1]]),
            np.array([[2, 1, -np.inf], [-np.inf] * 3], np.float32),
        ),
        "embedding": (
            np.array([[3, 4, 2], [1, -1, -1]]),
            np.array([[0.9, 0.8, 0.7], [0.5, 0, 0]], np.float32),
        ),
    }
    row, place, columns = union(found, 5, 2)
    assert row.tolist() == [0, 0, 1]
    assert place.tolist() == [4, 3, 1]
    assert columns["sources"].tolist() == ["graph+embedding", "embedding", "embedding"]
    assert columns["rank"].tolist() == [1, 1, 1]
    np.testing.assert_allclose(columns["graph_score"], [2, NAN, NAN])
    np.testing.assert_allclose(columns["embedding_score"], [0.8, 0.9, 0.5])
    assert np.isnan(columns["tower_score"]).all()
    assert union(found, 5, 9)[1].tolist() == [4, 3, 2, 1]


def test_candidates_name_the_leaf_where_the_keyword_is_searched_in_it() -> None:
    retrieval = Retrieval.fit(table(), ENGAGED, listing(), seed=1, names=("graph",))
    rows = retrieval.candidates(listing())
    assert rows[["item_id", "keyword", "category_id", "rank"]].to_numpy().tolist() == [
        ["i1", "coat", "c1", 1],
        ["i1", "red coat", "c2", 2],
        ["i2", "coat", "c2", 1],
        ["i2", "red coat", "c2", 2],
    ]
    assert retrieval.candidates(listing(), 1)["keyword"].tolist() == ["coat", "coat"]


@pytest.mark.parametrize("names", [("graph",), ("graph", "embedding"), None])
def test_no_listing_has_no_candidates(names: tuple[str, ...] | None) -> None:
    retrieval = Retrieval.fit(table(), ENGAGED, listing(), seed=1, names=names)
    nothing, some = retrieval.candidates(listing().iloc[:0]), retrieval.candidates(listing())
    assert nothing.empty
    assert nothing.columns.tolist() == some.columns.tolist()


def test_saved_and_loaded_it_says_the_same(tmp_path: Path) -> None:
    retrieval = Retrieval.fit(table(), ENGAGED, listing(), seed=1)
    retrieval.save(tmp_path / "a", {"ds": "2026-03-01"})
    loaded = Retrieval.load(tmp_path / "a")
    pd.testing.assert_frame_equal(loaded.candidates(listing()), retrieval.candidates(listing()))
    loaded.save(tmp_path / "b", {"ds": "2026-03-01"})
    assert (tmp_path / "a/arrays.npz").read_bytes() == (tmp_path / "b/arrays.npz").read_bytes()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(KeywordError, match=r"No keyword retriever oracle; choose of graph"):
        Retrieval.fit(table(), ENGAGED, listing(), seed=1, names=("oracle",))
    with pytest.raises(KeywordError, match="no keyword"):
        Retrieval.fit(table().iloc[:0], ENGAGED, listing(), seed=1)
