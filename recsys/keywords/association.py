"""Which words of keywords go with which words of items, told by the ads that were clicked.

A title may hold none of a keyword's words and still be what is meant: another language, a synonym. And one that shares
most of them may be another thing. An ad is clicked where auction and buyers found that it fits, so the words of ads
that were clicked tell what goes together, and those that never are, what does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.keywords.catalogue import KEYWORD
from recsys.keywords.pairs import Pairs
from recsys.keywords.text import Bags, item_text, pack, unpack
from recsys.models.store import as_sparse, of_sparse
from recsys.schema import CATEGORY_ID, ITEM_ID

PRIOR: Final = 1.0
"""Clicks that are added to those found and to those expected."""
LEAST: Final = 0.05
"""A word of an item that changes the log-odds of a keyword's word by less is left out."""
BLOCK: Final = 200_000


@dataclass(frozen=True)
class Association:
    """log of clicks on ads with both words / clicks expected, by word of the keyword and word of the item.

    Expected is what there were if the words of an item hung on its category alone: clicks of the keyword's word in
    each category, times the share of clicks in the category on items with the other word. Both have PRIOR added, so
    that what is rare says little. ``lift`` is float32 [keyword words, item words].
    """

    asked: pd.Index
    words: pd.Index
    lift: sparse.csr_array

    @classmethod
    def learn(cls, items: pd.DataFrame, ads: pd.DataFrame) -> Association:
        """From ``ads`` [keyword, item_id, clicks]; an item that ``items`` does not have is left out."""
        row = pd.Index(items[ITEM_ID]).get_indexer(pd.Index(ads[ITEM_ID]))
        clicks = ads["clicks"].to_numpy(np.float64)
        kept = (row >= 0) & (clicks > 0)
        row, clicks = row[kept], clicks[kept]
        code, keywords = pd.factorize(ads[KEYWORD].to_numpy(object)[kept])
        titles, phrases = Bags.of(item_text(items)), Bags.of(pd.Series(keywords, dtype=object))
        category = pd.factorize(items[CATEGORY_ID])[0][row]
        of_item = sparse.csr_array(titles.has[row].astype(np.float64))
        weight = sparse.diags_array(clicks, shape=(len(clicks), len(clicks)))
        of_keyword = sparse.csr_array(weight @ phrases.has[code].astype(np.float64))
        shape = (len(row), max(1, items[CATEGORY_ID].nunique()))
        inside = sparse.csr_array((np.ones(len(row)), (np.arange(len(row)), category)), shape=shape)
        total = np.maximum(np.bincount(category, clicks, shape[1]), 1e-12)
        share = sparse.diags_array(1 / total) @ (inside.T @ (weight @ of_item))
        found = sparse.csr_array(of_keyword.T @ of_item)
        expected = sparse.csr_array((of_keyword.T @ inside) @ share)
        lift = _log1p(found / PRIOR) - _log1p(expected / PRIOR)
        lift.data[np.abs(lift.data) < LEAST] = 0.0
        lift.eliminate_zeros()
        return cls(phrases.words, titles.words, lift.astype(np.float32))

    def of(self, pairs: Pairs) -> dict[str, np.ndarray]:
        """How well the item bears out the words of the keyword: float64 [pairs].

        Of each word of the keyword the lifts by all words of the item are added up; ``borne`` is the sum of these over
        the keyword, ``weakest`` the least. Words that no clicked ad had are left out; NaN where there is no other.
        """
        phrases, has = pairs.phrases, onto(pairs.titles, self.words)
        word = phrases.columns_in(self.asked)
        of_keyword = np.repeat(np.arange(len(pairs.keywords)), np.diff(phrases.has.indptr))[word >= 0]
        word = word[word >= 0]
        count = np.bincount(of_keyword, minlength=len(pairs.keywords))
        size = count[pairs.keyword]
        pair = np.repeat(np.arange(len(pairs)), size)
        first = (count.cumsum() - count)[pairs.keyword] - (size.cumsum() - size)
        place = np.arange(len(pair)) + np.repeat(first, size)
        of_word = np.zeros(len(pair))
        for start in range(0, len(pair), BLOCK):
            part = slice(start, start + BLOCK)
            both = has[pairs.item[pair[part]]].multiply(self.lift[word[place[part]]])
            of_word[part] = np.asarray(both.sum(axis=1)).ravel()
        weakest = np.full(len(pairs), np.inf)
        np.minimum.at(weakest, pair, of_word)
        borne = np.bincount(pair, of_word, len(pairs))
        return {"borne": np.where(size > 0, borne, np.nan), "weakest": np.where(size > 0, weakest, np.nan)}

    def arrays(self) -> dict[str, np.ndarray]:
        """For saving."""
        texts = pack("association.asked", self.asked) | pack("association.words", self.words)
        return texts | of_sparse("association.lift", self.lift)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Association:
        """What was saved."""
        asked, known = unpack("association.asked", arrays), unpack("association.words", arrays)
        shape = (max(1, len(asked)), max(1, len(known)))
        return cls(asked, known, as_sparse("association.lift", arrays, shape))


def onto(bags: Bags, vocabulary: pd.Index) -> sparse.csr_array:
    """Which words of ``vocabulary`` each text has: float64 [texts, words] of ones."""
    columns = bags.columns_in(vocabulary)
    rows = np.repeat(np.arange(bags.has.shape[0]), np.diff(bags.has.indptr))
    seen = columns >= 0
    shape = (bags.has.shape[0], max(1, len(vocabulary)))
    return sparse.csr_array((np.ones(seen.sum()), (rows[seen], columns[seen])), shape=shape)


def _log1p(counts: sparse.csr_array) -> sparse.csr_array:
    return sparse.csr_array(counts).log1p()
