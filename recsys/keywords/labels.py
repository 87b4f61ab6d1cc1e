"""What ads did in the days after an eve, beside what was known on that eve: the examples that a ranker learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from recsys.errors import KeywordError
from recsys.keywords.catalogue import KEYWORD, canonical, catalogue, end_of
from recsys.schema import ITEM_ID

CAMPAIGN_ID: Final = "campaign_id"
COUNTS: Final = ("impressions", "clicks", "purchases")
OUTCOMES: Final = (CAMPAIGN_ID, ITEM_ID, KEYWORD, "ad_rate", "searches", *COUNTS)
FOUND: Final = (KEYWORD, ITEM_ID, "clicks", "purchases")
LATER: Final = ("views_30d", "likes_30d", "purchases_30d", "impressions_30d", "age_days")
"""What an item that was listed after the eve had on it: none of these."""


@dataclass(frozen=True)
class Week:
    """Some days of ads.

    ``items``, ``catalogue``, ``engaged`` [keyword, item_id, clicks, purchases] and ``ads`` [keyword, item_id,
    impressions, clicks, purchases], of all campaigns so far, are as known on the eve, ``ds``.
    ``outcomes`` has a row per (campaign_id, keyword) that ran in the days after it: OUTCOMES, where searches are
    those of the keyword in the hours that the campaign ran. ``found`` is engaged, of the days after the eve.
    """

    ds: date
    items: pd.DataFrame
    catalogue: pd.DataFrame
    engaged: pd.DataFrame
    ads: pd.DataFrame
    outcomes: pd.DataFrame
    found: pd.DataFrame

    def __len__(self) -> int:
        return len(self.outcomes)


@dataclass(frozen=True)
class Frames:
    """The frames of one day, see docs/keywords.md: what was known at the end of ``ds``, keywords in canonical forms.

    ``history`` [campaign_id, keyword, ...] has a row per text as typed, with its canonical form; ``engaged`` is
    [keyword, item_id, clicks, purchases]. ``typed`` are ``demand``, ``history`` and ``engaged`` as they were given.
    Days end at midnight in ``timezone``.
    """

    ds: date
    items: pd.DataFrame
    catalogue: pd.DataFrame
    history: pd.DataFrame
    engaged: pd.DataFrame
    variants: pd.DataFrame
    typed: Mapping[str, pd.DataFrame]
    timezone: str = "UTC"

    @classmethod
    def of(
        cls,
        ds: date,
        *,
        items: pd.DataFrame,
        demand: pd.DataFrame,
        history: pd.DataFrame,
        engaged: pd.DataFrame,
        variants: pd.DataFrame,
        timezone: str = "UTC",
    ) -> Frames:
        """Bring the frames of ``ds``, with texts as typed, into the canonical forms of ``variants``."""
        forms = canonical(variants)
        bid = history.assign(keyword=history[KEYWORD].map(forms)).dropna(subset=[KEYWORD])
        clicked = engaged.assign(keyword=engaged["query"].map(forms)).dropna(subset=[KEYWORD])
        clicked = clicked.groupby([KEYWORD, ITEM_ID], as_index=False)[["clicks", "purchases"]].sum()
        typed = {"demand": demand, "history": history, "engaged": engaged}
        table = catalogue(demand, history, variants, ds, timezone)
        return cls(ds, items, table, bid, clicked, variants[["raw", KEYWORD]], typed, timezone)

    def in_forms_of(self, before: Frames) -> Frames:
        """The same with the canonical forms that texts had on the day of ``before``, where they were known then.

        A cluster may take another text from one week to the next; what it did in between is told under the old one.
        So is a text of this week alone: in the form that its keyword had, or else most texts of its cluster.
        """
        old, new = canonical(before.variants), canonical(self.variants)
        form = new.map(old).fillna(new.map(_renamed(old, new))).fillna(new)
        known = form.index.isin(before.variants["raw"])
        form = pd.concat([old, form[~known]])
        return Frames.of(
            self.ds,
            items=self.items,
            variants=form.rename_axis("raw").reset_index(name=KEYWORD),
            timezone=self.timezone,
            **self.typed,
        )


def _renamed(old: pd.Series, new: pd.Series) -> pd.Series:
    """New form to the old form that most texts of its cluster had, of equal ones the first by alphabet."""
    both = pd.DataFrame({"old": old, "new": new}).dropna()
    counted = both.groupby(["new", "old"]).size().rename("texts").reset_index()
    counted = counted.sort_values(["new", "texts", "old"], ascending=[True, False, True])
    return counted.drop_duplicates("new").set_index("new")["old"]


def week(eve: Frames, later: Frames) -> Week:
    """What ads did from the day after ``eve`` to the day of ``later``: the counts of one less those of the other.

    An item that was listed in between is taken from ``later`` as it was when listed, without views or likes; only its
    price and title may have been changed since. ``later.items`` have to hold listings of campaigns that were sold in
    between, or what sold best is not learned from.

    Raises:
        KeywordError: ``later`` is not after ``eve``.
    """
    days = (later.ds - eve.ds).days
    if days < 1:
        raise KeywordError(
            f"What ads did after {eve.ds} cannot be told by {later.ds}; give the frames of a later day."
        )
    later = later.in_forms_of(eve)
    items = _with_new(eve.items, later.items)
    outcomes = _outcomes(eve, later, days)
    known = outcomes[ITEM_ID].isin(set(items[ITEM_ID]))
    found = _increase(eve.engaged, later.engaged, [KEYWORD, ITEM_ID], ["clicks", "purchases"])
    found = found[(found["clicks"] > 0) | (found["purchases"] > 0)]
    return Week(
        eve.ds,
        items,
        eve.catalogue,
        eve.engaged,
        _summed(eve.history, [KEYWORD, ITEM_ID]),
        outcomes[known].reset_index(drop=True),
        found[list(FOUND)].reset_index(drop=True),
    )


def _with_new(items: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    new = later[~later[ITEM_ID].isin(set(items[ITEM_ID]))]
    return pd.concat([items, new.assign(**dict.fromkeys(LATER, 0))], ignore_index=True)


def _outcomes(eve: Frames, later: Frames, days: int) -> pd.DataFrame:
    key = [CAMPAIGN_ID, KEYWORD]
    facts = later.history[[*key, ITEM_ID, "ad_rate", "started_at", "ended_at"]].drop_duplicates(key)
    did = _increase(_summed(eve.history, key), _summed(later.history, key), key, list(COUNTS))
    rows = facts.merge(did, on=key, validate="one_to_one").sort_values(key, ignore_index=True)
    ran = _ran(rows, end_of(eve.ds, later.timezone), end_of(later.ds, later.timezone))
    # searches_7d of the later day are those of a week; of other periods they are scaled
    searched = later.catalogue.groupby(KEYWORD)["searches_7d"].max().astype("float64")
    rows["searches"] = rows[KEYWORD].map(searched).fillna(0.0).to_numpy(np.float64) * days / 7 * ran
    rows["ad_rate"] = rows["ad_rate"].astype("float64")
    rows["searches"] = np.maximum(rows["searches"], rows["impressions"])
    return rows[ran > 0].reset_index(drop=True)[list(OUTCOMES)]


def _ran(rows: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp) -> np.ndarray:
    """The part of the time from ``first`` to ``last`` in which each campaign ran: float64 in [0, 1]."""
    started = pd.to_datetime(rows["started_at"], utc=True)
    ended = pd.to_datetime(rows["ended_at"], utc=True).fillna(last)
    start, end = started.where(started > first, first), ended.where(ended < last, last)
    share = (end - start).dt.total_seconds().to_numpy(np.float64) / (last - first).total_seconds()
    return np.asarray(np.clip(share, 0.0, 1.0))


def _summed(history: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    return history.groupby(key, as_index=False)[list(COUNTS)].sum()


def _increase(before: pd.DataFrame, after: pd.DataFrame, key: list[str], counts: list[str]) -> pd.DataFrame:
    """What came to the counts of each key of ``after``; never less than 0, as when an old day left a window."""
    both = after[[*key, *counts]].merge(before[[*key, *counts]], on=key, how="left", suffixes=("", "_before"))
    for name in counts:
        both[name] = (both[name] - both[f"{name}_before"].fillna(0)).clip(lower=0).astype("float64")
    return both[[*key, *counts]]
