"""All purchases of a shop up to one evening, in long form and in order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recsys.features.interactions import day_number
from recsys.schema import ITEM_ID, USER_ID


@dataclass(frozen=True)
class Ledger:
    """Purchases, one per customer, item and day, sorted by (row, column, falling age); arrays [purchases].

    Attributes:
        customers: ids of the customers, sorted.
        listings: how many listings the shelf has.
        rows: place among the customers.
        columns: shelf position; ``listings`` stands for whatever has left the shelf.
        age: days since, 1 for the last day known, so that it divides.
        quantity: pieces.
        revenue: money paid for them.
        days: days of history, at least 1.
    """

    customers: pd.Index
    listings: int
    rows: np.ndarray
    columns: np.ndarray
    age: np.ndarray
    quantity: np.ndarray
    revenue: np.ndarray
    days: int

    @classmethod
    def from_frame(cls, purchases: pd.DataFrame, item_ids: pd.Index, as_of: int) -> Ledger:
        """Read ``purchases`` [user_id, item_id, event_date, quantity, revenue] up to the end of day ``as_of``."""
        customers = pd.Index(np.sort(purchases[USER_ID].unique().astype(object)), dtype=object)
        rows = customers.get_indexer(pd.Index(purchases[USER_ID], dtype=object)).astype(np.int64)
        columns = item_ids.get_indexer(pd.Index(purchases[ITEM_ID], dtype=object)).astype(np.int64)
        columns = np.where(columns < 0, len(item_ids), columns)
        age = as_of + 1.0 - day_number(purchases["event_date"])
        order = np.lexsort((-age, columns, rows))
        quantity, revenue = (purchases[name].to_numpy(np.float64)[order] for name in ("quantity", "revenue"))
        days = int(age.max()) if len(age) else 1
        return cls(
            customers,
            len(item_ids),
            rows[order],
            columns[order],
            age[order],
            np.maximum(quantity, 1e-9),
            np.maximum(revenue, 0.0),
            max(days, 1),
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def pair(self) -> np.ndarray:
        """One number per customer and item."""
        return self.rows * (self.listings + 1) + self.columns

    @property
    def first(self) -> np.ndarray:
        """Which purchases are the customer's first of that item."""
        pair = self.pair
        return np.concatenate([[True], pair[1:] != pair[:-1]]) if len(pair) else np.empty(0, bool)

    @property
    def log_revenue(self) -> np.ndarray:
        """Log of the money paid, at least a cent."""
        return np.log(np.maximum(self.revenue, 0.01))

    def of(self, user_ids: pd.Index) -> Ledger:
        """Only the purchases of ``user_ids`` (sorted), whose places the rows become."""
        place = user_ids.get_indexer(self.customers)[self.rows] if len(self.customers) else self.rows
        keep = place >= 0
        rows, columns, age, quantity, revenue = (
            array[keep] for array in (place, self.columns, self.age, self.quantity, self.revenue)
        )
        return replace(
            self, customers=user_ids, rows=rows, columns=columns, age=age, quantity=quantity, revenue=revenue
        )

    def orders(self) -> Orders:
        """Days on which a customer bought something."""
        key = self.rows * (self.days + 1) + (self.days - self.age).astype(np.int64)
        days, place = np.unique(key, return_inverse=True)
        rows = days // (self.days + 1)
        count = np.bincount(rows, minlength=len(self.customers))
        number = np.arange(len(days)) - np.searchsorted(rows, rows)
        back = count[rows] - 1 - number
        return Orders(rows, self.days - (days % (self.days + 1)), count, back[place].astype(np.float64))


@dataclass(frozen=True)
class Orders:
    """``rows`` and ``age`` [orders]; ``count`` [customers]; ``since`` [purchases]: orders placed after that one."""

    rows: np.ndarray
    age: np.ndarray
    count: np.ndarray
    since: np.ndarray
