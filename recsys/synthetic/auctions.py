"""Auctions: who bids how much, and who gets it in the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.synthetic.draws import Array, Draws
from recsys.synthetic.listings import tidy_price
from recsys.synthetic.market import Outcome
from recsys.synthetic.state import SECOND, Columns, State


@dataclass
class Bids:
    """Bids of a day (row of the page, time, amount) and the auctions as they stand after them."""

    row: Array
    time: Array
    amount: Array
    top_bid: Array
    top_bidder: Array
    count: Array


def take_bids(state: State, pages: Columns, rows: Columns, outcome: Outcome, draws: Draws) -> Bids:
    """Let users in the mood bid on auctions they clicked, in order; ``state`` is not changed.

    A bid is one step above the top bid; nobody bids above what the thing is worth to them or what they have.
    """
    items, users, item, user = state.items, state.users, rows["item"], outcome.user
    top, bidder, count = items["top_bid"].copy(), items["top_bidder"].copy(), items["bids"].copy()
    keen = outcome.click & items["auction"][item] & outcome.mood[user]
    keen[keen] = draws.uniform("bid", user[keen], item[keen]) < 8.0 * outcome.wish.buy[keen]
    chosen = np.flatnonzero(keen)
    worth = items["fair"][item[chosen]] * np.exp(0.3 * draws.normal("bid", item[chosen], user[chosen]) - 0.05)
    worth = np.minimum(worth, users["wallet"][user[chosen]])
    time = pages["time"][rows["page"][chosen]] + (25 + 4 * outcome.position[chosen]) * SECOND
    made: list[tuple[int, int, float]] = []
    for row, limit, moment in zip(chosen.tolist(), worth.tolist(), time.tolist(), strict=True):
        number, who = int(item[row]), int(user[row])
        asked = float(items["price"][number])
        if count[number]:
            asked = float(tidy_price(np.array([top[number] * 1.07 + 0.5]))[0])
        if bidder[number] == who or asked > limit or moment >= items["ends"][number]:
            continue
        top[number], bidder[number], count[number] = asked, who, count[number] + 1
        made.append((row, moment, asked))
    row_, time_, amount = zip(*made, strict=True) if made else ((), (), ())
    return Bids(
        np.array(row_, dtype=np.int64),
        np.array(time_, dtype=np.int64),
        np.array(amount, dtype=float),
        top,
        bidder,
        count,
    )


def ended(state: State, bids: Bids, until: int) -> Array:
    """Numbers of the open auctions that end before ``until`` (microseconds) with a bid on them."""
    items = state.items
    open_ = np.flatnonzero(items["auction"] & (items["closed"] > until))
    return open_[(items["ends"][open_] < until) & (bids.count[open_] > 0)]
