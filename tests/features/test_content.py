"""What is written about items, as vectors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.features.content import PRICE_STEPS, content_matrix, content_queries, reduced, words


def test_words_are_lower_case_and_japanese_is_cut_into_pairs() -> None:
    assert words("Red JACKET-2, 赤いコート") == ["red", "jacket", "2", "赤い", "いコ", "コー", "ート"]
    assert words("靴") == ["靴"]


def test_likeness_adds_up_over_the_fields() -> None:
    content = pd.DataFrame(
        {"title": ["a b", "b a", "c"], "category": ["x", "y", "x"], "brand": [None, None, None]}
    )
    likeness = content_matrix(content, {"title": 2.0, "category": 0.5})
    expected = [[2.5, 2.0, 0.5], [2.0, 2.5, 0.0], [0.5, 0.0, 2.5]]
    np.testing.assert_allclose((likeness @ likeness.T).toarray(), expected, rtol=1e-5, atol=1e-7)


def test_near_prices_are_alike_and_a_missing_one_is_like_none() -> None:
    prices = pd.DataFrame({"price": [*np.linspace(1, 1000, 200), np.nan]})
    likeness = content_matrix(prices, {})
    row = (likeness[[0]] @ likeness.T).toarray()[0]
    assert likeness.shape[1] == PRICE_STEPS
    assert row[0] == pytest.approx(1)
    assert (np.diff(row[:12]) <= 1e-6).all()
    assert row[100] == row[-1] == 0


def test_bm25_prefers_the_rare_word_and_the_short_title() -> None:
    content = pd.DataFrame({"title": ["coat rare", "coat coat coat long long words", "coat", "rare"]})
    items, queries = content_matrix(content, {}, "bm25"), content_queries(content, {})
    score = (queries[[0]] @ items.T).toarray()[0]
    assert score[3] > score[2] > score[1]


def test_reduced_vectors_keep_the_likeness() -> None:
    content = pd.DataFrame({"title": ["a b", "b c", "c d", "a d", "e"]})
    whole = content_matrix(content, {})
    small = reduced(whole, 5, seed=1)
    np.testing.assert_allclose(small @ small.T, (whole @ whole.T).toarray(), atol=1e-4)
    assert reduced(whole, 2, seed=1).shape == (5, 2)
