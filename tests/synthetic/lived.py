"""A marketplace that has lived for some days, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from recsys.synthetic import MarketplaceConfig, State, play, start, trending
from recsys.synthetic.tables import user_ids


@dataclass(frozen=True)
class Lived:
    """A marketplace after some days, with all its events as they were delivered."""

    config: MarketplaceConfig
    state: State
    events: pd.DataFrame
    campaign_daily: pd.DataFrame

    @property
    def good(self) -> pd.DataFrame:
        """Events that are neither broken nor doubled."""
        events = self.events.drop_duplicates("event_id")
        known = events["user_id"].str.match(r"u\d+$").fillna(False)
        known &= events["item_id"].str.match(r"i\d+$").fillna(False) | (events["event_type"] == "search")
        known &= (events["event_type"] != "teleport") & ~(events["amount"] < 0)
        return events[known & (events["event_ts"] <= events["ingested_at"])]


def live(config: MarketplaceConfig, days: int) -> Lived:
    state, frames, reports = start(config), [], []
    for number in range(days):
        ds = config.first_day + timedelta(days=number)
        state, day = play(state, ds, None, trending(state))
        frames.append(day.events)
        reports.append(day.campaign_daily)
    return Lived(config, state, pd.concat(frames, ignore_index=True), pd.concat(reports, ignore_index=True))


def everybody(state: State, items: list[str] | np.ndarray) -> pd.DataFrame:
    """The same list for every user."""
    users = user_ids(np.arange(state.n_users))
    return pd.DataFrame(
        {
            "user_id": np.repeat(users, len(items)),
            "rank": np.tile(np.arange(1, len(items) + 1), len(users)),
            "item_id": np.tile(np.asarray(items, dtype=object), len(users)),
            "propensity": 1.0,
        }
    )
