"""What users searched for: counted by category and brand, drawn to the shelf where it is little, nothing where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.features.pairs import PAIR_FEATURES, pair_features
from recsys.features.searches import SEARCH_POINTS
from recsys.ranking.snapshot import Snapshot
from tests.ranking.test_pipeline import DS, frames

SEARCHED = pd.DataFrame(
    [
        ("u00", "category", "books", 6.0),
        ("u00", "category", "gone", 3.0),
        ("u00", "brand", "acme", 2.0),
        ("u00", "brand", "nobody's", 2.0),
        ("u99", "category", "books", 9.0),
    ],
    columns=["user_id", "topic", "topic_id", "searches"],
)


def columns(searches: pd.DataFrame | None, user: str) -> tuple[Snapshot, np.ndarray, np.ndarray]:
    """``category_searched`` and ``brand_searched`` of every listing."""
    snapshot = Snapshot.from_frames({**frames(), "searches": searches}, DS)
    items = np.arange(len(snapshot.shelf))
    rows = np.full(len(items), snapshot.audience.user_ids.get_loc(user))
    features = pair_features(snapshot.shelf, snapshot.audience, rows, items, {})
    category, brand = (
        features[:, PAIR_FEATURES.index(name)] for name in ("category_searched", "brand_searched")
    )
    return snapshot, category, brand


def test_searches_count_by_category_and_brand() -> None:
    snapshot, category, brand = columns(SEARCHED, "u00")
    shelf = snapshot.shelf
    books = shelf.category_ids.to_numpy(object)[shelf.category_code] == "books"
    share = books.mean()
    # Nine searches in all, six of them for books: those for what is not on the shelf count as searches too.
    searched = np.log((6 / share + SEARCH_POINTS) / (9 + SEARCH_POINTS))
    other = np.log(SEARCH_POINTS / (9 + SEARCH_POINTS))
    np.testing.assert_allclose(category, np.where(books, searched, other), rtol=1e-5)
    acme = np.append(shelf.brands.to_numpy(object), "")[shelf.brand_code] == "acme"
    assert acme.any()
    np.testing.assert_allclose(brand, np.where(acme, np.log(3), 0), rtol=1e-6)


@pytest.mark.parametrize("searches", [None, SEARCHED.iloc[:0], SEARCHED])
def test_who_searched_for_nothing_has_no_such_wish(searches: pd.DataFrame | None) -> None:
    _, category, brand = columns(searches, "u01")
    assert not category.any()
    assert not brand.any()


def test_few_searches_say_little() -> None:
    once, often = SEARCHED.iloc[:1].assign(searches=0.1), SEARCHED.iloc[:1].assign(searches=100.0)
    assert 0 < columns(once, "u00")[1].max() < 0.2 < columns(often, "u00")[1].max()
