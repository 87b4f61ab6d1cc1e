"""What a shop that sells the same items again knows of its past."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import pandas as pd

from recsys.features.history import frames_as_of, unit_prices
from recsys.ranking.snapshot import Snapshot
from recsys.schema import ITEM_ID, USER_ID


@dataclass(frozen=True)
class ShopData:
    """What a shop knows: ``daily`` actions, ``items`` and ``users``, columns as ``history.frames_as_of`` reads them."""

    daily: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame

    @property
    def first_day(self) -> date:
        """The first day with an action."""
        return pd.Timestamp(self.daily["event_date"].min()).date()

    def bought_between(self, after: date, until: date) -> pd.DataFrame:
        """[user_id, item_id] bought after ``after`` and up to ``until``."""
        days = self.daily["event_date"]
        inside = (days > pd.Timestamp(after)) & (days <= pd.Timestamp(until)) & (self.daily["purchases"] > 0)
        return self.daily.loc[inside, [USER_ID, ITEM_ID]]

    def paid_between(self, after: date, until: date) -> pd.DataFrame:
        """[user_id, item_id, days, revenue] bought after ``after`` and up to ``until``; ``days`` since ``after``."""
        days = self.daily["event_date"]
        inside = (days > pd.Timestamp(after)) & (days <= pd.Timestamp(until)) & (self.daily["purchases"] > 0)
        bought = self.daily.loc[inside, [USER_ID, ITEM_ID, "event_date", "revenue"]]
        return bought.assign(days=(bought["event_date"] - pd.Timestamp(after)).dt.days)

    def priced_on(self, ds: date) -> ShopData:
        """The same with the prices of a past day: the median paid up to it, the price of today where none was."""
        paid = unit_prices(self.daily[self.daily["event_date"] <= pd.Timestamp(ds)])
        price = self.items[ITEM_ID].map(paid).fillna(self.items["price"])
        return replace(self, items=self.items.assign(price=price))

    def snapshot(self, ds: date, audience: pd.Index | None = None) -> Snapshot:
        """The shop at the end of ``ds``."""
        return Snapshot.from_frames(frames_as_of(self.daily, self.items, self.users, ds, audience), ds)
