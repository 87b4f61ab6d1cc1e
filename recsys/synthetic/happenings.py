"""From what happened on pages to events, still in numbers; ``tables`` writes them out with ids and times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np

from recsys.schema import EVENT_TYPES
from recsys.synthetic import follows
from recsys.synthetic.auctions import Bids
from recsys.synthetic.draws import Array, Draws
from recsys.synthetic.market import Outcome
from recsys.synthetic.state import DAY, SECOND, Columns, State, day_start, take
from recsys.synthetic.visits import RECOMMENDATION, SEARCH

TYPE = {name: number for number, name in enumerate((*EVENT_TYPES, "teleport"))}
NOWHERE = -1
"""An event without a value in that column: a NULL."""
UNKNOWN = -2
"""A user or listing that does not exist."""
PER_DAY = 10_000_000
"""Requests and sessions are numbered day * PER_DAY + number within the day."""

_DTYPES: Mapping[str, type] = {
    "day": np.int64,
    "number": np.int64,
    "time": np.int64,
    "arrives": np.int64,
    "type": np.int64,
    "user": np.int64,
    "item": np.int64,
    "session": np.int64,
    "request": np.int64,
    "query": np.int64,
    "wording": np.int64,
    "amount": np.float64,
    "quantity": np.int64,
    "surface": np.int64,
    "position": np.int64,
    "propensity": np.float64,
}
_NULLS: Mapping[str, float] = {"amount": np.nan, "propensity": np.nan, "wording": 0}


def events(n: int, **columns: Array | int) -> Columns:
    """Make ``n`` events; columns that are not given are NULL."""
    made: Columns = {
        name: np.full(n, _NULLS.get(name, NOWHERE), dtype=dtype) for name, dtype in _DTYPES.items()
    }
    for name, values in columns.items():
        made[name] = np.broadcast_to(np.asarray(values, dtype=_DTYPES[name]), (n,)).copy()
    return made


def join(parts: list[Columns]) -> Columns:
    """Put events one after the other."""
    parts = [part for part in parts if part] or [events(0)]
    return {name: np.concatenate([part[name] for part in parts]) for name in _DTYPES}


def of_type(made: Columns, kind: str) -> Columns:
    """The events of one type."""
    return take(made, made["type"] == TYPE[kind])


def of_pages(
    state: State, day: int, pages: Columns, rows: Columns, *, outcome: Outcome, bids: Bids, draws: Draws
) -> Columns:
    """Searches, impressions, views, likes, offers, carts, bids, purchases and follows of a day, in no order."""
    search = np.flatnonzero(pages["surface"] == SEARCH)
    found = events(
        len(search),
        type=TYPE["search"],
        time=pages["time"][search] - 2 * SECOND,
        user=pages["user"][search],
        session=day * PER_DAY + pages["session"][search],
        query=pages["query"][search],
        wording=pages["wording"][search],
        surface=SEARCH,
    )
    item, user, match, buy = rows["item"], outcome.user, outcome.wish.match, outcome.wish.buy
    opened = pages["time"][rows["page"]]
    seen = opened + 3 * SECOND + 4 * SECOND * outcome.position
    click = np.flatnonzero(outcome.click)
    once = click[np.unique(user[click] * state.n_items + item[click], return_index=True)[1]]
    likes = once[draws.uniform("like", user[once], item[once]) < _logistic(0.9 * match[once] - 2.6)]
    carts = once[draws.uniform("cart", user[once], item[once]) < 4.0 * buy[once] * outcome.mood[user[once]]]
    sold = np.array(outcome.sales.row, dtype=np.int64)
    sale_time = np.array(outcome.sales.time, dtype=np.int64)
    carts = np.setdiff1d(carts[~state.items["auction"][item[carts]]], sold)
    fans = np.union1d(likes, sold)
    fans = fans[follows.fans(state, user[fans], item[fans], draws)]
    offers = once[~np.isnan(outcome.offer[once])]
    shown = np.flatnonzero(outcome.position)
    of = _Maker(day, pages, rows, outcome)
    return join(
        [
            found,
            of.rows("impression", shown, opened[shown] + SECOND * outcome.position[shown] // 5),
            of.rows("view", click, seen[click]),
            of.rows("like", likes, seen[likes] + 8 * SECOND),
            of.rows("offer", offers, seen[offers] + 20 * SECOND, amount=outcome.offer[offers]),
            of.rows("cart", carts, seen[carts] + 12 * SECOND),
            of.rows("cart", sold, sale_time - 15 * SECOND),
            of.rows("bid", bids.row, bids.time, amount=bids.amount),
            of.rows("purchase", sold, sale_time, amount=np.array(outcome.sales.price), quantity=1),
            of.rows("follow", fans, seen[fans] + 15 * SECOND),
        ]
    )


def won(day: int, state: State, bids: Bids, items: Array) -> Columns:
    """Purchases by those who won an auction."""
    return events(
        len(items),
        type=TYPE["purchase"],
        time=state.items["ends"][items],
        user=bids.top_bidder[items],
        item=items,
        amount=bids.top_bid[items],
        quantity=1,
    )


def cancelled(state: State, purchases: Columns, draws: Draws) -> Columns:
    """Cancellations of some purchases, hours to days later, as reliable as the seller is."""
    user, item = purchases["user"], purchases["item"]
    luck = draws.uniform("cancel", user, item)
    unlucky = np.flatnonzero(luck < 0.008 + state.sellers["cancel"][state.items["seller"][item]])
    wait = -20 * 3600 * np.log(draws.uniform("cancel", item[unlucky], user[unlucky]))
    time = purchases["time"][unlucky] + (3600 + np.minimum(wait, 6 * 86_400)).astype(np.int64) * SECOND
    made = {name: values[unlucky].copy() for name, values in purchases.items()}
    return made | {"type": np.full(len(unlucky), TYPE["cancel"]), "time": time}


class _Maker:
    """Events about rows of pages carry the page's session and surface, and the request if it was a recommendation."""

    def __init__(self, day: int, pages: Columns, rows: Columns, outcome: Outcome) -> None:
        self._day, self._pages, self._rows, self._outcome = day, pages, rows, outcome

    def rows(self, kind: str, row: Array, time: Array, **columns: Array | int) -> Columns:
        page = self._rows["page"][row]
        surface = self._pages["surface"][page]
        recommended = surface == RECOMMENDATION
        return events(
            len(row),
            type=TYPE[kind],
            time=time,
            user=self._outcome.user[row],
            item=self._rows["item"][row],
            session=self._day * PER_DAY + self._pages["session"][page],
            request=np.where(recommended, self._day * PER_DAY + page, NOWHERE),
            query=self._pages["query"][page],
            wording=self._pages["wording"][page],
            surface=surface,
            position=self._outcome.position[row],
            propensity=self._rows["propensity"][row],
            **columns,
        )


def clamp(made: Columns, ds: date) -> Columns:
    """Keep the times of events inside the day they belong to."""
    start = day_start(ds)
    return made | {"time": np.clip(made["time"], start, start + DAY - SECOND)}


def _logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))
