"""What is bought most, lately, where the user lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recsys.features.interactions import Interactions
from recsys.models.base import NOTHING, Recommender


@dataclass
class Popularity(Recommender):
    """Time-decayed popularity, within the user's segment as far as the segment has enough to say.

    The share of an item in a segment is shrunk towards its share everywhere, by ``prior`` units of weight:
    (weight in segment + prior x share everywhere) / (weight of segment + prior). A user without a segment, or
    unknown, gets the share everywhere. ``window_days`` leaves out what is older. Similar items are the popular ones
    of the same category.
    """

    half_life_days: float | None = 7.0
    window_days: int | None = None
    prior: float = 100.0
    name: ClassVar[str] = "popularity"
    personal: ClassVar[bool] = False

    def _learn(self, interactions: Interactions) -> dict[str, np.ndarray]:
        weights = interactions.decay(self.half_life_days)
        if self.window_days is not None:
            weights = np.where(interactions.as_of - interactions.days < self.window_days, weights, 0).astype(
                np.float32
            )
        n_items = len(interactions.item_ids)
        everywhere = np.bincount(interactions.columns, weights, n_items)
        share = everywhere / max(everywhere.sum(), 1e-12)
        names, counts = by_segment(interactions, weights)
        total = counts.sum(axis=1, keepdims=True)
        return self._table(interactions, names, share, (counts + self.prior * share) / (total + self.prior))

    def _table(
        self, interactions: Interactions, names: np.ndarray, everywhere: np.ndarray, inside: np.ndarray
    ) -> dict[str, np.ndarray]:
        learned = {
            "share": everywhere.astype(np.float32),
            "segment_names": names,
            "segment_share": inside.astype(np.float32),
        }
        if interactions.categories is not None:
            learned["categories"] = interactions.categories
        return learned

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        shares = np.vstack([self.learned["segment_share"], self.learned["share"][None]])
        scores = shares[self._segment_of(rows)]
        return np.where(scores > 0, scores, NOTHING)

    def _segment_of(self, rows: np.ndarray) -> np.ndarray:
        names = self.learned["segment_names"]
        segments = self.history.segments
        place = np.full(len(rows), len(names))
        if segments is None or not len(names):
            return place
        known = rows >= 0
        own = segments[rows[known]]
        found = np.minimum(np.searchsorted(names.astype(str), own.astype(str)), len(names) - 1)
        place[known] = np.where(names[found] == own, found, len(names))
        return place

    def _similarity(self, columns: np.ndarray) -> np.ndarray:
        share = np.where(self.learned["share"] > 0, self.learned["share"], NOTHING)
        if "categories" not in self.learned:
            return np.repeat(share[None], len(columns), axis=0)
        categories = self.learned["categories"]
        return np.where(categories[columns][:, None] == categories[None], share[None], NOTHING)


def by_segment(interactions: Interactions, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names of the segments, and the sum of ``weights`` in each by item: float64 [segments, items]."""
    n_items = len(interactions.item_ids)
    segments = interactions.segments
    if segments is None:
        return np.empty(0, object), np.empty((0, n_items))
    names = np.unique(segments[segments != ""])
    table = np.empty((len(names), n_items))
    for place, name in enumerate(names):
        inside = np.where(segments[interactions.rows] == name, weights, 0)
        table[place] = np.bincount(interactions.columns, inside, n_items)
    return names.astype(object), table
