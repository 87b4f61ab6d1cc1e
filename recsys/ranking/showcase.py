"""The shelf as the rules let some users see it: what is blocked is gone before anything is searched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys.features.audience import Audience
from recsys.features.shelf import Shelf
from recsys.features.tables import Members
from recsys.ranking.candidates import CODE, Candidates, ContentSearch, Trending, popular_candidates
from recsys.ranking.fit import Fit
from recsys.ranking.rules import View


@dataclass(frozen=True)
class Showcase:
    """What candidates are searched in: the allowed members of groups and categories, best first, and what trends."""

    view: View
    by_group: Members
    by_category: Members
    trending: Trending
    content: ContentSearch

    @classmethod
    def build(
        cls, fit: Fit, view: View, trending: Trending, quality: np.ndarray, per_seller: int
    ) -> Showcase:
        """Order the allowed listings of each group and category of ``fit.shelf`` by ``quality`` [listings]."""
        shelf = fit.shelf
        sets = {
            name: np.where(view.allowed, codes, -1)
            for name, codes in (("group", shelf.group_code), ("category", shelf.category_code))
        }
        seller = shelf.seller_code
        by_category = Members.build(sets["category"], quality, len(shelf.category_ids), seller, per_seller)
        return cls(
            view,
            Members.build(sets["group"], quality, len(shelf.group_ids), seller, per_seller),
            by_category,
            _allowed_trending(trending, view.allowed, quality),
            ContentSearch.build(fit, by_category, quality),
        )

    def complete(
        self, found: Candidates, audience: Audience, users: np.ndarray, shelf: Shelf, item_unit: str
    ) -> Candidates:
        """Take out what users looked at and may not see, and add what a rule pins by name."""
        inside = self.view.allowed[found.items]
        if not inside.all():
            found = Candidates(*(array[inside] for array in _arrays(found)))
        if not len(self.view.named):
            return found
        named = self.view.named
        of_all = Trending(pd.Index([], dtype=object), named[None], np.zeros((1, len(named)), np.float32))
        more = popular_candidates(shelf, audience, users, of_all, item_unit)
        width = len(shelf)
        new = ~np.isin(more.rows * width + more.items, found.rows * width + found.items)
        both = Candidates.join(
            [
                found,
                Candidates(
                    more.rows[new], more.items[new], np.full(new.sum(), CODE["rule"]), more.share[new]
                ),
            ]
        )
        order = np.lexsort((both.items, both.rows))
        return Candidates(*(array[order] for array in _arrays(both)))


def _arrays(found: Candidates) -> tuple[np.ndarray, ...]:
    return found.rows, found.items, found.source, found.share


def _allowed_trending(trending: Trending, allowed: np.ndarray, quality: np.ndarray) -> Trending:
    """The allowed ones of each row; behind them, with no share, the best of the others, so that no row gets shorter."""
    if allowed[trending.items].all():
        return trending
    best = np.flatnonzero(allowed)[np.argsort(-quality[allowed], kind="stable")]
    width = min(trending.items.shape[1], len(best))
    items = np.empty((len(trending.items), width), trending.items.dtype)
    shares = np.zeros((len(trending.items), width), trending.shares.dtype)
    for row, (listed, share) in enumerate(zip(trending.items, trending.shares, strict=True)):
        kept = allowed[listed]
        mine, others = listed[kept][:width], best[~np.isin(best, listed[kept])]
        items[row] = np.concatenate([mine, others[: width - len(mine)]])
        shares[row, : len(mine)] = share[kept][:width]
    return Trending(trending.regions, items, shares)
