"""Rationed exposure: a listing of which there is one need not stand in a hundred thousand lists.

It is sold to the first visitor who wants it; to all others its place shows nothing or something else. So it is given
to as many lists as are likely to sell it within a day and a margin more, and to those users who gain most by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.errors import ModelError
from recsys.ranking.arrange import TOP, Cost
from recsys.ranking.scored import Scored


@dataclass(frozen=True)
class Rationing:
    """How many lists a listing may stand in.

    As many as make ``sales`` expected purchases of each of its pieces on a day, if a user opens their list with chance
    ``seen``: with 3 one piece stays unsold with chance exp(-3) = 5 %. Never fewer than ``least`` lists, so that a
    wrong estimate hides nothing.

    Raises:
        ModelError: a value that no list could be made with.
    """

    sales: float = 3.0
    seen: float = 0.35
    least: int = 20

    def __post_init__(self) -> None:
        """Refuse what would hide every listing."""
        for name, wrong in (
            ("sales", self.sales <= 0),
            ("seen", not 0 < self.seen <= 1),
            ("least", self.least < 1),
        ):
            if wrong:
                raise ModelError(
                    f"Rationing with {name} {getattr(self, name)} hides listings from everybody; "
                    "use sales above 0, seen in (0, 1] and least 1 or more."
                )

    def limits(
        self,
        items: np.ndarray,
        p: np.ndarray,
        n_items: int,
        share: float = 1.0,
        stock: np.ndarray | None = None,
    ) -> np.ndarray:
        """Most lists of each listing: int64 [n_items].

        Args:
            items: the listing of each pair that a list would hold.
            p: chance that the user of the pair buys it once it is seen [pairs].
            n_items: listings on the shelf.
            share: of all users, those whose pairs these are (one shard of several): the limit is shared out by it.
            stock: pieces of each listing [n_items]; one of each by default.
        """
        lists = np.bincount(items, minlength=n_items)
        chance = self.seen * np.bincount(items, p, n_items) / np.maximum(lists, 1)
        pieces = np.ones(n_items) if stock is None else np.maximum(stock, 1.0)
        enough = np.ceil(share * self.sales * pieces / np.maximum(chance, 1e-9))
        least = max(1, round(share * self.least))
        return np.minimum(np.maximum(enough, least), np.iinfo(np.int32).max).astype(np.int64)


def rationed(pool: Scored, limit: np.ndarray, list_size: int, whole: int) -> tuple[Scored, Cost]:
    """The pool of candidates without the pairs that ``ration`` takes away, and the expected revenue given up by it.

    ``whole``: candidates that every user keeps, as far as there were as many. The cost is that of the first
    ``list_size`` places.
    """
    keep = ration(pool.rows, pool.items, pool.score, limit, whole)
    before, left = pool.place, pool.take(keep)
    shown, now = before <= list_size, left.place <= list_size
    top, top_now = before <= TOP, left.place <= TOP
    return left, Cost(
        "rationing",
        lists=len(np.unique(pool.rows)),
        places=int(now.sum()),
        changed=int((now & ~shown[keep]).sum()),
        before=float(pool.earned[shown].sum()),
        after=float(left.earned[now].sum()),
        top_before=float(pool.earned[top].sum()),
        top_after=float(left.earned[top_now].sum()),
    )


def ration(
    rows: np.ndarray, items: np.ndarray, score: np.ndarray, limit: np.ndarray, whole: int = 0
) -> np.ndarray:
    """Which pairs stay, bool [pairs]: at most ``limit[item]`` of each listing, those whose users gain most.

    What a user gains by a listing is its ``score`` above that of the last pair the user has here, which is about what
    would take its place. Equal gains go by a hash of user and listing, so
    that not the same users win all of them. A user left with fewer than ``whole`` pairs gets the best
    of the others back, whatever their limit: a list is whole before exposure is rationed. Only the pairs of listings
    over their limit are sorted.

    Example:
        >>> rows, items = np.array([0, 0, 1, 1]), np.array([7, 8, 7, 9])
        >>> ration(rows, items, np.array([5.0, 1.0, 5.0, 4.0]), np.full(10, 1)).tolist()
        [True, True, False, True]
    """
    keep = np.ones(len(rows), bool)
    if not len(rows):
        return keep
    over = np.flatnonzero((np.bincount(items, minlength=len(limit)) > limit)[items])
    if not len(over):
        return keep
    worst = np.full(int(rows.max()) + 1, np.inf)
    np.minimum.at(worst, rows, score)
    gain = score[over] - worst[rows[over]]
    order = over[np.lexsort((_luck(rows[over], items[over]), -gain, items[over]))]
    place = np.arange(len(order)) - np.searchsorted(items[order], items[order])
    keep[order[place >= limit[items[order]]]] = False
    return _whole(keep, rows, items, score, whole) if whole else keep


def _luck(rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """A hash of each pair, uint64 (the finaliser of SplitMix64)."""
    mixed = (rows.astype(np.uint64) << np.uint64(32)) ^ items.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _whole(
    keep: np.ndarray, rows: np.ndarray, items: np.ndarray, score: np.ndarray, whole: int
) -> np.ndarray:
    """Give users with fewer than ``whole`` pairs the best of those they lost."""
    left = np.bincount(rows[keep], minlength=int(rows.max()) + 1)
    lost = np.flatnonzero(~keep & (left[rows] < whole))
    order = lost[np.lexsort((items[lost], -score[lost], rows[lost]))]
    place = np.arange(len(order)) - np.searchsorted(rows[order], rows[order])
    keep = keep.copy()
    keep[order[place < whole - left[rows[order]]]] = True
    return keep
