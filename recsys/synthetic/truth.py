"""What any policy would truly earn on a day, by playing the day many times from the same morning.

Every policy meets the same visitors, moods and private tastes (common random numbers), so differences between policies
have a far smaller error than each policy's own figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from recsys.errors import RecsysError
from recsys.synthetic import tables
from recsys.synthetic.behaviour import taste_of
from recsys.synthetic.draws import Array, Draws
from recsys.synthetic.play import Visit, dawn, open_pages
from recsys.synthetic.state import NEVER, State
from recsys.synthetic.visits import RECOMMENDATION

_PRESELECTED = 400


@dataclass(frozen=True)
class Truth:
    """What a policy earns if every user gets its lists, with one value per replication in the arrays.

    Per user who saw a recommendation page on the day (``users``), as the experiment counts them: ``rpu`` = platform
    revenue = amount paid x take rate, cancelled or not; ``conversion`` = share that bought. ``ctr`` = clicks by
    impressions on the recommendation page. ``rpu_all`` = platform revenue of everybody by all registered users.
    """

    users: Array
    rpu: Array
    conversion: Array
    ctr: Array
    rpu_all: Array
    recommended_share: Array

    def summary(self) -> dict[str, float]:
        """Means over the replications, and the standard error of the mean RPU."""
        n = len(self.rpu)
        names = ("users", "rpu", "conversion", "ctr", "rpu_all", "recommended_share")
        error = float(self.rpu.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
        return {name: float(getattr(self, name).mean()) for name in names} | {
            "rpu_error": error,
            "replications": float(n),
        }


def true_rpu(
    state: State,
    ds: date,
    lists: pd.DataFrame,
    replications: int = 30,
    fallback: pd.DataFrame | None = None,
) -> Truth:
    """True revenue per user, conversion and click-through of a policy on day ``ds``.

    Args:
        state: the world at the end of the day before.
        ds: the day that is played.
        lists: the policy's list for every user: user_id, rank, item_id.
        replications: times the day is played.
        fallback: what users without a list see: rank, item_id.
    """
    return compare(state, ds, {"policy": lists}, replications, fallback)["policy"]


def compare(
    state: State,
    ds: date,
    lists_by_policy: Mapping[str, pd.DataFrame | None],
    replications: int = 30,
    fallback: pd.DataFrame | None = None,
) -> dict[str, Truth]:
    """``true_rpu`` of several policies with the same chances; replication r of each may be subtracted.

    Raises:
        RecsysError: for fewer than one replication.
    """
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in lists_by_policy}
    for name, morning, visit in trials(state, ds, lists_by_policy, replications, fallback):
        found[name].append(_measure(morning, visit))
    return {name: Truth(*np.array(rows).T) for name, rows in found.items()}


def trials(
    state: State,
    ds: date,
    lists_by_policy: Mapping[str, pd.DataFrame | None],
    replications: int = 30,
    fallback: pd.DataFrame | None = None,
) -> Iterator[tuple[str, State, Visit]]:
    """Every play behind ``compare``: policy, the world of the morning, and what was shown, clicked and bought.

    Raises:
        RecsysError: for fewer than one replication.
    """
    if replications < 1:
        raise RecsysError(f"The truth needs 1 replication or more, not {replications}.")
    morning, gone = dawn(state, ds)
    taste = taste_of(morning, ds)
    for replication in range(1, replications + 1):
        draws = Draws(state.config.seed, ds, replication)
        for name, lists in lists_by_policy.items():
            yield (
                name,
                morning,
                open_pages(morning, ds, gone, lists=lists, fallback=fallback, draws=draws, taste=taste),
            )


@dataclass(frozen=True)
class Deals:
    """Purchases of one play: ``buyer`` and ``item`` numbers and platform ``revenue``; the first ``direct`` were made
    on a page, the others won at an auction. ``exposed`` are the users who saw a recommendation page, ``shown`` the
    rows of the visit that stood on one, ``sold`` the rows of the direct purchases."""

    buyer: Array
    item: Array
    revenue: Array
    exposed: Array
    shown: Array
    sold: Array


def deals(morning: State, visit: Visit) -> Deals:
    """Who bought what in a play, and who was shown lists."""
    items, outcome, pages, rows = morning.items, visit.outcome, visit.pages, visit.rows
    sold = np.array(outcome.sales.row, dtype=np.int64)
    buyer = np.concatenate([outcome.user[sold], visit.bids.top_bidder[visit.won]])
    item = np.concatenate([rows["item"][sold], visit.won])
    amount = np.concatenate([np.array(outcome.sales.price), visit.bids.top_bid[visit.won]])
    shown = (outcome.position > 0) & (pages["surface"][rows["page"]] == RECOMMENDATION)
    return Deals(buyer, item, amount * items["take"][item], np.unique(outcome.user[shown]), shown, sold)


def _measure(morning: State, visit: Visit) -> tuple[float, ...]:
    made, outcome = deals(morning, visit), visit.outcome
    counted = np.isin(made.buyer, made.exposed)
    impressions, clicks = made.shown.sum(), (made.shown & outcome.click).sum()
    on_page = made.revenue[: len(made.sold)][made.shown[made.sold]].sum()
    users = max(len(made.exposed), 1)
    return (
        len(made.exposed),
        made.revenue[counted].sum() / users,
        len(np.unique(made.buyer[counted])) / users,
        clicks / max(impressions, 1),
        made.revenue.sum() / morning.n_users,
        on_page / max(made.revenue.sum(), 1e-9),
    )


def oracle_lists(state: State, ds: date, k: int = 50) -> pd.DataFrame:
    """Lists by true expected revenue: what a recommender that could read minds would publish before ``ds``.

    Only listings open at the end of the day before, never the user's own, none beyond the user's purse. No rationing: a
    listing may stand in many lists.
    """
    taste, users, items = taste_of(state, ds), state.users, state.items
    open_ = np.flatnonzero((items["closed"] == NEVER) & ~items["auction"])
    seller = state.sellers["user"][items["seller"][open_]]
    parts = []
    for user in range(state.n_users):
        promise = taste.promise(user, open_)
        promise[(seller == user) | (items["price"][open_] > users["wallet"][user])] = -np.inf
        likely = open_[np.argpartition(-promise, min(_PRESELECTED, len(open_) - 1))[:_PRESELECTED]]
        wish = taste.wish(np.full(len(likely), user), likely)
        value = wish.click * wish.buy * items["price"][likely] * items["take"][likely]
        dear = items["price"][likely] > users["wallet"][user]
        value[dear | (state.sellers["user"][items["seller"][likely]] == user)] = -1.0
        parts.append(likely[np.argsort(-value, kind="stable")[:k]])
    number = np.repeat(np.arange(state.n_users), [len(part) for part in parts])
    rank = np.concatenate([np.arange(1, len(part) + 1) for part in parts])
    return pd.DataFrame(
        {"user_id": tables.user_ids(number), "rank": rank, "item_id": tables.item_ids(np.concatenate(parts))}
    )
