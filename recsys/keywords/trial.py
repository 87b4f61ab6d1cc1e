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
SELLER = "seller"
"""Origin of a keyword that a seller typed; one that was proposed and taken tells the proposal, not the wish."""
WITH_PROPOSED = "_with_proposed"
"""Ends the names of figures that count such keywords too."""


@dataclass(frozen=True)
class Trial:
    """Campaigns of the days after an evening, at most one of each item: the first.

    ``eve`` is what was known when lists were made. ``campaigns``: [campaign_id, item_id, seller_id, category_id,
    ad_rate, started_at, age_days], the age of the listing when its campaign started. ``items``: their listings as on
    the eve, or as they were listed after it. ``bids`` [campaign_id, item_id, keyword, own]: what they bid on, and
    whether the seller typed a form of it. ``wanted``: what they sold with of their own, as of ``targets``;
    ``wanted_with_proposed``: the same with keywords that were proposed to them (of which a list may find itself).
    """

    eve: Frames
    campaigns: pd.DataFrame
    items: pd.DataFrame
    bids: pd.DataFrame
    wanted: pd.DataFrame
    wanted_with_proposed: pd.DataFrame

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
        bids = _bids(later.history, first[CAMPAIGN_ID])
        facts = first[[CAMPAIGN_ID, ITEM_ID, CATEGORY_ID, "age_days"]]
        did = after.outcomes[[CAMPAIGN_ID, "keyword", "clicks", "purchases"]].merge(facts, on=CAMPAIGN_ID)
        own = did.merge(bids.loc[bids["own"], [CAMPAIGN_ID, "keyword"]], on=[CAMPAIGN_ID, "keyword"])
        return cls(eve, first.reset_index(drop=True), items, bids, targets(own), targets(did))

    @property
    def judged_by(self) -> dict[str, pd.DataFrame]:
        """What lists are judged by, first of all what sellers typed themselves, by the end of the names of figures."""
        return {"": self.wanted, WITH_PROPOSED: self.wanted_with_proposed}

    def rates(self) -> pd.Series:
        """The ad rate of each item's campaign."""
        rates: pd.Series = self.campaigns.set_index(ITEM_ID)["ad_rate"]
        return rates


def _bids(history: pd.DataFrame, campaigns: pd.Series) -> pd.DataFrame:
    """What ``campaigns`` bid on: [campaign_id, item_id, keyword, own], one row per keyword, in that order."""
    typed = history[history[CAMPAIGN_ID].isin(set(campaigns))].assign(
        own=lambda rows: rows["origin"] == SELLER
    )
    return typed.groupby([CAMPAIGN_ID, ITEM_ID, "keyword"], as_index=False)["own"].any()


def _started(eve: Frames, later: Frames, days: int) -> pd.DataFrame:
    """The first campaign of each item that started in the ``days`` after ``eve``."""
    begin, end = (end_of(day, eve.timezone) for day in (eve.ds, eve.ds + timedelta(days=days)))
    started = pd.to_datetime(later.history["started_at"], utc=True)
    new = later.history.assign(started_at=started, ad_rate=later.history["ad_rate"].astype("float64"))
    new = new[(started >= begin) & (started < end)]
    new = new.drop_duplicates(CAMPAIGN_ID).sort_values(["started_at", CAMPAIGN_ID]).drop_duplicates(ITEM_ID)
    return new[[CAMPAIGN_ID, ITEM_ID, SELLER_ID, CATEGORY_ID, "ad_rate", "started_at"]]
