"""How much the words of an item are those of the items that buyers of a phrase turned to, in whatever language.

A title may hold none of a keyword's words and still be just what is meant: another language, a synonym. Buyers know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.keywords.association import onto
from recsys.keywords.catalogue import KEYWORD
from recsys.keywords.pairs import Pairs
from recsys.keywords.text import Bags, item_text, pack, unpack
from recsys.models.store import as_sparse, of_sparse
from recsys.schema import ITEM_ID

PURCHASE_WEIGHT: Final = 3.0
"""Clicks that a purchase is worth."""
PRIOR: Final = 10.0
"""Clicks that the usual share of a word is worth beside those of the phrase."""
BLOCK: Final = 200_000


@dataclass(frozen=True)
class Affinity:
    """log P(word | clicked from the phrase) / P(word | listed), by phrase and word: naive Bayes (Maron, 1961).

    ``lift`` is float32 [phrases, words], 0 where the phrase says nothing of a word; ``missing`` [phrases] is that of a
    word no clicked item had. The category counts as one more word. Both shares are of items that have the word, and the
    phrase's is shrunk to the usual one by PRIOR.
    """

    phrases: pd.Index
    words: pd.Index
    lift: sparse.csr_array
    missing: np.ndarray

    @classmethod
    def learn(cls, items: pd.DataFrame, engaged: pd.DataFrame) -> Affinity:
        """From ``engaged`` [keyword, item_id, clicks, purchases] and the items."""
        bags = Bags.of(_described(items))
        row = pd.Index(items[ITEM_ID]).get_indexer(pd.Index(engaged[ITEM_ID]))
        kept = engaged[row >= 0]
        code, phrases = pd.factorize(kept[KEYWORD].to_numpy(object), sort=True)
        weight = kept["clicks"].to_numpy(np.float64) + PURCHASE_WEIGHT * kept["purchases"].to_numpy(
            np.float64
        )
        shape = (max(1, len(phrases)), len(items))
        clicked = sparse.csr_array((weight, (code, row[row >= 0])), shape=shape)
        usual = (np.asarray(bags.has.sum(axis=0)).ravel() + 0.5) / (len(items) + 1)
        counts = sparse.csr_array(clicked @ bags.has.astype(np.float64))
        total = np.asarray(clicked.sum(axis=1)).ravel()
        of_row = np.repeat(np.arange(shape[0]), np.diff(counts.indptr))
        p = (counts.data + PRIOR * usual[counts.indices]) / (total[of_row] + PRIOR)
        missing = np.log(PRIOR / (total + PRIOR))
        data = (np.log(p / usual[counts.indices]) - missing[of_row]).astype(np.float32)
        lift = sparse.csr_array((data, counts.indices, counts.indptr), shape=counts.shape)
        return cls(pd.Index(phrases, dtype=object), bags.words, lift, missing.astype(np.float32))

    def of(self, items: pd.DataFrame, keywords: pd.Index, pairs: Pairs) -> np.ndarray:
        """The mean log-lift over the words of each pair's item: float64 [pairs]; NaN for a phrase never clicked."""
        bags = Bags.of(_described(items))
        has = onto(bags, self.words)
        known = np.diff(has.indptr)[pairs.item]
        phrase = self.phrases.get_indexer(keywords)[pairs.keyword]
        out = np.full(len(pairs), np.nan)
        able = np.flatnonzero((phrase >= 0) & (known > 0))
        for start in range(0, len(able), BLOCK):
            part = able[start : start + BLOCK]
            total = has[pairs.item[part]].multiply(self.lift[phrase[part]]).sum(axis=1)
            out[part] = np.asarray(total).ravel() / known[part] + self.missing[phrase[part]]
        return out

    def arrays(self) -> dict[str, np.ndarray]:
        """For saving."""
        texts = pack("affinity.phrases", self.phrases) | pack("affinity.words", self.words)
        return {"affinity.missing": self.missing} | texts | of_sparse("affinity.lift", self.lift)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Affinity:
        """What was saved."""
        phrases, known = unpack("affinity.phrases", arrays), unpack("affinity.words", arrays)
        shape = (len(arrays["affinity.lift.indptr"]) - 1, max(1, len(known)))
        return cls(phrases, known, as_sparse("affinity.lift", arrays, shape), arrays["affinity.missing"])


def _described(items: pd.DataFrame) -> pd.Series:
    """The words of each item, and its category as one more."""
    category = items["category_id"].astype(object)
    return item_text(items) + " " + category.where(category.notna(), "").astype(str)
