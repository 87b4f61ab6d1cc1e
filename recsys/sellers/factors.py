"""How well a buyer and a seller fit, in quantities that can be named.

``category``  log of the share of the listings a buyer would look for that are the seller's: sum over categories of the
              buyer's interest in one times the seller's part of its live listings; interests are drawn towards those of
              people alike.
``brand``     the same over categories and brands together, mixed with ``category``: who looks for one brand of shoes is
              not looking for its coats.
``content``   inner product of two pools of content vectors (title, category, brand, condition, price): what the buyer
              had to do with, and the seller's live listings; both decayed with a half-life, and drawn towards the
              market, as if ``PRIOR`` listings more stood at its mean.
``circle``    how often sellers the buyer has to do with and this one have the same people: cosine of two sellers over
              their followers and buyers, drawn towards 0 (item-based filtering, Sarwar et al. 2001).
``seen``      log of what the buyer already did with the seller's listings, short of buying or following.
``popular``   log of how many follow or bought from the seller, decayed.
``price``     less the distance of the seller's usual price level, beside their categories', from the buyer's.
``rating``, ``reliable``  the seller's shrunk rating and 1 less the shrunk rate of cancelled sales.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.features.content import content_matrix, reduced
from recsys.schema import CATEGORY_ID, SELLER_ID
from recsys.sellers.market import Market

NAMES = ("category", "brand", "content", "circle", "seen", "popular", "price", "rating", "reliable")
HALF_LIFE_DAYS = 30.0
PRIOR = 5.0
"""Listings at the mean of the market that a pool is drawn to it by."""
CIRCLE_PRIOR = 5.0
"""People in common that a similarity of two sellers is drawn towards 0 by."""
INTEREST_PRIOR = 20.0
"""Points (a view is 1, a purchase 8) that an interest of one's own is mixed with that of people alike by."""
BRAND_PRIOR = 0.3
"""How much of ``category`` goes into ``brand``."""
DIMENSIONS = 48
CONTENT_WEIGHTS = {"title": 1.0, "category": 0.5, "brand": 0.7, "condition": 0.1, "price": 0.5}
_FLOOR = 1e-6


@dataclass(frozen=True)
class Factors:
    """The factors of a market, made block by block: see the module for what they are."""

    market: Market
    seed: int = 0

    def block(self, users: np.ndarray) -> np.ndarray:
        """Factors of some users with every seller: float32 [len(users), S, len(NAMES)]."""
        market = self.market
        out = np.empty((len(users), market.n_sellers, len(NAMES)), np.float32)
        ties = market.ties[market.own[users]]
        by_category = self.interest(users) @ self._part_of_category
        column = {
            "category": _log(by_category),
            "brand": _log(
                (self._cell_interest[users] @ self._part_of_cell).toarray() + BRAND_PRIOR * by_category
            ),
            "content": self._buyers[users] @ self._pools.T,
            "circle": (dampened(ties) @ self.circle).toarray(),
            "seen": np.log1p(ties[:, market.offered].toarray()),
            "popular": self._popular,
            "price": -np.abs(self._levels[None, :] - self._buyer_level[users, None]),
            "rating": _filled(market.sellers["rating"].to_numpy(np.float64)),
            "reliable": 1 - _filled(market.sellers["cancel_rate"].to_numpy(np.float64)),
        }
        for place, name in enumerate(NAMES):
            out[:, :, place] = column[name]
        return out

    @cached_property
    def of_seller(self) -> sparse.csr_array:
        """[S x live listings], 1 where a listing is the seller's."""
        code = self.market.shelf.seller_code
        return _indicator(code, self.market.n_sellers).T.tocsr()

    @cached_property
    def _part_of_category(self) -> sparse.csr_array:
        shelf = self.market.shelf
        return _parts(self.of_seller, shelf.category_code, len(shelf.category_ids))

    @cached_property
    def _cells(self) -> tuple[np.ndarray, int]:
        """Number of each listing's category and brand together, -1 where the shelf has no such category; how many."""
        shelf, listings = self.market.shelf, self.market.listings
        category = shelf.category_ids.get_indexer(pd.Index(listings[CATEGORY_ID]))
        brand = shelf.brands.get_indexer(pd.Index(listings["brand"].str.lower()))
        brands = len(shelf.brands) + 1
        return np.where(category >= 0, category * brands + brand + 1, -1), len(shelf.category_ids) * brands

    @cached_property
    def _part_of_cell(self) -> sparse.csr_array:
        code, width = self._cells
        return _parts(self.of_seller, code[self._live], width)

    @cached_property
    def listings_by_category(self) -> sparse.csr_array:
        """[categories x S], live listings."""
        shelf = self.market.shelf
        return sparse.csr_array((self.of_seller @ _indicator(shelf.category_code, len(shelf.category_ids))).T)

    @cached_property
    def own_categories(self) -> sparse.csr_array:
        """[U x categories], points."""
        shelf = self.market.shelf
        code = shelf.category_ids.get_indexer(pd.Index(self.market.listings[CATEGORY_ID]))
        return sparse.csr_array(self.market.touched @ _indicator(code, len(shelf.category_ids)))

    @cached_property
    def seen_listings(self) -> sparse.csr_array:
        """[U x S], listings of a seller, live or not, that a user had to do with."""
        code = self.market.shelf.seller_ids.get_indexer(pd.Index(self.market.listings[SELLER_ID]))
        once = self.market.touched.copy()
        once.data = np.ones_like(once.data)
        return sparse.csr_array(once @ _indicator(code, self.market.n_sellers))

    def interest(self, users: np.ndarray) -> np.ndarray:
        """[len(users) x categories], rows sum to 1; of all users at once it would not fit into memory."""
        return _mixed(self.own_categories[users], self._shares[self.market.cohorts.code[users]])

    @cached_property
    def _shares(self) -> np.ndarray:
        """[cohorts + 1 x categories], the last row that of who has none."""
        return np.vstack([self.market.cohorts.share, self.market.shelf.category_share])

    @cached_property
    def _cell_interest(self) -> sparse.csr_array:
        """[U x cells], what is one's own of the interest."""
        own = sparse.csr_array(self.market.touched @ _indicator(*self._cells))
        total = np.asarray(own.sum(axis=1)).reshape(-1) + INTEREST_PRIOR
        return sparse.csr_array(sparse.diags_array((1 / total).astype(np.float32)) @ own)

    @cached_property
    def _vectors(self) -> np.ndarray:
        """[listings x dimensions], their mean over the live ones taken off."""
        listings = self.market.listings
        matrix = content_matrix(listings.rename(columns={CATEGORY_ID: "category"}), CONTENT_WEIGHTS)
        vectors = reduced(matrix, DIMENSIONS, self.seed)
        return vectors - vectors[self._live].mean(axis=0)

    @cached_property
    def _live(self) -> np.ndarray:
        return np.flatnonzero(self.market.listings["is_live"].to_numpy(bool))

    @cached_property
    def _pools(self) -> np.ndarray:
        """[S x dimensions]."""
        listed = self.market.listings["listed_on"].to_numpy("datetime64[D]")[self._live]
        age = (np.datetime64(self.market.ds, "D") - listed).astype(np.float64)
        weight = 0.5 ** (np.maximum(age, 0) / HALF_LIFE_DAYS)
        owner = sparse.csr_array(self.of_seller @ sparse.diags_array(weight))
        return _pooled(owner, self._vectors[self._live])

    @cached_property
    def _buyers(self) -> np.ndarray:
        """[U x dimensions]."""
        return _pooled(self.market.touched, self._vectors)

    @cached_property
    def common(self) -> sparse.csr_array:
        """[T x S], people who follow or bought from both; none of a seller with themselves."""
        bound = sparse.csc_array(self.market.bound)
        both = sparse.coo_array(bound.T @ bound[:, self.market.offered])
        keep = both.row != self.market.offered[both.col]
        return sparse.csr_array((both.data[keep], (both.row[keep], both.col[keep])), both.shape)

    @cached_property
    def circle(self) -> sparse.csr_array:
        """[T x S], cosine of two sellers over their people, drawn towards 0."""
        common = sparse.coo_array(self.common)
        people = np.asarray(self.market.bound.sum(axis=0), np.float32) + CIRCLE_PRIOR
        norm = np.sqrt(people[common.row] * people[self.market.offered[common.col]])
        return sparse.csr_array((common.data / norm, (common.row, common.col)), common.shape)

    @cached_property
    def _popular(self) -> np.ndarray:
        return np.log1p(popularity(self.market)).astype(np.float32)

    @cached_property
    def _item_level(self) -> np.ndarray:
        """Log price of every listing less the mean of its category on the shelf."""
        shelf, listings = self.market.shelf, self.market.listings
        code = shelf.category_ids.get_indexer(pd.Index(listings[CATEGORY_ID]))
        price = np.log(np.maximum(listings["price"].to_numpy(np.float64), 0.01))
        total = np.bincount(
            shelf.category_code, np.log(np.maximum(shelf.price, 0.01)), len(shelf.category_ids)
        )
        mean = total / np.maximum(np.bincount(shelf.category_code, minlength=len(shelf.category_ids)), 1)
        return np.where(code >= 0, price - mean[code], 0.0)

    @cached_property
    def _levels(self) -> np.ndarray:
        return _pooled(self.of_seller, self._item_level[self._live, None])[:, 0]

    @cached_property
    def _buyer_level(self) -> np.ndarray:
        return _pooled(self.market.touched, self._item_level[:, None])[:, 0]


def popularity(market: Market) -> np.ndarray:
    """How many follow or bought from each seller, each counted by what is left of its weight: [S]."""
    weight = market.bound.multiply(market.ties).sum(axis=0)
    return np.asarray(weight, np.float64)[market.offered]


def _indicator(code: np.ndarray, width: int) -> sparse.csr_array:
    row = np.flatnonzero(code >= 0)
    return sparse.csr_array((np.ones(len(row), np.float32), (row, code[row])), (len(code), width))


def _parts(of_seller: sparse.csr_array, code: np.ndarray, width: int) -> sparse.csr_array:
    """[width x S], the part of the listings of each kind that is the seller's."""
    count = sparse.csr_array((of_seller @ _indicator(code, width)).T)
    total = np.maximum(np.asarray(count.sum(axis=1)).reshape(-1), 1)
    return sparse.csr_array(sparse.diags_array((1 / total).astype(np.float32)) @ count)


def _mixed(own: sparse.csr_array, usual: np.ndarray) -> np.ndarray:
    points = own.toarray().astype(np.float64)
    mixed = points + INTEREST_PRIOR * usual
    return np.asarray(mixed / np.maximum(mixed.sum(axis=1, keepdims=True), 1e-12), np.float32)


def _pooled(weights: sparse.csr_array, values: np.ndarray) -> np.ndarray:
    """Weighted means of ``values`` drawn towards 0: [rows of weights, columns of values]."""
    total = np.asarray(weights.sum(axis=1)).reshape(-1, 1)
    return np.asarray((weights @ values) / (total + PRIOR), np.float32)


def dampened(ties: sparse.csr_array) -> sparse.csr_array:
    """Logs of weights: the tenth visit to a seller says less than the first."""
    weights = ties.copy()
    weights.data = np.log1p(weights.data)
    return weights


def _log(share: np.ndarray) -> np.ndarray:
    return np.log(share + _FLOOR)


def _filled(values: np.ndarray) -> np.ndarray:
    """Without what is missing: the mean stands in."""
    known = values[np.isfinite(values)]
    return np.where(np.isfinite(values), values, known.mean() if len(known) else 0.0)
