"""Start a world and play its days. A day is a function of the state before it, the lists shown, and the seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import pandas as pd

from recsys.errors import RecsysError
from recsys.synthetic import auctions, campaigns, delivery, follows, happenings, offers, tables, visits
from recsys.synthetic.auctions import Bids
from recsys.synthetic.behaviour import new_sellers, new_users, taste_of
from recsys.synthetic.config import MarketplaceConfig
from recsys.synthetic.draws import Array, Draws
from recsys.synthetic.listings import EXPIRED, SOLD, WITHDRAWN, add_listings, age_day, first_shelf, list_day
from recsys.synthetic.market import Outcome, settle
from recsys.synthetic.state import DAY, NEVER, Columns, State, append, day_start
from recsys.synthetic.taste import Taste
from recsys.synthetic.vocabulary import LEAVES
from recsys.synthetic.world import user_draws


@dataclass(frozen=True)
class DayTables:
    """What became known on day ``ds``, beside the whole tables of the state (``tables.source_tables``)."""

    ds: date
    state: State
    delivered: Columns
    reported: Columns

    @cached_property
    def events(self) -> pd.DataFrame:
        """Events that arrived on ``ds``, some of them of earlier days: rows of ``marketplace.events``."""
        return tables.event_table(self.state, self.delivered)

    @cached_property
    def campaign_daily(self) -> pd.DataFrame:
        """Rows of ``marketplace.campaign_daily`` of ``ds``."""
        return tables.campaign_table(self.state, self.reported, self.ds)


@dataclass(frozen=True)
class Visit:
    """One play of a day's pages: what could be shown, what was, who bought and who bid."""

    pages: Columns
    rows: Columns
    outcome: Outcome
    bids: Bids
    won: Array


def start(config: MarketplaceConfig) -> State:
    """Make a world on the eve of ``config.first_day``: people, sellers and a shelf, and no events yet."""
    eve = config.first_day - timedelta(days=1)
    rng = user_draws(config, eve)
    begin = day_start(config.first_day)
    age = np.sort(np.minimum(rng.exponential(260.0, config.users), 1_500.0))[::-1]
    users = new_users(config, rng, begin - 1 - (age * DAY).astype(np.int64), eve)
    sellers = new_sellers(config, rng, users)
    state = State(
        config=config,
        ds=eve,
        users=users,
        sellers=sellers,
        items={},
        prices={},
        campaigns={},
        keywords={},
        waiting=happenings.events(0),
        trend=Draws(config.seed, eve).generator("trend").normal(0, 0.2, len(LEAVES)),
    )
    add_listings(state, first_shelf(config, Draws(config.seed, eve).generator("listings"), sellers))
    return state


def play(
    state: State,
    ds: date,
    lists: pd.DataFrame | None = None,
    fallback: pd.DataFrame | None = None,
    offered: pd.DataFrame | None = None,
    *,
    replication: int = 0,
) -> tuple[State, DayTables]:
    """Play day ``ds``.

    Args:
        state: the world at the end of the day before; not changed.
        ds: the day to play.
        lists: what the recommendation page shows each user: user_id, rank, item_id and, if known, propensity.
        fallback: what it shows to users without a list: rank, item_id. Without it they see no such page.
        offered: keywords that sellers who start a campaign may take: item_id, rank, keyword.
        replication: other luck of the same visitors on the same shelf, for what could have been; 0 is what happened.

    Returns:
        The world at the end of ``ds``, and the events and campaign reports that became known on it.

    Raises:
        RecsysError: when ``ds`` is not the day after the state's.
    """
    morning, gone = dawn(state, ds, offers.read_offers(offered))
    draws, day = Draws(morning.config.seed, ds, replication), day_start(ds) // DAY
    visit = open_pages(morning, ds, gone, lists=lists, fallback=fallback, draws=draws)
    made = happenings.of_pages(
        morning, day, visit.pages, visit.rows, outcome=visit.outcome, bids=visit.bids, draws=draws
    )
    made = happenings.clamp(happenings.join([made, happenings.won(day, morning, visit.bids, visit.won)]), ds)
    bought = happenings.of_type(made, "purchase")
    cancels = happenings.cancelled(morning, bought, draws)
    evening = _dusk(morning, ds, visit, bought, cancels)
    fans = happenings.of_type(made, "follow")
    evening.follows = follows.followed(evening, fans["user"], fans["item"], fans["time"])
    delivered, evening.waiting = delivery.send(
        morning.config, ds, happenings.join([made, cancels]), state.waiting
    )
    reported = campaigns.report(evening, visit.rows, visit.outcome)
    return evening, DayTables(ds, evening, delivered, reported)


def dawn(state: State, ds: date, offered: Columns | None = None) -> tuple[State, Array]:
    """The world as day ``ds`` begins, with the day's new people and listings, and when listings leave unsold."""
    if ds != state.ds + timedelta(days=1):
        raise RecsysError(
            f"The marketplace stands at {state.ds}; play {state.ds + timedelta(days=1)} next, not {ds}."
        )
    config, morning = state.config, state.copy()
    morning.ds = ds
    noise = Draws(config.seed, ds).generator("trend").normal(0, 0.08, len(morning.trend))
    morning.trend = 0.93 * morning.trend + noise
    rng = user_draws(config, ds)
    times = day_start(ds) + np.sort(
        (rng.random(rng.poisson(config.new_users_per_day)) * 0.95 * DAY).astype(np.int64)
    )
    morning.users = append(morning.users, new_users(config, rng, times, ds))
    users = morning.users
    users["wallet"] = np.minimum(users["wallet"] + users["budget"] / 30, 1.5 * users["budget"])
    gone = age_day(morning, ds)
    list_day(morning, ds)
    campaigns.start_campaigns(morning, ds, offered)
    return morning, np.append(gone, np.full(morning.n_items - len(gone), NEVER))


def open_pages(
    morning: State,
    ds: date,
    gone: Array,
    *,
    lists: pd.DataFrame | None,
    fallback: pd.DataFrame | None,
    draws: Draws,
    taste: Taste | None = None,
) -> Visit:
    """Let the users of a day see their pages and act; ``morning`` is not changed."""
    taste = taste or taste_of(morning, ds)
    pages = visits.pages_of_day(morning, ds, taste, draws)
    rows = visits.rows_of(
        [
            visits.ad_rows(morning, pages, draws),
            visits.list_rows(morning, pages, lists, fallback),
            *follows.follower_rows(morning, pages, visits.BROWSE, draws),
            visits.organic_rows(morning, pages, draws),
        ]
    )
    outcome = settle(morning, pages, rows, gone, taste=taste, draws=draws)
    bids = auctions.take_bids(morning, pages, rows, outcome, draws)
    won = auctions.ended(morning, bids, day_start(ds) + DAY)
    return Visit(pages, rows, outcome, bids, won)


def trending(state: State, k: int = 100) -> pd.DataFrame:
    """The fallback an app without recommendations shows: the open listings most looked at of late (rank, item_id)."""
    items = state.items
    open_ = np.flatnonzero((items["closed"] == NEVER) & (items["ends"] > day_start(state.ds) + DAY))
    best = open_[np.lexsort((open_, -items["heat"][open_]))][:k]
    return pd.DataFrame({"rank": np.arange(1, len(best) + 1), "item_id": tables.item_ids(best)})


def _dusk(morning: State, ds: date, visit: Visit, bought: Columns, cancels: Columns) -> State:
    """The world at the end of the day: who bought what, what is gone and why, what is hot."""
    evening, outcome, end = morning.copy(), visit.outcome, day_start(ds) + DAY
    items, users, sellers = evening.items, evening.users, evening.sellers
    np.subtract.at(users["wallet"], bought["user"], bought["amount"])
    users["wallet"] = np.maximum(users["wallet"], 0.0)
    np.subtract.at(items["stock"], bought["item"], 1)
    items["top_bid"], items["top_bidder"], items["bids"] = (
        visit.bids.top_bid,
        visit.bids.top_bidder,
        visit.bids.count,
    )
    left = (outcome.gone < end) & (items["closed"] == NEVER)
    sold = left & (items["stock"] <= 0)
    items["reason"][left] = np.where(outcome.gone[left] == items["ends"][left], EXPIRED, WITHDRAWN)
    items["reason"][sold] = SOLD
    items["closed"][left] = outcome.gone[left]
    clicked = visit.rows["item"][outcome.click]
    np.add.at(items["heat"], clicked, 1.0)
    seller = items["seller"][bought["item"]]
    unhappy = np.isin(bought["item"], cancels["item"])
    np.add.at(sellers["rating_count"], seller, 1)
    np.add.at(sellers["rating_sum"], seller, np.where(unhappy, 1.5, 4.9))
    campaigns.end_campaigns(evening)
    return evening
