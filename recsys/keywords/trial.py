"""The campaigns that start after an evening, and what they then sold with: what lists of that evening are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

from recsys.errors import KeywordError
from recsys.keywords.catalogue import end_of
from recsys.keywords.evaluate import CAMPAIGN_ID, targets
from recsys.keywords.labels import Frames, week
from recsys.schema import CATEGORY_ID, ITEM_ID, SELLER_ID

DAYS = 7


@dataclass(frozen=True)
class Trial:
    """Campaigns of the days after an evening, at most one of each item: the first.

    ``eve`` is what was known when lists were made. ``campaigns``: [campaign_id, item_id, seller_id, category_id,
    ad_rate, started_at, age_days], the age of the listing when its campaign started. ``items``: their listings as on
    the eve, or as they were listed after it. ``typed`` [campaign_id, item_id, keyword]: what they bid on.
    ``wanted``: what they sold with, as of ``targets``.
    """

    eve: Frames
    campaigns: pd.DataFrame
    items: pd.DataFrame
    typed: pd.DataFrame
    wanted: pd.DataFrame

    @classmethod
    def of(cls, eve: Frames, later: Frames, days: int = DAYS) -> Trial:
        """Campaigns that start in the ``days`` after ``eve``, and what they had done by the end of ``later``.

        Raises:
            KeywordError: no campaign started.
        """
        later = later.in_forms_of(eve)
        after = week(eve, later)
        first = _started(eve, later, days)
        if first.empty:
            raise KeywordError(f"No campaign started in the {days} days after {eve.ds}; choose another cut.")
        items = after.items[after.items[ITEM_ID].isin(set(first[ITEM_ID]))].reset_index(drop=True)
        # Of a listing that came and went after the eve only the end is known; it had a piece to sell.
        items = items.assign(stock=items["stock"].clip(lower=1))
        first = first[first[ITEM_ID].isin(set(items[ITEM_ID]))]
        listed = pd.to_datetime(first[ITEM_ID].map(items.set_index(ITEM_ID)["listed_at"]), utc=True)
        first = first.assign(age_days=(first["started_at"] - listed).dt.total_seconds() / 86_400)
        of_them = later.history[CAMPAIGN_ID].isin(set(first[CAMPAIGN_ID]))
        typed = later.history.loc[of_them, [CAMPAIGN_ID, ITEM_ID, "keyword"]].drop_duplicates(
            ignore_index=True
        )
        facts = first[[CAMPAIGN_ID, ITEM_ID, CATEGORY_ID, "age_days"]]
        did = after.outcomes[[CAMPAIGN_ID, "keyword", "clicks", "purchases"]].merge(facts, on=CAMPAIGN_ID)
        return cls(eve, first.reset_index(drop=True), items, typed, targets(did))

    def rates(self) -> pd.Series:
        """The ad rate of each item's campaign."""
        rates: pd.Series = self.campaigns.set_index(ITEM_ID)["ad_rate"]
        return rates


def _started(eve: Frames, later: Frames, days: int) -> pd.DataFrame:
    """The first campaign of each item that started in the ``days`` after ``eve``."""
    begin, end = (end_of(day, eve.timezone) for day in (eve.ds, eve.ds + timedelta(days=days)))
    started = pd.to_datetime(later.history["started_at"], utc=True)
    new = later.history.assign(started_at=started, ad_rate=later.history["ad_rate"].astype("float64"))
    new = new[(started >= begin) & (started < end)]
    new = new.drop_duplicates(CAMPAIGN_ID).sort_values(["started_at", CAMPAIGN_ID]).drop_duplicates(ITEM_ID)
    return new[[CAMPAIGN_ID, ITEM_ID, SELLER_ID, CATEGORY_ID, "ad_rate", "started_at"]]
