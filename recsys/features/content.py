"""What is known of an item beside who had it, as vectors: title, category, brand, condition, price."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from recsys.errors import ModelError

TITLE = "title"
NAMES = ("category", "brand", "condition")
PRICE = "price"
PRICE_STEPS = 20
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]+|[^\W_]+")


def words(text: str) -> list[str]:
    """Words in lower case; a run of Japanese or Chinese, which has no spaces, as its pairs of characters.

    Example:
        >>> words("Red JACKET-2 赤いコート")
        ['red', 'jacket', '2', '赤い', 'いコ', 'コー', 'ート']
    """
    found: list[str] = []
    for word in WORD.findall(text.lower()):
        if len(word) > 1 and "\u3040" <= word[0] <= "\u9fff":
            found += [word[place : place + 2] for place in range(len(word) - 1)]
        else:
            found.append(word)
    return found


def content_matrix(
    content: pd.DataFrame, weights: Mapping[str, float], weighting: Literal["tfidf", "bm25"] = "tfidf"
) -> sparse.csr_array:
    """Items x terms, float32; the part of each field has length 1 times the square root of the field's weight.

    So the inner product of two rows is the weighted sum of the similarities field by field. With BM25 the title part
    holds BM25 weights instead, which are meant for a query of plain terms: see ``content_queries``. A field that is
    missing or empty is a row of zeros.
    """
    parts = []
    if TITLE in content:
        terms = _terms(content[TITLE].fillna("").map(words))
        parts.append((TITLE, _bm25(terms) if weighting == "bm25" else _unit(_tfidf(terms))))
    for name in NAMES:
        if name in content:
            parts.append(
                (name, _terms(content[name].map(lambda value: [] if pd.isna(value) else [str(value)])))
            )
    if PRICE in content:
        parts.append((PRICE, _unit(_price_steps(content[PRICE].to_numpy(np.float64)))))
    scaled = [np.sqrt(weights.get(name, 1.0)) * part for name, part in parts]
    if not scaled:
        return sparse.csr_array((len(content), 1), dtype=np.float32)
    return sparse.csr_array(sparse.hstack(scaled), dtype=np.float32)


def content_queries(content: pd.DataFrame, weights: Mapping[str, float]) -> sparse.csr_array:
    """What asks for items like these in the BM25 form of ``content_matrix``: each title term once, the rest alike."""
    matrix = content_matrix(content, weights, "bm25")
    if TITLE in content:
        titles = _terms(content[TITLE].fillna("").map(words))
        matrix = sparse.csr_array(
            sparse.hstack([np.sqrt(weights.get(TITLE, 1.0)) * (titles > 0), matrix[:, titles.shape[1] :]]),
            dtype=np.float32,
        )
    return matrix


def reduced(matrix: sparse.csr_array, factors: int, seed: int) -> np.ndarray:
    """The rows in their ``factors`` leading directions (latent semantic analysis): float32 [rows, factors or fewer]."""
    factors = min(factors, *matrix.shape)
    left, values, _ = randomized_svd(matrix, factors, n_iter=5, random_state=seed)
    return np.ascontiguousarray(left * values, np.float32)


def sentence_vectors(titles: pd.Series, model: str) -> np.ndarray:
    """Titles through a sentence-embedding model: its name or folder, read by ``sentence-transformers``.

    Raises:
        ModelError: when that package is not installed.
    """
    try:
        package = import_module("sentence_transformers")
    except ImportError as error:
        raise ModelError(
            f"The embedding model {model!r} needs sentence-transformers: pip install sentence-transformers."
        ) from error
    vectors = package.SentenceTransformer(model).encode(titles.fillna("").tolist(), normalize_embeddings=True)
    return np.asarray(vectors, np.float32)


def _terms(lists: pd.Series) -> sparse.csr_array:
    """How often each row has each term; terms in the order of the alphabet."""
    lengths = lists.map(len).to_numpy(np.int64)
    flat = np.array([term for row in lists for term in row], dtype=object)
    codes, names = pd.factorize(flat, sort=True)
    rows = np.repeat(np.arange(len(lists)), lengths)
    shape = (len(lists), max(1, len(names)))
    counts = sparse.coo_array((np.ones(len(flat), np.float32), (rows, codes)), shape=shape)
    return sparse.csr_array(counts)


def _rarity(terms: sparse.csr_array) -> np.ndarray:
    """log(1 + rows / rows with the term), by term."""
    having = np.bincount(terms.indices, minlength=terms.shape[1])
    return np.log1p(terms.shape[0] / np.maximum(having, 1))


def _tfidf(terms: sparse.csr_array) -> sparse.csr_array:
    weighted = terms.copy()
    weighted.data = (1 + np.log(weighted.data)) * _rarity(terms)[weighted.indices]
    return weighted


def _bm25(terms: sparse.csr_array, k1: float = 1.2, b: float = 0.75) -> sparse.csr_array:
    """Okapi BM25 (Robertson and Zaragoza, 2009), scaled so that the largest weight is 1."""
    lengths = terms.sum(axis=1)
    norm = k1 * (1 - b + b * lengths / max(lengths.mean(), 1e-12))
    weighted = terms.copy()
    rows = np.repeat(np.arange(terms.shape[0]), np.diff(terms.indptr))
    weighted.data = _rarity(terms)[terms.indices] * terms.data * (k1 + 1) / (terms.data + norm[rows])
    weighted.data /= max(weighted.data.max(initial=0), 1e-12)
    return weighted


def _unit(matrix: sparse.csr_array) -> sparse.csr_array:
    length = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    return sparse.csr_array(sparse.diags_array(1 / np.maximum(length, 1e-12)) @ matrix)


def _price_steps(prices: np.ndarray) -> sparse.csr_array:
    """Where a price stands among all, as the shares of its two nearest of ``PRICE_STEPS`` steps."""
    known = np.flatnonzero(np.isfinite(prices))
    if not len(known):
        return sparse.csr_array((len(prices), PRICE_STEPS), dtype=np.float32)
    sorted_prices = np.sort(prices[known])
    first, last = (np.searchsorted(sorted_prices, prices[known], side=side) for side in ("left", "right"))
    place = (first + last) / 2 / len(known) * (PRICE_STEPS - 1)
    low = np.minimum(place.astype(np.int64), PRICE_STEPS - 2)
    share = place - low
    rows, columns = np.concatenate([known, known]), np.concatenate([low, low + 1])
    values = np.concatenate([1 - share, share]).astype(np.float32)
    return sparse.csr_array((values, (rows, columns)), shape=(len(prices), PRICE_STEPS))
