"""Keywords that buyers search in the item's category and whose words the item has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.keywords.retriever import Found, Phrases, Retriever
from recsys.keywords.text import Bags, item_text

WORK = 8_000_000
"""Shared words that are counted at once; bounds the memory."""
ENOUGH = 10


@dataclass
class GraphRetriever(Retriever):
    """GraphEx (Mishra et al., 2024): per leaf category, the phrases that share words with the item.

    A phrase of ``len`` words of which the item has c scores c / (len - c + 1), so that long phrases that are covered to
    the last word come first; equal ones go by searchers, then by keyword. An item with fewer than ``enough`` phrases in
    its leaf gets more from the leaf's siblings. Nothing is learned: a new catalogue is a new retriever.
    """

    enough: int = ENOUGH
    name: ClassVar[str] = "graph"

    def fit(self, phrases: Phrases, engaged: pd.DataFrame, items: pd.DataFrame) -> Self:
        """Index the phrases by their words; nothing else is asked."""
        return self.restore(phrases, {})

    def restore(self, phrases: Phrases, arrays: dict[str, np.ndarray]) -> Self:
        """Index the phrases by their words."""
        self.phrases = phrases
        bags = Bags.of(pd.Series(phrases.keywords))
        self.vocabulary = bags.words
        parent = phrases.parent_of[phrases.category_of]
        self.leaves = _Index.of(bags.has, phrases.keyword_of, phrases.category_of, phrases.searchers)
        known = parent >= 0
        self.siblings = _Index.of(
            bags.has, phrases.keyword_of[known], parent[known], phrases.searchers[known]
        )
        return self

    def find(self, items: pd.DataFrame, k: int) -> Found:
        """The best ``k`` keywords of each item; a score is c / (len - c + 1)."""
        bags = Bags.of(item_text(items))
        word = bags.columns_in(self.vocabulary)
        row = np.repeat(np.arange(len(items)), np.diff(bags.has.indptr))
        row, word = row[word >= 0], word[word >= 0]
        leaf, parent = self.phrases.groups(items)
        places, scores = self.leaves.find(row, word, leaf, k)
        few = np.flatnonzero((places >= 0).sum(axis=1) < min(self.enough, k))
        if len(few):
            of_few = np.isin(row, few)
            more = self.siblings.find(np.searchsorted(few, row[of_few]), word[of_few], parent[few], 2 * k)
            places[few], scores[few] = _behind((places[few], scores[few]), more, k)
        return places, scores

    def arrays(self) -> dict[str, np.ndarray]:
        """Nothing beside the phrases."""
        return {}


@dataclass(frozen=True)
class _Index:
    """Words of groups (leaves, or their parents) to the phrases of the group that have them.

    ``keys`` are group x vocabulary size + word, ascending; ``entries`` is int16 [keys, entries]; the entries of a group
    stand in the order of its searchers, the most first. ``keyword`` and ``length`` [entries]: the keyword's place, and
    its number of words.
    """

    width: int
    keys: np.ndarray
    entries: sparse.csr_array
    keyword: np.ndarray
    length: np.ndarray

    @classmethod
    def of(
        cls, has: sparse.csr_array, keyword: np.ndarray, group: np.ndarray, searchers: np.ndarray
    ) -> _Index:
        """Index entries of a keyword, a group and its searchers; a keyword that a group has twice counts once."""
        order = np.lexsort((keyword, -searchers, group))
        order = order[np.sort(np.unique(group[order] * has.shape[0] + keyword[order], return_index=True)[1])]
        keyword, group = keyword[order], group[order]
        rows = has[keyword]
        length = np.diff(rows.indptr)
        keys, row = np.unique(np.repeat(group, length) * has.shape[1] + rows.indices, return_inverse=True)
        entry = np.repeat(np.arange(len(keyword)), length)
        shape = (len(keys), len(keyword))
        entries = sparse.csr_array((np.ones(len(row), np.int16), (row, entry)), shape=shape)
        return cls(has.shape[1], keys, entries, keyword, length)

    def find(self, row: np.ndarray, word: np.ndarray, group: np.ndarray, k: int) -> Found:
        """The best ``k`` of each of the items in ``group``, given the words [pairs] of the items in ``row`` [pairs]."""
        places = np.full((len(group), k), -1, np.int64)
        scores = np.full((len(group), k), -np.inf, np.float32)
        if not len(self.keys) or not k:
            return places, scores
        key = group[row] * self.width + word
        at = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        hit = (self.keys[at] == key) & (group[row] >= 0)
        row, at = row[hit], at[hit]
        asks = sparse.csr_array((np.ones(len(row), np.int16), (row, at)), shape=(len(group), len(self.keys)))
        work = np.concatenate([[0], np.cumsum(np.diff(self.entries.indptr)[asks.indices])])[asks.indptr]
        start = 0
        while start < len(group):
            stop = max(start + 1, int(np.searchsorted(work, work[start] + WORK, side="right")) - 1)
            at_row, at_rank, entry, score = _best(asks[start:stop] @ self.entries, self.length, k)
            places[start + at_row, at_rank] = self.keyword[entry]
            scores[start + at_row, at_rank] = score
            start = stop
        return places, scores


def _best(
    shared: sparse.csr_array, length: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The best ``k`` columns of each row of words shared: rows, ranks, columns and scores of what is kept.

    Scores are few (c and len are small), so they are told by a level, 0 for the best: levels are counted row by row to
    find where the k-th falls, and only what reaches it is sorted.
    """
    most = int(length.max(initial=1))
    c, n = np.divmod(np.arange((most + 1) ** 2), most + 1)
    values = np.where((c > 0) & (c <= n), c / np.maximum(n - c + 1, 1), 0)
    distinct, level_of = np.unique(-values, return_inverse=True)
    rows = len(shared.indptr) - 1
    row = np.repeat(np.arange(rows), np.diff(shared.indptr))
    column = shared.indices.astype(np.int64)
    level = level_of[shared.data.astype(np.int64) * (most + 1) + length[column]]
    counted = np.bincount(row * len(distinct) + level, minlength=rows * len(distinct))
    reached = np.cumsum(counted.reshape(rows, len(distinct)), axis=1)
    cut = np.argmax(reached >= np.minimum(k, reached[:, -1:]), axis=1)
    kept = level <= cut[row]
    row, level, column = row[kept], level[kept], column[kept]
    width = len(length)
    key = np.sort((row * len(distinct) + level) * width + column)
    row, rest = np.divmod(key, len(distinct) * width)
    level, column = np.divmod(rest, width)
    rank = np.arange(len(row)) - np.searchsorted(row, np.arange(rows))[row]
    kept = rank < k
    return row[kept], rank[kept], column[kept], (-distinct[level[kept]]).astype(np.float32)


def _behind(first: Found, more: Found, k: int) -> Found:
    """What was found first, then what else was found, each keyword once: the best ``k`` in that order."""
    places, scores = (np.concatenate([a, b], axis=1) for a, b in zip(first, more, strict=True))
    order = np.argsort(places, axis=1, kind="stable")
    ordered = np.take_along_axis(places, order, axis=1)
    again = np.zeros(places.shape, bool)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    gone = again | (places < 0)
    front = np.argsort(gone, axis=1, kind="stable")[:, :k]
    kept = ~np.take_along_axis(gone, front, axis=1)
    return (
        np.where(kept, np.take_along_axis(places, front, axis=1), -1),
        np.where(kept, np.take_along_axis(scores, front, axis=1), np.float32(-np.inf)),
    )
