"""Pairs of an item and a keyword, beside the tables of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from recsys.keywords.catalogue import ADVERTISED, KEYWORD, REACH
from recsys.schema import ITEM_ID

COUNTED: Final = ("clicks_28d", "purchases_28d", *ADVERTISED)


@dataclass(frozen=True)
class Pairs:
    """Pairs of an item and a keyword: ``item`` and ``keyword`` [pairs] are places in the two tables.

    ``items`` has a row per item; ``keywords`` a row per keyword with its reach and totals over categories; ``rows`` of
    the catalogue by (keyword, category).
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
        return cls(items.reset_index(drop=True), table, part, place, codes.astype(np.int64))

    def __len__(self) -> int:
        return len(self.item)

    def of_item(self, name: str) -> np.ndarray:
        """A column of numbers of the items, by pair: float64."""
        return self.items[name].to_numpy(np.float64, na_value=np.nan)[self.item]

    def of_keyword(self, name: str) -> np.ndarray:
        """A column of the keywords, by pair: float64."""
        return self.table(name)[self.keyword]

    def table(self, name: str) -> np.ndarray:
        """A column of the keywords: float64 [keywords]."""
        return self.keywords[name].to_numpy(np.float64)
