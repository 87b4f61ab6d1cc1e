"""The frames of the keyword jobs out of a simulated marketplace, without a warehouse: for benchmarks and tests.

They hold what the SQL of the keyword tables holds, from the played days in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import pandas as pd

from recsys.keywords.labels import Frames, Week, week
from recsys.synthetic.config import MarketplaceConfig
from recsys.synthetic.play import play, start
from recsys.synthetic.state import State
from recsys.synthetic.tables import source_tables

KEPT = ["event_type", "event_date", "user_id", "item_id", "query", "amount"]
SALES = ("purchases", "revenue")
ADS = ["impressions", "clicks", "purchases", "revenue", "spend"]


@dataclass(frozen=True)
class Played:
    """Days of a marketplace from ``first`` on: events, campaign reports, and the state of the last evening."""

    first: date
    events: pd.DataFrame
    reports: pd.DataFrame
    state: State

    def frames(self, ds: date, clean: Callable[[pd.DataFrame], pd.DataFrame] | None = None) -> Frames:
        """What was known at the end of ``ds``; ``clean`` makes variants of [raw, searchers]."""
        raw = self.raw(ds)
        texts = pd.concat(
            [
                raw["demand"][["query", "searchers_28d"]].set_axis(["raw", "searchers"], axis=1),
                raw["history"][["keyword"]].set_axis(["raw"], axis=1).assign(searchers=0),
            ]
        )
        texts = texts.groupby("raw", as_index=False)["searchers"].max()
        variants = (clean or in_lower_case)(texts)
        return Frames.of(ds, **raw, variants=variants)

    def raw(self, ds: date) -> dict[str, pd.DataFrame]:
        """The frames ``items``, ``demand``, ``engaged`` and ``history`` of ``ds``, keywords as typed."""
        tables = source_tables(self.state)
        known = self.events[self.events["event_date"] <= pd.Timestamp(ds)]
        leaf = tables["marketplace.items"].set_index("item_id")["category_id"]
        history = _history(tables, self.reports, ds)
        return {
            "items": _items(tables, known, ds, set(self._promoted(tables, ds))),
            "demand": _demand(known[known["query"].notna()], leaf, ds),
            "engaged": _engaged(known, ds),
            "history": history,
        }

    def _promoted(self, tables: dict[str, pd.DataFrame], ds: date) -> pd.Series:
        """Listings that a campaign promoted on one of the last 7 days."""
        table = tables["marketplace.campaigns"]
        ended = table["ended_at"].fillna(_end(ds))
        return table.loc[
            (table["started_at"] < _end(ds)) & (ended >= _end(ds - timedelta(days=7))), "item_id"
        ]

    def weeks(self, count: int, clean: Callable[[pd.DataFrame], pd.DataFrame] | None = None) -> list[Week]:
        """The last ``count`` weeks, in order of time."""
        eves = [self.state.ds - timedelta(days=7 * back) for back in range(count, -1, -1)]
        frames = [self.frames(eve, clean) for eve in eves]
        return [week(eve, later) for eve, later in pairwise(frames)]


def play_days(config: MarketplaceConfig, days: int) -> Played:
    """Play ``days`` days without recommendations: people search and browse."""
    state, events, reports = start(config), [], []
    for _ in range(days):
        state, day = play(state, state.ds + timedelta(days=1))
        events.append(day.events[KEPT])
        reports.append(day.campaign_daily)
    return Played(
        config.first_day, pd.concat(events, ignore_index=True), pd.concat(reports, ignore_index=True), state
    )


def in_lower_case(texts: pd.DataFrame) -> pd.DataFrame:
    """Variants that differ in case only."""
    return texts.assign(keyword=texts["raw"].str.lower(), reason=None)


def _end(ds: date) -> pd.Timestamp:
    return pd.Timestamp(ds, tz="UTC") + pd.Timedelta(days=1)


def _since(events: pd.DataFrame, ds: date, days: int) -> pd.DataFrame:
    return events[events["event_date"] > pd.Timestamp(ds - timedelta(days=days))]


def _demand(events: pd.DataFrame, leaf: pd.Series, ds: date) -> pd.DataFrame:
    counted = {}
    for days in (7, 28):
        searches = _since(events, ds, days)
        searches = searches[searches["event_type"] == "search"].groupby("query")["user_id"]
        counted[f"searches_{days}d"] = searches.size()
        counted[f"searchers_{days}d"] = searches.nunique()
    recent = _since(events, ds, 28)
    recent = recent.assign(category_id=recent["item_id"].map(leaf)).dropna(subset=["category_id"])
    key = ["query", "category_id"]
    views, bought = (recent[recent["event_type"] == kind].groupby(key) for kind in ("view", "purchase"))
    table = pd.DataFrame(
        {"clicks_28d": views.size(), "purchases_28d": bought.size(), "revenue_28d": bought["amount"].sum()}
    )
    return (
        table.fillna(0)
        .reset_index()
        .join(pd.DataFrame(counted).fillna(0).astype("int64"), on="query")
        .fillna(0)
    )


def _engaged(events: pd.DataFrame, ds: date) -> pd.DataFrame:
    recent = _since(events[events["query"].notna()], ds, 90)
    kinds = {"clicks": "view", "purchases": "purchase"}
    sizes = {
        name: recent[recent["event_type"] == kind].groupby(["query", "item_id"]).size()
        for name, kind in kinds.items()
    }
    return pd.DataFrame(sizes).fillna(0).astype("int64").reset_index()


def _history(tables: dict[str, pd.DataFrame], reports: pd.DataFrame, ds: date) -> pd.DataFrame:
    """Every keyword of a campaign up to ``ds``, those that never had an impression with zeros."""
    facts = tables["marketplace.campaigns"].merge(tables["marketplace.campaign_keywords"], on="campaign_id")
    facts = facts[facts["started_at"] < _end(ds)].drop(columns="added_at")
    facts["ended_at"] = facts["ended_at"].where(facts["ended_at"] < _end(ds))
    known = reports[reports["report_date"] <= pd.Timestamp(ds)]
    sums = known.groupby(["campaign_id", "keyword"])[ADS].sum()
    history = facts.join(sums, on=["campaign_id", "keyword"])
    return history.assign(**history[ADS].fillna(0))


def _items(
    tables: dict[str, pd.DataFrame], events: pd.DataFrame, ds: date, promoted: set[str]
) -> pd.DataFrame:
    items = tables["marketplace.items"].drop(columns="description")
    listed = items["listed_at"] < _end(ds)
    live = listed & (items["closed_at"].isna() | (items["closed_at"] >= _end(ds)))
    table = items[live | (listed & items["item_id"].isin(promoted))].copy()
    table["is_live"] = live[table.index]
    parent = tables["marketplace.item_category"].set_index("category_id")["parent_id"]
    table["parent_category_id"] = table["category_id"].map(parent)
    table["age_days"] = (_end(ds) - table["listed_at"]).dt.total_seconds() / 86_400
    recent = _since(events, ds, 30)
    for kind in ("view", "like", "purchase", "impression"):
        counts = recent.loc[recent["event_type"] == kind, "item_id"].value_counts()
        table[f"{kind}s_30d"] = table["item_id"].map(counts).fillna(0).astype("int64")
    table["live_in_category"] = (
        table["category_id"].map(table.loc[table["is_live"], "category_id"].value_counts()).fillna(0)
    )
    return table.drop(columns=["auction_ends_at", "closed_at", "close_reason"]).reset_index(drop=True)
