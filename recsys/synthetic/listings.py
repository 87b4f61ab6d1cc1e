"""Listings: how they are made, how they age, and how they leave the shelf unsold."""

from __future__ import annotations

from datetime import date

import numpy as np

from recsys.synthetic.config import MarketplaceConfig
from recsys.synthetic.draws import Array, Draws
from recsys.synthetic.state import DAY, NEVER, SECOND, Columns, State, append, day_start
from recsys.synthetic.vocabulary import LEAVES
from recsys.synthetic.world import World, world_of

WITHDRAWN, EXPIRED, SOLD = 0, 1, 2
CLOSE_REASONS = ("withdrawn", "expired", "sold")
_CONDITION_LOG_PRICE = np.array([0.35, 0.12, -0.12, -0.55])
_NOUNS = np.array([len(leaf.nouns) for leaf in LEAVES])


def list_day(state: State, ds: date) -> None:
    """Add the listings of day ``ds`` to the shelf, spread over the day, and start campaigns for some."""
    config, draws = state.config, Draws(state.config.seed, ds)
    rng = draws.generator("listings")
    season = world_of(config).season_on(ds) + state.trend
    n = rng.poisson(config.listings_per_day * (1.15 if ds.weekday() >= 5 else 0.94))
    listed = day_start(ds) + np.sort((rng.beta(2.2, 1.6, n) * DAY).astype(np.int64))
    add_listings(state, make_listings(config, rng, state.sellers, listed, season))


def make_listings(
    config: MarketplaceConfig, rng: np.random.Generator, sellers: Columns, listed: Array, season: Array
) -> Columns:
    """Draw listings put up at the times ``listed`` (microseconds, ascending).

    ``fair`` is what the thing is worth, ``price`` what the seller asks; ``quality`` is how good the photos and the text
    are, which buyers see and tables do not. ``ends`` is the planned end: of the auction, or of the listing.
    """
    n, world = len(listed), world_of(config)
    seller = rng.choice(len(sellers["user"]), n, p=sellers["volume"] / sellers["volume"].sum())
    own = sellers["leaves"][seller, rng.choice(3, n, p=[0.55, 0.3, 0.15])]
    any_leaf = rng.choice(len(LEAVES), n, p=_softmax(np.log(world.leaf_weight) + 0.3 * season))
    leaf = np.where(rng.random(n) < 0.3, any_leaf, own)
    brand = _pick_brands(world, rng, leaf)
    attributes = _pick_attributes(world, rng, leaf)
    condition = rng.choice(4, n, p=[0.17, 0.3, 0.4, 0.13])
    brand_price = np.where(brand >= 0, world.brand_log_price[brand] + 0.1, -0.15)
    fair = world.leaf_log_price[leaf] + brand_price + _CONDITION_LOG_PRICE[condition] + rng.normal(0, 0.42, n)
    auction = rng.random(n) < config.auction_share
    ask = np.exp(fair + rng.normal(0.06, 0.22, n) - np.where(auction, 0.85, 0.0))
    if config.behaviour == "choice":  # Pareto tails on both sides
        tail = rng.laplace(0, 0.3, n)
        fair, ask = fair + tail, ask * np.exp(tail)
    days = np.where(auction, rng.choice([3, 5, 7], n, p=[0.35, 0.25, 0.4]), config.lifetime_days)
    price = tidy_price(np.minimum(ask, config.price_cap))
    return {
        "seller": seller,
        "leaf": leaf,
        "brand": brand,
        "noun": rng.integers(0, _NOUNS[leaf]),
        "first": attributes[:, 0],
        "second": attributes[:, 1],
        "size": rng.integers(0, 5, n),
        "condition": condition,
        "wording": rng.integers(0, 1_000, n),
        "price": price,
        "first_price": price.copy(),
        "fair": np.exp(fair),
        "quality": rng.normal(0, 0.55, n) + sellers["quality"][seller],
        "take": _take_rates(leaf, world),
        "buyer_pays_shipping": rng.random(n) < 0.6,
        "stock": rng.choice([1, 2, 5], n, p=[0.97, 0.02, 0.01]) * ~auction + auction,
        "auction": auction,
        "listed": listed,
        "ends": listed + days * DAY,
        "closed": np.full(n, NEVER),
        "reason": np.full(n, -1),
        "heat": np.zeros(n),
        "bids": np.zeros(n, dtype=np.int64),
        "top_bid": np.zeros(n),
        "top_bidder": np.full(n, -1),
    }


def add_listings(state: State, items: Columns) -> None:
    """Put listings on the shelf; their first price is a row of ``prices`` too."""
    first = state.n_items if state.items else 0
    state.items = append(state.items, items)
    number = np.arange(first, first + len(items["listed"]))
    state.prices = append(
        state.prices, {"item": number, "changed": items["listed"].copy(), "price": items["price"].copy()}
    )


def age_day(state: State, ds: date) -> Array:
    """Lower some prices and plan who leaves the shelf during day ``ds``.

    Returns:
        The moment each listing is gone if nobody buys it (n_items,), NEVER for those that stay.
    """
    config, items, start = state.config, state.items, day_start(ds)
    rng = Draws(config.seed, ds).generator("ageing")
    items["heat"] *= 0.8
    gone = items["closed"].copy()
    open_ = np.flatnonzero(gone == NEVER)
    ends = items["ends"][open_]
    gone[open_[ends < start + DAY]] = ends[ends < start + DAY]
    withdrawn = (rng.random(len(open_)) < config.withdraw_daily) & ~items["auction"][open_]
    withdrawn &= items["listed"][open_] < start
    leave = start + (rng.random(len(open_)) * DAY).astype(np.int64)
    gone[open_[withdrawn]] = np.minimum(gone[open_[withdrawn]], leave[withdrawn])

    ageing = (items["listed"][open_] < start - 5 * DAY) & ~items["auction"][open_] & (gone[open_] == NEVER)
    drops = open_[ageing & (rng.random(len(open_)) < config.price_drop_daily)]
    lower = tidy_price(items["price"][drops] * rng.uniform(0.82, 0.95, len(drops)))
    drops, lower = drops[lower < items["price"][drops]], lower[lower < items["price"][drops]]
    items["price"][drops] = lower
    # Drops take effect before the first visit, so that a price is one price all day.
    state.prices = append(
        state.prices, {"item": drops, "changed": np.full(len(drops), start + SECOND), "price": lower}
    )
    return gone


def first_shelf(config: MarketplaceConfig, rng: np.random.Generator, sellers: Columns) -> Columns:
    """The listings that are up when the world begins: those of the last weeks that would still be there."""
    start, days = day_start(config.first_day), config.lifetime_days
    n = rng.poisson(config.listings_per_day * days)
    listed = np.sort(start - 1 - (rng.random(n) * days * DAY).astype(np.int64))
    season = world_of(config).season_on(config.first_day)
    items = make_listings(config, rng, sellers, listed, season)
    age = (start - listed) / DAY
    attraction = np.clip(np.exp(0.5 * items["quality"] + np.log(items["fair"] / items["price"])), 0.2, 4)
    stays = rng.random(n) < np.exp(-age * (config.withdraw_daily + 0.012 * attraction))
    rows = stays & (items["ends"] > start)
    return {name: values[rows] for name, values in items.items()}


def tidy_price(price: Array) -> Array:
    """Round as people do: 50 cents below 20, whole units below 100, fives above; never below 1."""
    step = np.select([price < 20, price < 100], [0.5, 1.0], 5.0)
    return np.maximum(np.round(price / step) * step, 1.0)


def _take_rates(leaf: Array, world: World) -> Array:
    by_parent = np.array([0.12, 0.12, 0.12, 0.08, 0.09, 0.1, 0.12, 0.1, 0.12, 0.1])
    return by_parent[world.leaf_parent[leaf]]


def _pick_brands(world: World, rng: np.random.Generator, leaf: Array) -> Array:
    draw, unbranded = rng.random(len(leaf)), rng.random(len(leaf)) < 0.25
    brand = np.full(len(leaf), -1)
    for parent, brands in enumerate(world.parent_brands):
        rows = world.leaf_parent[leaf] == parent
        share = np.cumsum(1 / np.arange(1, len(brands) + 1) ** 0.7)
        brand[rows] = brands[np.searchsorted(share / share[-1], draw[rows])]
    brand[unbranded] = -1
    return brand


def _pick_attributes(world: World, rng: np.random.Generator, leaf: Array) -> Array:
    chance = world.leaf_attributes.cumsum(axis=1)
    picked = [(chance[leaf] < rng.random((len(leaf), 1))).sum(axis=1) for _ in range(2)]
    return np.minimum(np.stack(picked, axis=1), chance.shape[1] - 1)


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return e / e.sum()
