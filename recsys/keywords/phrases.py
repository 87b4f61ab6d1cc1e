"""Texts as bags of folded words with numbers that identify them, so that equal phrases are found without comparing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse
from scipy.sparse import csgraph

from recsys.keywords.normalise import letters, split, without_end


@dataclass(frozen=True)
class Phrases:
    """Distinct normalised texts.

    Attributes:
        words: the folded words of all texts, in the order of the alphabet, object [words].
        phrase, word: which text has which word, each pair once, by text; int64 [pairs].
        signature: the sum of its words' hashes: the same for any order of words; uint64 [texts].
        joined: its words in order without spaces, object [texts].
        numbers: the sum of the hashes of its numbers, uint64 [texts].
    """

    words: np.ndarray
    phrase: np.ndarray
    word: np.ndarray
    signature: np.ndarray
    joined: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of(cls, written: pa.StringArray) -> Phrases:
        """The phrases of normalised texts, in their order.

        Example:
            >>> found = Phrases.of(pa.array(["red dress", "dresses red", "reddress"]))
            >>> found.same()
            array([0, 0, 0])
        """
        lists = split(written)
        encoded: Any = lists.flatten().dictionary_encode()
        spelled = [letters(word) for word in encoded.dictionary.to_pylist()]
        folded, words = pd.factorize(
            pd.Series([without_end(word) for word in spelled], dtype=object), sort=True
        )
        word = folded.astype(np.int64)[encoded.indices.to_numpy()]
        starts = lists.offsets.to_numpy()
        counts = np.diff(starts)
        phrase, once = np.divmod(
            np.unique(np.repeat(np.arange(len(counts)), counts) * max(1, len(words)) + word),
            max(1, len(words)),
        )
        names = np.asarray(words, dtype=object)
        hashes = hashed(names)
        numeric = np.array([bool(name[:1].isdigit()) for name in words], dtype=np.bool_)
        numbers = _sums(phrase, np.where(numeric[once], hashes[once], 0), len(counts))
        in_order = pa.array(spelled, pa.string()).take(encoded.indices)
        run_on: Any = pc.binary_join(pa.ListArray.from_arrays(pa.array(starts, pa.int32()), in_order), "")
        joined: Any = pc.replace_substring_regex(run_on, "(.{3,})ー$", r"\1")
        signature = _sums(phrase, hashes[once], len(counts))
        return cls(names, phrase, once, signature, joined.to_numpy(zero_copy_only=False), numbers)

    def same(self) -> np.ndarray:
        """The group of each text from 0, int64 [texts]: one signature, or alike but for spaces."""
        n = len(self.signature)
        rows = np.arange(n)
        compact = hashed(self.joined) + np.uint64(3) * self.numbers
        edges = [
            sparse.coo_array((np.ones(n, bool), (rows, first[inverse])), shape=(n, n))
            for _, first, inverse in (
                np.unique(key, return_index=True, return_inverse=True) for key in (self.signature, compact)
            )
        ]
        return (
            csgraph.connected_components(edges[0] + edges[1], directed=False)[1].astype(np.int64)
            if n
            else rows
        )


def hashed(texts: np.ndarray) -> np.ndarray:
    """A 64-bit number for each text, the same on every run and machine; uint64 [texts]."""
    return pd.util.hash_array(np.asarray(texts, dtype=object), categorize=False)


def _sums(phrase: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Sums of uint64 by phrase, modulo 2^64."""
    totals = np.zeros(n, np.uint64)
    np.add.at(totals, phrase, values.astype(np.uint64))
    return totals
