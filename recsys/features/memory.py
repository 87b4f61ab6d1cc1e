"""What users did with single listings, sold ones too: what a recommendation can refer to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.features.interactions import day_number
from recsys.features.shelf import Shelf
from recsys.schema import CATEGORY_ID, GROUP_ID, ITEM_ID, SELLER_ID, USER_ID

ACTS = ("views", "likes", "carts", "purchases")


@dataclass(frozen=True)
class Memory:
    """One row per user and listing; codes are those of one shelf, -1 for what is not on it.

    Attributes:
        rows: audience row, int64, ascending.
        item_ids: the listing, live or sold.
        items: its position on the shelf.
        group, category, brand, seller: its codes on the shelf.
        log_price: NaN where it is not known.
        acts: counts by ACTS, float32 [rows, 4].
        day: the last day of an act, since 1970.
    """

    rows: np.ndarray
    item_ids: np.ndarray
    items: np.ndarray
    group: np.ndarray
    category: np.ndarray
    brand: np.ndarray
    seller: np.ndarray
    log_price: np.ndarray
    acts: np.ndarray
    day: np.ndarray

    @classmethod
    def build(cls, shelf: Shelf, user_ids: pd.Index, touched: pd.DataFrame, brands: pd.DataFrame) -> Memory:
        """Read ``touched`` [user_id, item_id, *ACTS, last_date] and ``brands`` [group_id, brand].

        Where ``touched`` has group_id, category_id, seller_id and price, listings that left the shelf are known by
        them; else only those on the shelf are known.
        """
        rows = user_ids.get_indexer(pd.Index(touched[USER_ID]))
        touched, rows = touched[rows >= 0], rows[rows >= 0]
        order = np.argsort(rows, kind="stable")
        touched, rows = touched.iloc[order], rows[order]
        items = shelf.item_ids.get_indexer(pd.Index(touched[ITEM_ID], dtype=object))
        brand_of = brands.dropna().drop_duplicates(GROUP_ID).set_index(GROUP_ID)["brand"].str.lower()

        def codes(ids: pd.Index, of_live: np.ndarray, column: str) -> np.ndarray:
            live = np.append(of_live, -1)[items]
            if column not in touched:
                return live
            return np.where(items >= 0, live, ids.get_indexer(pd.Index(touched[column], dtype=object)))

        brand = np.append(shelf.brand_code, -1)[items]
        if GROUP_ID in touched:
            names = brand_of.reindex(touched[GROUP_ID]).to_numpy(object)
            brand = np.where(items >= 0, brand, shelf.brands.get_indexer(pd.Index(names, dtype=object)))
        return cls(
            rows=rows.astype(np.int64),
            item_ids=touched[ITEM_ID].to_numpy(object),
            items=items,
            group=codes(shelf.group_ids, shelf.group_code, GROUP_ID),
            category=codes(shelf.category_ids, shelf.category_code, CATEGORY_ID),
            brand=brand,
            seller=codes(shelf.seller_ids, shelf.seller_code, SELLER_ID),
            log_price=_log_price(shelf, touched, items),
            acts=touched[list(ACTS)].to_numpy(np.float32),
            day=day_number(touched["last_date"]),
        )

    def did(self, act: str) -> np.ndarray:
        """Which rows have the ``act``, bool."""
        return self.acts[:, ACTS.index(act)] > 0

    def latest(self, key: np.ndarray, kept: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Of the ``kept`` rows with each ``wanted`` key the latest (of a day the last by id): its index, else -1.

        ``key`` [rows] and ``wanted`` are int64; a negative one is never found.
        """
        index = np.flatnonzero(kept & (key >= 0))
        if not len(index):
            return np.full(len(wanted), -1)
        order = index[np.lexsort((self.items[index], self.day[index], key[index]))]
        keys = key[order]
        place = np.searchsorted(keys, wanted, side="right") - 1
        found = (place >= 0) & (wanted >= 0) & (keys[np.maximum(place, 0)] == wanted)
        return np.where(found, order[np.maximum(place, 0)], -1)


def _log_price(shelf: Shelf, touched: pd.DataFrame, items: np.ndarray) -> np.ndarray:
    live = np.append(np.log(np.maximum(shelf.price, 0.01)), np.nan)[items]
    if "price" not in touched:
        return live
    sold = np.log(np.maximum(touched["price"].astype("float64").to_numpy(), 0.01))
    return np.where(items >= 0, live, sold)
