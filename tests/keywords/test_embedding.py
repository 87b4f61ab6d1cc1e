"""Keywords near an item in a space that searches and titles share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.keywords import embedding
from recsys.keywords.embedding import EmbeddingRetriever
from recsys.keywords.retriever import Phrases, pairs
from recsys.keywords.text import Bags, pack, unpack
from recsys.keywords.text_features import word_features
from tests.keywords.two_languages import listing, world


def fitted(**parameters: float) -> EmbeddingRetriever:
    catalogue, engaged, items = world()
    return EmbeddingRetriever(bits=12, factors=40, **parameters).fit(
        Phrases.of(catalogue, items), engaged, items
    )


def best(title: str, k: int, **parameters: float) -> set[str]:
    retriever = fitted(**parameters)
    return set(pairs(retriever.phrases, listing(title), retriever.find(listing(title), k))["keyword"])


def test_a_new_listing_finds_what_was_searched_for_others_like_it_in_another_language() -> None:
    assert best("Red coats", 1) == {"red coat"}
    assert "赤 コート" in best("Red coats", 4)
    assert "赤 コート" not in best("Red coats", 6, tie=0.0)


def test_a_slip_of_the_seller_is_near_what_was_meant() -> None:
    assert "black dress" in best("blackk dresss", 2)


def test_only_keywords_of_the_parent_category_are_found() -> None:
    retriever = fitted()
    assert (retriever.find(listing("red coat", "c9"), 3)[0] >= 0).all()
    assert (retriever.find(listing("red coat", parent="q"), 3)[0] == -1).all()
    assert (retriever.find(listing(None, "c9"), 3)[0] == -1).all()


def test_a_keyword_of_a_category_without_a_parent_is_found_by_all_and_once() -> None:
    catalogue, engaged, items = world()
    catalogue = pd.concat([catalogue, catalogue.iloc[[0]].assign(category_id="c2")], ignore_index=True)
    retriever = EmbeddingRetriever(bits=12, factors=40).fit(Phrases.of(catalogue, items), engaged, items)
    places = retriever.find(listing("red coat"), 30)[0][0]
    assert sorted(places[places >= 0]) == list(range(24))
    other = retriever.find(listing("red coat", parent="q"), 30)[0][0]
    assert retriever.phrases.keywords[other[other >= 0]].tolist() == ["red coat"]


def test_a_sentence_model_takes_the_place_of_the_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    def lengths(texts: pd.Series, model: str) -> np.ndarray:
        assert model == "made/up"
        return np.column_stack([texts.str.len(), np.full(len(texts), 5.0)]).astype(np.float32)

    monkeypatch.setattr(embedding, "sentence_vectors", lengths)
    catalogue, engaged, items = world()
    retriever = EmbeddingRetriever(sentences="made/up", tie=0.0).fit(
        Phrases.of(catalogue, items), engaged, items
    )
    found = pairs(retriever.phrases, listing("x" * 9), retriever.find(listing("x" * 9), 3))
    assert {len(keyword) for keyword in found["keyword"]} <= {9, 10}
    again = EmbeddingRetriever(sentences="made/up", tie=0.0).restore(retriever.phrases, retriever.arrays())
    np.testing.assert_array_equal(again.find(items, 5)[0], retriever.find(items, 5)[0])


def test_a_listing_has_the_same_vector_whoever_stands_beside_it() -> None:
    retriever, items = fitted(), world()[2].assign(title=lambda frame: frame["title"] + " zebra apple")
    together = retriever.item_vectors(items.iloc[::-1])[::-1]
    alone = np.concatenate([retriever.item_vectors(items.iloc[[at]]) for at in range(len(items))])
    np.testing.assert_array_equal(together, alone)


def test_hashed_features_have_length_one_and_alike_words_are_alike() -> None:
    features = word_features(pd.Index(["jacket", "jackets", "vase", "コート"]), 16)
    likeness = (features @ features.T).toarray()
    np.testing.assert_allclose(np.diag(likeness), 1, atol=0.15)
    assert likeness[0, 1] > 0.25
    assert abs(likeness[0, 2]) < 0.1


@pytest.mark.parametrize("texts", [[], ["a", "赤いコート", ""]])
def test_packed_texts_come_back(texts: list[str]) -> None:
    assert unpack("a", pack("a", texts)).tolist() == texts


def test_texts_without_words_have_empty_bags() -> None:
    assert Bags.of(pd.Series(["!", None])).has.nnz == 0
