"""What is bought more than usual, now, where the user lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recsys.features.interactions import Interactions
from recsys.models.base import NOTHING
from recsys.models.popularity import Popularity, by_segment


@dataclass
class Trending(Popularity):
    """Growth over the usual: how far the last days stand out from the days before, in standard deviations.

    An item expected e times (its share of the weight of the ``baseline_days`` before, times the weight of the last
    ``window_days``) and had r times scores (r - e) / sqrt(e + prior): the Pearson residual of a Poisson count, with a
    ``prior`` that keeps a rare item's first sale from looking like a craze. Within a segment, r and the weight of
    the window are those of the segment, the usual share is that of everywhere. What does not stand out has no score
    nor has what nobody had lately. Similar items are the trending ones of the same category.
    """

    half_life_days: float | None = None
    window_days: int | None = 3
    baseline_days: int = 28
    prior: float = 5.0
    name: ClassVar[str] = "trending"

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        age = interactions.as_of - interactions.days.astype(np.int64)
        window = self.window_days or 1
        weights = interactions.decay(self.half_life_days)
        recent = np.where(age < window, weights, 0)
        before = np.where((age >= window) & (age < window + self.baseline_days), weights, 0)
        n_items = len(interactions.item_ids)
        past = np.bincount(interactions.columns, before, n_items)
        usual = past / max(past.sum(), 1e-12)
        names, inside = by_segment(interactions, recent)
        everywhere = self._growth(np.bincount(interactions.columns, recent, n_items), usual)
        return self._table(interactions, names, everywhere, self._growth(inside, usual))

    def _growth(self, recent: np.ndarray, usual: np.ndarray) -> np.ndarray:
        expected = recent.sum(axis=-1, keepdims=True) * usual
        growth = (recent - expected) / np.sqrt(expected + self.prior)
        return np.where(recent > 0, growth, NOTHING)
