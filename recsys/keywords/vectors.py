"""Retrievers that give items and keywords vectors: keywords in an index, asked by item."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.keywords.retriever import Found, Phrases, Retriever
from recsys.models.lists import Lists
from recsys.models.search import Filters, nearest, reach_for

SAMPLE = 512
RECALL = 0.98
KEPT = 50


@dataclass
class VectorRetriever(Retriever):
    """The keywords nearest to an item among those that are searched in its parent category.

    A keyword of several parents stands in the index once for each; one of a category whose parent is not known is
    found by all. The search looks so far that it finds ``RECALL`` of the exact lists of a sample of items.
    """

    threads: int = 1

    @abstractmethod
    def item_vectors(self, items: pd.DataFrame) -> np.ndarray:
        """float32 [items, width], each of length 1, or of zeros where nothing is known."""

    def find(self, items: pd.DataFrame, k: int) -> Found:
        """The best ``k`` keywords of each item; a score is the cosine."""
        _, parent = self.phrases.groups(items)
        filters = Filters(user_pool=parent, item_pool=self.pool)
        places, scores = nearest(
            self.lists, self.item_vectors(items), k, reach=self.reach, filters=filters, threads=self.threads
        )
        return np.where(places >= 0, self.keyword[places], -1), scores

    def _push(self, phrases: Phrases, vectors: np.ndarray) -> None:
        """Put the vectors of keywords into the index; ``reach`` stays to be set."""
        self.phrases, self.vectors = phrases, vectors
        parent = phrases.parent_of[phrases.category_of]
        entry = np.unique(phrases.keyword_of * (len(phrases.parents) + 1) + parent + 1)
        keyword, pool = np.divmod(entry, len(phrases.parents) + 1)
        once = (pool == 0) | ~np.isin(keyword, keyword[pool == 0])
        self.keyword, self.pool = keyword[once], pool[once] - 1
        self.lists = Lists.build(vectors[self.keyword], np.random.default_rng(self.seed))
        self.reach: float | None = None

    def _measure(self, items: pd.DataFrame) -> None:
        """Set ``reach`` by a sample of ``items``; exact search where none of them finds anything."""
        count = min(SAMPLE, len(items))
        chosen = np.sort(np.random.default_rng(self.seed).choice(len(items), count, replace=False))
        sample = items.iloc[chosen]
        users, (_, parent) = self.item_vectors(sample), self.phrases.groups(sample)
        able = users.any(axis=1) & np.isin(parent, self.pool)
        if able.any():
            filters = Filters(user_pool=parent[able], item_pool=self.pool)
            self.reach = reach_for(self.lists, users[able], KEPT, RECALL, filters=filters)

    def _index_arrays(self) -> dict[str, np.ndarray]:
        reach = np.array([np.nan if self.reach is None else self.reach])
        return {"vectors": self.vectors, "reach": reach}

    def _restore_index(self, phrases: Phrases, arrays: dict[str, np.ndarray]) -> None:
        self._push(phrases, arrays["vectors"])
        reach = float(arrays["reach"][0])
        self.reach = None if np.isnan(reach) else reach
