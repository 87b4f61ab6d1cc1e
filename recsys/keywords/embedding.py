"""Keywords near an item in the leading directions of words and character n-grams, tied by what searches led to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from recsys.features.content import sentence_vectors
from recsys.keywords.retriever import Phrases, engagement_matrix
from recsys.keywords.text import Bags, item_text
from recsys.keywords.text_features import word_features
from recsys.keywords.vectors import VectorRetriever

Side = tuple[Bags, sparse.csr_array]
"""Texts, and the shares of leaf categories beside them."""


@dataclass
class EmbeddingRetriever(VectorRetriever):
    """Latent semantic analysis (Deerwester et al., 1990) of phrases and titles in one space.

    A text is the TF-IDF of its words and their character n-grams (hashed to 2^``bits``) beside its leaf category,
    weighted by ``category``. To a phrase is added ``tie`` x the mean of the items that its searchers clicked (Rocchio,
    1971; a purchase counts as ``purchase`` clicks), so that the words of a search and those of the titles it leads to
    come to lie together, in whatever language. The ``factors`` leading directions of at most ``most`` phrases and
    ``most`` titles are kept. An item is projected into them by what it says of itself.

    With ``sentences``, the name or folder of a model that ``sentence-transformers`` reads, texts are what that model
    makes of them, and are tied in the same way.
    """

    factors: int = 128
    bits: int = 17
    tie: float = 1.0
    category: float = 0.5
    purchase: float = 5.0
    most: int = 200_000
    sentences: str | None = None
    name: ClassVar[str] = "embedding"

    def fit(self, phrases: Phrases, engaged: pd.DataFrame, items: pd.DataFrame) -> Self:
        """Find the directions, and give every phrase its place.

        Raises:
            ModelError: ``sentences`` is asked for, and sentence-transformers is not installed.
        """
        tied = normalize(engagement_matrix(phrases, engaged, items, self.purchase), norm="l1")
        texts, titles = pd.Series(phrases.keywords), item_text(items)
        leaf, _ = phrases.groups(items)
        places, leaves = self._categories(phrases), _one_hot(leaf, len(phrases.categories))
        self.rarity, self.directions = np.zeros(0, np.float32), np.zeros((0, 0), np.float32)
        if self.sentences is None:
            self._find_directions((Bags.of(texts), places), (Bags.of(titles), leaves), tied)
        vectors = self._vectors(texts, places) + self.tie * (tied @ self._vectors(titles, leaves))
        self._push(phrases, np.asarray(normalize(vectors), np.float32))
        self._measure(items)
        return self

    def _find_directions(self, phrases: Side, items: Side, tied: sparse.csr_array) -> None:
        rng = np.random.default_rng(self.seed)
        self.rarity = _rarity([phrases[0], items[0]], self.bits)
        some = _some(rng, tied.shape[0], self.most)
        rows = self._rows(*phrases, some) + self.tie * self._tied(tied[some], *items)
        both = sparse.csc_array(
            sparse.vstack([rows, self._rows(*items, _some(rng, tied.shape[1], self.most))])
        )
        there = np.flatnonzero(np.diff(both.indptr))  # most features are empty in a small market
        factors = max(1, min(self.factors, both.shape[0] - 1, len(there) - 1))
        seen = sparse.csr_array(both[:, there])
        _, _, directions = randomized_svd(seen, factors, n_iter=4, random_state=self.seed)
        self.directions = np.zeros((both.shape[1], factors), np.float32)
        self.directions[there] = directions.T

    def item_vectors(self, items: pd.DataFrame) -> np.ndarray:
        """What items say of themselves, in the directions found."""
        leaf, _ = self.phrases.groups(items)
        leaves = _one_hot(leaf, len(self.phrases.categories))
        vectors = self._vectors(item_text(items), leaves)
        return np.asarray(normalize(vectors) if len(vectors) else vectors, np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """The directions, and the place of every phrase."""
        return {"rarity": self.rarity, "directions": self.directions, **self._index_arrays()}

    def restore(self, phrases: Phrases, arrays: dict[str, np.ndarray]) -> Self:
        """Take on what ``arrays`` gave."""
        self.rarity, self.directions = arrays["rarity"], arrays["directions"]
        self._restore_index(phrases, arrays)
        return self

    def _words(self, bags: Bags) -> tuple[sparse.csr_array, sparse.csr_array]:
        """Texts x words, and words x features; their product has rows of length 1, were words at right angles."""
        features = sparse.csr_array(word_features(bags.words, self.bits) @ sparse.diags_array(self.rarity))
        length = np.sqrt(bags.has @ features.multiply(features).sum(axis=1))
        return sparse.csr_array(sparse.diags_array(1 / np.maximum(length, 1e-6)) @ bags.has), features

    def _rows(self, bags: Bags, leaves: sparse.csr_array, some: np.ndarray) -> sparse.csr_array:
        """``some`` texts as rows of features and categories."""
        texts, features = self._words(bags)
        return sparse.csr_array(sparse.hstack([texts[some] @ features, self.category * leaves[some]]))

    def _tied(self, tied: sparse.csr_array, bags: Bags, leaves: sparse.csr_array) -> sparse.csr_array:
        """The means of items that ``tied`` [texts, items] names, as rows."""
        texts, features = self._words(bags)
        return sparse.csr_array(sparse.hstack([(tied @ texts) @ features, self.category * (tied @ leaves)]))

    def _vectors(self, texts: pd.Series, leaves: sparse.csr_array) -> np.ndarray:
        """All texts in the directions found, or as the sentence model has them."""
        if self.sentences is not None:
            return sentence_vectors(texts, self.sentences)
        bags, features = self._words(Bags.of(texts))
        words, categories = np.split(self.directions, [len(self.rarity)])
        return bags @ (features @ words) + self.category * (leaves @ categories)

    @staticmethod
    def _categories(phrases: Phrases) -> sparse.csr_array:
        """Keywords x leaf categories: shares of the clicks."""
        shape = (len(phrases), len(phrases.categories))
        return sparse.csr_array((phrases.share, (phrases.keyword_of, phrases.category_of)), shape=shape)


def _rarity(sides: list[Bags], bits: int) -> np.ndarray:
    """log(1 + texts / texts with the feature), by feature, where a text counts once for each word that has it."""
    texts = sum(bags.has.shape[0] for bags in sides)
    having = np.zeros(2**bits)
    for bags in sides:
        features = word_features(bags.words, bits)
        words = np.bincount(bags.has.indices, minlength=len(bags.words))
        having += np.bincount(features.indices, np.repeat(words, np.diff(features.indptr)), minlength=2**bits)
    return np.log1p(texts / np.maximum(having, 1)).astype(np.float32)


def _one_hot(places: np.ndarray, width: int) -> sparse.csr_array:
    known = np.flatnonzero(places >= 0)
    shape = (len(places), width)
    return sparse.csr_array((np.ones(len(known), np.float32), (known, places[known])), shape=shape)


def _some(rng: np.random.Generator, count: int, most: int) -> np.ndarray:
    return np.sort(rng.choice(count, min(count, most), replace=False))
