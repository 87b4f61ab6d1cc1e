"""Titles and phrases as bags of words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from recsys.keywords.normalise import fold, normalise, split


@dataclass(frozen=True)
class Bags:
    """Which words each text has, in the form in which words are compared (``normalise.fold``).

    ``has`` is int16 [texts, words] of ones; ``words`` are in the order of the alphabet (one empty word where there is
    none), so that sums over the words of a text do not depend on the texts beside it.
    """

    has: sparse.csr_array
    words: pd.Index

    @classmethod
    def of(cls, texts: pd.Series) -> Bags:
        """The words of texts; a missing text has none.

        Example:
            >>> Bags.of(pd.Series(["Red coats, ＣＯＡＴ", None])).has.sum(axis=1).tolist()
            [2, 0]
        """
        written = normalise(pa.array(texts.where(texts.notna(), "").astype(str), pa.string()))
        lists = split(written)
        encoded = lists.values.dictionary_encode()
        folded = pd.Series([fold(str(word)) for word in encoded.dictionary.to_pylist()], dtype=object)
        place, words = pd.factorize(folded[folded != ""], sort=True)
        code = np.full(len(folded), -1)
        code[np.flatnonzero(folded != "")] = place
        codes = code[encoded.indices.to_numpy()]
        ends = np.concatenate([[0], np.cumsum(codes >= 0)])[lists.offsets.to_numpy()]
        codes = codes[codes >= 0]
        known = pd.Index(words, dtype=object) if len(words) else pd.Index([""], dtype=object)
        has = sparse.csr_array((np.ones(len(codes), np.int16), codes, ends), shape=(len(lists), len(known)))
        has.sum_duplicates()
        has.data[:] = 1
        return cls(has, known)

    def columns_in(self, vocabulary: pd.Index) -> np.ndarray:
        """The place in ``vocabulary`` of the word of each stored value of ``has``; -1 where it is not there."""
        return vocabulary.get_indexer(self.words)[self.has.indices]


def item_text(items: pd.DataFrame) -> pd.Series:
    """What an item says of itself in words: title, brand and size."""
    columns = [items[name].astype(object) for name in ("title", "brand", "size") if name in items]
    text = pd.Series("", index=items.index, dtype=object)
    for column in columns:
        text = text + " " + column.where(column.notna(), "").astype(str)
    return text


def pack(name: str, texts: Iterable[str]) -> dict[str, np.ndarray]:
    """Texts as UTF-8 bytes and the place where each ends: small in npz, whatever the longest is."""
    encoded = [str(text).encode() for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return {f"{name}.data": np.frombuffer(b"".join(encoded), np.uint8), f"{name}.ends": ends}


def unpack(name: str, arrays: Mapping[str, np.ndarray]) -> pd.Index:
    """What ``pack`` packed under ``name``."""
    whole, start, texts = arrays[f"{name}.data"].tobytes(), 0, []
    for end in arrays[f"{name}.ends"].tolist():
        texts.append(whole[start:end].decode())
        start = end
    return pd.Index(texts, dtype=object)
