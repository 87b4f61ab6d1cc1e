"""Places of a list that are drawn, each with the exact probability of what stands there.

The places left to chance share out what stands behind the list: with m of them, the listing at place j behind the list
(from 0) belongs to draw j mod m. Each draws one of its own, so no listing can be drawn twice, the draws do not touch
each other, and the chance of a listing to stand at its place is also its chance to be on the list at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from recsys.errors import ModelError
from recsys.ranking.rerank import NONE

DRAWS_A_HASH = 8
"""Numbers of 64 bits that one hash gives."""


@dataclass(frozen=True)
class Exploration:
    """Which places are drawn, and from what.

    Attributes:
        places: places of the list (from 1) that are drawn; none for no exploration.
        breadth: listings behind the list that may be drawn, for all places together.
        greed: share of the chance that follows the score; the rest is spread evenly. 1 would leave listings with a
            score of 0 without a chance, so it is below 1.
    """

    places: tuple[int, ...]
    breadth: int = 50
    greed: float = 0.8

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if len(set(self.places)) < len(self.places) or any(place < 1 for place in self.places):
            raise ModelError(f"Places to explore are {self.places}; name different places from 1 on.")
        if self.breadth < len(self.places):
            raise ModelError(f"{self.breadth} listings cannot fill {len(self.places)} places; raise breadth.")
        if not 0 <= self.greed < 1:
            raise ModelError(f"greed is {self.greed}; it has to be at least 0 and below 1.")


RANKED, PINNED, EXPLORED = range(3)
"""Why a listing stands where it does."""


@dataclass(frozen=True)
class Placed:
    """Lists with what is kept behind them; arrays [users, list_size + reserve_size].

    Attributes:
        order: place in the pool of what stands at each place, NONE behind the last.
        propensity: probability that it stands there; for what is behind the list, that it was not drawn.
        kind: RANKED, PINNED or EXPLORED.
    """

    order: np.ndarray
    propensity: np.ndarray
    kind: np.ndarray


def chances(user_ids: np.ndarray, draws: int, seed: int, day: int) -> np.ndarray:
    """Numbers in [0, 1), float64 [users, draws]: the same for a user and day whoever else is asked for.

    ``day`` counts since 1970. Hashed, because a generator per user would take as long as the ranking.
    """
    out = np.empty((len(user_ids), draws), np.uint64)
    for first in range(0, draws, DRAWS_A_HASH):
        some = min(DRAWS_A_HASH, draws - first)
        salt = f"explore|{seed}|{day}|{first}|"
        hashes = b"".join(
            blake2b((salt + str(user)).encode(), digest_size=8 * some).digest() for user in user_ids
        )
        out[:, first : first + some] = np.frombuffer(hashes, "<u8").reshape(len(user_ids), some)
    return np.asarray((out >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def place(
    order: np.ndarray,
    score: np.ndarray,
    chance: np.ndarray,
    pins: np.ndarray,
    *,
    reserve_size: int,
    exploration: Exploration,
) -> Placed:
    """Fill the places of the lists: pinned ones, drawn ones, and the others in ``order``; the rest stands behind.

    Only lists that come out full have drawn places: where every candidate is shown, nothing is left to draw.

    Args:
        order: places in the pool, best first, without what is pinned; int64 [users, wide], NONE at the end. It should
            go on behind the list for ``reserve_size`` or ``exploration.breadth`` listings, whichever is more.
        score: what listings are worth, float [users, pool], 0 or more, -inf where there is none.
        chance: numbers in [0, 1), [users, draws], as ``chances`` gives them.
        pins: place in the pool of what a rule puts at a place, [users, list_size], NONE for nothing. A place that is
            pinned for one user is not drawn for any.
        reserve_size: listings kept behind the list.
        exploration: where and how to draw.
    """
    list_size = pins.shape[1]
    pinned = pins != NONE
    open_ = list_size - pinned.sum(axis=1)
    full = (order != NONE).sum(axis=1) >= open_
    drawn_at = [n - 1 for n in sorted(exploration.places) if n <= list_size and not pinned[:, n - 1].any()]
    left = np.zeros(pins.shape, bool)
    left[:, drawn_at] = full[:, None]
    free = ~pinned & ~left
    start = free.sum(axis=1)
    lists = np.where(free, _take(order, np.cumsum(free, axis=1) - 1), pins)
    odds, kind = np.ones(lists.shape), np.where(pinned, PINNED, RANKED).astype(np.int8)
    width = len(drawn_at) * full + max(reserve_size, exploration.breadth if drawn_at else 0)
    tail = _take(order, start[:, None] + np.arange(width.max(initial=0)))
    share = np.zeros(tail.shape)
    if drawn_at and full.any():
        share[full], drawn = _draw(tail[full], score[full], chance[full, : len(drawn_at)], exploration)
        rows = np.flatnonzero(full)[:, None]
        lists[rows, drawn_at] = tail[rows, drawn]
        odds[rows, drawn_at] = share[rows, drawn]
        kind[rows, drawn_at] = EXPLORED
        tail[rows, drawn] = NONE
    behind = np.argsort(tail == NONE, axis=1, kind="stable")[:, :reserve_size]
    reserve = np.take_along_axis(tail, behind, 1)
    lists = np.hstack([lists, reserve])
    odds = np.hstack([odds, 1.0 - np.take_along_axis(share, behind, 1)])
    kind = np.hstack([kind, np.full(reserve.shape, RANKED, np.int8)])
    together = np.argsort(lists == NONE, axis=1, kind="stable")  # a short list closes its gaps
    return Placed(*(np.take_along_axis(array, together, 1) for array in (lists, odds, kind)))


def _take(order: np.ndarray, places: np.ndarray) -> np.ndarray:
    """``order`` at ``places`` [users, any], NONE outside."""
    if not order.shape[1]:
        return np.full(places.shape, NONE, np.int64)
    inside = (places >= 0) & (places < order.shape[1])
    return np.where(inside, np.take_along_axis(order, np.clip(places, 0, order.shape[1] - 1), 1), NONE)


def _draw(
    tail: np.ndarray, score: np.ndarray, chance: np.ndarray, exploration: Exploration
) -> tuple[np.ndarray, np.ndarray]:
    """Chance of each listing of the ``tail`` to be drawn, [users, tail], and the places in it of those drawn."""
    draws = chance.shape[1]
    worth = np.where(tail != NONE, np.take_along_axis(score, np.maximum(tail, 0), 1), 0.0)
    eligible = (tail != NONE) & (np.arange(tail.shape[1]) < exploration.breadth)
    share = np.zeros(tail.shape)
    drawn = np.empty((len(tail), draws), np.int64)
    for draw in range(draws):
        mine = np.zeros(tail.shape[1], bool)
        mine[draw::draws] = True
        inside = eligible & mine
        value = np.where(inside, worth, 0.0)
        total = value.sum(axis=1, keepdims=True)
        even = inside / inside.sum(axis=1, keepdims=True)
        greedy = np.where(total > 0, value / np.where(total > 0, total, 1.0), even)
        odds = exploration.greed * greedy + (1 - exploration.greed) * even
        bound = np.cumsum(odds, axis=1)
        share += odds
        drawn[:, draw] = np.argmax((bound > chance[:, [draw]] * bound[:, -1:]) & inside, axis=1)
    return share, drawn
