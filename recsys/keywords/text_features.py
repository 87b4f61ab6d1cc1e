"""Words as hashed features: the word itself and its character n-grams, so that a new word has its place."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

SHORTEST, LONGEST = 3, 5
MARK = "\x02", "\x03"
WHOLE = "\x04"


def word_features(words: pd.Index, bits: int, grams: float = 0.5) -> sparse.csr_array:
    """Words x 2^bits hashed features (Weinberger et al., 2009; n-grams as Bojanowski et al., 2017): float32.

    A word is one feature of length sqrt(1 - ``grams``), and its character n-grams (3 to 5 signs, edges marked; from 1
    sign for Japanese, where one says as much) together have length sqrt(``grams``). Hashing is pandas' SipHash with its
    fixed key, so that a saved model reads a new word as it would have in training. Signs are drawn from the hash too,
    so that collisions cancel on average.
    """
    lists = [_grams(word) for word in words]
    sizes = np.array([len(row) for row in lists], dtype=np.int64)
    flat = np.array([gram for row in lists for gram in row], dtype=object)
    rows = np.concatenate([np.arange(len(words)), np.repeat(np.arange(len(words)), sizes)])
    hashed = np.concatenate([_hash(WHOLE + words.to_numpy(object)), _hash(flat)])
    weight = np.concatenate(
        [np.full(len(words), np.sqrt(1 - grams)), np.repeat(np.sqrt(grams / np.maximum(sizes, 1)), sizes)]
    )
    sign = np.where(hashed >> np.uint64(63), -1.0, 1.0)
    columns = (hashed & np.uint64(2**bits - 1)).astype(np.int64)
    shape = (len(words), 2**bits)
    return sparse.csr_array(
        sparse.coo_array(((weight * sign).astype(np.float32), (rows, columns)), shape=shape)
    )


def _grams(word: str) -> list[str]:
    shortest = SHORTEST if word.isascii() else 1
    marked = f"{MARK[0]}{word}{MARK[1]}"
    return [
        marked[at : at + size]
        for size in range(shortest, LONGEST + 1)
        for at in range(len(marked) - size + 1)
        if shortest > 1 or marked[at : at + size] not in MARK
    ]


def _hash(texts: np.ndarray) -> np.ndarray:
    return pd.util.hash_array(texts, categorize=False) if len(texts) else np.empty(0, np.uint64)
