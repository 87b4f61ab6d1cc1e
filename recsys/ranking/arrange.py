"""From pools of candidates to lists: rules, popularity penalty, caps, diversity, exploration, each with its price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from recsys.ranking.exploration import EXPLORED, PINNED, Exploration, Placed, place
from recsys.ranking.rerank import NONE, Variety, best_places, spread
from recsys.ranking.rules import View
from recsys.ranking.scored import Scored

STEPS = ("rationing", "rules", "popularity", "caps", "diversity", "exploration")
"""What is done to a pool, in this order."""
TOP = 10
"""Places from the first that are also measured by themselves."""
NO_DRAWS = Exploration(places=())


@dataclass(frozen=True)
class Layout:
    """How lists are laid out. Without ``variety`` or ``exploration`` that step is left out."""

    list_size: int
    reserve_size: int
    variety: Variety | None = None
    exploration: Exploration | None = None


@dataclass(frozen=True)
class Cost:
    """What one step did to the places shown, summed over ``lists`` lists with ``places`` places.

    ``before`` and ``after`` are the expected revenue of all places shown, each taken as seen; ``top_before`` and
    ``top_after`` that of the first TOP. ``changed`` counts the places shown that hold a listing which was not on the
    list before the step.
    """

    step: str
    lists: int
    places: int
    changed: int
    before: float
    after: float
    top_before: float
    top_after: float

    @classmethod
    def total(cls, parts: Iterable[Cost]) -> list[Cost]:
        """One cost per step, in the order of STEPS."""
        held: dict[str, Cost] = {}
        for part in parts:
            old = held.get(part.step)
            numbers = ("lists", "places", "changed", "before", "after", "top_before", "top_after")
            held[part.step] = (
                replace(part, **{n: getattr(old, n) + getattr(part, n) for n in numbers}) if old else part
            )
        return [held[step] for step in STEPS if step in held]


@dataclass(frozen=True)
class Lists:
    """Placements in order: the candidate at each, its propensity, and the kind of its place."""

    scored: Scored
    propensity: np.ndarray
    slot: np.ndarray

    @classmethod
    def join(cls, parts: list[Lists]) -> Lists:
        """One after the other, sorted by user."""
        scored = Scored.join([part.scored for part in parts])
        order = np.argsort(scored.rows, kind="stable")
        empty: list[np.ndarray] = [np.empty(0)]
        propensity = np.concatenate([part.propensity for part in parts] or empty)
        slot = np.concatenate([part.slot for part in parts] or [np.empty(0, object)])
        return cls(scored.take(order), propensity[order], slot[order])


def arrange(
    pool: Scored,
    *,
    codes: np.ndarray,
    popularity: np.ndarray,
    view: View,
    layout: Layout,
    chance: np.ndarray,
) -> tuple[Lists, list[Cost]]:
    """Lists of all users of ``pool``, who see the shelf alike, and what each step cost.

    Args:
        pool: candidates of each user, best first.
        codes: ``rerank.TRAITS`` by listing, int32 [traits, listings].
        popularity: points of recent demand by listing, 0 or more, [listings].
        view: what rules make of the shelf for these users.
        layout: sizes and settings.
        chance: numbers in [0, 1), [users, draws], users ascending: ``exploration.chances``.
    """
    work = _Work(pool, layout)
    work.rules(view)
    variety = layout.variety
    if variety is not None:
        if variety.popularity > 0:
            work.rescore((1 + popularity) ** -variety.popularity, "popularity")
        work.spread(codes, replace(variety, diversity=0.0), "caps")
        if variety.diversity > 0:
            work.spread(codes, variety, "diversity")
    return work.finish(view, chance), work.costs


class _Work:
    """Pools of users as tables [users, pool], and the lists as they stand after each step."""

    def __init__(self, pool: Scored, layout: Layout) -> None:
        rows, start, counts = np.unique(pool.rows, return_index=True, return_counts=True)
        width = int(counts.max(initial=0))
        column = np.arange(width)
        there = column < counts[:, None]
        self.pool, self.layout, self.users = pool, layout, len(rows)
        self.index = np.where(there, start[:, None] + column, NONE)
        self.items = np.where(there, pool.items[self.index], NONE) if width else self.index
        self.score = np.where(there, pool.score[self.index], -np.inf) if width else np.empty((len(rows), 0))
        self.pins = np.full((len(rows), layout.list_size), NONE, np.int64)
        self.order = self._by_score()
        self.shown = self._lists()
        self.costs: list[Cost] = []

    def rules(self, view: View) -> None:
        """Multiply scores by the rules' factors and set what they pin aside."""
        if not view.pins and (view.factor == 1).all():
            return
        self._multiply(view.factor)
        for position, mask in view.pins:
            fits = np.where(mask[self.items] & (self.items != NONE), self.score, -np.inf)
            if not fits.shape[1]:
                continue
            best = fits.argmax(axis=1)
            found = np.flatnonzero(fits[np.arange(self.users), best] > -np.inf)
            self.pins[found, position - 1] = best[found]
            self.score[found, best[found]] = -np.inf
        self._measure("rules", self._by_score())

    def rescore(self, factor: np.ndarray, step: str) -> None:
        """Multiply scores by a factor [listings] and order by them."""
        self._multiply(factor)
        self._measure(step, self._by_score())

    def spread(self, codes: np.ndarray, variety: Variety, step: str) -> None:
        """Fill the list by marginal relevance and caps; what is left follows by score."""
        traits = np.where(self.items == NONE, NONE, codes[:, self.items])
        first = spread(self.score, traits, self.layout.list_size, variety)
        left = self.score.copy()
        row, column = np.nonzero(first != NONE)
        left[row, first[row, column]] = -np.inf
        self._measure(step, np.hstack([first, best_places(left, self._behind)]))

    def finish(self, view: View, chance: np.ndarray) -> Lists:
        """Draw what is left to chance and lay the lists out."""
        exploration = _unpinned(self.layout.exploration or NO_DRAWS, view)
        placed = self._place(self.layout.reserve_size, exploration, chance)
        if exploration.places:
            self._note("exploration", placed.order[:, : self.layout.list_size])
        there = placed.order != NONE
        row, column = np.nonzero(there)
        chosen = self.index[row, placed.order[there]]
        scored = self.pool.take(chosen)
        kind, items = placed.kind[there], scored.items
        slot = np.where(view.factor[items] > 1, "boosted", "ranked").astype(object)
        slot[kind == PINNED], slot[kind == EXPLORED] = "pinned", "explored"
        slot[column >= self.layout.list_size] = "reserve"
        final = np.where(np.isfinite(self.score), self.score, np.nan)[row, placed.order[there]]
        score = np.where(np.isnan(final), scored.score, final)  # a pinned one keeps its own
        return Lists(replace(scored, score=score), placed.propensity[there], slot)

    @property
    def _behind(self) -> int:
        draws = self.layout.exploration or NO_DRAWS
        return max(self.layout.reserve_size, draws.breadth)

    def _by_score(self) -> np.ndarray:
        return best_places(self.score, min(self.score.shape[1], self.layout.list_size + self._behind))

    def _multiply(self, factor: np.ndarray) -> None:
        if self.score.shape[1]:
            self.score = np.where(np.isfinite(self.score), self.score * factor[self.items], -np.inf)

    def _place(self, reserve_size: int, exploration: Exploration, chance: np.ndarray) -> Placed:
        return place(
            self.order, self.score, chance, self.pins, reserve_size=reserve_size, exploration=exploration
        )

    def _lists(self) -> np.ndarray:
        return self._place(0, NO_DRAWS, np.empty((self.users, 0))).order

    def _measure(self, step: str, order: np.ndarray) -> None:
        self.order = order
        self._note(step, self._lists())

    def _note(self, step: str, shown: np.ndarray) -> None:
        before, self.shown = self.shown, shown
        held = np.zeros((self.users, self.index.shape[1] + 1), bool)
        np.put_along_axis(held, before, True, axis=1)  # NONE marks the column behind the pool
        new = (shown != NONE) & ~np.take_along_axis(held, shown, 1)
        worth = [self._worth(lists) for lists in (before, shown)]
        totals = [float(w.sum()) for w in worth] + [float(w[:, :TOP].sum()) for w in worth]
        places = int((shown != NONE).sum())
        self.costs.append(Cost(step, self.users, places, int(new.sum()), *totals))

    def _worth(self, lists: np.ndarray) -> np.ndarray:
        """Expected revenue of each place, 0 where nothing stands."""
        if not len(self.pool):
            return np.zeros(lists.shape)
        held = np.take_along_axis(self.index, np.maximum(lists, 0), 1)
        return np.where(lists == NONE, 0.0, self.pool.earned[held])


def _unpinned(exploration: Exploration, view: View) -> Exploration:
    """Without the places that a rule pins: whether one is drawn may not hang on whose lists are made together."""
    pinned = {position for position, mask in view.pins if mask.any()}
    return replace(exploration, places=tuple(n for n in exploration.places if n not in pinned))
