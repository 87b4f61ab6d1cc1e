"""Pairs of an item and a keyword, beside the tables of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from recsys.keywords.catalogue import ADVERTISED, KEYWORD, REACH
from recsys.keywords.text import Bags, item_text
from recsys.schema import CATEGORY_ID, ITEM_ID

COUNTED: Final = ("clicks_28d", "purchases_28d", *ADVERTISED)


@dataclass(frozen=True)
class Pairs:
    """Pairs of an item and a keyword: ``item`` and ``keyword`` [pairs] are places in the two tables.

    ``items`` has a row per item that is asked about; ``keywords`` one per keyword, with its reach and its totals over
    categories; ``catalogue`` those per keyword and category.
    """

    items: pd.DataFrame
    keywords: pd.DataFrame
    catalogue: pd.DataFrame
    item: np.ndarray
    keyword: np.ndarray

    @classmethod
    def of(cls, pairs: pd.DataFrame, items: pd.DataFrame, catalogue: pd.DataFrame) -> Pairs:
        """Of ``pairs`` [item_id, keyword]; the place of an item that is missing is -1.

        A keyword that the catalogue has not is one that nobody searched.
        """
        codes, texts = pd.factorize(pairs[KEYWORD])
        known = pd.Index(texts, dtype=object)
        part = catalogue[catalogue[KEYWORD].isin(known)]
        grouped = part.groupby(KEYWORD, sort=False)
        reach = grouped[[*REACH, "campaigns", "mean_ad_rate"]].max()
        table = reach.join(grouped[[*COUNTED, "revenue_28d"]].sum()).reindex(known).astype("float64")
        table = table.fillna(dict.fromkeys(table.columns.drop("mean_ad_rate"), 0.0))
        place = pd.Index(items[ITEM_ID]).get_indexer(pd.Index(pairs[ITEM_ID]))
        used, row = np.unique(place, return_inverse=True)
        missing = int(
            len(used) > 0 and used[0] < 0
        )  # what is asked of few items should not cost the whole shelf
        asked = items.iloc[used[missing:]].reset_index(drop=True)
        return cls(asked, table, part, row.astype(np.int64) - missing, codes.astype(np.int64))

    @cached_property
    def titles(self) -> Bags:
        """The words of the items."""
        return Bags.of(item_text(self.items))

    @cached_property
    def phrases(self) -> Bags:
        """The words of the keywords."""
        return Bags.of(pd.Series(self.keywords.index))

    @cached_property
    def place(self) -> np.ndarray:
        """The row of the catalogue with the keyword in the item's leaf category, -1 for none: int64 [pairs]."""
        category = self.items[CATEGORY_ID].to_numpy(object)[self.item]
        asked = pd.MultiIndex.from_arrays([self.keywords.index[self.keyword], category])
        return pd.MultiIndex.from_frame(self.catalogue[[KEYWORD, CATEGORY_ID]]).get_indexer(asked)

    def __len__(self) -> int:
        return len(self.item)

    def of_item(self, name: str) -> np.ndarray:
        """A column of numbers of the items, by pair: float64."""
        return self.items[name].to_numpy(np.float64, na_value=np.nan)[self.item]

    def of_keyword(self, name: str) -> np.ndarray:
        """A column of the keywords, by pair: float64."""
        return self.table(name)[self.keyword]

    def in_category(self, name: str) -> np.ndarray:
        """A column of the keywords in the items' leaf categories, 0 where nothing is known, by pair: float64."""
        return np.append(self.catalogue[name].to_numpy(np.float64), 0.0)[self.place]

    def table(self, name: str) -> np.ndarray:
        """A column of the keywords: float64 [keywords]."""
        return self.keywords[name].to_numpy(np.float64)
