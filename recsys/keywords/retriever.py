"""What every keyword retriever shares: the phrases to find, and how what was found is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.errors import KeywordError
from recsys.keywords.catalogue import KEYWORD
from recsys.keywords.text import pack, unpack
from recsys.schema import CATEGORY_ID, ITEM_ID

PARENT_ID = "parent_category_id"
Found = tuple[np.ndarray, np.ndarray]
"""Places in ``Phrases.keywords`` (int64) and scores (float32), best first, both [items, k]; -1 and -inf fill up."""


@dataclass(frozen=True)
class Phrases:
    """The phrases of a catalogue, and the leaf categories each is searched in.

    ``keyword_of`` and ``category_of`` [entries] are places in ``keywords`` and ``categories``; ``searchers`` [entries]
    is of 28 days, ``share`` [entries] the part of the keyword's clicks in the category. ``parent_of`` [categories] is a
    place in ``parents``, -1 where it is not known.
    """

    keywords: pd.Index
    categories: pd.Index
    parents: pd.Index
    keyword_of: np.ndarray
    category_of: np.ndarray
    searchers: np.ndarray
    share: np.ndarray
    parent_of: np.ndarray

    @classmethod
    def of(cls, catalogue: pd.DataFrame, items: pd.DataFrame) -> Phrases:
        """The phrases of a catalogue; ``items`` [category_id, parent_category_id] tell what is the parent of a leaf.

        Raises:
            KeywordError: an empty catalogue.
        """
        if catalogue.empty:
            raise KeywordError(
                "The catalogue has no keyword. Give searches of at least one day, and clicks of them."
            )
        keyword_of, keywords = pd.factorize(catalogue[KEYWORD], sort=True)
        category_of, categories = pd.factorize(catalogue[CATEGORY_ID], sort=True)
        pairs = items[[CATEGORY_ID, PARENT_ID]].dropna().sort_values([CATEGORY_ID, PARENT_ID])
        parent = pairs.drop_duplicates(CATEGORY_ID).set_index(CATEGORY_ID)[PARENT_ID].reindex(categories)
        parent_of, parents = pd.factorize(parent, sort=True)
        return cls(
            pd.Index(keywords, dtype=object),
            pd.Index(categories, dtype=object),
            pd.Index(parents, dtype=object),
            keyword_of.astype(np.int64),
            category_of.astype(np.int64),
            catalogue["searchers_28d"].to_numpy(np.int64),
            catalogue["share"].to_numpy(np.float32),
            parent_of.astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.keywords)

    def home(self) -> np.ndarray:
        """The category of each keyword where most of its clicks are: int64 [keywords]."""
        order = np.lexsort((self.category_of, -self.share, self.keyword_of))
        first = np.flatnonzero(np.diff(self.keyword_of[order], prepend=-1))
        return self.category_of[order[first]]

    def groups(self, items: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """The places of the leaf and of the parent of each item in ``categories`` and ``parents``; -1 where unknown."""
        return (
            self.categories.get_indexer(pd.Index(items[CATEGORY_ID])),
            self.parents.get_indexer(pd.Index(items[PARENT_ID])),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """For saving."""
        kept = {name: getattr(self, name) for name in _PLAIN}
        for name in _TEXTS:
            kept |= pack(name, getattr(self, name))
        return kept

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Phrases:
        """What was saved."""
        keywords, categories, parents = (unpack(name, arrays) for name in _TEXTS)
        return cls(keywords, categories, parents, **{name: arrays[name] for name in _PLAIN})


_TEXTS = ("keywords", "categories", "parents")
_PLAIN = ("keyword_of", "category_of", "searchers", "share", "parent_of")


@dataclass
class Retriever(ABC):
    """Names keywords for items, by what the items say of themselves: one that was listed a minute ago has its own.

    Hyper-parameters are the dataclass fields of a retriever; ``seed`` is of all that is drawn.
    """

    seed: int = 20260101
    name: ClassVar[str]

    @abstractmethod
    def fit(self, phrases: Phrases, engaged: pd.DataFrame, items: pd.DataFrame) -> Self:
        """Learn from ``engaged`` [keyword, item_id, clicks, purchases] and what is known of those ``items``."""

    @abstractmethod
    def find(self, items: pd.DataFrame, k: int) -> Found:
        """The best ``k`` keywords of each item.

        Args:
            items: [category_id, parent_category_id, title, brand, size, condition, price].
            k: how many.
        """

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """What was learned, beside the phrases."""

    @abstractmethod
    def restore(self, phrases: Phrases, arrays: dict[str, np.ndarray]) -> Self:
        """Take on what ``arrays`` gave."""


def engagement_matrix(
    phrases: Phrases, engaged: pd.DataFrame, items: pd.DataFrame, purchase: float
) -> sparse.csr_array:
    """Keywords x items: clicks + ``purchase`` x purchases; what is unknown to either side is left out."""
    row = phrases.keywords.get_indexer(pd.Index(engaged[KEYWORD]))
    column = pd.Index(items[ITEM_ID]).get_indexer(pd.Index(engaged[ITEM_ID]))
    weight = (engaged["clicks"] + purchase * engaged["purchases"]).to_numpy(np.float32)
    known = (row >= 0) & (column >= 0) & (weight > 0)
    shape = (len(phrases), len(items))
    return sparse.csr_array((weight[known], (row[known], column[known])), shape=shape)


def pairs(phrases: Phrases, items: pd.DataFrame, found: Found) -> pd.DataFrame:
    """What was found as a frame: [item_id, keyword, score, rank], in the order of items and ranks."""
    places, scores = found
    row, rank = np.nonzero(places >= 0)
    return pd.DataFrame(
        {
            "item_id": items["item_id"].to_numpy(object)[row],
            KEYWORD: phrases.keywords.to_numpy(object)[places[row, rank]],
            "score": scores[row, rank],
            "rank": rank + 1,
        }
    )
