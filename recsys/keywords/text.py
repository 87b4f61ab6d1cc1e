"""Titles and phrases as bags of words."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.features.content import words


@dataclass(frozen=True)
class Bags:
    """Which words each text has: ``has`` is int16 [texts, words] of ones, ``words`` in the order they first appear."""

    has: sparse.csr_array
    words: pd.Index

    @classmethod
    def of(cls, texts: pd.Series) -> Bags:
        """The words of texts in one form of Unicode (NFKC); a missing text has none.

        Example:
            >>> Bags.of(pd.Series(["Red ＣＯＡＴ", None])).has.sum(axis=1).tolist()
            [2, 0]
        """
        lists = [
            list(dict.fromkeys(words(unicodedata.normalize("NFKC", text)))) if isinstance(text, str) else []
            for text in texts
        ]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
        flat = np.array([word for row in lists for word in row], dtype=object)
        codes, known = pd.factorize(flat)
        shape = (len(lists), max(1, len(known)))
        has = sparse.csr_array((np.ones(len(flat), np.int16), codes.astype(np.int32), indptr), shape=shape)
        return cls(has, pd.Index(known, dtype=object))

    def columns_in(self, vocabulary: pd.Index) -> np.ndarray:
        """The place in ``vocabulary`` of the word of each stored value of ``has``; -1 where it is not there."""
        if not len(self.words):
            return np.empty(0, np.int64)
        return vocabulary.get_indexer(self.words)[self.has.indices]


def item_text(items: pd.DataFrame) -> pd.Series:
    """What an item says of itself in words: title, brand and size."""
    columns = [items[name].astype(object) for name in ("title", "brand", "size") if name in items]
    text = pd.Series("", index=items.index, dtype=object)
    for column in columns:
        text = text + " " + column.where(column.notna(), "").astype(str)
    return text


def pack(texts: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Texts as UTF-8 bytes and the place where each ends: small in npz, whatever the longest is."""
    encoded = [str(text).encode() for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), ends


def unpack(data: np.ndarray, ends: np.ndarray) -> pd.Index:
    """What ``pack`` packed."""
    whole, start, texts = data.tobytes(), 0, []
    for end in ends.tolist():
        texts.append(whole[start:end].decode())
        start = end
    return pd.Index(texts, dtype=object)
