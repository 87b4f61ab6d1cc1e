"""Who follows which seller: the better a shelf suits a buyer beside the rest of the market, the likelier.

A buyer who liked or bought something looks at the shelf it came from. How well that shelf suits the buyer is the mean
over its open listings of what ``taste`` adds up for one listing (category, brand, style, price level), less the mean
over the whole market for the same buyer, drawn towards 0 as if ``PRIOR`` listings more stood at the mean. The chance to
follow is logistic in it, and falls with how often the seller cancels. Who follows a seller does not follow again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys.synthetic.draws import Array, Draws
from recsys.synthetic.state import DAY, NEVER, Columns, State, append, day_start
from recsys.synthetic.vocabulary import BRAND_NAMES
from recsys.synthetic.world import world_of

BASE = -3.6
SLOPE = 1.6
UNRELIABLE = -5.0
"""Assumptions: about 7 of 100 who liked or bought something follow, as before there was a truth; of those whose taste
the shelf meets one standard deviation better, more than twice as many."""
PRIOR = 3.0
SHELF_ROWS = 4
SHELF_DAYS = 7


@dataclass(frozen=True)
class Shelves:
    """What sellers offer, in the terms of taste; row S, the last, is the whole market.

    ``leaves`` and ``brands`` hold shares, so do not sum to 1 where listings have no brand; ``style`` (S + 1, D);
    ``level`` is the mean log price over what is usual in the category; ``count`` the open listings.
    """

    leaves: Array
    brands: Array
    style: Array
    level: Array
    count: Array


def shelves_of(state: State) -> Shelves:
    """The open listings of every seller, averaged and drawn towards those of the market."""
    items, world, sellers = state.items, world_of(state.config), len(state.sellers["user"])
    open_ = np.flatnonzero(items["closed"] == NEVER)
    who = items["seller"][open_]
    count = np.bincount(who, minlength=sellers).astype(np.float64)
    owner = sparse.csr_array((np.ones(len(open_)), (who, np.arange(len(open_)))), (sellers, len(open_)))
    leaf, brand = items["leaf"][open_], items["brand"][open_]
    attribute = world.attribute_style
    facts = (
        np.eye(len(world.leaf_weight))[leaf],
        np.eye(len(BRAND_NAMES) + 1)[brand][:, :-1],
        attribute[items["first"][open_]] + 0.6 * attribute[items["second"][open_]],
        (np.log(items["price"][open_]) - world.leaf_log_price[leaf])[:, None],
    )
    leaves, brands, style, level = (_drawn(owner, count, values) for values in facts)
    return Shelves(leaves, brands, style, level[:, 0], np.append(count, len(open_)))


def _drawn(owner: sparse.csr_array, count: Array, values: Array) -> Array:
    market = values.mean(axis=0) if len(values) else np.zeros(values.shape[1])
    return np.vstack([(owner @ values + PRIOR * market) / (count + PRIOR)[:, None], market])


def suit(state: State, shelves: Shelves, user: Array, seller: Array) -> Array:
    """How well shelves suit buyers, pair by pair; 0 is as well as the market as a whole."""
    users, market = state.users, len(shelves.count) - 1
    category = np.clip(users["interest"] + np.log(shelves.leaves.shape[1]), -2.0, 3.2)
    total = 0.9 * np.einsum("nd,nd->n", category[user], shelves.leaves[seller] - shelves.leaves[market])
    total += 0.55 * np.einsum(
        "nd,nd->n", users["brand_taste"][user], shelves.brands[seller] - shelves.brands[market]
    )
    total += 0.3 * np.einsum(
        "nd,nd->n", users["style_taste"][user], shelves.style[seller] - shelves.style[market]
    )
    dear = [-np.abs(shelves.level[who] - users["tier"][user]) for who in (seller, market)]
    return np.asarray(total + 0.3 * (dear[0] - dear[1]), dtype=np.float64)


def chance(state: State, shelves: Shelves, user: Array, seller: Array) -> Array:
    """Chance that a buyer who liked or bought something of a seller follows them, pair by pair."""
    unreliable = UNRELIABLE * state.sellers["cancel"][seller]
    return np.asarray(1 / (1 + np.exp(-BASE - SLOPE * suit(state, shelves, user, seller) - unreliable)))


def fans(state: State, user: Array, item: Array, draws: Draws) -> Array:
    """Who follows on a day: positions in ``user`` and ``item``, pairs of what was liked or bought, in order.

    A buyer follows a seller once; who follows already is left out, and so is the seller.
    """
    seller = state.items["seller"][item]
    key = user * np.int64(2**32) + seller
    known = state.follows["user"] * np.int64(2**32) + state.follows["seller"] if state.follows else key[:0]
    new = np.flatnonzero(~np.isin(key, known) & (state.sellers["user"][seller] != user))
    luck = draws.uniform("follow", user[new], item[new])
    new = new[luck < chance(state, shelves_of(state), user[new], seller[new])]
    _, first = np.unique(key[new], return_index=True)
    return np.sort(new[first])


def followed(state: State, user: Array, item: Array, time: Array) -> Columns:
    """The follows of a state with new ones: columns ``user``, ``seller`` (its number), ``since`` (microseconds)."""
    return append(state.follows, {"user": user, "seller": state.items["seller"][item], "since": time})


def follower_rows(state: State, pages: Columns, surface: int, draws: Draws) -> list[Columns]:
    """Rows that stand first on some pages of ``surface``: newest listings of sellers whom the user follows.

    A share ``follow_reach`` of these pages has up to SHELF_ROWS of them, listed within SHELF_DAYS. Nothing while
    nobody follows, or the share is 0.
    """
    if not state.follows or state.config.follow_reach <= 0:
        return []
    items = state.items
    page = np.flatnonzero(pages["surface"] == surface)
    page = page[draws.uniform("shelf", page) < state.config.follow_reach]
    fresh = np.flatnonzero((items["closed"] == NEVER) & (items["listed"] > _since(state)))
    follows = state.follows
    people, sellers = state.n_users, len(state.sellers["user"])
    follow = sparse.csr_array(
        (np.ones(len(follows["user"])), (follows["user"], follows["seller"])), (people, sellers)
    )
    offer = sparse.csr_array(
        (np.ones(len(fresh)), (items["seller"][fresh], np.arange(len(fresh)))), (sellers, len(fresh))
    )
    shown = sparse.coo_array(follow[pages["user"][page]] @ offer)
    order = np.lexsort((-items["listed"][fresh[shown.col]], shown.row))
    row, item = shown.row[order], fresh[shown.col[order]]
    starts = np.searchsorted(row, np.arange(len(page) + 1))
    keep = np.arange(len(row)) - starts[row] < SHELF_ROWS
    n = int(keep.sum())
    rows = {"page": page[row[keep]], "item": item[keep]}
    return [rows | {"propensity": np.full(n, np.nan), "keyword": np.full(n, -1)}]


def _since(state: State) -> int:
    return day_start(state.ds) - SHELF_DAYS * DAY
