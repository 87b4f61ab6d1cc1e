"""Two towers: what is drawn against what, and what they learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recsys.errors import KeywordError
from recsys.keywords.retrieve import Retrieval
from recsys.keywords.retriever import Phrases, pairs
from recsys.keywords.tower_training import Hard, Labels
from recsys.keywords.towers import Facts, Texts, first_arrays, tower
from recsys.keywords.two_tower import TwoTowerRetriever
from recsys.models.neural import AVAILABLE
from tests.keywords.two_languages import listing, world

torch_needed = pytest.mark.skipif(
    not AVAILABLE, reason="PyTorch is not installed: pip install -r requirements-neural.txt"
)
PARENT = np.array([0, 0, 1])


def labels() -> Labels:
    """Three phrases x three items: phrase 0 led to all, phrase 1 to the first, phrase 2 to the last."""
    matrix = sparse.csr_array(np.array([[1, 2, 30], [3, 0, 0], [0, 0, 4]], dtype=np.float32))
    return Labels.of(matrix, PARENT, 10.0, np.array([0, 1, 2, 3, 4]))


def test_a_phrase_has_its_chance_within_the_parent_category() -> None:
    found = labels()
    assert found.keyword.tolist() == [0, 0, 0, 1, 2]
    assert found.item.tolist() == [0, 1, 2, 0, 2]
    assert found.chance == pytest.approx([2 / 3, 2 / 3, 1 / 2, 1 / 3, 1 / 2])
    assert found.weight == pytest.approx(np.array([1, 2, 10, 3, 4]) / 4)
    assert found.keys.tolist() == [0, 1, 3, 6, 8]


def test_hard_negatives_are_named_by_the_graph_and_by_no_click() -> None:
    named = np.array([[0, 1, 2], [1, 2, -1], [0, 2, -1]])
    hard = Hard.of(labels(), named, PARENT, 3, drawn=1)
    assert hard.place.tolist() == [[-1, -1, 2], [1, 2, -1], [-1, -1, -1]]
    assert hard.chance == pytest.approx(np.array([[0, 0, 0], [1 / 3, 0, 0], [0, 0, 0]]))
    assert hard.share.tolist() == [1, 1 / 2, 1]
    drawn = np.concatenate([hard.draw(np.random.default_rng(n), np.array([1]), 1)[0] for n in range(400)])
    assert np.bincount(drawn.ravel())[1:] / 400 == pytest.approx([0.5, 0.5], abs=0.08)
    assert hard.draw(np.random.default_rng(1), np.array([2, 0]), 2)[0].tolist() == [[-1, -1], [2, -1]]


def test_a_tower_reads_text_and_facts_and_gives_length_one() -> None:
    facts = Facts.of(pd.DataFrame({"condition": ["good", "new", None], "price": [1.0, 5.0, np.nan]}))
    phrases = Phrases.of(world()[0], world()[2])
    items = listing("red coat").assign(price=[99.0])
    assert facts.places(phrases, items).tolist() == [[1, 1, 20]]
    unknown = items.assign(category_id="c9", condition=None, price=np.nan)
    assert facts.places(phrases, unknown).tolist() == [[0, 0, 0]]
    arrays = first_arrays(np.random.default_rng(1), 10, 8, 16, facts.sizes(phrases))
    text = Texts.of(pd.Series(["red coat", "coat, red", None]), 10).vectors(arrays["words"])
    vectors = tower(arrays, "keyword", text)
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=1e-5)
    np.testing.assert_allclose((vectors**2).sum(axis=1), [1, 1, 0], atol=1e-5)


@torch_needed
def test_the_towers_learn_what_was_searched_in_another_language(tmp_path: Path) -> None:
    catalogue, engaged, items = world()
    phrases = Phrases.of(catalogue, items)
    retriever = TwoTowerRetriever(bits=10, factors=16, hidden=16, learning_rate=0.01, epochs=30, patience=0)
    best = pairs(phrases, listing(""), retriever.fit(phrases, engaged, items).find(listing("Red coats"), 2))
    assert set(best["keyword"]) == {"red coat", "赤 コート"}
    again = TwoTowerRetriever(bits=10, factors=16, hidden=16, learning_rate=0.01, epochs=30, patience=0)
    np.testing.assert_array_equal(again.fit(phrases, engaged, items).vectors, retriever.vectors)
    Retrieval(phrases, {"two_tower": retriever}).save(tmp_path / "model")
    loaded = Retrieval.load(tmp_path / "model")
    rows = loaded.candidates(listing("Red coats"), 2)
    assert rows["sources"].unique().tolist() == ["two_tower"]
    np.testing.assert_array_equal(
        loaded.retrievers["two_tower"].item_vectors(items), retriever.item_vectors(items)
    )
    assert rows["tower_score"].notna().all()


@torch_needed
def test_without_clicks_there_is_nothing_to_learn() -> None:
    catalogue, engaged, items = world()
    with pytest.raises(KeywordError, match="No click ties"):
        TwoTowerRetriever().fit(Phrases.of(catalogue, items), engaged.iloc[:0], items)
