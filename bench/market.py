"""The marketplace that is measured: its users, sellers and listings as arrays, drawn from one seed.

Made for volume, not for behaviour: `recsys.synthetic` is the marketplace that answers to what it is shown. Activity,
popularity and prices are heavy-tailed, and a user keeps to a few categories and one price level, so that groups
co-occur. A listing of which one exists is sold once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

Array = np.ndarray

LAST_DAY = date(2026, 3, 31)
DAYS = 90
FIRST_DAY = LAST_DAY - timedelta(days=DAYS - 1)
DAY = 86_400
NEVER = np.iinfo(np.int64).max
PARENTS, LEAVES = 20, 300
BRANDS, CONDITIONS, REGIONS, TIERS = 400, 4, 8, 3
SOLD, WITHDRAWN, EXPIRED = 1, 2, 3
FAVOURITES = (0.5, 0.3, 0.2)
HOURS = np.array([3, 2, 1, 1, 1, 2, 4, 6, 7, 7, 7, 8, 9, 8, 7, 7, 8, 9, 11, 13, 15, 15, 11, 6], dtype=float)


@dataclass(frozen=True)
class Size:
    """How large a marketplace is; ``users`` are those active within the 90 days, ``listings`` those live at the end."""

    name: str
    users: int
    listings: int
    events: int

    @property
    def sold(self) -> int:
        """Listings sold within the 90 days."""
        return self.events // 110


SIZES = {
    "full": Size("full", 100_000, 1_000_000, 20_000_000),
    "tenth": Size("tenth", 10_000, 100_000, 2_000_000),
}


@dataclass(frozen=True)
class Users:
    """One entry per user, N in all; times are seconds since 1970. ``favourites`` (N, 3) are leaves."""

    registered: Array
    birth_year: Array
    gender: Array
    region: Array
    tier: Array
    device: Array
    favourites: Array
    activity: Array


@dataclass(frozen=True)
class Sellers:
    """One entry per seller; ``user`` is the seller as a user."""

    user: Array
    rating: Array
    ratings: Array
    verified: Array
    ships_within: Array


@dataclass(frozen=True)
class Listings:
    """One entry per listing, in order of listing. ``buyer`` is a user, -1 where unsold; ``reason`` 0 while live."""

    seller: Array
    leaf: Array
    tier: Array
    brand: Array
    condition: Array
    price: Array
    listed: Array
    closed: Array
    reason: Array
    buyer: Array
    cancelled: Array
    auction: Array
    appeal: Array

    @property
    def auction_ends(self) -> Array:
        """When an auction ends: seven days after it was listed; NEVER for a fixed price."""
        return np.where(self.auction, self.listed + 7 * DAY, NEVER)


@dataclass(frozen=True)
class Market:
    """All that events are drawn from."""

    size: Size
    seed: int
    users: Users
    sellers: Sellers
    listings: Listings
    leaf_share: Array


def second(day: date) -> int:
    """First second of a day, since 1970 in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def hour_times(rng: np.random.Generator, n: int) -> Array:
    """Seconds of a day, more of them in the evening."""
    hour = rng.choice(24, n, p=HOURS / HOURS.sum())
    return hour * 3600 + rng.integers(0, 3600, n)


def make_market(size: Size, seed: int) -> Market:
    """Draw the whole marketplace; the same size and seed give the same arrays."""
    rng = np.random.default_rng([seed, size.users])
    leaf_share = rng.permutation(1 / np.arange(1, LEAVES + 1) ** 0.7)
    leaf_share /= leaf_share.sum()
    users = _users(rng, size, leaf_share)
    sellers = _sellers(rng, size)
    return Market(size, seed, users, sellers, _listings(rng, size, users, sellers, leaf_share), leaf_share)


def _users(rng: np.random.Generator, size: Size, leaf_share: Array) -> Users:
    """The first ``size.users`` are active; a fifth more registered long ago and do not come any more."""
    active, n = size.users, size.users + size.users // 5
    age = rng.exponential(300, n).clip(0, 1400)
    age[active:] += DAYS
    activity = np.maximum(rng.lognormal(-0.72, 1.2, n), 0.25)
    activity[active:] = 0
    return Users(
        registered=second(LAST_DAY) + DAY // 2 - (age * DAY).astype(np.int64),
        birth_year=rng.integers(1950, 2009, n),
        gender=rng.choice(3, n, p=[0.5, 0.44, 0.06]),
        region=rng.choice(REGIONS, n),
        tier=rng.choice(TIERS, n),
        device=rng.choice(3, n, p=[0.5, 0.4, 0.1]),
        favourites=rng.choice(LEAVES, (n, len(FAVOURITES)), p=leaf_share),
        activity=activity,
    )


def _sellers(rng: np.random.Generator, size: Size) -> Sellers:
    n = size.users // 4
    return Sellers(
        user=np.sort(rng.choice(size.users, n, replace=False)),
        rating=np.round(rng.beta(9, 1, n) * 5, 2),
        ratings=rng.geometric(0.04, n),
        verified=rng.random(n) < 0.3,
        ships_within=rng.choice([1, 2, 3, 7], n, p=[0.3, 0.4, 0.2, 0.1]),
    )


def _listings(
    rng: np.random.Generator, size: Size, users: Users, sellers: Sellers, leaf_share: Array
) -> Listings:
    closed_n = size.sold * 7 // 5
    n = size.listings + closed_n
    end = second(LAST_DAY) + DAY
    closed = np.full(n, NEVER)
    closed[size.listings :] = _closings(rng, closed_n)
    until = np.minimum(closed, end)
    age = np.where(closed == NEVER, rng.exponential(110, n), rng.exponential(18, n) + 0.05)
    listed = until - 1 - (age.clip(0, 700) * DAY).astype(np.int64)
    volume = rng.lognormal(0, 1.3, len(sellers.user))
    seller = rng.choice(len(sellers.user), n, p=volume / volume.sum())
    leaf = rng.choice(LEAVES, n, p=leaf_share)
    brand = (leaf * 7 + np.minimum(rng.geometric(0.22, n), 14)) % BRANDS
    tier, price = _prices(rng, leaf, brand)
    reason = np.zeros(n, np.int64)
    reason[size.listings :] = np.where(
        rng.permutation(closed_n) < size.sold, SOLD, rng.choice([WITHDRAWN, EXPIRED], closed_n)
    )
    buyer = _buyers(rng, users, leaf, closed, reason)
    reason[(reason == SOLD) & ((buyer < 0) | (buyer == sellers.user[seller]))] = WITHDRAWN
    cancelled = np.where(
        (reason == SOLD) & (rng.random(n) < 0.04), closed + rng.integers(3600, 3 * DAY, n), NEVER
    )
    order = np.argsort(listed, kind="stable")
    columns = {
        "seller": seller,
        "leaf": leaf,
        "tier": tier,
        "brand": np.where(rng.random(n) < 0.35, -1, brand),
        "condition": rng.choice(CONDITIONS, n, p=[0.15, 0.4, 0.35, 0.1]),
        "price": price,
        "listed": listed,
        "closed": closed,
        "reason": reason,
        "buyer": np.where(reason == SOLD, buyer, -1),
        "cancelled": cancelled,
        "auction": (until - listed < 7 * DAY) & (rng.random(n) < 0.3),
        "appeal": rng.lognormal(0, 1.5, n),
    }
    return Listings(**{name: values[order] for name, values in columns.items()})


def _closings(rng: np.random.Generator, n: int) -> Array:
    day = rng.integers(0, DAYS, n)
    return second(FIRST_DAY) + day * DAY + hour_times(rng, n)


def _prices(rng: np.random.Generator, leaf: Array, brand: Array) -> tuple[Array, Array]:
    """Price level within the leaf (0 low, 2 high), and price."""
    leaf_level = rng.normal(np.log(22), 0.8, LEAVES)
    brand_level = rng.normal(0, 0.35, BRANDS)
    spread = brand_level[brand] + rng.normal(0, 0.5, len(leaf))
    price = np.exp(leaf_level[leaf] + spread).clip(1, 20_000)
    return np.digitize(spread, [-0.26, 0.26]), np.round(price * 2) / 2


def _buyers(rng: np.random.Generator, users: Users, leaf: Array, closed: Array, reason: Array) -> Array:
    """A buyer who likes the leaf and was there at the time, for each listing sold; -1 where none was found."""
    fans = np.repeat(np.arange(len(users.activity)), len(FAVOURITES))
    leaves = users.favourites.ravel()
    order = np.argsort(leaves, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(users.activity[fans[order]])])
    bounds = total[np.searchsorted(leaves[order], np.arange(LEAVES + 1))]
    buyer = np.full(len(leaf), -1)
    for _ in range(8):
        open_ = np.flatnonzero((reason == SOLD) & (buyer < 0))
        low, high = bounds[leaf[open_]], bounds[leaf[open_] + 1]
        place = np.searchsorted(total, low + rng.random(len(open_)) * (high - low), side="right") - 1
        drawn = fans[order][place.clip(0, len(order) - 1)]
        there = (high > low) & (users.registered[drawn] + DAY < closed[open_])
        buyer[open_[there]] = drawn[there]
    return buyer
