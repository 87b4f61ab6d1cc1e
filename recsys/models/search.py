"""The best k of millions of vectors for each of many users: filtered first, in blocks, exact or nearly so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from recsys.errors import ModelError
from recsys.models.base import NOTHING, lower_bound
from recsys.models.lists import Layout, Lists, checked

USERS_AT_ONCE = 16_384
BLOCK_CELLS = 500_000
BLOCK_WIDTH = 2_048
MOST_HITS = 6_000_000
FIRST = (2, 8, 32)
"""The first rounds of a search look into this many of a user's best lists; the last one into all that may matter."""
SPARE = 8
"""How many more than k are kept until the scores are computed once more, one by one."""
EVERYWHERE = -1
Apply = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class Filters:
    """What may be found by whom; all of it holds before the search, so that a list stays full.

    ``allowed`` is a mask over the items. ``excluded`` are pairs (rows of users, positions of items) that may not
    meet. A user of pool p (a region, say) finds items of pool p and of ``EVERYWHERE``: give both ``user_pool`` and
    ``item_pool``, or neither.
    """

    allowed: np.ndarray | None = None
    excluded: tuple[np.ndarray, np.ndarray] = field(
        default_factory=lambda: (np.empty(0, int), np.empty(0, int))
    )
    user_pool: np.ndarray | None = None
    item_pool: np.ndarray | None = None

    def pools(self, n_users: int, n_items: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Rows of users, and the mask of what they may find, pool by pool."""
        for name, given, size in (
            ("allowed", self.allowed, n_items),
            ("user_pool", self.user_pool, n_users),
            ("item_pool", self.item_pool, n_items),
        ):
            if given is not None and given.shape != (size,):
                raise ModelError(
                    f"Filters.{name} has shape {given.shape}; it needs one value for each of {size}."
                )
        if (self.user_pool is None) != (self.item_pool is None):
            raise ModelError("Filters has one of user_pool and item_pool; give both or neither.")
        if self.user_pool is None or self.item_pool is None:
            yield np.arange(n_users), self.allowed
            return
        everywhere = self.item_pool == EVERYWHERE
        for pool in np.unique(self.user_pool):
            mask = everywhere | (self.item_pool == pool)
            yield (
                np.flatnonzero(self.user_pool == pool),
                mask if self.allowed is None else mask & self.allowed,
            )


def nearest(
    lists: Lists,
    users: np.ndarray,
    k: int,
    *,
    reach: float | None = None,
    filters: Filters | None = None,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """The best ``k`` items of each user by inner product: positions and scores, best first, both [users, k].

    Equal scores go by position. Position -1 and score -inf fill up rows with fewer; a user of zeros, of whom nothing
    is known, finds nothing. Who else is asked changes no score, and no list but where scores are equal up to rounding.

    Args:
        lists: the catalogue.
        users: float32 [users, width].
        k: how many.
        reach: how far to look: a list of items is left out when its mean score plus ``reach`` standard deviations
            stays below what the user has found already. See ``reach_for``. None: exact, only lists that provably hold
            nothing better are left out.
        filters: what may be found by whom.
        threads: how many pools, or blocks of users where there is one pool, to search side by side.

    Raises:
        ModelError: shapes that do not fit, numbers that are not finite, a k below 0, or excluded pairs out of range.

    Example:
        >>> nearest(Lists.by_length(np.eye(3)), np.array([[1.0, 3.0, 2.0]]), 2)[0].tolist()
        [[1, 2]]
    """
    users = checked(users, "users", lists.vectors.shape[1])
    if k < 0:
        raise ModelError(f"Cannot find the best {k}. Ask for 0 or more.")
    filters = filters or Filters()
    items, scores = np.full((len(users), k), -1, np.int64), np.full((len(users), k), NOTHING, np.float32)
    known = np.asarray(users.any(axis=1))
    pools = list(filters.pools(len(users), len(lists)))

    def fill(pool: tuple[np.ndarray, np.ndarray | None], apply: Apply) -> None:
        rows, allowed = pool
        layout = Layout.of(lists, allowed)
        banned = _Banned.of(filters.excluded, layout, len(users), len(lists))
        able = rows[known[rows]] if k and len(layout) else rows[:0]
        parts = np.array_split(able, -(-len(able) // USERS_AT_ONCE)) if len(able) else []
        search = partial(_search, layout, users, k=k, reach=reach, banned=banned)
        for part, found in zip(parts, apply(search, parts), strict=True):
            items[part], scores[part] = found

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(max(1, threads)) as workers:
        if len(pools) == 1:
            fill(pools[0], workers.map)
        else:
            list(workers.map(lambda pool: fill(pool, map), pools))
    return items, scores


def reach_for(
    lists: Lists, users: np.ndarray, k: int, recall: float = 0.98, *, filters: Filters | None = None
) -> float:
    """The ``reach`` that finds ``recall`` of the exact lists of these ``users``, a sample of a few hundred.

    Tells for each item of each exact list how far the search has to reach so as not to miss it.

    Raises:
        ModelError: a recall outside 0..1, or nobody in the sample finds anything.
    """
    if not 0 < recall <= 1:
        raise ModelError(f"A recall of {recall} cannot be reached. Ask for more than 0 and at most 1.")
    filters = filters or Filters()
    users = checked(users, "users", lists.vectors.shape[1])
    items, scores = nearest(lists, users, k, filters=filters)
    needed = [np.empty(0)]
    for rows, allowed in filters.pools(len(users), len(lists)):
        layout = Layout.of(lists, allowed)
        able = rows[(items[rows] >= 0).any(axis=1)]
        if not len(able):
            continue
        list_at = np.full(len(lists), -1)
        list_at[layout.items] = np.repeat(np.arange(len(layout)), layout.sizes)
        row, place = np.nonzero(items[able] >= 0)
        of, user = list_at[items[able][row, place]], users[able]
        bar = np.where(items[able] >= 0, scores[able], np.inf).min(axis=1)
        mean = np.einsum("ij,ij->i", user[row], layout.mean[of])
        spread = np.sqrt(np.einsum("ij,ij->i", user[row] ** 2, layout.variance[of]))
        needed.append((bar[row] - mean) / np.maximum(spread, 1e-12))
    values = np.concatenate(needed)
    if not len(values):
        raise ModelError(
            "Nobody in the sample finds anything. Give users with vectors, and filters that let items through."
        )
    return float(np.quantile(values, recall, method="higher"))


@dataclass(frozen=True)
class _Banned:
    """Excluded pairs by place in a layout: ``places`` ascending, and the row of the user of each."""

    places: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, pairs: tuple[np.ndarray, np.ndarray], layout: Layout, n_users: int, n_items: int) -> _Banned:
        rows, items = (np.asarray(part, np.int64) for part in pairs)
        for what, values, size in (("user", rows, n_users), ("item", items, n_items)):
            if len(values) and not 0 <= values.min() <= values.max() < size:
                bad = values[(values < 0) | (values >= size)][0]
                raise ModelError(f"Filters.excluded names {what} {bad}; there are {size}, counted from 0.")
        place_of = np.full(n_items, -1)
        place_of[layout.items] = np.arange(len(layout.items))
        places = place_of[items]
        order = np.lexsort((rows, places))
        order = order[places[order] >= 0]
        return cls(places[order], rows[order])

    def blank(self, block: np.ndarray, rows: np.ndarray, start: int) -> None:
        """Take the pairs out of the scores ``block`` of ``rows`` (ascending) by the places from ``start``."""
        low, high = np.searchsorted(self.places, [start, start + block.shape[1]])
        if low < high:
            at = np.minimum(np.searchsorted(rows, self.rows[low:high]), len(rows) - 1)
            mine = rows[at] == self.rows[low:high]
            block[at[mine], self.places[low:high][mine] - start] = NOTHING


class _Best:
    """The best so far of each row, and the hits since."""

    def __init__(self, rows: int, k: int, items: np.ndarray) -> None:
        self.k, self.items, self.bar = k, items.astype(np.uint64), np.full(rows, NOTHING, np.float32)
        self.row, self.place, self.score = (
            np.empty(0, np.uint16),
            np.empty(0, np.uint32),
            np.empty(0, np.float32),
        )
        self.hits: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.waiting = 0

    def add(self, row: np.ndarray, place: np.ndarray, score: np.ndarray) -> None:
        self.hits.append((row.astype(np.uint16), place.astype(np.uint32), score))
        self.waiting += len(row)
        if self.waiting > MOST_HITS:
            self.settle()

    def settle(self) -> None:
        """Keep the best k of each row; the k-th is the bar that others have to reach."""
        parts = [(self.row, self.place, self.score), *self.hits]
        row, place, score = (np.concatenate(column) for column in zip(*parts, strict=True))
        self.hits, self.waiting = [], 0
        order = np.argsort(_falling(score) | self.items[place], kind="quicksort")
        order = order[np.argsort(row[order], kind="stable")]
        row = row[order]
        first = np.searchsorted(row, np.arange(len(self.bar) + 1))
        rank = np.arange(len(row)) - first[row]
        kept = order[rank < self.k]
        last = order[rank == self.k - 1]
        self.row, self.place, self.score = row[rank < self.k], place[kept], score[kept]
        self.bar[row[rank == self.k - 1]] = score[last]


def _falling(score: np.ndarray) -> np.ndarray:
    """A key in the upper half of uint64 that rises where the score falls (the bits of floats are in their order)."""
    bits = (score + np.float32(0)).view(np.uint32)  # -0 becomes 0
    rising = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return (~rising).astype(np.uint64) << np.uint64(32)


def _search(
    layout: Layout, users: np.ndarray, rows: np.ndarray, *, k: int, reach: float | None, banned: _Banned
) -> tuple[np.ndarray, np.ndarray]:
    vectors = users[rows]
    reachable = layout.reachable(vectors, reach)
    best = _Best(len(rows), min(k + SPARE, len(layout.items)), layout.items)
    depths = [depth for depth in FIRST if depth < len(layout)]
    ranked = np.argpartition(-reachable, depths, axis=1) if depths else reachable
    for shallow, deep in zip([0, *depths], [*depths, None], strict=True):
        if deep is None:
            row, number = np.nonzero((reachable >= best.bar[:, None]) & (reachable > NOTHING))
        else:
            number = ranked[:, shallow:deep].ravel()
            row = np.repeat(np.arange(len(rows)), deep - shallow)
            worth = reachable[row, number] >= best.bar[row]
            row, number = row[worth], number[worth]
            reachable[row, number] = NOTHING  # not again
        _look(layout, vectors, rows, (row, number), best=best, banned=banned)
        best.settle()
    return _ordered(layout, vectors, best, k)


def _look(
    layout: Layout,
    vectors: np.ndarray,
    rows: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    *,
    best: _Best,
    banned: _Banned,
) -> None:
    """Score ``pairs`` of a row and a list, block by block; what reaches the bar is a hit."""
    row, number = pairs
    order = np.argsort(number.astype(np.uint16 if len(layout) <= 65_536 else np.int64), kind="stable")
    row, number = row[order], number[order]
    cuts = np.flatnonzero(np.diff(number, prepend=-1, append=-1)) if len(row) else np.zeros(1, int)
    for low, high in pairwise(cuts):
        first, last = layout.starts[number[low]], layout.starts[number[low] + 1]
        for start in range(first, last, BLOCK_WIDTH):
            items = layout.vectors[start : min(start + BLOCK_WIDTH, last)].T
            step = max(1, BLOCK_CELLS // items.shape[1])
            for top in range(low, high, step):
                some = row[top : min(top + step, high)]
                block = vectors[some] @ items
                banned.blank(block, rows[some], start)
                bar = best.bar[some]
                if items.shape[1] > best.k and (bar == NOTHING).any():
                    bar = np.maximum(bar, lower_bound(block, best.k))
                flat = np.flatnonzero(block >= bar[:, None])
                at, column = np.divmod(flat, items.shape[1])
                score = block.ravel()[flat]
                there = score > NOTHING
                best.add(some[at[there]], start + column[there], score[there])


def _ordered(layout: Layout, vectors: np.ndarray, best: _Best, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Score what was found once more, one pair at a time, so that a score does not depend on its block."""
    row, place = best.row.astype(np.int64), best.place
    score = np.empty(len(row), np.float32)
    for start in range(0, len(row), BLOCK_CELLS):
        part = slice(start, start + BLOCK_CELLS)
        score[part] = np.einsum("ij,ij->i", vectors[row[part]], layout.vectors[place[part]])
    item = layout.items[place]
    order = np.argsort(_falling(score) | item.astype(np.uint64), kind="quicksort")
    order = order[np.argsort(best.row[order], kind="stable")]
    row = row[order]
    rank = np.arange(len(row)) - np.searchsorted(row, np.arange(len(vectors)))[row]
    items, scores = np.full((len(vectors), k), -1, np.int64), np.full((len(vectors), k), NOTHING, np.float32)
    shown = rank < k
    items[row[shown], rank[shown]] = item[order[shown]]
    scores[row[shown], rank[shown]] = score[order[shown]]
    return items, scores
