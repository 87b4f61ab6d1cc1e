"""A marketplace that is played once and kept: its searches, campaigns and listings, as they were known on any evening.

The frames are those that the keyword jobs read from the warehouse (docs/keywords.md), made here in memory, so that a
world of a hundred days takes minutes. What became known on a day counts from that day on, late events too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from recsys.keywords.cluster import clean
from recsys.keywords.filters import Policy
from recsys.keywords.labels import Frames
from recsys.synthetic import start, trending
from recsys.synthetic.config import MarketplaceConfig
from recsys.synthetic.play import play
from recsys.synthetic.state import State
from recsys.synthetic.tables import source_tables

WEEK = 7
COUNTED = {"view": "views", "like": "likes", "purchase": "purchases", "impression": "impressions"}
ITEMS, CATEGORIES, CAMPAIGNS = "marketplace.items", "marketplace.item_category", "marketplace.campaigns"
KEYWORDS = "marketplace.campaign_keywords"
PARTS = ("searches", "found", "counts", "reports")


@dataclass(frozen=True)
class World:
    """Tables of a world in ``folder``; ``first`` is its first day, and ``days`` how many were played."""

    folder: Path
    first: date
    days: int

    def eves(self) -> list[date]:
        """The evenings on which everything is known: the last day of each week."""
        return [self.first + timedelta(days=last - 1) for last in range(WEEK, self.days + 1, WEEK)]

    def state(self, eve: date) -> State:
        """The truth at the end of ``eve``."""
        return State.from_bytes((self.folder / f"{eve}.npz").read_bytes())

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        return {name: pd.read_parquet(self.folder / f"{name}.parquet") for name in PARTS}

    def _known(self, name: str, ds: date, days: int | None = None) -> pd.DataFrame:
        table = self._tables[name]
        day = (ds - self.first).days
        return table[(table["day"] <= day) & (table["day"] > (day - days if days else -1))]

    def raw(self, ds: date) -> pd.DataFrame:
        """[raw, searchers]: what was searched in 28 days up to ``ds``, and what sellers ever typed, with 0."""
        searched = (
            self._known("searches", ds, 28).drop_duplicates(["query", "user_id"]).groupby("query").size()
        )
        typed = self.campaigns(ds)["keyword"].drop_duplicates()
        return pd.concat(
            [
                searched.rename("searchers").rename_axis("raw").reset_index(),
                pd.DataFrame({"raw": typed, "searchers": 0}),
            ]
        )

    def campaigns(self, ds: date) -> pd.DataFrame:
        """Campaigns and their keywords, as known at the end of ``ds``."""
        tables = {
            name: pd.read_parquet(self.folder / f"{name}-{ds}.parquet") for name in (CAMPAIGNS, KEYWORDS)
        }
        return tables[KEYWORDS].merge(tables[CAMPAIGNS], on="campaign_id")

    def frames(self, ds: date, variants: pd.DataFrame) -> Frames:
        """What was known at the end of ``ds`` (an eve), in the canonical forms of ``variants``."""
        items = pd.read_parquet(self.folder / f"{ITEMS}-{ds}.parquet")
        found = self._known("found", ds, 90)
        engaged = found.groupby(["query", "item_id"], as_index=False)[["clicks", "purchases"]].sum()
        return Frames.of(
            ds,
            items=self._items(ds, items),
            demand=self._demand(ds, items),
            history=self._history(ds),
            engaged=engaged,
            variants=variants,
        )

    def _demand(self, ds: date, items: pd.DataFrame) -> pd.DataFrame:
        searches = self._known("searches", ds, 28)
        reach = [searches, searches[searches["day"] > (ds - self.first).days - 7]]
        columns = {}
        for days, part in zip((28, 7), reach, strict=True):
            columns[f"searches_{days}d"] = part.groupby("query").size()
            columns[f"searchers_{days}d"] = part.drop_duplicates(["query", "user_id"]).groupby("query").size()
        found = self._known("found", ds, 28).merge(items[["item_id", "category_id"]], on="item_id")
        led = found.groupby(["query", "category_id"], as_index=False)[
            ["clicks", "purchases", "revenue"]
        ].sum()
        led = led.rename(columns={name: f"{name}_28d" for name in ("clicks", "purchases", "revenue")})
        demand = led.join(pd.DataFrame(columns), on="query")
        counts = list(columns)
        demand[counts] = demand[counts].fillna(0).astype("int64")
        return demand

    def _history(self, ds: date) -> pd.DataFrame:
        counts = ["impressions", "clicks", "purchases", "revenue", "spend"]
        reported = (
            self._known("reports", ds).groupby(["campaign_id", "keyword"], as_index=False)[counts].sum()
        )
        history = self.campaigns(ds).merge(reported, on=["campaign_id", "keyword"], how="left")
        history[counts] = history[counts].fillna(0)
        return history

    def _items(self, ds: date, items: pd.DataFrame) -> pd.DataFrame:
        counted = self._known("counts", ds, 30).groupby("item_id")[list(COUNTED.values())].sum()
        taught = set(self._known("found", ds, 90)["item_id"]) | set(self.campaigns(ds)["item_id"])
        live = items["closed_at"].isna()
        shelf = items.assign(
            live_in_category=live.groupby(items["category_id"]).transform("sum"),
            age_days=(
                pd.Timestamp(ds, tz="UTC") + pd.Timedelta(days=1) - items["listed_at"]
            ).dt.total_seconds()
            / 86_400,
            is_live=live,
        )
        shelf = shelf[live | items["item_id"].isin(taught)].join(counted.add_suffix("_30d"), on="item_id")
        counts = [f"{name}_30d" for name in COUNTED.values()]
        shelf[counts] = shelf[counts].fillna(0).astype("int64")
        parents = pd.read_parquet(self.folder / f"{CATEGORIES}.parquet").set_index("category_id")["parent_id"]
        return shelf.assign(parent_category_id=shelf["category_id"].map(parents)).reset_index(drop=True)


def variants_of(world: World, policy: Policy, ds: date, previous: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every text known at the end of ``ds``, with its canonical text or the reason against it."""
    return clean(world.raw(ds), policy, previous)


def played(config: MarketplaceConfig, days: int, root: Path, say: Callable[[str], None]) -> World:
    """The world of ``config`` after ``days`` days under ``root``; played when it is not there yet."""
    told = {**asdict(config), "first_day": config.first_day.isoformat(), "days": days}
    folder = root / f"{config.users}-{config.campaign_share}-{config.seed}-{days}-{config.behaviour}"
    done = folder / "world.json"
    if not done.is_file() or json.loads(done.read_text()) != told:
        folder.mkdir(parents=True, exist_ok=True)
        _play(config, days, folder, say)
        done.write_text(json.dumps(told))
    return World(folder, config.first_day, days)


def _play(config: MarketplaceConfig, days: int, folder: Path, say: Callable[[str], None]) -> None:
    state, kept = start(config), {name: [] for name in PARTS}
    for day in range(days):
        ds = config.first_day + timedelta(days=day)
        state, tables = play(state, ds, fallback=trending(state))
        for name, part in _day(tables.events, tables.campaign_daily).items():
            kept[name].append(part.assign(day=np.int32(day)))
        if (day + 1) % WEEK == 0:
            _keep(state, folder, ds)
            say(f"played {day + 1} of {days} days")
    for name, parts in kept.items():
        pd.concat(parts, ignore_index=True).to_parquet(folder / f"{name}.parquet")


def _day(events: pd.DataFrame, reports: pd.DataFrame) -> dict[str, pd.DataFrame]:
    events = events.drop_duplicates("event_id")
    query = events["query"].str.lower().str.replace(r"\s+", " ", regex=True).str.strip()
    events = events.assign(query=query, amount=events["amount"].fillna(0.0))
    led = events[events["event_type"].isin(["view", "purchase"]) & query.notna() & events["item_id"].notna()]
    bought = led["event_type"] == "purchase"
    found = led.assign(clicks=~bought, purchases=bought, revenue=led["amount"].where(bought, 0.0))
    seen = events[events["event_type"].isin(COUNTED) & events["item_id"].notna()]
    counts = seen.groupby(["item_id", seen["event_type"].map(COUNTED)]).size().unstack(fill_value=0)
    return {
        "searches": events.loc[(events["event_type"] == "search") & (query != ""), ["query", "user_id"]],
        "found": found.groupby(["query", "item_id"], as_index=False)[
            ["clicks", "purchases", "revenue"]
        ].sum(),
        "counts": counts.reindex(columns=list(COUNTED.values()), fill_value=0).reset_index(),
        "reports": reports.drop(columns="report_date"),
    }


def _keep(state: State, folder: Path, ds: date) -> None:
    tables = source_tables(state)
    for name in (ITEMS, CAMPAIGNS, KEYWORDS):
        table = tables[name]
        if name == ITEMS:
            table = table.drop(columns="description")
            table = table.astype({"price": "float64", "take_rate": "float64"})
        table.to_parquet(folder / f"{name}-{ds}.parquet")
    tables[CATEGORIES].to_parquet(folder / f"{CATEGORIES}.parquet")
    (folder / f"{ds}.npz").write_bytes(state.to_bytes())
