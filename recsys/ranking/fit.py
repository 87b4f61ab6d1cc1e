"""How well what is known of a listing fits what is known of a user: content and not who else had it.

Naive Bayes over category and brand, each drawn to what the shelf is asked for by as much as little is known of the
user (a Dirichlet prior, MacKay and Peto 1995), and a penalty for a price off the user's own level. It needs no
history of the listing, so one put up a minute ago is found as well as any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.features.audience import Audience
from recsys.features.shelf import Shelf
from recsys.features.tables import Members
from recsys.models.base import top

CATEGORY_PRIOR = 2.0
BRAND_PRIOR = 4.0
MOST_KNOWN = 50.0
PRICE_WEIGHT = 0.4


@dataclass(frozen=True)
class Fit:
    """The shelf's side: shares of what is asked for by category and brand, log price ``level`` within a category."""

    shelf: Shelf
    category_share: np.ndarray
    brand_share: np.ndarray
    level: np.ndarray
    category_level: np.ndarray

    @classmethod
    def build(cls, shelf: Shelf) -> Fit:
        """Count one view for every listing beside what it had."""
        asked = 1.0 + np.expm1(shelf.item_feature("popularity_30d").astype(np.float64))
        log_price = shelf.item_feature("log_price").astype(np.float64)
        mean = _sum_by(shelf.category_code, log_price, len(shelf.category_ids))
        mean = mean / np.maximum(_sum_by(shelf.category_code, None, len(shelf.category_ids)), 1.0)
        return cls(
            shelf,
            _share_by(shelf.category_code, asked, len(shelf.category_ids)),
            _share_by(shelf.brand_code, asked, len(shelf.brands)),
            log_price - mean[shelf.category_code],
            mean,
        )

    def named(
        self,
        audience: Audience,
        users: np.ndarray,
        members: Members,
        quality: np.ndarray,
        *,
        categories: int,
        per_category: int,
        most: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ``most`` best fitting listings of each of ``users`` (ascending audience rows): (rows, items).

        Looked for among the ``per_category`` first ``members`` of the ``categories`` that the user most likely wants
        something of. ``quality`` [listings] is the log of what each would earn from a user nothing is known of.
        """
        taste = self._taste(audience, users)
        likely, _ = top(taste.astype(np.float32), min(categories, taste.shape[1]))
        owner, items = members.expand(likely.ravel(), per_category)
        if not len(items):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        place = owner // likely.shape[1]
        category, brand = self.shelf.category_code[items], self.shelf.brand_code[items]
        score = quality[items] + np.log(taste[place, category] / self.category_share[category])
        known = brand >= 0
        loved = self._loved(audience, users[place[known]], brand[known])
        score[known] += np.log(loved / self.brand_share[brand[known]])
        off = self.level[items] - self._levels(audience, users)[place]
        score -= PRICE_WEIGHT * off**2
        order = np.lexsort((items, -score, place))
        place, items = place[order], items[order]
        best = np.arange(len(place)) - np.searchsorted(place, place) < most
        return users[place[best]], items[best].astype(np.int64)

    def _taste(self, audience: Audience, users: np.ndarray) -> np.ndarray:
        """Shares of the users' interest by category, drawn to those of all: float64 [users, categories]."""
        rows, keys, values = audience.category_share.between(int(users[0]), int(users[-1]) + 1)
        place = np.minimum(np.searchsorted(users, rows), len(users) - 1)
        mine = users[place] == rows
        dense = np.zeros((len(users), len(self.category_share)))
        dense[place[mine], keys[mine]] = values[mine, 0]
        return _drawn(dense, _known(audience, users)[:, None], CATEGORY_PRIOR, self.category_share)

    def _loved(self, audience: Audience, rows: np.ndarray, brands: np.ndarray) -> np.ndarray:
        """Share of the interest of a user in a brand, likewise: float64 [pairs]. No table of both: brands are many."""
        share = audience.brand_share.find(rows, brands)[0][:, 0].astype(np.float64)
        return _drawn(share, _known(audience, rows), BRAND_PRIOR, self.brand_share[brands])

    def _levels(self, audience: Audience, users: np.ndarray) -> np.ndarray:
        """How far above the mean of their categories the prices lie that each user looks at."""
        rows, keys, values = audience.category_share.between(int(users[0]), int(users[-1]) + 1)
        first, share = int(users[0]), values[:, 0].astype(np.float64)
        total = np.zeros((2, int(users[-1]) + 1 - first))
        np.add.at(total[0], rows - first, share)
        np.add.at(total[1], rows - first, share * self.category_level[keys])
        weight, level = total[:, users - first]
        mean = level / np.maximum(weight, 1e-9)
        known = (audience.log_price_known[users] > 0) & (weight > 0)
        return np.where(known, audience.log_price[users] - mean, 0.0)


def _known(audience: Audience, rows: np.ndarray) -> np.ndarray:
    return np.minimum(audience.variety[rows].astype(np.float64), MOST_KNOWN)


def _drawn(share: np.ndarray, known: np.ndarray, weight: float, prior: np.ndarray) -> np.ndarray:
    return np.asarray((known * share + weight * prior) / (known + weight))


def _sum_by(codes: np.ndarray, values: np.ndarray | None, n: int) -> np.ndarray:
    inside = codes >= 0
    return np.bincount(codes[inside], None if values is None else values[inside], n).astype(np.float64)


def _share_by(codes: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    total = _sum_by(codes, values, n) + 1e-9
    return total / max(total.sum(), 1e-9)
