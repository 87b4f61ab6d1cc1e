"""What is known at the end of a day of listings, sellers and who had to do with whom, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from scipy import sparse

from recsys.features.cohort import Cohorts
from recsys.features.shelf import Shelf
from recsys.schema import CATEGORY_ID, GROUP_ID, ITEM_ID, SELLER_ID, USER_ID, WEIGHT

LISTINGS = (
    ITEM_ID,
    SELLER_ID,
    CATEGORY_ID,
    "category_name",
    "title",
    "brand",
    "condition",
    "price",
    "listed_on",
    "is_live",
)
TOUCHED = (USER_ID, ITEM_ID, WEIGHT)
TIES = (USER_ID, SELLER_ID, WEIGHT, "follows", "purchases")
SELLERS = (SELLER_ID, "rating", "cancel_rate", "tenure_days", "own_rating", "ratings")
USERS = (USER_ID, "gender", "birth_year", "region")
COHORTS = ("cohort", CATEGORY_ID, "share", "drawn")
FRAMES = {
    "listings": LISTINGS,
    "touched": TOUCHED,
    "ties": TIES,
    "sellers": SELLERS,
    "users": USERS,
    "cohorts": COHORTS,
}
"""The frames ``Market.from_frames`` reads and their columns; weights are halved every 30 days.

``rating`` is drawn to the market's mean; ``own_rating`` is the plain mean of a seller's ``ratings`` (how many)."""


@dataclass(frozen=True)
class Market:
    """One evening. S sellers with a live listing, U users to make lists for, T sellers of the ties, P people.

    ``shelf``: the live listings, whose ``seller_ids`` are the S sellers. ``listings``: those and the closed ones that
    users had to do with. ``touched``: [U x listings], decayed points. ``ties``: [P x T], decayed points of everybody
    with a seller, a follow among them; ``bound``: the same pattern where they follow or bought. ``offered``: the S
    sellers' places among the T, ``own``: places of the U among the P.
    """

    ds: date
    shelf: Shelf
    listings: pd.DataFrame
    users: pd.Index
    sellers: pd.DataFrame
    cohorts: Cohorts
    touched: sparse.csr_array
    ties: sparse.csr_array
    bound: sparse.csr_array
    tied: pd.Index
    offered: np.ndarray
    own: np.ndarray

    @classmethod
    def from_frames(cls, frames: Mapping[str, pd.DataFrame], ds: date) -> Market:
        """Read the FRAMES of an evening; lists can be made for ``frames["users"]``."""
        listings = frames["listings"].sort_values(ITEM_ID, kind="stable", ignore_index=True)
        live = listings[listings["is_live"].to_numpy(bool)]
        shelf = Shelf.from_frame(live.assign(**{GROUP_ID: live[CATEGORY_ID]}))
        people = frames["users"].sort_values(USER_ID, kind="stable", ignore_index=True)
        users = pd.Index(people[USER_ID], dtype=object)
        ties = frames["ties"]
        tied = pd.Index(sorted({*ties[SELLER_ID], *shelf.seller_ids}), dtype=object)
        everybody = pd.Index(sorted({*ties[USER_ID], *users}), dtype=object)
        row, column = (
            everybody.get_indexer(pd.Index(ties[USER_ID])),
            tied.get_indexer(pd.Index(ties[SELLER_ID])),
        )
        shape = (len(everybody), len(tied))
        bound = (ties["follows"].to_numpy() + ties["purchases"].to_numpy() > 0).astype(np.float32)
        known = frames["sellers"].set_index(SELLER_ID).reindex(shelf.seller_ids)
        return cls(
            ds=ds,
            shelf=shelf,
            listings=listings,
            users=users,
            sellers=known,
            cohorts=Cohorts.build(shelf, people, frames["cohorts"], ds.year),
            touched=_touched(frames["touched"], users, pd.Index(listings[ITEM_ID], dtype=object)),
            ties=sparse.csr_array((ties[WEIGHT].to_numpy(np.float32), (row, column)), shape),
            bound=_without_zeros(sparse.csr_array((bound, (row, column)), shape)),
            tied=tied,
            offered=tied.get_indexer(shelf.seller_ids),
            own=everybody.get_indexer(users),
        )

    @property
    def n_sellers(self) -> int:
        """Sellers who have a live listing."""
        return len(self.shelf.seller_ids)

    def barred(self, users: np.ndarray) -> sparse.csr_array:
        """Sellers a user is never shown, [users x S]: themselves and those they follow or bought from."""
        rows = sparse.csr_array(self.bound[self.own[users]][:, self.offered])
        place = self.shelf.seller_ids.get_indexer(self.users[users])
        self_ = np.flatnonzero(place >= 0)
        own = sparse.csr_array((np.ones(len(self_), np.float32), (self_, place[self_])), rows.shape)
        return sparse.csr_array(rows + own)


def _touched(touched: pd.DataFrame, users: pd.Index, items: pd.Index) -> sparse.csr_array:
    row, column = users.get_indexer(pd.Index(touched[USER_ID])), items.get_indexer(pd.Index(touched[ITEM_ID]))
    keep = (row >= 0) & (column >= 0)
    weight = touched[WEIGHT].to_numpy(np.float32)[keep]
    return sparse.csr_array((weight, (row[keep], column[keep])), (len(users), len(items)))


def _without_zeros(matrix: sparse.csr_array) -> sparse.csr_array:
    matrix.eliminate_zeros()
    return matrix


def values_at(matrix: sparse.csr_array, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Values of pairs of a row and a column, 0 where there are none: [pairs]."""
    kept = sparse.coo_array(matrix)
    keys = kept.row.astype(np.int64) * matrix.shape[1] + kept.col
    order = np.argsort(keys, kind="stable")
    wanted = rows.astype(np.int64) * matrix.shape[1] + columns
    place = np.minimum(np.searchsorted(keys[order], wanted), max(len(keys) - 1, 0))
    if not len(keys):
        return np.zeros(len(wanted), matrix.dtype)
    return np.where(keys[order][place] == wanted, kept.data[order][place], 0)
