"""The two towers as functions of named arrays, the same in NumPy and in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.keywords.retriever import Phrases
from recsys.keywords.text import Bags
from recsys.keywords.text_features import word_features

PRICE_STEPS = 20
SIDES = ("item", "keyword")
FACTS = ("category", "condition", "price")
BLOCK = 256
"""Rows that go through a tower at once, always as many."""


@dataclass(frozen=True)
class Texts:
    """Texts as averages of hashed words: ``words`` float32 [texts, distinct words], ``features`` [words, 2^bits]."""

    words: sparse.csr_array
    features: sparse.csr_array

    @classmethod
    def of(cls, texts: pd.Series, bits: int) -> Self:
        """Read texts; the words of one are weighed alike, by 1 / sqrt(words)."""
        bags = Bags.of(texts)
        weight = sparse.diags_array((1 / np.sqrt(np.maximum(np.diff(bags.has.indptr), 1))).astype(np.float32))
        return cls(sparse.csr_array(weight @ bags.has), word_features(bags.words, bits))

    def vectors(self, table: np.ndarray) -> np.ndarray:
        """All texts through a table of features: float32 [texts, width]."""
        return np.asarray(self.words @ (self.features @ table), np.float32)


@dataclass(frozen=True)
class Facts:
    """How the facts of an item beside its text become places: conditions, and the edges between steps of price."""

    conditions: pd.Index
    edges: np.ndarray

    @classmethod
    def of(cls, items: pd.DataFrame) -> Self:
        """The conditions there are, and ``PRICE_STEPS`` steps of price with as many items each."""
        price = items["price"].astype("float64").dropna().to_numpy()
        steps = np.arange(1, PRICE_STEPS) / PRICE_STEPS
        conditions = sorted(items["condition"].dropna().astype(str).unique())
        return cls(
            pd.Index(conditions, dtype=object), np.quantile(price, steps) if len(price) else np.zeros(0)
        )

    def places(self, phrases: Phrases, items: pd.DataFrame) -> np.ndarray:
        """The places of category, condition and price of each item, 0 where unknown: int64 [items, 3]."""
        leaf, _ = phrases.groups(items)
        price = items["price"].to_numpy(np.float64, na_value=np.nan)
        step = np.where(np.isfinite(price), np.searchsorted(self.edges, price) + 1, 0)
        condition = self.conditions.get_indexer(pd.Index(items["condition"]))
        return np.column_stack([leaf + 1, condition + 1, step])

    def sizes(self, phrases: Phrases) -> tuple[int, int, int]:
        """How many places each fact has."""
        return len(phrases.categories) + 1, len(self.conditions) + 1, len(self.edges) + 2


def first_arrays(
    rng: np.random.Generator, bits: int, factors: int, hidden: int, sizes: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Parameters to be trained: words at random, so that equal words are alike from the start, and the rest near 0."""
    arrays = {"words": rng.normal(0, factors**-0.5, (2**bits, factors))}
    arrays |= {
        fact: rng.normal(0, 0.1 * factors**-0.5, (size, factors))
        for fact, size in zip(FACTS, sizes, strict=True)
    }
    for side in SIDES:
        arrays[f"{side}.wide.weight"] = rng.normal(0, (2 / factors) ** 0.5, (hidden, factors))
        arrays[f"{side}.wide.bias"] = np.zeros(hidden)
        arrays[f"{side}.narrow.weight"] = rng.normal(0, 0.1 * hidden**-0.5, (factors, hidden))
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def tower(p: Mapping[str, Any], side: str, text: Any, facts: Any = None) -> Any:
    """Vectors of length 1 from the vectors of texts [n, factors] and the ``places`` of facts [n, 3], if any.

    Reads arrays of NumPy or of PyTorch alike. What has neither words nor facts is 0.
    """
    inputs = text
    if facts is not None:
        for at, fact in enumerate(FACTS):
            inputs = inputs + p[fact][facts[:, at]]
    wide = (inputs @ p[f"{side}.wide.weight"].T + p[f"{side}.wide.bias"]).clip(min=0)
    vectors = inputs + wide @ p[f"{side}.narrow.weight"].T
    return vectors / ((vectors * vectors).sum(-1)[:, None] + 1e-12) ** 0.5


def tower_by_blocks(
    p: Mapping[str, np.ndarray], side: str, text: np.ndarray, facts: np.ndarray
) -> np.ndarray:
    """``tower`` of arrays in blocks of BLOCK rows, the last one filled up: float32 [n, factors].

    BLAS rounds the last rows of a matrix otherwise, and the vector of an item would depend on those beside it.
    """
    made = np.empty(text.shape, np.float32)
    for start in range(0, len(text), BLOCK):
        part = slice(start, start + BLOCK)
        empty = ((0, BLOCK - len(text[part])), (0, 0))
        whole = tower(p, side, np.pad(text[part], empty), np.pad(facts[part], empty))
        made[part] = whole[: len(text[part])]
    return made
