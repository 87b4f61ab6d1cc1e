"""The pool of scored candidates that lists are arranged from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Scored:
    """Candidates with the numbers behind their order, sorted by (row, falling score); arrays [pairs].

    Attributes:
        rows: audience row.
        items: shelf position.
        source: code of the source that named it.
        score: what lists are ordered by.
        p_click: probability of a click, NaN where it is not known.
        p: probability of a purchase.
        amount: money expected if bought, before the cap.
        earned: expected revenue.
        p_judged: probability of a purchase as the scorer said it, before ``promises``.
    """

    rows: np.ndarray
    items: np.ndarray
    source: np.ndarray
    score: np.ndarray
    p_click: np.ndarray
    p: np.ndarray
    amount: np.ndarray
    earned: np.ndarray
    p_judged: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def place(self) -> np.ndarray:
        """Place of each candidate in the pool of its user, from 1."""
        return np.arange(len(self.rows)) - np.searchsorted(self.rows, self.rows) + 1

    def take(self, chosen: np.ndarray) -> Self:
        """The candidates at positions, or under a mask, ``chosen``."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Scored]) -> Self:
        """One after the other; nothing for no parts."""
        if not parts:
            whole, number = np.empty(0, np.int64), np.empty(0, np.float64)
            return cls(whole, whole, whole, number, number, number, number, number, number)
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))
