"""Which listings are worth scoring for whom: several sources, each with a quota, filtered before they are ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.features.audience import FEW, Audience
from recsys.features.interactions import Interactions
from recsys.features.shelf import Shelf
from recsys.features.tables import Members
from recsys.models.base import top
from recsys.models.popularity import Popularity
from recsys.ranking.fit import Fit

SHOP_SOURCES = ("transition", "user_knn", "user_knn_recent", "basket_ease", "ease_recent")
MARKET_SOURCES = (
    "revisit",
    "own_history",
    "als",
    "item_knn",
    "ease",
    "popularity",
    "affinity",
    "cohort",
    "trending",
)
SOURCES = (*MARKET_SOURCES, *SHOP_SOURCES, "rule", "content", "fresh")
"""Names of the sources; a candidate of several is credited to the first."""
CODE = {name: code for code, name in enumerate(SOURCES)}
FRESH_DAYS = 1.0

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Quotas:
    """How many candidates each source may name per user, and how a group becomes listings.

    ``groups`` per retriever (``popular_groups`` of the one that is the same for all), each expanded to its
    ``per_group`` best listings; ``per_category`` listings of the ``categories`` a user likes best, and of those that
    the cohort of a hardly known one does; ``trending`` of the user's region; ``content`` listings that fit the user
    best by what is known of them, and ``fresh`` of those younger than a day, both out of the ``shortlist`` first of
    ``wanted`` categories; no more than ``per_seller`` listings of one seller out of one group or category.
    """

    groups: int = 20
    popular_groups: int = 8
    per_group: int = 3
    categories: int = 4
    per_category: int = 10
    trending: int = 60
    content: int = 150
    fresh: int = 15
    wanted: int = 12
    shortlist: int = 150
    per_seller: int = 3


@dataclass(frozen=True)
class Trending:
    """The listings in demand by region: ``items`` [regions + 1, most], the last row for everywhere; -1 fills up."""

    regions: pd.Index
    items: np.ndarray
    shares: np.ndarray

    def rows(self, regions: np.ndarray) -> np.ndarray:
        """Row of each region; an unknown one reads the row for everywhere."""
        found = self.regions.get_indexer(pd.Index(regions, dtype=object))
        return np.where(found >= 0, found, len(self.regions))


def trending(shelf: Shelf, demand: pd.DataFrame, most: int) -> Trending:
    """Find the ``most`` listings in demand per region, time-decayed; behind them come the newest.

    ``demand``: [region, item_id, weight, timestamp], region "" where unknown.
    """
    live = shelf.item_ids.get_indexer(pd.Index(demand["item_id"], dtype=object)) >= 0
    frame = demand[live].rename(columns={"region": "user_id"})
    interactions = Interactions.from_frame(frame, segments={r: r for r in frame["user_id"].unique()})
    most = min(most, len(shelf))
    newest = np.argsort(shelf.item_feature("log_age"), kind="stable")[:most]
    if not len(interactions.rows):
        return Trending(pd.Index([], dtype=object), newest[None], np.zeros((1, most), np.float32))
    model = Popularity(half_life_days=3.0).fit(interactions)
    shares = np.vstack([model.learned["segment_share"], model.learned["share"][None]])
    columns, values = top(shares, most)
    positions = shelf.item_ids.get_indexer(interactions.item_ids)[columns].astype(np.int64)
    if positions.shape[1] < most:
        fill = newest[~np.isin(newest, positions[-1])][: most - positions.shape[1]]
        positions = np.hstack([positions, np.tile(fill, (len(positions), 1))])
        values = np.hstack([values, np.zeros((len(values), len(fill)), np.float32)])
    return Trending(pd.Index(model.learned["segment_names"], dtype=object), positions, values)


@dataclass(frozen=True)
class Candidates:
    """Pairs worth scoring, sorted by (row, item): audience row, shelf position, source code, trending share."""

    rows: np.ndarray
    items: np.ndarray
    source: np.ndarray
    share: np.ndarray

    def are_in(self, audience: Audience, shelf: Shelf, pairs: pd.DataFrame) -> np.ndarray:
        """Which candidates are among ``pairs`` [user_id, item_id]."""
        user = audience.user_ids.get_indexer(pd.Index(pairs["user_id"]))
        item = shelf.item_ids.get_indexer(pd.Index(pairs["item_id"]))
        known = (user >= 0) & (item >= 0)
        return np.isin(
            self.rows * len(shelf) + self.items, user[known].astype(np.int64) * len(shelf) + item[known]
        )

    @classmethod
    def join(cls, parts: Sequence[Candidates]) -> Candidates:
        """One after the other."""
        names = ("rows", "items", "source", "share")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True)
class ContentSearch:
    """What the sources ``content`` and ``fresh`` look through: members of categories, all and those younger than a day.

    ``quality`` [listings]: log of what each would earn from a user nothing is known of, up to a constant.
    """

    fit: Fit
    quality: np.ndarray
    by_category: Members
    fresh: Members

    @classmethod
    def build(cls, fit: Fit, by_category: Members, quality: np.ndarray) -> ContentSearch:
        """``by_category`` holds the listings that may be shown, best first; ``fit`` is of their shelf."""
        shelf = fit.shelf
        young = shelf.item_feature("log_age") <= np.log1p(FRESH_DAYS)
        category = np.full(len(shelf), -1, np.int64)
        shown = by_category.order[young[by_category.order]]
        category[shown] = shelf.category_code[shown]
        owner = np.arange(len(shelf))  # sellers have had their cap in by_category
        return cls(
            fit,
            quality,
            by_category,
            Members.build(category, quality, len(shelf.category_ids), owner, 1),
        )

    def pairs(self, audience: Audience, users: np.ndarray, quotas: Quotas) -> list[Pairs]:
        """Pairs of both sources for the ``users``."""
        found = []
        for name, members, most in (
            ("content", self.by_category, quotas.content),
            ("fresh", self.fresh, quotas.fresh),
        ):
            rows, items = self.fit.named(
                audience,
                users,
                members,
                self.quality,
                categories=quotas.wanted,
                per_category=quotas.shortlist,
                most=most,
            )
            found.append((rows, items, np.full(len(rows), CODE[name]), np.zeros(len(rows), np.float32)))
        return found


def popular_candidates(
    shelf: Shelf, audience: Audience, users: np.ndarray, shelf_trending: Trending, item_unit: str
) -> Candidates:
    """What is in demand where each user lives, allowed ones only."""
    return _allowed(
        shelf,
        audience,
        [_trending_pairs(audience, users, shelf_trending, shelf_trending.items.shape[1])],
        item_unit,
    )


def hybrid_candidates(
    shelf: Shelf,
    audience: Audience,
    users: np.ndarray,
    *,
    group_scores: Mapping[str, np.ndarray],
    by_group: Members,
    by_category: Members,
    shelf_trending: Trending,
    quotas: Quotas,
    item_unit: str,
    groups: np.ndarray | None = None,
    content: ContentSearch | None = None,
) -> Candidates:
    """The union of all sources for the ``users`` (audience rows, ascending).

    ``group_scores`` holds, per retriever, a score of every group: float32 [users, groups]. ``groups`` says which of the
    shelf's groups each column is (a column that is none of them scores -inf); left out, the columns are those groups.
    ``content`` finds listings by what is known of them; without it nothing comes from there.
    """
    parts = [_revisit_pairs(audience, users)]
    for name, scores in group_scores.items():
        best, values = top(scores, quotas.popular_groups if name == Popularity.name else quotas.groups)
        row, place = np.nonzero(np.isfinite(values))
        best = best[row, place]
        owner, items = by_group.expand(best if groups is None else groups[best], quotas.per_group)
        parts.append(
            (users[row[owner]], items, np.full(len(items), CODE[name]), np.zeros(len(items), np.float32))
        )
    parts.append(_affinity_pairs(audience, users, by_category, quotas))
    parts.append(_cohort_pairs(audience, users, by_category, quotas))
    parts.append(_trending_pairs(audience, users, shelf_trending, quotas.trending))
    if content is not None and item_unit == "group":
        parts += content.pairs(audience, users, quotas)
    return _allowed(shelf, audience, parts, item_unit)


def _revisit_pairs(audience: Audience, users: np.ndarray) -> Pairs:
    rows, items, _ = audience.touched.between(int(users[0]), int(users[-1]) + 1)
    mine = _among(rows, users)
    rows, items = rows[mine], items[mine]
    return rows, items, np.full(len(rows), CODE["revisit"]), np.zeros(len(rows), np.float32)


def _affinity_pairs(audience: Audience, users: np.ndarray, by_category: Members, quotas: Quotas) -> Pairs:
    rows, categories, values = audience.category_share.between(int(users[0]), int(users[-1]) + 1)
    order = np.lexsort((categories, -values[:, 0], rows))
    order = order[_among(rows[order], users)]
    rows, categories = rows[order], categories[order]
    first = np.searchsorted(rows, rows)
    chosen = np.arange(len(rows)) - first < quotas.categories
    owner, items = by_category.expand(categories[chosen], quotas.per_category)
    return rows[chosen][owner], items, np.full(len(items), CODE["affinity"]), np.zeros(len(items), np.float32)


def _cohort_pairs(audience: Audience, users: np.ndarray, by_category: Members, quotas: Quotas) -> Pairs:
    """Of who is hardly known: the best of the categories that their cohort likes best."""
    cohorts = audience.cohorts
    rows = users[(audience.variety[users] < FEW) & (cohorts.code[users] >= 0)]
    best = np.argsort(-cohorts.share, axis=1, kind="stable")[:, : quotas.categories]
    chosen = best[cohorts.code[rows]]
    owner, items = by_category.expand(chosen.ravel(), quotas.per_category)
    rows = np.repeat(rows, chosen.shape[1])[owner]
    return rows, items, np.full(len(items), CODE["cohort"]), np.zeros(len(items), np.float32)


def _among(rows: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Which of ``rows`` are among ``users``, which ascend; another policy may own the users between them."""
    place = np.minimum(np.searchsorted(users, rows), len(users) - 1)
    return np.asarray(users[place] == rows)


def _trending_pairs(audience: Audience, users: np.ndarray, shelf_trending: Trending, most: int) -> Pairs:
    region = shelf_trending.rows(audience.regions[users])
    items, shares = shelf_trending.items[region, :most], shelf_trending.shares[region, :most]
    rows = np.repeat(users, items.shape[1])
    return rows, items.ravel(), np.full(items.size, CODE["trending"]), shares.ravel()


def _allowed(shelf: Shelf, audience: Audience, parts: list[Pairs], item_unit: str) -> Candidates:
    """Each pair once, never the user's own listing, and nothing bought already unless the shop restocks it."""
    rows, items, source, share = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    key = rows.astype(np.int64) * len(shelf) + items
    order = np.lexsort((-share, source, key))
    key, source, share = key[order], source[order], share[order]
    first = np.concatenate([[True], key[1:] != key[:-1]]) if len(key) else np.empty(0, bool)
    best = np.maximum.reduceat(share, np.flatnonzero(first)) if len(key) else share
    key, source = key[first], source[first]
    rows, items = key // len(shelf), key % len(shelf)
    own = (audience.seller_code[rows] >= 0) & (audience.seller_code[rows] == shelf.seller_code[items])
    keep = ~own
    if item_unit == "group":
        keep &= audience.touched.find(rows, items)[0][:, 3] == 0
    return Candidates(rows[keep], items[keep], source[keep], best[keep])
