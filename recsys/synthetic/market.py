"""A day at the market: pages open in order of time, users look, click and buy, and what is sold is gone.

Contention for a stock of 1 is settled exactly: pages are taken in blocks of time, and a block is replayed until the
sales it assumed are the sales it made, so that no page shows what an earlier one sold.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from recsys.synthetic import adverts
from recsys.synthetic.draws import Array, Draws
from recsys.synthetic.state import DAY, SECOND, Columns, State
from recsys.synthetic.taste import Clicks, Taste, Wish

BLOCKS = 12
DAILY_PURCHASES = 2


@dataclass
class Sales:
    """Purchases of the day in order: row of the page, time (microseconds) and price paid."""

    row: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    price: list[float] = field(default_factory=list)


@dataclass
class Outcome:
    """What happened to each row: was it on screen, where, was it clicked; and the sales.

    ``position`` is 1-based and 0 where the row was not shown. ``offer`` is the price offered, NaN where none was.
    ``gone`` is the moment each listing leaves the shelf, NEVER for those still there at the end.
    """

    position: Array
    click: Array
    offer: Array
    sales: Sales
    gone: Array
    mood: Array
    wish: Wish
    user: Array


@dataclass
class _Intents:
    """Per row, settled before the day: would the user click once seen, buy once clicked, at what price."""

    user: Array
    seen_draw: Array
    clicks: Clicks
    pays: Array
    offer: Array
    delay: Array


def settle(
    state: State, pages: Columns, rows: Columns, gone: Array, *, taste: Taste, draws: Draws
) -> Outcome:
    """Play the pages of a day.

    Args:
        state: the market in the morning; not changed.
        pages: as ``visits.pages_of_day`` makes them, in order of time.
        rows: what pages could show, sorted by page, best first.
        gone: when each listing leaves the shelf if nobody buys it.
        taste: the wishes of the day.
        draws: the chances of the day.
    """
    mood, wish, intents = _intents(state, pages, rows, taste, draws)
    n, gone = len(rows["page"]), gone.copy()
    position, click = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    sales, ledger = Sales(), _Ledger(state)
    first_row = np.searchsorted(rows["page"], np.arange(len(pages["user"]) + 1))
    edges = np.linspace(0, len(pages["user"]), BLOCKS + 1).astype(int)
    for low, high in pairwise(edges.tolist()):
        if low == high:
            continue
        part = slice(first_row[low], first_row[high])
        first = first_row[low:high]
        place, clicked, sold = _settle_block(
            part, first, gone, ledger, state=state, pages=pages, rows=rows, intents=intents
        )
        position[part], click[part] = place, clicked
        ledger.book(sold, rows, intents, gone)
        sales.row += sold.row
        sales.time += sold.time
        sales.price += sold.price
    offer = np.where(click, intents.offer, np.nan)
    return Outcome(position, click, offer, sales, gone, mood, wish, intents.user)


def _intents(
    state: State, pages: Columns, rows: Columns, taste: Taste, draws: Draws
) -> tuple[Array, Wish, _Intents]:
    items, item = state.items, rows["item"]
    user = pages["user"][rows["page"]]
    wish, mood = adverts.meant(state, pages, rows, taste.wish(user, item)), taste.mood(draws)
    own = state.sellers["user"][items["seller"][item]] == user
    clicks = taste.clicks(draws, rows["page"], user, item, wish)
    clicks = replace(clicks, would=clicks.would & ~own)
    luck, price = draws.uniform("buy", user, item), items["price"][item]
    able = clicks.would & mood[user] & ~items["auction"][item]
    haggles = able & (luck >= wish.buy) & (luck < 1.7 * wish.buy) & (price >= 5)
    offer = np.where(haggles, np.round(price * (0.72 + 0.2 * draws.uniform("offer", user, item)), 1), np.nan)
    agreed = haggles & (
        draws.uniform("accept", user, item) < state.sellers["flexible"][items["seller"][item]]
    )
    pays = np.where(able & (luck < wish.buy), price, np.where(agreed, offer, np.nan))
    seen = draws.uniform("examine", rows["page"], item)
    delay = (40 + 400 * draws.uniform("cart", user, item)) * SECOND
    return mood, wish, _Intents(user, seen, clicks, pays, offer, delay.astype(np.int64))


def _settle_block(
    part: slice,
    first_row: Array,
    gone: Array,
    ledger: _Ledger,
    *,
    state: State,
    pages: Columns,
    rows: Columns,
    intents: _Intents,
) -> tuple[Array, Array, Sales]:
    page, item = rows["page"][part], rows["item"][part]
    time = pages["time"][page]
    listed, depth = state.items["listed"][item] <= time, pages["depth"][page]
    first = first_row - part.start
    sold, before, leaves = Sales(), None, gone[item]
    while before != sold.row:
        before = sold.row
        there = listed & (time < leaves)
        count = there.cumsum()
        skipped = np.concatenate([[0], count])[first]
        place = np.where(there, count - np.repeat(skipped, np.diff(np.append(first, len(page)))), 0)
        place[place > depth] = 0
        chance = np.maximum(place, 1) ** -state.config.position_exponent
        clicked = (place > 0) & intents.clicks.would[part] & (intents.seen_draw[part] < chance)
        clicked = _best(clicked, page, part, intents.clicks)
        wanted = np.flatnonzero(clicked & ~np.isnan(intents.pays[part])) + part.start
        sold = ledger.sell(wanted, pages, rows, intents)
        if sold.row == before:
            break
        leaves = gone[item]
        for gone_item, moment in ledger.emptied(sold, rows).items():
            leaves[item == gone_item] = moment
    return place, clicked, sold


def _best(clicked: Array, page: Array, part: slice, clicks: Clicks) -> Array:
    """Where rows compete: of those a user would open, only the most desired of each page."""
    if clicks.desire is None or clicks.patience is None:
        return clicked
    rows = np.flatnonzero(clicked)
    rows = rows[np.lexsort((-clicks.desire[part][rows], page[rows]))]
    ahead = np.arange(len(rows)) - np.searchsorted(page[rows], page[rows])
    opened = np.zeros(len(clicked), dtype=bool)
    opened[rows[ahead < clicks.patience[part][rows]]] = True
    return opened


class _Ledger:
    """What is in stock, and what users can still spend today."""

    def __init__(self, state: State) -> None:
        self._stock = state.items["stock"]
        self._wallet = state.users["wallet"]
        self._sold: dict[int, int] = {}
        self._spent: dict[int, tuple[float, int]] = {}

    def sell(self, wanted: Array, pages: Columns, rows: Columns, intents: _Intents) -> Sales:
        """Go through the wishes to buy in order and grant those that stock and purse allow; books nothing."""
        sales, sold, spent = Sales(), dict(self._sold), dict(self._spent)
        for row in wanted.tolist():
            user, item = int(intents.user[row]), int(rows["item"][row])
            price = float(intents.pays[row])
            money, count = spent.get(user, (0.0, 0))
            if sold.get(item, 0) >= self._stock[item] or count >= DAILY_PURCHASES:
                continue
            if money + price > self._wallet[user]:
                continue
            sold[item] = sold.get(item, 0) + 1
            spent[user] = (money + price, count + 1)
            opened = int(pages["time"][rows["page"][row]])
            sales.row.append(row)
            sales.time.append(min(opened + int(intents.delay[row]), opened - opened % DAY + DAY - SECOND))
            sales.price.append(price)
        return sales

    def emptied(self, sales: Sales, rows: Columns) -> dict[int, int]:
        """Listings whose last piece these sales take, and when."""
        sold, gone = dict(self._sold), {}
        for row, time in zip(sales.row, sales.time, strict=True):
            item = int(rows["item"][row])
            sold[item] = sold.get(item, 0) + 1
            if sold[item] >= self._stock[item]:
                gone[item] = time
        return gone

    def book(self, sales: Sales, rows: Columns, intents: _Intents, gone: Array) -> None:
        """Make the sales of a block final."""
        for item, time in self.emptied(sales, rows).items():
            gone[item] = time
        for row, price in zip(sales.row, sales.price, strict=True):
            item, user = int(rows["item"][row]), int(intents.user[row])
            self._sold[item] = self._sold.get(item, 0) + 1
            money, count = self._spent.get(user, (0.0, 0))
            self._spent[user] = (money + price, count + 1)
