"""How much of the reach of one keyword another has already: by who searches both, else by the words they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.errors import KeywordError
from recsys.keywords.text import Bags

NO_WORD = -1
WORDS = 8
"""Words of a keyword that are compared; a longer one is known by its first words."""
CO_SEARCH = ("keyword", "other", "share")


@dataclass(frozen=True)
class Overlap:
    """Shares of searchers that keywords have in common.

    ``words`` is int32 [keywords, WORDS], numbers of words, NO_WORD behind the last; ``pair`` (ascending) and ``share``
    are what was observed: pair = keyword * keywords + other.
    """

    keywords: pd.Index
    words: np.ndarray
    pair: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, keywords: pd.Index, co_search: pd.DataFrame | None = None) -> Overlap:
        """Of distinct ``keywords``.

        Args:
            keywords: canonical texts.
            co_search: [keyword, other, share], share of the searchers of ``keyword`` who search ``other`` too; pairs
                that are missing are told by their words.

        Raises:
            KeywordError: a share outside 0..1.
        """
        has = Bags.of(keywords.to_series()).has
        counts = np.diff(has.indptr)
        row = np.repeat(np.arange(len(keywords)), counts)
        place = np.arange(len(row)) - has.indptr[row]
        words = np.full((len(keywords), WORDS), NO_WORD, np.int32)
        words[row[place < WORDS], place[place < WORDS]] = has.indices[place < WORDS]
        if co_search is None:
            return cls(keywords, words, np.empty(0, np.int64), np.empty(0))
        share = co_search["share"].to_numpy(np.float64)
        if not ((share >= 0) & (share <= 1)).all():
            raise KeywordError(
                f"A share of searchers is {share[~((share >= 0) & (share <= 1))][0]}; shares lie between 0 and 1."
            )
        left, right = (keywords.get_indexer(pd.Index(co_search[name])) for name in ("keyword", "other"))
        known = (left >= 0) & (right >= 0)
        pair = left[known].astype(np.int64) * len(keywords) + right[known]
        order = np.argsort(pair, kind="stable")
        return cls(keywords, words, pair[order], share[known][order])

    def alike(self, keyword: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Words in common over all words of two keywords (Jaccard 1912), places of keywords in arrays of equal shape.

        Example:
            >>> overlap = Overlap.of(pd.Index(["red coat", "coat"]))
            >>> overlap.alike(np.array([0, 0]), np.array([1, 0])).tolist()
            [0.5, 1.0]
        """
        left, right = self.words[keyword], self.words[other]
        shared = np.zeros(keyword.shape, np.int64)
        for place in range(WORDS):
            word = left[..., place, None]
            shared += ((word == right) & (word != NO_WORD)).any(axis=-1)
        either = (left != NO_WORD).sum(axis=-1) + (right != NO_WORD).sum(axis=-1) - shared
        return np.asarray(shared / np.maximum(either, 1), np.float64)

    def reached(self, keyword: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Share of the searchers of ``keyword`` who search ``other`` too: observed, else ``alike``."""
        told = self.alike(keyword, other)
        if not len(self.pair):
            return told
        wanted = keyword.astype(np.int64) * len(self.keywords) + other
        at = np.minimum(np.searchsorted(self.pair, wanted), len(self.pair) - 1)
        return np.where(self.pair[at] == wanted, self.share[at], told)
