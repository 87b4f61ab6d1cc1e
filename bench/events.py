"""The events of one day, as arrays: who did what with which listing, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from bench.market import (
    DAY,
    DAYS,
    FAVOURITES,
    LEAVES,
    SOLD,
    TIERS,
    Array,
    Market,
    hour_times,
    second,
)
from recsys.schema import EVENT_TYPES

TYPE = {name: code for code, name in enumerate(EVENT_TYPES)}
SURFACES = ("recommendation", "search", "browse", "item")
RECOMMENDATION, SEARCH, BROWSE, ITEM = range(4)
NONE = -1
FIELDS = (
    "ts",
    "user",
    "type",
    "item",
    "seller",
    "query",
    "amount",
    "quantity",
    "surface",
    "request",
    "position",
)
LIST_LENGTH = 8
CLICK_RATE = 0.05
FOUND = 10_000_000  # requests of buyers are numbered from here
SHARE = {  # of all events of a day; clicks count among the views, purchases and cancels come on top
    "recommended": 0.40,
    "searched": 0.15,
    "view": 0.30,
    "search": 0.06,
    "like": 0.04,
    "cart": 0.015,
    "offer": 0.01,
    "bid": 0.01,
    "follow": 0.005,
}

Rows = dict[str, Array]


@dataclass(frozen=True)
class Visits:
    """What the events of one day are drawn from.

    ``shelf``: listings that may be met all day, by cell (leaf and price level), ``total`` the running sum of their
    appeal and ``bounds`` that sum where each cell begins; ``activity`` the running sum over users.
    """

    market: Market
    rng: np.random.Generator
    start: int
    shelf: Array
    total: Array
    bounds: Array
    activity: Array

    @classmethod
    def on(cls, market: Market, day: date, rng: np.random.Generator) -> Visits:
        """Everything that holds at the beginning of ``day``."""
        listings, start = market.listings, second(day)
        cell = listings.leaf * TIERS + listings.tier
        gone = np.minimum(listings.closed, listings.auction_ends)
        items = np.flatnonzero((listings.listed < start) & (gone >= start + DAY))
        items = items[np.argsort(cell[items], kind="stable")]
        fresh = 0.1 + np.exp(-(start - listings.listed[items]) / (20 * DAY))
        total = np.cumsum(listings.appeal[items] * fresh)
        places = np.searchsorted(cell[items], np.arange(LEAVES * TIERS + 1))
        there = np.where(market.users.registered < start, market.users.activity, 0)
        return cls(market, rng, start, items, total, np.concatenate([[0.0], total])[places], np.cumsum(there))

    def who(self, n: int) -> Array:
        """Draw users, the active ones more often."""
        return np.searchsorted(self.activity, self.rng.random(n) * self.activity[-1], side="right")

    def cells(self, users: Array) -> Array:
        """Draw what each user looks for: mostly their favourite leaves at their price level."""
        n, own = len(users), self.market.users
        favourite = own.favourites[users, self.rng.choice(len(FAVOURITES), n, p=FAVOURITES)]
        any_leaf = self.rng.choice(LEAVES, n, p=self.market.leaf_share)
        leaf = np.where(self.rng.random(n) < 0.85, favourite, any_leaf)
        tier = np.where(self.rng.random(n) < 0.7, own.tier[users], self.rng.integers(0, TIERS, n))
        return leaf * TIERS + tier

    def pick(self, cells: Array) -> Array:
        """Draw a listing for each cell; from the whole shelf where the cell is empty."""
        low, high = self.bounds[cells], self.bounds[cells + 1]
        empty = high <= low
        low, high = np.where(empty, 0.0, low), np.where(empty, self.total[-1], high)
        drawn = low + self.rng.random(len(cells)) * (high - low)
        place = np.searchsorted(self.total, drawn, side="right")
        return self.shelf[np.minimum(place, len(self.shelf) - 1)]


def day_events(market: Market, day: date) -> Rows:
    """All events that happen on ``day``, in order of time; ``FIELDS`` by name, NONE where a field has no value.

    ``ts`` and ``known`` are microseconds since 1970, ``amount`` is money (NaN for none). Some arrive days late, some
    twice, and a few name a listing that does not exist: what a real feed does.
    """
    visits = Visits.on(market, day, np.random.default_rng([market.seed, 1, day.toordinal()]))
    n = market.size.events / DAYS * (1 + 0.12 * np.cos(2 * np.pi * (day.weekday() - 5) / 7))
    shown, clicks = _recommended(visits, n)
    searches = _searches(visits, n)
    views = _views(visits, searches, round(n * SHARE["view"]) - len(clicks["ts"]))
    pieces = [
        shown,
        clicks,
        searches,
        _search_impressions(visits, searches, round(n * SHARE["searched"])),
        views,
        *_follow_ups(visits, views, n),
        _bids(visits, round(n * SHARE["bid"])),
        *_purchases(visits),
    ]
    rows = {name: np.concatenate([piece[name] for piece in pieces]) for name in FIELDS}
    end = (visits.start + DAY) * 1_000_000 - 1
    rows["ts"] = np.minimum(rows["ts"] + visits.start * 1_000_000, end)
    own = market.sellers.user[market.listings.seller[rows["item"]]] == rows["user"]
    keep = (rows["item"] == NONE) | ~own
    return _deliver({name: values[keep] for name, values in rows.items()}, visits.rng)


def _rows(ts: Array, user: Array, type_: str, **given: Array | int) -> Rows:
    """Rows of one type; ``ts`` in seconds of the day, what is not given has no value."""
    n = len(ts)
    rows = {name: np.full(n, NONE) for name in FIELDS} | {"amount": np.full(n, np.nan)}
    rows |= {name: np.broadcast_to(value, n) for name, value in given.items()}
    return rows | {
        "ts": (np.asarray(ts, np.float64) * 1_000_000).astype(np.int64),
        "user": user,
        "type": np.full(n, TYPE[type_]),
    }


def _recommended(visits: Visits, n: float) -> tuple[Rows, Rows]:
    """Lists that were shown, and the clicks on them."""
    rng = visits.rng
    requests = round(n * SHARE["recommended"] / LIST_LENGTH)
    lengths = rng.geometric(1 / LIST_LENGTH, requests).clip(1, 50)
    request = np.repeat(np.arange(requests), lengths)
    position = np.arange(len(request)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + 1
    user = visits.who(requests)[request]
    ts = hour_times(rng, requests)[request] + position * 1.5
    items = visits.pick(visits.cells(user))
    shown = _rows(
        ts, user, "impression", item=items, surface=RECOMMENDATION, request=request, position=position
    )
    clicked = np.flatnonzero(rng.random(len(request)) < CLICK_RATE * 1.6 / position**0.5)
    clicks = _rows(
        ts[clicked] + 4,
        user[clicked],
        "view",
        item=items[clicked],
        surface=RECOMMENDATION,
        request=request[clicked],
        position=position[clicked],
    )
    return shown, clicks


def _searches(visits: Visits, n: float) -> Rows:
    user = visits.who(round(n * SHARE["search"]))
    query = visits.cells(user) * 8 + np.minimum(visits.rng.geometric(0.35, len(user)), 8) - 1
    return _rows(hour_times(visits.rng, len(user)), user, "search", query=query, surface=SEARCH)


def _search_impressions(visits: Visits, searches: Rows, n: int) -> Rows:
    of = visits.rng.integers(0, len(searches["ts"]), n)
    items = visits.pick(searches["query"][of] // 8)
    ts = searches["ts"][of] / 1_000_000 + 1
    return _rows(
        ts, searches["user"][of], "impression", item=items, query=searches["query"][of], surface=SEARCH
    )


def _views(visits: Visits, searches: Rows, n: int) -> Rows:
    """Views that no list led to: four in ten after a search, the rest while browsing."""
    rng = visits.rng
    of = rng.integers(0, len(searches["ts"]), n)
    found = rng.random(n) < 0.4
    user = np.where(found, searches["user"][of], visits.who(n))
    cells = np.where(found, searches["query"][of] // 8, visits.cells(user))
    ts = np.where(found, searches["ts"][of] / 1_000_000 + rng.integers(5, 120, n), hour_times(rng, n))
    return _rows(
        ts,
        user,
        "view",
        item=visits.pick(cells),
        query=np.where(found, searches["query"][of], NONE),
        surface=np.where(found, SEARCH, BROWSE),
    )


def _follow_ups(visits: Visits, views: Rows, n: float) -> list[Rows]:
    """Likes, carts, offers and follows: each after a view."""
    rng, listings = visits.rng, visits.market.listings
    pieces = []
    for type_ in ("like", "cart", "offer", "follow"):
        of = rng.integers(0, len(views["ts"]), round(n * SHARE[type_]))
        item, user = views["item"][of], views["user"][of]
        ts = views["ts"][of] / 1_000_000 + rng.integers(5, 90, len(of))
        given: dict[str, Array | int] = {"item": item, "surface": ITEM}
        if type_ == "offer":
            given["amount"] = np.round(listings.price[item] * rng.uniform(0.7, 0.95, len(of)), 2)
        if type_ == "follow":
            given = {"seller": visits.market.sellers.user[listings.seller[item]], "surface": ITEM}
        pieces.append(_rows(ts, user, type_, **given))
    return pieces


def _bids(visits: Visits, n: int) -> Rows:
    rng, listings = visits.rng, visits.market.listings
    auctions = visits.shelf[listings.auction[visits.shelf]]
    if not len(auctions):
        n = 0
    item = auctions[(len(auctions) * rng.random(n) ** 2).astype(np.int64)]
    ts = hour_times(rng, n)
    raised = 1 + 0.08 * (visits.start + ts - listings.listed[item]) / DAY
    amount = np.round(listings.price[item] * raised, 2)
    return _rows(ts, visits.who(n), "bid", item=item, amount=amount, surface=ITEM)


def _purchases(visits: Visits) -> list[Rows]:
    """What is sold on the day, what led the buyer there, and cancels of earlier days' sales.

    Three in four buyers found the listing in a list they were shown; the others came by themselves.
    """
    rng, start, listings = visits.rng, visits.start, visits.market.listings
    sold = np.flatnonzero(
        (listings.reason == SOLD) & (listings.closed >= start) & (listings.closed < start + DAY)
    )
    undone = np.flatnonzero((listings.cancelled >= start) & (listings.cancelled < start + DAY))
    seen = sold[listings.listed[sold] < start]
    listed, alone = seen[rng.random(len(seen)) < 0.75], seen[rng.random(len(seen)) < 0.25]
    carted = seen[rng.random(len(seen)) < 0.6]
    request = {"surface": RECOMMENDATION, "request": FOUND + listed, "position": 1 + listed % LIST_LENGTH}
    pieces = []
    for type_, items, before, given in (
        ("impression", listed, rng.integers(900, 1800, len(listed)), request),
        ("view", listed, rng.integers(60, 900, len(listed)), request),
        ("view", alone, rng.integers(60, 900, len(alone)), {"surface": ITEM}),
        ("cart", carted, rng.integers(10, 60, len(carted)), {"surface": ITEM}),
        ("purchase", sold, 0, {"surface": ITEM, "amount": listings.price[sold], "quantity": 1}),
    ):
        times = (listings.closed[items] - start - before).clip(0)
        pieces.append(_rows(times, listings.buyer[items], type_, item=items, **given))
    money = {"surface": ITEM, "amount": listings.price[undone], "quantity": 1}
    pieces.append(
        _rows(listings.cancelled[undone] - start, listings.buyer[undone], "cancel", item=undone, **money)
    )
    return pieces


def _deliver(rows: Rows, rng: np.random.Generator) -> Rows:
    """Sort by time, number the events, and let some arrive late, twice or broken."""
    order = np.argsort(rows["ts"], kind="stable")
    rows = {name: values[order] for name, values in rows.items()}
    n = len(order)
    rows["event"] = np.arange(n)
    lag = rng.exponential(20, n) + np.where(rng.random(n) < 0.01, rng.random(n) ** 2 * 2.2 * DAY, 0)
    rows["known"] = rows["ts"] + (lag * 1_000_000).astype(np.int64)
    broken = (rng.random(n) < 0.0002) & (rows["item"] != NONE)
    rows["item"] = np.where(broken, -2, rows["item"])
    again = np.flatnonzero(rng.random(n) < 0.002)
    copies = {name: values[again] for name, values in rows.items()}
    copies["known"] = copies["known"] + 60_000_000
    return {name: np.concatenate([rows[name], copies[name]]) for name in rows}
