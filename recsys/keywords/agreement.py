"""How far a clustering agrees with the truth, counted in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Agreement:
    """Pairs of texts that were put together, that belong together, and both."""

    together: int
    belong: int
    right: int

    @property
    def precision(self) -> float:
        """Share of the pairs put together that belong together; 1 where none was."""
        return self.right / self.together if self.together else 1.0

    @property
    def recall(self) -> float:
        """Share of the pairs that belong together that were put together; 1 where there are none."""
        return self.right / self.belong if self.belong else 1.0


def agreement(found: Sequence[Any], truth: Sequence[Any]) -> Agreement:
    """Compare two labels of the same texts; a text without a found label (null) is a cluster of its own.

    Example:
        >>> result = agreement(["a", "a", "a", None], ["x", "x", "y", "y"])
        >>> round(result.precision, 2), result.recall
        (0.33, 0.5)
    """
    labels = pd.Series(found, dtype=object).reset_index(drop=True)
    number = pd.Series(pd.factorize(labels)[0])
    alone = number < 0
    number[alone] = number.max() + 1 + np.arange(int(alone.sum()))
    table = pd.DataFrame({"found": number, "truth": pd.factorize(pd.Series(truth, dtype=object))[0]})
    counts = table.value_counts(sort=False)
    return Agreement(
        *(_pairs(part) for part in (counts.groupby("found").sum(), counts.groupby("truth").sum(), counts))
    )


def _pairs(sizes: pd.Series) -> int:
    return int((sizes.astype("int64") * (sizes.astype("int64") - 1) // 2).sum())
