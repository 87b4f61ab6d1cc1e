"""Small array tables that answer many look-ups at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PairTable:
    """Values kept for some (row, column) pairs: ``keys`` int64 sorted, ``values`` float32 [pairs, fields]."""

    keys: np.ndarray
    values: np.ndarray
    width: int

    @classmethod
    def build(cls, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, width: int) -> PairTable:
        """Keep ``values`` [pairs, fields] of each pair; pairs with a negative row or column are left out.

        ``width`` is the number of columns; a pair occurs once.
        """
        keep = (rows >= 0) & (columns >= 0)
        keys = rows[keep].astype(np.int64) * width + columns[keep]
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], values[keep][order].astype(np.float32), width)

    def find(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values of the pairs, [pairs, fields], zeros where there are none, and whether there are any, [pairs]."""
        if not len(self.keys):
            return np.zeros((len(rows), self.values.shape[1]), np.float32), np.zeros(len(rows), bool)
        keys = rows.astype(np.int64) * self.width + columns
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = (self.keys[place] == keys) & (columns >= 0)
        return np.where(found[:, None], self.values[place], np.float32(0)), found

    def between(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and values of the pairs whose row is in first..last-1."""
        low, high = np.searchsorted(self.keys, [first * self.width, last * self.width])
        keys = self.keys[low:high]
        return keys // self.width, keys % self.width, self.values[low:high]


@dataclass(frozen=True)
class Members:
    """The members of each of many sets, best first: those of set s are ``order[starts[s]:starts[s + 1]]``."""

    starts: np.ndarray
    order: np.ndarray

    @classmethod
    def build(
        cls, sets: np.ndarray, quality: np.ndarray, n_sets: int, owner: np.ndarray, per_owner: int
    ) -> Members:
        """Order the members of each set by falling quality, at most ``per_owner`` of one owner in a set."""
        by_owner = np.lexsort((-quality, owner, sets))
        place = _place_in_run(sets[by_owner], owner[by_owner])
        kept = by_owner[(place < per_owner) & (sets[by_owner] >= 0)]
        order = kept[np.lexsort((kept, -quality[kept], sets[kept]))]
        starts = np.searchsorted(sets[order], np.arange(n_sets + 1))
        return cls(starts, order.astype(np.int32))

    def expand(self, sets: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        """The first ``most`` members of each set: position in ``sets`` of each member, and the members."""
        counts = np.where(sets >= 0, np.minimum(self.starts[sets + 1] - self.starts[sets], most), 0)
        owner = np.repeat(np.arange(len(sets)), counts)
        inside = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return owner, self.order[self.starts[sets[owner]] + inside]


def _place_in_run(*columns: np.ndarray) -> np.ndarray:
    """Position of each row among the neighbouring rows with equal ``columns``."""
    if not len(columns[0]):
        return np.empty(0, np.int64)
    change = np.concatenate([[True], np.any([c[1:] != c[:-1] for c in columns], axis=0)])
    index = np.arange(len(change))
    return index - np.maximum.accumulate(np.where(change, index, 0))
